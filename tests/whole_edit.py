"""A whole edit as a workflow, with a very small random model that any host can load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tiny_model import tiny

from evenframe.pipelines.models.stable_diffusion import shipped


def save_tiny_model(folder: Path) -> None:
    """A folder in the diffusers layout: Stable Diffusion 1.x, very small, seeded random weights."""
    model = tiny()
    parts = {"unet": model.denoiser, "vae": model.codec, "text_encoder": model.text}
    for name, part in parts.items():
        part.module.save_pretrained(folder / name)
    shipped.tokenizer("sd15").save_pretrained(folder / "tokenizer")
    for name in ("scheduler", "model_index.json"):
        source = shipped.CONFIGS / "sd15" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)


def edit_workflow(target: str = "a blue circle", steps: int = 3, **editor: Any) -> dict[str, Any]:
    """Load, invert, edit with attention fusion, decode and save, in API format."""
    return {
        "model": _node("LoadModel", model="tiny", dtype="fp32", prediction="auto"),
        "clip": _node("DemoClip", max_frames=2),
        "source": _node("Prompt", model=["model", 0], text="a red circle"),
        "target": _node("Prompt", model=["model", 0], text=target),
        "store": _node("AttentionStore", mode="resident"),
        "invert": _node(
            "Invert",
            model=["model", 0],
            frames=["clip", 0],
            source_prompt=["source", 0],
            steps=steps,
            key_frames="own, mid",
            store=["store", 0],
            check=False,
            cache_gb=1,
            sample_seed=-1,
        ),
        "fusion": _node(
            "FusionPreset", preset="attribute, one word for one", new_words="", blend_words=""
        ),
        "edit": _node(
            "Edit",
            model=["model", 0],
            inversion=["invert", 0],
            target_prompt=["target", 0],
            controls=["fusion", 0],
            **{"guidance_scale": 7.5, "start_step": 0, "eta": 0.0, "seed": 0, "preview_every": 1}
            | editor,
        ),
        "decode": _node("Decode", model=["model", 0], latents=["edit", 0], slice_size=1),
        "save": _node(
            "SaveVideo",
            frames=["decode", 0],
            clip=["clip", 1],
            filename_prefix="evenframe/edit",
            format="mp4",
            frame_rate=0.0,
            undo_fit=True,
            crf=-1,
        ),
    }


def _node(name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Evenframe{name}", "inputs": inputs}
