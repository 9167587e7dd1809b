"""A CLIP tokenizer for the world's words, in the files that any CLIP tokenizer is loaded from.

The byte alphabet is complete, so any text can be encoded; byte-pair merges are learned until each
word of the world is one token. Other words fall into several tokens that were never trained.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from .vocabulary import all_words

LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins for bytes that byte-level BPE uses, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(code) for code in printable] + [chr(256 + i) for i in range(len(rest))]


def learn_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Byte-pair merges after which each of the words is one token; ties broken by spelling."""
    pieces = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for parts in pieces.values() for pair in pairwise(parts))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: _merge(parts, best) for word, parts in pieces.items()}


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def vocabulary(words: Sequence[str] | None = None) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """(token -> id, merges) of a tokenizer to which each of these words, of the miniature's where
    None are given, is one token."""
    alphabet, merges = byte_alphabet(), learn_merges(all_words() if words is None else words)
    tokens = [*alphabet, *(char + "</w>" for char in alphabet), *(a + b for a, b in merges)]
    tokens = [*dict.fromkeys(tokens), START, END]
    return {token: index for index, token in enumerate(tokens)}, merges


def save_tokenizer(folder: Path, words: Sequence[str] | None = None) -> None:
    """Write vocab.json, merges.txt and their configuration to a folder; words as `vocabulary`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens, merges = vocabulary(words)
    (folder / "vocab.json").write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        **special,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")


class WordEncoder:
    """Token ids of prompts of known words, without transformers: one id per word.

    Equal to the CLIP tokenizer on the world's own prompts (a test compares them); used where
    many thousand prompts are encoded. words: as `vocabulary`.
    """

    def __init__(self, words: Sequence[str] | None = None) -> None:
        self.ids, _ = vocabulary(words)
        self.start, self.end = self.ids[START], self.ids[END]

    def __call__(self, words: Sequence[str]) -> list[int]:
        """77 ids: start, words, then end as padding. KeyError for a word that is not known."""
        body = [self.ids[word + "</w>"] for word in words][: LENGTH - 2]
        return [self.start, *body] + [self.end] * (LENGTH - 1 - len(body))
