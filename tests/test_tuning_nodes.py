"""The nodes around a tuning: what they learn, find again, write and read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import tiny
from tiny_wan import tiny_wan

from evenframe.nodes.host import ModelHandle, host
from evenframe.nodes.host.standalone import Interrupted, Session, StandaloneHost
from evenframe.nodes.tuning import EvenframeLoadTuning, EvenframeSaveTuning, EvenframeTuneOnClip
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.model import Model

SETTINGS = {"learning_rate": 1e-3, "layers": "all", "norm": "clip", "seed": 0}


@pytest.fixture(autouse=True)
def session(tmp_path: Path) -> Iterator[Session]:
    assert isinstance(host, StandaloneHost)
    folders = Session(
        inputs=(tmp_path / "in",),
        output=tmp_path / "out",
        temp=tmp_path / "temp",
        cache=tmp_path / "cache",
        cancel=threading.Event(),
    )
    with host.using(folders):
        yield folders


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny()


def tuned(model: Model, steps: int = 2, preset: str = "as set below", frames: int = 2) -> Any:
    clip = torch.rand(frames, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    prompt = model.text.encode("a shape")
    with torch.inference_mode():
        return EvenframeTuneOnClip.execute(
            ModelHandle(model),
            clip,
            prompt,
            preset,
            steps,
            "first, -1",
            1,
            checkpointing="off",
            **SETTINGS,
        )


def test_a_tuning_is_found_again_saved_and_loaded(model, session: Session):
    first, again = tuned(model), tuned(model)
    assert "mean loss" in first.ui["text"][0] and "found on disk" in again.ui["text"][0]
    assert first[0].model.fingerprint == again[0].model.fingerprint != model.fingerprint
    assert first[0].model.denoiser.module is model.denoiser.module
    saved = EvenframeSaveTuning.execute(first[1], "mine/tuning")
    assert saved.ui["text"] == ["tuning_00001_.safetensors"]
    name = "mine/tuning_00001_.safetensors [output]"
    loaded = EvenframeLoadTuning.execute(ModelHandle(model), name)[0].model
    assert loaded.fingerprint == first[0].model.fingerprint and loaded.tuned_on == 2
    with pytest.raises(EvenframeError, match="was made on another model than 'tiny-1-128'"):
        EvenframeLoadTuning.execute(ModelHandle(tiny(1)), name)
    stamp = EvenframeLoadTuning.fingerprint_inputs(name)
    assert stamp and stamp[0].endswith("tuning_00001_.safetensors")


def test_an_interrupt_keeps_nothing(model, session: Session):
    session.cancel.set()
    with pytest.raises(Interrupted):
        tuned(model)
    assert not list(session.cache.rglob("*.safetensors*"))
    session.cancel.clear()
    assert "mean loss" in tuned(model).ui["text"][0]
    assert len(list(session.cache.rglob("*.safetensors*"))) == 1


def test_what_cannot_be_tuned_is_refused_before_the_work(model):
    with pytest.raises(EvenframeError, match="The clip has one frame"):
        tuned(model, frames=1)
    with pytest.raises(EvenframeError, match="cannot be tuned on a clip: load Stable Diffusion"):
        tuned(tiny_wan())
