"""The one exception that a user is meant to read."""


class EvenframeError(ValueError):
    """Something the user can put right.

    The first line says what is wrong and what to do, with the value and the allowed range.
    """
