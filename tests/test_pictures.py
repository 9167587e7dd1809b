"""Pictures for people."""

import pytest
import torch

from evenframe.pipelines.errors import EvenframeError
from evenframe.pipelines.pictures import heat


def test_a_heat_map_is_red_then_yellow_over_the_frame():
    maps = torch.tensor([[[0.0, 0.5, 1.0]]])
    drawn = heat(maps, torch.zeros(1, 1, 3, 3), opacity=1.0)[0, 0]
    assert drawn.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_maps_of_other_frames_are_refused():
    with pytest.raises(EvenframeError, match="The maps are of 2 frames, but 3 are given"):
        heat(torch.zeros(2, 1, 1), torch.zeros(3, 8, 8, 3))
