"""The walk over noise levels that inversions, edits and reconstructions are.

Source: "Denoising Diffusion Implicit Models" (Song et al., ICLR 2021), section 4; for windows over
long clips "MultiDiffusion" (Bar-Tal et al., ICML 2023).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .attention.keyframes import KeyFrameTable
from .attention.processor import Attend
from .attention.terms import as_it_is
from .common.checks import require_finite
from .common.progress import OnPart, Part
from .common.window import merged
from .models.schedule import Level, add_noise, move, split
from .text.conditioning import Conditioning

if TYPE_CHECKING:
    from .models.model import Model


@dataclass(frozen=True, eq=False)
class StepReport:
    """A step that has just ended.

    done, total: steps. level: the one that the model was asked at. latents: (t, c, h, w) after it.
    clean: (t, c, h, w), the clean latents that the step's prediction implies, for previews.
    """

    done: int
    total: int
    level: Level
    latents: Tensor
    clean: Tensor


OnStep = Callable[[StepReport], None]
"""Called after every step; what it raises (an interrupt) ends the walk."""


@dataclass(eq=False)
class Pass:
    """What a walk asks the model about the frames of one window, and does with the answer.

    frames: of the latents, those that are denoised at once. branches: what the model is asked with,
    by name. keyframes: who looks at whom. attend: rewrites its attention.
    """

    frames: range
    branches: Mapping[str, Conditioning]
    keyframes: KeyFrameTable | None = None
    attend: Attend = as_it_is

    @property
    def prompts(self) -> Mapping[str, Conditioning]:
        """All that the model is asked with meanwhile, by branch name."""
        return self.branches

    def ready(self, model: "Model") -> None:
        """Before the steps in which this model is asked, which is ready for them."""

    def done(self) -> None:
        """After them, where others follow: let go of what belongs to that model."""

    def repeats(self, index: int) -> int:
        """How often a step is taken, with noise added again in between."""
        return 1

    def prepare(self, index: int, here: Level, there: Level, latents: Tensor) -> Tensor:
        """The latents (t, c, h, w) that the step leads from, and the model is asked about.

        index: of the step, which leads from `here` to `there`.
        """
        return latents

    def guess(self, here: Level, there: Level, latents: Tensor) -> Tensor:
        """The latents (t, c, h, w) that the model is asked about, where the step does not lead from
        them but from others, those that were prepared."""
        return latents

    def answer(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The output that the step goes by, from those of all branches."""
        [output] = outputs.values()
        return output

    def settle(self, latents: Tensor) -> Tensor:
        """The latents (t, c, h, w) that the step ends with, from those that it reached."""
        return latents


def walk(
    model: "Model",
    levels: Sequence[Level],
    latents: Tensor,
    passes: Sequence[Pass],
    *,
    stage: str,
    first: int = 0,
    total: int | None = None,
    weights: str = "uniform",
    eta: float = 0.0,
    draw: Callable[[Tensor], Tensor] = torch.randn_like,
    on_step: OnStep | None = None,
    on_part: OnPart | None = None,
) -> Tensor:
    """From the first of the levels to the last, up or down; gives the latents (t, c, h, w) there.

    The model is asked at the noisier level of each step. passes: one for each window; where windows
    overlap, what they reach is averaged by their `weights`, see window.py: a step is linear in its
    latents and in the prediction, so this averages the predictions. stage: what an error calls it.
    first, total: number of the first step, and of all. eta: see `ancestral_step`; draw: its noise.
    Raises EvenframeError at the step in which latents stop being numbers.
    """
    total = total or first + len(levels) - 1
    if model.session is not None or model.low_noise is not None:
        given = {"stage": stage, "total": total, "weights": weights, "eta": eta, "draw": draw}
        given |= {"on_step": on_step, "on_part": on_part}
        return _in_sessions(model, levels, latents, passes, first, **given)
    kind, predict, begun = model.schedule.kind, model.denoiser.predict, on_part or _unheard
    for part in passes:
        part.ready(model)
    for index, (here, there) in enumerate(pairwise(levels), first):
        asked, clean = _noisier(here, there), latents
        for turn in range(turns := passes[0].repeats(index)):
            latents = add_noise(latents, draw(latents), there, here) if turn else latents
            fresh, reached = draw(latents) if eta else None, []
            for window, part in enumerate(passes):
                begun(Part(window, len(passes), turn, turns))
                own = slice(part.frames.start, part.frames.stop)
                z = part.prepare(index, here, there, latents[own])
                guess = part.guess(here, there, z)
                out = part.answer(predict(guess, asked, part.branches, part.keyframes, part.attend))
                moved = move(z, out, here, there, kind, eta, None if fresh is None else fresh[own])
                require_finite(moved, stage, index, total, model.dtype)
                said = split(moved if asked is there else z, out, asked, kind)[0]
                reached.append((part.settle(moved), said))
            latents, clean = merged([part.frames for part in passes], weights, reached)
        if on_step is not None:
            on_step(StepReport(index + 1, total, asked, latents, clean))
    return latents


def _in_sessions(
    model: "Model",
    levels: Sequence[Level],
    latents: Tensor,
    passes: Sequence[Pass],
    first: int,
    **settings: Any,
) -> Tensor:
    """The walk of a model that must be made ready: of two experts in turn, each for the steps in a
    row in which it is asked, so that never both are."""
    for expert, steps in model.in_turn([_noisier(*pair) for pair in pairwise(levels)]):
        own = levels[steps.start : steps.stop + 1]
        given = {"latents": latents, "passes": passes, "first": first + steps.start, **settings}
        shape = latents[: len(passes[0].frames)]
        latents = expert.run(passes[0].prompts, shape, partial(walk, levels=own, **given))
        for part in passes:
            part.done()
    return latents


def _unheard(_: Part) -> None:
    """Nobody wants to know."""


def _noisier(here: Level, there: Level) -> Level:
    return max(here, there, key=lambda level: (level.noise, level.time))
