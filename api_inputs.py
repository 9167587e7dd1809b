"""What a notebook gives, read and checked before any work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from .pipelines.common.checks import require_choice
from .pipelines.common.errors import EvenframeError
from .pipelines.common.window import Windowing
from .pipelines.controls.base import Control, require_together
from .pipelines.models.family import PRECISIONS, Prediction
from .pipelines.models.model import Model
from .pipelines.text.conditioning import Conditioning
from .pipelines.text.prompt import parse_weights
from .pipelines.video import Length

DTYPES = PRECISIONS | {name: name for name in PRECISIONS.values()}
NUMBERS = ("max_frames", "skip", "stride", "width", "height", "multiple", "max_side", "pixels")
WORDS = ("new_words", "blend_words", "target_blend_words")
KINDS: dict[str, tuple[Any, str]] = {
    "source": (str, "a text"),
    "target": ((str, Conditioning), "a text"),
    "negative": ((str, Conditioning), 'a text, "" for none'),
    "model": ((str, Path, Model), "a name, a path or a loaded model"),
    "length": (Length, "a Length of evenframe.pipelines.video, as in Length(4)"),
    "windowing": (Windowing, "a Windowing of pipelines.common.window, as in Windowing(16, 8)"),
    "keyframes": ((str, Iterable), "a text, as in 'own, mid'"),
    "weights": ((str, Mapping, Iterable), "a text, as in 'watercolor: 10', or {'watercolor': 10}"),
    **dict.fromkeys(WORDS, ((str, Sequence), "words, with commas between them")),
    **dict.fromkeys(NUMBERS, (Integral, "a whole number")),
}


def require_kinds(given: Mapping[str, Any]) -> None:
    """Raise EvenframeError for the first value of a kind that its name does not take."""
    for name, value in given.items():
        kind, instead = KINDS.get(name, (object, ""))
        if not isinstance(value, kind):
            raise EvenframeError(f"{name} is {value!r:.80}: give {instead}.")


def pixels(clip: Any) -> Tensor:
    """Frames as a tensor. Arrays are copied: torch takes none that run backwards."""
    if isinstance(clip, Tensor):
        return clip
    try:
        return torch.from_numpy(np.array(clip, order="C"))
    except (TypeError, ValueError, RuntimeError) as error:
        raise EvenframeError(
            f"clip is {clip!r:.80}: give the path of a video file, or frames "
            "(frames, height, width, 3), floats in 0..1 or bytes."
        ) from error


def chain(fusion: Sequence[Control], controls: Any) -> tuple[Control, ...]:
    """All controls of an edit, of which one or several or none were given beside the fusion."""
    if controls is None:
        controls = ()
    for each in (given := tuple(controls) if isinstance(controls, Iterable) else (controls,)):
        if not isinstance(each, Control):
            raise EvenframeError(f"controls has {each!r:.80}: give controls, as in [Fusion()].")
    every = (*fusion, *given)
    require_together(every)
    return every


def weighted(weights: Any) -> tuple[tuple[str, float], ...]:
    """Weights of words from a text, a mapping, or pairs."""
    if isinstance(weights, str):
        return parse_weights(weights)
    pairs = weights.items() if isinstance(weights, Mapping) else weights
    try:
        return tuple((word, factor) for word, factor in pairs)
    except (TypeError, ValueError) as error:
        raise EvenframeError(f"weights is {weights!r:.80}: give {KINDS['weights'][1]}.") from error


def loading(model: str | PathLike[str] | Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """How a model is loaded: device, dtype and prediction, as far as they are given."""
    if given and isinstance(model, Model):
        raise EvenframeError(
            f"{', '.join(given)} would do nothing, because the model is loaded already: leave "
            "that out, or give the model by name."
        )
    read = dict(given)
    if "prediction" in read:
        require_choice("prediction", read["prediction"], get_args(Prediction))
    if read.get("dtype") is not None:
        name = str(read["dtype"]).removeprefix("torch.")
        require_choice("dtype", name, tuple(DTYPES))
        read["dtype"] = getattr(torch, DTYPES[name])
    if "device" in read:
        try:
            torch.empty(0, device=read["device"])
        except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise EvenframeError(
                f"device is {read['device']!r}: give one that is here, such as 'cpu' or 'cuda' "
                f"({reason})."
            ) from error
    return read
