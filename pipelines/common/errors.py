"""The one exception that a user is meant to read."""

import unicodedata

HIDDEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's controls, halves of surrogate pairs, and what ends a line or a paragraph."""
LONGEST_ERROR = 2000


class EvenframeError(ValueError):
    """Something the user can put right.

    The message says what is wrong and what to do, with the value and the allowed range. It is one
    line, whatever text it quotes: a line break in a prompt would cut the remedy off where only the
    first line is shown, and a terminal would obey its other controls.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """`text` with what breaks lines, and what no terminal should be sent, as in a Python string."""
    return "".join(
        repr(sign)[1:-1] if unicodedata.category(sign) in HIDDEN else sign for sign in text
    )


def in_short(error: BaseException) -> str:
    """What another program's error says, in a part of a line."""
    return " ".join((str(error) or type(error).__name__).split()).rstrip(".:")[:200]


def error_text(error: BaseException) -> str:
    """What an error says, as a line by itself; of one that is not ours, its kind, too."""
    text = str(error) if isinstance(error, EvenframeError) else f"{type(error).__name__}: {error}"
    return one_line(" ".join(text.split()))[:LONGEST_ERROR]


def short_repr(value: object) -> str:
    """A value as Python writes it, cut short: a part of a line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
