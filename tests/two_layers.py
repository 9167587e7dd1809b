"""As much of a model as controls look at: a self- and a cross-attention of one token a latent."""

from typing import Any

import torch

from evenframe.pipelines.attention.sites import Layout, Site
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.noise_schedule import NoiseSchedule
from evenframe.pipelines.models.stable_diffusion.codec import FrameCodec

SELF, CROSS = Site("a.attn1", "self", 8, 0), Site("a.attn2", "cross", 8, 1)


class TwoLayers:
    """Their denoiser."""

    sites = (SELF, CROSS)
    layout = Layout(control_stride=8, keyframe_stride=8, mask_stride=8)
    device, dtype = torch.device("cpu"), torch.float64


def two_layers() -> Model:
    """A model called "two layers", which predicts nothing."""
    name, nothing = "two layers", None
    denoiser: Any = TwoLayers()
    text: Any = nothing
    schedule = NoiseSchedule(torch.linspace(0.999, 0.01, 1000, dtype=torch.float64))
    return Model(name, name, FrameCodec(name, nothing), text, denoiser, schedule, 128)
