"""What the player shows beside the frames: how much changed and where, outlines, sound."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from evenframe.nodes.common import playing
from evenframe.nodes.host import host
from evenframe.nodes.inspect import EvenframeCompare
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.measure.change import change
from evenframe.pipelines.regions.outlines import outlines
from evenframe.pipelines.regions.region import box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import Audio, clip_from_images
from evenframe.pipelines.video.soundtrack import save_sound

SIZE = (32, 64)


def boxed(frames: int) -> Regions:
    """The left half of every frame."""
    return Regions((box_region([(0, 0, 32, 32)] * frames, SIZE, name="left"),), frames, SIZE)


def drawn(told: dict[str, Any], region: int = 0) -> Tensor:
    """The masks (f, rows, columns) that a region's runs stand for."""
    found: list[Tensor] = []
    for runs in told["regions"][region]["runs"]:
        if runs is None:
            found.append(found[-1])
            continue
        pieces = [torch.full((run,), float(value)) for run, value in zip(runs, cycle((0, 1)))]
        found.append(torch.cat(pieces).view(told["rows"], told["columns"]))
    return torch.stack(found)


def test_the_change_inside_and_outside_of_regions():
    before = torch.zeros(20, *SIZE, 3)
    after = before.clone()
    after[3, :, :32] = 0.5  # inside
    after[4, :, 48:] = 0.2  # half of what is outside
    seen = change(before, after, boxed(20))
    assert [seen.whole[at] for at in (2, 3, 4)] == pytest.approx([0, 0.25, 0.05])
    assert [seen.inside[at] for at in (2, 3, 4)] == pytest.approx([0, 0.5, 0])
    assert [seen.outside[at] for at in (2, 3, 4)] == pytest.approx([0, 0, 0.1])
    assert change(before, after).inside == ()


def test_where_no_pixel_is_inside_nothing_is_told():
    masks = torch.zeros(2, *SIZE)
    masks[0] = 1
    regions = Regions((mask_region(masks, 2, SIZE, name="a"),), 2, SIZE)
    seen = change(torch.zeros(2, *SIZE, 3), torch.ones(2, *SIZE, 3), regions)
    assert (seen.inside, seen.outside) == ((1.0, None), (None, 1.0))


def test_outlines_hold_every_cell_of_a_mask_and_say_once_what_stays():
    masks = torch.zeros(4, *SIZE)
    masks[0, 0, :7] = masks[3, 5:9, 60:] = 1
    masks[1:3, 4:20, 8:30] = 1
    regions = Regions((mask_region(masks, 4, SIZE, name="it", words="fish"),), 4, SIZE)
    told = json.loads(json.dumps(outlines(regions)))
    assert torch.equal(drawn(told), masks)
    assert [frame is None for frame in told["regions"][0]["runs"]] == [False, False, True, False]
    assert told["regions"][0]["words"] == "fish"


def test_outlines_of_boxes_are_fractions_and_large_masks_are_made_small():
    [region] = outlines(boxed(3))["regions"]
    assert region["boxes"] == [[0, 0, 0.5, 1], None, None]
    size = (300, 1000)
    masks = torch.zeros(1, *size)
    masks[:, :150] = 1
    told = outlines(Regions((mask_region(masks, 1, size, name="top"),), 1, size))
    assert (told["columns"], told["rows"]) == (256, 77)
    assert drawn(told).mean() == pytest.approx(0.5, abs=0.01)


def test_sound_is_as_long_and_as_loud(tmp_path: Path):
    import av

    rate, seconds = 44100, 2.5
    wave = 0.5 * torch.sin(torch.arange(int(rate * seconds)) * 440 * 2 * torch.pi / rate)
    assert save_sound(tmp_path / "sound.webm", Audio(wave.expand(2, -1), rate))
    with av.open(str(tmp_path / "sound.webm")) as file:
        heard = torch.cat([torch.from_numpy(f.to_ndarray()) for f in file.decode(audio=0)], 1)
    assert heard.shape[1] / 48000 == pytest.approx(seconds, abs=0.1)
    assert heard.std() == pytest.approx(float(wave.std()), rel=0.05)
    assert not save_sound(tmp_path / "none.webm", Audio(torch.zeros(2, 0), rate))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a browser's files go, as if there were one."""
    monkeypatch.setattr(type(host), "strips_folder", lambda self: tmp_path / "strips")
    monkeypatch.setattr(
        type(host), "saved", lambda self, path: {"subfolder": path.parent.name, "type": "temp"}
    )
    return tmp_path / "strips"


def test_compare_names_frames_rate_sound_outlines_and_change(folder: Path):
    before = torch.rand(3, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    clip = clip_from_images(before, Fraction(25, 2), Audio(torch.rand(1, 9000), 48000))
    ui = EvenframeCompare.execute(before, 1 - before, clip, boxed(3)).ui
    assert [strip["frame_rate"] for strip in ui["evenframe_strips"]] == [12.5, 12.5]
    [beside] = ui["evenframe_player"]
    own = folder / beside["subfolder"]
    assert (own / beside["sound"]).stat().st_size > 100
    assert json.loads((own / beside["outlines"]).read_text()) == outlines(boxed(3))
    wanted = change(before, 1 - before, boxed(3))
    assert beside["inside"] == pytest.approx(wanted.inside, abs=1e-5)
    [plain] = EvenframeCompare.execute(before, before).ui["evenframe_player"]
    assert (plain["sound"], plain["outlines"]) == ("", "") and plain["whole"] == [0, 0, 0]


def test_an_equal_clip_has_one_strip_however_often_it_is_compared(folder: Path):
    before, after = torch.zeros(2, *SIZE, 3), torch.ones(2, *SIZE, 3)
    first, second = (playing.comparing(before, after)["evenframe_strips"] for _ in range(2))
    assert first == second and first[0] != first[1]
    other = playing.comparing(before + 0.5, after)["evenframe_strips"]
    assert other[0] != first[0] and other[1] == first[1]


def test_a_full_disk_costs_the_player_and_not_the_node(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    folder.write_text("no folder")
    result = EvenframeCompare.execute(torch.zeros(1, *SIZE, 3), torch.ones(1, *SIZE, 3))
    assert "No player is shown" in result.ui["text"][0] and result[1] == 0


def test_regions_of_another_clip_are_refused_without_a_browser_too():
    frames = torch.zeros(2, *SIZE, 3)
    with pytest.raises(EvenframeError, match="The regions are for 5 frames"):
        EvenframeCompare.execute(frames, frames, regions=boxed(5))
    assert not EvenframeCompare.execute(frames, frames).ui
