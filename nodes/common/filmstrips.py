"""Clips that the browser steps through: those that a node has seen, and a loader's before any run.

A node names its strips in `ui["evenframe_strips"]`; what a loader would give, the page asks for
(`nodes/host/routes.py`). Both come as what `Filmstrip.told` gives, and the `subfolder` of ComfyUI's
folder for previews in which the pictures lie.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ... import miniature
from ...miniature.vocabulary import SIZE
from ...pipelines.common.checks import require_choice
from ...pipelines.common.errors import EvenframeError
from ...pipelines.common.progress import carry_on
from ...pipelines.common.tensor_file import hash_tensors
from ...pipelines.models.stable_diffusion.codec import SPACE_STRIDE
from ...pipelines.video.filmstrip import MOST, strip_of_file, strip_of_frames
from ...pipelines.video.targets import Target
from ..host import host
from .demo_files import clip_of_scene, demo_clip, is_demo
from .files import input_stamp

if TYPE_CHECKING:
    from torch import Tensor

    from ...pipelines.video import Clip
    from ..clip_load import Wanted
    from ..host import io

UI = "evenframe_strips"
RECORD = "strip.json"
MINIATURES = Target(miniature.NAME, (SIZE, SIZE), SPACE_STRIDE)
"""What the built-in model takes."""
LIMIT_BYTES = 4 * 10**9
"""Of all that is made for the browser, until the host empties its folder for previews."""
MAX_TEXT = 4096
"""Characters of an input's value that the page sends."""


class Told(Protocol):
    """What is known of files in a folder: `told` gives it for JSON."""

    def told(self) -> dict[str, Any]: ...


Make = Callable[[Path], Told]
"""Writes files into an empty folder."""


def shown_strips(*clips: Tensor, frame_rate: float = 8.0) -> dict[str, Any]:
    """The part of a node's `ui` that names clips (f, h, w, 3), in their order; empty in a plain
    process, where nobody looks. Equal clips have the same strip."""
    if host.strips_folder() is None:
        return {}

    def make(clip: Tensor) -> Make:
        return lambda folder: strip_of_frames(clip, folder, frame_rate, host.check_interrupt)

    return {UI: [kept(_clip_key(clip, frame_rate), make(clip)) for clip in clips]}


def shown_files(name: str, *makes: Make) -> dict[str, Any]:
    """The part `name` of a node's `ui`: what each of `makes` tells, and the `subfolder` in which
    its files lie; empty where there are none, and as for `shown_strips`."""
    if host.strips_folder() is None or not makes:
        return {}
    return {name: [kept(secrets.token_hex(16), make) for make in makes]}


def shown_or_said(what: str, show: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `show` names for the browser. Where the folder for previews takes nothing, a text says
    so, and that `what` is missing: the node's work is not lost for it."""
    try:
        return show()
    except (EvenframeError, OSError) as error:
        return {"text": [f"No {what} is shown: {error}"]}


def loaders_strip(node: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The strip of what a loader would give, made once for each file and its settings.

    node: its id. inputs: by name, as in a workflow in API format; `file` for one that takes a
    video from a loader of ComfyUI's. Raises EvenframeError for other nodes, and as they do.
    """
    from ..demo import EvenframeDemoClip

    if node == "EvenframeDemoClip":
        given = _given(EvenframeDemoClip, inputs)
        return kept(_key(node, given), _whole(clip_of_scene(**given)[0]))
    file, wanted = asked_of(node, inputs)
    if is_demo(file):
        clip = wanted.of(demo_clip(file, wanted.choice))
        return kept(_key(*wanted, file), _whole(clip))
    return kept(
        _key(*wanted, input_stamp(file)),
        lambda folder: strip_of_file(host.input_path(file), wanted.choice, wanted.fitting, folder),
    )


def asked_of(node: str, inputs: Mapping[str, Any]) -> tuple[str, Wanted]:
    """A loader's file, and what is wanted of that; see `loaders_strip`.

    A `model` is named where Load Model is linked: of the built-in one it is known what it takes.
    """
    from ..clip_load import EvenframeClipFromVideo, EvenframeLoadVideo, wanted_of
    from ..model import MINIATURE

    loaders: list[type[io.ComfyNode]] = [EvenframeLoadVideo, EvenframeClipFromVideo]
    cls = next((cls for cls in loaders if cls.GET_SCHEMA().node_id == node), None)
    if cls is None:
        raise EvenframeError(
            f"What '{node}' gives is not known before it has run: run this node once to see the "
            "clip."
        )
    given = _given(cls, inputs)
    file = str(inputs.get("file", ""))[:MAX_TEXT]
    given.pop("file", None)
    known = given.pop("model", "") == MINIATURE
    return file, wanted_of(**given, taken=MINIATURES if known else None)


def _whole(clip: Clip) -> Make:
    return lambda folder: strip_of_frames(clip.frames, folder, float(clip.frame_rate), carry_on)


def _given(cls: type[io.ComfyNode], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a node's own widgets; where one is missing, its default."""
    values: dict[str, Any] = {}
    for socket in cls.GET_SCHEMA().inputs:
        if not hasattr(socket, "default") and socket.id != "model":  # no widget
            continue
        default = getattr(socket, "default", None)
        value = inputs.get(socket.id, default)
        if value is None:
            continue
        if not isinstance(value, bool | int | float | str) or len(str(value)) > MAX_TEXT:
            raise EvenframeError(
                f"{socket.id} of the loader is linked, so the clip is not known before it has "
                "run: run this node once to see it."
            )
        options = getattr(socket, "options", None)
        if options and socket.id != "file":
            require_choice(socket.id, str(value), options)
        values[socket.id] = value
    return values


def _clip_key(clip: Tensor, frame_rate: float) -> str:
    pixels = hash_tensors({"frames": clip[:MOST]}, host.check_interrupt)
    return _key("frames", pixels, tuple(clip.shape), frame_rate)


def _key(*facts: Any) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _drop_oldest(root: Path, keep: Path) -> None:
    """Remove what was made longest ago while all together is larger than `LIMIT_BYTES`."""
    done = [path for path in root.iterdir() if path != keep and not path.suffix]
    found = [(path.stat().st_mtime, path) for path in done]
    sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for _, path in found}
    left = sum(sizes.values())
    for _, path in sorted(found):
        if left <= LIMIT_BYTES:
            return
        shutil.rmtree(path, ignore_errors=True)
        left -= sizes[path]


def kept(key: str, make: Make) -> dict[str, Any]:
    """What is told of the folder of a key, which is made where there is none yet; whole or not at
    all."""
    root = host.strips_folder()
    if root is None:
        raise EvenframeError("No browser looks at what a plain process makes.")
    folder = root / key
    if not (folder / RECORD).is_file():
        shutil.rmtree(folder, ignore_errors=True)  # somebody has tidied up in it
        partial = root / f"{key}.{secrets.token_hex(4)}.partial"
        partial.mkdir(parents=True)
        try:
            told = make(partial).told()
            (partial / RECORD).write_text(json.dumps(told), encoding="utf-8")
            with suppress(OSError):  # somebody else was faster
                os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            _drop_oldest(root, folder)
    saved = host.saved(folder / RECORD)
    told = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return {**told, "subfolder": saved["subfolder"], "type": saved["type"]}
