"""Writes a training run's averaged weights as a diffusers folder, with hashes and model card."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from ..export import FACTS, finish, name_as_published, write_json
from ..tokenizer import save_tokenizer
from . import is_there, weights_dir
from .card import model_card
from .model import FILES
from .sampling import (
    SHIFT,
    initial_noise,
    load,
    load_codec,
    networks_of,
    read_averages,
    sample,
)
from .text import words

LIMIT = 24_000_000
"""Largest size in bytes of all weights together."""
AVERAGES = "averages.safetensors"


def export(run: Path, codec: Path, folder: Path, facts: dict[str, Any] | None = None) -> None:
    """Write the averages of a training's and of a decoder's output folders as a diffusers folder,
    replaced as a whole.

    codec: may also be such an exported folder, whose decoder is kept. facts: further ones for the
    model card (figures, hardware). Raises ValueError where the weights are larger than `LIMIT`.
    """
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    transformer, text = networks_of(*read_averages(run / AVERAGES))
    modules = {
        "transformer": transformer,
        "text_encoder": text,
        "vae": load(codec).codec if is_there(codec) else load_codec(codec / AVERAGES),
    }
    for name, module in modules.items():
        module.half().save_pretrained(partial / name, safe_serialization=True)
    name_as_published(partial / FILES["text_encoder"])
    for name in modules:
        (partial / FILES[name]).chmod(0o644)
    save_tokenizer(partial / "tokenizer", words())
    _write_pipeline(partial)
    finish(partial, folder, LIMIT, _training(run, codec), sample_statistics, model_card, facts)


def _training(run: Path, codec: Path) -> dict[str, Any]:
    """Recipe and counters of the transformer's run, and counters of the decoder's."""
    if is_there(codec):
        decoder = json.loads((codec / FACTS).read_text(encoding="utf-8"))["decoder"]
    else:
        decoder = _told(codec / AVERAGES)
    return {"transformer": _told(run / AVERAGES), "decoder": decoder}


def _told(averages: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(averages, "pt") as file:
        return json.loads((file.metadata() or {}).get("training", "{}"))


def sample_statistics(folder: Path) -> dict[str, Any]:
    """Mean and standard deviation, by latent channel, of five frames drawn from fixed noise: what a
    machine that computes as it should gets again."""
    prompt, seed = "a red circle moving left on a gray background", 5
    latents = sample(load(folder), [prompt], initial_noise([seed], frames=5))
    return {
        "prompt": prompt,
        "seed": seed,
        "mean": [round(value, 3) for value in latents.mean((0, 2, 3, 4)).tolist()],
        "std": [round(value, 3) for value in latents.std((0, 2, 3, 4)).tolist()],
    }


def _write_pipeline(folder: Path) -> None:
    import diffusers
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

    FlowMatchEulerDiscreteScheduler(shift=SHIFT).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "WanPipeline",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }
    write_json(folder / "model_index.json", index)


def main() -> None:
    """``python -m evenframe.miniature.video.export``."""
    parser = argparse.ArgumentParser(description="Write the video miniature's weights.")
    parser.add_argument("--run", type=Path, default=Path(".cache/video/run"))
    parser.add_argument(
        "--codec", type=Path, default=Path(".cache/video/codec"), help="or an exported folder"
    )
    parser.add_argument("--to", type=Path, default=weights_dir())
    parser.add_argument("--facts", type=Path, help="JSON file of further facts for the model card")
    args = parser.parse_args()
    facts = json.loads(args.facts.read_text(encoding="utf-8")) if args.facts else None
    export(args.run, args.codec, args.to, facts)


if __name__ == "__main__":
    main()
