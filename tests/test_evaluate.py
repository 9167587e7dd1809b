"""`evenframe evaluate` and its node: what they print, write, and refuse before the work."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from pathlib import Path

import pytest
import torch

from evenframe.__main__ import main
from evenframe.nodes.evaluate import EvenframeEvaluate
from evenframe.nodes.host import host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.pictures import to_image
from evenframe.pipelines.measure.evaluate import NAMES
from evenframe.pipelines.measure.reading import read_mask
from evenframe.pipelines.video import save

HEAD = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 1, 0, 0, 0, 0)
BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + HEAD + struct.pack(">II", zlib.crc32(HEAD), 9) + b"IDAT"
"""The head of a picture that would need gigabytes."""


def moving(count: int = 3, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    columns = torch.arange(size[1])
    rows = [torch.sin((columns - 3 * t) / 5) / 2 + 0.5 for t in range(count)]
    return torch.stack(rows)[:, None, :, None].expand(-1, size[0], -1, 3).contiguous()


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path]:
    clip = moving()
    darker = clip.clone()
    darker[:, 16:32, 16:48] *= 0.5
    source = save(tmp_path / "source.mp4", clip, 8, crf=1)
    return source, save(tmp_path / "result.mp4", darker, 8, crf=1)


def test_every_measure_is_printed_and_written(
    clips: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    mask = torch.zeros(48, 64, 3)
    mask[14:34, 14:50] = 1
    to_image(mask).save(tmp_path / "mask.png")
    files = [tmp_path / "rows.json", tmp_path / "rows.csv"]
    arguments = ["evaluate", *map(str, clips), "--prompt", "a dark wave", "--json", str(files[0])]
    arguments += ["--csv", str(files[1]), "--mask", str(tmp_path / "mask.png"), "--frames", "3"]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert all(f"\n{name} " in f"\n{told.out}" for name in NAMES)
    assert "CLIP-T" in told.out and "not measured: no folder of judges is given" in told.out
    assert "The first 3 frames are measured" in told.err and "9/9" in told.err
    rows = {row["name"]: row for row in json.loads(files[0].read_text())}
    assert rows["outside PSNR"]["value"] > 40 and rows["outside SSIM"]["value"] > 0.98
    assert rows["CLIP-T"]["value"] is None and rows["CLIP-T"]["why"]
    table = list(csv.DictReader(files[1].read_text().splitlines()))
    assert [row["name"] for row in table] == list(NAMES)
    assert main(arguments) == 1 and "rows.json' is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--judges", "none"], "There is no folder 'none'"),
        (["--frames", "-1"], "--frames is -1"),
        (["--json", "none/rows.json"], "There is no folder 'none'"),
        (["--questions", "none.json"], "'none.json' holds no questions"),
        (["--mask", "none.png"], "'none.png' cannot be read"),
        (["--mask", "bomb.png"], "'bomb.png' cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    clips: tuple[Path, Path],
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(clips[0].parent)
    Path("bomb.png").write_bytes(BOMB)
    assert main(["evaluate", *map(str, clips), *more]) == 1
    told = capsys.readouterr()
    assert message in told.err and "Traceback" not in told.err and not told.out


def test_clips_of_other_sizes_and_lengths_are_compared_as_far_as_they_go(
    clips: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "frames"
    folder.mkdir()
    for at, frame in enumerate(moving(2, (24, 32))):
        to_image(frame).save(folder / f"{at:05}.png")
    assert main(["evaluate", str(clips[0]), str(folder)]) == 0
    told = capsys.readouterr().err
    assert "has 3 frames and 'frames' 2: the first 2 are compared" in told
    assert "is 32x24: measured at the source's 64x48" in told
    (tmp_path / "empty").mkdir()
    assert main(["evaluate", str(clips[0]), str(tmp_path / "empty")]) == 1
    assert "holds no pictures" in capsys.readouterr().err
    to_image(moving(1, (8, 8))[0]).save(folder / "00002.png")
    assert main(["evaluate", str(clips[0]), str(folder)]) == 1
    assert "differ in size from '00002.png' on" in capsys.readouterr().err


def test_a_mask_is_a_picture_a_video_or_regions(tmp_path: Path):
    half = torch.zeros(2, 32, 64, 3)
    half[:, :, :32] = 1
    wanted = half[..., 0]
    to_image(half[0]).save(tmp_path / "mask.png")
    save(tmp_path / "mask.mp4", half, 8, crf=1)
    box = {"name": "left", "box": [0, 0, 0.5, 1]}
    (tmp_path / "mask.json").write_text(json.dumps({"version": 1, "regions": [box]}))
    for name in ("mask.png", "mask.mp4", "mask.json"):
        assert torch.equal(read_mask(tmp_path / name, 2, (32, 64)), wanted), name
    with pytest.raises(EvenframeError, match="has 2 frames, but 3 are measured"):
        read_mask(tmp_path / "mask.mp4", 3, (32, 64))


def test_the_node_measures_without_judges_and_finds_those_of_the_host(tmp_path: Path):
    assert isinstance(host, StandaloneHost)
    clip, mask = moving(), torch.zeros(1, 12, 16)
    mask[:, :6] = 1
    with host.using(Session(models=(tmp_path,), temp=tmp_path)):
        result = EvenframeEvaluate.execute(clip, clip * 0.5, edited_mask=mask)
        rows = {row["name"]: row for row in json.loads(result[1])}
        assert rows["Warp-Err"]["value"] > 0 and rows["outside PSNR"]["value"] > 0
        assert "no folder of judges" in rows["CLIP-T"]["why"]
        assert result[0] in result.ui["text"]
        (tmp_path / "judges" / "clip").mkdir(parents=True)
        with pytest.raises(EvenframeError, match=r"judge '.*clip' has no config.json"):
            EvenframeEvaluate.execute(clip, clip)
        EvenframeEvaluate.execute(clip, clip, ask_judges=False)
        with pytest.raises(EvenframeError, match="edited_mask has 2 frames and the source 3"):
            EvenframeEvaluate.execute(clip, clip, "", "", False, mask.expand(2, -1, -1))
