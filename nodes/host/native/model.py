"""From three sockets to a model."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
from dataclasses import is_dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import comfy.samplers
import torch

from ....pipelines.attention.sites import layout_of
from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.model import Model
from .attention import Probe, chained
from .codec import codec_of
from .denoiser import HostDenoiser
from .family import require_family
from .fingerprint import of_patchers
from .levels import schedule_of
from .session import Ready, in_guider, session
from .sites import Seen, read
from .standing import facts_of, require_workable, unused_of
from .text import HostText

if TYPE_CHECKING:
    from ....pipelines.models.model import Codec, TextEncoder
    from ....pipelines.models.schedule import Schedule
    from ....pipelines.text.conditioning import Conditioning

PROBE = (10, 6)
"""Latents of the probing pass, (rows, columns): no layer has as many tokens as a prompt."""
NATIVE = {"SD20": 768, "SDXL": 1024, "SDXLRefiner": 1024, "WAN22_T2V": 960, "WAN21_T2V": 640}
"""Side of the frames that a kind of model and those derived from it were trained on, in pixels,
where it is not 512."""
PICTURE = 7
"""Tokens of a picture that the probing pass shows to models which look at one."""


def open_sockets(model: Any, clip: Any, vae: Any) -> Model:
    """A model over MODEL, CLIP and VAE sockets, which the host goes on holding and running.

    Raises EvenframeError where one is empty or belongs to another kind of model, and for a MODEL
    that controls cannot reach.
    """
    require_family(model, kind_of(model))
    require_socket(getattr(vae, "first_stage_model", None), "VAE", "none", "VAE")
    require_socket(clip, "CLIP", "no text encoder", "CLIP")
    patcher, name = model.clone(), kind_of(model)
    require_workable(patcher, name)
    latent_format = patcher.get_model_object("latent_format")
    _require_fitting(name, latent_format, vae, is_joined(patcher))
    text = text_of(clip, patcher)
    weights = of_patchers(patcher, vae.patcher, facts=facts_of(patcher, vae.patcher))
    return host_model(patcher, text, codec_of(vae, latent_format, name), weights)


def text_of(clip: Any, patcher: Any) -> HostText:
    """The text encoder of a CLIP that belongs to a MODEL."""
    facts = clip.layer_idx, clip.tokenizer_options, *facts_of(clip.patcher)
    return HostText(of_patchers(clip.patcher, facts=facts), clip, width_of(patcher))


def kind_of(patcher: Any) -> str:
    """What the host calls this kind of model."""
    return type(patcher.model.model_config).__name__


def width_of(patcher: Any) -> int:
    """Numbers of each token's state that it takes; 0 where it does not say."""
    told = patcher.model.model_config.unet_config.get("context_dim")
    return int(told or getattr(patcher.model.diffusion_model, "text_dim", 0) or 0)


def host_model(
    patcher: Any, text: TextEncoder, codec: Codec, fingerprint: str, native_size: int = 0
) -> Model:
    """A model that the host runs, with any text encoder and codec that belong to it.

    patcher: the host's, of this pack's own: a clone. fingerprint: of its weights. native_size: side
    of the frames that it was trained on, in pixels; 0 where that is usual for its kind.
    """
    name = kind_of(patcher)
    require_family(patcher, name)
    require_workable(patcher, name)
    schedule = schedule_of(patcher.get_model_object("model_sampling"))
    return reached(patcher, text, codec, fingerprint, schedule, native_size)


def reached(
    patcher: Any,
    text: TextEncoder,
    codec: Codec,
    fingerprint: str,
    schedule: Schedule,
    native_size: int = 0,
) -> Model:
    """`host_model`, whatever stands on the MODEL, with a schedule."""
    name, joined = kind_of(patcher), is_joined(patcher)
    stride, prompt = codec.space_stride, text.encode("")
    words, width = prompt.states["tokens"].shape
    _require_width(name, width, width_of(patcher))
    seen = _probed(patcher, prompt, codec.channels, joined)
    sites, places = read(seen, name, PROBE, 1, stride, words)
    finest = min(site.stride for site in sites) if joined else stride
    native = native_size or native_size_of(patcher)
    layout, facts = layout_of(sites, native, joined), f"{name} {fingerprint} {schedule.identity()}"
    return Model(
        name,
        hashlib.sha256(f"{facts} {text.fingerprint}".encode()).hexdigest(),
        replace(codec, size_multiple=finest) if is_dataclass(codec) else codec,
        text,
        HostDenoiser(name, patcher, sites, layout, places, schedule.kind, stride),
        schedule,
        native,
        unused=unused_of(patcher.model_options),
        session=session,
    )


def is_joined(patcher: Any) -> bool:
    """Whether all frames of a clip are one row of the model's batch."""
    return int(patcher.get_model_object("latent_format").latent_dimensions) == 3


def native_size_of(patcher: Any) -> int:
    """Side of the frames that this kind of model was trained on, in pixels."""
    kinds = (kind.__name__ for kind in type(patcher.model.model_config).__mro__)
    return next((NATIVE[kind] for kind in kinds if kind in NATIVE), 512)


def _require_width(name: str, width: int, wanted: int) -> None:
    if wanted and width != wanted:
        raise EvenframeError(
            f"The CLIP makes {width} numbers of each token, but '{name}' takes {wanted}: connect "
            "the CLIP that belongs to the MODEL."
        )


def require_socket(value: Any, socket: str, lacks: str, loader: str) -> None:
    if value is None:
        raise EvenframeError(
            f"The {socket} is empty: the checkpoint it comes from has {lacks}. Load one with "
            f"ComfyUI's {loader} loader and connect that."
        )


def _require_fitting(name: str, latent_format: Any, vae: Any, joined: bool) -> None:
    wanted, have = int(latent_format.latent_channels), int(vae.latent_channels)
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
    embedder = getattr(patcher.model.diffusion_model, "img_emb", None)
    if embedder is not None:  # it looks at a picture as well, in calls of their own
        states = torch.zeros(1, PICTURE, embedder.proj[0].normalized_shape[0])
        picture = SimpleNamespace(penultimate_hidden_states=states)
        prompt = replace(prompt, host=[[None, {"clip_vision_output": picture}]])

    def look(ready: Ready) -> list[Seen]:
        probe, x = Probe(), torch.zeros(shape, device=patcher.load_device)
        sigma = ready.inner.model_sampling.sigma_max.reshape(1).to(x)
        options = chained(ready.options, probe)
        conditions = [ready.conditions["positive"], None]
        comfy.samplers.calc_cond_batch(ready.inner, conditions, x, sigma, options)
        return probe.seen

    return in_guider(patcher, {"source": prompt}, torch.zeros(shape), look)
