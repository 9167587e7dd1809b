"""The DDIM time grid and its steps, as pure functions of the noise schedule.

Source: "Denoising Diffusion Implicit Models" (Song et al., ICLR 2021), Eq. 12; the inversion is the
same equation read towards more noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..common.errors import EvenframeError

MAX_STEPS = 1000
MAX_TIMESTEPS = 100_000
"""Noise levels that a model was trained on; all published ones have 1000."""


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise levels that a model was trained on.

    alphas_cumprod: (T,) float64, the share of signal (in power) left at each training timestep.
    prediction: what the model predicts, "epsilon" or "v_prediction".
    steps_offset: added to every timestep of a grid (1 for Stable Diffusion).
    """

    alphas_cumprod: Tensor
    prediction: str = "epsilon"
    steps_offset: int = 1

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "NoiseSchedule":
        """Read a diffusers scheduler configuration (`trained_betas`, or scaled-linear or linear).

        Raises EvenframeError for other schedules and predictions.
        """
        prediction = config.get("prediction_type", "epsilon")
        if prediction not in ("epsilon", "v_prediction"):
            raise EvenframeError(
                f"The model predicts {prediction!r:.60} ('prediction_type' of its "
                "scheduler_config.json), which is not supported: use a model that predicts "
                "'epsilon' or 'v_prediction'."
            )
        alphas = torch.cumprod(1.0 - _betas(config), 0)
        if config.get("rescale_betas_zero_snr"):
            if prediction == "epsilon":
                raise EvenframeError(
                    "The model's noise schedule ends in pure noise ('rescale_betas_zero_snr' of "
                    "its scheduler_config.json), where a prediction of 'epsilon' says nothing of "
                    "the picture: use a model that predicts 'v_prediction'."
                )
            alphas = zero_terminal_snr(alphas)
        offset = _number(config, "steps_offset", 1, 0, len(alphas) - 1)
        return NoiseSchedule(alphas, prediction, int(offset))

    def alpha(self, timestep: int) -> Tensor:
        """alpha-bar at a timestep; negative timesteps mean the clean end, where it is that of 0.

        Raises EvenframeError beyond the last timestep.
        """
        if timestep >= len(self.alphas_cumprod):
            raise EvenframeError(
                f"The timestep {timestep} is beyond the model's noise levels, 0 to "
                f"{len(self.alphas_cumprod) - 1}: invert the clip again with this model."
            )
        return self.alphas_cumprod[max(timestep, 0)]

    def split(self, latents: Tensor, output: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        """(clean latents, noise) that latents of a timestep are made of, by the model's output.

        Source for v: "Progressive Distillation for Fast Sampling of Diffusion Models" (Salimans and
        Ho, ICLR 2022), appendix D.
        """
        alpha = self.alpha(timestep).to(latents)
        if self.prediction == "epsilon":
            return clean_latents(latents, output, alpha), output
        clean = alpha.sqrt() * latents - (1 - alpha).sqrt() * output
        return clean, (1 - alpha).sqrt() * latents + alpha.sqrt() * output

    def mix(self, clean: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """Latents of a timestep, from what they are made of."""
        return noisy_latents(clean, noise, self.alpha(timestep).to(clean))

    def inverse_step(self, latents: Tensor, output: Tensor, arrival: int, timestep: int) -> Tensor:
        """The latents of `timestep` from which a DDIM step arrives at these, those of `arrival`.

        output: the model's, at `timestep`. With epsilon the step is its own inverse, read upwards.
        With v it turns by the angle d between the levels, where sqrt(alpha) is the cosine of each:
        z_arrival = cos(d) z - sin(d) v, which is solved for z.
        """
        low, high = self.alpha(arrival), self.alpha(timestep)
        if self.prediction == "epsilon":
            return ddim_step(latents, output, low.to(latents), high.to(latents))
        cosine = (low * high).sqrt() + ((1 - low) * (1 - high)).sqrt()
        sine = (low * (1 - high)).sqrt() - (high * (1 - low)).sqrt()
        return (latents + sine.to(latents) * output) / cosine.to(latents)


def zero_terminal_snr(alphas: Tensor) -> Tensor:
    """Noise levels stretched until the last one holds no signal; the first one stays.

    alphas: (T,) alpha-bar. Source: "Common Diffusion Noise Schedules and Sample Steps are Flawed"
    (Lin et al., WACV 2024), Algorithm 1.
    """
    signal = alphas.sqrt()
    return ((signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])) ** 2


def _betas(config: Mapping[str, Any]) -> Tensor:
    """The variance that each training timestep adds, (T,) float64."""
    listed = config.get("trained_betas")
    if listed is not None:
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_TIMESTEPS:
            raise _no_number("trained_betas", listed, f"a list of 1 to {MAX_TIMESTEPS} numbers")
        betas = [_number({"trained_betas": beta}, "trained_betas", 0, 0, 1) for beta in listed]
        return torch.tensor(betas, dtype=torch.float64)
    count = int(_number(config, "num_train_timesteps", 1000, 1, MAX_TIMESTEPS))
    start = _number(config, "beta_start", 1e-4, 0, 1)
    end = _number(config, "beta_end", 0.02, 0, 1)
    kind = config.get("beta_schedule", "linear")
    if kind == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    if kind == "linear":
        return torch.linspace(start, end, count, dtype=torch.float64)
    raise EvenframeError(
        f"The model's noise schedule {kind!r:.60} is not supported ('beta_schedule' of its "
        "scheduler_config.json): use a model with 'scaled_linear' or 'linear' betas."
    )


def _number(config: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = config.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise _no_number(name, value, f"a number from {low:g} to {high:g}")
    return value


def _no_number(name: str, value: Any, wanted: str) -> EvenframeError:
    return EvenframeError(
        f"The model's noise schedule has {value!r:.60} as its '{name}', where {wanted} is needed: "
        "download its scheduler_config.json again."
    )


@dataclass(frozen=True)
class Grid:
    """The timesteps that a run visits, highest noise first, and the noise level after each.

    Denoising step k goes from `timesteps[k]` to `timesteps[k+1]`; the last one ends at the
    clean end. Inversion step i is denoising step N-1-i walked backwards.
    stride: how far beyond the last timestep the clean end lies.
    Raises EvenframeError where the timesteps do not fall.
    """

    timesteps: tuple[int, ...]
    stride: int

    def __post_init__(self) -> None:
        falls = all(high > low for high, low in pairwise(self.timesteps))
        if not self.timesteps or not falls or self.timesteps[-1] < 0 or self.stride < 1:
            raise EvenframeError(
                f"The timesteps {self.timesteps} with stride {self.stride} are no way from noise "
                "to a picture: they must fall from step to step and not below 0."
            )

    def __len__(self) -> int:
        return len(self.timesteps)

    def after(self, step: int) -> int:
        """The timestep that denoising step `step` arrives at; negative is the clean end."""
        if step + 1 < len(self.timesteps):
            return self.timesteps[step + 1]
        return self.timesteps[step] - self.stride


def ddim_grid(schedule: NoiseSchedule, steps: int) -> Grid:
    """Evenly spaced timesteps: 981..1 for 50 steps of 1000, 901..1 for 10.

    The published grid, of whole strides, wherever it reaches the noise. 600 whole strides of 1000
    timesteps would end at 600; there the steps are spread over all timesteps instead.
    """
    count = len(schedule.alphas_cumprod)
    limit = min(MAX_STEPS, count)
    if not 1 <= steps <= limit:
        raise EvenframeError(f"steps is {steps}: choose a whole number from 1 to {limit}.")
    stride = count // steps
    span = steps * stride if count - steps * stride < stride else count
    starts = [index * span // steps for index in range(steps)]
    offset = min(schedule.steps_offset, count - 1 - starts[-1])
    return Grid(tuple(start + offset for start in reversed(starts)), stride)


def clean_latents(latents: Tensor, epsilon: Tensor, alpha: Tensor) -> Tensor:
    """x_0 that the noise prediction implies: (x - sqrt(1 - a) eps) / sqrt(a)."""
    return (latents - (1 - alpha).sqrt() * epsilon) / alpha.sqrt()


def noisy_latents(clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """x_t from x_0: sqrt(a) x_0 + sqrt(1 - a) noise."""
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise


def add_noise(latents: Tensor, noise: Tensor, alpha_from: Tensor, alpha_to: Tensor) -> Tensor:
    """Latents at more noise: sqrt(a_to / a_from) x + sqrt(1 - a_to / a_from) noise."""
    kept = alpha_to / alpha_from
    return kept.sqrt() * latents + (1 - kept).sqrt() * noise


def ddim_step(latents: Tensor, epsilon: Tensor, alpha_from: Tensor, alpha_to: Tensor) -> Tensor:
    """Deterministic DDIM step (eta 0) between two noise levels, in either direction."""
    return noisy_latents(clean_latents(latents, epsilon, alpha_from), epsilon, alpha_to)
