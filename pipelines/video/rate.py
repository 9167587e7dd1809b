"""Frame rates as exact fractions."""

import re
from fractions import Fraction

from ..common.errors import EvenframeError

MAX_RATE = 1000
MOST_TOLD = 10**9  # in messages: larger ones may not fit a float
PLAIN_RATE = re.compile(r"\d{1,9}(?:\.\d{1,9}|/\d{1,9})?", re.ASCII)
MAX_DENOMINATOR = 100_000  # containers count time in 32-bit fractions


def as_rate(rate: float | str | Fraction) -> Fraction:
    """A frame rate as an exact fraction: 23.976 and 29.97 become 24000/1001 and 30000/1001.

    Raises EvenframeError unless 0 < rate <= 1000.
    """
    try:
        # A text with an exponent becomes a float first: 1e9999999 as a fraction never ends.
        is_plain = not isinstance(rate, str) or PLAIN_RATE.fullmatch(rate)
        exact = Fraction(rate if is_plain else float(rate))
    except (ValueError, OverflowError, ZeroDivisionError, TypeError) as error:
        raise EvenframeError(
            f"The frame rate {rate!r:.60} is not a number: give one like 24."
        ) from error
    if not 0 < exact <= MAX_RATE:
        number = float(max(-MOST_TOLD, min(exact, MOST_TOLD)))
        raise EvenframeError(
            f"The frame rate is {number:g}: give more than 0 and at most {MAX_RATE}."
        )
    if isinstance(rate, Fraction) and rate.denominator <= MAX_DENOMINATOR:
        return rate
    whole = round(exact * 1001 / 1000)
    television = Fraction(whole * 1000, 1001)
    if whole and exact.denominator != 1 and abs(television - exact) < Fraction(1, 200):
        return television
    return exact.limit_denominator(1000) or exact
