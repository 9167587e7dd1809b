"""A MODEL that is two experts, for high and for low noise, as Wan 2.2's 14B is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....pipelines.common.errors import EvenframeError
from .fingerprint import of_patchers
from .levels import schedule_of
from .model import host_model, kind_of
from .standing import facts_of

if TYPE_CHECKING:
    from ....pipelines.models.model import Model
    from ....pipelines.models.schedule import Schedule

PAIR = "connect both experts of one model"
SHIFT = "put the same ModelSamplingSD3 on both, or on neither"


def with_low_noise(high: Model, low: Any, switch_at: float) -> Model:
    """The model of a MODEL socket, of which another one is asked below `switch_at`.

    low: the other MODEL. switch_at: the noise of a level, 0..1.
    Raises EvenframeError where they are no experts of one model, which differ in weights alone.
    """
    patcher, name = low.clone(), kind_of(low)
    channels = patcher.get_model_object("latent_format").latent_channels
    schedule = schedule_of(patcher.get_model_object("model_sampling"))
    _require_equal("kind", high.name, name, PAIR)
    _require_equal("channels of latents", high.codec.channels, channels, PAIR)
    _require_equal("noise levels", _told(high.schedule), _told(schedule), SHIFT)
    weights = of_patchers(patcher, facts=facts_of(patcher))
    other = host_model(patcher, high.text, high.codec, weights, high.native_size)
    sites = high.denoiser.sites, other.denoiser.sites
    if sites[0] != sites[1]:
        raise _refusal("attention layers", len(sites[0]), len(sites[1]), PAIR)
    facts = f"{high.fingerprint} {other.fingerprint} {switch_at!r}"
    return replace(
        high,
        name=f"{high.name}, two experts that switch at {switch_at:g}",
        fingerprint=hashlib.sha256(facts.encode()).hexdigest(),
        low_noise=other,
        switch_at=switch_at,
    )


def _require_equal(what: str, high: Any, low: Any, do: str) -> None:
    if high != low:
        raise _refusal(what, high, low, do)


def _refusal(what: str, high: Any, low: Any, do: str) -> EvenframeError:
    return EvenframeError(
        f"The two experts differ in their {what} ({high} of model, {low} of low_noise_model): {do}."
    )


def _told(schedule: Schedule) -> str:
    told = schedule.identity()
    return told if schedule.kind == "flow" else f"{schedule.kind} {told[:8]}"
