"""Sizes, pixel formats and colour matrices by swscale, the same bytes every time."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import VideoFrame

# Bicubic, full chroma, exact rounding, no shortcuts that differ between processors.
EXACT = 0x4 | 0x2000 | 0x4000 | 0x40000 | 0x80000
# Values of AVColorSpace, AVColorPrimaries and AVColorTransferCharacteristic, and AVColorRange.
BT709, UNSPECIFIED, LIMITED = 1, 2, 1

Convert = Callable[..., "VideoFrame"]


def converter() -> Convert:
    """A function (frame, width, height, format, ...) -> frame, as `VideoReformatter.reformat`.

    Keep it for all frames of a video: it reuses its tables.
    """
    import av
    from av.video.reformatter import VideoReformatter

    # PyAV 16 knows one thread only; later versions take as many as there are processors.
    single = {"threads": 1} if int(av.__version__.partition(".")[0]) > 16 else {}
    return partial(VideoReformatter().reformat, interpolation=EXACT, **single)
