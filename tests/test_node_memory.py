"""Memory in the nodes: asked of the right device, and what is said when it runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from evenframe.nodes.common import memory
from evenframe.nodes.edit import EvenframeDecode, EvenframeEdit
from evenframe.nodes.host import ModelHandle, host
from evenframe.nodes.inversion import EvenframeInvert
from evenframe.pipelines import editing
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source import cache as inversion_cache
from evenframe.pipelines.source.inversion import invert

ERRORS = [
    torch.OutOfMemoryError("Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    RuntimeError("CUDA error: out of memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_running_out_of_memory_keeps_its_type_and_says_first_what_to_do(error: Exception):
    with pytest.raises(type(error)) as caught, memory.advice("take fewer frames."):
        raise error
    assert type(caught.value) is type(error)
    first, *rest = str(caught.value).split("\n")
    assert first == "Out of memory: take fewer frames."
    assert rest == str(error).split("\n")


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory")])
def test_other_errors_pass_as_they_are(error: Exception):
    with pytest.raises(type(error)) as caught, memory.advice("take fewer frames."):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("check", [True, False])
def test_the_host_may_take_resident_attention_back_and_edits_stay_the_same(
    model, monkeypatch: pytest.MonkeyPatch, tmp_path, check: bool
):
    lent: list[int] = []

    def lend(items: Sequence[Any], nbytes: int) -> list[Any]:
        lent.append(nbytes)
        return loan.extend(items) or loan

    loan: list[Any] = []
    monkeypatch.setattr(host, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(host, "lend", lend)
    prompt = model.text.encode("a jeep")
    frames = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    out = EvenframeInvert.execute(
        ModelHandle(model), frames, prompt, 2, "own, mid", check, 0, -1, "resident"
    )
    inversion = out[0]
    assert lent == [sum(record.nbytes() for record in inversion.records)] and len(loan) == 2
    edits = [editing.edit(model, inversion, "a red jeep", controls=[Fusion()])]
    loan.clear()
    edits.append(editing.edit(model, inversion, "a red jeep", controls=[Fusion()]))
    assert torch.equal(*edits)


@pytest.mark.parametrize("checkpointing", ["auto", "off", "on", None])
def test_the_editor_asks_for_the_gradients_memory_before_it_needs_it(
    model, monkeypatch: pytest.MonkeyPatch, checkpointing: str | None
):
    """`auto` then decides by what the host could give."""
    size, asked, free = (64, 64), [], lambda _: 0
    inversion = invert(model, torch.full((2, *size, 3), 0.5), "a jeep", steps=1)
    box = box_region([(0.0, 0.0, 32.0, 64.0)] * 2, size, name="it", words="jeep")
    controls = ()
    if checkpointing is not None:
        controls = (Refocus(Regions((box,), 2, size), checkpointing=checkpointing),)

    def load(handle: ModelHandle, memory_bytes: int) -> Any:
        asked.append(memory_bytes)
        return handle.model

    def edit(*_: Any, **settings: Any) -> torch.Tensor:
        assert settings["free"] is free
        return inversion.trajectory[0]

    monkeypatch.setattr(host, "load", load)
    monkeypatch.setattr(host, "free_memory", free)
    monkeypatch.setattr(editing, "edit", edit)
    prompt = model.text.encode("a red jeep")
    EvenframeEdit.execute(
        ModelHandle(model), inversion, prompt, 0, controls=controls, guidance_scale=1.0
    )
    own = model.denoiser.working_bytes(2, size, branches=2)
    whole, part = (model.denoiser.gradient_bytes(2, size, checkpointed=on) for on in (False, True))
    assert part < whole and own < whole
    assert asked == [{None: own, "on": max(own, part)}.get(checkpointing, whole)]


@pytest.mark.parametrize(("windows", "at_once"), [(None, 3), (Windowing(2, 1), 2)])
def test_the_inverter_asks_for_the_one_branch_of_a_window(
    model, monkeypatch: pytest.MonkeyPatch, windows: Windowing | None, at_once: int
):
    asked: list[int] = []

    def load(handle: ModelHandle, memory_bytes: int) -> Any:
        asked.append(memory_bytes)
        raise InterruptedError

    monkeypatch.setattr(host, "load", load)
    frames, prompt = torch.full((3, 64, 64, 3), 0.5), model.text.encode("a jeep")
    with pytest.raises(InterruptedError):
        EvenframeInvert.execute(
            ModelHandle(model), frames, prompt, 1, "own", False, 0, -1, windows=windows
        )
    assert asked == [model.denoiser.working_bytes(at_once, (64, 64), branches=1)]
    assert asked[0] < model.denoiser.working_bytes(at_once, (64, 64), branches=2)


def test_the_decoder_asks_for_its_slice(model, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr(host, "load", lambda handle, need: asked.append(need) or handle.model)
    EvenframeDecode.execute(ModelHandle(model), {"samples": torch.zeros(3, 4, 8, 8)}, 2)
    assert asked == [model.codec.decoding_bytes(2, (64, 64))]


def test_inverter_editor_and_decoder_say_what_needs_less(
    model, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    frames = torch.full((1, 64, 64, 3), 0.5)
    prompt = model.text.encode("a jeep")
    inversion = invert(model, frames, prompt, steps=1)
    handle = ModelHandle(model)

    def fails(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(host, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(inversion_cache, "find_or_invert", fails)
    monkeypatch.setattr(editing, "edit", fails)
    monkeypatch.setattr(type(model.codec), "decode", fails)
    with pytest.raises(torch.OutOfMemoryError, match="Out of memory: set Attention Store to 'rec"):
        EvenframeInvert.execute(handle, frames, prompt, 1, "own", False, 1, -1)
    with pytest.raises(torch.OutOfMemoryError, match="Out of memory: set Attention Store to 'rec"):
        EvenframeEdit.execute(handle, inversion, prompt, 0, guidance_scale=1.0)
    with pytest.raises(torch.OutOfMemoryError, match="Out of memory: set slice_size"):
        EvenframeDecode.execute(handle, {"samples": torch.zeros(1, 4, 8, 8)}, 1)
