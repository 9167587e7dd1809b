"""Colours around the regions, and what they tell of an editor's drift inside."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from evenframe.pipelines.common.grids import Box
from evenframe.pipelines.pasting.edge import Edge
from evenframe.pipelines.pasting.only_there import only_there
from evenframe.pipelines.pasting.rim import drift
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import Fitting, clip_from_images, fit_clip
from evenframe.pipelines.video.fit import resize

WIDE, HIGH, FRAMES = 400, 272, 2
BOXES = {
    "middle": (130, 90, 270, 190),
    "corner": (260, 160, 400, 272),
    "left edge": (0, 0, 120, 272),
    "nearly all": (30, 28, 372, 246),
}
SHADOW = 14
"""Pixels beside a region that an editor changed, too."""


def landscape(low: float = 0.1, high: float = 0.9) -> Tensor:
    """(f, h, w, 3) in bytes' steps: waves that are the weaker, the finer they are, moving."""
    noise = torch.Generator().manual_seed(5)
    down, across = torch.fft.fftfreq(HIGH)[:, None], torch.fft.rfftfreq(WIDE)[None]
    strength = 1 / (down**2 + across**2).sqrt().clamp(min=1 / HIGH)
    phases = torch.fft.rfft2(torch.rand(3, HIGH, WIDE, generator=noise))
    waves = torch.fft.irfft2(phases * strength, (HIGH, WIDE))
    waves = (waves - waves.mean()) / (4 * waves.std()) + 0.5
    frame = (low + (high - low) * waves.clamp(0, 1)).permute(1, 2, 0)
    frames = torch.stack([frame.roll((2 * i, 3 * i), (0, 1)) for i in range(FRAMES)])
    return stored(frames)


def stored(frames: Tensor) -> Tensor:
    return (frames.clamp(0, 1) * 255).round() / 255


def drifted(frames: Tensor) -> Tensor:
    """Gains of 0.9 to 1.1 and offsets, other ones for each frame and channel."""
    times, channels = torch.arange(FRAMES)[:, None], torch.arange(3)
    gain = 1 + 0.1 * torch.sin(1.0 + 2.1 * times + 2 * channels)
    offset = 0.04 * torch.cos(0.5 + 1.3 * times + channels)
    return stored(frames * gain[:, None, None] + offset[:, None, None])


