"""Model folders that Tune-A-Video and FateZero write: a UNet that was tuned on a clip, with layers
over frames beside its own.

Both are Stable Diffusion's UNet, whose convolutions are over each frame as ever. So the folder is
read as one of these, and the layers over frames become a `Delta`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...common.errors import EvenframeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..delta import Delta

CLASSES = ("UNet3DConditionModel", "UNetPseudo3DConditionModel")
PIPELINES = (
    "TuneAVideoPipeline",
    "SpatioTemporalStableDiffusionPipeline",
    "DDIMSpatioTemporalStableDiffusionPipeline",
    "P2pDDIMSpatioTemporalPipeline",
)
BLOCKS = ("down_block_types", "up_block_types", "mid_block_type")
RENAMED = {"attn_temporal.": "attn_temp.", "norm_temporal.": "norm_temp."}
"""FateZero's names."""
KNOWN = {
    "temporal_downsample": False,
    "temporal_downsample_time": 0,
    "temporal_attention_position": "after_feedforward",
}
"""What a configuration may say of how frames are taken together and where, if anything."""


def as_2d(config: Mapping[str, Any]) -> dict[str, Any]:
    """A UNet's configuration with the names that its blocks have without layers over frames.

    Raises EvenframeError for layers over frames of another kind.
    """
    if config.get("_class_name") not in CLASSES:
        return dict(config)
    for key, value in KNOWN.items():
        if config.get(key, value) != value:
            raise EvenframeError(
                f"The model's layers over frames are of another kind ('{key}' of its "
                f"unet/config.json is {config[key]!r:.60}): tune one with {value!r} there."
            )
    return {key: _renamed(value) if key in BLOCKS else value for key, value in config.items()}


def _renamed(block: Any) -> Any:
    if isinstance(block, list):
        return [_renamed(each) for each in block]
    if not isinstance(block, str):
        return block
    return block.replace("Pseudo3D", "2D").replace("3D", "2D")


def over_frames_of(
    tensors: dict[str, Tensor], config: Mapping[str, Any], dtype: torch.dtype
) -> Delta | None:
    """The layers over frames of a UNet's tensors, which are taken out of these; None without any.

    config: as `as_2d` gave it. dtype: of the layers. Raises EvenframeError for a folder that should
    have some.
    """
    from ..delta import Delta
    from .over_frames import LAYERS

    if config.get("_class_name") not in CLASSES:
        return None
    added = {}
    for name in list(tensors):
        renamed = name
        for theirs, ours in RENAMED.items():
            renamed = renamed.replace(theirs, ours)
        if LAYERS.search(renamed):
            added[renamed] = tensors.pop(name).to(dtype)
    if not added:
        raise EvenframeError(
            f"The model says that its UNet is a {config['_class_name']}, but it has no layers over "
            "frames (attn_temp, attn_temporal): it is not of Tune-A-Video's or FateZero's."
        )
    return Delta("layers over frames", added=added, norm="clip")
