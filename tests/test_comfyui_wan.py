"""Edits on a Wan that a real ComfyUI server's own nodes have loaded. Skipped, with the reason,
without one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from comfyui_server import ComfyServer, Run, wait_for
from safetensors.torch import load_file

from evenframe.benchmarks.unchanged import node
from evenframe.pipelines.video import load
from example_workflows import EXPERTS, OWN_WAN, ROOT, WAN, light, provide_files

pytestmark = pytest.mark.slow
REGIONS = {
    "version": 1,
    "regions": [{"name": "left", "words": "yellow, circle", "box": [0.05, 0.1, 0.5, 0.6]}],
}


def theirs(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node of ComfyUI's own, or of the probe pack."""
    return {"class_type": kind, "inputs": inputs}


def edited(frames: int, file: str, **vae: Any) -> dict[str, Any]:
    """Two steps of an edit with fusion, RAD, IRJS and FAME, previewed and decoded."""
    adopted = {"model": ["unet", 0], "clip": ["clip", 0], "vae": ["vae", 0]}
    inverted = {"steps": 2, "cache_gb": 1, "sample_seed": -1, "check": True}
    linked = ["model", "inversion", "target_prompt"]
    return {
        "unet": theirs("UNETLoader", unet_name=file, weight_dtype="default"),
        "clip": theirs("ProbeClip"),
        "vae": theirs("VAELoader", vae_name=file),
        "model": theirs("EvenframeAdoptModel", **adopted),
        "frames": node("DemoClip", max_frames=frames),
        "source_prompt": node("Prompt", "model", text="a red circle left of a square"),
        "target_prompt": node("Prompt", "model", text="a yellow circle left of a square"),
        "inversion": node("Invert", "model", "frames", "source_prompt", **inverted),
        "regions": node("DrawRegions", "frames", text=json.dumps(REGIONS)),
        "fusion": node("AttentionFusion", blend_words="circle"),
        "rad": node("Refocus", "regions", controls=["fusion", 0]),
        "irjs": node("JointSampling", "regions", controls=["rad", 0]),
        "fame": node("CrossReweighter", "regions", words="yellow", controls=["irjs", 0]),
        "latents": node("Edit", *linked, controls=["fame", 0], guidance_scale=3, preview_every=1),
        "decoded": node("Decode", "model", "latents"),
        "shown": theirs("PreviewImage", images=["decoded", 0]),
    }


@pytest.fixture(scope="module")
def wan(comfyui: ComfyServer) -> str:
    """The name of its files."""
    run = comfyui.run({"1": theirs("ProbeWanFiles")})
    return comfyui.outputs(run)["1"]["text"][0]


def test_every_control_edits_a_clip_of_wan(comfyui: ComfyServer, wan: str) -> None:
    run = comfyui.run(edited(9, wan), seconds=600)
    assert run.outcome == "execution_success", run.of("execution_error")
    outputs = comfyui.outputs(run)
    assert outputs["model"]["text"][0].startswith("WAN21_T2V: 640 px, flow")
    assert len(outputs["shown"]["images"]) == 9
    assert outputs["target_prompt"]["text"][0] == (
        "a[0] yellow[1] circle[2] left[3] of[4] a[5] square[6]"
    )


