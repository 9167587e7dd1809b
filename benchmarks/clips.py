"""Clips of the built-in world, edited in several ways from one inversion and judged from pixels."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..miniature.contact_sheet import save_rows
from ..miniature.scenes import Scene, render
from ..pipelines.models.model import Model
from ..pipelines.source.inversion import Inversion, invert

Array = NDArray[np.float32]
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, eq=False)
class Clip:
    """A task, rendered and inverted.

    seed: of its edits, the same in every arm. task: with `source`, its scene, `item`, which of the
    scene's is edited, and `asked`, into what. frames: (f, 128, 128, 3) in 0..1. inside: (f, 128,
    128), the mask of the item as it was drawn.
    """

    seed: int
    task: Any
    frames: Array
    inside: Array
    inversion: Inversion


def rendered(scene: Scene, frames: int, every: int = 1) -> tuple[Array, Array]:
    """(f, 128, 128, 3) in 0..1, and (items, f, 128, 128): where each of them was drawn."""
    drawn = [render(scene, every * frame) for frame in range(frames)]
    return np.stack([image for image, _ in drawn]), np.stack([masks for _, masks in drawn], 1)


def inverted(
    model: Model, tasks: Iterable[Any], frames: int, steps: int, keyframes: str
) -> Iterator[Clip]:
    """The tasks one by one, ready to be edited."""
    for seed, task in enumerate(tasks):
        pixels, masks = rendered(task.source, frames)
        inversion = invert(
            model,
            torch.from_numpy(pixels),
            task.source.prompt,
            steps=steps,
            keyframes=keyframes,
            store="resident",
        )
        yield Clip(seed, task, pixels, masks[task.item], inversion)


def outcomes(
    made: Iterable[Clip],
    arms: Iterable[str],
    edited: Callable[[Clip, str], Array],
    assess: Callable[[Any, Array, Array, Array], Outcome],
    sheet: Path | None = None,
) -> dict[str, list[Outcome]]:
    """What every arm makes of every clip.

    edited: the frames (f, 128, 128, 3) of a clip in an arm. assess: judges a task by its frames,
    the item's mask and the edited frames. sheet: a picture to write, of the first clips' middle
    frames: the source, then each arm.
    """
    found: dict[str, list[Outcome]] = {arm: [] for arm in arms}
    rows: list[Array] = []
    texts: list[list[str]] = []
    for clip in made:
        results = {arm: edited(clip, arm) for arm in found}
        for arm, result in results.items():
            found[arm].append(assess(clip.task, clip.frames, clip.inside, result))
        middle = len(clip.frames) // 2
        rows.append(np.stack([each[middle] for each in (clip.frames, *results.values())]))
        asked = [f"{arm}: {clip.task.asked}" for arm in found]
        texts.append([clip.task.source.prompt, *asked])
    if sheet is not None:
        save_rows(sheet, rows, texts)
    return found


def psnr_where(edited: Array, source: Array, where: NDArray[np.bool_]) -> float:
    """PSNR in dB of the pixels of a mask (f, h, w), at most 120."""
    error = float(((edited - source) ** 2)[where].mean())
    return -10 * float(np.log10(max(error, 1e-12)))
