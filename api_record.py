"""What is recorded of an edit that a notebook asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from .pipelines.common.settings import declared
from .pipelines.controls.base import Control
from .pipelines.controls.fatezero.presets import PRESETS
from .pipelines.models.checks import size_notes
from .pipelines.models.model import Model
from .pipelines.text.conditioning import Conditioning
from .pipelines.video import Clip


def record(
    model: Model, clip: Clip, preset: str, controls: Sequence[Control], said: Sequence[str] = ()
) -> dict[str, Any]:
    """What is to be known beside the prompts and the numbers. said: of what was undone."""
    notes = [*clip.warnings, *size_notes(model, (clip.height, clip.width))]
    if clip.count is not None and clip.count.kept != clip.count.chosen:
        notes += [str(clip.count), *said]
    if preset and PRESETS[preset].tuned and not model.tuned_on:
        notes.append(f"The preset '{preset}' was found on models that had been tuned on the clip.")
    return {
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "clip": clip.describe().splitlines()[0],
        "preset": preset,
        "controls": [
            {"control": type(each).__name__}
            | {name: getattr(each, name) for name in declared(type(each))}
            for each in controls
        ],
        "notes": notes,
    }


def as_json(told: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON has it."""
    return json.loads(json.dumps(told, default=_plain))


def _plain(value: Any) -> Any:
    """What JSON has no form for."""
    if isinstance(value, Conditioning):
        return value.tokens.text
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
