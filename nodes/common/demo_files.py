"""The built-in clips among the files of a loader: a workflow begins with one, and goes on with a
video of the user's own in the same node."""

from __future__ import annotations

import torch

from ...miniature.demo import SCENES, scene_clip
from ...pipelines.common.checks import require_choice, require_whole
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
    return clip_of_scene(_FILES[file], most, file)[0]


def clip_of_scene(scene: str, max_frames: int, source: str = "demo clip") -> tuple[Clip, str]:
    """So many frames of one of `SCENES`, and what they show. source: what messages call them.

    Raises EvenframeError out of range.
    """
    require_choice("scene", scene, tuple(SCENES))
    require_whole("max_frames", max_frames, 1, MAX_FRAMES)
    frames, prompt = scene_clip(scene, max_frames)
    return clip_from_images(torch.from_numpy(frames), FRAME_RATE, source=source), prompt
