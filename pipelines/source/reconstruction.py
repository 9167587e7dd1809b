"""From the inverted noise back to the clip: how good is the inversion?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..attention.keyframes import KeyFrameTable, closure
from ..common.errors import EvenframeError
from ..common.window import merged
from ..measure.psnr import psnr
from ..models.checks import require_model
from ..walk import OnStep, Pass, walk

if TYPE_CHECKING:
    from ..models.model import Model
    from .inversion import Inversion


@torch.no_grad()
def reconstruct(
    model: "Model",
    inversion: "Inversion",
    frame: int | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Denoise the inverted clip under its own prompt at guidance 1.

    frame: only this latent frame, with the key frames it depends on, and of windows in the one
    whose middle is nearest; None for all, each window by itself.
    Returns latents (t, c, h, w) or (1, c, h, w), float32.
    """
    require_model(model, inversion.model, "inversion")
    parts, weights = inversion.windows, inversion.windowing.weights
    if len(parts) > 1:
        if frame is None:
            each = ((reconstruct(model, inversion.part(part), None, on_step),) for part in parts)
            return merged(parts, weights, each)[0]
        window = _nearest(parts, frame)
        inversion, frame = inversion.part(window), frame - window.start
    frames, table, wanted = _selection(inversion, frame)
    prompt = inversion.prompt
    if len(frames) < inversion.latent_frames:  # some of a window's are at no place of the clip's
        prompt = replace(prompt, window=None, length=0)
    source = Pass(range(len(frames)), {"source": prompt}, table)
    start = inversion.trajectory[-1][frames].to(model.device)
    levels = inversion.levels(model.schedule)
    latents = walk(model, levels, start, [source], stage="reconstruction", on_step=on_step)
    return latents if wanted is None else latents[wanted : wanted + 1]


def checked(model: "Model", inversion: "Inversion", on_step: OnStep | None = None) -> "Inversion":
    """The inversion with one frame rebuilt, which tells how good it is: see `compare`."""
    rebuilt = reconstruct(model, inversion, shown_frame(model, inversion), on_step)
    return replace(inversion, rebuilt=rebuilt.cpu())


def compare(model: "Model", inversion: "Inversion", frames: Tensor) -> tuple[Tensor, float]:
    """The clip's `shown_frame` beside the rebuilt one of a checked inversion, and the PSNR.

    frames: (f, h, w, 3), the clip that was inverted.
    Returns ((1, h, 2w, 3) float32 on the CPU, decibels).
    """
    if inversion.rebuilt is None:
        raise EvenframeError("The inversion was not checked: call reconstruction.checked first.")
    rebuilt = model.codec.decode(inversion.rebuilt)[0]
    source = frames[shown_frame(model, inversion)].cpu().float()
    return torch.cat([source, rebuilt], dim=1)[None], psnr(rebuilt, source)


def shown_frame(model: "Model", inversion: "Inversion") -> int:
    """The frame that previews show, by its place in the clip and in the latents: the middle one,
    (f-1)//2; where a latent holds several frames the first, which alone is decoded as in the clip.
    """
    return 0 if model.codec.time_stride > 1 else (inversion.latent_frames - 1) // 2


def _nearest(windows: Sequence[range], frame: int) -> range:
    """The window whose middle is nearest to a frame."""
    return min(windows, key=lambda window: abs(window.start + window.stop - 1 - 2 * frame))


def _selection(
    inversion: "Inversion", frame: int | None
) -> tuple[list[int], KeyFrameTable | None, int | None]:
    """Frames to run, their key-frame table among themselves, and where the wanted one is."""
    table = inversion.keyframe_table()
    # What a host's prompt carries may be for each frame: none of them is left out.
    if frame is None or inversion.prompt.host is not None:
        return list(range(inversion.latent_frames)), table, frame
    frames = closure(inversion.keyframes, inversion.latent_frames, frame)
    wanted = frames.index(frame)
    if table is None:
        return frames, None, wanted
    places = [[frames.index(other) for other in table.frames[own].tolist()] for own in frames]
    return frames, replace(table, frames=torch.tensor(places)), wanted
