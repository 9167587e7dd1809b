"""A noise mask that holds for a part of a sampler's steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .levels import step_at

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.controls.span import Span


@dataclass(frozen=True)
class MaskedSteps:
    """A `denoise_mask_function` of a MODEL: outside of these steps, all is free.

    earlier: the function that another node has put there, or None.
    """

    span: Span
    earlier: Any = None

    def __call__(self, sigma: Tensor, denoise_mask: Tensor, extra_options: Any) -> Tensor:
        sigmas = extra_options["sigmas"].tolist()
        if step_at(sigmas, float(sigma.max())) not in self.span.steps(len(sigmas) - 1):
            return torch.ones_like(denoise_mask)
        if self.earlier is None:
            return denoise_mask
        return self.earlier(sigma, denoise_mask, extra_options=extra_options)