def edit_of(
    frames: Tensor, box: Box, *, inside: bool = False, beside: bool = False, half: bool = False
) -> Tensor:
    """inside: whether the region is another than before. beside: whether there is a new shadow to
    its right. half: at half the size."""
    left, top, right, bottom = map(int, box)
    edited = frames.clone()
    if inside:
        edited[:, top:bottom, left:right] = 1 - edited[:, top:bottom, left:right]
    if beside:
        edited[:, top:bottom, right : right + SHADOW] *= 0.6
    return resize(edited, (WIDE // 2, HIGH // 2)) if half else edited


def pasted(frames: Tensor, edited: Tensor, box: Box, rim_match: bool) -> np.ndarray:
    clip = clip_from_images(frames, 8)
    regions = Regions((box_region([box] * FRAMES, (HIGH, WIDE), name="it"),), FRAMES, (HIGH, WIDE))
    film = only_there(clip, edited, regions, Edge(feather=0, rim_match=rim_match))
    return np.stack([shot.pixels for shot in film.shots()]).astype(float)


def seam(result: np.ndarray, truth: np.ndarray, box: Box) -> float:
    """How far colours are from what they were without a drift, along the inside of the border."""
    left, top, right, bottom = map(int, box)
    near = np.ones((HIGH, WIDE), bool)
    near[
        top and top + 6 : bottom - 6 * (bottom < HIGH),
        left and left + 6 : right - 6 * (right < WIDE),
    ] = 0
    near &= inside_of(box)
    return float(np.abs((result - truth)[:, near].mean(1)).mean())


def inside_of(box: Box) -> np.ndarray:
    left, top, right, bottom = map(int, box)
    inside = np.zeros((HIGH, WIDE), bool)
    inside[top:bottom, left:right] = 1
    return inside


HOW = {
    "as it was": {},
    "edited": {"inside": True},
    "with a shadow": {"inside": True, "beside": True},
    "half the size": {"inside": True, "half": True},
    "all of it": {"inside": True, "beside": True, "half": True},
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_a_drift_leaves_no_seam_and_outside_stays(box: Box, how: dict[str, bool]):
    frames = landscape()
    right = edit_of(frames, box, **how)
    truth = pasted(frames, stored(right), box, rim_match=False)
    before = pasted(frames, drifted(right), box, rim_match=False)
    after = pasted(frames, drifted(right), box, rim_match=True)
    assert seam(before, truth, box) > 5
    assert seam(after, truth, box) <= 0.2 * seam(before, truth, box)
    outside = ~inside_of(box)
    assert (after[:, outside] == frames.mul(255).round().numpy()[:, outside]).all()


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_without_a_drift_nothing_changes(box: Box, how: dict[str, bool]):
    frames = landscape()
    edited = stored(edit_of(frames, box, **how))
    off, on = (pasted(frames, edited, box, rim_match=match) for match in (False, True))
    assert np.abs(on - off).max() <= 1


@pytest.mark.parametrize(
    "fitting",
    [
        Fitting("crop", 8, width=208, height=240),
        Fitting("pad", 16, width=400, height=400),
        Fitting("stretch", 16, width=624, height=320),
    ],
    ids=["crop", "pad", "larger"],
)
def test_a_drift_of_frames_that_were_made_to_fit(fitting: Fitting):
    clip = fit_clip(clip_from_images(landscape(), 8), fitting)
    size, box = (clip.height, clip.width), (60, 100, clip.width - 50, clip.height - 90)
    regions = Regions((box_region([box] * FRAMES, size, name="it"),), FRAMES, size)

    def pasted_as(edited: Tensor, rim_match: bool) -> np.ndarray:
        shots = only_there(clip, edited, regions, Edge(0, 0, False, rim_match)).shots()
        return np.stack([shot.pixels for shot in shots]).astype(float)

    truth, before, after, still = (
        pasted_as(edited, match)
        for edited, match in (
            (clip.frames, False),
            (drifted(clip.frames), False),
            (drifted(clip.frames), True),
            (stored(clip.frames), True),
        )
    )
    changed = (before != truth).any((0, 3))
    off, on = (np.abs((each - truth)[:, changed].mean(1)).mean() for each in (before, after))
    assert changed.any() and not changed.all() and on <= 0.2 * off
    assert (after == truth)[:, ~changed].all() and np.abs(still - truth).max() <= 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.12), (0.92, 1.1), (0.5, 0.5), (0.48, 0.52)])
def test_dark_bright_and_flat_surroundings(low: float, high: float):
    """Where colours are cut off at black and white, the seam still goes."""
    frames, box = landscape(low, high), BOXES["middle"]
    truth = frames.mul(255).round().numpy()
    before, after = (pasted(frames, drifted(frames), box, rim_match=on) for on in (False, True))
    assert seam(after, truth, box) <= 0.2 * seam(before, truth, box)
    assert np.abs(pasted(frames, frames, box, rim_match=True) - truth).max() <= 1


def test_nothing_is_known_without_surroundings():
    frame, whole = torch.rand(64, 64, 3), torch.zeros(64, 64)
    assert drift(frame * 0.9, frame, whole) is None
    whole[:10, :40] = 1
    assert drift(frame * 0.9, frame, whole) is None


def test_what_was_repainted_is_no_drift():
    frame, rim = torch.rand(96, 96, 3), torch.ones(96, 96)
    assert drift(torch.rand(96, 96, 3) * 0.2, frame, rim) is None
    found = drift(frame * 0.95 + 0.02, frame, rim)
    assert found is not None
    gain, offset = found
    assert gain.tolist() == pytest.approx([1 / 0.95] * 3, abs=0.01)
    assert offset.tolist() == pytest.approx([-0.02 / 0.95] * 3, abs=0.005)
    assert math.isclose(float(gain[0] * 0.515 + offset[0]), 0.52, abs_tol=0.02)
