"""What nodes for the host's own samplers do with a MODEL; see `Host.samplers`."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from comfy.patcher_extension import WrappersMP
from comfy.sample import prepare_noise

from ....pipelines.attention.keyframes import parse
from ....pipelines.common.errors import EvenframeError
from ....pipelines.common.typed_text import quoted
from ....pipelines.models.checks import require_prompt
from ....pipelines.models.listed_schedule import ListedSchedule
from .attached import Attached, Source, attached_in, attached_to
from .codec import latents_of
from .family import require_family
from .fingerprint import of_patchers
from .inverting import inverted
from .levels import scaling_of, schedule_of
from .masked_steps import MaskedSteps
from .model import kind_of, reached, require_socket, text_of
from .prompts import conditioning_of
from .sampling import outer_sample
from .source_guidance import SourceGuidance
from .standing import OURS, facts_of, require_reachable
from .stepwise import Stepwise

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.controls.base import Control
    from ....pipelines.controls.span import Span
    from ....pipelines.models.model import Model
    from ....pipelines.source.inversion import Inversion
    from ....pipelines.text.conditioning import Conditioning
    from ....pipelines.walk import OnStep
    from .codec import LatentCodec

ANOTHER = 0.1
"""Of its norm: by how much the latents of an inverted clip may differ from those that are given, as
an autoencoder may be run in more ways than one."""


def source(
    model: Any,
    clip: Any,
    latent: Mapping[str, Any],
    prompts: tuple[tuple[str, Any], tuple[str, Any]],
    noise: str = "sampler",
    seed: int = 0,
    inversion: Inversion | None = None,
    key_frames: str = "own",
) -> tuple[Any, Any]:
    """A MODEL whose samplers know the clip, and the positive CONDITIONING of the edit.

    prompts: of the source and of the target, a text each and CONDITIONING of it, or None. noise:
    "sampler" or "shared", with a seed. An inversion has key frames of its own. Raises
    EvenframeError for what does not go together.
    """
    if attached_in(model.model_options) is not None:
        raise EvenframeError(
            "There is a source on the MODEL already: give each sampler one Source for Controls, "
            "and connect the MODEL before the first one."
        )
    require_family(model, kind_of(model))
    codec = latents_of(model.get_model_object("latent_format"), kind_of(model))
    clean = _clean(codec, latent)
    opened = _opened(model, clip, codec, inversion is not None)
    opened.codec.lattice_of(clean)
    before, target = (_prompt(opened, *each) for each in prompts)
    if inversion is not None:
        _require_same_clip(opened, inversion, clean, before)
        clean = inversion.trajectory[0]
    shared = None
    if noise == "shared":
        shared = _shared(opened, clean, seed, latent.get("batch_index"))
    names = parse(key_frames) if inversion is None else inversion.keyframes
    names = ("own",) if opened.denoiser.layout.whole_clip else names
    found = Source(opened, before, target, clean, shared, inversion, names)
    return put(model, Attached(found)), conditioning_of(target)


def apply(model: Any, controls: tuple[Control, ...]) -> Any:
    """A MODEL with a source, whose samplers are steered by these. EvenframeError for one without,
    and for one that is steered already."""
    attached = attached_to(model, "Apply Controls")
    if attached.controls:
        raise EvenframeError(
            "There are controls on the MODEL already: link all into one chain, and that to one "
            "Apply Controls."
        )
    return put(model, replace(attached, controls=controls))


def put(model: Any, attached: Attached) -> Any:
    """A clone of a MODEL with this; the MODEL itself stays as it is."""
    clone = model.clone()
    options = clone.model_options.setdefault("transformer_options", {})
    if OURS not in options:
        clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, OURS, outer_sample)
    options[OURS] = attached
    return clone


def refocus(sampler: Any) -> Stepwise:
    """A SAMPLER that takes another's steps one by one."""
    return Stepwise(sampler.inner if isinstance(sampler, Stepwise) else sampler)


def invert(
    model: Any, sigmas: Tensor, solver: str, on_step: OnStep, seed: int = 0
) -> tuple[Any, Inversion, Any]:
    """A MODEL whose source is inverted, the INVERSION, and the NOISE to start with, of this seed;
    see `inverting.inverted`."""
    attached, inversion, noise = inverted(model, sigmas, solver, on_step, seed)
    return put(model, attached), inversion, noise


