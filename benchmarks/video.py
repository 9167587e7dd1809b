"""What is in memory while 16 frames of 4K are loaded at max_side 768, in decoded 4:2:0 frames.

Peak resident memory over that of the process once its modules are loaded, less the same for the
same clip stored at 768. Each is measured in a process of its own, which has loaded nothing before.
"""

import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from . import peaks

FRAMES, MAX_SIDE = 16, 768
WIDE, HIGH = 3840, 2160
DECODED = WIDE * HIGH * 3 // 2
"""Bytes of one decoded frame, 4:2:0 and 8 bits."""
CAMERA = {"preset": "veryfast", "bf": "0", "refs": "1"}
TARGETS = {"video.frames_held": 12}


def write(path: Path, width: int, height: int, frames: int = FRAMES) -> None:
    """A clip of H.264 as cameras write it: 4:2:0, no B-frames, each seen from the one before."""
    import av

    rows, columns = np.mgrid[:height, :width] / width
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options=CAMERA)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            waves = np.sin(40 * columns + index / 4) * np.cos(30 * rows)
            grey = (127 + 100 * waves).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.repeat(grey[..., None], 3, -1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def peak(path: Path) -> int:
    """Bytes that loading a clip takes at most, over those of the process before."""
    import av  # noqa: F401  # loaded before the measuring begins

    from ..pipelines.video import Choice, Fitting, load

    taken, clip = peaks.peak(lambda: load(path, Choice(FRAMES), Fitting(max_side=MAX_SIDE)))
    assert (len(clip), clip.width) == (FRAMES, MAX_SIDE)
    return taken


def run() -> dict[str, float]:
    """Decoded 4K frames held beyond what the small clip needs."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for width, height in ((WIDE, HIGH), (MAX_SIDE, MAX_SIDE * HIGH // WIDE)):
            path = Path(folder) / f"{width}.mp4"
            write(path, width, height)
            with get_context("spawn").Pool(1) as pool:
                found.append(pool.apply(peak, (path,)))
    return {"video.frames_held": (found[0] - found[1]) / DECODED}


if __name__ == "__main__":
    print(run())
