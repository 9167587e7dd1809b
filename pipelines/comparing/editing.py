"""One method on one clip: what it makes of it, and how long that takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..attention import keyframes
from ..editing import Settings as EditSettings
from ..editing import edit
from ..source.inversion import Inversion, Settings, invert_clip
from .methods import Method, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ..models.model import Model

OnStep = Callable[[str, int, int], None]
"""Called with what is done, and how many of how many steps are."""


@dataclass(frozen=True)
class Shared:
    """What all methods of a comparison share. keyframes: see the inversion's settings."""

    steps: int = 50
    guidance_scale: float = 7.5
    keyframes: str = "mid"
    seed: int = 0

    def check(self) -> None:
        """Raise EvenframeError for what is out of range."""
        Settings(steps=self.steps, keyframes=keyframes.parse(self.keyframes))
        EditSettings(guidance_scale=self.guidance_scale, seed=self.seed)


@dataclass(frozen=True, eq=False)
class Made:
    """Frames (f, h, w, 3); seconds of making the model ready, inverting, editing and decoding."""

    frames: Tensor
    seconds: float


def unseen(label: str, done: int, total: int) -> None:
    """Nobody looks."""


def make(
    model: Model,
    frames: Tensor,
    task: Task,
    method: Method,
    shared: Shared,
    report: OnStep = unseen,
) -> Made:
    """The clip (f, h, w, 3) edited by a method, from an inversion of its own, so that the times of
    methods can be compared. Raises EvenframeError as its controls do."""
    start = perf_counter()
    controls = method.controls(task)
    ready = method.prepare(model, frames, task)
    inversion = inverted(ready, frames, task, method, shared, report)
    latents = edit(
        ready,
        inversion,
        method.prompt(ready, task),
        controls=controls,
        guidance_scale=shared.guidance_scale,
        seed=shared.seed,
        on_step=lambda step: report("Editing", step.done, step.total),
    )
    result = ready.codec.decode(latents)
    return Made(result, perf_counter() - start)


def inverted(
    model: Model, frames: Tensor, task: Task, method: Method, shared: Shared, report: OnStep
) -> Inversion:
    """The inversion that a method starts from."""
    walk: Mapping[str, Any] = {
        "steps": shared.steps,
        "keyframes": keyframes.parse(shared.keyframes),
        "store": "auto" if method.reads_source else "recompute",
        **method.walk(task),
    }
    return invert_clip(
        model,
        frames,
        model.text.encode(task.source),
        Settings(**walk),
        on_step=lambda step: report("Inverting", step.done, step.total),
    )
