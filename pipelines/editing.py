"""The denoising loop with controls."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .attention.store import SourceAttention
from .checks import require_finite, require_model
from .controls.base import Control, ControlRun, Edit, Step, in_turn
from .errors import EvenframeError
from .progress import OnStep, StepReport
from .prompt import Prompt
from .schedule import noisy_latents

if TYPE_CHECKING:
    from .backbone import Backbone
    from .inversion import Inversion

NOTHING = SourceAttention({}, {})


@torch.no_grad()
def edit(
    backbone: "Backbone",
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
) -> Tensor:
    """Denoise an inverted clip under a target prompt.

    controls: applied in order, to attention as `in_turn` says, see controls/base.py.
    guidance_scale: 0..100; at 1 the target prompt alone, at 0 the negative prompt alone.
    start_step: 0..N-1, denoising steps to skip; the edit starts from the source's latents there.
    eta: 0..1, fresh noise per step (0 is DDIM: the same result for every seed).
    seed: of that noise. Returns latents (f, c, h, w) float32.
    Raises EvenframeError for values out of range or made by another model.
    """
    target = prompt if isinstance(prompt, Prompt) else backbone.encode_prompt(prompt)
    against = negative if isinstance(negative, Prompt) else backbone.encode_prompt(negative)
    for model, what in (
        (inversion.model, "inversion"),
        (target.model, "target prompt"),
        (against.model, "negative prompt"),
    ):
        require_model(backbone, model, what)
    _require_range("guidance_scale", guidance_scale, 0, 100)
    _require_range("start_step", start_step, 0, len(inversion.grid) - 1)
    _require_range("eta", eta, 0, 1)
    plan = Edit(backbone, inversion, target, seed=seed, controls=tuple(controls))
    runs = [control.begin(plan) for control in plan.controls]
    branches = _branches(target, against, guidance_scale)
    generator = torch.Generator().manual_seed(seed)
    return _denoise(plan, runs, branches, guidance_scale, start_step, eta, generator, on_step)


def _denoise(
    plan: Edit,
    runs: Sequence[ControlRun],
    branches: Mapping[str, Tensor],
    guidance_scale: float,
    start_step: int,
    eta: float,
    generator: torch.Generator,
    on_step: OnStep | None,
) -> Tensor:
    backbone, inversion, grid = plan.backbone, plan.inversion, plan.inversion.grid
    source, table = inversion.source_attention(backbone), inversion.keyframe_table()
    trajectory = inversion.trajectory
    latents = trajectory[len(grid) - start_step].to(backbone.device)
    attend = in_turn(runs)
    for index in range(start_step, len(grid)):
        timestep = grid.timesteps[index]
        sites = tuple({site for run in runs for site in run.source_sites(index)})
        step = Step(
            index,
            timestep,
            source.at(index, sites) if sites else NOTHING,
            trajectory[len(grid) - 1 - index].to(latents),
        )
        for run in runs:
            run.prepare(step)
        for run in runs:
            latents = run.guide(latents, step)
        predictions = backbone.predict(latents, timestep, branches, table, attend)
        output = classifier_free(predictions, guidance_scale)
        clean, noise = backbone.schedule.split(latents, output, timestep)
        alpha = backbone.schedule.alpha(timestep).to(latents)
        alpha_next = backbone.schedule.alpha(grid.after(index)).to(latents)
        latents = _arrive(clean, noise, alpha, alpha_next, eta, generator)
        require_finite(latents, "edit", index, len(grid), backbone.dtype)
        for run in runs:
            latents = run.settle(latents, step)
        # Before the next step's source attention comes: two at once would double what is in flight.
        del step
        if on_step is not None:
            on_step(StepReport(index + 1, len(grid), timestep, latents, clean))
    return latents


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
    generator: torch.Generator,
) -> Tensor:
    """The latents at the next noise level (DDIM, Eq. 12 and 16)."""
    if eta == 0:
        return noisy_latents(clean, epsilon, alpha_next)
    sigma = eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)).sqrt()
    noise = torch.randn(clean.shape, generator=generator).to(clean)
    return alpha_next.sqrt() * clean + (1 - alpha_next - sigma**2).sqrt() * epsilon + sigma * noise


def _require_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise EvenframeError(f"{name} is {value}: choose a value from {low} to {high}.")
