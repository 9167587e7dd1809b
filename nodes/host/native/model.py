"""From three sockets to a model."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.samplers
import torch

from ....pipelines.attention.sites import layout_of
from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.model import Model
from .attention import Probe, chained
from .codec import HostCodec
from .denoiser import HostDenoiser
from .fingerprint import of_patchers
from .levels import schedule_of
from .session import Ready, in_guider, session
from .sites import Seen, read
from .text import HostText

if TYPE_CHECKING:
    from ....pipelines.text.conditioning import Conditioning

PROBE = (10, 6)
"""Latents of the probing pass, (rows, columns): no layer has as many tokens as a prompt."""
NATIVE = {"SD15": 512, "SD20": 768, "SDXL": 1024, "SDXLRefiner": 1024, "WAN21_T2V": 640}
"""Side of the frames that a kind of model was trained on, in pixels, where it is not 512."""


def open_sockets(model: Any, clip: Any, vae: Any) -> Model:
    """A model over MODEL, CLIP and VAE sockets, which the host goes on holding and running.

    Raises EvenframeError where one is empty or belongs to another kind of model, and for a MODEL
    that controls cannot reach.
    """
    _require(getattr(vae, "first_stage_model", None), "VAE", "none", "VAE")
    _require(clip, "CLIP", "no text encoder", "CLIP")
    patcher, config = model.clone(), model.model.model_config
    name = type(config).__name__
    text = HostText(of_patchers(clip.patcher, facts=(clip.layer_idx, clip.tokenizer_options)), clip)
    schedule = schedule_of(patcher.get_model_object("model_sampling"))
    joined = vae.latent_dim == 3
    format_ = patcher.get_model_object("latent_format")
    _require_fitting(name, patcher, format_, vae)
    stride = int(vae.spacial_compression_encode())
    seen = _probed(patcher, text.encode(""), int(format_.latent_channels), joined)
    sites, places = read(seen, name, PROBE, 1, stride)
    finest = min(site.stride for site in sites) if joined else stride
    native = NATIVE.get(name, 512)
    return Model(
        name,
        of_patchers(patcher, vae.patcher, facts=(name, text.fingerprint, schedule.identity())),
        HostCodec(name, vae, format_, finest),
        text,
        HostDenoiser(
            name, patcher, sites, layout_of(sites, native), places, schedule.kind, stride, joined
        ),
        schedule,
        native,
        session=session,
    )


def _require(value: Any, socket: str, lacks: str, loader: str) -> None:
    if value is None:
        raise EvenframeError(
            f"The {socket} is empty: the checkpoint it comes from has {lacks}. Load one with "
            f"ComfyUI's {loader} loader and connect that."
        )


def _require_fitting(name: str, patcher: Any, latent_format: Any, vae: Any) -> None:
    wanted, have = int(latent_format.latent_channels), int(vae.latent_channels)
    joined = int(latent_format.latent_dimensions) == 3
    if wanted != have or joined != (vae.latent_dim == 3):
        kind = "of several frames" if vae.latent_dim == 3 else "of single frames"
        raise EvenframeError(
            f"The VAE makes latents of {have} channels, {kind}, but '{name}' takes {wanted} "
            f"channels, {'of several frames' if joined else 'of single frames'}: connect the VAE "
            "that belongs to the MODEL."
        )


def _probed(patcher: Any, prompt: Conditioning, channels: int, joined: bool) -> list[Seen]:
    """The attention calls of a pass over one very small frame."""
    shape = (1, channels, 1, *PROBE) if joined else (1, channels, *PROBE)

    def look(ready: Ready) -> list[Seen]:
        probe, x = Probe(), torch.zeros(shape, device=patcher.load_device)
        sigma = ready.inner.model_sampling.sigma_max.reshape(1).to(x)
        options = chained(ready.options, probe)
        conditions = [ready.conditions["positive"], None]
        comfy.samplers.calc_cond_batch(ready.inner, conditions, x, sigma, options)
        return probe.seen

    return in_guider(patcher, {"source": prompt}, torch.zeros(shape), look)
