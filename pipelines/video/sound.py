"""The sound that belongs to a stretch of a video."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .clip import Audio
from .source import Findings, opened

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# Decoders need a little sound before the wanted part to settle.
LEAD = Fraction(1, 2)
# Times are rounded in files: pieces that lie closer than this follow one another without a gap.
GAP = Fraction(1, 50)


def read_sound(path: Path, start: Fraction, seconds: Fraction, findings: Findings) -> Audio | None:
    """The sound from `start` on, `seconds` long or as much as there is; None without any.

    start: in seconds of the file's clock, which is that of its frames. What the file leaves silent
    before or between is silent. The part is read by itself: nothing before it is kept.
    """
    with opened(path) as container:
        stream = _audio_stream(container, findings)
        if stream is None:
            return None
        if start > LEAD:
            _go_to(container, stream, start - LEAD)
        sound = _placed(_pieces(container, stream, findings), start, seconds)
        if sound is None:
            findings.note("The sound of the file does not reach the frames that were kept.")
        return sound


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
    except FFmpegError:
        container.seek(0)


def _pieces(
    container: "InputContainer", stream: "AudioStream", findings: Findings
) -> Iterator["AudioFrame"]:
    """Decoded sound as planar float, in the layout and rate that it began with."""
    from av.audio.resampler import AudioResampler
    from av.error import FFmpegError

    resampler = None
    try:
        for packet in container.demux(stream):
            for frame in packet.decode():
                if resampler is None:
                    resampler = AudioResampler("fltp", frame.layout, frame.sample_rate)
                yield from resampler.resample(frame)
    except FFmpegError:
        findings.note("The sound could not be decoded to its end.")


def _placed(pieces: Iterator["AudioFrame"], start: Fraction, seconds: Fraction) -> Audio | None:
    """Put each piece where its time says, relative to `start`."""
    first = next(pieces, None)
    if first is None:
        return None
    rate = first.sample_rate
    out = torch.zeros(len(first.layout.channels), max(1, round(seconds * rate)))
    length, end = out.shape[1], 0
    position = _due(first, start, rate, 0)
    for piece in chain([first], pieces):
        due = _due(piece, start, rate, position)
        if abs(due - position) > GAP * rate:
            position = due
        if position >= length:
            break
        samples = torch.from_numpy(piece.to_ndarray())  # channels n
        early, late = max(0, -position), min(samples.shape[1], length - position)
        if late > early:
            end = position + late
            out[:, position + early : end] = samples[:, early:late]
        position += samples.shape[1]
    return Audio(out[:, :end].contiguous(), rate) if end else None


def _due(piece: "AudioFrame", start: Fraction, rate: int, otherwise: int) -> int:
    """The sample, counted from `start`, at which the file wants the piece to begin."""
    if piece.pts is None:
        return otherwise
    return round((piece.pts * (piece.time_base or Fraction(1, rate)) - start) * rate)
