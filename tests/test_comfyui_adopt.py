"""Models adopted from a real ComfyUI server's own nodes. Skipped, with the reason, without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ldm_layout as layout
import pytest
import torch
from comfyui_server import ComfyServer, Run

pytestmark = pytest.mark.slow  # a checkpoint of 0.5 GB, loaded several times


@pytest.fixture(scope="module")
def lora(comfyui: ComfyServer) -> str:
    """A LoRA on one attention projection of the UNet and one layer of the text encoder."""
    from safetensors.torch import save_file

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
    save_file(tensors, folder / "push.safetensors")
    return "push.safetensors"


def workflow(checkpoint: str, lora: str | None = None, skip: int = -1) -> dict[str, Any]:
    """Load, perhaps patch, adopt, and look."""
    model, clip = ["1", 0], ["1", 1]
    nodes: dict[str, Any] = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}}
    }
    if lora:
        nodes["2"] = {
            "class_type": "LoraLoader",
            "inputs": {
                "model": model,
                "clip": clip,
                "lora_name": lora,
                "strength_model": 1.0,
                "strength_clip": 1.0,
            },
        }
        model, clip = ["2", 0], ["2", 1]
    if skip != -1:
        inputs = {"clip": clip, "stop_at_clip_layer": skip}
        nodes["3"] = {"class_type": "CLIPSetLastLayer", "inputs": inputs}
        clip = ["3", 0]
    sockets = {"model": model, "clip": clip, "vae": ["1", 2]}
    nodes["4"] = {"class_type": "EvenframeAdoptModel", "inputs": sockets}
    nodes["5"] = {"class_type": "ProbeAdopted", "inputs": {"adopted": ["4", 0], **sockets}}
    return nodes


def told(comfyui: ComfyServer, nodes: dict[str, Any]) -> dict[str, Any]:
    run = comfyui.run(nodes, seconds=600)
    assert run.outcome == "execution_success", errors(run)
    return json.loads(comfyui.outputs(run)["5"]["text"][0])


def errors(run: Run) -> list[str]:
    return [data["exception_message"] for data in run.of("execution_error")]


def check(seen: dict[str, Any]) -> None:
    """Every parameter shared, also after an unload; and ComfyUI computes the same."""
    assert seen["shared"] == seen["shared_again"] == seen["parameters"] > 600
    assert seen["meta_after_unload"], "unloaded weights are still held"
    assert not seen["held_meanwhile"], "weights in use by ComfyUI's own nodes are held"
    assert seen["same_again"]
    assert seen["unet"] < 1e-4
    assert seen["text"] < 2e-2  # ComfyUI computes the text encoder's fp16 weights in fp32
    assert seen["vae"] < 1e-4


def test_weights_are_shared_and_a_lora_is_part_of_them(
    comfyui: ComfyServer, checkpoint: str, lora: str
) -> None:
    plain = told(comfyui, workflow(checkpoint))
    check(plain)
    patched = told(comfyui, workflow(checkpoint, lora))
    check(patched)
    assert patched["fingerprint"] != plain["fingerprint"]
    assert patched["unet_mean"] != plain["unet_mean"]
    again = told(comfyui, workflow(checkpoint, lora=None, skip=-2))
    check(again)
    assert again["unet_mean"] == plain["unet_mean"], "the LoRA stayed in the shared weights"
    assert again["fingerprint"] != plain["fingerprint"], "clip skip goes unnoticed"


def test_what_is_not_a_weight_is_named(comfyui: ComfyServer, checkpoint: str) -> None:
    nodes = workflow(checkpoint)
    inputs = {"model": ["1", 0], "b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}
    nodes["6"] = {"class_type": "FreeU", "inputs": inputs}
    nodes["4"]["inputs"]["model"] = ["6", 0]
    run = comfyui.run(nodes, seconds=600)
    assert run.outcome == "execution_success", errors(run)
    assert "Not taken over: patches" in comfyui.outputs(run)["4"]["text"][0]


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        (
            "ModelSamplingDiscrete",
            {"sampling": "lcm", "zsnr": False},
            "The MODEL predicts in a way that is not supported",
        ),
        (
            "ModelSamplingDiscrete",
            {"sampling": "eps", "zsnr": True},
            "noise schedule is not Stable Diffusion's own",
        ),
    ],
)
def test_other_ways_of_sampling_are_refused(
    comfyui: ComfyServer, checkpoint: str, node: str, inputs: dict[str, Any], message: str
) -> None:
    nodes = workflow(checkpoint)
    nodes["6"] = {"class_type": node, "inputs": {"model": ["1", 0], **inputs}}
    nodes["4"]["inputs"]["model"] = ["6", 0]
    run = comfyui.run(nodes, seconds=600)
    assert run.outcome == "execution_error"
    assert message in errors(run)[0]


def test_v_prediction_is_adopted_as_such(comfyui: ComfyServer, checkpoint: str) -> None:
    nodes = workflow(checkpoint)
    inputs = {"model": ["1", 0], "sampling": "v_prediction", "zsnr": False}
    nodes["6"] = {"class_type": "ModelSamplingDiscrete", "inputs": inputs}
    nodes["4"]["inputs"]["model"] = ["6", 0]
    run = comfyui.run(nodes, seconds=600)
    assert run.outcome == "execution_success", errors(run)
    assert "v_prediction" in comfyui.outputs(run)["4"]["text"][0]


def test_a_checkpoint_loads_by_our_own_node(comfyui: ComfyServer, checkpoint: str) -> None:
    loaded = {"model": checkpoint, "dtype": "auto", "prediction": "auto"}
    run = comfyui.run(
        {
            "1": {"class_type": "EvenframeLoadModel", "inputs": loaded},
            "2": {
                "class_type": "EvenframePrompt",
                "inputs": {"model": ["1", 0], "text": "a silver jeep"},
            },
            "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 1]}},
        },
        seconds=600,
    )
    assert run.outcome == "execution_success", errors(run)
    assert "512 px, epsilon, float32" in comfyui.outputs(run)["1"]["text"][0]
    assert comfyui.outputs(run)["2"]["text"] == ["a[1] silver[2] jeep[3]"]


def test_a_file_that_is_no_checkpoint_says_so_in_the_server(comfyui: ComfyServer) -> None:
    path: Path = comfyui.base / "models" / "checkpoints" / "lora.safetensors"
    layout.save_checkpoint(path, {"lora_unet_x.lora_up.weight": (4, 4)})
    loaded = {"model": path.name, "dtype": "auto", "prediction": "auto"}
    run = comfyui.run(
        {
            "1": {"class_type": "EvenframeLoadModel", "inputs": loaded},
            "2": {"class_type": "EvenframePrompt", "inputs": {"model": ["1", 0], "text": "a"}},
            "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 1]}},
        }
    )
    assert run.outcome == "execution_error"
    assert errors(run)[0].startswith("'lora.safetensors' is a LoRA, a patch and not a model")
