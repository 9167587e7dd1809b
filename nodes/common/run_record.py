"""What made a saved video, for who wants to make it again: in the file and beside it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...pipelines.common.code_hash import code_hash
from ...pipelines.common.errors import EvenframeError
from ...pipelines.common.tensor_file import hash_tensors
from ...pipelines.common.whole_file import write_new
from ...versions import versions
from ..host import host

if TYPE_CHECKING:
    from ...pipelines.models.model import Model
    from ...pipelines.video import Clip
    from ..host import ModelHandle

FIELD = "evenframe_run"


def run_record(model: ModelHandle[Model] | None, clip: Clip | None) -> dict[str, Any]:
    """Versions, threads and device of this process, and the model and the source, where known.

    A CPU gives the same bytes for the same workflow where all of these are the same.
    """
    record: dict[str, Any] = {
        "versions": versions(),
        "code": code_hash(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": host.name,
        "device": str(host.device()),
        "threads": torch.get_num_threads(),
    }
    if model is not None:
        record["model"] = {"name": model.model.name, "fingerprint": model.model.fingerprint}
    if clip is not None:
        record["clip"] = {
            "source": clip.source,
            "frames": len(clip),
            "size": [clip.width, clip.height],
            "frame_rate": float(clip.frame_rate),
            "sha256": hash_tensors({"frames": clip.frames}, host.check_interrupt),
        }
    return record


def recorded(video: Path, record: Mapping[str, Any], prompt: Mapping[str, Any] | None) -> list[str]:
    """Write the record and the workflow as `clip_00001_.json` beside `clip_00001_.mp4`.

    prompt: the workflow in API format, from which `evenframe run` makes the video again. Returns
    what to say where that is not possible: the video is there all the same.
    """
    text = json.dumps({**record, "workflow": prompt}, indent=1)
    try:
        write_new(
            video.with_suffix(".json"), lambda path: path.write_text(text + "\n", encoding="utf-8")
        )
    except (EvenframeError, OSError) as error:
        return [f"No record was written beside it: {error}"]
    return []
