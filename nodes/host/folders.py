"""Files in folders: listing them, keeping paths inside, numbering new ones. For both hosts."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ...pipelines.errors import EvenframeError
from .door import ModelKind, SavedFile

SAVED = " [output]"
"""How ComfyUI marks the name of a file that lies in its output folder."""
CHECKPOINT_EXTENSIONS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


def list_files(root: Path, extensions: Collection[str], follow: bool = False) -> list[str]:
    """Names of the files below `root` (with `/`, relative to it) with one of `extensions`.

    follow: into linked folders too.
    """
    names = []
    for folder, subfolders, files in os.walk(root, followlinks=follow):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        names += [
            (Path(folder) / file).relative_to(root).as_posix()
            for file in files
            if Path(file).suffix.lower() in extensions and not file.startswith(".")
        ]
    return sorted(names)


def list_saved(output: Path, extensions: Collection[str]) -> list[str]:
    """Names as of `list_files`, marked as those of the output folder."""
    return [name + SAVED for name in list_files(output, extensions)]


def list_models(kind: ModelKind, root: Path) -> list[str]:
    """Names of the models of a kind below its folder `root`."""
    if kind == "diffusers":
        return list_folders(root, "model_index.json")
    if kind == "sam2":
        return list_folders(root, "config.json")
    names = list_files(root, CHECKPOINT_EXTENSIONS, follow=True)
    if kind == "sams":  # weights in a folder of SAM 2 are no file of SAM 1
        inside = tuple(f"{folder}/" for folder in list_folders(root, "config.json"))
        names = [name for name in names if not name.startswith(inside)]
    return names


def list_folders(root: Path, holding: str) -> list[str]:
    """Names of the folders below `root`, linked ones too, that hold a file of this name."""
    walk = os.walk(root, followlinks=True)  # as ComfyUI: models are often links to another disk
    found = (Path(folder) for folder, _, files in walk if holding in files)
    return sorted(path.relative_to(root).as_posix() for path in found if path != root)


def is_inside(root: Path, path: Path) -> bool:
    """Whether `path` lies in `root`, links followed on both sides."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):  # a NUL byte, a name too long, a loop of links
        return False


def numbered(root: Path, prefix: str, suffix: str) -> Path:
    """`root/prefix_00001_suffix`, or the first higher number that is free. Makes the folder."""
    stem = root / prefix
    if "\0" in prefix or not is_inside(root, stem) or stem.resolve() == root.resolve():
        raise EvenframeError(
            f"{prefix!r} is not a name inside the output folder: "
            "give a file name, with subfolders if you like, without '..' or a leading '/'."
        )
    make_folder(stem.parent)
    taken = re.compile(re.escape(stem.name) + r"_(\d+)_")
    numbers = [int(m.group(1)) for name in os.listdir(stem.parent) if (m := taken.match(name))]
    return stem.parent / f"{stem.name}_{max(numbers, default=0) + 1:05}_{suffix}"


def make_folder(path: Path, remedy: str = "Choose another folder.") -> None:
    """Make a folder where there is none; EvenframeError that ends with `remedy` where it cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvenframeError(
            f"The folder '{path}' cannot be made: {error.strerror}. {remedy}"
        ) from error


def saved(path: Path, roots: Mapping[str, Path]) -> SavedFile:
    """How a user interface names the file `path`, which lies in one of `roots`, by type."""
    for kind, root in roots.items():
        if is_inside(root, path):
            inside = path.resolve().relative_to(root.resolve())
            subfolder = inside.parent.as_posix()
            return {
                "filename": path.name,
                "subfolder": "" if subfolder == "." else subfolder,
                "type": kind,
            }
    raise ValueError(f"{path} lies in no folder that the host serves")
