"""The host in a plain process: the command line, a notebook, a batch job."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from ...pipelines.common.errors import EvenframeError
from ...pipelines.common.memory import free_memory
from ...pipelines.common.whole_file import Numbered
from . import folders
from .door import Item, Model, ModelHandle, ModelKind, SavedFile
from .submitted import Submitted

if TYPE_CHECKING:
    from PIL.Image import Image

    from ...pipelines.models import model as models
    from ...pipelines.video.film import Film

log = logging.getLogger(__name__)
Report = Callable[[str, int, int], None]


class Interrupted(KeyboardInterrupt):
    """The user cancelled: a BaseException, as ComfyUI's own, so that no node swallows it."""


def _ignore_progress(label: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Session:
    """What one run in a plain process uses.

    models: folders that hold `checkpoints/`, `diffusers/` and `sams/`, or checkpoints themselves.
    inputs: folders whose files a workflow may read; files: single files beside those.
    presets: a folder of the user's own preset files.
    report: called with (label, done, total).
    cancel: set it, from any thread, to stop the run within a step.
    """

    models: tuple[Path, ...] = ()
    inputs: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    output: Path = Path("output")
    temp: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "evenframe")
    cache: Path = field(default_factory=lambda: folders.own_folder(".cache"))
    presets: Path = field(default_factory=lambda: folders.own_folder(".config") / "presets")
    report: Report = _ignore_progress
    cancel: threading.Event = field(default_factory=threading.Event)

    @staticmethod
    def from_environment(**changes: Any) -> Session:
        """EVENFRAME_MODELS, _INPUT and _OUTPUT, or folders of the working directory; _CACHE and
        _PRESETS, or folders of the user."""
        variable = os.environ.get
        cache, settled = (
            folders.own_folder(".cache", "XDG_CACHE_HOME"),
            folders.own_folder(".config", "XDG_CONFIG_HOME"),
        )
        settings: dict[str, Any] = {
            "models": _paths(variable("EVENFRAME_MODELS") or "models"),
            "inputs": _paths(variable("EVENFRAME_INPUT") or f"input{os.pathsep}."),
            "output": Path(variable("EVENFRAME_OUTPUT") or "output"),
            "cache": Path(variable("EVENFRAME_CACHE") or cache),
            "presets": Path(variable("EVENFRAME_PRESETS") or settled / "presets"),
        }
        return Session(**(settings | changes))


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(os.pathsep) if part)


@dataclass(frozen=True)
class StandaloneProgress:
    host: StandaloneHost
    total: int
    label: str

    def step(self, done: int, preview: Callable[[], Image] | None = None) -> None:
        self.host.check_interrupt()
        self.host.session.report(self.label, done, self.total)

    def within(self, share: float, what: str) -> None:
        self.host.check_interrupt()


