"""Whether a change of the code left every edit as it was: latents before against latents after.

    python -m evenframe.benchmarks.unchanged record DIR      before the change
    python -m evenframe.benchmarks.unchanged compare DIR     after it

Edits of many kinds run through the nodes, whose names and sockets stay. What an edit does not say
has its node's default: one that changes is a change, too. The models are stored in DIR beside the
latents, so that other weights are none. `compare` prints a row for each edit, the norm of the
difference over that of the latents and its largest value over theirs, and ends with 1 where a norm
is above what `--allow` (1e-5) permits, a thousand times as much in half precision; 0 asks for the
same bits.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..miniature import weights_dir
from ..nodes import node_classes

STEPS, FRAMES = 4, 5
FP32_SHARE = 1e-3
"""Of what half precision may differ."""
SOURCE, TARGET = "a red circle left of a blue square", "a yellow circle left of a blue square"
REGIONS = {
    "version": 1,
    "regions": [
        {"name": "left", "words": "yellow, circle", "box": [0.05, 0.1, 0.5, 0.6], "soften": 4},
        {"name": "right", "words": "blue, square", "box": [0.5, 0.4, 0.95, 0.9]},
    ],
}
SCHEMAS = {schema.node_id: schema for schema in (cls.GET_SCHEMA() for cls in node_classes())}

Settings = Mapping[str, Any]
Controls = dict[str, Settings]
"""Settings by the control's node, each on top of the one before."""


@dataclass(frozen=True)
class Run:
    """An edit: its controls, and what it sets of the other nodes."""

    controls: Controls = field(default_factory=dict)
    model: str = "epsilon"
    dtype: str = "fp32"
    target: str = TARGET
    store: str = "resident"
    windows: Settings | None = None
    fairness: Settings | None = None
    invert: Settings = field(default_factory=dict)
    edit: Settings = field(default_factory=dict)

    def graph(self) -> dict[str, Any]:
        """The workflow, in API format."""
        inverted: dict[str, Any] = {"steps": STEPS, "check": False, "cache_gb": 0, **self.invert}
        windows = {} if self.windows is None else {"windows": node("Windows", **self.windows)}
        store = "recompute" if windows else self.store
        nodes = {
            "model": node("LoadModel", model=self.model, dtype=self.dtype),
            "frames": node("DemoClip", max_frames=FRAMES),
            "regions": node("DrawRegions", "frames", text=json.dumps(REGIONS)),
            "source_prompt": node("Prompt", "model", text=SOURCE),
            "target_prompt": node("Prompt", "model", text=self.target),
            "store": node("AttentionStore", mode=store),
            **windows,
            "inversion": node(
                "Invert", "model", "frames", "source_prompt", "store", *windows, **inverted
            ),
        }
        linked, prompt, under = ["model", "inversion"], "target_prompt", {}
        if self.fairness is not None:
            nodes["fair"] = node("FairnessPrompt", "model", "target_prompt", **self.fairness)
            prompt = "fair"
        for name, settings in self.controls.items():
            drawn = ["regions"] if _has(name, "regions") else []
            nodes[name] = node(name, *drawn, **settings, **under)
            under = {"controls": [name, 0]}
        edited = {"preview_every": 0, "target_prompt": [prompt, 0], **under, **self.edit}
        nodes["latents"] = node("Edit", *linked, **edited)
        nodes["decoded"] = node("Decode", "model", "latents")
        saved = {"filename_prefix": "edit", "frame_rate": 8, "undo_fit": False}
        nodes["save"] = node("SaveVideo", frames=["decoded", 0], **saved)
        return nodes


def node(name: str, *linked: str, **inputs: Any) -> dict[str, Any]:
    """linked: inputs that come from the node of their own name."""
    defaults = {socket.id: getattr(socket, "default", None) for socket in _inputs(name)}
    usual = {socket: value for socket, value in defaults.items() if value is not None}
    links = {socket: [socket, 0] for socket in linked}
    return {"class_type": f"Evenframe{name}", "inputs": usual | links | inputs}


def _inputs(name: str) -> Sequence[Any]:
    return SCHEMAS[f"Evenframe{name}"].inputs


def _has(name: str, wanted: str) -> bool:
    return any(socket.id == wanted for socket in _inputs(name))


def fusion(**settings: Any) -> Controls:
    return {"AttentionFusion": {"blend_words": "red, circle", **settings}}


def preset(name: str, new_words: str = "") -> Controls:
    return {"FusionPreset": {"preset": name, "new_words": new_words, "blend_words": "circle"}}


def refocus(**settings: Any) -> Controls:
    return {"Refocus": {"scale": 5.0, "checkpointing": "off", **settings}}


def joint(**settings: Any) -> Controls:
    return {"JointSampling": settings}


def modulator(**settings: Any) -> Controls:
    return {"SelfModulator": settings}


def reweighter(**settings: Any) -> Controls:
    return {"CrossReweighter": {"words": "yellow", **settings}}


