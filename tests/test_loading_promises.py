"""Files that promise more than a model may hold are refused before anything believes them."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from evenframe.pipelines.common import tensor_header
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.files import folder_files as files
from evenframe.pipelines.models.stable_diffusion.single_file import load_checkpoint
from evenframe.pipelines.regions.tracking.sam import load_sam

ENTRY = b'"%d":{"dtype":"F16","shape":[0],"data_offsets":[0,0]},'


@pytest.fixture(autouse=True)
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is refused here is refused before the libraries see it."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the library was asked")

    monkeypatch.setattr(safetensors.torch, "load_file", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    yield


def refused(path: Path, load: Any = load_checkpoint) -> str:
    with pytest.raises(EvenframeError) as caught:
        load(path)
    line = str(caught.value).splitlines()[0]
    assert line.startswith(f"'{path.name}' ")
    assert any(verb in line for verb in ("choose", "convert", "download"))
    return line


def write_header(path: Path, text: bytes, length: int | None = None) -> Path:
    path.write_bytes((length or len(text)).to_bytes(8, "little") + text)
    return path


# --- safetensors


@pytest.mark.parametrize("load", [load_checkpoint, load_sam])
def test_a_header_of_99_mb_is_refused_unread(tmp_path: Path, load: Any, monkeypatch: Any) -> None:
    path = write_header(tmp_path / "a.safetensors", b"{", 99_000_000)
    with path.open("r+b") as file:
        file.truncate(99_000_008)
    monkeypatch.setattr(tensor_header.untrusted_json, "parse", None)
    assert "begins with a header of 99.0 MB, and 8.4 are read: choose" in refused(path, load)


def test_more_tensors_than_any_model_has_are_refused_unparsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = b"".join(ENTRY % number for number in range(tensor_header.MAX_TENSORS + 1))
    path = write_header(tmp_path / "a.safetensors", b"{" + many[:-1] + b"}")
    assert "names 20001 tensors, and 20000 are read" in refused(path)
    path = write_header(path, b"{" + 2 * many[:-1] + b"}")
    monkeypatch.setattr(tensor_header.untrusted_json, "parse", None)
    assert "names more tensors than any model has" in refused(path)


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype": "F16", "shape": [2], "data_offsets": [0, 8]}',
        '{"dtype": "F16", "shape": [2], "data_offsets": [4, 0]}',
        '{"dtype": "F16", "shape": [2, true], "data_offsets": [0, 4]}',
        '{"dtype": "F16", "shape": ["2"], "data_offsets": [0, 4]}',
        '{"dtype": "F16", "shape": [-2, -1], "data_offsets": [0, 4]}',
        '{"dtype": "F16", "shape": [2.0], "data_offsets": [0, 4]}',
        '{"dtype": "F16", "shape": [0, 4294967296], "data_offsets": [0, 0]}',
        '{"dtype": "F16", "shape": [1,1,1,1,1,1,1,1,2], "data_offsets": [0, 4]}',
        '{"dtype": "F16", "shape": [2], "data_offsets": [0, 4, 4]}',
        '{"dtype": "F16", "data_offsets": [0, 4]}',
        "[]",
        "null",
    ],
)
def test_entries_that_are_no_tensors_are_refused_by_name(tmp_path: Path, entry: str) -> None:
    path = write_header(tmp_path / "a.safetensors", b'{"lora_up": %s}    ' % entry.encode())
    assert "header does not describe tensors ('lora_up' is none)" in refused(path)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 19, "-" + "9" * 19, "0." + "1" * 5000])
def test_numbers_without_end_are_not_parsed(tmp_path: Path, number: str) -> None:
    path = write_header(tmp_path / "a.safetensors", b'{"a": {"shape": [%s]}}' % number.encode())
    assert "its header cannot be read" in refused(path)


# --- pickles

PICKLE = b"\x80\x02"


def write_archive(
    path: Path, content: bytes, records: dict[str, bytes] | None = None, packed: bool = False
) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else 0) as archive:
        archive.writestr("a/data.pkl", content)
        for name, record in (records or {}).items():
            archive.writestr(f"a/{name}", record)
    return path


def test_a_packed_archive_is_not_unpacked(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.ckpt", PICKLE + b"}.", {"data": bytes(2**24)}, packed=True)
    assert path.stat().st_size < 2**15
    assert "is a packed archive, which may unpack to any size: convert" in refused(path)


def test_records_that_lie_over_each_other_are_counted(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.ckpt", PICKLE + b"}.", dict.fromkeys("abc", b"1234"))
    sizes, larger = struct.pack("<LL", 4, 4), struct.pack("<LL", 2**20, 2**20)
    path.write_bytes(path.read_bytes().replace(sizes, larger))
    assert "is an archive that promises more than its" in refused(path)


@pytest.mark.parametrize("large", [False, True])
def test_an_archive_of_a_million_records_is_refused_unlisted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    end = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 65535, 65535, 2**26, 4, 0)
    if large:
        whole = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, 2**26, 4)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, 2**27 + 4, 1)
        end = whole + locator + end
    path = tmp_path / "a.ckpt"
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(2**27 + 4)
        file.seek(2**27 + 4)
        file.write(end)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    count = 1_000_000 if large else 65535
    assert f"is an archive of {count} records, more than any model has" in refused(path)


def test_a_pickle_too_large_for_a_checkpoint_is_not_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive(tmp_path / "a.ckpt", bytes(9_000_000))
    assert "holds a pickle of 9000000 bytes, 8388608 are read" in refused(path)
    write_archive(path, PICKLE + b"N" * 8_000_000 + b".")
    assert "is a pickle of more than 600000 steps" in refused(path)


class Call:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call[0], self.call[1:]


def nested(depth: int) -> tuple[Any, ...]:
    pair: tuple[Any, ...] = ()
    for _ in range(depth):
        pair = (pair, pair)
    return pair


def key_that_is_never_hashed() -> bytes:
    """{pair: None} for a pair of pairs of pairs: hashing it takes 2^60 steps."""
    whole = pickle.dumps(nested(60), 2)
    return whole[:2] + b"}" + whole[2:-1] + b"Ns."


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Call(bytearray, 10**11), 2),
        pickle.dumps(Call(torch.Tensor, 10**6, 10**6), 2),
        pickle.dumps(Call(set, [nested(60)]), 2),
        pickle.dumps(Call(OrderedDict, [(nested(60), 1)]), 2),
        key_that_is_never_hashed(),
        pickle.dumps({"a": b"bytes"}, 2),
        b"",
        PICKLE,
        PICKLE + b"s.",
        PICKLE + b"(t(t(t(",
    ],
    ids=range(10),
)
@pytest.mark.parametrize("archived", [True, False])
def test_opcodes_that_no_checkpoint_needs_are_refused(
    tmp_path: Path, content: bytes, archived: bool
) -> None:
    path = tmp_path / "a.ckpt"
    if archived:
        write_archive(path, content)
    else:
        path.write_bytes((content or PICKLE) + b"-" * 8)
    assert "is a pickle that cannot be read safely, or is damaged: " in refused(path)


def storage(count: int) -> bytes:
    """A pickle of {"a": <a storage of so many floats>}."""
    number = pickle.dumps(count, 2)[2:-1]
    name = b"X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpu" + number
    return PICKLE + b"}X\1\0\0\0a(" + name + b"tQs."


@pytest.mark.parametrize("archived", [True, False])
def test_storages_larger_than_the_file_are_refused(tmp_path: Path, archived: bool) -> None:
    path = tmp_path / "a.ckpt"
    if archived:
        write_archive(path, storage(10**12))
    else:
        path.write_bytes(3 * (PICKLE + b"N.") + storage(10**12) + PICKLE + b"].")
    assert "promises 4000000000000 bytes of weights in a file of " in refused(path)


def test_a_view_that_repeats_what_it_views_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"a": torch.zeros(1).expand(10**6, 10**3)}, path)
    monkeypatch.undo()
    assert "promises 4000000000 bytes of weights in a file of " in refused(path)


# --- settings


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{" + b" " * files.MAX_SETTINGS + b"}", "it has 1048578 bytes, and 1048576 are read"),
        (b'{"a": ' + b"9" * 5000 + b"}", "it holds a number 5000 characters long, and 18 are read"),
        (b'{"a": ' + b"[" * 5000 + b"}", "it holds too many brackets inside each other"),
        (b"[]", "is not a JSON object"),
        (b"", "is empty (0 bytes)"),
        (b"\xff\xfe{}", "cannot be read"),
    ],
)
def test_settings_have_bounds(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "unet" / "config.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(EvenframeError) as caught:
        files.read_settings(path)
    line = str(caught.value).splitlines()[0]
    assert line.startswith("'unet/config.json' ") and words in line
    assert line.endswith("download it again.")


def test_settings_may_hold_infinity(tmp_path: Path) -> None:
    """Schedulers are saved with "lambda_min_clipped": -Infinity."""
    path = tmp_path / "scheduler_config.json"
    path.write_text(json.dumps({"lambda_min_clipped": float("-inf")}))
    assert files.read_settings(path) == {"lambda_min_clipped": float("-inf")}
