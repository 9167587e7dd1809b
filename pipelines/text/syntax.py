"""Signs with a meaning in other programs' prompts, which are plain text here."""

import re

from ..common.typed_text import quoted

LOST = (
    (
        re.compile(r"(?<!\\)\([^()]*\w[^()]*\)|\[[^\[\]:|]*\w[^\[\]:|]*\]"),
        "brackets and numbers included: write the bare words, and how much they count into weights "
        "of Attention Fusion, as in 'red: 1.3'",
    ),
    (
        re.compile(r"\[[^\[\]:|]*:[^\[\]|]*\]"),
        "and nothing changes on the way: write what comes first into the source prompt and what "
        "comes then into the target prompt; cross_steps of Attention Fusion says when",
    ),
    (
        re.compile(r"\[[^\[\]|]*\|[^\[\]]*\]|\{[^{}|]*\|[^{}]*\}|__[^\W_][\w/*-]*?__"),
        "and nothing is chosen from it: write the word that you want",
    ),
    (
        re.compile(r"<(?:lora|lyco|hypernet)\s*:[^<>]*>", re.IGNORECASE),
        "and loads nothing: apply a LoRA with ComfyUI's own loader, and link the model to Adopt "
        "Model",
    ),
    (
        re.compile(r"\bembedding\s*:\s*[^\s,()]+", re.IGNORECASE),
        "and loads nothing: describe in words what the embedding stands for",
    ),
    (re.compile(r"\\[()\[\]]"), "backslash included: write brackets without it"),
)
"""Weights, schedules, choices, networks, embeddings and escapes of A1111 and ComfyUI, with what
becomes of them here and what to write instead."""
JOINTS = (
    re.compile(r"(?<![^\s,])(?:BREAK|AND)(?![^\s,])"),
    "as a word: write one sentence; where its parts belong to places of the picture, give the "
    "words to regions (Draw Regions)",
)


def syntax_notes(text: str) -> tuple[str, ...]:
    """What to say of other programs' syntax in a prompt: a line for each kind of it, or ()."""
    # In a prompt that is all in capitals, an AND is a word like any other.
    kinds = LOST if text.isupper() else (*LOST, JOINTS)
    found = ((pattern.search(text), instead) for pattern, instead in kinds)
    return tuple(
        f"{quoted(match.group())} is read as plain text, {instead}."
        for match, instead in found
        if match
    )
