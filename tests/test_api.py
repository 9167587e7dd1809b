"""The door for a notebook: a path or frames in, frames and a record out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import tiny
from torch import Tensor

import evenframe
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.video import save

SOURCE, TARGET = "a red circle", "a blue circle"


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny()


def test_frames_give_what_the_parts_give(model: Any, clip: Tensor):
    given = {"cross_steps": 0.7, "self_steps": 0.5, "guidance_scale": 2.0, "eta": 0.5, "seed": 3}
    asked = {"steps": 3, "keyframes": "first", "method": "replace", "frame_rate": 12}
    edited = evenframe.edit(clip, SOURCE, TARGET, model=model, **given, **asked)
    inverted = invert(model, clip, SOURCE, steps=3, keyframes="first")
    fusion = Fusion("replace", 0.7, 0.5)
    latents = edit(model, inverted, TARGET, controls=[fusion], guidance_scale=2.0, eta=0.5, seed=3)
    assert torch.equal(edited.frames, model.codec.decode(latents))
    assert edited.frame_rate == 12
    record = json.loads(json.dumps(edited.record))
    assert record["model"] == {"name": model.name, "fingerprint": model.fingerprint}
    assert (record["source_prompt"], record["target_prompt"]) == (SOURCE, TARGET)
    assert record["inversion"]["steps"] == 3 and record["inversion"]["keyframes"] == ["first"]
    assert record["controls"][0]["cross_steps"] == 0.7
    assert record["edit"]["seed"] == 3 and record["inversion"]["seed"] is None
    assert record["versions"]["evenframe"] == evenframe.__version__


def test_a_preset_brings_its_steps_its_key_frames_and_its_words(model: Any, clip: Tensor):
    shown: list[tuple[str, int, int]] = []
    edited = evenframe.edit(
        (clip * 255).to(torch.uint8).numpy(),
        SOURCE,
        f"watercolor painting of {SOURCE}",
        preset="style",
        new_words="watercolor, painting",
        self_steps=0.5,
        model=model,
        steps=2,
        report=lambda *told: shown.append(told),
    )
    [fusion] = edited.record["controls"]
    assert (fusion["method"], fusion["cross_steps"], fusion["self_steps"]) == ("refine", 0.8, 0.5)
    assert fusion["weights"] == [["watercolor", 10.0], ["painting", 10.0]]
    assert edited.record["inversion"]["keyframes"] == ["mid"]
    assert shown == [
        ("Inverting", 1, 2),
        ("Inverting", 2, 2),
        ("Editing", 1, 2),
        ("Editing", 2, 2),
    ]


def test_a_preset_of_a_tuned_model_says_so(model: Any, clip: Tensor):
    words = {"blend_words": "circle", "new_words": ("blue",)}
    edited = evenframe.edit(
        clip[:1], SOURCE, TARGET, preset="shape, rigid", model=model, steps=1, **words
    )
    assert "tuned on the clip" in edited.record["notes"][-1]
    assert edited.record["controls"][0]["blend_words"] == ["circle"]


def test_a_file_comes_at_the_models_size_and_keeps_its_rate(model: Any, tmp_path: Path):
    pixels = torch.rand(5, 150, 300, 3, generator=torch.Generator().manual_seed(0))
    save(tmp_path / "clip.mp4", pixels, 24)
    edited = evenframe.edit(
        tmp_path / "clip.mp4", SOURCE, TARGET, model=model, steps=1, max_frames=2, stride=2
    )
    assert edited.frames.shape == (2, 64, 128, 3)
    assert edited.frame_rate == 12
    assert "2 frames of 128x64" in edited.record["clip"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"guidance": 2}, "There is no setting 'guidance'. There are: blend_window, blend_words"),
        ({"preset": "stile"}, "preset 'stile' is unknown: use style, "),
        ({"preset": "shape, free"}, "needs blend words"),
        ({"new_words": "blue"}, "new_words are for a preset"),
        ({"cross_steps": 2}, "cross_steps"),
        ({"steps": 0}, "steps"),
        ({"steps": 4, "start_step": 4}, "start_step"),
        ({"guidance_scale": 101}, "guidance_scale"),
        ({"mode": "squeeze"}, "The fit is 'squeeze'"),
        ({"skip": -1}, "skip is -1"),
    ],
)
def test_settings_are_refused_before_a_model_is_loaded(
    clip: Tensor, settings: dict[str, Any], message: str
):
    with pytest.raises(EvenframeError, match=message):
        evenframe.edit(clip, SOURCE, TARGET, model="no such model", **settings)


def test_wrong_frames_are_refused_before_a_model_is_loaded():
    for frames in (torch.rand(64, 64, 3), torch.rand(2, 64, 64, 2), torch.rand(0, 64, 64, 3)):
        with pytest.raises(EvenframeError, match=r"images have the shape|no images"):
            evenframe.edit(frames, SOURCE, TARGET, model="no such model")


def test_frames_of_a_size_that_the_model_does_not_take(model: Any):
    with pytest.raises(EvenframeError, match="takes multiples of 8"):
        evenframe.edit(torch.rand(1, 60, 64, 3), SOURCE, TARGET, model=model, steps=1)
    edited = evenframe.edit(
        torch.rand(1, 60, 64, 3), SOURCE, TARGET, model=model, steps=1, max_side=64, multiple=8
    )
    assert edited.frames.shape == (1, 64, 64, 3)
