"""The video miniature in a real ComfyUI server: by its own loaders and sampler, and by our loop.
Skipped, with the reason, without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comfyui_server import ComfyServer
from test_comfyui_wan import theirs
from video_weights import write_weights

from evenframe.benchmarks.unchanged import node
from evenframe.miniature.video.comfyui import NAMES

pytestmark = pytest.mark.slow
PROMPT = "a red circle moving left on a gray background"


@pytest.fixture(scope="module")
def opened(comfyui: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A node that gives its sockets, once it has written its files."""
    folder: Path = write_weights(tmp_path_factory.mktemp("video"))
    nodes = {"own": theirs("ProbeVideoMiniature", folder=str(folder))}
    run = comfyui.run(nodes)
    assert run.outcome == "execution_success", run.of("execution_error")
    assert comfyui.outputs(run)["own"]["text"] == [*NAMES.values()]
    return nodes


def loaded() -> dict[str, Any]:
    """ComfyUI's own loaders of the files."""
    unet, vae = NAMES["diffusion_models"], NAMES["vae"]
    return {
        "unet": theirs("UNETLoader", unet_name=unet, weight_dtype="default"),
        "vae": theirs("VAELoader", vae_name=vae),
    }


def test_ksampler_draws_a_clip(comfyui: ComfyServer, opened: dict[str, Any]) -> None:
    settings = {"seed": 5, "steps": 2, "cfg": 2.5, "sampler_name": "euler", "denoise": 1.0}
    settings |= {"scheduler": "simple", "positive": ["said", 0], "negative": ["nothing", 0]}
    graph = opened | loaded()
    graph |= {
        "said": theirs("CLIPTextEncode", clip=["own", 1], text=PROMPT),
        "nothing": theirs("CLIPTextEncode", clip=["own", 1], text=""),
        "noise": theirs("EmptyHunyuanLatentVideo", width=128, height=128, length=5, batch_size=1),
    }
    graph |= {
        "sampled": theirs("KSampler", model=["unet", 0], latent_image=["noise", 0], **settings),
        "decoded": theirs("VAEDecode", samples=["sampled", 0], vae=["own", 2]),
        "shown": theirs("PreviewImage", images=["decoded", 0]),
    }
    run = comfyui.run(graph, seconds=600)
    assert run.outcome == "execution_success", run.of("execution_error")
    assert len(comfyui.outputs(run)["shown"]["images"]) == 5


def test_our_loop_edits_a_clip(comfyui: ComfyServer, opened: dict[str, Any]) -> None:
    adopted = {"model": ["own", 0], "clip": ["own", 1], "vae": ["vae", 0]}
    inverted = {"steps": 2, "cache_gb": 1, "sample_seed": -1, "check": True}
    linked = ["model", "inversion", "target_prompt"]
    graph = opened | loaded()
    graph |= {
        "model": theirs("EvenframeAdoptModel", **adopted),
        "frames": node("DemoClip", max_frames=5),
        "source_prompt": node("Prompt", "model", text=PROMPT),
        "target_prompt": node("Prompt", "model", text=PROMPT.replace("red", "yellow")),
        "inversion": node("Invert", "model", "frames", "source_prompt", **inverted),
        "fusion": node("AttentionFusion", blend_words="circle"),
        "latents": node("Edit", *linked, controls=["fusion", 0], guidance_scale=3),
        "decoded": node("Decode", "model", "latents"),
        "shown": theirs("PreviewImage", images=["decoded", 0]),
    }
    run = comfyui.run(graph, seconds=600)
    assert run.outcome == "execution_success", run.of("execution_error")
    outputs = comfyui.outputs(run)
    assert outputs["model"]["text"][0].startswith("WAN21_T2V: 640 px, flow")
    assert outputs["target_prompt"]["text"][0].startswith("a[1] yellow[2] circle[3] moving[4]")
    assert len(outputs["shown"]["images"]) == 5
