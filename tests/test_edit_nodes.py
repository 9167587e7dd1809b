"""The nodes around an edit: latents as other nodes of the host take them."""

from __future__ import annotations

import torch

from evenframe.nodes.edit import EvenframeDecode, EvenframeEdit
from evenframe.nodes.host import ModelHandle
from evenframe.pipelines.backbone import Backbone
from evenframe.pipelines.editing import edit
from evenframe.pipelines.inversion import invert
from evenframe.pipelines.stable_diffusion import StableDiffusion


def test_latents_on_the_socket_are_the_autoencoders_own(backbone: StableDiffusion):
    """ComfyUI's VAE Decode takes them; the pack's decoder brings the model's scale back."""
    frames = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    prompt = backbone.encode_prompt("a jeep")
    handle: ModelHandle[Backbone] = ModelHandle(backbone)
    inversion = invert(backbone, frames, prompt, steps=1)
    scaled = edit(backbone, inversion, prompt, guidance_scale=1)
    latents = EvenframeEdit.execute(handle, inversion, prompt, 1.0, 0, 0.0, 0, 0)[0]
    assert torch.equal(latents["samples"], scaled / backbone.vae.config.scaling_factor)
    shown = EvenframeDecode.execute(handle, latents, 1)[0]
    assert torch.allclose(shown, backbone.decode(scaled), atol=1e-4)
