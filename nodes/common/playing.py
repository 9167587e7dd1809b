"""What the player of two clips shows beside their frames."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...pipelines.measure.change import Change, change
from ...pipelines.regions.outlines import outlines
from ...pipelines.video.filmstrip import MOST
from ...pipelines.video.soundtrack import SUFFIX, save_sound
from ..host import host
from .filmstrips import shown_files, shown_or_said, shown_strips

if TYPE_CHECKING:
    from torch import Tensor

    from ...pipelines.regions.regions import Regions
    from ...pipelines.video.clip import Clip

UI = "evenframe_player"
OUTLINES = "outlines.json"
SOUND = f"sound{SUFFIX}"
DIGITS = 5


@dataclass(frozen=True)
class Beside:
    """sound, outlines: names of files, "" without. change: of each frame."""

    sound: str
    outlines: str
    change: Change

    def told(self) -> dict[str, Any]:
        """For JSON."""
        lists = {name: _rounded(each) for name, each in asdict(self.change).items()}
        return {"sound": self.sound, "outlines": self.outlines, **lists}


def comparing(
    before: Tensor, after: Tensor, clip: Clip | None = None, regions: Regions | None = None
) -> dict[str, Any]:
    """The `ui` of a node that compares two clips (f, h, w, 3) of one shape, before and after.

    Empty in a plain process, where nobody looks. clip: gives rate and sound. regions: of these
    frames, to be outlined. Where the folder for previews takes nothing, it says so in words: the
    node's work is not lost for it.
    """
    return shown_or_said("player", lambda: _shown(before, after, clip, regions))


def _shown(
    before: Tensor, after: Tensor, clip: Clip | None, regions: Regions | None
) -> dict[str, Any]:
    rate = 8.0 if clip is None else float(clip.frame_rate)
    strips = shown_strips(before, after, frame_rate=rate)
    if not strips:
        return {}
    count = min(len(before), MOST)
    regions = regions and regions.part(range(count))
    moved = change(before[:count], after[:count], regions, host.check_interrupt)

    def make(folder: Path) -> Beside:
        audio = None if clip is None else clip.audio
        sound = audio is not None and save_sound(folder / SOUND, audio)
        if regions is not None:
            text = json.dumps(outlines(regions), separators=(",", ":"))
            (folder / OUTLINES).write_text(text, encoding="utf-8")
        return Beside(SOUND if sound else "", OUTLINES if regions is not None else "", moved)

    return strips | shown_files(UI, make)


def _rounded(values: tuple[float | None, ...]) -> list[float | None]:
    return [None if value is None else round(value, DIGITS) for value in values]
