"""Structure distance (Tumanyan et al., CVPR 2022): how alike the parts of a frame are to each
other, in the source and in the result, by the keys of DINO's last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import judges

if TYPE_CHECKING:
    from .asked import Asked, Values

NAME = "structure distance"
FORMULAS = {
    NAME: "mean over frames of the MSE of the cosine self-similarities of DINO's last keys, "
    "shorter side 224 (PnP, FiVE)"
}
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def measure(asked: Asked) -> Values:
    """NotMeasured without DINO."""
    model, _ = judges.load("dino", "ViTModel", asked)
    distances = []
    for source, result in zip(asked.source, asked.result, strict=True):
        asked.on_pass()
        one, other = (keys(model, each.to(asked.device)) for each in (source, result))
        distances.append(F.mse_loss(self_similarity(one), self_similarity(other)))
    return {NAME: float(torch.stack(distances).mean())}


@torch.no_grad()
def keys(model: Any, frame: Tensor) -> Tensor:
    """(tokens, width): the last layer's keys of a frame (h, w, 3), all heads side by side."""
    scale = SIDE / min(frame.shape[:2])
    size = [round(scale * side) for side in frame.shape[:2]]
    picture = frame.permute(2, 0, 1)[None]
    picture = F.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False)
    mean, std = (picture.new_tensor(each)[:, None, None] for each in (MEAN, STD))
    kept: list[Tensor] = []
    # "key" until transformers 4, then "k_proj".
    layers = [m for n, m in model.named_modules() if n.endswith((".key", ".k_proj"))]
    hook = layers[-1].register_forward_hook(lambda *told: kept.append(told[-1]))
    try:
        model((picture - mean) / std, interpolate_pos_encoding=True)
    finally:
        hook.remove()
    return kept[0][0]


def self_similarity(tokens: Tensor) -> Tensor:
    """(n, n): the cosine of any two of (n, d)."""
    unit = F.normalize(tokens.double(), dim=-1)
    return unit @ unit.T
