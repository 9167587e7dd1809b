"""The host's noise levels: which schedule a MODEL has, and its scaling of latents."""

# pyright: reportMissingImports=false

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

import comfy.model_sampling as host_sampling

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.flow_schedule import FlowSchedule
from ....pipelines.models.noise_schedule import NoiseSchedule
from ....pipelines.models.schedule import matrix

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.models.schedule import Kind, Level, Schedule

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


def entering(latents: Tensor, level: Level, kind: str) -> tuple[Tensor, float]:
    """(x, sigma): latents of a level as the host scales them.

    Its latents are clean + sigma noise, but those of flow models.
    """
    if kind == "flow":
        return latents, level.noise
    return latents / level.signal, level.noise / level.signal


def output_of(clean: Tensor, latents: Tensor, level: Level, kind: str) -> Tensor:
    """What the model said of latents from which the host made these clean ones: `split` undone."""
    a, b, _, _ = matrix(kind, level)
    return (clean - a * latents) / b


def clean_of(output: Tensor, latents: Tensor, level: Level, kind: str) -> Tensor:
    """The inverse of `output_of`."""
    a, b, _, _ = matrix(kind, level)
    return a * latents + b * output
