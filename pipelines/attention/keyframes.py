"""Which frames a frame attends to: spatial-temporal self-attention without new weights.

Source: FateZero (ICCV 2023), section 3.3, and "Tune-A-Video" (ICCV 2023) for [previous, first].
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..common.checks import require_choice
from ..common.errors import EvenframeError
from .sites import KEYFRAME_LAYERS

KeyFrames = tuple[str, ...]
"""Names: own, mid, first, last, all, or a relative offset such as "-1" or "+2"."""

DEFAULT: KeyFrames = ("own", "mid")
SHARED = ("mid", "first", "last", "all")
NAMES = ("own", *SHARED)


@dataclass(frozen=True, eq=False)
class KeyFrameTable:
    """Who looks at whom, and where.

    frames: (f, j) indices of the frames that each frame attends to. width: self-attention does so
    whose tokens are at least so many latents wide; None leaves that to the model's layout. shared:
    whether all frames attend to the same ones.
    """

    frames: Tensor
    width: int | None = None
    shared: bool = False

    @property
    def rows(self) -> Tensor:
        """`frames`, or one row (1, j) of them where all are the same: then their tokens are
        gathered once, and not once for each frame."""
        return self.frames[:1] if self.shared else self.frames


def parse(text: str | Iterable[str | int]) -> KeyFrames:
    """Read "own, mid" or "-1, first" into key-frame names."""
    parts = text.replace(";", ",").split(",") if isinstance(text, str) else [str(p) for p in text]
    names = tuple(part.strip().lower() for part in parts if part.strip())
    require_names(names)
    return names


def require_names(names: KeyFrames) -> None:
    """Raise EvenframeError where there is no name, and for a name that does not exist."""
    if not names:
        raise EvenframeError(f"key frames are empty: name at least one of {_choices()}.")
    for name in names:
        if name not in NAMES and not _is_offset(name):
            raise EvenframeError(f"key frame '{name}' is unknown: use {_choices()}.")


def table(names: KeyFrames, frames: int, layers: str = "auto") -> KeyFrameTable | None:
    """The table of a clip, or None where each frame attends only to itself.

    layers: which of them look at key frames, a name of `sites.KEYFRAME_LAYERS`.
    """
    require_choice("key-frame layers", layers, tuple(KEYFRAME_LAYERS))
    indices = resolve(names, frames)
    if indices is None:
        return None
    shared = all(name in SHARED for name in names)
    return KeyFrameTable(indices, KEYFRAME_LAYERS[layers], shared)


def resolve(names: KeyFrames, frames: int) -> Tensor | None:
    """Frame indices (frames, j) that each frame attends to, or None where that is only itself.

    mid is (frames-1)//2; offsets are clipped to the clip.
    """
    own = torch.arange(frames)
    if names == ("own",) or frames == 1:
        return None
    columns: list[Tensor] = []
    for name in names:
        if name == "all":
            columns.extend(torch.full_like(own, other) for other in range(frames))
        else:
            columns.append(_column(name, own))
    return torch.stack(columns, dim=1)


def closure(names: KeyFrames, frames: int, wanted: int) -> list[int]:
    """The frames that must run for frame `wanted` to come out as in the whole clip."""
    table = resolve(names, frames)
    if table is None:
        return [wanted]
    needed, pending = {wanted}, [wanted]
    while pending:
        for other in table[pending.pop()].tolist():
            if other not in needed:
                needed.add(other)
                pending.append(other)
    return sorted(needed)


def _column(name: str, own: Tensor) -> Tensor:
    last = len(own) - 1
    if name == "own":
        return own
    fixed = {"mid": last // 2, "first": 0, "last": last}
    if name in fixed:
        return torch.full_like(own, fixed[name])
    return (own + int(name)).clamp(0, last)


def _is_offset(name: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,4}", name) is not None


def _choices() -> str:
    return ", ".join(NAMES) + ' or an offset such as "-1"'
