"""The denoising loop with controls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .common.checks import MAX_SEED, require_finite, require_range, require_whole
from .common.memory import FreeMemory, free_memory
from .common.progress import OnPass, OnStep, StepReport, carry_on
from .common.window import in_windows
from .controls.base import Control, Edit, Step, in_turn
from .models.checks import require_model, require_prompt
from .models.schedule import add_noise, noisy_latents
from .source.held import HeldAttention
from .source.store import SourceAttention
from .text.prompt import Prompt

if TYPE_CHECKING:
    from .models.model import Model
    from .source.inversion import Inversion

NOTHING = SourceAttention({}, {})


@torch.no_grad()
def edit(
    backbone: "Model",
    inversion: "Inversion",
    prompt: str | Prompt,
    *,
    negative: str | Prompt = "",
    controls: Iterable[Control] = (),
    guidance_scale: float = 7.5,
    start_step: int = 0,
    eta: float = 0.0,
    seed: int = 0,
    on_step: OnStep | None = None,
    on_pass: OnPass = carry_on,
    free: FreeMemory = free_memory,
) -> Tensor:
    """Denoise an inverted clip under a target prompt.

    A clip that was inverted in windows is edited in the same ones.
    controls: applied in order, to attention as `in_turn` says, see controls/base.py.
    guidance_scale: 0..100; at 1 the target prompt alone, at 0 the negative prompt alone.
    start_step: 0..N-1, denoising steps to skip; the edit starts from the source's latents there.
    eta: 0..1, fresh noise per step (0 is DDIM: the same result for every seed).
    seed: 0 or more, of that noise, and of what a control draws. free: free bytes of a device, for
    controls that decide by it.
    Returns latents (f, c, h, w) float32.
    Raises EvenframeError for values out of range or made by another model.
    """
    require_settings(len(inversion.grid), guidance_scale, start_step, eta, seed)
    target = prompt if isinstance(prompt, Prompt) else backbone.text.encode(prompt)
    against = negative if isinstance(negative, Prompt) else backbone.text.encode(negative)
    require_model(backbone, inversion.model, "inversion")
    require_prompt(backbone, target, "target prompt")
    require_prompt(backbone, against, "negative prompt")
    plan = Edit(
        backbone, inversion, target, seed=seed, controls=tuple(controls), on_pass=on_pass, free=free
    )
    branches = _branches(target, against, guidance_scale)
    windows = [_Window(part, branches, guidance_scale, eta) for part in _parts(plan)]
    return _denoise(plan, windows, start_step, torch.Generator().manual_seed(seed), on_step)


def require_settings(
    steps: int, guidance_scale: float, start_step: int, eta: float, seed: int
) -> None:
    """Raise EvenframeError for numbers that `edit` cannot use with an inversion of these steps."""
    require_range("guidance_scale", guidance_scale, 0, 100)
    require_whole("start_step", start_step, 0, steps - 1)
    require_range("eta", eta, 0, 1)
    require_whole("seed", seed, 0, MAX_SEED)


def _parts(plan: Edit) -> list[Edit]:
    """The edit, or of a clip in windows one for each."""
    inversion, windows = plan.inversion, plan.inversion.windows
    if len(windows) == 1:
        return [plan]
    return [
        replace(plan, inversion=inversion.part(window), window=window, length=inversion.frames)
        for window in windows
    ]


def _denoise(
    plan: Edit,
    windows: Sequence["_Window"],
    start_step: int,
    generator: torch.Generator,
    on_step: OnStep | None,
) -> Tensor:
    backbone, inversion, grid = plan.backbone, plan.inversion, plan.inversion.grid
    latents = inversion.trajectory[len(grid) - start_step].to(backbone.device)
    parts, weights = [window.frames for window in windows], inversion.windowing.weights
    for index in range(start_step, len(grid)):
        for turn in range(windows[0].repeats(index)):
            if turn:
                arrived, start = (
                    backbone.schedule.alpha(timestep).to(latents)
                    for timestep in (grid.after(index), grid.timesteps[index])
                )
                noise = torch.randn(latents.shape, generator=generator).to(latents)
                latents = add_noise(latents, noise, arrived, start)
            noise = windows[0].draw(latents.shape, generator)

            def step(window: int, index=index, latents=latents, noise=noise):
                return windows[window].step(index, latents, noise)

            latents, clean = in_windows(parts, weights, step)
        if on_step is not None:
            on_step(StepReport(index + 1, len(grid), grid.timesteps[index], latents, clean))
    return latents


class _Window:
    """The frames that are denoised at once: of most clips all, else those of one window.

    Its results are averaged with those of the others. A step is linear in its latents and in the
    prediction, so that this averages the predictions, and each window lets go of its source
    attention before the next one begins.
    """

    def __init__(self, plan: Edit, branches: Mapping[str, Tensor], scale: float, eta: float):
        self._plan, self._branches, self._scale, self._eta = plan, branches, scale, eta
        self._runs = [control.begin(plan) for control in plan.controls]
        self._source = plan.inversion.source_attention(plan.backbone)
        if plan.window is None:  # of several windows, all would be held at once: memory would grow
            self._source = HeldAttention(self._source)
        self._table, self._attend = plan.inversion.keyframe_table(), in_turn(self._runs)

    @property
    def frames(self) -> range:
        return self._plan.frames

    def repeats(self, index: int) -> int:
        """How often a step is taken."""
        return max((run.repeats(index) for run in self._runs), default=1)

    def draw(self, shape: Sequence[int], generator: torch.Generator) -> Tensor | None:
        """The fresh noise of one step, for all windows; None where eta wants none."""
        return torch.randn(shape, generator=generator) if self._eta else None

    def step(self, index: int, latents: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """One denoising step: the latents at the next level, and the clean ones it implies.

        latents, noise: (f, c, h, w) of the whole clip.
        """
        self._plan.on_pass()
        backbone, inversion, runs = self._plan.backbone, self._plan.inversion, self._runs
        schedule, grid = backbone.schedule, inversion.grid
        here, timestep = slice(self.frames.start, self.frames.stop), grid.timesteps[index]
        latents = latents[here]
        sites = tuple({site for run in runs for site in run.source_sites(index)})
        step = Step(
            index,
            timestep,
            self._source.at(index, sites) if sites else NOTHING,
            inversion.trajectory[len(grid) - 1 - index].to(latents),
        )
        for run in runs:
            run.prepare(step)
        for run in runs:
            latents = run.guide(latents, step)
        predictions = backbone.denoiser.predict(
            latents, timestep, self._branches, self._table, self._attend
        )
        output = classifier_free(predictions, self._scale)
        clean, epsilon = schedule.split(latents, output, timestep)
        alpha, alpha_next = (schedule.alpha(t).to(latents) for t in (timestep, grid.after(index)))
        fresh = None if noise is None else noise[here].to(latents)
        latents = _arrive(clean, epsilon, alpha, alpha_next, self._eta, fresh)
        require_finite(latents, "edit", index, len(grid), backbone.dtype)
        for run in runs:
            latents = run.settle(latents, step)
        return latents, clean


def classifier_free(predictions: Mapping[str, Tensor], scale: float) -> Tensor:
    """Guided prediction: negative + scale (target - negative), or the one branch that there is.

    The same for noise and for v: at given latents each is linear in the other.
    Source: "Classifier-Free Diffusion Guidance" (Ho and Salimans, 2022), Eq. 6.
    """
    if len(predictions) == 1:
        return next(iter(predictions.values()))
    negative, target = predictions["negative"], predictions["target"]
    return negative + scale * (target - negative)


def _branches(target: Prompt, negative: Prompt, scale: float) -> dict[str, Tensor]:
    """Prompt embeddings of the branches that guidance at this scale needs."""
    both = {"negative": negative.embeddings, "target": target.embeddings}
    unused = {1.0: "negative", 0.0: "target"}.get(scale)
    return {name: states for name, states in both.items() if name != unused}


def _arrive(
    clean: Tensor,
    epsilon: Tensor,
    alpha: Tensor,
    alpha_next: Tensor,
    eta: float,
    noise: Tensor | None,
) -> Tensor:
    """The latents at the next noise level (DDIM, Eq. 12 and 16)."""
    if noise is None:
        return noisy_latents(clean, epsilon, alpha_next)
    sigma = eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)).sqrt()
    return alpha_next.sqrt() * clean + (1 - alpha_next - sigma**2).sqrt() * epsilon + sigma * noise
