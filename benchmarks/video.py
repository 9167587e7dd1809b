"""What is in memory while 16 frames of 4K are loaded at max_side 768, in decoded 4:2:0 frames.

Peak resident memory over that of the process once its modules are loaded, less the same for the
same clip stored at 768. Each is measured in a process of its own, which has loaded nothing before.
"""

import tempfile
from pathlib import Path

from . import main
from .camera import waves, write
from .peaks import alone, peak

FRAMES, MAX_SIDE = 16, 768
WIDE, HIGH = 3840, 2160
DECODED = WIDE * HIGH * 3 // 2
"""Bytes of one decoded frame, 4:2:0 and 8 bits."""
CAMERA = {"bf": "0", "refs": "1"}
"""No B-frames, each seen from the one before."""
TARGETS = {"video.frames_held": 12}


def held(path: Path) -> int:
    """Bytes that loading a clip takes at most, over those of the process before."""
    import av  # noqa: F401  # loaded before the measuring begins

    from ..pipelines.video import Choice, Fitting, load

    taken, clip = peak(lambda: load(path, Choice(FRAMES), Fitting(max_side=MAX_SIDE)))
    assert (len(clip), clip.width) == (FRAMES, MAX_SIDE)
    return taken


def run() -> dict[str, float]:
    """Decoded 4K frames held beyond what the small clip needs."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for width, height in ((WIDE, HIGH), (MAX_SIDE, MAX_SIDE * HIGH // WIDE)):
            path = write(Path(folder) / f"{width}.mp4", waves(width, height, FRAMES), **CAMERA)
            found.append(alone(held, path))
    return {"video.frames_held": (found[0] - found[1]) / DECODED}


if __name__ == "__main__":
    main(__file__)
