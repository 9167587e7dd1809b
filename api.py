"""The door for a notebook: one call from a clip to its edit.

What it does, step by step, `evenframe.pipelines` offers in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from . import api_inputs, api_record, miniature
from .api_inputs import WORDS
from .pipelines import editing, video
from .pipelines.attention import keyframes
from .pipelines.common.checks import require_choice
from .pipelines.common.errors import EvenframeError
from .pipelines.controls.fatezero.fusion import Fusion
from .pipelines.controls.fatezero.presets import PRESETS
from .pipelines.models.families import load
from .pipelines.source import inversion
from .pipelines.text.prompt import parse_phrases
from .pipelines.video import Choice, Clip, Fitting
from .pipelines.video.source import opened
from .versions import versions

if TYPE_CHECKING:
    import numpy as np

    from .pipelines.models.model import Model

FRAMES, FRAME_RATE = 16, 8
"""At most so many frames of a file, and the rate of frames that come without one."""

Settings = dict[str, Any]
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Edited:
    """A clip after its edit.

    frames: (f, h, w, 3) float32 in 0..1, at the size at which they were edited. frame_rate: at
    which they play. record: what was done, as JSON has it: the model, the prompts, every setting
    and seed, versions, and notes on what to expect of the result.
    """

    frames: Tensor
    frame_rate: Fraction
    record: dict[str, Any]


def edit(
    clip: str | PathLike[str] | Tensor | np.ndarray,
    source: str,
    target: str,
    *,
    preset: str = "",
    model: str | Path | Model = miniature.NAME,
    report: Report | None = None,
    **settings: Any,
) -> Edited:
    """Invert a clip, edit it with FateZero's attention fusion, and decode it.

    clip: a video file, or frames (f, h, w, 3): floats in 0..1, or bytes. source, target: what it
    shows, and what it shall show. preset: one of FateZero's published edits, with the key frames
    and steps that belong to it; "" for a plain edit, or for the fusion that the settings describe.
    model: the built-in one, a checkpoint, a diffusers folder, or one that is loaded already.
    report: called with a label, and how many of how many steps are done.
    settings: by the names that they have in
        `video.Choice` and `video.Fitting`: which frames, at what size. Of a file 16 frames are
            taken, or the nearest number below that the model takes, no larger than it was trained
            at; `length=Length(ending="repeat")` repeats the last one instead, and the result ends
            where the clip did. Frames are taken as they are;
        `inversion.Settings`: steps, keyframes, store, ..., and `sample_seed` for its seed;
        `Fusion`: cross_steps, self_steps, blend_words, ..., and `new_words` for a preset;
        `editing.edit`: guidance_scale, start_step, eta, seed, negative, controls;
        `models.families.load`: device, dtype (or its name: fp32, fp16, bf16), prediction.
    Words may be given as one text, with commas between them.
    Raises EvenframeError for settings that do not exist or are out of range, before any work.
    """
    api_inputs.require_kinds({"source": source, "target": target, "model": model} | settings)
    own, made_by = _by_owner(settings), versions()
    walk = _inversion_settings(preset, own["inversion"])
    fusion = _fusion(preset, own["fusion"])
    controls = api_inputs.chain(fusion, own["edit"].pop("controls", None))
    numbers = _numbers(walk.steps, own["edit"])
    own["model"] = api_inputs.loading(model, own["model"])
    open_clip = _opener(clip, own["choice"], own["size"])
    loaded = load(model, **own["model"]) if isinstance(model, str | Path) else model
    whole, chosen = open_clip(loaded)
    prompt, tell = loaded.text.encode(source), partial(_shown, report)
    inverted = inversion.invert_clip(loaded, whole.frames, prompt, walk, on_step=tell("Inverting"))
    own["edit"] |= {"controls": controls, "on_step": tell("Editing")}
    latents = editing.edit(loaded, inverted, target, **own["edit"])
    asked: Settings = {"source_prompt": source, "target_prompt": target, "versions": made_by}
    asked["inversion"] = asdict(walk) | {"store": inverted.mode}
    asked["edit"] = numbers | {"negative": own["edit"].get("negative", "")}
    frames, said = video.without_repeated(loaded.codec.decode(latents), whole)
    told = api_record.record(loaded, whole, preset, controls, said) | chosen | asked
    return Edited(frames, whole.frame_rate, api_record.as_json(told))


def _by_owner(settings: Mapping[str, Any]) -> dict[str, Settings]:
    """The settings, parted by what takes them."""

    def names(kind: Any, but: str = "") -> list[str]:
        return [field.name for field in fields(kind) if field.name != but]

    owners = {
        "choice": names(Choice),
        "size": names(Fitting),
        "inversion": [*names(inversion.Settings, but="seed"), "sample_seed"],
        "fusion": [*names(Fusion), "new_words"],
        "edit": [*names(editing.Settings), "negative", "controls"],
        "model": ["device", "dtype", "prediction"],
    }
    known = {name: owner for owner, taken in owners.items() for name in taken}
    for name in settings:
        if name not in known:
            there = ", ".join(sorted(known))
            raise EvenframeError(f"There is no setting '{name}'. There are: {there}.")
    return {
        owner: {name: settings[name] for name in taken if name in settings}
        for owner, taken in owners.items()
    }


def _inversion_settings(preset: str, given: Settings) -> inversion.Settings:
    if preset:
        require_choice("preset", preset, tuple(PRESETS))
        chosen = PRESETS[preset]
        usual = {"keyframes": chosen.keyframes, "layers": chosen.layers, "steps": chosen.steps}
        given = usual | given
    if "keyframes" in given:
        given = given | {"keyframes": keyframes.parse(given["keyframes"])}
    seed = given.pop("sample_seed", None)
    return inversion.Settings(**given, seed=seed)


def _numbers(steps: int, given: Settings) -> Settings:
    numbers = editing.Settings(**{name: given[name] for name in given if name != "negative"})
    numbers.require(steps)
    return asdict(numbers)


def _fusion(preset: str, given: Settings) -> tuple[Fusion, ...]:
    """The preset's fusion with what is set otherwise; without both none."""
    for name in WORDS:
        if isinstance(given.get(name), str):
            given[name] = parse_phrases(given[name])
    if "weights" in given:
        given["weights"] = api_inputs.weighted(given["weights"])
    if preset:
        words = (tuple(given.pop(name, ())) for name in ("new_words", "blend_words"))
        return (replace(PRESETS[preset].settings(*words), **given),)
    if "new_words" in given:
        raise EvenframeError("new_words are for a preset: name one, or give them weights.")
    return (Fusion(**given),) if given else ()


