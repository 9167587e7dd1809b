"""Save frames and sound as a video file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.progress import OnFrame, OnNote
from ..common.whole_file import Numbered, write_new
from .audio import Audio
from .clip import rgb_frames
from .film import Film, Shot, at_rate, film_of
from .formats import Format, chosen
from .metadata import add_gif_comment, add_xmp, disclosure, packed
from .scaling import BT709, LIMITED, Convert, converter
from .undo import Undo

if TYPE_CHECKING:
    from av import VideoFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
SOUND_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)


def save(
    path: str | PathLike[str] | Numbered,
    frames: Tensor | Film,
    frame_rate: float | Fraction | None = None,
    audio: Audio | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    undo: Undo | None = None,
    crf: int | None = None,
    disclose: bool = True,
    on_frame: OnFrame | None = None,
    on_note: OnNote | None = None,
) -> Path:
    """Write a new video file; its ending chooses the format: .mp4, .mov, .mkv, .webm or .gif.

    path: where, or a name that is yet to get its number; the path that it got is returned.
    frames: (f, h, w, 3) float, 0..1, other images as in `clip_from_images`; or a film.
    frame_rate: frames a second; None takes a film's own, or 8.
    audio: sound that starts with the first frame; cut where the frames end. A GIF has none. None
        takes a film's own.
    metadata: fields to write into the file, see `workflow_metadata`; `disclose` adds that the
        video was edited with generative AI, whatever these say.
    undo: brings each frame of images back to its source's size just before it is written, see
        `undo_clip`.
    crf: quality of H.264 (0..51, 16 when None) or VP9 (0..63, 24 when None), less is better.
    on_frame: where it raises, no file is left.
    on_note: called for anything that is not as given (an odd size made even).

    The file gets its name when it is complete. The same frames give the same bytes: one thread, no
    dates, no random numbers. Colours are BT.709.
    Raises EvenframeError: the file exists, no such folder, unknown ending, crf out of range, disk
    full, frames that are none.
    """
    target = path if isinstance(path, Numbered) else Path(path)
    kind, note = chosen(target.suffix, crf), on_note or (lambda _: None)
    film = _film(frames, frame_rate, audio, undo, note)
    sound, pictures = sound_for(kind, film.sound(), note), _Pictures.of(film, kind, note)
    fields = {**(metadata or {}), **(disclosure() if disclose else {})}

    def write(partial: Path) -> None:
        if kind.name == "gif":
            _write_gif(partial, kind, pictures, on_frame)
            add_gif_comment(partial, packed(fields))
        else:
            _write(partial, kind, pictures, sound, fields, crf, on_frame)
            if disclose and kind.boxes:
                add_xmp(partial)

    return write_new(target, write)


def _film(
    frames: Tensor | Film,
    frame_rate: float | Fraction | None,
    audio: Audio | None,
    undo: Undo | None,
    note: OnNote,
) -> Film:
    if isinstance(frames, Film):
        film = frames if frame_rate is None else at_rate(frames, frame_rate)
        return film if audio is None else replace(film, sound=lambda: audio)
    images, warnings = rgb_frames(frames)
    for warning in warnings:
        note(warning)
    return film_of(images, 8 if frame_rate is None else frame_rate, audio, undo)


@dataclass(frozen=True, eq=False)
class _Pictures:
    """The frames of a film as the file holds them."""

    film: Film
    width: int
    height: int
    tick: Fraction

    @classmethod
    def of(cls, film: Film, kind: Format, note: OnNote) -> "_Pictures":
        """H.264 stores colour for 2x2 pixels: an odd side is repeated once at its end."""
        (width, height), rate = film.size, film.frame_rate
        wide, high = (side + side % 2 if kind.even else side for side in film.size)
        if (wide, high) != film.size:
            note(
                f"The frames are {width}x{height}: the file is {wide}x{high}, since H.264 "
                "needs even sides (the last column or row is repeated)."
            )
        if kind.name == "gif" and rate > 50:
            note(f"A GIF shows at most 50 frames a second: browsers slow {float(rate):g} down.")
        return cls(film, wide, high, max(film.tick, kind.finest))

    def __iter__(self) -> Iterator[tuple[int, Shot]]:
        """Each with its time in ticks, which grows."""
        last = -1
        for pixels, time in self.film.shots():
            last = max(last + 1, round(time / self.tick))
            below, beside = self.height - len(pixels), self.width - pixels.shape[1]
            if below or beside:
                pixels = np.pad(pixels, ((0, below), (0, beside), (0, 0)), "edge")
            yield last, Shot(pixels, time)


def sound_for(kind: Format, audio: Audio | None, note: OnNote) -> Audio | None:
    """The sound as the format can hold it."""
    if audio is None or audio.samples.numel() == 0:
        return None
    if not kind.sound_codec:
        note("A GIF has no sound: it was left out.")
        return None
    if not bool(audio.samples.isfinite().all()):
        raise EvenframeError("The sound has samples that are not numbers: repair or leave it out.")
    channels = audio.samples.shape[0]
    if channels in LAYOUTS:
        return audio
    note(f"The sound has {channels} channels: the first two were kept.")
    return Audio(audio.samples[:2], audio.sample_rate)


def _write(
    partial: Path,
    kind: Format,
    pictures: _Pictures,
    audio: Audio | None,
    fields: Mapping[str, str],
    crf: int | None,
    on_frame: OnFrame | None,
) -> None:
    """Encode frames and sound side by side, so that the file plays from the start."""
    import av

    options = {"fflags": "+bitexact"}
    if kind.boxes:  # any field names; the index before the pictures, where readers look for it
        options["movflags"] = "use_metadata_tags+faststart"
    with av.open(str(partial), "w", format=kind.name, options=options) as container:
        container.metadata.update(fields)
        video = _video_stream(container, kind, pictures, crf)
        sound = SoundWriter(container, kind, audio) if audio is not None else None
        convert, least, before = converter(), 1 / pictures.film.frame_rate, Fraction(0)
        for done, (ticks, shot) in enumerate(pictures, 1):
            container.mux(video.encode(_picture(convert, shot.pixels, kind.pixels, ticks)))
            if sound is not None:  # players show the last frame as long as the one before
                sound.write_until(shot.time + max(least, shot.time - before))
            before = shot.time
            if on_frame is not None:
                on_frame(done)
        container.mux(video.encode(None))
        if sound is not None:
            sound.finish()


def _video_stream(
    container: "OutputContainer", kind: Format, pictures: _Pictures, crf: int | None = None
) -> "VideoStream":
    options = {"crf": str(kind.crf if crf is None else crf)} if kind.crf else {}
    rate, options = pictures.film.frame_rate, kind.options | options
    stream = cast("VideoStream", container.add_stream(kind.codec, rate=rate, options=options))
    stream.codec_context.time_base = pictures.tick
    stream.height, stream.width = pictures.height, pictures.width
    stream.pix_fmt = kind.pixels
    stream.thread_count = 1
    stream.bit_rate = 0
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED
    return stream


def _picture(convert: Convert, pixels: np.ndarray, layout: str, ticks: int) -> "VideoFrame":
    from av import VideoFrame

    picture = VideoFrame.from_ndarray(pixels, format="rgb24")
    picture = convert(picture, format=layout, dst_colorspace=BT709, dst_color_range=LIMITED)
    picture.colorspace, picture.color_range = BT709, LIMITED
    picture.pts = ticks
    return picture


class SoundWriter:
    """Feeds sound to the file as far as the pictures have come."""

    def __init__(self, container: "OutputContainer", kind: Format, audio: Audio) -> None:
        self._container = container
        self._samples = audio.samples.float().clamp(-1, 1).contiguous()
        self._rate = audio.sample_rate
        self._layout = LAYOUTS[audio.samples.shape[0]]
        self._written = 0
        rate = self._rate if self._rate in SOUND_RATES and not kind.sound_rate else 48000
        self._stream = cast(
            "AudioStream", container.add_stream(kind.sound_codec, rate=rate, layout=self._layout)
        )
        self._stream.bit_rate = 96_000 * audio.samples.shape[0]
        self._stream.codec_context.thread_count = 1

    def write_until(self, seconds: Fraction) -> None:
        """Write what plays before `seconds`."""
        from av import AudioFrame

        end = min(self._samples.shape[1], round(seconds * self._rate))
        if end <= self._written:
            return
        piece = self._samples[:, self._written : end].contiguous().numpy()
        frame = AudioFrame.from_ndarray(piece, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts = self._rate, self._written
        frame.time_base = Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))
        self._written = end

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))


def _write_gif(partial: Path, kind: Format, pictures: _Pictures, on_frame: OnFrame | None) -> None:
    """A GIF with one palette of 256 colours for the whole clip."""
    import av

    with av.open(str(partial), "w", format="gif", options={"fflags": "+bitexact"}) as container:
        stream = _video_stream(container, kind, pictures)
        for picture in _paletted(pictures, on_frame):
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _paletted(pictures: _Pictures, on_frame: OnFrame | None) -> Iterator:
    """Frames in the colours of one palette that is chosen over all of them."""
    import av
    from av.filter import Graph

    graph, size = Graph(), (pictures.width, pictures.height)
    source = graph.add_buffer(None, *size, av.VideoFormat("rgb24"), time_base=pictures.tick)
    split, choose = graph.add("split"), graph.add("palettegen")
    use, sink = graph.add("paletteuse", "sierra2_4a"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(choose, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    done = 0
    for done, (ticks, shot) in enumerate(pictures, 1):
        picture = av.VideoFrame.from_ndarray(shot.pixels, format="rgb24")
        picture.pts, picture.time_base = ticks, pictures.tick
        graph.vpush(picture)
        if on_frame is not None:
            on_frame(done)
    graph.vpush(None)
    for _ in range(done):
        yield graph.vpull()