def sampled(file: str) -> dict[str, Any]:
    """ComfyUI's own text to video, with a clip, a source and controls put in: once by KSampler over
    an empty latent, once by SamplerCustomAdvanced from an inversion."""
    encoded = {"clip": ["clip", 0], "text": "blurry"}
    empty = {"width": 128, "height": 128, "length": 9, "batch_size": 1}
    prompts = {"source_prompt": "a red circle", "target_prompt": "a yellow circle"}
    drawn = {"regions": [{"name": "it", "words": "yellow", "box": [0.25, 0.25, 0.75, 0.75]}]}
    given = {"model": ["steered", 0], "positive": ["source", 1], "negative": ["negative", 0]}
    ends = {"guider": ["guider", 0], "sampler": ["euler", 0], "sigmas": ["sigmas", 0]}
    return {
        "unet": theirs("UNETLoader", unet_name=file, weight_dtype="default"),
        "clip": theirs("ProbeClip"),
        "vae": theirs("VAELoader", vae_name=file),
        "negative": theirs("CLIPTextEncode", **encoded),
        "empty": theirs("EmptyHunyuanLatentVideo", **empty),
        "frames": node("DemoClip", max_frames=9),
        "encoded": theirs("VAEEncode", pixels=["frames", 0], vae=["vae", 0]),
        "source": theirs(
            "EvenframeSourceForControls",
            model=["unet", 0],
            clip=["clip", 0],
            latent=["encoded", 0],
            **{"noise": "sampler", "noise_seed": 0, **prompts},
        ),
        "regions": node("DrawRegions", "frames", text=json.dumps({"version": 1, **drawn})),
        "fusion": node("AttentionFusion"),
        "irjs": node("JointSampling", "regions", controls=["fusion", 0]),
        "steered": theirs("EvenframeApplyControls", model=["source", 0], controls=["irjs", 0]),
        "sampled": theirs(
            "KSampler",
            seed=5,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            denoise=1.0,
            **{"scheduler": "simple", "latent_image": ["empty", 0], **given},
        ),
        "sigmas": theirs(
            "BasicScheduler", model=["unet", 0], scheduler="simple", steps=2, denoise=1.0
        ),
        "inverted": theirs(
            "EvenframeInvertForSampler", model=["source", 0], sigmas=["sigmas", 0], solver="ddim"
        ),
        "guided": theirs("EvenframeSourceGuidance", model=["inverted", 0], strength=0.5),
        "steered_too": theirs("EvenframeApplyControls", model=["guided", 0], controls=["irjs", 0]),
        "guider": theirs("CFGGuider", **{**given, "model": ["steered_too", 0], "cfg": 2.0}),
        "select": theirs("KSamplerSelect", sampler_name="euler"),
        "euler": theirs("EvenframeRefocusSampler", sampler=["select", 0]),
        "advanced": theirs(
            "SamplerCustomAdvanced", noise=["inverted", 2], latent_image=["empty", 0], **ends
        ),
        **{
            f"save_{name}": theirs("SaveLatent", samples=[name, 0], filename_prefix=name)
            for name in ("encoded", "sampled", "advanced")
        },
    }


def test_controls_go_with_a_model_to_comfyuis_own_samplers(comfyui: ComfyServer, wan: str) -> None:
    run = comfyui.run(sampled(wan), seconds=600)
    assert run.outcome == "execution_success", run.of("execution_error")
    outputs, found = comfyui.outputs(run), {}
    for name in ("encoded", "sampled", "advanced"):
        [saved] = outputs[f"save_{name}"]["latents"]
        path = comfyui.base / "output" / saved["subfolder"] / saved["filename"]
        found[name] = load_file(path)["latent_tensor"]
    clip = found["encoded"]
    for name in ("sampled", "advanced"):
        kept = (found[name] - clip).abs()
        assert found[name].shape == clip.shape == (1, 16, 3, 16, 16)
        assert kept[..., :4, :].max() < 1e-3 < kept[..., 4:12, 4:12].mean(), name


def test_one_model_goes_to_two_samplers_after_one_that_was_interrupted(
    comfyui: ComfyServer, wan: str
) -> None:
    """With different controls in one graph, each as if it were alone."""
    graph = sampled(wan)
    for name in ("advanced", "encoded"):
        graph.pop(f"save_{name}")
    alone = graph | {"save_sampled": theirs("SaveLatent", samples=["sampled", 0], **named("alone"))}
    few = {**graph["sampled"]["inputs"], "model": ["fused", 0]}
    both = alone | {
        "fused": theirs("EvenframeApplyControls", model=["source", 0], controls=["fusion", 0]),
        "other": theirs("KSampler", **few),
        "save_other": theirs("SaveLatent", samples=["other", 0], **named("other")),
    }
    long = both | {"other": theirs("KSampler", **{**few, "steps": 900})}
    run = comfyui.queue(long)
    wait_for(lambda: [data for data in run.of("progress") if data["node"] == "other"])
    comfyui.interrupt()
    assert run.ended.wait(60) and run.outcome == "execution_interrupted"
    for nodes, prefix in ((both, "both"), (alone, "alone")):
        nodes["save_sampled"]["inputs"]["filename_prefix"] = prefix
        comfyui.post("/free", {"free_memory": True})  # so that nothing is taken from before
        run = comfyui.run(nodes, seconds=600)
        assert run.outcome == "execution_success", run.of("execution_error")
    found = {name: latents(comfyui, name) for name in ("both", "alone", "other")}
    assert torch.equal(found["both"], found["alone"])
    assert not torch.equal(found["other"], found["both"])


