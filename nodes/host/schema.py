"""As much of ComfyUI's V3 node schema as this pack's nodes use, for a plain process.

The names, arguments and meanings are those of `comfy_api.latest.io`; a node file that imports `io`
from the host door gets ComfyUI's own inside a server and this one elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar


class UploadType(StrEnum):
    image = "image_upload"
    video = "video_upload"


class ControlAfterGenerate(StrEnum):
    """What the editor does with a value after each run."""

    fixed = "fixed"
    increment = "increment"


@dataclass
class Input:
    """A socket without a widget."""

    io_type: ClassVar[str] = "*"
    id: str
    _: KW_ONLY
    display_name: str | None = None
    optional: bool = False
    tooltip: str | None = None
    advanced: bool | None = None

    def get_io_type(self) -> str:
        return self.io_type


@dataclass
class WidgetInput(Input):
    """A socket with a widget: a value typed by hand where nothing is linked."""

    _: KW_ONLY
    default: Any = None


@dataclass
class Output:
    """What a node gives."""

    io_type: ClassVar[str] = "*"
    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None


class SocketType:
    """A type of value that sockets carry: its name, and its input and output."""

    io_type: ClassVar[str] = "*"
    Input: ClassVar[type[Input]] = Input
    Output: ClassVar[type[Output]] = Output


def Custom(io_type: str) -> type[SocketType]:
    """A socket type of one's own, named `io_type` (upper case by custom)."""
    name = io_type.title().replace("_", "")
    inputs = type(f"{name}Input", (Input,), {"io_type": io_type})
    outputs = type(f"{name}Output", (Output,), {"io_type": io_type})
    return type(name, (SocketType,), {"io_type": io_type, "Input": inputs, "Output": outputs})


Image = Custom("IMAGE")
Mask = Custom("MASK")
Audio = Custom("AUDIO")
Latent = Custom("LATENT")
Video = Custom("VIDEO")
Model = Custom("MODEL")
Clip = Custom("CLIP")
Conditioning = Custom("CONDITIONING")
Vae = Custom("VAE")
Sampler = Custom("SAMPLER")
Sigmas = Custom("SIGMAS")
Noise = Custom("NOISE")


class _MultiTypeInput(Input):
    """A socket that takes values of several types."""

    def __init__(self, id: str, types: list[type[SocketType]], **settings: Any) -> None:
        super().__init__(id, **settings)
        self._io_types = types

    def get_io_type(self) -> str:
        return ",".join(kind.io_type for kind in self._io_types)


class MultiType(SocketType):
    Input: ClassVar[type[_MultiTypeInput]] = _MultiTypeInput


@dataclass
class _IntInput(WidgetInput):
    io_type: ClassVar[str] = "INT"
    _: KW_ONLY
    default: int | None = None
    min: int | None = None
    max: int | None = None
    step: int | None = None
    control_after_generate: bool | ControlAfterGenerate | None = None


@dataclass
class _FloatInput(WidgetInput):
    io_type: ClassVar[str] = "FLOAT"
    _: KW_ONLY
    default: float | None = None
    min: float | None = None
    max: float | None = None
    step: float | None = None


@dataclass
class _StringInput(WidgetInput):
    io_type: ClassVar[str] = "STRING"
    _: KW_ONLY
    default: str | None = None
    multiline: bool = False
    force_input: bool | None = None  # a socket without a text field


@dataclass
class _BooleanInput(WidgetInput):
    io_type: ClassVar[str] = "BOOLEAN"
    _: KW_ONLY
    default: bool | None = None


@dataclass
class _ComboInput(WidgetInput):
    io_type: ClassVar[str] = "COMBO"
    options: Any = None
    _: KW_ONLY
    default: str | None = None
    upload: UploadType | None = None


class Int(SocketType):
    io_type = "INT"
    Input: ClassVar[type[_IntInput]] = _IntInput
    Output = Custom("INT").Output


class Float(SocketType):
    io_type = "FLOAT"
    Input: ClassVar[type[_FloatInput]] = _FloatInput
    Output = Custom("FLOAT").Output


class String(SocketType):
    io_type = "STRING"
    Input: ClassVar[type[_StringInput]] = _StringInput
    Output = Custom("STRING").Output


class Boolean(SocketType):
    io_type = "BOOLEAN"
    Input: ClassVar[type[_BooleanInput]] = _BooleanInput
    Output = Custom("BOOLEAN").Output


class Combo(SocketType):
    io_type = "COMBO"
    Input: ClassVar[type[_ComboInput]] = _ComboInput
    Output = Custom("COMBO").Output


class Hidden(StrEnum):
    """What a node may ask to be told beside its inputs."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"


@dataclass(frozen=True)
class HiddenHolder:
    """`cls.hidden` while a node runs: None for what its schema did not ask for.

    unique_id: the node's id in the workflow.
    prompt: the whole workflow in API format.
    extra_pnginfo: the editor's own data, to be written into saved files; None in a plain process.
    """

    unique_id: str | None = None
    prompt: dict[str, Any] | None = None
    extra_pnginfo: dict[str, Any] | None = None


@dataclass
class Schema:
    """A node's properties."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_output_node: bool = False
    not_idempotent: bool = False

    def finalize(self) -> None:
        """Name the outputs that have no name; give output nodes what they write into files."""
        if self.is_output_node:
            wanted = (Hidden.prompt, Hidden.extra_pnginfo)
            self.hidden += [hidden for hidden in wanted if hidden not in self.hidden]
        for index, output in enumerate(self.outputs):
            output.id = output.id or f"_{index}_{output.io_type}_"

    def validate(self) -> None:
        """Raise ValueError where two inputs, or two outputs, share a name."""
        for kind, sockets in (("input", self.inputs), ("output", self.outputs)):
            names = [socket.id for socket in sockets]
            if repeated := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{self.node_id}: {kind} names must be unique: {repeated}")


class NodeOutput:
    """What `execute` returns: one value an output, and `ui`, what the user interface shows."""

    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args = args
        self.ui = ui

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class ComfyNode(ABC):
    """The base of every node: class methods only, no state."""

    hidden: ClassVar[HiddenHolder] = HiddenHolder()

    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema: ...

    @classmethod
    @abstractmethod
    def execute(cls, **kwargs: Any) -> Any: ...

    @classmethod
    def validate_inputs(cls, **kwargs: Any) -> bool | str:
        """Override to check values before anything runs: True, or what is wrong.

        An input that it names loses its own min, max and option checks, as in ComfyUI.
        """
        raise NotImplementedError

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> Any:
        """Override to run again when more than the inputs changed; linked inputs are None."""
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        schema = cls.define_schema()
        schema.finalize()
        schema.validate()
        return schema


class ComfyExtension(ABC):
    """What a pack's entry point returns."""

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]: ...
