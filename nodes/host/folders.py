"""Files in folders: listing them, keeping paths inside, numbering new ones. For both hosts."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from ...pipelines.common.errors import EvenframeError, short_repr
from ...pipelines.common.whole_file import LONGEST_PARTIAL, Numbered
from .door import ModelKind, SavedFile

SAVED = " [output]"
"""How ComfyUI marks the name of a file that lies in its output folder."""
MAX_SUBFOLDERS = 100
NAME_BYTES, PATH_BYTES = 255, 4096
"""What disks and systems take where they do not say it."""
NO_NAME = '<>:"|?*' + "".join(map(chr, range(32))) if os.name == "nt" else "\0"
"""Characters that no file name has. Windows writes what follows a colon where nobody finds it."""
CHECKPOINT_EXTENSIONS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
JUDGES = "judges"
"""Of the models' folder: where the models lie that judge edits."""
WEIGHTS = (*CHECKPOINT_EXTENSIONS, ".gguf", ".onnx")
MODEL_FILES = ("model_index.json", "config.json")
"""Of which a folder of a model has one."""
MAX_DEPTH = 16
"""Folders within folders that are looked into."""


def list_files(root: Path, extensions: Collection[str], follow: bool = False) -> list[str]:
    """Names of the files below `root` (with `/`, relative to it) with one of `extensions`.

    follow: into linked folders too. What is hidden is left out.
    """
    return sorted(
        folder + file
        for folder, files in _walk(root, follow)
        for file in files
        if Path(file).suffix.lower() in extensions and "/." not in f"/{folder}{file}"
    )


def own_folder(kind: str, variable: str = "") -> Path:
    """This pack's folder among the user's; in the working directory where the user has no home.

    Containers run processes of users whom the system does not know.
    """
    try:
        folder = Path(os.environ.get(variable) or Path.home() / kind)
    except RuntimeError:
        folder = Path(kind)
    return folder / "evenframe"


def list_here(extensions: Collection[str]) -> list[str]:
    """Names of the working directory's own files with one of `extensions`."""
    here = Path(".").iterdir()
    return [path.name for path in here if path.suffix.lower() in extensions and path.is_file()]


def judges_in(models: Iterable[Path]) -> Path | None:
    """The first folder of judges in some folders of models; None where there is none."""
    return next((root / JUDGES for root in models if (root / JUDGES).is_dir()), None)


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


def weights_at(root: Path, name: str) -> Path | None:
    """The file of weights, or the folder of a model, that a name below `root` is; else None.

    Models are often links to another disk: the name alone must lie inside.
    """
    path = Path(os.path.normpath(root / name))
    if path == root or not path.is_relative_to(os.path.normpath(root)):
        return None
    if os.path.isfile(path):
        return path if path.suffix.lower() in WEIGHTS else None
    return path if any(os.path.isfile(path / file) for file in MODEL_FILES) else None


def list_folders(root: Path, holding: str) -> list[str]:
    """Names of the folders below `root`, linked ones too, that hold a file of this name."""
    walk = _walk(root, follow=True)  # as ComfyUI: models are often links to another disk
    return sorted(folder.rstrip("/") for folder, files in walk if folder and holding in files)


def _walk(root: Path, follow: bool) -> Iterator[tuple[str, list[str]]]:
    """The folders below `root`, itself included, by name ("" or "a/b/"), with their files.

    Each real folder comes once, so links onto a folder around them end; links come last, so a
    folder has the name of its own where it has one. What lies deeper than `MAX_DEPTH` is left out,
    and pipes and devices are no files.
    """
    waiting, links, seen = deque([""]), deque[str](), set[tuple[int, int]]()
    while waiting or links:
        name = waiting.popleft() if waiting else links.popleft()
        try:
            status = os.stat(root / name)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(root / name) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:  # not there, not a folder, not to be read, a loop of links
            continue
        yield name, [entry.name for entry in found if _is(entry.is_file)]
        if name.count("/") >= MAX_DEPTH:
            continue
        for entry in found:
            linked = entry.is_symlink()
            if _is(entry.is_dir) and (follow or not linked):
                (links if linked else waiting).append(f"{name}{entry.name}/")


