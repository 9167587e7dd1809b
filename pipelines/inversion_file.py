"""Inversions on disk: a safetensors file with a header that says what it is the inversion of.

A file is untrusted: it is read without code, checked against the digest in its own header
(tensor_file.py), and one that was cut short or altered is refused (the cache then makes it again).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from . import tensor_file
from .attention import keyframes as key_frames
from .attention.store import MODES
from .errors import EvenframeError
from .inversion import Inversion
from .origin import Origin, hash_tensors
from .prompt import Prompt, Word
from .schedule import Grid
from .whole_file import Numbered
from .window import WHOLE_CLIP, Windowing

FORMAT = "evenframe-inversion-1"
TENSORS = {"trajectory", "embeddings"}
CHECKED = TENSORS | {"rebuilt"}


def save(inversion: Inversion, path: Path | Numbered, key: str = "", *, new: bool = False) -> Path:
    """Write an inversion (its records are not kept: they are computed again when needed).

    The file appears whole or not at all. key: what it is an inversion of (inversion_cache.py).
    new: never in the place of another file; of a `Numbered` path that is so anyway.
    Returns the file's path.
    Raises EvenframeError where it cannot be written, such as on a full disk.
    """
    tensors = {
        "trajectory": inversion.trajectory,
        "embeddings": inversion.prompt.embeddings,
    }
    if inversion.rebuilt is not None:
        tensors["rebuilt"] = inversion.rebuilt
    header = {
        "key": key,
        "model": inversion.model,
        "mode": inversion.mode,
        "origin": asdict(inversion.origin),
        "prompt": inversion.prompt.text,
        "prompt_hash": hash_tensors({"embeddings": inversion.prompt.embeddings}),
        "ids": inversion.prompt.ids,
        "words": [asdict(word) for word in inversion.prompt.words],
        "timesteps": inversion.grid.timesteps,
        "stride": inversion.grid.stride,
        "keyframes": inversion.keyframes,
        "windowing": asdict(inversion.windowing),
    }
    return tensor_file.write(path, FORMAT, json.dumps(header), tensors, "inversion", new=new)


def load(path: Path, key: str | None = None) -> Inversion:
    """Read an inversion; with `key`, only if it is the inversion of that.

    Raises EvenframeError where the file is not a whole, unaltered one.
    """
    try:
        text, tensors = tensor_file.read(path, FORMAT)
        if tensors.keys() not in (TENSORS, CHECKED):
            raise ValueError("it holds other tensors than an inversion does")
        header = json.loads(text)
        if key is not None and header["key"] != key:
            raise ValueError("it is the inversion of something else")
        return _inversion(header, tensors)
    except FileNotFoundError as error:
        raise EvenframeError(f"There is no inversion at '{path}': choose another file.") from error
    except Exception as error:
        raise EvenframeError(
            f"'{path.name}' is not a usable inversion ({error}): invert the clip again."
        ) from error


def _inversion(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Inversion:
    """Build the value from a file's parts."""
    trajectory, rebuilt = tensors["trajectory"], tensors.get("rebuilt")
    grid = Grid(_positions(header["timesteps"]), int(header["stride"]))
    if not trajectory.isfinite().all():
        raise ValueError("its trajectory holds what is not a number")
    if rebuilt is not None and rebuilt.shape != trajectory[0, :1].shape:
        raise ValueError("its rebuilt frame does not match its trajectory")
    words = tuple(
        Word(str(word["text"]), _positions(word["tokens"]), _positions(word["core"]))
        for word in header["words"]
    )
    prompt = Prompt(
        str(header["prompt"]),
        _positions(header["ids"]),
        words,
        tensors["embeddings"],
        str(header["model"]),
    )
    names = key_frames.parse(header["keyframes"])
    mode = str(header["mode"])
    if mode not in MODES:
        raise ValueError(f"its attention store mode is '{mode}'")
    origin = Origin(**{name: str(value) for name, value in header["origin"].items()})
    return Inversion(
        trajectory,
        prompt,
        grid,
        names,
        str(header["model"]),
        mode,
        origin=origin,
        rebuilt=rebuilt,
        windowing=_windowing(header.get("windowing"), trajectory.shape[1]),
    )


def _windowing(header: Mapping[str, Any] | None, frames: int) -> Windowing:
    if header is None:  # a file from before there were windows
        return WHOLE_CLIP
    windowing = Windowing(int(header["size"]), int(header["stride"]), str(header["weights"]))
    windowing.cut(frames)
    return windowing


def _positions(numbers: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)
