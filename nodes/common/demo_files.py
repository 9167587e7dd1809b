"""The built-in clips among the files of a loader: a workflow begins with one, and goes on with a
video of the user's own in the same node."""

from __future__ import annotations

import torch

from ...miniature.demo import SCENES, scene_clip
from ...pipelines.video import Choice, Clip, clip_from_images

FRAME_RATE = 8
MAX_FRAMES = 16
_FILES = {f"demo: {scene}": scene for scene in SCENES}
DEMO_FILES = tuple(_FILES)
"""Their names, which no video has: a loader lists files by their endings."""


def is_demo(file: str) -> bool:
    """Whether a name is a built-in clip's, and no file's."""
    return file in _FILES


def demo_prompt(file: str) -> str:
    """What a built-in clip shows."""
    return scene_clip(_FILES[file], 1)[1]


def demo_clip(file: str, choice: Choice) -> Clip:
    """A built-in clip, which ends with the last frame that is chosen: a whole video, made for it.

    file: one of `DEMO_FILES`, else KeyError.
    """
    most = min(choice.needed or MAX_FRAMES, MAX_FRAMES)
    frames, _ = scene_clip(_FILES[file], most)
    return clip_from_images(torch.from_numpy(frames), FRAME_RATE, source=file)
