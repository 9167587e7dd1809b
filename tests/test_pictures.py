"""Pictures for people."""

import pytest
import torch

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.pictures import LABEL_HEIGHT, bars, grid, heat


def test_a_heat_map_is_red_then_yellow_over_the_frame():
    maps = torch.tensor([[[0.0, 0.5, 1.0]]])
    drawn = heat(maps, torch.zeros(1, 1, 3, 3), opacity=1.0)[0, 0]
    assert drawn.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_maps_of_other_frames_are_refused():
    with pytest.raises(EvenframeError, match="The maps are of 2 frames, but 3 are given"):
        heat(torch.zeros(2, 1, 1), torch.zeros(3, 8, 8, 3))


def test_a_grid_is_filled_row_by_row_and_white_where_no_clip_is():
    clips = [torch.full((2, 4, 6, 3), shade) for shade in (0.1, 0.2, 0.3)]
    drawn = grid(clips, columns=2)
    assert drawn.shape == (2, 8, 12, 3)
    corners = drawn[0, ::4, ::6, 0].flatten()
    assert torch.equal(corners, torch.tensor([0.1, 0.2, 0.3, 1.0]))
    assert grid(clips, columns=9).shape == (2, 4, 18, 3)


def test_labels_of_a_grid_stand_above_their_clips():
    clips = [torch.zeros(2, 8, 64, 3), torch.ones(2, 8, 64, 3)]
    drawn = grid(clips, ["dark", "light"])
    assert drawn.shape == (2, 8 + LABEL_HEIGHT, 128, 3)
    strips = drawn[:, :LABEL_HEIGHT]
    assert torch.equal(strips[0], strips[1])
    assert all(side.amin() < 0.5 < side.amax() for side in strips.chunk(2, dim=2))
    assert torch.equal(drawn[:, LABEL_HEIGHT:], torch.cat(clips, dim=2))


def test_clips_of_other_sizes_and_labels_without_a_clip_are_refused():
    clip = torch.zeros(2, 8, 8, 3)
    with pytest.raises(EvenframeError, match="The clips differ in size, .1, 8, 8. and .2, 8, 8."):
        grid([clip, clip[:1]])
    with pytest.raises(EvenframeError, match="There are 2 labels for 1 clips"):
        grid([clip], ["one", "two"])


def test_bars_are_as_long_as_values_are_high():
    frames = torch.full((3, 64, 100, 3), 0.5)
    drawn = bars(torch.tensor([0.0, 0.5, 1.0]), frames)
    assert torch.equal(drawn[:, :-2], frames[:, :-2]) and frames.eq(0.5).all()
    assert (drawn[:, -1].sum(-1) > 0).sum(1).tolist() == [1, 50, 100]
    assert drawn[:, -1, 0].tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
