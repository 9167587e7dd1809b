"""Edits with what a real ComfyUI server's own nodes have loaded. Skipped, with the reason, without
one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ldm_layout as layout
import pytest
import torch
from comfyui_server import ComfyServer, Run
from safetensors.torch import load_file, save_file

from evenframe.benchmarks.unchanged import node

pytestmark = pytest.mark.slow  # a checkpoint of 0.5 GB, loaded several times
SOURCE, TARGET = "a red circle left of a square", "a (blue:1.2) circle left of a square"
LORA = {"lora_name": "push.safetensors", "strength_model": 1.0, "strength_clip": 1.0}


@pytest.fixture(scope="module")
def lora(comfyui: ComfyServer) -> str:
    """A LoRA on one attention projection of the UNet and one layer of the text encoder."""
    sizes = {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v": (768, 320),
        "lora_te_text_model_encoder_layers_0_mlp_fc1": (768, 3072),
    }
    tensors = {}
    for name, (inputs, outputs) in sizes.items():
        tensors[f"{name}.lora_down.weight"] = torch.full((4, inputs), 0.05)
        tensors[f"{name}.lora_up.weight"] = torch.full((outputs, 4), 0.05)
        tensors[f"{name}.alpha"] = torch.tensor(4.0)
    folder = comfyui.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / LORA["lora_name"])
    return "LoraLoader"


def theirs(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node of ComfyUI's own."""
    return {"class_type": kind, "inputs": inputs}


