"""The network that finds people: its file, its looks, and the guided filter after them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_people import Figure, drawn, meadow, overlap
from numpy.typing import NDArray
from torch import Tensor

from evenframe.benchmarks import person as bench
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.regions.tracking import packages, person
from evenframe.pipelines.regions.tracking.guided import guided_filter
from evenframe.pipelines.regions.tracking.person import Segmenter, find_people, load_segmenter

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter()


def test_the_readme_tells_the_shipped_file():
    readme = (person.FILE.parent / "README.md").read_text(encoding="utf-8")
    assert person.FILE.name in readme and person.SHA256 in readme
    assert f"{person.FILE.stat().st_size:,} bytes" in readme
    assert "Apache License" in (person.FILE.parent / "LICENSE").read_text(encoding="utf-8")


def test_another_file_is_refused_before_anything_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", lambda *_: pytest.fail("it was read"))
    damaged = tmp_path / person.FILE.name
    told = (
        "^'selfie_segmentation_landscape.tflite', which finds people, is damaged or missing: inst"
    )
    with pytest.raises(EvenframeError, match=told):
        load_segmenter(damaged)
    data = bytearray(person.FILE.read_bytes())
    data[1000] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(EvenframeError, match=told):
        load_segmenter(damaged)


def test_what_is_wrong_with_opencv_is_told(monkeypatch: pytest.MonkeyPatch):
    def unable(*_: Any) -> None:
        raise cv2.error("Unsupported operator type MEAN")

    monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", unable)
    with pytest.raises(EvenframeError, match=rf"^OpenCV {re.escape(cv2.__version__)} cannot read"):
        load_segmenter()
    monkeypatch.delattr(cv2.dnn, "readNetFromTFLite")
    with pytest.raises(EvenframeError, match="^Finding people needs OpenCV, of which only a part"):
        load_segmenter()
    monkeypatch.setitem(packages.sys.modules, "cv2", None)
    told = "^Finding people needs OpenCV, which is not installed: .* or choose another tracker.$"
    with pytest.raises(EvenframeError, match=told):
        load_segmenter()


@pytest.mark.parametrize(
    "figure, size",
    [
        (Figure(160, 20), (180, 320)),
        (Figure(60, 30), (180, 320)),
        (Figure(200, 60, 0.5), (180, 320)),
        (Figure(100, 40, 0.8), (240, 240)),
        (Figure(75, 120, 0.8), (240, 150)),
        (Figure(60, 20, 0.5), (95, 127)),
    ],
)
def test_a_person_is_found(segmenter: Segmenter, figure: Figure, size: tuple[int, int]):
    frame, labels = drawn([figure], size)
    assert overlap(find_people(segmenter, frame), labels > 0) > 0.9


def test_two_people_are_found(segmenter: Segmenter):
    frame, labels = drawn([Figure(70, 20), Figure(235, 70, 0.7, (150, 60, 60))])
    found = find_people(segmenter, frame)
    assert overlap(found, labels > 0) > 0.9
    assert len(person.boxes_of(found)) == 2


@pytest.mark.parametrize("size", [(180, 320), (64, 64), (1, 1), (3, 300)])
def test_where_nobody_is_nobody_is_found(segmenter: Segmenter, size: tuple[int, int]):
    for frame in (torch.from_numpy(meadow(size)).float() / 255, torch.zeros(*size, 3)):
        found = find_people(segmenter, frame)
        assert found.shape == size and not found.any()


def test_a_small_person_needs_the_second_look(segmenter: Segmenter):
    frame, labels = drawn([Figure(500, 250, 0.5)], (480, 854))
    first = segmenter.look(frame, (0, 0, 854, 480)).numpy() >= person.LIKELY
    found = overlap(find_people(segmenter, frame), labels > 0)
    assert found > 0.9 and found > overlap(first, labels > 0) + 0.05


def test_a_person_too_small_for_the_first_look_is_found_in_a_drawn_box(segmenter: Segmenter):
    frame, labels = drawn([Figure(500, 250, 0.12)], (480, 854))
    assert not find_people(segmenter, frame).any()
    box = (490.0, 247.0, 510.0, 270.0)
    assert not find_people(segmenter, frame, near=[box]).any(), "nothing says that they are there"
    assert overlap(find_people(segmenter, frame, drawn=[box]), labels > 0) > 0.6


def test_windows_that_overlap_are_one_and_the_largest_are_looked_at():
    size = (100, 200)
    assert person._windows([(20, 20, 40, 60), (43, 20, 60, 50)], size) == [(16, 16, 63, 64)]
    assert person._windows([(-5, -5, 300, 300)], size) == [(0, 0, 200, 100)]
    assert person._windows([(199.5, 99.5, 300, 300)], size)[0][2:] == (200, 100)
    apart = [(x, y, x + 4.0, y + 4.0 + x / 50) for x in range(5, 190, 30) for y in (10.0, 60.0)]
    windows = person._windows(apart, size)
    assert len(windows) == person.MOST_LOOKS
    assert all(window[0] > 90 for window in windows), "where the boxes are highest"


def slow(guide: NDArray, mask: NDArray, radius: int, smoothing: float) -> NDArray:
    """The guided filter as the paper writes it, window by window, in float64."""
    guide, mask = guide.astype(np.float64), mask.astype(np.float64)
    rows, columns = mask.shape
    slopes, offsets = np.zeros((rows, columns, 3)), np.zeros((rows, columns))

    def window(row: int, column: int) -> tuple[slice, slice]:
        return (
            slice(max(0, row - radius), row + radius + 1),
            slice(max(0, column - radius), column + radius + 1),
        )

    for row, column in np.ndindex(rows, columns):
        colours = guide[window(row, column)].reshape(-1, 3)
        values = mask[window(row, column)].ravel()
        spread = np.cov(colours.T, bias=True) + smoothing * np.eye(3)
        shared = (colours * values[:, None]).mean(0) - colours.mean(0) * values.mean()
        slopes[row, column] = np.linalg.solve(spread, shared)
        offsets[row, column] = values.mean() - slopes[row, column] @ colours.mean(0)
    filtered = np.zeros((rows, columns))
    for row, column in np.ndindex(rows, columns):
        slope = slopes[window(row, column)].reshape(-1, 3).mean(0)
        filtered[row, column] = slope @ guide[row, column] + offsets[window(row, column)].mean()
    return filtered


@pytest.mark.parametrize("radius", [1, 3, 20])
@pytest.mark.parametrize("smoothing", [1e-3, 1e-2])
def test_the_guided_filter_is_that_of_the_paper(radius: int, smoothing: float):
    rng = np.random.default_rng(0)
    guide = rng.random((17, 23, 3), np.float32)
    guide[:, 10:] *= (0.3, 0.2, 0.1)
    mask = np.clip(rng.normal(0.5, 0.5, (17, 23)), 0, 1).astype(np.float32)
    filtered = guided_filter(guide, mask, radius, smoothing)
    assert filtered.dtype == np.float32
    assert np.abs(filtered - slow(guide, mask, radius, smoothing)).max() < 1e-4


def test_grey_frames_are_guides_too():
    grey = np.random.default_rng(1).random((40, 50, 1), np.float32).repeat(3, -1)
    mask = (grey[..., 0] > 0.5).astype(np.float32)
    filtered = guided_filter(grey, mask, 4, person.SMOOTHING)
    assert np.abs(filtered - slow(grey, mask, 4, person.SMOOTHING)).max() < 1e-3


def test_a_mask_takes_over_the_edge_of_the_picture():
    guide = np.zeros((60, 60, 3), np.float32)
    guide[:, 30:] = (0.8, 0.3, 0.5)
    ramp = np.clip((np.arange(60, dtype=np.float32) - 22) / 16, 0, 1)  # it rises by 0.06 a pixel
    filtered = guided_filter(guide, np.tile(ramp, (60, 1)), 8, person.SMOOTHING)
    assert (filtered[:, :30] < 0.5).all() and (filtered[:, 30:] > 0.5).all()
    assert (filtered[:, 30] - filtered[:, 29]).min() > 0.4


class Told(Segmenter):
    """Sees what it is told, (h, w) probabilities of a frame, and 1 wherever it looks again."""

    def __init__(self, first: Tensor) -> None:
        super().__init__(None)
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "again", [])

    def look(self, frame: Tensor, window: person.Window) -> Tensor:
        return self.first  # pyright: ignore[reportAttributeAccessIssue]

    def look_again(self, frame: Tensor, window: person.Window) -> Tensor:
        self.again.append(window)  # pyright: ignore[reportAttributeAccessIssue]
        return torch.ones(window[3] - window[1], window[2] - window[0])


def test_a_box_of_the_frame_before_is_looked_at_where_somebody_is_still_in_it():
    first = torch.zeros(100, 200)
    first[45:55, 95:105] = 0.9
    told: Any = Told(first)
    frame = torch.rand(100, 200, 3, generator=torch.Generator().manual_seed(0))
    found = find_people(told, frame, near=[(80.0, 30.0, 120.0, 70.0), (10.0, 10.0, 30.0, 30.0)])
    assert told.again == [(76, 26, 124, 74)]
    assert found[26:74, 76:124].all() and found.sum() == 48 * 48
    first[45:55, 95:105] = 0.4
    assert not find_people(told, frame, near=[(80.0, 30.0, 120.0, 70.0)]).any()


def test_specks_are_nobody():
    first = torch.zeros(100, 200)
    first[50, 50:60] = 1
    told: Any = Told(first)
    assert not find_people(told, torch.zeros(100, 200, 3)).any() and told.again == []


def test_the_outlines_are_of_twelve_frames():
    drawn_by_hand = json.loads(bench.OUTLINES.read_text(encoding="utf-8"))
    assert [len(frames) for frames in drawn_by_hand.values()] == [3, 3, 3, 3]
    sizes = [(512, 512), (656, 656), (144, 176), (272, 640)]
    for (height, width), frames in zip(sizes, drawn_by_hand.values(), strict=True):
        for outline in frames.values():
            points = np.concatenate([np.array(ring) for ring in outline])
            assert (points >= 0).all() and (points <= (width + 1, height + 1)).all()
            assert 0.05 < bench.filled(outline, (height, width)).mean() < 0.6


def test_an_outline_is_filled_to_the_pixel_and_its_holes_are_not():
    square = [[1.0, 1.0], [7.0, 1.0], [7.0, 5.0], [1.0, 5.0]]
    hole = [[3.0, 2.0], [5.0, 2.0], [5.0, 4.0], [3.0, 4.0]]
    truth = np.zeros((6, 8), bool)
    truth[1:5, 1:7] = True
    truth[2:4, 3:5] = False
    assert overlap(bench.filled([square, hole], (6, 8)), truth) > 0.7
    large = np.kron(truth, np.ones((20, 20), bool))
    rings = [[[20 * x, 20 * y] for x, y in ring] for ring in (square, hole)]
    assert overlap(bench.filled(rings, large.shape), large) > 0.99


def test_people_are_found_on_real_clips(segmenter: Segmenter):
    if not bench.CLIPS.is_dir():
        pytest.skip(f"no clips in {bench.CLIPS}")
    judged = 0
    for path, number, outline in bench.outlines():
        if path.parent != bench.CLIPS:
            continue
        [frame] = bench.frames_to(path, number, before=0)
        truth = bench.filled(outline, (frame.shape[0], frame.shape[1]))
        assert overlap(find_people(segmenter, frame), truth) >= 0.85, (path.name, number)
        judged += 1
    assert judged == 6
