"""Ways in which files come to harm, for the tests of what reads them.

Each way is (what was done, the damaged content); `each` writes them in the place of a file.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (
    None,
    *(True, False, 0, 1, -1, 3, 7, 1.5, 1_000_000, 10**17, 1e308, -1e308, 1e-308),
    *(float("nan"), float("inf"), float("-inf"), "", "x", "64", "relu", "\ud83d", "a\nb"),
    *([], [0], [1, "x"], [[1]], [1.5] * 4, [4] * 4, [1] * 5000, {}, {"a": 1}),
)
"""What may stand in JSON in the place of something else."""
RAW = (
    b"",
    b" ",
    b"{",
    b"{}",
    b"[]",
    b"null",
    b"0",
    b'""',
    b"NaN",
    b"\x00" * 64,
    b"\xff\xfe{\x00}\x00",
    b'\xef\xbb\xbf{"a": 1}',
    b"<!doctype html><html>",
    b"version https://git-lfs.github.com/spec/v1\n",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a": ' + b"9" * 100_000 + b"}",
    b'{"a": 1e999999999}',
)
"""Whole contents that are none."""

Way = tuple[str, bytes]


def of_bytes(data: bytes, count: int, seed: int = 0) -> Iterator[Way]:
    """Cut, flipped, zeroed, doubled: `count` ways of each, and what `RAW` holds."""
    chance = random.Random(seed)
    for content in RAW:
        yield f"is {content[:20]!r}", content
    for _ in range(count):
        place = chance.randrange(len(data))
        yield f"is cut at {place}", data[:place]
        bit = 1 << chance.randrange(8)
        yield f"has bit {bit} of {place} flipped", _with(data, place, bytes([data[place] ^ bit]))
        yield f"has zeros at {place}", _with(data, place, bytes(min(64, len(data) - place)))
        length = chance.randrange(1, 64)
        yield f"lost {length} at {place}", data[:place] + data[place + length :]
        yield f"has {length} twice at {place}", data[: place + length] + data[place:]


def _with(data: bytes, place: int, part: bytes) -> bytes:
    return data[:place] + part + data[place + len(part) :]


def of_json(
    value: Any, values: Iterable[Any] = VALUES, places: int = 1000, seed: int = 0
) -> Iterator[Way]:
    """Every place of a JSON value left out, and held by each of the values instead.

    places: at most so many, drawn by chance.
    """
    found, values = list(_places(value)), list(values)
    random.Random(seed).shuffle(found)
    for place in found[:places]:
        name = "/".join(map(str, place))
        yield f"lacks {name}", _changed(value, place, lambda holder, key: holder.pop(key))
        for other in values:
            shown = repr(other)[:30]
            yield (
                f"has {shown} at {name}",
                _changed(value, place, lambda holder, key, o=other: holder.__setitem__(key, o)),
            )


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield (*before, key)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*before, key))


def _changed(value: Any, place: tuple[Any, ...], change: Callable[[Any, Any], Any]) -> bytes:
    whole = holder = copy.deepcopy(value)
    for key in place[:-1]:
        holder = holder[key]
    change(holder, place[-1])
    return json.dumps(whole).encode()


def each(path: Path, ways: Iterable[Way]) -> Iterator[str]:
    """Write every damaged content in the place of a file, and put the file back in the end."""
    whole = path.read_bytes()
    try:
        for what, content in ways:
            path.write_bytes(content)
            yield f"{path.parent.name}/{path.name} {what}"
    finally:
        path.write_bytes(whole)


def replaced(path: Path) -> Iterator[str]:
    """The file away, a folder, a pipe, a dead link or a loop of links in its place."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    name = f"{path.parent.name}/{path.name}"
    try:
        yield f"{name} is gone"
        path.mkdir()
        yield f"{name} is a folder"
        path.rmdir()
        if hasattr(os, "mkfifo"):
            os.mkfifo(path)
            yield f"{name} is a pipe"
            path.unlink()
        for target in ("nowhere", path.name, "/dev/zero"):
            path.symlink_to(target)
            yield f"{name} is a link to {target}"
            path.unlink()
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        aside.replace(path)