class StandaloneHost:
    """`Host` without ComfyUI. Its settings are those of the session in force."""

    name = "standalone"

    def __init__(self) -> None:
        self._session: ContextVar[Session | None] = ContextVar("evenframe_session", default=None)
        self.paces: dict[Any, float] = {}
        self.costs: dict[str, Any] = {}
        self._checked: ContextVar[Submitted | None] = ContextVar("evenframe_checked", default=None)

    @property
    def session(self) -> Session:
        return self._session.get() or Session.from_environment()

    @contextmanager
    def using(self, session: Session) -> Iterator[Session]:
        """Put `session` in force within the block."""
        token = self._session.set(session)
        try:
            yield session
        finally:
            self._session.reset(token)

    def running(self) -> str | None:
        return None

    @contextmanager
    def checking(self, workflow: Submitted) -> Iterator[None]:
        """Let a node's check within the block know the workflow."""
        token = self._checked.set(workflow)
        try:
            yield
        finally:
            self._checked.reset(token)

    def submitted(self) -> Submitted | None:
        return self._checked.get()

    def progress(self, total: int, label: str) -> StandaloneProgress:
        return StandaloneProgress(self, total, label)

    def tell(self, text: str) -> None:
        log.info("%s", text)

    def check_interrupt(self) -> None:
        if self.session.cancel.is_set():
            raise Interrupted("stopped by the user")

    def device(self) -> torch.device:
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    def dtype(self) -> torch.dtype:
        return torch.float32 if self.device().type == "cpu" else torch.float16

    def hold(self, model: Model, modules: Iterable[torch.nn.Module] = ()) -> ModelHandle[Model]:
        return ModelHandle(model, tuple(modules))

    def adopt(
        self, model: Any, clip: Any, vae: Any, low_noise: Any = None, switch_at: float = 0.0
    ) -> ModelHandle[models.Model]:
        raise EvenframeError(
            "A MODEL, CLIP or VAE can only be adopted inside ComfyUI: "
            "use the node that loads a model from a file."
        )

    def video_miniature(self, folder: Path) -> tuple[Any, Any, Any]:
        raise EvenframeError(
            "The video miniature has MODEL, CLIP and VAE sockets only inside ComfyUI: use Load "
            "Model."
        )

    def samplers(self) -> Any:
        raise EvenframeError(
            "ComfyUI's own samplers run only inside ComfyUI: edit with Video Editor here."
        )

    def load(self, handle: ModelHandle[Model], memory_bytes: int = 0) -> Model:
        for module in handle.modules:
            module.to(self.device())
        return handle.model

    def free_memory(self, device: torch.device) -> int:
        return free_memory(device)

    def lend(self, items: Sequence[Item], nbytes: int) -> Sequence[Item]:
        return items

    def model_names(self, kind: ModelKind) -> list[str]:
        return sorted(
            {name for root in self._model_roots(kind) for name in folders.list_models(kind, root)}
        )

    def model_path(self, kind: ModelKind, name: str) -> Path:
        for root in self._model_roots(kind):
            if name in folders.list_models(kind, root):
                return root / name
        names = ", ".join(self.model_names(kind)) or "none"
        looked = ", ".join(str(root) for root in self.session.models)
        raise EvenframeError(
            f"No model {name!r} among the {kind} in {looked}: there are {names}. "
            "Name another folder with --models or EVENFRAME_MODELS."
        )

    def _model_roots(self, kind: ModelKind) -> list[Path]:
        if kind in ("sams", "sam2"):
            return [root / "sams" for root in self.session.models]
        return [root / kind if (root / kind).is_dir() else root for root in self.session.models]

    def input_names(self, extensions: Collection[str], saved: bool = False) -> list[str]:
        """As the contract says; of a working directory only its own files, not its folders'."""
        names: set[str] = set()
        for root in self.session.inputs:
            here = root == Path(".")
            names.update(
                folders.list_here(extensions) if here else folders.list_files(root, extensions)
            )
        files = (file for file in self.session.files if file.suffix.lower() in extensions)
        given = sorted(names | {str(file) for file in files})
        return given + folders.list_saved(self.session.output, extensions) if saved else given

    def input_path(self, name: str) -> Path:
        candidates = self._input_candidates(name)
        if not candidates:
            looked = ", ".join(str(root.resolve()) for root in self.session.inputs)
            raise EvenframeError(
                f"{name!r} lies outside the folders a workflow may read ({looked}): "
                "put the file there, or name its folder with --input."
            )
        for path in candidates:
            if os.path.isfile(path):  # no error for a name that is too long
                return path
        looked = ", ".join(str(path) for path in candidates)
        raise EvenframeError(f"No such input file: {name!r}. Looked for {looked}.")

    def _input_candidates(self, name: str) -> list[Path]:
        try:
            given = Path(name).resolve()
        except ValueError:  # a NUL byte or half a character: no file is called that
            return []
        if given in {file.resolve() for file in self.session.files}:
            return [Path(name)]
        roots = self.session.inputs
        if name.endswith(folders.SAVED):
            roots, name = (self.session.output,), name.removesuffix(folders.SAVED)
        return [root / name for root in roots if folders.is_inside(root, root / name)]

    def named_file(self, name: str) -> Path | None:
        roots = {root for kind in get_args(ModelKind) for root in self._model_roots(kind)}
        weights = next(filter(None, (folders.weights_at(root, name) for root in roots)), None)
        return weights or next(filter(os.path.isfile, self._input_candidates(name)), None)

    def check_output(self, prefix: str, suffix: str) -> None:
        folders.check_new(self.session.output, prefix, suffix)

    def new_output(self, prefix: str, suffix: str) -> Numbered:
        return folders.numbered(self.session.output, prefix, suffix)

    def new_temp(self, prefix: str, suffix: str) -> Numbered:
        return folders.numbered(self.session.temp, prefix, suffix)

    def strips_folder(self) -> None:
        return None

    def saved(self, path: Path) -> SavedFile:
        return folders.saved(path, {"output": self.session.output, "temp": self.session.temp})

    def video(self, path: Path) -> Path:
        return path

    def video_file(self, video: Any) -> Path | None:
        return video if isinstance(video, Path) else None

    def film_video(self, film: Film) -> Film:
        return film

    def video_film(self, video: Any) -> Film | None:
        from ...pipelines.video.film import Film

        return video if isinstance(video, Film) else None

    def embeds_workflow(self) -> bool:
        return True

    def presets_dir(self) -> Path:
        return self.session.presets

    def judges_dir(self) -> Path | None:
        return folders.judges_in(self.session.models)

    def cache_dir(self) -> Path:
        remedy = "Choose another with EVENFRAME_CACHE, or none with --no-cache."
        folders.make_folder(self.session.cache, remedy)
        return self.session.cache
