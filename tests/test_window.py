"""Windows over long clips: which frames, and what each counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.errors import EvenframeError
from evenframe.pipelines.window import shares, windows


def counts(frames: int, size: int, stride: int) -> list[int]:
    cut = windows(frames, size, stride)
    return [sum(frame in window for window in cut) for frame in range(frames)]


def test_the_published_windows():
    assert len(windows(16, 4, 1)) == 13
    assert counts(16, 4, 1) == [1, 2, 3, *[4] * 10, 3, 2, 1]
    assert len(windows(16, 4, 3)) == 5


def test_the_last_window_ends_with_the_clip():
    assert windows(17, 4, 3)[-2:] == [range(12, 16), range(13, 17)]


def test_a_window_larger_than_the_clip_is_the_clip():
    assert windows(3, 4, 1) == [range(3)]
    assert windows(1, 1, 1) == [range(1)]


@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_every_frame_is_covered_and_counts_one(frames: int, size: int, stride: int):
    cut = windows(frames, size, min(stride, size))
    assert all(len(window) == min(size, frames) for window in cut)
    for weights in ("uniform", "triangular"):
        total = torch.zeros(frames, dtype=torch.float64)
        for window, share in zip(cut, shares(cut, weights), strict=True):
            assert (share > 0).all()
            total[window.start : window.stop] += share
        assert torch.allclose(total, torch.ones_like(total), atol=1e-12)


@pytest.mark.parametrize("weights", ["uniform", "triangular"])
def test_a_single_window_counts_exactly_one(weights: str):
    [share] = shares(windows(7, 7, 3), weights)
    assert torch.equal(share, torch.ones(7, dtype=torch.float64))


def test_triangular_weights_favour_the_middle_of_a_window():
    first, second = shares(windows(6, 4, 2), "triangular")
    assert first.tolist() == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert second.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize(
    ("cut", "starts"),
    [
        ((0, 4, 1), "The clip has 0 frames"),
        ((8, 0, 1), "The window has 0 frames: choose 1 or more"),
        ((8, 4, 5), "The stride of the windows is 5: choose 1 to 4"),
        ((8, 4, 0), "The stride of the windows is 0: choose 1 to 4"),
    ],
)
def test_windows_that_leave_out_frames_are_refused(cut: tuple[int, int, int], starts: str):
    with pytest.raises(EvenframeError) as caught:
        windows(*cut)
    assert str(caught.value).startswith(starts)


def test_weights_that_do_not_exist_are_refused():
    with pytest.raises(EvenframeError, match="window weights 'gauss' are unknown: use uniform"):
        shares([range(2)], "gauss")
