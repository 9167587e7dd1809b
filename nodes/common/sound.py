"""Sound as the AUDIO socket has it, and back."""

from __future__ import annotations

from typing import Any

from ...pipelines.video import Audio


def audio_value(audio: Audio | None) -> dict[str, Any] | None:
    """The value of an AUDIO socket; None for silence."""
    if audio is None:
        return None
    return {"waveform": audio.samples[None], "sample_rate": audio.sample_rate}


def audio_of(value: dict[str, Any] | None) -> Audio | None:
    """The sound of an AUDIO socket: of several the first, None where nothing is linked."""
    if value is None:
        return None
    return Audio(value["waveform"][0].float().cpu(), int(value["sample_rate"]))
