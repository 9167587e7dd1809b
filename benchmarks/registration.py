"""How far a crop that nobody edits comes back from its place, and what making it costs.

Registration: 40 windows of a textured picture, a third of them at its edges, of other sizes than
their crops, cut out and put back; the largest shift in pixels and change of scale in per cent, by
the phase between both spectra.

Cost: 96 frames of 1080p cropped around a region: seconds over those of decoding alone, and frames
of the source in memory at a time, beyond the crops.
"""

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import main
from .camera import waves, write
from .displacement import displaced
from .peaks import alone, peak
from .video import CAMERA

FRAMES, WIDE, HIGH = 96, 1920, 1080
BOX = (800, 300, 1000, 600)
TARGETS = {
    "registration.shift_px": 0.05,
    "registration.scale_percent": 0.1,
    "registration.frames_held": 12,
}

Box = tuple[float, float, float, float]


def textured(wide: int, high: int, seed: int = 0, finest: float = 8) -> Tensor:
    """(h, w, 3) in 0..1: waves of many directions and no period below `finest` pixels."""
    noise = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.rand(3, high, wide, generator=noise, dtype=torch.float64))
    down, across = torch.fft.fftfreq(high)[:, None], torch.fft.rfftfreq(wide)[None]
    spectrum[:, (down**2 + across**2).sqrt() > 1 / finest] = 0
    waves = torch.fft.irfft2(spectrum, (high, wide))
    waves = (waves - waves.mean()) / waves.std()
    return (0.5 + 0.12 * waves).clamp(0, 1).float().permute(1, 2, 0).contiguous()


def windows(count: int = 40) -> list[tuple[Box, tuple[int, int]]]:
    """Crop windows of a frame of 480x360, a third of them at its edges, and edit sizes."""
    draw = np.random.default_rng(3)
    found = []
    for index in range(count):
        wide, high = draw.uniform(120, 300), draw.uniform(120, 300)
        left, top = draw.uniform(0, 480 - wide), draw.uniform(0, 360 - high)
        if index % 3 == 0:
            left, top = [(0.0, top), (480 - wide, 0.0), (left, 360 - high), (-9.5, -7.25)][
                index // 3 % 4
            ]
        scale = draw.uniform(0.6, 3)
        size = (round(wide * scale / 16) * 16, round(high * scale / 8) * 8)
        found.append(((left, top, left + wide, top + high), size))
    return found


def registered() -> tuple[float, float]:
    """The largest shift in pixels and change of scale, over all windows."""
    from ..pipelines.video.resample import resample, way_back

    frame, size = textured(480, 360), (480, 360)
    found = []
    for box, edit in windows():
        back = resample(resample(frame, box, edit), way_back(box, size, edit), size)
        left, top = (max(0, math.ceil(edge)) for edge in box[:2])
        right, bottom = min(size[0], math.floor(box[2])), min(size[1], math.floor(box[3]))
        inside = np.s_[top:bottom, left:right]
        found.append(displaced(frame.numpy()[inside], back.numpy()[inside]))
    shifts, scales = zip(*found, strict=True)
    return max(shifts), max(scales)


def cost(path: Path) -> tuple[float, float]:
    """Of cropping a file: seconds, and bytes at the peak, over those of decoding it.

    Seconds as a ratio, bytes as frames of the source, without the crops themselves.
    """
    from ..pipelines.pasting.crop import crop_around
    from ..pipelines.pasting.crop_window import Framing
    from ..pipelines.regions.region import box_region
    from ..pipelines.regions.regions import Regions
    from ..pipelines.video import Fitting, outline
    from ..pipelines.video.original import original
    from ..pipelines.video.targets import target

    torch.set_num_threads(1)
    clip, fitting = outline(path), target("Wan 480p").fitting(Fitting())
    regions = Regions((box_region([BOX] * FRAMES, (HIGH, WIDE), name="it"),), FRAMES, (HIGH, WIDE))

    def decode() -> int:
        return sum(1 for _ in original(clip).film.shots())

    decode()  # once, for what the system keeps of the file
    begun = time.perf_counter()
    decoding, count = peak(decode)
    between = time.perf_counter()
    cropping, crop = peak(lambda: crop_around(clip, regions, fitting, Framing(moving=True)))
    ended = time.perf_counter()
    assert count == len(crop.clip) == FRAMES
    held = cropping - decoding - crop.clip.frames.nbytes
    return (ended - between) / (between - begun), held / (WIDE * HIGH * 3)


def run() -> dict[str, float]:
    """The figures, and how the cost was found: in a process that has loaded nothing before."""
    shift, scale = registered()
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "clip.mp4", waves(WIDE, HIGH, FRAMES), **CAMERA)
        ratio, held = alone(cost, path)
    return {
        "registration.shift_px": shift,
        "registration.scale_percent": 100 * scale,
        "registration.crop_over_decoding": ratio,
        "registration.frames_held": held,
    }


if __name__ == "__main__":
    main(__file__)
