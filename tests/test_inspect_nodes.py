"""The nodes that look inside, where they do more than call one function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from evenframe.nodes.host import host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.nodes.inspect import EvenframeContactSheet
from evenframe.pipelines.common.errors import EvenframeError


@pytest.fixture(autouse=True)
def session(tmp_path: Path) -> Iterator[None]:
    assert isinstance(host, StandaloneHost)
    with host.using(Session(temp=tmp_path)):
        yield


def test_a_sheet_takes_linked_clips_in_the_order_of_the_sockets():
    first, second, last = (torch.full((2, 8, 64, 3), shade) for shade in (0.2, 0.4, 0.6))
    result = EvenframeContactSheet.execute("one\ntwo\nthree\n", 2, i=last, c=second, a=first)
    sheet = result[0]
    assert sheet.shape == (2, 52, 128, 3)
    assert [sheet[0, 20, 0, 0], sheet[0, 20, 64, 0], sheet[0, 50, 0, 0]] == pytest.approx(
        [0.2, 0.4, 0.6]
    )
    assert result.ui["text"] == ["one\ntwo\nthree"] and len(result.ui["images"]) == 1


def test_a_sheet_without_labels_is_the_clips_alone():
    clip = torch.rand(2, 8, 8, 3)
    assert torch.equal(EvenframeContactSheet.execute(" \n", 3, a=clip)[0], clip)
    with pytest.raises(EvenframeError, match="There are 2 labels for 1 clips"):
        EvenframeContactSheet.execute("one\ntwo", 3, a=clip)
