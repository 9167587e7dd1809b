"""DDIM as its paper prints it, in alpha-bar: the slow, obvious reference of models/schedule.py."""

import torch
from torch import Tensor

from evenframe.pipelines.models.noise_schedule import NoiseSchedule


def alpha(schedule: NoiseSchedule, timestep: float) -> Tensor:
    """alpha-bar at a timestep; negative ones mean the clean end."""
    return schedule.alphas_cumprod[max(int(timestep), 0)]


def clean_latents(latents: Tensor, epsilon: Tensor, alpha: Tensor) -> Tensor:
    """x_0 that the noise prediction implies: (x - sqrt(1 - a) eps) / sqrt(a)."""
    return (latents - (1 - alpha).sqrt() * epsilon) / alpha.sqrt()


def noisy_latents(clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """x_t from x_0: sqrt(a) x_0 + sqrt(1 - a) noise."""
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise


def ddim_step(latents: Tensor, epsilon: Tensor, alpha_from: Tensor, alpha_to: Tensor) -> Tensor:
    """Deterministic DDIM step between two noise levels, in either direction (Eq. 12)."""
    return noisy_latents(clean_latents(latents, epsilon, alpha_from), epsilon, alpha_to)


def inverse_step(
    latents: Tensor, output: Tensor, low: Tensor, high: Tensor, prediction: str
) -> Tensor:
    """The latents at `high` from which a DDIM step arrives at these, those of `low`.

    With epsilon the step is its own inverse, read upwards. With v it turns by the angle d between
    the levels, where sqrt(alpha) is the cosine of each: z_low = cos(d) z - sin(d) v.
    """
    if prediction == "epsilon":
        return ddim_step(latents, output, low.to(latents), high.to(latents))
    cosine = (low * high).sqrt() + ((1 - low) * (1 - high)).sqrt()
    sine = (low * (1 - high)).sqrt() - (high * (1 - low)).sqrt()
    return (latents + sine.to(latents) * output) / cosine.to(latents)


def eta_step(
    clean: Tensor, epsilon: Tensor, alpha: Tensor, alpha_next: Tensor, eta: float, noise: Tensor
) -> Tensor:
    """A step with fresh noise (Eq. 12 and 16)."""
    sigma = eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)).sqrt()
    return alpha_next.sqrt() * clean + (1 - alpha_next - sigma**2).sqrt() * epsilon + sigma * noise


def noised_again(latents: Tensor, noise: Tensor, alpha_from: Tensor, alpha_to: Tensor) -> Tensor:
    """Latents at more noise: sqrt(a_to / a_from) x + sqrt(1 - a_to / a_from) noise."""
    kept = alpha_to / alpha_from
    return kept.sqrt() * latents + (1 - kept).sqrt() * torch.as_tensor(noise)
