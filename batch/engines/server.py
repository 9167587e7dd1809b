"""A ComfyUI server over HTTP: what it is asked; its answers are bounded, and untrusted."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...pipelines.common import untrusted_json
from ...pipelines.common.errors import EvenframeError, in_short, short_repr
from ..job import Lost

SECONDS = 60
MAX_ANSWER = 64 * 2**20
MAX_FILE = 64 * 2**30
CHUNK = 2**20
AT_ONCE = 16
"""Names that are asked after at once: of the longest ones, a server takes about so many."""
MAX_DIGITS = 24
"""Of a seed's range, which may have 64 bits beside its sign."""
UPLOADS = "evenframe_batch"
NAME = re.compile(r"[^\w.() +,=@-]", re.ASCII)


class Gone(Lost, EvenframeError):
    """The server does not answer."""


class Refused(EvenframeError):
    """The server answers that it will not, and why."""


@dataclass(frozen=True)
class Server:
    """One server by its address, `http://host:port`, without a slash at its end."""

    url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))
        try:
            parts = urllib.parse.urlsplit(self.url)
            fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # half an IPv6 address, a port that is no number
            fits = False
        if not fits:
            raise EvenframeError(
                f"--server {short_repr(self.url)} is no address: write http://127.0.0.1:8188."
            )

    def made_by(self, names: Sequence[str]) -> dict[str, Any]:
        """What its route `made-by` tells, asked as often as there are many names; Refused where it
        has none, or another."""
        told, files = dict[str, Any](), dict[str, Any]()
        for start in range(0, max(1, len(names)), AT_ONCE):
            asked = {"names": list(names[start : start + AT_ONCE]) or ["none"]}
            told = self.post("/evenframe/made-by", asked, seconds=3600)
            fits = isinstance(told, dict) and told.keys() >= {"code", "versions", "files"}
            if not fits or not isinstance(told["files"], dict):
                raise Refused("what it tells has another form")
            files |= told["files"]
        return told | {"files": files}

    def get(self, path: str) -> Any:
        with self._opened(urllib.request.Request(self._at(path))) as answer:
            return _json(answer)

    def post(self, path: str, value: Any, seconds: float = SECONDS) -> Any:
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._at(path), json.dumps(value).encode(), kind)
        with self._opened(request, seconds) as answer:
            return _json(answer)

    def upload(self, path: Path, name: str) -> str:
        """Put a file into the input folder, where it is not yet; how workflows name it there."""
        edge = secrets.token_hex(16)
        fields = {"subfolder": UPLOADS, "type": "input"}
        head = "".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        )
        head += f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        begin = f"{head}Content-Type: application/octet-stream\r\n\r\n".encode()
        end = f"\r\n--{edge}--\r\n".encode()
        with path.open("rb") as file:
            size = len(begin) + os.fstat(file.fileno()).st_size + len(end)
            kind = f"multipart/form-data; boundary={edge}"
            body = _parts(begin, file, end)
            headers = {"Content-Type": kind, "Content-Length": str(size)}
            request = urllib.request.Request(self._at("/upload/image"), body, headers)  # type: ignore[arg-type]
            with self._opened(request, 3600) as answer:
                told = _json(answer)
        if not isinstance(told, dict) or not isinstance(told.get("name"), str):
            raise Refused("it does not tell what it calls a file that it was sent")
        return f"{told['subfolder']}/{told['name']}" if told.get("subfolder") else told["name"]

    def download(self, entry: Mapping[str, Any], folder: Path) -> Path:
        """Fetch a file that a run has saved, under a plain name of its own."""
        fields = {key: str(entry.get(key, "")) for key in ("filename", "subfolder", "type")}
        plain = NAME.sub("_", Path(fields["filename"]).name).lstrip(".")[-100:] or "file"
        target = folder / plain
        if target.exists():
            target = folder / f"{secrets.token_hex(4)}_{plain}"
        request = urllib.request.Request(self._at(f"/view?{urllib.parse.urlencode(fields)}"))
        with self._opened(request, 600) as answer, target.open("wb") as file:
            while chunk := _read(answer, CHUNK):
                file.write(chunk)
                if file.tell() > MAX_FILE:
                    raise Refused(f"{plain} has more than {MAX_FILE} bytes")
        return target

    def _at(self, path: str) -> str:
        return self.url + path

    @contextmanager
    def _opened(self, request: urllib.request.Request, seconds: float = SECONDS) -> Iterator[Any]:
        try:
            answer = urllib.request.urlopen(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            if error.code in (502, 503, 504):  # what stands before a server that is down
                raise Gone(f"{self.url} answers {error.code}") from error
            raise Refused(_why(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise Gone(f"{self.url} does not answer ({in_short(error)})") from error
        with answer:
            try:
                yield answer
            except http.client.HTTPException as error:
                raise Gone(f"{self.url} ended its answer ({in_short(error)})") from error


def _parts(begin: bytes, file: IO[bytes], end: bytes) -> Iterator[bytes]:
    yield begin
    while chunk := file.read(CHUNK):
        yield chunk
    yield end


def _read(answer: Any, count: int) -> bytes:
    """So many bytes, fewer at the end; HTTPException where the answer breaks off before it."""
    try:
        part = answer.read(count)
    except OSError as error:  # told apart from those of the file that it is written to
        raise http.client.HTTPException(str(error)) from error
    if len(part) < count and answer.length:  # which `read` does not tell when it is given a count
        raise http.client.IncompleteRead(part, answer.length)
    return part


def _json(answer: Any) -> Any:
    text = _read(answer, MAX_ANSWER + 1)
    if len(text) > MAX_ANSWER:
        raise Refused(f"its answer has more than {MAX_ANSWER} bytes")
    try:
        return untrusted_json.parse(text, whole=MAX_DIGITS) if text.strip() else None
    except ValueError as error:
        raise Refused(f"its answer is no JSON: {in_short(error)}") from error


def _why(error: urllib.error.HTTPError) -> str:
    """What an answer with an error says, in short."""
    try:
        told = untrusted_json.parse(error.read(MAX_ANSWER))
    except (ValueError, OSError, http.client.HTTPException):
        return f"it answers {error.code}"
    return told_error(told) or f"it answers {error.code}"


def told_error(told: Any) -> str:
    """The messages in what /prompt says of a workflow that it does not take."""
    if not isinstance(told, dict):
        return ""
    said = [_message(told.get("error"))]
    nodes = told.get("node_errors")
    for node, each in nodes.items() if isinstance(nodes, dict) else ():
        errors = each.get("errors") if isinstance(each, dict) else None
        said += [f"node {node}: {_message(e)}" for e in errors or () if isinstance(e, dict)]
    return "; ".join(part for part in said if part)[:2000]


def _message(error: Any) -> str:
    if isinstance(error, str):
        return error
    parts = (error.get("message"), error.get("details")) if isinstance(error, dict) else ()
    return " ".join(str(part) for part in parts if part)
