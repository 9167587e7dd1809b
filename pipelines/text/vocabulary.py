"""The words of a model that was trained on few."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from .prompt import bare_words, unknown_words


@dataclass(frozen=True)
class Vocabulary:
    """All words of a model's training prompts.

    words: all of them. roles: those that a prompt is made of, by what they stand for.
    before: of a word, those with a role that ever stood right before it.
    """

    words: frozenset[str]
    roles: Mapping[str, Collection[str]] = field(default_factory=dict)
    before: Mapping[str, Collection[str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """What the model knows, a line each: "shapes: circle, square"."""
        return [f"{role}: {', '.join(words)}" for role, words in self.roles.items()]

    def notes(self, text: str) -> list[str]:
        """A line for each word of a prompt that the model does not know, or not in that place."""
        unknown = [
            f"The model was never trained on '{word}'"
            + (f": the nearest it knows are {', '.join(nearest)}." if nearest else ".")
            for word, nearest in unknown_words(text, self.words).items()
        ]
        weighed = {*self.before, *(word for words in self.before.values() for word in words)}
        clauses = re.split(r"[^\w\s'-]", text)
        pairs = [pair for clause in clauses for pair in pairwise(bare_words(clause))]
        return unknown + [
            f"The model knows '{first}', but was never trained on '{first} {second}': before "
            f"'{second}' it knows {', '.join(self.before[second]) or 'no such word'}."
            for first, second in dict.fromkeys(pairs)
            if first in weighed and first not in self.before.get(second, (first,))
        ]
