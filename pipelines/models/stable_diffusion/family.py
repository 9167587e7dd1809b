"""Stable Diffusion 1.x and 2.x among the families; nothing heavy is imported before it is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import EvenframeError
from ..family import Family, Prediction, Source

if TYPE_CHECKING:
    import torch

    from ..model import Model
    from .components import Components

READABLE = ("sd1", "sd2", "pickle")


def recognise(source: Source) -> bool:
    """Whether a folder says so, or a file's header shows it. What is pickled is not opened for it:
    no other family reads pickles."""
    from ..files.sniff import sniff
    from .folder import check_index

    path = Path(source)
    try:
        if not path.is_dir():
            return sniff(path).kind in READABLE
        check_index(path)
    except (EvenframeError, OSError):  # such as a name that is too long
        return False
    return True


def load(source: Source, dtype: torch.dtype, prediction: Prediction) -> Model:
    """A checkpoint file or a folder in the diffusers layout."""
    from .folder import load_folder
    from .single_file import load_checkpoint

    path = Path(source)
    if path.is_dir():
        return from_components(load_folder(path, dtype))
    return from_components(load_checkpoint(path, dtype, prediction))


def from_components(components: Components) -> Model:
    """A model of loaded modules; the UNet gets this package's attention processors."""
    from ..model import Model
    from ..noise_schedule import NoiseSchedule
    from .codec import FrameCodec
    from .denoiser import denoiser_of
    from .text import ClipText

    unet, vae, text = components.unet, components.vae, components.text_encoder
    for module in (unet, vae, text):
        module.eval().requires_grad_(False)
    name, fingerprint = components.name, components.fingerprint
    model = Model(
        name=name,
        fingerprint=fingerprint,
        codec=FrameCodec(name, vae),
        text=ClipText(fingerprint, text, components.tokenizer, components.vocabulary),
        denoiser=denoiser_of(unet, name, components.native_size),
        schedule=NoiseSchedule.from_config(components.scheduler_config),
        native_size=components.native_size,
    )
    if components.delta is None:
        return model
    return replace(model.with_delta(components.delta), name=name)


STABLE_DIFFUSION = Family("Stable Diffusion 1.x and 2.x", recognise, load)
