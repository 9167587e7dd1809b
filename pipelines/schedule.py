"""The DDIM time grid and its steps, as pure functions of the noise schedule.

Source: "Denoising Diffusion Implicit Models" (Song et al., ICLR 2021), Eq. 12; the inversion is the
same equation read towards more noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .errors import EvenframeError

MAX_STEPS = 1000


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
        """Read a diffusers scheduler configuration (scaled-linear or linear betas)."""
        count = int(config.get("num_train_timesteps", 1000))
        start, end = float(config["beta_start"]), float(config["beta_end"])
        kind = config.get("beta_schedule", "linear")
        if kind == "scaled_linear":
            betas = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
        elif kind == "linear":
            betas = torch.linspace(start, end, count, dtype=torch.float64)
        else:
            raise EvenframeError(
                f"The model's noise schedule '{kind}' is not supported: "
                "use a model with 'scaled_linear' or 'linear' betas."
            )
        prediction = config.get("prediction_type", "epsilon")
        if prediction not in ("epsilon", "v_prediction"):
            raise EvenframeError(
                f"The model predicts '{prediction}', which is not supported: "
                "use a model that predicts 'epsilon' or 'v_prediction'."
            )
        return NoiseSchedule(
            torch.cumprod(1.0 - betas, 0), prediction, int(config.get("steps_offset", 1))
        )

    def alpha(self, timestep: int) -> Tensor:
        """alpha-bar at a timestep; negative timesteps mean the clean end, where it is that of 0."""
        return self.alphas_cumprod[max(timestep, 0)]


@dataclass(frozen=True)
class Grid:
    """The timesteps that a run visits, highest noise first, and the noise level after each.

    Denoising step k goes from `timesteps[k]` to `timesteps[k+1]`; the last one ends at the
    clean end. Inversion step i is denoising step N-1-i walked backwards.
    stride: how far beyond the last timestep the clean end lies.
    """

    timesteps: tuple[int, ...]
    stride: int

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


def ddim_step(latents: Tensor, epsilon: Tensor, alpha_from: Tensor, alpha_to: Tensor) -> Tensor:
    """Deterministic DDIM step (eta 0) between two noise levels, in either direction."""
    return noisy_latents(clean_latents(latents, epsilon, alpha_from), epsilon, alpha_to)


def epsilon_from(prediction: str, output: Tensor, latents: Tensor, alpha: Tensor) -> Tensor:
    """The noise that the model's output stands for ("Progressive Distillation", appendix D)."""
    if prediction == "epsilon":
        return output
    return alpha.sqrt() * output + (1 - alpha).sqrt() * latents
