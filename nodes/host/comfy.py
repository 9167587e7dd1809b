"""The host inside a ComfyUI server."""

# pyright: reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as memory
import folder_paths
import torch
from comfy.cli_args import args
from comfy.model_patcher import ModelPatcher
from comfy.utils import ProgressBar
from comfy_api.latest import InputImpl
from comfy_execution.utils import get_executing_context
from PIL.Image import Image

from ...pipelines.common.errors import EvenframeError
from ...pipelines.common.whole_file import Numbered
from . import folders
from .comfy_film import FilmVideo
from .door import Item, Model, ModelHandle, ModelKind, SavedFile
from .lending import Loan
from .submitted import Submitted
from .ticks import Ticker, tell

if TYPE_CHECKING:
    from ...pipelines.models import model as models
    from ...pipelines.video.film import Film


class Holder(torch.nn.Module):
    """The modules of one model as one module, with the plain `device` that a patcher sets."""

    def __init__(self, modules: Iterable[torch.nn.Module], device: torch.device) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleList(modules)
        self.device = device


@dataclass(frozen=True)
class ComfyProgress:
    bar: ProgressBar
    ticker: Ticker

    def step(self, done: int, preview: Callable[[], Image] | None = None) -> None:
        shown = None if preview is None else ("JPEG", preview(), args.preview_size)
        self.bar.update_absolute(done, preview=shown)
        self.ticker.tick(done)
        # The bar is throttled, and looks for an interrupt only when it draws.
        memory.throw_exception_if_processing_interrupted()

    def within(self, share: float, what: str) -> None:
        self.ticker.within(share, what)
        memory.throw_exception_if_processing_interrupted()


