"""Sound alone, as a small file that browsers play."""

from fractions import Fraction
from pathlib import Path

from .audio import Audio
from .encode import SoundWriter, sound_for
from .formats import FORMATS

SUFFIX = ".webm"


def save_sound(path: Path, audio: Audio) -> bool:
    """Write a new file of Opus at 48 kHz; False, and none, where there is nothing to hear.

    Raises EvenframeError for samples that are not numbers.
    """
    import av

    kind = FORMATS[SUFFIX]
    sound = sound_for(kind, audio, lambda _: None)
    if sound is None:
        return False
    with av.open(str(path), "w", format=kind.name, options={"fflags": "+bitexact"}) as container:
        writer = SoundWriter(container, kind, sound)
        for second in range(1, 2 + int(sound.seconds)):
            writer.write_until(Fraction(second))
        writer.finish()
    return True