def adopted(checkpoint: str, on: str = "", skip: int = 0, **settings: Any) -> dict[str, Any]:
    """Load, put a node on the MODEL (and CLIP, of a LoRA), and adopt."""
    nodes = {"loaded": theirs("CheckpointLoaderSimple", ckpt_name=checkpoint)}
    model, clip = ["loaded", 0], ["loaded", 1]
    if on:
        also = {"clip": clip} if on == "LoraLoader" else {}
        nodes["on"] = theirs(on, model=model, **also, **settings)
        model, clip = ["on", 0], ["on", 1] if also else clip
    if skip:
        nodes["skip"] = theirs("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=skip)
        clip = ["skip", 0]
    sockets = {"model": model, "clip": clip, "vae": ["loaded", 2]}
    return nodes | {"model": theirs("EvenframeAdoptModel", **sockets)}


def edited(nodes: dict[str, Any], seed: int = 0, **prompt: Any) -> dict[str, Any]:
    """Two steps of an edit with fusion, shown. seed: another one makes ComfyUI do it again."""
    inverted = {"steps": 2, "check": False, "cache_gb": 0}
    linked = ["model", "inversion", "target_prompt", "controls"]
    return nodes | {
        "frames": node("DemoClip", max_frames=2),
        "source_prompt": node("Prompt", "model", text=SOURCE),
        "target_prompt": node("Prompt", "model", text=TARGET, **prompt),
        "inversion": node("Invert", "model", "frames", "source_prompt", **inverted),
        "controls": node("AttentionFusion", blend_words="circle"),
        "latents": node("Edit", *linked, guidance_scale=4.0, seed=seed, preview_every=2),
        "decoded": node("Decode", "model", "latents"),
        "shown": theirs("PreviewImage", images=["decoded", 0]),
        "saved": theirs("SaveLatent", samples=["latents", 0], filename_prefix="adopted"),
    }


def done(comfyui: ComfyServer, nodes: dict[str, Any]) -> dict[str, Any]:
    run = comfyui.run(nodes, seconds=600)
    assert run.outcome == "execution_success", errors(run)
    return comfyui.outputs(run)


def described(comfyui: ComfyServer, nodes: dict[str, Any]) -> str:
    """What Adopt Model says of its model."""
    nodes["shown"] = theirs("PreviewAny", source=["target_prompt", 1])
    nodes["target_prompt"] = node("Prompt", "model", text=TARGET)
    return done(comfyui, nodes)["model"]["text"][0]


def errors(run: Run) -> list[str]:
    return [data["exception_message"] for data in run.of("execution_error")]


def latents(comfyui: ComfyServer, outputs: dict[str, Any], saved: str = "saved") -> torch.Tensor:
    """What an edit ended with."""
    [file] = outputs[saved]["latents"]
    path = comfyui.base / "output" / file["subfolder"] / file["filename"]
    return load_file(path)["latent_tensor"]


def test_what_other_nodes_put_on_a_model_counts(
    comfyui: ComfyServer, checkpoint: str, lora: str
) -> None:
    plain = done(comfyui, edited(adopted(checkpoint)))
    patched = done(comfyui, edited(adopted(checkpoint, lora, **LORA)))
    rescaled = done(comfyui, edited(adopted(checkpoint, "RescaleCFG", multiplier=1.0)))
    own, *others = (latents(comfyui, outputs) for outputs in (plain, patched, rescaled))
    assert min(float((other - own).norm() / own.norm()) for other in others) > 1e-5
    again = done(comfyui, edited(adopted(checkpoint), seed=1))
    assert torch.equal(latents(comfyui, again), own), "something stayed on the MODEL"
    assert plain["target_prompt"]["text"][0].startswith("a[1] blue[2] circle[3]")
    names = [outputs["model"]["text"][0] for outputs in (plain, patched)]
    assert names[0] != names[1], "the LoRA goes unnoticed"
    assert described(comfyui, adopted(checkpoint, skip=-2)) != names[0], "so does clip skip"


def test_controls_go_with_a_checkpoint_to_ksampler(comfyui: ComfyServer, checkpoint: str) -> None:
    """The same prompt without a source, and with controls that hold on to one."""
    model, clip, vae = (["loaded", at] for at in range(3))
    prompts = {"source_prompt": SOURCE, "target_prompt": TARGET, "key_frames": "own, mid"}
    steps = {"seed": 1, "steps": 2, "cfg": 4.0, "sampler_name": "dpmpp_2m", "denoise": 0.7}
    steps |= {"scheduler": "karras", "latent_image": ["encoded", 0], "negative": ["negative", 0]}
    nodes = {
        "loaded": theirs("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "frames": node("DemoClip", max_frames=2),
        "encoded": theirs("VAEEncode", pixels=["frames", 0], vae=vae),
        "negative": theirs("CLIPTextEncode", text="blurry", clip=clip),
        "source": theirs(
            "EvenframeSourceForControls",
            **{"model": model, "clip": clip, "latent": ["encoded", 0], **prompts},
            noise="shared",
            noise_seed=1,
        ),
        "fusion": node("AttentionFusion", blend_words="circle", latent_blend=True),
        "steered": theirs("EvenframeApplyControls", model=["source", 0], controls=["fusion", 0]),
        "plain": theirs("KSampler", model=model, positive=["source", 1], **steps),
        "edited": theirs("KSampler", model=["steered", 0], positive=["source", 1], **steps),
        "saved": theirs("SaveLatent", samples=["edited", 0], filename_prefix="steered"),
        "unsteered": theirs("SaveLatent", samples=["plain", 0], filename_prefix="plain"),
    }
    outputs = done(comfyui, nodes)
    edited, plain = (latents(comfyui, outputs, name) for name in ("saved", "unsteered"))
    assert edited.isfinite().all() and float((edited - plain).norm() / plain.norm()) > 1e-5
    nodes["again"] = theirs("EvenframeApplyControls", model=["steered", 0], controls=["fusion", 0])
    nodes["edited"]["inputs"]["model"] = ["again", 0]
    run = comfyui.run(nodes, seconds=600)
    assert errors(run)[0].startswith("There are controls on the MODEL already: link all into one")


def test_conditioning_of_other_nodes_takes_the_place_of_the_prompts_own(
    comfyui: ComfyServer, checkpoint: str
) -> None:
    nodes = adopted(checkpoint)
    nodes["encoded"] = theirs("CLIPTextEncode", text=TARGET, clip=["loaded", 1])
    given = done(comfyui, edited(nodes, conditioning=["encoded", 0]))
    own = done(comfyui, edited(adopted(checkpoint)))
    assert torch.equal(latents(comfyui, given), latents(comfyui, own))
    nodes["encoded"]["inputs"]["text"] = "a circle " * 60
    run = comfyui.run(edited(nodes, conditioning=["encoded", 0]), seconds=600)
    assert errors(run)[0].startswith("The conditioning has states of the shape (1, 154, 768)")


def test_a_sampling_that_cannot_be_inverted_is_refused(
    comfyui: ComfyServer, checkpoint: str
) -> None:
    sampling = {"sampling": "lcm", "zsnr": False}
    run = comfyui.run(edited(adopted(checkpoint, "ModelSamplingDiscrete", **sampling)), seconds=600)
    assert errors(run)[0].startswith("The MODEL predicts in a way that cannot be inverted (LCM")


def test_v_prediction_is_read_as_such(comfyui: ComfyServer, checkpoint: str) -> None:
    sampling = {"sampling": "v_prediction", "zsnr": True}
    nodes = adopted(checkpoint, "ModelSamplingDiscrete", **sampling)
    assert "v_prediction" in described(comfyui, nodes)


def test_a_checkpoint_loads_by_our_own_node(comfyui: ComfyServer, checkpoint: str) -> None:
    run = comfyui.run(
        {
            "model": node("LoadModel", model=checkpoint),
            "prompt": node("Prompt", "model", text="a silver jeep"),
            "shown": theirs("PreviewAny", source=["prompt", 1]),
        },
        seconds=600,
    )
    assert run.outcome == "execution_success", errors(run)
    assert "512 px, epsilon, float32" in comfyui.outputs(run)["model"]["text"][0]
    assert comfyui.outputs(run)["prompt"]["text"] == ["a[1] silver[2] jeep[3]"]


def test_a_file_that_is_no_checkpoint_says_so_in_the_server(comfyui: ComfyServer) -> None:
    path: Path = comfyui.base / "models" / "checkpoints" / "lora.safetensors"
    layout.save_checkpoint(path, {"lora_unet_x.lora_up.weight": (4, 4)})
    run = comfyui.run(
        {
            "model": node("LoadModel", model=path.name),
            "prompt": node("Prompt", "model", text="a"),
            "shown": theirs("PreviewAny", source=["prompt", 1]),
        }
    )
    assert run.outcome == "execution_error"
    assert errors(run)[0].startswith("'lora.safetensors' is a LoRA, a patch and not a model")
