"""A decoded frame as upright RGB pixels."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..common.progress import OnNote
from .clip import ALPHA_WARNING, on_black
from .scaling import BT709, UNSPECIFIED, converter

if TYPE_CHECKING:
    from av import VideoFrame

BAND = 32  # rows that are in memory at once as floats
HIGH_DEFINITION = 720  # lines from which players take an unnamed matrix for BT.709
# No camera's pixels are wider or higher; a wrong number would make frames too large to hold.
WIDEST = Fraction(4)
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}

Matrix = tuple[int, int, int, int]


class PixelReader:
    """Turns frames of one video into arrays of one size: (h, w, 3), 8 or 16 bits a channel.

    size: (width, height) that they have, upright; None takes that of the first frame.
    """

    def __init__(
        self, pixel_aspect: Fraction | None, note: OnNote, size: tuple[int, int] | None = None
    ) -> None:
        self._convert = converter()
        self._aspect = _sound_aspect(pixel_aspect, note)
        self._note = note
        self._wanted = size
        self._stored: tuple[int, int] | None = None
        self._matrix: Matrix | None = None

    def read(self, frame: "VideoFrame") -> np.ndarray:
        """(h, w, 3) uint8, or uint16 for sources of more than 8 bits."""
        components = frame.format.components
        alpha = any(part.is_alpha for part in components) or frame.format.name == "pal8"
        deep = max((part.bits for part in components), default=8) > 8
        layout = ("rgba64le" if alpha else "rgb48le") if deep else ("rgba" if alpha else "rgb24")
        if self._matrix is None:  # of the first frame: all have one size
            # A frame that was asked for it waits for the garbage collector, so a tiny one is asked.
            self._matrix = display_matrix(self._convert(frame, 2, 2, "rgb24"))
        width, height = self._size(frame, self._matrix)
        named = frame.colorspace != UNSPECIFIED or frame.height < HIGH_DEFINITION
        rgb = self._convert(
            frame,
            width,
            height,
            layout,
            src_colorspace=None if named else BT709,
        ).to_ndarray()
        transfer = HDR_TRANSFERS.get(getattr(frame, "color_trc", UNSPECIFIED))  # PyAV 17
        if transfer is not None:
            self._note(
                f"The colours are HDR ({transfer}) and taken as they are: "
                "they will look pale. Convert the file to SDR first."
            )
        if alpha:
            rgb = self._composited(rgb)
        return np.ascontiguousarray(upright(rgb, self._matrix))

    def _size(self, frame: "VideoFrame", matrix: Matrix) -> tuple[int, int]:
        """Width and height with square pixels, the same for every frame."""
        own = max(1, round(frame.width * self._aspect)), frame.height
        if self._stored is None and self._wanted is not None:
            wide, high = self._wanted
            self._stored = (high, wide) if _is_quarter_turn(matrix) else (wide, high)
        if self._stored is None:
            self._stored = own
            if self._aspect != 1:
                self._note(
                    f"The pixels are not square ({self._aspect.numerator}:"
                    f"{self._aspect.denominator}): frames were made "
                    f"{self._stored[0]} wide instead of {frame.width}."
                )
        elif own != self._stored:
            self._note("The frames change their size: all were resized to that of the first.")
        return self._stored

    def _composited(self, rgba: np.ndarray) -> np.ndarray:
        top = np.iinfo(rgba.dtype).max
        if int(rgba[..., 3].min()) == top:
            return rgba[..., :3]
        self._note(ALPHA_WARNING)
        out = np.empty_like(rgba, shape=(*rgba.shape[:2], 3))
        for row in range(0, len(rgba), BAND):  # all of a large frame as floats would be too much
            rows = slice(row, row + BAND)
            rgb, _ = on_black(torch.from_numpy(rgba[rows].astype(np.float32) / top))
            out[rows] = (rgb.numpy() * top).round()
        return out


def _sound_aspect(aspect: Fraction | None, note: OnNote) -> Fraction:
    """A pixel's width by its height; 1 where the file gives none, or one that cannot be."""
    if not aspect or aspect <= 0:
        return Fraction(1)
    if 1 / WIDEST <= aspect <= WIDEST:
        return aspect
    note(
        f"The pixels' shape in the file ({aspect.numerator}:{aspect.denominator}) lies outside "
        f"1:{WIDEST} to {WIDEST}:1 and was ignored: the frames keep their stored size."
    )
    return Fraction(1)


def display_matrix(frame: "VideoFrame") -> Matrix:
    """The 2x2 part (a, b, c, d) of the frame's display matrix: how a camera was held.

    A pixel at (x, y) is shown at (a x + c y, b x + d y), y pointing down. The frame and what is
    asked here hold each other until the garbage collector comes.
    """
    side_data: Any = frame.side_data  # a container of buffers, not a dictionary
    for data in side_data:
        if getattr(getattr(data, "type", None), "name", "") == "DISPLAYMATRIX":
            values = np.frombuffer(bytes(data), dtype="<i4")
            a, b, _, c, d = (int(value) for value in values[:5])
            return a, b, c, d
    return 1, 0, 0, 1


def upright(pixels: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Turn and mirror (h, w, c) pixels by the nearest of the eight ways a frame can be shown."""
    across, b, c, down = matrix
    if _is_quarter_turn(matrix):  # rows become columns
        pixels, across, down = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _is_quarter_turn(matrix: Matrix) -> bool:
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)
