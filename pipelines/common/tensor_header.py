"""The header of a safetensors file, read with bounds before anything else in the file is.

The layout: eight bytes with the length of the header (little endian), the header as JSON (name ->
dtype, shape, data_offsets; optional `__metadata__`), then the data. The library parses a header of
100 MB with as many tensors as fit; no model has one of a tenth of that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

from . import untrusted_json

MAX_HEADER = 8 * 2**20
LIBRARY_MAX_HEADER = 100 * 2**20
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
MAX_SIDE = 2**31
BYTES: Mapping[str, int] = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
"""Bytes of a number of each type; types that pack several into a byte are not here."""


class Unreadable(ValueError):
    """What is wrong with a file, told so that it goes on from the file's name: "is cut short"."""


class Damaged(Unreadable):
    """A file of the right kind that came to harm: another copy of it may be whole."""


@dataclass(frozen=True)
class Header:
    """shapes: tensor name -> shape. metadata: the file's own, text to text."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """The header of a safetensors file, checked against the size of the file.

    Raises Unreadable, Damaged, or OSError.
    """
    status = path.stat()
    if not S_ISREG(status.st_mode):  # to open a pipe is to wait for whoever writes to it
        raise Unreadable("is a folder, a pipe or a device")
    size = status.st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = _parse(_read(file, size, length))
    entry = header.pop("__metadata__", None)
    pairs = entry.items() if isinstance(entry, dict) else ()
    metadata = {key: value for key, value in pairs if isinstance(value, str)}
    return Header(_shapes(header, size - 8 - length), metadata)


def _read(file: BinaryIO, size: int, length: int) -> bytes:
    # The length of a header is below 2^27; text or noise in its place is far above.
    if size < 8 or length > LIBRARY_MAX_HEADER or length < 2:
        raise Unreadable("is not a safetensors file")
    if length > MAX_HEADER:
        raise Unreadable(
            f"begins with a header of {length / 1e6:.1f} MB, and {MAX_HEADER / 1e6:.1f} are read"
        )
    if 8 + length > size:
        raise Damaged(f"is cut short: it has {size} bytes but its header alone takes {8 + length}")
    return file.read(length)


def _parse(text: bytes) -> dict[str, Any]:
    # An entry has two lists and an object; what it costs in memory is many times what it is here.
    if text.count(b"[") + text.count(b"{") > 4 * MAX_TENSORS:
        raise Unreadable(f"names more tensors than any model has ({MAX_TENSORS} are read)")
    try:
        header = untrusted_json.parse(text)
    except ValueError:
        raise Damaged(
            "is not a safetensors file, or is damaged: its header cannot be read"
        ) from None
    if not isinstance(header, dict):
        raise Unreadable("is not a safetensors file")
    if len(header) > MAX_TENSORS:
        raise Unreadable(f"names {len(header)} tensors, and {MAX_TENSORS} are read")
    return header


def _shapes(header: Mapping[str, Any], data: int) -> dict[str, tuple[int, ...]]:
    shapes, last = {}, 0
    for name, entry in header.items():
        if not _describes_a_tensor(entry):
            raise Damaged(
                "is damaged: its safetensors header does not describe tensors "
                f"('{name[:80]}' is none)"
            )
        shapes[name] = tuple(entry["shape"])
        last = max(last, entry["data_offsets"][1])
    if last > data:
        raise Damaged(f"is cut short: {last - data} of {last} bytes of weights are missing")
    if not shapes:
        raise Unreadable("holds no tensors")
    return shapes


def _describes_a_tensor(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    shape: Any = entry.get("shape")
    offsets: Any = entry.get("data_offsets")
    if not _are_sizes(shape, MAX_SIDE) or not _are_sizes(offsets, 2**62):
        return False
    if len(shape) > MAX_DIMENSIONS or len(offsets) != 2 or offsets[0] > offsets[1]:
        return False
    kind = entry.get("dtype")
    number = BYTES.get(kind) if isinstance(kind, str) else None
    return number is None or number * math.prod(shape) == offsets[1] - offsets[0]


def _are_sizes(numbers: Any, limit: int) -> bool:
    return isinstance(numbers, list) and all(
        type(number) is int and 0 <= number <= limit for number in numbers
    )
