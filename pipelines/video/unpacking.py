"""Compressed text in a file's headers and pictures: a megabyte of it may unpack to a gigabyte."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..common.errors import EvenframeError

# QuickTime File Format, "Compressed movie resources": 'dcom', its method, a length, 'cmvd'.
COMPRESSED_INDEX = re.compile(rb"dcomzlib.{4}cmvd", re.DOTALL)
MOST_UNPACKED = 2**24
MOST_INDICES = 8
"""A file has one, and each takes time to unpack."""
# Boxes that readers look into (libav's, at any depth); the others are passed over, however long.
CONTAINERS = frozenset(
    b"cmov dinf edts ilst mdia meta minf moof moov mvex schi sinf stbl traf trak tref udta".split()
)

# PNG Specification, chapter 11.3: chunks that say something of a picture and hold none of it.
PNG_TEXT = frozenset({b"zTXt", b"iTXt", b"tEXt", b"iCCP", b"eXIf"})
PNG_CODECS = frozenset({"png", "apng"})
SIGNATURE = 8


def refuse_swollen_index(path: Path) -> None:
    """Raise EvenframeError for a QuickTime file whose compressed index unpacks to too much.

    It is refused for many of them, too. libav unpacks them at once and asks nothing. In other files
    there is none to be found.
    """
    count = 0
    with path.open("rb") as file:
        for box in _boxes(file, path.stat().st_size):
            for found in COMPRESSED_INDEX.finditer(box):
                count += 1
                if count > MOST_INDICES:
                    raise EvenframeError(
                        f"'{path.name}' has more than {MOST_INDICES} compressed indices: convert "
                        "the file, or give another."
                    )
                _refuse_swollen(box[found.end() :], path.name)


def _boxes(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The outermost boxes that hold others (ISO/IEC 14496-12, 4.2), one after the other."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:  # too long for four bytes
            length = int.from_bytes(head[8:])
        end = start + length if length >= 8 else size
        if head[4:8] in CONTAINERS:
            file.seek(start)
            yield file.read(min(end, size) - start)
        start = end


def _refuse_swollen(data: bytes, name: str) -> None:
    """data: the length that is promised, and what is to be unpacked."""
    promised, unpacked = int.from_bytes(data[:4]), b""
    if promised <= MOST_UNPACKED:
        try:
            unpacked = zlib.decompressobj().decompress(data[4:], MOST_UNPACKED)
        except zlib.error:
            return
    if promised > MOST_UNPACKED or COMPRESSED_INDEX.search(unpacked):
        raise EvenframeError(
            f"'{name}' has a compressed index that unpacks to {promised} bytes or more: at most "
            f"{MOST_UNPACKED} are read. Convert the file, or give another."
        )


def without_text(data: bytes) -> bytes:
    """The chunks of a PNG or APNG picture without those that hold text or profiles."""
    start = SIGNATURE if data[1:4] in (b"PNG", b"MNG") else 0
    kept = [data[:start]]
    while start + 8 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        if data[start + 4 : start + 8] not in PNG_TEXT:
            kept.append(data[start:end])
        start = end
    return b"".join(kept)