def named(prefix: str) -> dict[str, str]:
    return {"filename_prefix": prefix}


def latents(comfyui: ComfyServer, prefix: str) -> torch.Tensor:
    """The last that was saved."""
    return load_file(max((comfyui.base / "output").glob(f"{prefix}_*.latent")))["latent_tensor"]


def test_frames_that_wan_does_not_take_are_refused_with_those_that_it_does(
    comfyui: ComfyServer, wan: str
) -> None:
    run = comfyui.run(edited(8, wan), seconds=600)
    [error] = [data["exception_message"] for data in run.of("execution_error")]
    assert "has 8 frames" in error and "choose 5 or 9 of them" in error


def test_a_vae_of_another_kind_is_refused(comfyui: ComfyServer, wan: str, checkpoint: str) -> None:
    nodes = edited(9, wan)
    nodes["vae"] = theirs("CheckpointLoaderSimple", ckpt_name=checkpoint)
    nodes["model"]["inputs"]["vae"] = ["vae", 2]
    run = comfyui.run(nodes, seconds=600)
    [error] = [data["exception_message"] for data in run.of("execution_error")]
    assert error.startswith(
        "The VAE makes latents of 4 channels, of single frames, but 'WAN21_T2V'"
    )


def recipe(comfyui: ComfyServer, wan: str, name: str) -> dict[str, Any]:
    """With the small model, and a clip of five frames."""
    graph = light(ROOT / "examples_workflows" / "api" / f"{name}.json")
    by_class = {each["class_type"]: each for each in graph.values()}
    for each in graph.values():
        each["inputs"] |= dict.fromkeys({"unet_name", "vae_name"} & each["inputs"].keys(), wan)
        for at in ("start_at_step", "end_at_step"):  # the second of two steps, for the other expert
            each["inputs"] |= {at: 1} if each["inputs"].get(at) == 10 else {}
    by_class["CLIPLoader"] |= theirs("ProbeClip")
    by_class["EvenframeLoadVideo"]["inputs"] |= {"max_frames": 5, "width": 96, "height": 64}
    by_class["EvenframeLoadVideo"]["inputs"]["file"] = "wan.mp4"  # other recipes make a clip.mp4
    provide_files(graph, comfyui.base / "input", comfyui.base / "output")
    return graph


def require_videos(comfyui: ComfyServer, run: Run) -> None:
    """The edit of a recipe, and the comparison."""
    assert run.outcome == "execution_success", run.of("execution_error")
    videos = [file for file in comfyui.files(run) if file.suffix == ".mp4"]
    assert [load(file).frames.shape for file in sorted(videos)] == [
        (5, 96, 130, 3),  # brought back to the size of the file
        (5, 64, 192, 3),
    ]


@pytest.mark.parametrize("experts", [1, 2])
def test_the_recipe_runs_with_one_expert_and_with_two(
    comfyui: ComfyServer, wan: str, experts: int
) -> None:
    graph = recipe(comfyui, wan, WAN)
    by_class = {each["class_type"]: each for each in graph.values()}
    by_class["EvenframeEdit"]["inputs"]["start_step"] = 0
    if experts == 2:
        graph["low"] = theirs("UNETLoader", unet_name=wan, weight_dtype="fp8_e4m3fn")
        by_class["EvenframeAdoptModel"]["inputs"]["low_noise_model"] = ["low", 0]
        by_class["EvenframeAdoptModel"]["inputs"]["switch_at"] = 0.95  # of two steps the second
    run = comfyui.run(graph, seconds=600)
    require_videos(comfyui, run)
    [told] = [each["text"][0] for each in comfyui.outputs(run).values() if "flow," in str(each)]
    assert ("two experts that switch at 0.95" in told) == (experts == 2)


@pytest.mark.parametrize("name", [OWN_WAN, EXPERTS])
def test_a_recipe_of_an_own_sampler_runs(comfyui: ComfyServer, wan: str, name: str) -> None:
    require_videos(comfyui, comfyui.run(recipe(comfyui, wan, name), seconds=600))