class ComfyHost:
    """`Host` by ComfyUI's own folders, memory management, progress and previews."""

    name = "comfyui"

    def __init__(self) -> None:
        self.paces: dict[Any, float] = {}
        self.costs: dict[str, Any] = {}
        # Of the request that is being answered: several may come at once.
        self._posted: ContextVar[Any] = ContextVar("evenframe_posted", default=None)

    def posted(self, data: dict[str, Any]) -> dict[str, Any]:
        """A handler of ComfyUI's, for what it is sent to run: its checks see one node at a time."""
        self._posted.set(data.get("prompt"))
        return data

    def submitted(self) -> Submitted | None:
        prompt, now = self._posted.get(), get_executing_context()
        if now is None or not isinstance(prompt, Mapping) or now.node_id not in prompt:
            return None
        return Submitted(prompt, now.node_id, _may_skip)

    def running(self) -> str | None:
        now = get_executing_context()
        return None if now is None else now.node_id

    def progress(self, total: int, label: str) -> ComfyProgress:
        return ComfyProgress(ProgressBar(total), Ticker(total, label))

    def tell(self, text: str) -> None:
        tell(text)

    def check_interrupt(self) -> None:
        memory.throw_exception_if_processing_interrupted()

    def device(self) -> torch.device:
        return memory.get_torch_device()

    def dtype(self) -> torch.dtype:
        dtype = memory.unet_dtype(device=self.device())
        # ComfyUI may store weights in 8 bits and compute in others; diffusers' modules cannot.
        computable = (torch.float16, torch.bfloat16, torch.float32)
        return dtype if dtype in computable else torch.float16

    def hold(self, model: Model, modules: Iterable[torch.nn.Module] = ()) -> ModelHandle[Model]:
        modules, offload = tuple(modules), memory.unet_offload_device()
        patcher = ModelPatcher(Holder(modules, offload), self.device(), offload)
        return ModelHandle(model, modules, (patcher,))

    def adopt(
        self, model: Any, clip: Any, vae: Any, low_noise: Any = None, switch_at: float = 0.0
    ) -> ModelHandle[models.Model]:
        from .native.experts import with_low_noise
        from .native.model import open_sockets

        opened = open_sockets(model, clip, vae)
        if low_noise is None or switch_at == 0:
            return ModelHandle(opened, (), (model,))
        return ModelHandle(with_low_noise(opened, low_noise, switch_at), (), (model, low_noise))

    def video_miniature(self, folder: Path) -> tuple[Any, Any, Any]:
        from .native.miniature import open_miniature

        return open_miniature(folder)

    def samplers(self) -> Any:
        from .native import samplers

        return samplers

    def load(self, handle: ModelHandle[Model], memory_bytes: int = 0) -> Model:
        if not handle.modules:  # its session loads what it needs, as much as fits
            from .native.session import with_room

            return with_room(handle.model, memory_bytes)
        # Whole: the modules are diffusers', which cannot fetch a weight when they need it.
        memory.load_models_gpu(
            list(handle.patchers), memory_required=memory_bytes, force_full_load=True
        )
        return handle.model

    def free_memory(self, device: torch.device) -> int:
        # Elsewhere ComfyUI neither sees nor takes back what hangs on a node's output.
        return memory.get_free_memory(device) if device.type == self.device().type else 0

    def lend(self, items: Sequence[Item], nbytes: int) -> Sequence[Item]:
        return Loan(items, self.device(), nbytes)

    def model_names(self, kind: ModelKind) -> list[str]:
        if kind == "checkpoints":
            return folder_paths.get_filename_list("checkpoints")
        roots = _model_roots(kind)
        return sorted({name for root in roots for name in folders.list_models(kind, root)})

    def model_path(self, kind: ModelKind, name: str) -> Path:
        if name in self.model_names(kind):
            for root in _model_roots(kind):
                if (root / name).exists():
                    return root / name
        folder = "sams" if kind == "sam2" else kind
        raise EvenframeError(
            f"No model {name!r} among ComfyUI's {kind}: put it into models/{folder}, "
            "press R to refresh, and choose it again."
        )

    def input_names(self, extensions: Collection[str], saved: bool = False) -> list[str]:
        names = folders.list_files(Path(folder_paths.get_input_directory()), extensions)
        output = Path(folder_paths.get_output_directory())
        return names + folders.list_saved(output, extensions) if saved else names

    def input_path(self, name: str) -> Path:
        try:
            path = Path(folder_paths.get_annotated_filepath(name))
        except ValueError as error:
            raise EvenframeError(
                f"{name!r} lies outside ComfyUI's folders: put the file into the input folder."
            ) from error
        if not os.path.isfile(path):  # no error for a name that is too long
            raise EvenframeError(
                f"No such input file: {name!r}. Upload it, or put it into ComfyUI's input folder."
            )
        return path

    def named_file(self, name: str) -> Path | None:
        kinds = folder_paths.folder_names_and_paths
        roots = {Path(root) for kind in kinds for root in kinds[kind][0] if kind != "custom_nodes"}
        weights = next(filter(None, (folders.weights_at(root, name) for root in roots)), None)
        return weights or self._input_named(name)

    def _input_named(self, name: str) -> Path | None:
        try:
            path = self.input_path(name)
        except EvenframeError:
            return None
        inputs = Path(folder_paths.get_input_directory())
        return path if folders.is_inside(inputs, path) else None

    def check_output(self, prefix: str, suffix: str) -> None:
        folders.check_new(Path(folder_paths.get_output_directory()), prefix, suffix)

    def new_output(self, prefix: str, suffix: str) -> Numbered:
        return folders.numbered(Path(folder_paths.get_output_directory()), prefix, suffix)

    def new_temp(self, prefix: str, suffix: str) -> Numbered:
        return folders.numbered(Path(folder_paths.get_temp_directory()), prefix, suffix)

    def strips_folder(self) -> Path:
        return Path(folder_paths.get_temp_directory()) / "evenframe_strips"

    def saved(self, path: Path) -> SavedFile:
        output, temp = folder_paths.get_output_directory(), folder_paths.get_temp_directory()
        return folders.saved(path, {"output": Path(output), "temp": Path(temp)})

    def video(self, path: Path) -> Any:
        return InputImpl.VideoFromFile(str(path))

    def video_file(self, video: Any) -> Path | None:
        if not isinstance(video, InputImpl.VideoFromFile):
            return None
        source = video.get_stream_source()
        whole = not any(video.get_active_trim_window())
        return Path(source) if whole and isinstance(source, str) else None

    def film_video(self, film: Film) -> Any:
        return FilmVideo(film)

    def video_film(self, video: Any) -> Film | None:
        return video.film if isinstance(video, FilmVideo) else None

    def embeds_workflow(self) -> bool:
        return not args.disable_metadata

    def presets_dir(self) -> Path:
        return _own_dir() / "presets"

    def judges_dir(self) -> Path | None:
        return folders.judges_in([Path(folder_paths.models_dir)])

    def cache_dir(self) -> Path:
        path = _own_dir()
        path.mkdir(parents=True, exist_ok=True)
        return path


def _may_skip(class_type: str) -> bool:
    """Whether it has inputs that are evaluated only where it asks for them."""
    known = import_module("nodes").NODE_CLASS_MAPPINGS  # ComfyUI's, not this pack's
    groups = known[class_type].INPUT_TYPES().values()
    inputs = [one for group in groups if isinstance(group, Mapping) for one in group.values()]
    return any(isinstance(one, tuple) and len(one) > 1 and one[1].get("lazy") for one in inputs)


def _own_dir() -> Path:
    # A "system user" folder: ComfyUI serves nothing of it over HTTP.
    return Path(folder_paths.get_system_user_directory("evenframe"))


def _model_roots(kind: ModelKind) -> list[Path]:
    if kind not in ("sams", "sam2"):
        return [Path(root) for root in folder_paths.get_folder_paths(kind)]
    # ComfyUI itself does not know `sams`; other packs and extra_model_paths.yaml may name it.
    known = folder_paths.folder_names_and_paths.get("sams")
    return [Path(root) for root in known[0]] if known else [Path(folder_paths.models_dir) / "sams"]
