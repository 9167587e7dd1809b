"""What a node may ask of the program it runs in, whichever that is.

`Host` is the contract; `comfy.py` keeps it inside a ComfyUI server, `standalone.py` in a plain
process. Nothing else in the package may ask where it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypedDict, TypeVar

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from ...pipelines.common.whole_file import Numbered
    from ...pipelines.models import model as models
    from ...pipelines.video.film import Film
    from .submitted import Submitted

ModelKind = Literal["checkpoints", "diffusers", "sams", "sam2"]
Model = TypeVar("Model")
Item = TypeVar("Item")


@dataclass(frozen=True)
class ModelHandle(Generic[Model]):
    """What a model socket carries: a model, and how the host moves its weights.

    model: the `Model` of `pipelines/`, wherever its weights lie just now.
    modules: the `torch.nn.Module`s that hold the weights; empty for one of the host's own.
    patchers: ComfyUI's `ModelPatcher`s of those weights; empty in a plain process.
    """

    model: Model
    modules: tuple[torch.nn.Module, ...] = ()
    patchers: tuple[Any, ...] = ()

    @property
    def patcher(self) -> Any:
        """The attribute by which ComfyUI recognises an output that holds model weights."""
        return self.patchers[0] if self.patchers else None


class SavedFile(TypedDict):
    """A written file as a node's `ui` names it: ComfyUI serves it, the command line prints it."""

    filename: str
    subfolder: str
    type: str


class Progress(Protocol):
    """One bar: made by `Host.progress`, moved by `step`."""

    def step(self, done: int, preview: Callable[[], Image] | None = None) -> None:
        """Report that `done` of the total are done. preview: makes a picture to show with it, asked
        for by a host that can show one.

        Raises the host's interrupt (a BaseException: let it pass) when the user has cancelled.
        """
        ...

    def within(self, share: float, what: str) -> None:
        """Report how much of the step under way is done, 0 to 1, and `what` begins now of it.

        Raises as `step`.
        """
        ...


