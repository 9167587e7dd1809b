"""The miniature: a very small latent diffusion model and the procedural world it was trained on."""

from __future__ import annotations

from pathlib import Path


def weights_dir() -> Path:
    """Folder of the shipped weights, in diffusers layout. Nothing is loaded or downloaded."""
    return Path(__file__).resolve().parent / "weights"
