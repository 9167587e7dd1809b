"""Inversions on disk: a safetensors file with a header that says what it is the inversion of.

A file is untrusted: it is read without code, checked against the digest in its own header
(tensor_file.py), and one that was cut short or altered is refused (the cache then makes it again).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..attention import keyframes as key_frames
from ..common import tensor_file, untrusted_json
from ..common.errors import EvenframeError, in_short
from ..common.tensor_file import hash_tensors
from ..common.whole_file import Numbered
from ..common.window import WHOLE_CLIP, Windowing
from ..text.conditioning import Conditioning
from ..text.tokens import Tokens, Word
from .inversion import Inversion
from .origin import Origin
from .store import MODES

FORMAT = "evenframe-inversion-1"
TENSORS = {"trajectory", "embeddings"}
OPTIONAL = {"rebuilt", "pooled"}
MAX_LIST = 10_000
MAX_KEYFRAMES = 64


def save(inversion: Inversion, path: Path | Numbered, key: str = "", *, new: bool = False) -> Path:
    """Write an inversion (its records are not kept: they are computed again when needed).

    The file appears whole or not at all. key: what it is an inversion of (cache.py).
    new: never in the place of another file; of a `Numbered` path that is so anyway.
    Returns the file's path.
    Raises EvenframeError where it cannot be written, such as on a full disk.
    """
    prompt, tokens = inversion.prompt, inversion.prompt.tokens
    others = prompt.states.keys() - {"tokens", "pooled"}
    if others or prompt.host is not None:
        what = f"states ({', '.join(sorted(others))})" if others else "what other nodes put on it"
        raise EvenframeError(
            f"The inversion's prompt has {what} that a file cannot hold: invert the clip again "
            "where it is edited."
        )
    tensors = {"trajectory": inversion.trajectory, "embeddings": prompt.states["tokens"]}
    if inversion.rebuilt is not None:
        tensors["rebuilt"] = inversion.rebuilt
    if "pooled" in prompt.states:
        tensors["pooled"] = prompt.states["pooled"]
    header = {
        "key": key,
        "model": inversion.model,
        "mode": inversion.mode,
        "origin": asdict(inversion.origin),
        "prompt": tokens.text,
        "prompt_hash": hash_tensors({"embeddings": prompt.states["tokens"]}),
        "encoder": prompt.model,
        "ids": tokens.ids,
        "words": [asdict(word) for word in tokens.words],
        "special": {
            "before": tokens.first,
            "behind": len(tokens.ids) - 1 - tokens.last,
            "summary": tokens.summary,
        },
        "times": inversion.times,
        "keyframes": inversion.keyframes,
        "layers": inversion.layers,
        "noise_seed": inversion.noise_seed,
        "solver": inversion.solver,
        "windowing": asdict(inversion.windowing),
    }
    return tensor_file.write(path, FORMAT, json.dumps(header), tensors, "inversion", new=new)


def load(path: Path, key: str | None = None) -> Inversion:
    """Read an inversion; with `key`, only if it is the inversion of that.

    Raises EvenframeError where the file is not a whole, unaltered one.
    """
    try:
        text, tensors = tensor_file.read(path, FORMAT)
        if tensors.keys() - OPTIONAL != TENSORS:
            raise ValueError("it holds other tensors than an inversion does")
        header = untrusted_json.parse(text)
        if key is not None and header["key"] != key:
            raise ValueError("it is the inversion of something else")
        return _inversion(header, tensors)
    except FileNotFoundError as error:
        raise EvenframeError(f"There is no inversion at '{path}': choose another file.") from error
    except Exception as error:
        raise EvenframeError(
            f"'{path.name}' is not a usable inversion ({_reason(error)}): invert the clip again."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError | TypeError | AttributeError):
        return f"its header lacks {error}" if isinstance(error, KeyError) else "its header is none"
    return in_short(error)


def _inversion(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Inversion:
    """Build the value from a file's parts. Raises ValueError for what is none."""
    trajectory, rebuilt = tensors["trajectory"], tensors.get("rebuilt")
    times = _times(header)
    _require_numbers(trajectory, "trajectory", 5)
    if rebuilt is not None:
        if rebuilt.shape != trajectory[0, :1].shape:
            raise ValueError("its rebuilt frame does not match its trajectory")
        _require_numbers(rebuilt, "rebuilt frame", 4)
    names = header["keyframes"]
    if not isinstance(names, list) or len(names) > MAX_KEYFRAMES:
        raise ValueError(f"its key frames are no list of at most {MAX_KEYFRAMES}")
    mode = header["mode"]
    if mode not in MODES:
        raise ValueError(f"its attention store mode is {mode!r:.60}")
    return Inversion(
        trajectory,
        _prompt(header, tensors["embeddings"], tensors.get("pooled")),
        times,
        key_frames.parse(names),
        str(header["model"]),
        mode,
        origin=Origin(**{name: str(value) for name, value in header["origin"].items()}),
        rebuilt=rebuilt,
        windowing=_windowing(header.get("windowing"), trajectory.shape[1]),
        layers=str(header.get("layers", "auto"))[:9],  # older files had no choice
        noise_seed=None if header.get("noise_seed") is None else _whole(header, "noise_seed"),
        solver=str(header.get("solver", "ddim"))[:9],  # nor had they this one
    )


