"""Whether the frames of a clip find room in memory, told before they are made."""

from dataclasses import dataclass
from math import prod

import torch

from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, in_bytes
from .sizes import Fit

SHARE = 0.8
"""Of the free memory, what the frames of a clip may take: their edit needs some, too."""
PIXEL = 3 * 4
"""Bytes of a pixel in float32."""
IN_WORK = 18
"""Bytes for each pixel of the source, and of 8 bits, that the decoder and the making of one frame
hold at a time: as many as 12 decoded 4:2:0 frames."""


@dataclass(frozen=True)
class Budget:
    """Memory for the frames of one clip.

    name: what they come from, at the beginning of a sentence. free: bytes, before any is made.
    """

    name: str
    free: int

    @classmethod
    def of(cls, name: str, free: FreeMemory) -> "Budget":
        """With the main memory that is free now."""
        return cls(name, free(torch.device("cpu")))

    def most(self, how: Fit, depth: int = 1) -> int:
        """How many frames find room.

        how: what becomes of each. depth: bytes a channel of the source. Where a frame is cropped,
        the source's is held as well, as decoded, to paste the edit back into.
        """
        left = self.free * SHARE - self._in_work(how, depth)
        return max(0, int(left // self._held(how, depth)))

    def require(self, how: Fit, frames: int, depth: int = 1) -> None:
        """Raise EvenframeError where so many frames find no room; what could be set is said."""
        most = self.most(how, depth)
        if frames <= most:
            return
        wide, high = how.size
        count = "1 frame" if frames == 1 else f"{frames} frames"
        needed = self._in_work(how, depth) + frames * self._held(how, depth)
        fewer = f"max_frames to {most} or less, or " if most else ""
        raise EvenframeError(
            f"{self.name}: {count} of {wide}x{high} need {in_bytes(needed)} of memory, and "
            f"{in_bytes(self.free * SHARE)} may be used. Set {fewer}max_side below "
            f"{max(wide, high)}{'' if most else ', or take smaller frames'}."
        )

    def _in_work(self, how: Fit, depth: int) -> int:
        return prod(how.source) * IN_WORK * depth + prod(how.scaled) * PIXEL

    def _held(self, how: Fit, depth: int) -> int:
        """Bytes of each frame that is kept."""
        return prod(how.size) * PIXEL + (prod(how.source) * 3 * depth if how.cuts else 0)
