"""An inversion for the host's own samplers, at the levels of the edit."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ....pipelines.attention import keyframes as key_frames
from ....pipelines.common.errors import EvenframeError
from ....pipelines.common.memory import free_memory
from ....pipelines.models.listed_schedule import ListedSchedule
from ....pipelines.models.schedule import MAX_STEPS
from ....pipelines.source.inversion import Inversion, climb
from ....pipelines.source.keeper import Keeper, SourcePass
from .attached import attached_to, with_source
from .levels import entering, level_of, scaling_of, schedule_of, time_of

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.walk import OnStep
    from .attached import Attached, Source


@dataclass(frozen=True, eq=False)
class SourceNoise:
    """NOISE with which a sampler over an empty latent starts where an inversion has arrived.

    noise: as the host lays latents out. seed: of what else the sampler may draw.
    """

    noise: Tensor
    seed: int = 0

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Called by the host's sampler. Raises EvenframeError for other latents than empty ones of
        the clip's shape."""
        samples = input_latent["samples"]
        if tuple(samples.shape) != tuple(self.noise.shape) or samples.any():
            raise EvenframeError(
                "The noise of an inversion goes with an empty latent of the clip's size and "
                f"length, {tuple(self.noise.shape)}: link that to latent_image of the sampler "
                f"(this one is {tuple(samples.shape)}, or not empty)."
            )
        return self.noise.clone()


def inverted(
    model: Any, sigmas: Tensor, solver: str, on_step: OnStep, seed: int = 0
) -> tuple[Attached, Inversion, SourceNoise]:
    """The source of a MODEL inverted at an edit's SIGMAS, from the last one to the first: what goes
    with the MODEL from then on, the inversion, and the noise to start with, of this seed.

    Raises EvenframeError for SIGMAS that do not fall, and a MODEL without a source.
    """
    attached = attached_to(model, "Invert for Sampler")
    source, sampling = attached.source, model.get_model_object("model_sampling")
    schedule = schedule_of(sampling)
    steps = [float(sigma) for sigma in sigmas]
    if len(steps) < 2 or any(low >= high for high, low in pairwise(steps)):
        raise EvenframeError(
            "The SIGMAS do not fall from step to step: give those of the edit itself, from a "
            "scheduler, and not flipped; the inversion walks them backwards."
        )
    if len(steps) - 1 > MAX_STEPS:
        raise EvenframeError(
            f"The SIGMAS have {len(steps) - 1} steps, and an inversion keeps the latents of each: "
            f"give at most {MAX_STEPS}."
        )
    steps = steps if steps[-1] == 0 else [*steps, 0.0]
    times = tuple(time_of(sampling, sigma) for sigma in steps)
    _require_apart(sampling, steps, times)
    levels = [level_of(sampling, sigma) for sigma in steps]
    listed = ListedSchedule(scaling_of(sampling), levels)
    own: Any = source.model.denoiser
    bound = replace(own, patcher=model, kind=listed.kind)
    walked = replace(source.model, denoiser=bound, schedule=listed)
    frames = range(len(source.clean))
    keeper = Keeper(walked, "recompute", len(levels) - 1, 1, free_memory)
    table = key_frames.table(source.keyframes, len(frames))
    passes = [SourcePass(frames, source.prompt, table, keeper, solver == "uni-inv")]
    clean = source.clean.to(walked.device)
    trajectory = climb(walked, clean, [*reversed(levels)], passes, on_step=on_step)
    inversion = Inversion(
        trajectory,
        source.prompt,
        times,
        source.keyframes,
        source.model.fingerprint,
        solver=solver,
    )
    followed = replace(source.model, schedule=schedule)
    found = with_source(attached, inversion=inversion, shared=None, model=followed)
    started = starting_noise(source, sampling, steps[0], trajectory[-1])
    return found, inversion, SourceNoise(started, seed)


def _require_apart(sampling: Any, sigmas: Sequence[float], times: Sequence[float]) -> None:
    """Raise EvenframeError for levels beyond those of the model, which are one to it."""
    least, most = float(sampling.sigma_min), float(sampling.sigma_max)
    beyond = [f"{sigma:g}" for sigma in sigmas if sigma and not least <= sigma <= most]
    if any(low >= high for high, low in pairwise(times)):
        raise EvenframeError(
            f"The SIGMAS {', '.join(beyond) or 'of two steps'} are one level to the MODEL, which "
            f"knows {least:g} to {most:g}: give those of a scheduler for this MODEL."
        )


def starting_noise(source: Source, sampling: Any, sigma: float, latents: Tensor) -> Tensor:
    """What a sampler multiplies by its first sigma, or adds more of at the most noise that there
    is, to start with these latents (t, c, h, w)."""
    own: Any = source.model.denoiser
    kind, most = scaling_of(sampling), float(sampling.sigma_max)
    x = own.outward(entering(latents, level_of(sampling, sigma), kind)[0])
    if kind == "flow":
        return x / (sigma * getattr(sampling, "noise_scale", 1.0))
    whole = sigma >= most * (1 - 1e-5)  # the host's max_denoise
    return x / ((1 + sigma**2) ** 0.5 if whole else sigma)
