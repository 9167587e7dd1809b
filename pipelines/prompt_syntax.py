"""Signs with a meaning in other programs' prompts, which are plain text here."""

import re

from .text import quoted

LOST = (
    (
        re.compile(r"\([^()]*\w[^()]*\)|\[[^\[\]:|]*\w[^\[\]:|]*\]"),
        "with its brackets and numbers: write the bare words, and how much they count into weights "
        "of Attention Fusion, as in 'red: 1.3'",
    ),
    (
        re.compile(r"\[[^\[\]:|]*:[^\[\]|]*\]"),
        "and nothing changes on the way: write what comes first into the source prompt and what "
        "comes then into the target prompt; cross_steps of Attention Fusion says when",
    ),
    (
        re.compile(r"\[[^\[\]|]*\|[^\[\]]*\]|\{[^{}|]*\|[^{}]*\}|__[\w/*-]+?__"),
        "and nothing is chosen from it: write the word that you want",
    ),
    (
        re.compile(r"<(?:lora|lyco|hypernet)\s*:[^<>]*>", re.IGNORECASE),
        "and loads nothing: apply a LoRA with ComfyUI's LoRA loader, and link its model to Adopt "
        "Model",
    ),
    (
        re.compile(r"\bembedding\s*:\s*[^\s,()]+", re.IGNORECASE),
        "and loads nothing: no textual inversions are used; describe in words what it stands for",
    ),
    (
        re.compile(r"(?<!\S)(?:BREAK|AND)(?![^\s,])"),
        "as a word: write one sentence; where its parts belong to places of the picture, give "
        "these words to regions (Draw Regions)",
    ),
)
"""What A1111 and ComfyUI read as weights, schedules, choices, networks, embeddings and joints, and
what becomes of it here."""


def syntax_notes(text: str) -> tuple[str, ...]:
    """What to say of another program's prompt syntax in a text: a line for each kind, or ()."""
    if text.isupper():  # a shouted AND is a word like any other
        return ()
    found = ((pattern.search(text), instead) for pattern, instead in LOST)
    return tuple(
        f"{quoted(match.group())} is read as plain text, {instead}."
        for match, instead in found
        if match
    )