def _times(header: Mapping[str, Any]) -> tuple[float, ...]:
    """The times of all levels; older files have timesteps, and how far the clean end is beyond."""
    if "times" not in header:
        timesteps = _wholes(header, "timesteps")
        return (*timesteps, timesteps[-1] - _whole(header, "stride")) if timesteps else ()
    times = header["times"]
    if not isinstance(times, list) or len(times) > MAX_LIST:
        raise ValueError(f"its times are no list of at most {MAX_LIST}")
    for time in times:
        if type(time) not in (int, float) or not -(2**31) < time < 2**31:
            raise ValueError(f"one of its times is {time!r:.60}, which is none")
    return tuple(times)


def _prompt(header: Mapping[str, Any], embeddings: Tensor, pooled: Tensor | None) -> Conditioning:
    """The source prompt; every position of its words is one of its tokens."""
    _require_numbers(embeddings, "prompt", 2)
    states = {"tokens": embeddings}
    if pooled is not None:
        _require_numbers(pooled, "pooled prompt", 1)
        states["pooled"] = pooled
    ids = _wholes(header, "ids")
    # In older files nothing tells of special tokens: all are of CLIP.
    special = header.get("special", {"before": 1, "behind": 1, "summary": len(ids) - 1})
    before, behind = _whole(special, "before"), _whole(special, "behind")
    if not before + behind <= len(ids) <= len(embeddings):
        raise ValueError(f"its prompt has {len(ids)} tokens and {len(embeddings)} embeddings")
    summary = None if special["summary"] is None else _whole(special, "summary")
    words = tuple(
        Word(str(word["text"]), _wholes(word, "tokens"), _wholes(word, "core"))
        for word in header["words"]
    )
    own = range(before, len(ids) - behind)
    positions = [at for word in words for at in (*word.tokens, *word.core)]
    if not all(at in own for at in positions) or (summary or 0) >= len(ids):
        raise ValueError("its words lie outside its prompt")
    tokens = Tokens(str(header["prompt"]), ids, words, own.start, own.stop - 1, summary)
    encoder = header.get("encoder", header["model"])  # older files knew one name for both
    return Conditioning(tokens, states, str(encoder))


def _windowing(header: Mapping[str, Any] | None, frames: int) -> Windowing:
    if header is None:  # a file from before there were windows
        return WHOLE_CLIP
    windowing = Windowing(_whole(header, "size"), _whole(header, "stride"), str(header["weights"]))
    windowing.cut(frames)
    return windowing


def _require_numbers(tensor: Tensor, what: str, dimensions: int) -> None:
    if tensor.ndim != dimensions or tensor.dtype != torch.float32 or not tensor.numel():
        raise ValueError(f"its {what} has the shape {tuple(tensor.shape)}, {tensor.dtype}")
    if not tensor.isfinite().all():
        raise ValueError(f"its {what} holds what is not a number")


def _wholes(header: Mapping[str, Any], name: str) -> tuple[int, ...]:
    numbers = header[name]
    if not isinstance(numbers, list) or len(numbers) > MAX_LIST:
        raise ValueError(f"its {name} are no list of at most {MAX_LIST}")
    return tuple(_whole({name: number}, name) for number in numbers)


def _whole(header: Mapping[str, Any], name: str) -> int:
    number = header[name]
    if type(number) is not int or not 0 <= number < 2**31:
        raise ValueError(f"its {name} is {number!r:.60}, which is no whole number, 0 or more")
    return number