def guide(model: Any, strength: float) -> Any:
    """A MODEL with source-oriented guidance, 0..1; itself at 0."""
    attached_to(model, "Source Guidance")
    if strength == 0:
        return model
    clone = model.clone()
    clone.set_model_sampler_pre_cfg_function(SourceGuidance(strength))
    return clone


def mask_steps(model: Any, span: Span) -> Any:
    """A MODEL whose samplers heed a noise mask in these steps alone."""
    clone = model.clone()
    earlier = clone.model_options.get("denoise_mask_function")
    clone.set_model_denoise_mask_function(MaskedSteps(span, earlier))
    return clone


def _opened(model: Any, clip: Any, codec: LatentCodec, inverted: bool) -> Model:
    """A model over MODEL and CLIP. inverted: whether it must have a schedule of its own."""
    name = codec.name
    require_socket(clip, "CLIP", "no text encoder", "CLIP")
    require_reachable(model, name)
    patcher = model.clone()
    sampling = patcher.get_model_object("model_sampling")
    try:
        schedule = schedule_of(sampling)
    except EvenframeError:  # a distilled one (LCM), which samplers step down all the same
        if inverted:
            raise
        schedule = ListedSchedule(scaling_of(sampling), ())
    weights = of_patchers(patcher, facts=facts_of(patcher))
    return reached(patcher, text_of(clip, patcher), codec, weights, schedule)


def _prompt(opened: Model, text: str, conditioning: Any) -> Conditioning:
    encoder: Any = opened.text
    return encoder.encode(text) if conditioning is None else encoder.wrapped(text, conditioning)


def _clean(codec: LatentCodec, latent: Mapping[str, Any]) -> Tensor:
    """(t, c, h, w) of a LATENT, as the model scales it."""
    samples, joined = latent["samples"], codec.joined
    nested = getattr(samples, "is_nested", False)  # of sound as well
    if joined and not nested and samples.ndim == 4:
        samples = samples[:, :, None]  # a picture is a clip of one frame
    shape = [] if nested else list(samples.shape)
    if len(shape) != 4 + joined or shape[1] != codec.channels:
        raise EvenframeError(
            f"The latent has the shape {tuple(shape)}, but '{codec.name}' takes {codec.channels} "
            f"channels, {'of clips' if joined else 'of single frames'}: encode the clip's frames "
            "with ComfyUI's VAE Encode and the VAE that belongs to the MODEL."
        )
    if joined and shape[0] != 1:
        raise EvenframeError(
            f"The latent holds {shape[0]} clips, and '{codec.name}' is steered in one at a time: "
            "choose one with Latent From Batch."
        )
    if not samples.isfinite().all():
        raise EvenframeError(
            "The latent has values that are not numbers (NaN or infinite): encode the clip again."
        )
    return codec.imported(samples.float()).cpu()


def _shared(opened: Model, clean: Tensor, seed: int, places: Sequence[int] | None) -> Tensor:
    """(t, c, h, w): the noise that the host's samplers make of this seed. places: of the frames in
    a batch of which they are a part, or None."""
    own: Any = opened.denoiser
    with torch.random.fork_rng(devices=[]):
        return own.inward(prepare_noise(own.outward(clean), seed, places))


def _require_same_clip(
    opened: Model, inversion: Inversion, clean: Tensor, prompt: Conditioning
) -> None:
    require_prompt(opened, inversion.prompt, "inversion")
    texts, own = (prompt.tokens.text, inversion.prompt.tokens.text), inversion.trajectory[0]
    if texts[0] != texts[1]:
        raise EvenframeError(
            f"source_prompt is {quoted(texts[0])}, but the clip was inverted with "
            f"{quoted(texts[1])}: write the same."
        )
    if own.shape != clean.shape or float((own - clean).norm()) > ANOTHER * float(own.norm()):
        raise EvenframeError(
            f"The inversion is of another clip than the latent ({tuple(own.shape)} and "
            f"{tuple(clean.shape)} numbers): link the inversion of the frames that were encoded."
        )
