"""The nodes around an inversion: what they compute, and what they find again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from evenframe.nodes import node_classes
from evenframe.nodes.host import ModelHandle, host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.nodes.inversion import EvenframeInvert
from evenframe.nodes.inversion_file import EvenframeLoadInversion, EvenframeSaveInversion
from evenframe.pipelines.common.whole_file import Numbered
from evenframe.pipelines.models.model import Model

STEPS = 2


@pytest.fixture(autouse=True)
def session(tmp_path: Path) -> Iterator[Session]:
    assert isinstance(host, StandaloneHost)
    folders = Session(
        inputs=(tmp_path / "in",),
        output=tmp_path / "out",
        temp=tmp_path / "temp",
        cache=tmp_path / "cache",
    )
    with host.using(folders):
        yield folders


@pytest.fixture
def passes(model: Model) -> Iterator[list[int]]:
    """Grows with every pass of the denoiser."""
    seen: list[int] = []
    hook = model.denoiser.module.register_forward_pre_hook(lambda *_: seen.append(1))
    yield seen
    hook.remove()


def invert(model: Model, clip: Tensor, check: bool = True) -> Any:
    prompt = model.text.encode("a shape")
    return EvenframeInvert.execute(
        ModelHandle(model), clip, prompt, STEPS, "own, mid", check, 1, -1
    )


def test_the_second_time_the_check_is_found_too(model, clip, passes: list[int]):
    first = invert(model, clip)
    assert len(passes) == 2 * STEPS
    second = invert(model, clip)
    assert len(passes) == 2 * STEPS
    assert torch.equal(first[1], second[1]) and first[2] == second[2] > 0
    assert first[1].shape == (1, 64, 2 * 128, 3)
    assert second.ui["text"][0].startswith("found on disk; reconstruction ")


def test_an_inversion_can_be_checked_later(model, clip, passes: list[int]):
    assert invert(model, clip, check=False)[2] == 0
    assert len(passes) == STEPS
    assert invert(model, clip)[2] > 0
    assert len(passes) == 2 * STEPS
    assert invert(model, clip, check=False)[2] == 0
    assert invert(model, clip)[2] > 0
    assert len(passes) == 2 * STEPS


def test_what_was_saved_is_offered_and_loaded(model, clip, session: Session):
    inversion = invert(model, clip, check=False)[0]
    EvenframeSaveInversion.execute(inversion, "sub/kept")
    shown = EvenframeSaveInversion.execute(inversion, "sub/kept").ui["text"]
    assert shown == ["kept_00002_.safetensors"]
    (choice,) = EvenframeLoadInversion.define_schema().inputs
    names = [f"sub/kept_0000{number}_.safetensors [output]" for number in (1, 2)]
    assert choice.options == names  # type: ignore[attr-defined]
    read = EvenframeLoadInversion.execute(names[1])[0]
    assert torch.equal(read.trajectory, inversion.trajectory)
    stamp = EvenframeLoadInversion.fingerprint_inputs(names[1])
    assert stamp is not None and stamp[0].startswith(str(session.output))


def test_a_name_that_another_save_has_just_taken_is_never_overwritten(
    model, clip, session: Session, monkeypatch: pytest.MonkeyPatch
):
    inversion = invert(model, clip, check=False)[0]
    taken = session.output / "x_00001_.safetensors"

    def looked_too_early(self: Numbered) -> Iterator[Path]:
        taken.write_text("another's")
        return map(self.at, (1, 2))

    monkeypatch.setattr(Numbered, "following", looked_too_early)
    assert EvenframeSaveInversion.execute(inversion, "x").ui["text"] == ["x_00002_.safetensors"]
    assert taken.read_text() == "another's"
    assert len(list(session.output.iterdir())) == 2


def test_no_inversion_is_lost_for_its_picture(model, clip, session: Session):
    session.temp.write_text("in the way")
    result = invert(model, clip)
    assert result[2] > 0 and result.ui["images"] == []
    assert "No picture is shown: The folder" in result.ui["text"][0]


def test_no_seed_is_drawn_anew_unasked():
    """The editor gives inputs of these names a control, and sets it to randomize where it is not
    told otherwise: each run would invert, or edit, again."""
    for node in node_classes():
        for socket in node.GET_SCHEMA().inputs:
            if socket.id in ("seed", "noise_seed"):
                control = getattr(socket, "control_after_generate", None)
                assert control is not None and str(control) != "randomize", node
