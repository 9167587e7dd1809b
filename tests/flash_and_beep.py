"""Small videos with flashes and beeps at the same moments, and where they are found again."""

import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from evenframe.pipelines.video import Clip

RATE, SECONDS, SOUND_RATE = 25, 1.6, 48000
FLASHES = (0.8, 1.2)
GAP = range(5, 19)  # frames that are left out where a gap is wanted

SOUND = {".avi": "pcm_s16le", ".webm": "libopus", ".gif": ""}
CODEC = {".webm": "libvpx-vp9", ".gif": "gif"}


class Found(NamedTuple):
    """Seconds from the first frame on at which each flash and beep begins."""

    flashes: list[float]
    beeps: list[float]


def write(path: Path, b_frames: bool = False, gap: bool = False, rate: int = RATE) -> Path:
    """A file of the kind that its ending names. b_frames: for VP9, frames that are never shown."""
    codec = CODEC.get(path.suffix, "libx264")
    options = {
        "libx264": {"bf": "2" if b_frames else "0", "g": "100", "x264-params": "b-adapt=0"},
        "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime", "auto-alt-ref": str(int(b_frames))},
    }.get(codec, {})
    sound = SOUND.get(path.suffix, "aac")
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        voice: Any = sound and container.add_stream(sound, rate=SOUND_RATE, layout="mono")
        for index in range(round(SECONDS * rate)):
            if gap and index in GAP:
                continue
            grey = 235 if index / rate in FLASHES else 60 + 4 * (index % 10)
            picture = np.full((64, 64, 3), grey, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice:
            container.mux(voice.encode(beeps()))
            container.mux(voice.encode(None))
    return path


def beeps() -> av.AudioFrame:
    seconds = np.arange(round(SECONDS * SOUND_RATE)) / SOUND_RATE
    heard = sum(((seconds >= at) & (seconds < at + 0.04)) for at in FLASHES)
    wave = (0.8 * heard * np.sin(2 * np.pi * 1000 * seconds)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
    return frame


def starts(loud: np.ndarray, least: int) -> list[int]:
    """Where something begins that was not there for `least` entries."""
    places = np.flatnonzero(loud)
    return [
        int(at)
        for at, before in zip(places, [-least, *places], strict=False)
        if at - before >= least
    ]


def found_in(clip: Clip) -> Found:
    """As the clip plays: evenly, at its own rate."""
    bright = clip.frames.mean(dim=(1, 2, 3)).numpy() > 0.75
    flashes = [index / float(clip.frame_rate) for index in starts(bright, 2)]
    if clip.audio is None:
        return Found(flashes, [])
    loud = clip.audio.samples[0].abs().numpy() > 0.1
    rate = clip.audio.sample_rate
    return Found(flashes, [index / rate for index in starts(loud, rate // 5)])


def found_by_ffmpeg(path: Path) -> Found:
    """As ffmpeg decodes the file, by the times that it gives to frames and sound."""
    command = ["ffmpeg", "-nostdin", "-copyts", "-i", str(path), "-vf", "showinfo"]
    command += ["-af", "silencedetect=n=0.1:d=0.2", "-fps_mode", "passthrough", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    frames = re.findall(r"pts_time:(\S+).*?mean:\[(\d+)", said)
    first = float(frames[0][0])
    flashes = [float(time) - first for time, mean in frames if int(mean) > 190]
    ends = re.findall(r"silence_end: (\S+)", said)[: len(FLASHES)]  # the file's end is one too
    return Found(flashes, [float(at) - first for at in ends])


def rewritten(source: Path, target: Path, change: Callable[[av.Packet], bool]) -> Path:
    """The same packets in another file. change: alters one in place; False leaves it out."""
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        streams = {each.index: after.add_stream_from_template(each) for each in before.streams}
        for packet in before.demux():
            if packet.size and change(packet):
                packet.stream = streams[packet.stream.index]
                after.mux(packet)
    return target
