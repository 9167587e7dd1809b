"""Models that judge an edit: the user's own, in folders as transformers saves them.

A folder of judges holds a folder for each of `JUDGES`, and AlexNet's weights for LPIPS. Nothing is
downloaded, no code of a model runs, and no pickle is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common import untrusted_json
from ..common.errors import EvenframeError, in_short
from ..models.files import fingerprint
from .asked import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

BACKBONE = "alexnet.safetensors"
LOADING = (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError)
MAX_CONFIG = 2**20
"""Bytes of a config.json."""


@dataclass(frozen=True)
class Judge:
    """What a folder must hold. kinds: `model_type` of its config. title: what it is known by."""

    title: str
    kinds: tuple[str, ...]


JUDGES = {
    "clip": Judge("CLIP, published with ViT-L/14", ("clip",)),
    "pickscore": Judge("PickScore v1, with the processor of CLIP ViT-H", ("clip",)),
    "dino": Judge("DINO, published with ViT-B/8", ("vit",)),
    "detector": Judge("OWLv2, OWL-ViT or Grounding DINO", ("owlv2", "owlvit", "grounding-dino")),
    "vqa": Judge("BLIP-VQA or Qwen-VL", ("blip", "qwen2_vl", "qwen2_5_vl", "qwen3_vl")),
}


def require_judges(folder: Path) -> list[str]:
    """The judges that a folder holds; EvenframeError where it is none, or one is something else.

    For before the work.
    """
    if not folder.is_dir():
        raise EvenframeError(f"There is no folder '{folder}': give one with the judges' folders.")
    here = [name for name in JUDGES if (folder / name).exists()]
    for name in here:
        _require_kind(name, folder / name)
    if (folder / BACKBONE).is_file():
        here.append(BACKBONE)
    if not here:
        raise EvenframeError(
            f"'{folder}' holds no judge: it may have the folders {', '.join(JUDGES)}, as "
            f"transformers saves models, and the file {BACKBONE}."
        )
    return here


def told(folder: Path) -> dict[str, str]:
    """By the name of each judge that a folder holds, its fingerprint: another judge has another."""
    found: dict[str, str] = {}
    for name in require_judges(folder):
        at = folder / name
        files = sorted(file for file in (at.rglob("*") if at.is_dir() else [at]) if file.is_file())
        names = (file.relative_to(folder).as_posix() for file in files)
        found[name] = fingerprint.of_files(files, *names)
    return found


def find(folder: Path | None, name: str) -> Path:
    """The folder of a judge; NotMeasured where there is none."""
    if folder is None:
        raise NotMeasured(f"no folder of judges is given, which would hold '{name}'")
    if not (folder / name).exists():
        raise NotMeasured(f"the folder of judges has no '{name}' ({JUDGES[name].title})")
    _require_kind(name, folder / name)
    return folder / name


def load(name: str, model: str, asked: Any) -> tuple[Any, Any]:
    """(model, processor) of a judge. model: the class of transformers that it is."""
    folder = find(asked.judges, name)
    transformers = import_module("transformers")
    how = {"local_files_only": True, "trust_remote_code": False}
    try:
        loaded = getattr(transformers, model).from_pretrained(folder, use_safetensors=True, **how)
        chosen = "AutoImageProcessor" if name == "dino" else "AutoProcessor"
        return loaded.eval().to(asked.device), getattr(transformers, chosen).from_pretrained(
            folder, **how
        )
    except (*LOADING, import_module("safetensors").SafetensorError) as error:
        raise EvenframeError(
            f"The judge '{folder}' cannot be loaded: {in_short(error)}. It has to be "
            f"{JUDGES[name].title}, with its processor, as safetensors."
        ) from error


def kind(folder: Path) -> str:
    """The `model_type` that a folder's config names; "" where it names none."""
    path = folder / "config.json"
    try:
        if path.stat().st_size > MAX_CONFIG:
            raise ValueError(f"config.json has more than {MAX_CONFIG} bytes")
        told = untrusted_json.parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EvenframeError(
            f"The judge '{folder}' has no config.json that can be read ({in_short(error)}): give "
            "the folder as transformers saves a model."
        ) from error
    found = told.get("model_type") if isinstance(told, dict) else None
    return found if isinstance(found, str) else ""


def _require_kind(name: str, folder: Path) -> None:
    wanted, found = JUDGES[name], kind(folder)
    if found not in wanted.kinds:
        raise EvenframeError(
            f"The judge '{folder}' is a model of the kind '{found[:80]}', not {wanted.title}: give "
            f"one of the kinds {', '.join(wanted.kinds)}, or take the folder away."
        )


def backbone(folder: Path | None) -> Mapping[str, Tensor]:
    """AlexNet's tensors for LPIPS; NotMeasured where there are none."""
    if folder is None or not (folder / BACKBONE).is_file():
        raise NotMeasured(f"the folder of judges has no '{BACKBONE}' (AlexNet of torchvision)")
    try:
        return import_module("safetensors.torch").load_file(folder / BACKBONE)
    except (OSError, ValueError, RuntimeError, import_module("safetensors").SafetensorError) as e:
        raise EvenframeError(
            f"'{folder / BACKBONE}' cannot be read ({in_short(e)}): save AlexNet's weights anew."
        ) from e


def require_package(name: str, beside: str = "") -> Any:
    """An optional package; NotMeasured where it is not installed, or cannot be loaded."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        more = f" beside {beside}" if beside else ""
        raise NotMeasured(
            f"the package {name.replace('_', '-')} is needed{more} ({in_short(error)}): it comes "
            "with evenframe[evaluate]"
        ) from error