WINDOWS = {"size": 3, "stride": 2}
ADDED = TARGET.replace("square", "square at night")
FREE = {"eta": 0.5, "seed": 3}
OLD = {"attribute": "old", "words": "circle"}
EDITS = {
    "plain": Run(),
    "plain v": Run(model="v"),
    "plain bf16": Run(dtype="bf16"),
    "no guidance": Run(edit={"guidance_scale": 1.0}),
    "unconditional": Run(edit={"guidance_scale": 0.0}),
    "eta": Run(edit=FREE),
    "eta v": Run(model="v", edit=FREE),
    "eta windows": Run(windows=WINDOWS, edit=FREE),
    "late start": Run(edit={"start_step": 2}),
    "sampled latents": Run(invert={"sample_seed": 7}),
    "key frames first": Run(invert={"key_frames": "first"}),
    "key frames -1, first": Run(invert={"key_frames": "-1, first"}),
    "key frames all": Run(invert={"key_frames": "all"}),
    "key frames half": Run(invert={"key_frame_layers": "half"}),
    "windows": Run(windows=WINDOWS),
    "windows uniform": Run(fusion(), windows=WINDOWS | {"weights": "uniform"}),
    "windows v fusion": Run(fusion(), model="v", windows=WINDOWS),
    "fusion": Run(fusion()),
    "fusion v": Run(fusion(), model="v"),
    "fusion bf16": Run(fusion(), dtype="bf16"),
    "fusion recompute": Run(fusion(), store="recompute"),
    "fusion offload": Run(fusion(), store="offload"),
    "fusion replace": Run(fusion(method="replace")),
    "fusion reweight": Run(fusion(method="reweight", weights="yellow: 3")),
    "fusion no blend": Run(fusion(blend_words="", self_blend=False)),
    "fusion latent blend": Run(fusion(latent_blend=True)),
    "fusion target words": Run(fusion(latent_blend=True, target_blend_words="yellow")),
    "fusion added words": Run(fusion(), target=ADDED),
    "preset style": Run(preset("style", "night"), target=ADDED),
    "preset style, strong": Run(preset("style, strong"), target=ADDED),
    "preset attribute": Run(preset("attribute, one word for one")),
    "preset shape, rigid": Run(preset("shape, rigid")),
    "preset shape, free": Run(preset("shape, free")),
    "preset person, close": Run(preset("person, close")),
    "refocus": Run(refocus()),
    "refocus two steps": Run(refocus(end=1.0), invert={"steps": 2}),
    "refocus paper": Run(refocus(rule="paper", scale=1.0)),
    "refocus refine": Run(refocus(refine=True)),
    "refocus v": Run(refocus(), model="v"),
    "refocus checkpointing": Run(refocus(checkpointing="on")),
    "refocus region count": Run(refocus(outer_count="region", smooth=False)),
    "joint": Run(joint()),
    "joint fresh": Run(joint(noise="fresh"), edit={"seed": 5}),
    "joint repeats": Run(joint(repeats=3, inset=1)),
    "joint v": Run(joint(repeats=2), model="v"),
    "refocus joint": Run(refocus() | joint(repeats=2)),
    "refocus joint windows": Run(refocus() | joint(), windows=WINDOWS),
    "modulator": Run(modulator()),
    "modulator additive": Run(modulator(form="additive", schedule="power")),
    "modulator subject": Run(modulator(subject="circle")),
    "reweighter": Run(reweighter()),
    "reweighter spread": Run(reweighter(spread=True, eos=True)),
    "fairness prompt": Run(fairness=OLD),
    "fairness soft padding": Run(fairness=OLD | {"mask": "soft", "eos_scope": "first+padding"}),
    "fairness all": Run(modulator() | reweighter(), fairness=OLD),
    "fairness fusion windows": Run(fusion() | modulator(), windows=WINDOWS, fairness=OLD),
}


def save_models(folder: Path) -> None:
    """The built-in weights as a model of either prediction: of v it draws nothing, but always the
    same."""
    for name, prediction in (("epsilon", "epsilon"), ("v", "v_prediction")):
        shutil.copytree(weights_dir(), folder / name)
        config = folder / name / "scheduler" / "scheduler_config.json"
        settings = json.loads(config.read_text(encoding="utf-8"))
        config.write_text(json.dumps(settings | {"prediction_type": prediction}), encoding="utf-8")


def latents(models: Path, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """The final latents (f, c, h, w) of each edit, or of those that are named."""
    from ..nodes.host import host, workflow
    from ..nodes.host.executor import Executor
    from ..nodes.host.standalone import Session, StandaloneHost

    assert isinstance(host, StandaloneHost)
    torch.set_num_threads(1)  # more of them add up in another order
    with tempfile.TemporaryDirectory() as temp:
        output, scratch, cache = (Path(temp) / name for name in ("output", "temp", "cache"))
        session = Session(models=(models,), output=output, temp=scratch, cache=cache)
        with host.using(session):
            executor = Executor(host, node_classes())
            for name in names or EDITS:
                result = executor.run(workflow.parse(EDITS[name].graph()))
                yield name, result.results["latents"].values[0]["samples"].clone()


def main(arguments: Sequence[str] | None = None) -> int:
    from safetensors.torch import load_file, save_file

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--allow", type=float, default=1e-5, metavar="SHARE")
    parser.add_argument("--only", action="append", choices=EDITS, metavar="NAME")
    options = parser.parse_args(arguments)
    file, models = options.folder / "latents.safetensors", options.folder / "models"
    if options.what == "record":
        save_models(models / "diffusers")
        found = dict(latents(models, options.only))
        save_file(found, file)
        print(f"{len(found)} edits recorded in {file}")
        return 0
    before, worst = load_file(file), 0.0
    for name, after in latents(models, options.only):
        moved, was = after - before[name], before[name]
        change, peak = float(moved.norm() / was.norm()), float(moved.abs().max() / was.abs().max())
        worst = max(worst, change * (1 if EDITS[name].dtype == "fp32" else FP32_SHARE))
        print(f"{name:<28} {f'{change:.2e} {peak:.2e}' if moved.any() else 'equal'}")
    print(
        f"largest: {worst:.2e}, allowed: {options.allow:g}, half precision {1 / FP32_SHARE:g} times"
    )
    return int(worst > options.allow)


if __name__ == "__main__":
    sys.exit(main())
