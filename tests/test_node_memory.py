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
from evenframe.pipelines import editing, inversion_cache
from evenframe.pipelines.controls.fusion import Fusion
from evenframe.pipelines.inversion import invert

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
    backbone, monkeypatch: pytest.MonkeyPatch, tmp_path, check: bool
):
    lent: list[int] = []

    def lend(items: Sequence[Any], nbytes: int) -> list[Any]:
        lent.append(nbytes)
        return loan.extend(items) or loan

    loan: list[Any] = []
    monkeypatch.setattr(host, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(host, "lend", lend)
    prompt = backbone.encode_prompt("a jeep")
    frames = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    out = EvenframeInvert.execute(
        ModelHandle(backbone), frames, prompt, 2, "own, mid", check, 0, -1, "resident"
    )
    inversion = out[0]
    assert lent == [sum(record.nbytes() for record in inversion.records)] and len(loan) == 2
    edits = [editing.edit(backbone, inversion, "a red jeep", controls=[Fusion()])]
    loan.clear()
    edits.append(editing.edit(backbone, inversion, "a red jeep", controls=[Fusion()]))
    assert torch.equal(*edits)


def test_inverter_editor_and_decoder_say_what_needs_less(
    backbone, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    frames = torch.full((1, 64, 64, 3), 0.5)
    prompt = backbone.encode_prompt("a jeep")
    inversion = invert(backbone, frames, prompt, steps=1)
    handle = ModelHandle(backbone)

    def fails(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(host, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(inversion_cache, "find_or_invert", fails)
    monkeypatch.setattr(editing, "edit", fails)
    monkeypatch.setattr(type(backbone), "decode", fails)
    with pytest.raises(torch.OutOfMemoryError, match="Out of memory: set Attention Store to 'rec"):
        EvenframeInvert.execute(handle, frames, prompt, 1, "own", False, 1, -1)
    with pytest.raises(torch.OutOfMemoryError, match="Out of memory: set Attention Store to 'rec"):
        EvenframeEdit.execute(handle, inversion, prompt, 1.0, 0, 0.0, 0, 0)
    with pytest.raises(torch.OutOfMemoryError, match="Out of memory: set slice_size"):
        EvenframeDecode.execute(handle, {"samples": torch.zeros(1, 4, 8, 8)}, 1)
