"""Damaged video files, read as a user's."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Any, cast

import av
import numpy as np
from fuzz.cases import damaged, edits, fuzzed
from fuzz.probe import Probe
from hypothesis import given
from hypothesis import strategies as st

FILES = {
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "aac"),
    "mkv": ("libx264", "libopus"),
    "webm": ("libvpx-vp9", "libopus"),
    "avi": ("mpeg4", "libmp3lame"),
    "ts": ("libx264", "aac"),
    "gif": ("gif", ""),
}
choices = st.fixed_dictionaries(
    {"max_frames": st.integers(1, 8)},
    optional={
        "skip": st.integers(0, 20),
        "stride": st.integers(1, 5),
        "frame_rate": st.sampled_from([0, 0.01, 5, 23.976, 1000]),
    },
)


@cache
def whole(ending: str) -> bytes:
    """A small video with sound, as programs write it."""
    file, (video, sound) = BytesIO(), FILES[ending]
    formats = {"mkv": "matroska", "ts": "mpegts"}
    with av.open(file, "w", format=formats.get(ending, ending)) as container:
        stream = cast(Any, container.add_stream(video, rate=10))
        stream.width, stream.height = 64, 32
        stream.pix_fmt = "rgb8" if ending == "gif" else "yuv420p"
        heard = cast(Any, container.add_stream(sound, rate=48000)) if sound else None
        for index in range(8):
            pixels = np.full((32, 64, 3), 30 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        if heard is not None:
            samples = np.zeros((1, 24000), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), 0
            container.mux(heard.encode(frame))
            container.mux(heard.encode(None))
        container.mux(stream.encode(None))
    return file.getvalue()


@fuzzed(few=40)
@given(st.sampled_from(list(FILES)), edits, choices)
def test_a_damaged_video_is_read_as_far_as_it_goes(probe: Probe, ending, changes, choice):
    probe("video", (ending, damaged(whole(ending), changes), choice))
