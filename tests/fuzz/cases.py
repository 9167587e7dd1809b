"""Strategies: whole things, and how they are damaged."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("EVENFRAME_FUZZ", "0"))
"""Cases of the cheapest tests; 0 for the few of `make test`, which are the same every time."""


def fuzzed(few: int) -> settings:
    """So many cases in `make test`; where more are wanted, in proportion: costly ones are fewer."""
    return settings(
        max_examples=max(1, CASES * few // 60) if CASES else few,
        derandomize=not CASES,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )


Edit = tuple[str, float, int]
"""(what is done, where in the bytes from 0 to 1, with which number)."""

edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "byte", "word", "long", "cut", "drop", "repeat", "swap"]),
        st.floats(0, 1),
        st.one_of(
            st.sampled_from([0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]),
            st.integers(0, 2**32 - 1),
        ),
    ),
    min_size=1,
    max_size=6,
)
"""A few damages; most files still look like themselves."""


def damaged(data: bytes, changes: list[Edit]) -> bytes:
    """Bytes after some edits."""
    out = bytearray(data)
    for kind, at, number in changes:
        if not out:
            break
        place = min(int(at * len(out)), len(out) - 1)
        length = number % 64 + 1
        if kind == "flip":
            out[place] ^= 1 << number % 8
        elif kind == "byte":
            out[place] = number % 256
        elif kind in ("word", "long"):  # lengths and counts stand in either order
            size, order = (4, "big") if kind == "word" else (8, "little")
            out[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
        elif kind == "cut":
            del out[place:]
        elif kind == "drop":
            del out[place : place + length]
        elif kind == "repeat":
            out[place:place] = out[place : place + length]
        else:
            other = number % len(out)
            out[place], out[other] = out[other], out[place]
    return bytes(out)


numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0, -1, 1, 1e308, -1e308, 1e-320, 2**63, 2**31, 10**400]),
)
"""What stands where a number is expected."""

texts = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(exclude_categories=()), max_size=12),  # half an emoji, too
    st.sampled_from(
        ["", " ", "\0", "../../x", "/etc/passwd", "a" * 3000, "9" * 5000, "1e999999", "NaN", "null"]
    ),
)
"""What stands where a text is expected."""

values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
"""JSON of any kind."""

replacements = st.lists(
    st.one_of(
        st.tuples(st.floats(0, 1), st.just("nudge"), st.floats(-2, 2)),
        st.tuples(st.floats(0, 1), st.sampled_from(["set", "drop", "wrap", "copy"]), values),
    ),
    min_size=1,
    max_size=3,
)
"""(where in the data from 0 to 1, what is done, with which value): a few changes of JSON data."""


Replacement = tuple[float, str, Any]


def replaced(whole: Any, changes: list[Replacement]) -> Any:
    """JSON data after some of its values have become others."""
    for at, kind, value in changes:
        places = list(_places(whole, ()))
        whole = _changed(whole, places[min(int(at * len(places)), len(places) - 1)], kind, value)
    return whole


def _places(data: Any, path: tuple[Any, ...]) -> Any:
    yield path
    pairs: Any = ()
    if isinstance(data, dict):
        pairs = data.items()
    elif isinstance(data, list):
        pairs = enumerate(data)
    for key, inner in pairs:
        yield from _places(inner, (*path, key))


def _changed(data: Any, path: tuple[Any, ...], kind: str, value: Any) -> Any:
    if kind == "nudge" and not path:
        return _nudged(data, value)
    if not path:
        return [data] if kind == "wrap" else value
    first, rest = path[0], path[1:]
    pairs = list(data.items() if isinstance(data, dict) else enumerate(data))
    out = []
    for key, inner in pairs:
        if key != first:
            out.append((key, inner))
        elif rest or kind == "nudge":
            out.append((key, _changed(inner, rest, kind, value)))
        elif kind == "copy":
            out += [(key, inner), (f"{key}2", inner)]
        elif kind != "drop":
            out.append((key, [inner] if kind == "wrap" else value))
    return dict(out) if isinstance(data, dict) else [inner for _, inner in out]


def _nudged(data: Any, factor: float) -> Any:
    """Much the same; containers stay."""
    if isinstance(data, int | float) and not isinstance(data, bool):
        # A larger whole number is none in floating point.
        return type(data)(data * factor) if abs(data) < 2**1000 else data
    return data + " " if isinstance(data, str) else data
