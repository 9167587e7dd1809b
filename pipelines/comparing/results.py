"""The folder of a comparison, in which the scripts of FiVE and TGVE find what they look for.

    comparison.json                        what all results were made with
    METHOD/[GROUP/]VIDEO/EDIT/00000.jpg    frames, as both scripts read results
    METHOD/[GROUP/]VIDEO/EDIT.json         what was measured of them
    images/VIDEO/00000.png                 the source's frames, as FiVE's script reads them
    bmasks/VIDEO/00000.png                 masks of the same names
    edit_prompt/edit1_FiVE.json            FiVE's annotation of all rows

A result counts when its JSON is there, which is written last, and says that it was made of what the
table has now: a run that was stopped goes on with what is missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..common import untrusted_json
from ..common.errors import EvenframeError, in_short
from ..common.pictures import to_image
from ..common.whole_file import replace
from .row import Row

SETTINGS, QUALITY = "comparison.json", 95
RESERVED = ("images", "bmasks", "edit_prompt")
MAX_BYTES = 2**22


@dataclass(frozen=True)
class Results:
    """The folder, of which this run is to fill in what is missing."""

    folder: Path

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Take up a folder that is new or empty, or that was begun with the same settings; of those
        that are by name themselves, such as judges, more may come later.

        Raises EvenframeError for any other: nothing in it is touched.
        """
        known = self.folder / SETTINGS
        if known.is_file():
            before = _read(known)
            differs = [name for name in settings if not _fits(before.get(name), settings[name])]
            if differs:
                raise EvenframeError(
                    f"'{self.folder}' holds results with another {', '.join(differs)} "
                    f"({before.get(differs[0])!r:.60}, now {settings[differs[0]]!r:.60}): give "
                    "another folder, or the same settings."
                )
            grown = {n: {**before[n], **s} for n, s in settings.items() if isinstance(s, Mapping)}
            _write_json(known, {**settings, **grown})
            return
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise EvenframeError(
                f"'{self.folder}' holds other files, and no comparison: give a new folder."
            )
        _make(self.folder)
        _write_json(known, settings)

    def measured(self, method: str, row: Row, made_of: str) -> dict[str, Any] | None:
        """What was measured of a result; None where it is still to be made of this."""
        told = self._told(method, row)
        return told if told and told.get("made_of") == made_of else None

    def outdated(self, method: str, row: Row, made_of: str) -> bool:
        """Whether there is a result that was made of something else."""
        told = self._told(method, row)
        return told is not None and told.get("made_of") != made_of

    def keep(self, method: str, row: Row, frames: Tensor, told: Mapping[str, Any]) -> None:
        """A result's frames (f, h, w, 3), and what was measured of them, `made_of` what."""
        folder = self._frames(method, row)
        shutil.rmtree(folder, ignore_errors=True)  # left by a run that was stopped
        _save_frames(folder, frames, ".jpg")
        _write_json(folder.with_name(f"{row.edit}.json"), told)

    def keep_source(
        self, row: Row, frames: Tensor, mask: Tensor | None, anew: bool = False
    ) -> None:
        """The source as FiVE's script reads it; once for each video, or anew."""
        for kind, pictures in (("images", frames), ("bmasks", mask)):
            folder = self.folder / kind / row.video
            if pictures is None or (folder.is_dir() and not anew):
                continue
            shutil.rmtree(folder, ignore_errors=True)
            colour = pictures if pictures.ndim == 4 else pictures[..., None].expand(-1, -1, -1, 3)
            # FiVE takes everything above 0 of a mask of one channel.
            _save_frames(folder, colour, ".png", "L" if kind == "bmasks" else "RGB")

    def annotate(self, rows: Iterable[Row]) -> None:
        """FiVE's annotation, which is what its script goes through."""
        told = [
            {
                "video_name": row.video,
                "save_dir": row.edit,
                "source_prompt": row.source,
                "target_prompt": row.target,
                "source_word": ", ".join(row.words),
                "target_word": ", ".join(row.new_words),
                "editing_type_id": row.type,
                **(row.questions or {}),
            }
            for row in rows
        ]
        _make(self.folder / "edit_prompt")
        _write_json(self.folder / "edit_prompt" / "edit1_FiVE.json", told)

    def middle(self, method: str, row: Row) -> Path | None:
        """The file of a result's middle frame; of the source where `method` is ""."""
        source = self.folder / "images" / row.video
        folder = self._frames(method, row) if method else source
        files = sorted(folder.glob("*.[jp][pn]g"))
        return files[len(files) // 2] if files else None

    def write(self, name: str, write: Callable[[Path], object]) -> Path:
        """A table or sheet of all results, in the place of an earlier one."""
        return replace(self.folder / name, write)

    def _told(self, method: str, row: Row) -> dict[str, Any] | None:
        path = self._frames(method, row).with_name(f"{row.edit}.json")
        return _read(path) if path.is_file() else None

    def _frames(self, method: str, row: Row) -> Path:
        return self.folder / method / row.key


def _fits(before: Any, now: Any) -> bool:
    if not isinstance(now, Mapping) or not isinstance(before, Mapping):
        return before == now
    return all(before[name] == value for name, value in now.items() if name in before)


def require_free_names(methods: Sequence[str]) -> None:
    """Raise EvenframeError for a method whose folder has another meaning."""
    for name in methods:
        if name in RESERVED:
            raise EvenframeError(f"A method cannot be called '{name}': that folder is FiVE's.")


def _save_frames(folder: Path, frames: Tensor, suffix: str, mode: str = "RGB") -> None:
    aside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    _make(aside)
    how: dict[str, Any] = {"quality": QUALITY, "subsampling": 0} if suffix == ".jpg" else {}
    for at, frame in enumerate(frames):
        to_image(frame).convert(mode).save(aside / f"{at:05}{suffix}", **how)
    aside.rename(folder)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvenframeError(f"The folder '{folder}' cannot be made: {error.strerror}.") from error


def _write_json(path: Path, told: Any) -> None:
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    replace(path, lambda at: at.write_text(text, encoding="utf-8"))


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        told = untrusted_json.parse(path.read_bytes())
        if not isinstance(told, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise EvenframeError(
            f"'{path}' cannot be read ({in_short(error)}): remove it, and it is made anew."
        ) from error
    return told