class Host(Protocol):
    """The program around the nodes."""

    name: str

    def progress(self, total: int, label: str) -> Progress:
        """A bar of `total` steps for the running node; `label` says what is being done."""
        ...

    paces: dict[Any, float]
    """Seconds that such a piece of work took, when it was last done in this process."""

    costs: dict[str, Any]
    """What edits took (`Seen`), by what decides on their model and clip."""

    def running(self) -> str | None:
        """The id of the node that runs, in the workflow that was sent; None where nobody asks."""
        ...

    def tell(self, text: str) -> None:
        """Show a line on the running node, before it has a result."""
        ...

    def check_interrupt(self) -> None:
        """Raise the host's interrupt if the user has cancelled, else return at once."""
        ...

    def device(self) -> torch.device:
        """Where models compute."""
        ...

    def dtype(self) -> torch.dtype:
        """The floating-point type that suits `device()`: fp16 or bf16 on a GPU, fp32 on a CPU."""
        ...

    def hold(self, model: Model, modules: Iterable[torch.nn.Module] = ()) -> ModelHandle[Model]:
        """Put a model into the host's care, without moving it yet.

        modules: those that this pack loaded; the host may move them between devices.
        """
        ...

    def adopt(
        self, model: Any, clip: Any, vae: Any, low_noise: Any = None, switch_at: float = 0.0
    ) -> ModelHandle[models.Model]:
        """The model of MODEL, CLIP and VAE sockets, which the host goes on holding and running.

        low_noise: the MODEL that is asked below the noise level `switch_at`, 0..1, in the place of
        the first; none where it is None or the level 0.
        EvenframeError where controls cannot reach it, or there is no such host.
        """
        ...

    def video_miniature(self, folder: Path) -> tuple[Any, Any, Any]:
        """What its MODEL, CLIP and VAE sockets carry of an exported video miniature.

        EvenframeError where weights are missing or altered, or there is no such host.
        """
        ...

    def samplers(self) -> Any:
        """What nodes for the host's own samplers do: the functions of `native/samplers.py`.
        EvenframeError where there is no such host."""
        ...

    def load(self, handle: ModelHandle[Model], memory_bytes: int = 0) -> Model:
        """Bring a model's weights, whole, to `device()` and return the model; the host's own models
        are brought there when they run.

        memory_bytes: what computing will need beside the weights; the host unloads other models
            to make that much room.
        """
        ...

    def submitted(self) -> Submitted | None:
        """In `validate_inputs`: the whole workflow, and which of its nodes is checked. None where
        the host does not say."""
        ...

    def free_memory(self, device: torch.device) -> int:
        """Bytes on a device that may be filled with what outlives a node; 0 where the host could
        not get them back."""
        ...

    def lend(self, items: Sequence[Item], nbytes: int) -> Sequence[Item]:
        """Make known to the host that `items` take so many bytes on `device()`.

        Returns the same items; once the host has taken their memory back, none.
        """
        ...

    def model_names(self, kind: ModelKind) -> list[str]:
        """Sorted names: checkpoint files; diffusers folders (those with model_index.json); in the
        folder `sams`, files of SAM 1, and folders with config.json (sam2)."""
        ...

    def model_path(self, kind: ModelKind, name: str) -> Path:
        """Where `name` of `model_names(kind)` lies. EvenframeError if there is no such model."""
        ...

    def input_names(self, extensions: Collection[str], saved: bool = False) -> list[str]:
        """Sorted names of input files with one of `extensions` (lower case, with the dot).

        saved: then those of the output folder, marked as ComfyUI does: "name [output]".
        """
        ...

    def input_path(self, name: str) -> Path:
        """The existing file `name` of `input_names`, whatever its ending.

        EvenframeError if absent or outside the folders.
        """
        ...

    def named_file(self, name: str) -> Path | None:
        """The weights (a file, or a folder of a model) or the input file that a text of a workflow
        names; None for a text that names neither."""
        ...

    def check_output(self, prefix: str, suffix: str) -> None:
        """EvenframeError where `new_output` or the writing would fail, as things stand now.

        For `validate_inputs`: before the work whose result shall be saved. Makes nothing.
        """
        ...

    def new_output(self, prefix: str, suffix: str) -> Numbered:
        """The name of a new file in the output folder, for `write_new` and what is built on it:
        `clip` and `.mp4` make `clip_00001_.mp4`.

        prefix: may name subfolders, which are made; EvenframeError if it leads outside, or no file
            can have such a name.
        """
        ...

    def new_temp(self, prefix: str, suffix: str) -> Numbered:
        """As `new_output`, in the folder for previews, which the host empties."""
        ...

    def strips_folder(self) -> Path | None:
        """Where pictures go that the browser steps through, which the host empties; it need not
        exist. None where there is no browser."""
        ...

    def saved(self, path: Path) -> SavedFile:
        """How a node's `ui` names a file made under `new_output` or `new_temp`."""
        ...

    def video(self, path: Path) -> Any:
        """A video file as the value of a VIDEO socket."""
        ...

    def video_file(self, video: Any) -> Path | None:
        """The file that a VIDEO value is the whole of; None where it was made of images or cut."""
        ...

    def film_video(self, film: Film) -> Any:
        """A film as the value of a VIDEO socket: its frames are made when someone saves it."""
        ...

    def video_film(self, video: Any) -> Film | None:
        """The film that a VIDEO value of `film_video` is, or a part of it; None for others."""
        ...

    def embeds_workflow(self) -> bool:
        """Whether saved files may carry the workflow that made them."""
        ...

    def presets_dir(self) -> Path:
        """A folder for the user's own preset files; it need not exist."""
        ...

    def judges_dir(self) -> Path | None:
        """The user's folder of models that judge edits; None where there is none."""
        ...

    def cache_dir(self) -> Path:
        """A folder of the pack's own that outlives the process, made if need be."""
        ...
