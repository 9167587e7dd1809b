"""The host's noise levels: which schedule a MODEL has, and its scaling of latents."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import TYPE_CHECKING, Any

import comfy.model_sampling as host_sampling
import torch

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.flow_schedule import FlowSchedule
from ....pipelines.models.noise_schedule import NoiseSchedule
from ....pipelines.models.schedule import Level, matrix

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.models.schedule import Kind, Schedule

ROUNDED = 1e-5
"""Of a sigma: what float32 may have made of one."""
PREDICTIONS: dict[type, Kind] = {
    host_sampling.EPS: "epsilon",
    host_sampling.V_PREDICTION: "v",
    host_sampling.CONST: "flow",
}


def schedule_of(sampling: Any) -> Schedule:
    """The schedule of a MODEL's `model_sampling`.

    Raises EvenframeError for what is neither epsilon, v nor flow, or has other levels than these.
    """
    # The class that says how a prediction is read, not one that it derives from: LCM and others
    # derive from EPS.
    reads = next((c for c in type(sampling).__mro__ if "calculate_denoised" in vars(c)), None)
    prediction = PREDICTIONS.get(reads) if reads is not None else None
    if prediction == "flow" and hasattr(sampling, "shift"):
        if hasattr(sampling, "multiplier"):
            return FlowSchedule(float(sampling.shift), float(sampling.multiplier))
        return FlowSchedule(exp(sampling.shift), 1.0)
    discrete = isinstance(sampling, host_sampling.ModelSamplingDiscrete)
    if prediction in (None, "flow") or not discrete or sampling.sigma_data != 1:
        kind = getattr(reads, "__name__", "unknown")
        raise EvenframeError(
            f"The MODEL predicts in a way that cannot be inverted ({kind}, "
            f"{type(sampling).__mro__[1].__name__}): connect it before any node that changes its "
            "sampling (LCM, EDM), or choose one that predicts epsilon, v or flow."
        )
    sigmas = sampling.sigmas.detach().cpu().double()
    return NoiseSchedule(1 / (1 + sigmas**2), prediction)


def scaling_of(sampling: Any) -> Kind:
    """How a MODEL's latents at a level are scaled, "flow" or as where noise is predicted,
    "epsilon", whatever it does predict (v, or a distilled model's clean latents).

    Raises EvenframeError for others.
    """
    if isinstance(sampling, host_sampling.CONST):
        return "flow"
    if isinstance(sampling, host_sampling.EPS):
        return "epsilon"
    raise EvenframeError(
        f"The MODEL's latents are scaled in a way that controls do not know "
        f"({type(sampling).__mro__[1].__name__}): take away the node that changes its sampling."
    )


def level_of(sampling: Any, sigma: float) -> Level:
    """The level of a sampler's sigma."""
    time = float(sampling.timestep(torch.tensor([max(sigma, 1e-12)]))) if sigma else 0.0
    if scaling_of(sampling) == "flow":
        return Level(time, max(0.0, 1 - sigma), sigma)
    signal = (1 + sigma**2) ** -0.5
    return Level(time, signal, sigma * signal)


def step_at(sigmas: Sequence[float], sigma: float) -> int:
    """The step of a sampler's that a level falls into: of two, the one that begins there."""
    return sum(each >= sigma * (1 - ROUNDED) for each in sigmas[1:-1])


def is_one(low: float, high: float) -> bool:
    """Whether two sigmas of a sampler's are the same level, as `step_at` tells them apart."""
    return low >= high * (1 - ROUNDED)


def time_of(sampling: Any, sigma: float) -> float:
    """A sampler's sigma as a time of `schedule_of`: of trained timesteps also between two."""
    if scaling_of(sampling) == "flow":
        return float(sampling.timestep(torch.tensor(sigma)))
    if sigma == 0:
        return -1.0
    logs = sampling.log_sigmas.detach().cpu().double()
    own = torch.tensor(sigma).double().log().clamp(logs[0], logs[-1])
    above = int(torch.searchsorted(logs, own).clamp(1, len(logs) - 1))
    low, high = logs[above - 1], logs[above]
    return above - 1 + float((own - low) / (high - low))


def entering(latents: Tensor, level: Level, kind: str) -> tuple[Tensor, float]:
    """(x, sigma): latents of a level as the host scales them.

    Its latents are clean + sigma noise, but those of flow models.
    """
    if kind == "flow":
        return latents, level.noise
    return latents / level.signal, level.noise / level.signal


def leaving(x: Tensor, level: Level, kind: str) -> Tensor:
    """The inverse of `entering`: the latents of a level."""
    return x if kind == "flow" else x * level.signal


def output_of(clean: Tensor, latents: Tensor, level: Level, kind: str) -> Tensor:
    """What the model said of latents from which the host made these clean ones: `split` undone."""
    a, b, _, _ = matrix(kind, level)
    return (clean - a * latents) / b


def clean_of(output: Tensor, latents: Tensor, level: Level, kind: str) -> Tensor:
    """The inverse of `output_of`."""
    a, b, _, _ = matrix(kind, level)
    return a * latents + b * output
