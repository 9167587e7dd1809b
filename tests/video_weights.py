"""Weights of the video miniature that nobody has trained, exported as trained ones are."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from evenframe.miniature.latents import load_latent_map
from evenframe.miniature.video.codec import (
    make_codec,
    write_linear_encoder,
    write_simple_decoder,
)
from evenframe.miniature.video.export import AVERAGES, export
from evenframe.miniature.video.text import start_text_encoder
from evenframe.miniature.video.transformer import Width, make_transformer

WIDTH = Width(heads=1, layers=1)


def write_weights(folder: Path) -> Path:
    """Export them into a new folder of this one; returns it."""
    run, codec = folder / "run", folder / "codec"
    weights, random = {}, torch.Generator().manual_seed(0)
    for part, module in (
        ("transformer", make_transformer(WIDTH)),
        ("text_encoder", start_text_encoder()),
    ):
        for name, value in module.state_dict().items():  # a copy of its input would tell little
            apart = 0.03 * torch.randn(value.shape, generator=random)
            weights[f"{part}.{name}"] = (value + apart * (part == "transformer")).half()
    run.mkdir()
    save_file(weights, run / AVERAGES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = make_codec()
    write_linear_encoder(made, load_latent_map())
    write_simple_decoder(made, load_latent_map())
    codec.mkdir()
    save_file(made.state_dict(), codec / AVERAGES)
    export(run, codec, folder / "weights")
    return folder / "weights"
