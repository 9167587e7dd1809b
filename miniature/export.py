"""Writes a training run's averaged weights as a diffusers folder, with hashes and model card."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from . import weights_dir
from .card import model_card
from .integrity import HASHES, hash_folder
from .models import PUBLISHED_PREFIX, SAMPLER
from .sampling import Miniature, initial_noise, load, load_run, sample
from .tokenizer import save_tokenizer

FACTS = "training.json"
LIMIT = 16_000_000
"""Largest size in bytes of all weights together."""


def export(run: Path, folder: Path, facts: dict[str, Any] | None = None) -> None:
    """Write a training's output folder as a diffusers folder, replaced as a whole.

    facts: further ones for the model card (figures, hardware). Raises ValueError where the weights
    are larger than `LIMIT`.
    """
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    snapshot = torch.load(run / "averages.pt", map_location="cpu", weights_only=True)
    _write_modules(load_run(run), partial)
    save_tokenizer(partial / "tokenizer")
    _write_pipeline(partial)
    training = {"recipe": snapshot["recipe"], "size": snapshot["size"], **snapshot["counters"]}
    finish(partial, folder, LIMIT, training, sample_statistics, model_card, facts)


def finish(
    partial: Path,
    folder: Path,
    limit: int,
    training: dict[str, Any],
    statistics: Callable[[Path], dict[str, Any]],
    card: Callable[[dict[str, Any], int, dict[str, Any]], str],
    facts: dict[str, Any] | None = None,
) -> None:
    """Write hashes, facts and model card beside weights, and put all in the place of a folder.

    limit: bytes of all weights, at most; ValueError where they are more. statistics: of a sample
    that the weights draw.
    """
    size = sum(path.stat().st_size for path in partial.rglob("*.safetensors"))
    if size > limit:
        raise ValueError(f"the weights take {size} bytes, more than {limit}")
    write_json(partial / HASHES, hash_folder(partial))
    facts = {"sample": statistics(partial)} | (facts or {})
    write_json(partial / FACTS, training | facts)
    (partial / "README.md").write_text(card(training, size, facts), encoding="utf-8")
    replace_folder(partial, folder)


def sample_statistics(folder: Path) -> dict[str, Any]:
    """Mean and standard deviation, by latent channel, of a picture drawn from fixed noise: what a
    machine that computes as it should gets again."""
    prompt, seed = "a red circle on a gray background", 5
    latents = sample(load(folder), [prompt], initial_noise([seed]))
    means, deviations = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    return {
        "prompt": prompt,
        "seed": seed,
        "mean": [round(value, 4) for value in means.tolist()],
        "std": [round(value, 4) for value in deviations.tolist()],
    }


def _write_modules(model: Miniature, folder: Path) -> None:
    named = ((model.unet, "unet"), (model.text, "text_encoder"), (model.autoencoder, "vae"))
    for module, name in named:
        module.half().save_pretrained(folder / name, safe_serialization=True)
    name_as_published(folder / "text_encoder" / "model.safetensors")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)


def name_as_published(path: Path) -> None:
    """Give each tensor the name that it has in published checkpoints."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    prefix = PUBLISHED_PREFIX
    named = {prefix + name.removeprefix(prefix): value for name, value in tensors.items()}
    save_file(named, path, metadata={"format": "pt"})


def _write_pipeline(folder: Path) -> None:
    import diffusers
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    DDIMScheduler(**SAMPLER).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    write_json(folder / "model_index.json", index)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def replace_folder(partial: Path, folder: Path) -> None:
    """Put a finished folder in the place of the old one."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """``python -m evenframe.miniature.export``."""
    parser = argparse.ArgumentParser(description="Write the miniature's weights.")
    parser.add_argument("--run", type=Path, default=Path(".cache/miniature/run"))
    parser.add_argument("--to", type=Path, default=weights_dir())
    parser.add_argument("--facts", type=Path, help="JSON file of further facts for the model card")
    args = parser.parse_args()
    facts = json.loads(args.facts.read_text(encoding="utf-8")) if args.facts else None
    export(args.run, args.to, facts)


if __name__ == "__main__":
    main()
