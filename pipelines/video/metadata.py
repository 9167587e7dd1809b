"""What a saved file says of itself: the workflow that made it, a log, and that AI edited it."""

import json
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any
from uuid import UUID

from ..common import untrusted_json
from ..common.errors import EvenframeError
from ..common.typed_text import half_character
from .source import opened

# https://cv.iptc.org/newscodes/digitalsourcetype/: a recording partly made by a trained model.
DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
STATEMENT = "Edited with generative AI (Evenframe)."

LOG_FIELD = "evenframe_log"
LOG_BYTES = 2**18
"""What every file of a batch may carry beside its workflow; editors read 2 MiB of a file for it."""

# XMP Specification Part 3: the box of an ISO base media file that holds an XMP packet.
XMP_BOX = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def disclosure() -> dict[str, str]:
    """Container fields that say the video was edited with generative AI."""
    return {"comment": STATEMENT, "digital_source_type": DIGITAL_SOURCE_TYPE}


def workflow_metadata(
    prompt: Mapping[str, Any] | None = None, extra: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """The workflow as container fields that ComfyUI reads back when the file is dropped on it.

    prompt: the workflow in API format. extra: ComfyUI's `extra_pnginfo`, which holds `workflow`,
    the workflow as the editor shows it. Each becomes a field of its name with JSON in it.
    """
    fields = dict(extra or {})
    if prompt is not None:
        fields["prompt"] = prompt
    return {name: _json(value) for name, value in fields.items()}


def log_metadata(log: str) -> dict[str, str]:
    """A text that shall stay with a video, such as the log of a batch, as a container field.

    It comes back from `read_metadata` as `evenframe_log`, as it was given; "" makes no field.
    Raises EvenframeError where it is too long, or has characters that no field can hold.
    """
    if "\0" in log or half_character(log) is not None:
        raise EvenframeError(
            "The log has characters that no file can hold (NUL or half a surrogate pair): "
            "remove them."
        )
    size = len(log.encode())
    if size > LOG_BYTES:
        raise EvenframeError(
            f"The log has {size} bytes: a file takes at most {LOG_BYTES}. "
            "Save without it, or log a smaller batch."
        )
    return {LOG_FIELD: log} if log else {}


def _json(value: Any) -> str:
    """JSON whose braces balance even for a reader that counts those inside strings too."""

    def escaped(match: re.Match[str]) -> str:
        return match.group().replace("{", "\\u007b").replace("}", "\\u007d")

    return JSON_STRING.sub(escaped, json.dumps(value))


def read_metadata(path: str | PathLike[str]) -> dict[str, str]:
    """The fields of a video file, their names in lower case; an XMP packet as `xmp`.

    Raises EvenframeError when there is no such file or it is not a video.
    """
    with opened(Path(path), {"export_xmp": "1"}) as container:
        fields = {name.lower(): text for name, text in container.metadata.items()}
    fields.update(_packed(fields.get("comment", "")))
    return fields


def packed(fields: Mapping[str, str]) -> str:
    """All fields in one, for a format that has a single comment (GIF)."""
    return json.dumps(dict(fields))


def _packed(comment: str) -> dict[str, str]:
    if not comment.startswith("{"):
        return {}
    try:
        fields = untrusted_json.parse(comment)
    except ValueError:
        return {}
    return {str(name).lower(): str(text) for name, text in fields.items()}


def add_gif_comment(path: Path, text: str) -> None:
    """Write a comment block (GIF89a, section 24) before the first frame of a GIF file."""
    data = path.read_bytes()
    flags = data[10]
    head = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)  # screen and global colours
    body = text.encode()
    pieces = (body[start : start + 255] for start in range(0, len(body), 255))
    block = b"\x21\xfe" + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"
    path.write_bytes(data[:head] + block + data[head:])


def add_xmp(path: Path) -> None:
    """Append an XMP packet with the IPTC digital source type to an mp4 or mov file."""
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
    box = (8 + len(XMP_BOX) + len(packet)).to_bytes(4, "big") + b"uuid" + XMP_BOX + packet
    with path.open("ab") as file:
        file.write(box)
