"""Files whose numbers and texts lie, and pictures with hidden colours: what loads, and what not."""

import os
import re
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import Choice, load, read_metadata, unpacking
from evenframe.pipelines.video.ending import duration_of
from evenframe.pipelines.video.rate import as_rate
from evenframe.tests.flash_and_beep import write

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ("00:00:01.600000000", Fraction(8, 5)),
        ("1:2:3", 3723),
        ("100:00:00.5", Fraction(720_001, 2)),
        ("00:00:00.000000000", None),
        ("0:0:1e999999999999", None),
        ("0:0:1/3", None),
        ("0:0:" + "9" * 4000, None),
        ("9" * 4000 + ":0:0", None),
        ("-1:0:1", None),
        ("0:0:\u0661", None),  # a digit, but not one of ASCII
        ("0:0:1\n", None),
        ("", None),
    ],
)
def test_a_duration_is_digits(tag: str, seconds: Fraction | None) -> None:
    assert duration_of(tag) == seconds


def test_a_duration_with_an_exponent_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    data = write(path).read_bytes()
    tag = re.search(rb"00:00:01\.\d{9}", data)
    assert tag is not None
    path.write_bytes(data.replace(tag.group(), b"0:0:1e999999999999"))
    with av.open(str(path)) as container:
        assert container.streams.video[0].metadata["DURATION"] == "0:0:1e999999999999"
    assert len(load(path)) == 40


@pytest.mark.parametrize("rate", ["1e999999999", "1e-999999999", "9" * 5000, "1/" + "9" * 5000])
def test_a_rate_as_text_has_an_end(rate: str) -> None:
    with pytest.raises(EvenframeError, match="frame rate"):
        as_rate(rate)


def test_rates_as_text() -> None:
    assert as_rate("24") == 24 and as_rate("24000/1001") == Fraction(24000, 1001)
    assert as_rate("29.97") == Fraction(30000, 1001) and as_rate("2.5e1") == 25
    with pytest.raises(EvenframeError, match="at most 1000"):
        as_rate(Fraction(10**400))


@pytest.mark.parametrize(
    ("aspect", "width"),
    [
        (Fraction(4, 3), 128),
        (Fraction(4), 384),
        (Fraction(1, 4), 24),
        (Fraction(50), 96),
        (Fraction(5, 1), 96),
        (Fraction(1, 5), 96),
    ],
)
def test_pixels_of_no_camera_are_taken_as_square(
    tmp_path: Path, aspect: Fraction, width: int
) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 90, np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = load(path)
    assert (clip.width, clip.height) == (width, 64)
    ignored = any("ignored" in line for line in clip.warnings)
    assert len(clip.warnings) == 1 and ignored == (width == 96)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_called_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for reader in (load, read_metadata):
        with pytest.raises(EvenframeError, match="a pipe or a device: give a video file"):
            reader(tmp_path / "pipe.mp4")
        with pytest.raises(EvenframeError, match="is a folder"):
            reader(tmp_path)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def packed_index(moov: bytes, promised: int | None = None) -> bytes:
    """The index of a QuickTime film, compressed."""
    length = struct.pack(">I", len(moov) if promised is None else promised)
    data = box(b"cmvd", length + zlib.compress(moov))
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + data))


@pytest.fixture
def film(tmp_path: Path) -> Callable[[Callable[[bytes], bytes]], Path]:
    """A film whose index is what a function makes of the right one."""
    data = write(tmp_path / "whole.mov").read_bytes()
    place = data.rindex(b"moov") - 4

    def made(change: Callable[[bytes], bytes]) -> Path:
        path = tmp_path / "a.mov"
        path.write_bytes(data[:place] + change(data[place:]))
        return path

    return made


def test_a_compressed_index_is_read(film: Callable[..., Path]) -> None:
    assert len(load(film(packed_index))) == 40


@pytest.mark.parametrize(
    "change",
    [
        lambda moov: packed_index(moov[8:] + box(b"free", bytes(2**25))),
        lambda moov: packed_index(moov, 2**32 - 1),
        lambda moov: packed_index(packed_index(moov + bytes(2**20))),
        lambda moov: box(b"junk", b"") + packed_index(moov, 2**30),
        lambda moov: box(b"udta", packed_index(moov, 2**30)) + moov,
    ],
)
def test_a_compressed_index_that_swells_is_refused(
    film: Callable[..., Path], change: Callable[[bytes], bytes]
) -> None:
    path = film(change)
    for reader in (load, read_metadata):
        with pytest.raises(EvenframeError, match="compressed index that unpacks to"):
            reader(path)


def test_many_compressed_indices_are_refused(film: Callable[..., Path]) -> None:
    path = film(lambda moov: b"".join(packed_index(b"", 0) for _ in range(100)) + moov)
    for reader in (load, read_metadata):
        with pytest.raises(EvenframeError, match="has more than 8 compressed indices"):
            reader(path)


