"""Whether a change of the code left every edit as it was: latents before against latents after.

    python -m evenframe.benchmarks.unchanged record DIR      before the change
    python -m evenframe.benchmarks.unchanged compare DIR     after it

Edits of many kinds run through the nodes, whose names and sockets stay, on small random models that
are stored in DIR beside the latents: a change of what makes them does not count. `compare` prints a
row for each edit, the largest difference relative to the largest latent, and ends with 1 where one
is above what `--allow` (1e-5) permits; 0 asks for the same bits.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

STEPS = 4
FRAMES = 5
SOURCE, TARGET = "a red circle left of a blue square", "a yellow circle left of a blue square"
REGIONS = {
    "version": 1,
    "regions": [
        {"name": "left", "words": "yellow, circle", "box": [0.05, 0.1, 0.5, 0.6], "soften": 4},
        {"name": "right", "words": "blue, square", "box": [0.5, 0.4, 0.95, 0.9]},
    ],
}

Graph = dict[str, dict[str, Any]]


def node(name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Evenframe{name}", "inputs": inputs}


def graph(
    controls: Mapping[str, dict[str, Any]] | None = None,
    *,
    model: str = "epsilon",
    dtype: str = "fp32",
    target: str = TARGET,
    steps: int = STEPS,
    windows: Mapping[str, Any] | None = None,
    store: str = "resident",
    fairness: Mapping[str, Any] | None = None,
    invert: Mapping[str, Any] | None = None,
    edit: Mapping[str, Any] | None = None,
) -> Graph:
    """One edit in API format. controls: nodes by name, each on top of the one before."""
    frames = {"windows": ["windows", 0]} if windows else {}
    settings = {"key_frames": "own, mid", "check": False, "cache_gb": 0, "sample_seed": -1}
    nodes: Graph = {
        "model": node("LoadModel", model=model, dtype=dtype, prediction="auto"),
        "clip": node("DemoClip", max_frames=FRAMES),
        "regions": node("DrawRegions", frames=["clip", 0], text=json.dumps(REGIONS)),
        "source": node("Prompt", model=["model", 0], text=SOURCE),
        "target": node("Prompt", model=["model", 0], text=target),
        "store": node("AttentionStore", mode="recompute" if windows else store),
        "invert": node(
            "Invert",
            model=["model", 0],
            frames=["clip", 0],
            source_prompt=["source", 0],
            steps=steps,
            store=["store", 0],
            **frames,
            **(settings | dict(invert or {})),
        ),
    }
    if windows:
        nodes["windows"] = node("Windows", **windows)
    wanted = ["target", 0]
    if fairness:
        given = {"preset": "none", "words": "", "strength": 0.5, "mask": "hard"}
        nodes["fairness"] = node(
            "FairnessPrompt",
            model=["model", 0],
            target_prompt=wanted,
            **({"eos_scope": "first"} | given | dict(fairness)),
        )
        wanted = ["fairness", 0]
    chain: dict[str, Any] = {}
    for name, control in (controls or {}).items():
        nodes[name] = {**control, "inputs": {**control["inputs"], **chain}}
        chain = {"controls": [name, 0]}
    usual = {"guidance_scale": 7.5, "start_step": 0, "eta": 0.0, "seed": 0, "preview_every": 0}
    nodes["edit"] = node(
        "Edit",
        model=["model", 0],
        inversion=["invert", 0],
        target_prompt=wanted,
        **chain,
        **(usual | dict(edit or {})),
    )
    nodes["decode"] = node("Decode", model=["model", 0], latents=["edit", 0], slice_size=1)
    saved = {"filename_prefix": "edit", "format": "mp4", "frame_rate": 8, "crf": -1}
    nodes["save"] = node("SaveVideo", frames=["decode", 0], undo_fit=False, **saved)
    return nodes


def fusion(**settings: Any) -> dict[str, dict[str, Any]]:
    usual = {
        "method": "refine",
        "cross_steps": 0.8,
        "self_steps": 0.7,
        "blend_words": "red, circle",
        "threshold": 0.3,
        "weights": "",
        "latent_blend": False,
        "blend_start": 0.2,
        "blend_end": 0.8,
        "self_blend": True,
    }
    return {"fusion": node("AttentionFusion", **(usual | settings))}


def preset(name: str, new_words: str = "") -> dict[str, dict[str, Any]]:
    given = {"new_words": new_words, "blend_words": "circle"}
    return {"fusion": node("FusionPreset", preset=name, **given)}


def refocus(**settings: Any) -> dict[str, dict[str, Any]]:
    usual = {
        "regions": ["regions", 0],
        "scale": 5.0,
        "start": 0.0,
        "end": 0.5,
        "top_fraction": 0.2,
        "refine": False,
        "rule": "code",
        "outer_count": "complement",
        "sharpen": True,
        "smooth": True,
        "checkpointing": "off",
    }
    return {"refocus": node("Refocus", **(usual | settings))}


def joint(**settings: Any) -> dict[str, dict[str, Any]]:
    usual = {"noise": "inversion", "repeats": 1, "repeat_steps": 1.0, "inset": 0}
    return {"joint": node("JointSampling", regions=["regions", 0], **(usual | settings))}


def modulator(**settings: Any) -> dict[str, dict[str, Any]]:
    usual = {
        "strength": 0.5,
        "same": 0.6,
        "other": 0.4,
        "tau": 0.1,
        "frame_decay": 4.0,
        "form": "relative",
        "unit": 4.0,
        "schedule": "constant",
        "start": 0.0,
        "end": 1.0,
        "subject": "",
        "threshold": 0.3,
        "regions": ["regions", 0],
    }
    return {"modulator": node("SelfModulator", **(usual | settings))}


def reweighter(**settings: Any) -> dict[str, dict[str, Any]]:
    usual = {
        "words": "yellow",
        "strength": 0.5,
        "weight": 0.4,
        "eos": False,
        "spread": False,
        "schedule": "constant",
        "start": 0.0,
        "end": 1.0,
        "subject": "",
        "threshold": 0.3,
        "regions": ["regions", 0],
    }
    return {"reweighter": node("CrossReweighter", **(usual | settings))}


def edits() -> dict[str, Graph]:
    """All edits, by name."""
    windows = {"size": 3, "stride": 2, "weights": "triangular"}
    added = TARGET.replace("square", "square at night")
    free, old = {"eta": 0.5, "seed": 3}, {"attribute": "old", "words": "circle"}
    return {
        "plain": graph(),
        "plain v": graph(model="v"),
        "plain bf16": graph(dtype="bf16"),
        "no guidance": graph(edit={"guidance_scale": 1.0}),
        "unconditional": graph(edit={"guidance_scale": 0.0}),
        "eta": graph(edit=free),
        "eta v": graph(model="v", edit=free),
        "eta windows": graph(windows=windows, edit=free),
        "late start": graph(edit={"start_step": 2}),
        "sampled latents": graph(invert={"sample_seed": 7}),
        "key frames first": graph(invert={"key_frames": "first"}),
        "key frames -1, first": graph(invert={"key_frames": "-1, first"}),
        "key frames all": graph(invert={"key_frames": "all"}),
        "key frames half": graph(invert={"key_frame_layers": "half"}),
        "windows": graph(windows=windows),
        "windows uniform": graph(fusion(), windows=windows | {"weights": "uniform"}),
        "windows v fusion": graph(fusion(), model="v", windows=windows),
        "fusion": graph(fusion()),
        "fusion v": graph(fusion(), model="v"),
        "fusion bf16": graph(fusion(), dtype="bf16"),
        "fusion recompute": graph(fusion(), store="recompute"),
        "fusion offload": graph(fusion(), store="offload"),
        "fusion replace": graph(fusion(method="replace")),
        "fusion reweight": graph(fusion(method="reweight", weights="yellow: 3")),
        "fusion no blend": graph(fusion(blend_words="", self_blend=False)),
        "fusion latent blend": graph(fusion(latent_blend=True)),
        "fusion target words": graph(fusion(latent_blend=True, target_blend_words="yellow")),
        "fusion added words": graph(fusion(), target=added),
        "preset style": graph(preset("style", "night"), target=added),
        "preset style, strong": graph(preset("style, strong"), target=added),
        "preset attribute": graph(preset("attribute, one word for one")),
        "preset shape, rigid": graph(preset("shape, rigid")),
        "preset shape, free": graph(preset("shape, free")),
        "preset person, close": graph(preset("person, close")),
        "refocus": graph(refocus()),
        "refocus two steps": graph(refocus(end=1.0), steps=2),
        "refocus paper": graph(refocus(rule="paper", scale=1.0)),
        "refocus refine": graph(refocus(refine=True)),
        "refocus v": graph(refocus(), model="v"),
        "refocus checkpointing": graph(refocus(checkpointing="on")),
        "refocus region count": graph(refocus(outer_count="region", smooth=False)),
        "joint": graph(joint()),
        "joint fresh": graph(joint(noise="fresh"), edit={"seed": 5}),
        "joint repeats": graph(joint(repeats=3, inset=1)),
        "joint v": graph(joint(repeats=2), model="v"),
        "refocus joint": graph(refocus() | joint(repeats=2)),
        "refocus joint windows": graph(refocus() | joint(), windows=windows),
        "modulator": graph(modulator()),
        "modulator additive": graph(modulator(form="additive", schedule="power")),
        "modulator subject": graph(modulator(subject="circle")),
        "reweighter": graph(reweighter()),
        "reweighter spread": graph(reweighter(spread=True, eos=True)),
        "fairness prompt": graph(fairness=old),
        "fairness soft padding": graph(
            fairness=old | {"mask": "soft", "eos_scope": "first+padding"}
        ),
        "fairness all": graph(modulator() | reweighter(), fairness=old),
        "fairness fusion windows": graph(
            fusion() | modulator(),
            windows=windows,
            fairness={"attribute": "old", "words": "circle"},
        ),
    }


def save_models(folder: Path) -> None:
    """Small random models of the layout of Stable Diffusion 1.x, one of each prediction."""
    from ..pipelines.models.stable_diffusion import shipped
    from .models import tiny

    for name, prediction in (("epsilon", "epsilon"), ("v", "v_prediction")):
        model = tiny()
        for part in ("unet", "vae", "text_encoder"):
            getattr(model, part).save_pretrained(folder / name / part)
        shipped.tokenizer("sd15").save_pretrained(folder / name / "tokenizer")
        config = shipped.config("sd15", "scheduler") | {"prediction_type": prediction}
        (folder / name / "scheduler").mkdir()
        (folder / name / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
        shutil.copy(shipped.CONFIGS / "sd15" / "model_index.json", folder / name)


def latents(models: Path, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """The final latents (f, c, h, w) of each edit."""
    import tempfile

    from ..nodes import node_classes
    from ..nodes.host import host, workflow
    from ..nodes.host.executor import Executor
    from ..nodes.host.standalone import Session, StandaloneHost

    assert isinstance(host, StandaloneHost)
    torch.set_num_threads(1)  # more of them add up in another order
    chosen = {name: made for name, made in edits().items() if not names or name in names}
    with tempfile.TemporaryDirectory() as temp:
        session = Session(
            models=(models,),
            output=Path(temp) / "output",
            temp=Path(temp) / "temp",
            cache=Path(temp) / "cache",
        )
        with host.using(session):
            executor = Executor(host, node_classes())
            for name, made in chosen.items():
                result = executor.run(workflow.parse(made))
                yield name, result.results["edit"].values[0]["samples"].clone()


def main(arguments: Sequence[str] | None = None) -> int:
    from safetensors.torch import load_file, save_file

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--allow", type=float, default=1e-5, metavar="SHARE")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    options = parser.parse_args(arguments)
    file = options.folder / "latents.safetensors"
    if options.what == "record":
        save_models(options.folder / "models" / "diffusers")
        found = dict(latents(options.folder / "models", options.only))
        save_file(found, file)
        print(f"{len(found)} edits recorded in {file}")
        return 0
    before, worst = load_file(file), 0.0
    for name, after in latents(options.folder / "models", options.only):
        change = float((after - before[name]).abs().max() / before[name].abs().max())
        worst = max(worst, change)
        print(f"{name:<28} {'equal' if torch.equal(after, before[name]) else f'{change:.2e}'}")
    print(f"largest: {worst:.2e}, allowed: {options.allow:g}")
    return int(worst > options.allow)


if __name__ == "__main__":
    sys.exit(main())
