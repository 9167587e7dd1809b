"""A look at an adopted model from inside the server: what it shares, and whether it agrees."""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import comfy.model_management as memory
import torch

from evenframe.nodes.host import host, io

Adopted = io.Custom("EVENFRAME_MODEL")


class ProbeAdopted(io.ComfyNode):
    """Compare an adopted model with the sockets that it was adopted from."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeAdopted",
            category="probe",
            inputs=[
                Adopted.Input("adopted"),
                io.Model.Input("model"),
                io.Clip.Input("clip"),
                io.Vae.Input("vae"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, adopted: Any, model: Any, clip: Any, vae: Any) -> io.NodeOutput:
        backbone = host.load(adopted)
        told: dict[str, Any] = {"fingerprint": backbone.fingerprint}
        told["parameters"], told["shared"] = shared(backbone, adopted.patchers)
        ours = outputs(backbone)
        memory.unload_all_models()
        told["meta_after_unload"] = all(p.is_meta for p in parameters(backbone))
        told["unet"] = distance(ours[0], comfy_unet(model))
        told["text"] = distance(ours[1], clip.encode_from_tokens(clip.tokenize("a cat"))[0])
        told["vae"] = distance(ours[2], vae.decode(torch.ones(1, 4, 8, 8)))
        # ComfyUI has used the same weights by its own patchers meanwhile.
        told["held_meanwhile"] = not all(p.is_meta for p in parameters(backbone))
        again = outputs(host.load(adopted))
        told["same_again"] = all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))
        told["shared_again"] = shared(backbone, adopted.patchers)[1]
        told["unet_mean"] = float(ours[0].abs().mean())
        return io.NodeOutput(ui={"text": [json.dumps(told)]})


def parameters(backbone: Any) -> list[torch.Tensor]:
    modules = (backbone.denoiser.module, backbone.text.module, backbone.codec.module)
    return [p for module in modules for p in module.parameters()]


def shared(backbone: Any, patchers: tuple[Any, ...]) -> tuple[int, int]:
    """Parameters of the adopted model, and how many lie at the address of one of ComfyUI's."""
    theirs = {p.data_ptr() for patcher in patchers for p in patcher.model.parameters()}
    ours = parameters(backbone)
    return len(ours), sum(p.data_ptr() in theirs for p in ours)


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and text states."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(1, 4, 8, 8, generator=generator),
        torch.randn(77, 768, generator=generator),
    )


def outputs(backbone: Any) -> tuple[torch.Tensor, ...]:
    latents, states = inputs()
    prompt = backbone.text.encode("a cat")
    branches = {"edit": replace(prompt, states={"tokens": states})}
    level = backbone.schedule.at(500)
    epsilon = backbone.denoiser.predict(latents, level, branches)["edit"]
    return (
        epsilon,
        prompt.states["tokens"][None],
        backbone.codec.decode(torch.ones(1, 4, 8, 8) * backbone.codec.module.config.scaling_factor),
    )


def comfy_unet(model: Any) -> torch.Tensor:
    memory.load_models_gpu([model], force_full_load=True)
    latents, states = inputs()
    unet = model.model.diffusion_model
    dtype = unet.dtype
    return unet(latents.to(dtype), torch.tensor([500]), context=states[None].to(dtype)).float()


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((ours - theirs.float()).abs().max() / theirs.float().abs().max())