def _is(kind: Callable[[], bool]) -> bool:
    try:
        return kind()
    except OSError:  # a loop of links
        return False


def is_inside(root: Path, path: Path) -> bool:
    """Whether `path` lies in `root`, links followed on both sides."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # a NUL byte, a name too long, a loop of links
        return False


def numbered(root: Path, prefix: str, suffix: str) -> Numbered:
    """The name of a new file: `prefix` in `root`, a number, `suffix`. Makes its folder.

    EvenframeError where no file can have it.
    """
    stem = _stem(root, prefix, suffix)
    make_folder(stem.parent)
    return Numbered(stem.parent, stem.name, suffix)


def check_new(root: Path, prefix: str, suffix: str) -> None:
    """EvenframeError where no file of this prefix could be written, as it stands now.

    For before the work whose result the file shall hold; leaves nothing behind.
    """
    folder = _stem(root, prefix, suffix).parent
    there = _existing(folder)
    try:
        # What counts is whether it works: rights say little to an administrator, or of a disk
        # that takes no writing.
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise EvenframeError(
            f"'{prefix}' cannot be saved: no file can be written to '{there}' "
            f"({error.strerror}). Choose another name or folder."
        ) from error


def _stem(root: Path, prefix: str, suffix: str) -> Path:
    """The path that a prefix stands for, without number and suffix."""
    given = short_repr(prefix)
    try:
        parts = [len(os.fsencode(part)) for part in Path(prefix).parts]
    except UnicodeEncodeError:
        raise EvenframeError(
            f"{given} has characters that no file name can have (half a surrogate pair): remove "
            "them."
        ) from None
    if found := sorted(set(prefix.removeprefix(Path(prefix).drive)) & set(NO_NAME)):
        raise EvenframeError(
            f"{given} has characters that no file name can have here "
            f"({', '.join(map(repr, found))}): remove them."
        )
    if len(parts) > MAX_SUBFOLDERS:
        raise EvenframeError(
            f"{given} names {len(parts) - 1} folders: choose a name in at most {MAX_SUBFOLDERS}."
        )
    stem = Path(os.path.normpath(root / prefix))
    if not is_inside(root, stem) or stem.resolve() == root.resolve():
        raise EvenframeError(
            f"{given} is not a name inside the output folder: "
            "give a file name, with subfolders if you like, without '..' or a leading '/'."
        )
    name_limit, path_limit = _limits(_existing(stem.parent))
    number = len(f"_00001_{suffix}")
    longest = max([parts[-1] + number, *parts])
    whole = len(os.fsencode(stem.absolute())) + max(number, LONGEST_PARTIAL)
    if longest > name_limit or whole >= path_limit:
        most = f"{name_limit} bytes a name, {path_limit} a path"
        raise EvenframeError(
            f"{given} is too long for this disk, with a number and '{suffix}' at its end (it takes "
            f"{most}): choose a shorter name."
        )
    return stem


def _limits(folder: Path) -> tuple[int, int]:
    """How many bytes the disk of a folder takes for a name, and the system for a path."""
    if not hasattr(os, "pathconf"):
        return NAME_BYTES, PATH_BYTES
    try:
        name, path = os.pathconf(folder, "PC_NAME_MAX"), os.pathconf(folder, "PC_PATH_MAX")
    except (OSError, ValueError):
        return NAME_BYTES, PATH_BYTES
    # Disks that are mounted from elsewhere may say 0 or -1.
    return name if name > 0 else NAME_BYTES, path if path > 0 else PATH_BYTES


def _existing(folder: Path) -> Path:
    """The folder, or the next one above it that is there."""
    # Path.exists would raise where a name is too long.
    return next(path for path in (folder, *folder.parents, Path(".")) if os.path.exists(path))


def make_folder(path: Path, remedy: str = "Choose another folder.") -> None:
    """Make a folder where there is none; EvenframeError that ends with `remedy` where it cannot."""
    # One after the other: mkdir(parents=True) calls itself for each folder above.
    above = [folder for folder in path.parents if not os.path.exists(folder)]
    try:
        for folder in (*reversed(above), path):
            folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvenframeError(f"The folder '{path}' cannot be made: {reason}. {remedy}") from error


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
