"""Pictures and words in one space: CLIP and models of its make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..common.pictures import to_image
from . import judges

if TYPE_CHECKING:
    from .asked import Asked

AT_ONCE = 8
MOST_TOKENS = 77


@dataclass(frozen=True, eq=False)
class Embedder:
    """A model of CLIP's make with its processor. All that it gives has unit length."""

    model: Any
    processor: Any
    asked: Asked

    @property
    def scale(self) -> float:
        """exp(logit scale)."""
        return float(self.model.logit_scale.detach().exp())

    @torch.no_grad()
    def frames(self, frames: Tensor) -> Tensor:
        """(f, d) of frames (f, h, w, 3)."""
        parts = []
        for part in frames.split(AT_ONCE):
            self.asked.on_pass()
            pictures = [to_image(frame) for frame in part]
            given = self.processor(images=pictures, return_tensors="pt").to(self.asked.device)
            parts.append(_unit(self.model.get_image_features(**given)))
        return torch.cat(parts)

    @torch.no_grad()
    def text(self, text: str) -> Tensor:
        """(d,); what does not fit into 77 tokens is left out, as the published scripts do."""
        how = {"padding": True, "truncation": True, "max_length": MOST_TOKENS}
        given = self.processor(text=[text], return_tensors="pt", **how).to(self.asked.device)
        return _unit(self.model.get_text_features(**given))[0]


def load(name: str, asked: Asked) -> Embedder:
    """The judge of this name."""
    return Embedder(*judges.load(name, "CLIPModel", asked), asked)


def _unit(features: Any) -> Tensor:
    """Newer transformers wrap what older ones give as a tensor."""
    plain = features if isinstance(features, Tensor) else features.pooler_output
    return torch.nn.functional.normalize(plain.double().cpu(), dim=-1)
