"""Files of models, as they come: whether they are files, and their headers and settings."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from ...common import untrusted_json
from ...common.errors import EvenframeError, in_short
from ...common.tensor_header import Damaged, Header, Unreadable, read_header

WANTED = "a Stable Diffusion 1.x or 2.1 checkpoint (.safetensors)"
MAX_SETTINGS = 2**20
"""Bytes of a configuration; real ones have a few thousand."""
AGAIN = "download it again"


def part_name(path: Path) -> str:
    """How an error names a file of a model folder: "unet/config.json"."""
    return f"{path.parent.name}/{path.name}"


def require_file(path: Path, name: str = "") -> None:
    """Refuse what is no file with something in it. name: of it in an error, where not its own."""
    name = name or path.name
    try:
        status = path.stat()
    except FileNotFoundError:
        raise EvenframeError(f"There is no file '{path}': check the name and the folder.") from None
    except (OSError, ValueError) as error:  # a loop of links, a name too long, a NUL byte
        reason = getattr(error, "strerror", None) or error
        raise EvenframeError(f"'{name}' cannot be read ({reason}): choose another file.") from error
    if S_ISDIR(status.st_mode):
        raise EvenframeError(
            f"'{name}' is a folder: choose a file, or load it as a diffusers folder."
        )
    if not S_ISREG(status.st_mode):
        raise EvenframeError(f"'{name}' is a pipe or a device: choose a file.")
    if status.st_size == 0:
        raise EvenframeError(f"'{name}' is empty (0 bytes): {AGAIN}.")


def header_of(path: Path, name: str = "", wanted: str = WANTED) -> Header:
    """The header of a safetensors file. name: see `require_file`; wanted: what to choose instead.

    Raises EvenframeError where it is none, is damaged, or promises more than any model holds.
    """
    name = name or path.name
    try:
        return read_header(path)
    except Damaged as error:
        raise EvenframeError(f"'{name}' {error}: {AGAIN}.") from error
    except Unreadable as error:
        raise EvenframeError(f"'{name}' {error}: choose {wanted}.") from error
    except OSError as error:
        raise unreadable(name, error) from error


def read_settings(path: Path, limit: int = MAX_SETTINGS) -> dict[str, Any]:
    """A JSON object from a file of a model folder; EvenframeError where there is none.

    limit: bytes that are read.
    """
    name = part_name(path)
    if not path.exists():
        raise EvenframeError(f"The model folder has no '{name}': download the complete model.")
    require_file(path, name)
    try:
        text = read_bounded(path, limit)
        content = untrusted_json.parse(text)
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    if not isinstance(content, dict):
        raise EvenframeError(f"'{name}' is not a JSON object: {AGAIN}.")
    return content


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a file; ValueError where it has more bytes than the limit."""
    size = path.stat().st_size
    if size > limit:
        raise ValueError(f"it has {size} bytes, and {limit} are read")
    return path.read_bytes()


def unreadable(name: str, error: Exception) -> EvenframeError:
    """What to say where reading a file failed."""
    if isinstance(error, OSError) and error.strerror:
        return EvenframeError(f"'{name}' cannot be read ({error.strerror}): check the file.")
    return EvenframeError(f"'{name}' cannot be read ({in_short(error)}): {AGAIN}.")
