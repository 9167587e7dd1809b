"""The door for a notebook: a path or frames in, frames and a record out."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import tiny
from torch import Tensor

import evenframe
from evenframe import versions
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.families import load
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
        ({"mode": "squeeze"}, "fit 'squeeze' is unknown"),
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


def test_a_size_is_checked_with_the_models_own_multiple(model: Any, clip: Tensor, tmp_path: Path):
    save(tmp_path / "clip.mp4", clip[:1], 8)
    sizes: list[tuple[dict[str, Any], tuple[int, int]]] = [
        ({"width": 72, "height": 72}, (72, 72)),
        ({"max_side": 8}, (8, 8)),
    ]
    refused: list[dict[str, Any]] = [{"width": 73}, {"width": 72, "multiple": 16}]
    for given, size in sizes:
        for shown in (tmp_path / "clip.mp4", clip[:1]):
            edited = evenframe.edit(shown, SOURCE, TARGET, model=model, steps=1, **given)
            assert edited.frames.shape[1:3] == size
            assert edited.record["fitting"]["multiple"] == 8
    for given in refused:
        with pytest.raises(EvenframeError, match=r"width is 7\d: give a multiple of"):
            evenframe.edit(clip, SOURCE, TARGET, model=model, steps=1, **given)


@pytest.mark.parametrize("given", [{"device": "cpu"}, {"dtype": "bf16"}, {"prediction": "epsilon"}])
def test_a_loaded_model_is_not_loaded_otherwise(model: Any, clip: Tensor, given: dict[str, Any]):
    with pytest.raises(EvenframeError, match="would do nothing, because the model is loaded"):
        evenframe.edit(clip, SOURCE, TARGET, model=model, **given)


@pytest.mark.parametrize(
    "settings",
    [
        {"prediction": "sample"},
        {"dtype": "int8"},
        {"device": "nowhere"},
        {"length": 4},
        {"windowing": (16, 8)},
        {"keyframes": None},
        {"keyframes": -1},
        {"controls": "fusion"},
        {"controls": 3},
        {"weights": None},
        {"weights": ("circle", 2)},
        {"blend_words": None},
        {"stride": "2"},
        {"width": None},
        {"negative": None},
        {"cross_steps": 0.5, "controls": Fusion()},
    ],
)
def test_what_cannot_be_read_is_told_before_the_work(clip: Tensor, settings: dict[str, Any]):
    with pytest.raises(EvenframeError, match=r"give|use|decimal|two Attention Fusions"):
        evenframe.edit(clip, SOURCE, TARGET, **settings)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (None, "clip is None: give the path"),
        ("no such clip.mp4", "No such file: 'no such clip.mp4'"),
        (torch.ones(1, 64, 64, 3, dtype=torch.int32), "The images are int32: give floating"),
        (np.ones((1, 64, 64, 3), np.uint16), "The images are uint16: give floating"),
    ],
)
def test_a_clip_is_refused_before_a_model_is_loaded(shown: Any, message: str):
    with pytest.raises(EvenframeError, match=message):
        evenframe.edit(shown, SOURCE, TARGET, model="no such model")


def test_arrays_that_run_backwards_or_may_not_be_written(model: Any, clip: Tensor):
    whole = clip[:2].numpy()
    for shown in (whole[::-1], whole[:1][::-1], whole[:, :, ::-1], whole[..., ::-1]):
        shown.flags.writeable = False
        edited = evenframe.edit(shown, SOURCE, TARGET, model=model, steps=1)
        expected = evenframe.edit(torch.tensor(shown.copy()), SOURCE, TARGET, model=model, steps=1)
        assert torch.equal(edited.frames, expected.frames)


def test_the_record_has_all_that_was_done(clip: Tensor):
    loaded = load("miniature", dtype=torch.bfloat16)
    edited = evenframe.edit(
        clip[:2],
        SOURCE,
        TARGET,
        dtype="bf16",
        device="cpu",
        steps=1,
        skip=1,
        negative=loaded.text.encode("a square"),
        weights={"blue": 2.0},
        controls=CrossReweighter(words=("circle",), subject=("circle",), window=Span(0.0, 0.5)),
    )
    record = json.loads(json.dumps(edited.record))
    assert (record["device"], record["dtype"]) == ("cpu", "bfloat16")
    assert record["choice"]["skip"] == 1 and record["choice"]["length"]["step"] == 1
    assert record["fitting"] is None
    assert record["edit"]["negative"] == "a square"
    fusion, reweighter = record["controls"]
    assert fusion["weights"] == [["blue", 2.0]] and fusion["blend_window"]["start"] == 0.2
    assert reweighter["control"] == "CrossReweighter" and reweighter["words"] == ["circle"]
    assert reweighter["window"] == {"start": 0.0, "end": 0.5}


def test_a_library_without_metadata_does_not_lose_the_edit(
    model: Any, clip: Tensor, monkeypatch: pytest.MonkeyPatch
):
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", missing)
    edited = evenframe.edit(clip[:1], SOURCE, TARGET, model=model, steps=1)
    assert edited.record["versions"]["torch"] == torch.__version__
    assert edited.record["versions"]["diffusers"] == "unknown"


def test_the_door_is_listed():
    assert {"edit", "Edited", "__version__"} <= set(dir(evenframe))
