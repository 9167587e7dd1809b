"""Peak signal-to-noise ratio: how close two pictures are, in decibels."""

import math

from torch import Tensor


def psnr(image: Tensor, reference: Tensor) -> float:
    """10 log10(1 / MSE) of pixels in 0..1 of equal shape; infinite where they are equal."""
    error = (image.double() - reference.double()).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)
