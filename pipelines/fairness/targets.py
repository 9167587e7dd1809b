"""Which clip of a batch gets which attribute: shares instead of one flip.

The paper edits towards one attribute; target shares over a batch are this project's own.
"""

import json
import math
import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from ..common.checks import require_whole
from ..common.errors import EvenframeError
from ..common.typed_text import folded, quoted
from ..text.prompt import parse_numbers

MAX_ATTRIBUTES = 50
"""Each clip of a batch is weighed against each attribute."""
MAX_SHARE = 1e6
MAX_CLIPS = 100_000
LEFT_OUT = "The batch is too large to name each clip's attribute here."


def assign(shares: Mapping[str, float], count: int, seed: int = 0) -> tuple[str, ...]:
    """An attribute for each clip of a batch: the same for the same arguments.

    shares: up to 50 attributes, each with its share, 0 to 1e6; scaled with a warning where they do
    not sum to 1.
    count: clips, 0 to 100,000.
    The counts are the shares by largest remainder (10 clips at 50/50 are 5 and 5). Each clip gets
    the attribute that is furthest behind its share, so every beginning of the batch is close to the
    shares, too. The seed decides between equals.
    Raises EvenframeError for no shares, too many, those out of range, only zeros, or a count out of
    range.
    """
    wanted = normalised(shares)
    require_whole("count", count, 0, MAX_CLIPS)
    order = random.Random(seed)
    left = _largest_remainder(wanted, count, order)
    given = dict.fromkeys(wanted, 0)
    assigned = []
    for index in range(count):
        behind = {
            name: share * (index + 1) - given[name] for name, share in wanted.items() if left[name]
        }
        name = _first(behind, order)
        given[name] += 1
        left[name] -= 1
        assigned.append(name)
    return tuple(assigned)


def normalised(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares that sum to 1, with a warning where they did not; errors as for `assign`."""
    if not shares:
        raise EvenframeError("The shares are empty: give at least one, as in 'female: 0.5'.")
    if len(shares) > MAX_ATTRIBUTES:
        raise EvenframeError(
            f"There are {len(shares)} shares: give a batch at most {MAX_ATTRIBUTES} attributes."
        )
    for name, share in shares.items():
        if not 0 <= share <= MAX_SHARE:  # nor where it is no number
            raise EvenframeError(
                f"The share of {quoted(name)} is {share:g}: choose a number from 0 to 1."
            )
    total = math.fsum(shares.values())
    if total == 0:
        raise EvenframeError("All shares are 0: give at least one attribute a share above 0.")
    if note := scaling_note(shares):
        warnings.warn(note, stacklevel=3)
    return {name: share / total for name, share in shares.items()}


def scaling_note(shares: Mapping[str, float]) -> str:
    """What to say of shares that do not sum to 1, or ""."""
    total = math.fsum(shares.values())
    return "" if abs(total - 1) <= 1e-6 else f"The shares sum to {total:g}: they are scaled to 1."


def parse_shares(text: str) -> dict[str, float]:
    """Read "female: 0.5, male: 0.5". Raises EvenframeError naming the part it cannot read."""
    pairs = parse_numbers(text, "share", "attribute: share", "female: 0.5, male: 0.5")
    named: set[str] = set()
    for name, _ in pairs:
        if folded(name) in named:
            raise EvenframeError(f"{quoted(name)} has two shares: name each attribute once.")
        named.add(folded(name))
    return dict(pairs)


@dataclass(frozen=True)
class Assignment:
    """A batch's assignment with what it was made from.

    shares: as they were given. normalised: scaled to sum to 1; note: says so where that was needed.
    """

    shares: Mapping[str, float]
    normalised: Mapping[str, float]
    seed: int
    attributes: tuple[str, ...]
    note: str = ""

    def at(self, index: int) -> str:
        """The attribute of a clip, 0..count-1. Raises EvenframeError outside."""
        if not 0 <= index < len(self.attributes):
            raise EvenframeError(
                f"index is {index}: choose one from 0 to {len(self.attributes) - 1}, "
                "the clips of the batch."
            )
        return self.attributes[index]

    def log(self, index: int | None = None) -> str:
        """All of it as JSON, for a file's metadata: the batch can be checked against it.

        index: of the clip that the file holds, 0..count-1, which is then told too.
        It fits into a file's metadata: of a batch too large for that, the attributes of the other
        clips are left out, which `assign` gives again for these shares, counts and seed.
        """
        from ..video.metadata import LOG_BYTES

        own = {} if index is None else {"index": index, "attribute": self.at(index)}
        told = {
            **own,
            "shares": dict(self.shares),
            "normalised": dict(self.normalised),
            "seed": self.seed,
            "counts": {name: self.attributes.count(name) for name in self.shares},
            "attributes": list(self.attributes),
        }
        log = json.dumps(told | ({"note": self.note} if self.note else {}))
        if len(log) > LOG_BYTES:
            del told["attributes"]
            log = json.dumps(told | {"note": f"{self.note} {LEFT_OUT}".strip()})
        if len(log) > LOG_BYTES:
            raise EvenframeError(
                f"The shares fill {len(log)} bytes of a log, and a file takes at most {LOG_BYTES}: "
                "give fewer attributes, or shorter ones."
            )
        return log


def plan(shares: Mapping[str, float], count: int, seed: int = 0) -> Assignment:
    """`assign`, with its log."""
    wanted = normalised(shares)
    return Assignment(dict(shares), wanted, seed, assign(wanted, count, seed), scaling_note(shares))


def _largest_remainder(
    shares: Mapping[str, float], count: int, order: random.Random
) -> dict[str, int]:
    """Whole numbers that sum to `count`, nearest to the shares (Hamilton's method)."""
    numbers = {name: math.floor(share * count + 1e-9) for name, share in shares.items()}
    rest = {name: shares[name] * count - number for name, number in numbers.items()}
    for _ in range(count - sum(numbers.values())):
        name = _first(rest, order)
        numbers[name] += 1
        rest.pop(name)
    return numbers


def _first(values: Mapping[str, float], order: random.Random) -> str:
    """The name of the largest value; between equals the generator decides."""
    largest = max(values.values())
    return order.choice([name for name, value in values.items() if value > largest - 1e-9])