def _opener(
    clip: Any, chosen: Settings, sized: Settings
) -> Callable[[Model], tuple[Clip, dict[str, Choice | Fitting | None]]]:
    """What gives the clip as a model takes it, and how; what needs no model is checked now."""
    anything: Settings = {"multiple": 1}
    Fitting(**(anything | sized))
    from_file = isinstance(clip, str | PathLike)
    rate = FRAME_RATE if from_file else chosen.pop("frame_rate", FRAME_RATE)
    usual: Settings = {"max_frames": FRAMES} if from_file else {}
    choice = Choice(**(usual | chosen))
    if from_file:
        with opened(Path(clip)):
            images = None
    else:
        images = video.clip_from_images(api_inputs.pixels(clip), rate, source="frames")
        images = video.select(images, choice)

    def fitted(model: Model) -> tuple[Clip, dict[str, Choice | Fitting | None]]:
        usual: Settings = {"multiple": model.codec.size_multiple}
        if images is not None:
            fitting = Fitting(**(usual | sized)) if sized else None
            whole = video.fit_clip(images, fitting) if fitting else images
            return whole, {"choice": choice, "fitting": fitting}
        usual["max_side"] = model.native_size
        fitting, length = Fitting(**(usual | sized)), choice.length
        if length.any:
            length = replace(length, step=model.codec.time_stride)
        taken = replace(choice, length=length)
        whole = video.load(clip, taken, fitting, audio=False)
        return whole, {"choice": taken, "fitting": fitting}

    return fitted


def _shown(report: Report | None, label: str) -> Callable[[Any], None] | None:
    return None if report is None else lambda step: report(label, step.done, step.total)
