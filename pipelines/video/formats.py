"""The video files that can be written, and how."""

from dataclasses import dataclass, field
from fractions import Fraction

from ..common.errors import EvenframeError


@dataclass(frozen=True)
class Format:
    """A container and its codecs.

    even: whether both sides must be even. boxes: an ISO base media file (mp4, mov), which takes
    free field names only when asked. sound_rate: whether the sound codec needs 48 kHz. finest: the
    shortest time in seconds that it tells apart.
    """

    name: str
    codec: str
    pixels: str
    crf: int = 0
    max_crf: int = 51
    options: dict[str, str] = field(default_factory=dict)
    even: bool = False
    boxes: bool = False
    sound_codec: str = ""
    sound_rate: bool = False
    finest: Fraction = Fraction(0)


# yuv420p plays everywhere. Few frames, seen closely: quality before size.
# x264's macroblock tree, in its SIMD form, does not give the same bytes every time.
_X264 = {"preset": "medium", "mbtree": "0"}
_VP9 = {"deadline": "good", "cpu-used": "3", "row-mt": "0", "b": "0"}

FORMATS = {
    ".mp4": Format("mp4", "libx264", "yuv420p", 16, 51, _X264, True, True, "aac"),
    ".mov": Format("mov", "libx264", "yuv420p", 16, 51, _X264, True, True, "aac"),
    ".mkv": Format("matroska", "libx264", "yuv420p", 16, 51, _X264, True, False, "aac"),
    ".webm": Format("webm", "libvpx-vp9", "yuv420p", 24, 63, _VP9, False, False, "libopus", True),
    ".gif": Format("gif", "gif", "pal8", finest=Fraction(1, 100)),
}


def chosen(suffix: str, crf: int | None = None) -> Format:
    """The format of a file's ending, such as ".mp4".

    Raises EvenframeError for an unknown one, and for a quality that it does not have (None: its
    own).
    """
    kind = FORMATS.get(suffix.lower())
    if kind is None:
        raise EvenframeError(
            f"'{suffix}' is an ending that cannot be written: use {', '.join(FORMATS)}."
        )
    if crf is not None and not 0 <= crf <= kind.max_crf:
        raise EvenframeError(f"crf is {crf}: give 0 (best) to {kind.max_crf} for {suffix}.")
    return kind
