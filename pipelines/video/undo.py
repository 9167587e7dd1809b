"""Frames back to the size that their source had, each as its turn comes."""

from dataclasses import dataclass

from torch import Tensor

from ..common.errors import EvenframeError
from .fit import as_floats, resize
from .sizes import Fit, Size


@dataclass(frozen=True, eq=False)
class Undo:
    """What brings single frames back; made by `undo`, and by `fitted.undo_clip`.

    size: (width, height) of the results. said: what is done, in one line.
    how: the fit that is undone; None leaves frames as they are.
    around: (f, h, w, 3), the source's frames that a crop is pasted into.
    """

    size: Size
    said: str = ""
    how: Fit | None = None
    around: Tensor | None = None

    def frame(self, index: int, frame: Tensor) -> Tensor:
        """Frame number `index` of the clip, (h, w, 3), at its former size: floats in 0..1."""
        how = self.how
        if how is None:
            return frame
        if self.around is not None:
            left, top, right, bottom = how.box()
            whole = as_floats(self.around[index]).clone()
            whole[top:bottom, left:right] = resize(frame[None], (right - left, bottom - top))[0]
            return whole
        if how.mode == "pad":
            frame = frame[how.top : how.top + how.scaled[1], how.left : how.left + how.scaled[0]]
        return resize(frame[None], how.source)[0]


def undo(frames: Tensor, how: Fit, around: Tensor | None = None) -> Undo:
    """How to undo a fit on frames of the fitted size.

    stretch: they are resized back. pad: the border is removed, then they are resized back. crop:
    they are pasted into `around`, (f, h, w, 3) frames of the source's size (floats or as decoded),
    where they were cut out; without it they stay cropped.
    Raises EvenframeError when frames or source frames are of another size or number.
    """
    size = frame_size(frames)
    if size != how.size:
        raise EvenframeError(
            f"The frames are {size[0]}x{size[1]}, but the clip was fitted to "
            f"{how.size[0]}x{how.size[1]}: give frames of that size, or save without the clip."
        )
    wide, high = how.source
    if how.untouched:
        return Undo(size, f"{wide}x{high}: as in the source")
    change = f"{size[0]}x{size[1]} -> {wide}x{high}"
    if not how.cuts:
        done = "border removed" if how.mode == "pad" else "resized back"
        return Undo(how.source, f"{change}: {done}", how)
    if around is None:
        return Undo(
            size,
            f"{size[0]}x{size[1]}: stays cropped, since the source's {wide}x{high} frames are not "
            "given",
        )
    if around.ndim != 4 or around.shape[1:] != (high, wide, frames.shape[3]):
        raise EvenframeError(
            f"The source frames have the shape {tuple(around.shape)}: "
            f"give (frames, {high}, {wide}, {frames.shape[3]})."
        )
    if len(around) != len(frames):
        raise EvenframeError(
            f"There are {len(frames)} frames and {len(around)} source frames: "
            "give as many of one as of the other."
        )
    pasted = f"pasted back into the source frames, whose {how.unedited()} are unedited"
    return Undo(how.source, f"{change}: {pasted}", how, around)


def frame_size(frames: Tensor) -> Size:
    return (frames.shape[2], frames.shape[1]) if frames.ndim == 4 else (0, 0)
