"""How much an edit asks of its model, counted when it begins."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passes:
    """The passes of a model in an edit.

    edit: of the edit itself, each with so many branches (prompts) at once. source: of the source
    again, where its attention was not kept. gradient: through which a gradient is taken; at least,
    for some controls go on until they are content.
    """

    steps: int
    windows: int
    branches: int
    edit: int
    source: int = 0
    gradient: int = 0

    @property
    def rows(self) -> int:
        """What takes about as long as one prompt in one pass, so many times."""
        return self.edit * self.branches + self.source + self.gradient

    def describe(self) -> str:
        """In a line for people."""
        parts = [
            f"{_counted(self.edit, 'pass', 'passes')} with {_counted(self.branches, 'prompt')} "
            f"({_counted(self.steps, 'step')}, {_counted(self.windows, 'window')})"
        ]
        if self.source:
            parts.append(f"{self.source} of the source again")
        if self.gradient:
            parts.append(f"at least {self.gradient} for a gradient")
        return ", ".join(parts)


def _counted(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"
