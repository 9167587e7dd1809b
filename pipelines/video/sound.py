"""The sound that belongs to a stretch of a video."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .audio import Audio
from .clock import LONGEST, RESETTABLE, RESTART
from .findings import Findings
from .source import opened, packets_of

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# Decoders need a little sound before the wanted part to settle.
LEAD = Fraction(1, 2)
# Times drift in files: pieces that lie closer than this, or than half a piece, have no gap between.
GAP = Fraction(1, 50)
# Matroska and others round times to a millisecond; a gap of whole pieces is exactly that long.
ROUNDING = Fraction(1, 500)
# Samples, those of all channels counted: 23 minutes of mono at 48 kHz are 256 MiB. Silence costs
# a file nothing, so that it may have less.
MOST_SAMPLES, MOST_SILENCE = 2**26, 2**24


def read_sound(path: Path, start: Fraction, seconds: Fraction, findings: Findings) -> Audio | None:
    """The sound from `start` on, `seconds` long or as much as there is; None without any.

    start: in seconds of the clock that the frames have. What the file leaves silent before or
    between is silent. The part is read by itself: nothing before it is kept.
    """
    with opened(path) as container:
        stream = _audio_stream(container, findings)
        if stream is None:
            return None
        if start > LEAD and not findings.restarts:  # else the file's own times say little
            _go_to(container, stream, start - LEAD)
        said = len(findings.notes)
        line = _Timeline(start, findings.restarts, container.format.name in RESETTABLE)
        parts, rate = _placed(_pieces(container, stream, findings), line, seconds, findings)
        if not parts:
            if len(findings.notes) == said:
                findings.note("The sound of the file does not reach the frames that were kept.")
            return None
        return Audio(torch.cat(parts, 1), rate)


def missing_sound(path: Path, seconds: Fraction) -> str:
    """What to say where `read_sound`, asked for so many seconds, leaves out the last ones; ""
    otherwise, as far as the file tells how long it is."""
    with opened(path) as container:
        stream = _audio_stream(container, Findings())
        if stream is None or not container.duration:
            return ""
        context = stream.codec_context
        most = Fraction(MOST_SAMPLES, max(1, context.channels * context.sample_rate))
        if min(seconds, Fraction(container.duration, 1_000_000)) <= most:
            return ""
    return (
        f"Of the source's sound only the first {float(most):.0f} s are kept: edit a shorter piece "
        "of the video, or put the sound back with another program."
    )


def _audio_stream(container: "InputContainer", findings: Findings) -> "AudioStream | None":
    for stream in container.streams.audio:
        if stream.codec_context is not None:  # packets without a decoder would crash the process
            return stream
    if len(container.streams.audio):
        findings.note("The sound cannot be decoded and was left out.")
    return None


def _go_to(container: "InputContainer", stream: "AudioStream", start: Fraction) -> None:
    """Jump to before `start`, where the file allows it; else reading begins at the beginning."""
    from av.error import FFmpegError

    try:
        container.seek(int(start / (stream.time_base or Fraction(1, 1000))), stream=stream)
    except (FFmpegError, OverflowError):
        container.seek(0)


def _pieces(
    container: "InputContainer", stream: "AudioStream", findings: Findings
) -> Iterator["AudioFrame"]:
    """Decoded sound in the layout and rate that it began with. A damaged packet is left out."""
    from av.error import FFmpegError

    uniform = _Uniform(findings)
    unreadable = partial(findings.note, "The sound could not be decoded to its end.")
    for packet in packets_of(container, stream, unreadable):
        try:
            pieces = [piece for frame in packet.decode() for piece in uniform(frame)]
        except (FFmpegError, ValueError):
            findings.note("Damaged pieces of the sound were left silent.")
            continue
        yield from (piece for piece in pieces if piece.samples)


class _Uniform:
    """Makes sound whose layout, rate or sample format changes that of its first frame."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._resampler: AudioResampler | None = None
        self._kind = ("", 0, "")

    def __call__(self, frame: "AudioFrame") -> list["AudioFrame"]:
        from av.audio.resampler import AudioResampler

        kind = (frame.layout.name, frame.sample_rate, frame.format.name)
        if self._resampler is None:
            self._layout, self._rate = frame.layout, frame.sample_rate
        if self._resampler is None or kind != self._kind:
            first = (self._layout.name, self._rate)
            if kind[:2] != first:
                self._findings.note(
                    f"The sound changes to {kind[0]} at {kind[1]} Hz on the way: all of it was "
                    f"made {first[0]} at {first[1]} Hz, as it begins."
                )
            # Channels mixed as floats may add up to more than 1: libav scales whole numbers only.
            format = "fltp" if kind[0] == first[0] else "s32p"
            self._resampler = AudioResampler(format, self._layout, self._rate)
            self._kind = kind
        return self._resampler.resample(frame)


class _Timeline:
    """Where each piece of sound begins: where its time says, never before the last one's end.

    start: the time of sample 0. restarts: what the frames' clock added when it began anew; the
    sound's clock begins anew at the same moments. resettable: whether the clock may be set.
    """

    def __init__(self, start: Fraction, restarts: list[Fraction], resettable: bool) -> None:
        self._start = start
        self._restarts = iter(restarts)
        self._resettable = resettable
        self._offset = Fraction(0)
        self._next: int | None = None

    def place(self, piece: "AudioFrame") -> int:
        """The sample, counted from `start`, at which the piece begins."""
        rate, follow = piece.sample_rate, self._next
        position = follow or 0
        if piece.pts is not None:
            own = piece.pts * (piece.time_base or Fraction(1, rate)) - self._start
            position = round((own + self._offset) * rate)
            if follow is not None:
                position = self._after(follow, position, own, piece)
        self._next = position + piece.samples
        return position

    def _after(self, follow: int, position: int, own: Fraction, piece: "AudioFrame") -> int:
        rate, length = piece.sample_rate, piece.samples
        ahead = Fraction(position - follow, rate)
        if ahead < -RESTART or (self._resettable and ahead > LONGEST):
            self._offset = next(self._restarts, Fraction(follow, rate) - own)
            position = round((own + self._offset) * rate)
            ahead = Fraction(position - follow, rate)
        if ahead <= min(GAP, Fraction(length, 2 * rate)):
            return follow
        missing = follow + length * round(Fraction(position - follow, length))
        return missing if abs(missing - position) < ROUNDING * rate else position


def _placed(
    pieces: Iterator["AudioFrame"], line: _Timeline, seconds: Fraction, findings: Findings
) -> tuple[list[Tensor], int]:
    """Pieces (channels, n) from the timeline's start on, silence among them, and their rate."""
    parts: list[Tensor] = []
    filled = silent = rate = 0
    for piece in pieces:
        rate, channels = piece.sample_rate, len(piece.layout.channels)
        position, length = line.place(piece), max(1, round(seconds * rate))
        if position >= length:
            break
        samples = torch.from_numpy(piece.to_ndarray())  # channels n
        if not samples.is_floating_point():
            samples = samples / 2.0**31
        early, late = max(0, -position), min(samples.shape[1], length - position)
        if late <= early:
            continue
        gap = position + early - filled
        silent += gap
        if silent * channels > MOST_SILENCE:
            findings.note(f"The sound is silent for {gap / rate:.6g} s: what follows was left out.")
            break
        if position * channels > MOST_SAMPLES:
            findings.note(f"Only the first {position / rate:.6g} s of the sound were kept.")
            break
        if gap:
            parts.append(torch.zeros(channels, gap))
        parts.append(samples[:, early:late])
        filled = position + late
    return parts, rate