def test_what_only_begins_as_a_compressed_index_is_not_copied(
    film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the rest for each of them is quadratic: hours for 40 MB."""
    monkeypatch.setattr(unpacking, "_refuse_swollen", None)
    path = film(lambda moov: box(b"udta", b"dcomzlib" * 10_000) + moov)
    assert len(load(path)) == 40


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


TEXT = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20)))
PROFILE = chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2**20)))


def animated(header: bytes, between: bytes) -> bytes:
    """An APNG of two pictures, with chunks in its header and between the pictures."""
    size = struct.pack(">II", 16, 16)
    row = zlib.compress((b"\0" + b"\x40\x80\xc0" * 16) * 16)
    controls = [
        chunk(b"fcTL", struct.pack(">I", number) + size + struct.pack(">IIHHBB", 0, 0, 1, 10, 0, 0))
        for number in (0, 1)
    ]
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0])),
            chunk(b"acTL", struct.pack(">II", 2, 0)),
            header,
            controls[0],
            chunk(b"IDAT", row),
            between,
            controls[1],
            chunk(b"fdAT", struct.pack(">I", 2) + row),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize(("header", "between"), [(TEXT, b""), (PROFILE, b""), (b"", TEXT)])
def test_texts_in_pictures_are_not_unpacked(
    tmp_path: Path, header: bytes, between: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No decoder sees the chunks that hold them."""
    from evenframe.pipelines.video import decoder

    slim: list[bytes] = []

    def noted(data: bytes) -> bytes:
        slim.append(without_text(data))
        return slim[-1]

    without_text = decoder.without_text
    monkeypatch.setattr(decoder, "without_text", noted)
    path = tmp_path / "a.png"
    path.write_bytes(animated(header, between))
    clip = load(path)
    assert len(clip) == 2 and float(clip.frames[1, 8, 8, 2]) == pytest.approx(0xC0 / 255, abs=0.01)
    given = b"".join(slim)
    assert b"IHDR" in given and b"IDAT" in given and b"fdAT" in given
    assert b"zTXt" not in given and b"iCCP" not in given


def test_no_picture_is_decoded_while_a_file_is_opened() -> None:
    from evenframe.pipelines.video.decoder import safe_codecs

    names = safe_codecs().split(",")
    assert "png" not in names and "apng" not in names and {"h264", "vp9", "gif"} <= set(names)


def test_png_in_a_film_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb24"
        for index in range(3):
            picture = np.full((32, 32, 3), 40 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    clip = load(path)
    assert [round(float(frame.mean()) * 255) for frame in clip.frames] == [0, 40, 80]
    assert clip.timestamps == pytest.approx([0, 0.1, 0.2])


def test_a_comment_of_brackets_is_a_comment(tmp_path: Path) -> None:
    from evenframe.pipelines.video.metadata import add_gif_comment

    for comment in ('{"a":' + "[" * 100_000, '{"a":' + "9" * 5000 + "}"):
        path = write(tmp_path / "a.gif")
        add_gif_comment(path, comment)
        assert "comment" in read_metadata(path)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_hidden_colours_of_vp8_and_vp9_stay_hidden(tmp_path: Path, codec: str) -> None:
    clip = load(half_transparent(tmp_path / "a.webm", codec))
    assert float(clip.frames[:, 2, 2].max()) == 0
    assert float(clip.frames[:, 32, 48, 1].min()) > 0.6
    assert any("transparent" in line for line in clip.warnings)
    assert clip.timestamps == pytest.approx([0, 0.1, 0.2])


def test_hidden_colours_that_show_are_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from av.codec.codec import UnknownCodecError

    class Lacking:
        @staticmethod
        def create(name: str, mode: str) -> None:
            raise UnknownCodecError(name)

    path = half_transparent(tmp_path / "a.webm", "libvpx-vp9")
    monkeypatch.setattr(av, "CodecContext", Lacking)
    clip = load(path)
    assert len(clip) == 3 and "no libvpx-vp9" in clip.warnings[0]


def half_transparent(path: Path, codec: str) -> Path:
    """Green, its left half transparent."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[..., 1] = 200
    picture[:, 32:, 3] = 255
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10, options={"auto-alt-ref": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgba")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def cases() -> Path:
    if not CASES.is_dir():
        pytest.skip(f"the inputs that once failed are not at {CASES}")
    return CASES


def test_inputs_that_once_failed(cases: Path) -> None:
    def case(name: str, **choice: Any) -> Any:
        return load(cases / name, Choice(**choice))

    assert len(case("vfr_screen.mp4", frame_rate=25)) == 75
    assert float(case("vfr_screen.mp4").frame_rate) == pytest.approx(18.88, rel=0.02)
    trimmed = case("trimmed.mov")
    assert len(trimmed) == 60 and trimmed.warnings == ()
    assert float(case("alpha_vp9.webm").frames[:, 2, 2].max()) == 0
    hurt = case("hurt_sound.mp4").audio
    assert hurt.seconds == pytest.approx(2.99, abs=0.02)
    silent = (hurt.samples[0] == 0).nonzero()[:, 0]
    assert len(silent) > 900
    turned = case("mono_then_stereo.mkv")
    assert turned.audio.seconds == pytest.approx(2, abs=0.05)
    assert any("changes" in line for line in turned.warnings)
    assert len(case("duration_tag.mkv")) == 8
    apart = case("apart_1000_s.mkv")
    assert len(apart) == 16 and apart.audio.seconds < 1.1 and "1000 s" in apart.warnings[0]
    wide = case("wide_pixels.mp4")
    assert (wide.width, wide.height) == (1280, 720) and "ignored" in wide.warnings[0]
