"""From a clip to its inversion: the attention store, the DDIM inverter, inversions on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .common import feedback, sockets
from .common.files import Stamp, stamp
from .common.memory import ATTENTION_ADVICE, advice
from .common.names import filled
from .host import host, io

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.common.window import Windowing
    from ..pipelines.models.model import Backbone
    from ..pipelines.source.inversion import Inversion
    from ..pipelines.text.prompt import Prompt
    from .host import ModelHandle

GIGABYTE = 10**9


class EvenframeAttentionStore(io.ComfyNode):
    """Where the source's attention is kept between inversion and edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.source.store import MODES

        return io.Schema(
            node_id="EvenframeAttentionStore",
            display_name="Attention Store (Evenframe)",
            category=sockets.CATEGORY,
            description="Say where the source's attention is kept between inversion and edit.",
            search_aliases=["attention memory", "fatezero store"],
            inputs=[
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="auto",
                    tooltip="auto: the fastest that fits. resident: on the GPU, no extra work; "
                    "ComfyUI takes it back when it needs the room. offload: in main memory, which "
                    "ComfyUI cannot take back, so auto does not choose it there. recompute: "
                    "nothing is kept and each edit step runs the source once more, about a fifth "
                    "more work. All give the same video within rounding.",
                )
            ],
            outputs=[sockets.Store.Output(display_name="store")],
        )

    @classmethod
    def execute(cls, mode: str) -> io.NodeOutput:
        return io.NodeOutput(mode)


class EvenframeWindows(io.ComfyNode):
    """Cut a long clip into overlapping windows."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.common.window import WEIGHTS

        return io.Schema(
            node_id="EvenframeWindows",
            display_name="Windows (Evenframe)",
            category=sockets.CATEGORY,
            description="Invert and edit a long clip in overlapping windows of frames, so that "
            "memory does not grow with it.",
            search_aliases=["long video", "context window", "sliding window"],
            inputs=[
                io.Int.Input(
                    "size",
                    default=16,
                    min=1,
                    max=1000,
                    tooltip="Frames at once. A window larger than the clip is the clip.",
                ),
                io.Int.Input(
                    "stride",
                    default=12,
                    min=1,
                    max=1000,
                    tooltip="Frames from one window to the next, at most the size. Smaller "
                    "overlaps more: smoother, and slower.",
                ),
                io.Combo.Input(
                    "weights",
                    options=list(WEIGHTS),
                    default="triangular",
                    tooltip="What a window counts where others overlap it: its middle more than "
                    "its ends, or the same everywhere.",
                ),
            ],
            outputs=[sockets.Windows.Output(display_name="windows")],
        )

    @classmethod
    def execute(cls, size: int, stride: int, weights: str) -> io.NodeOutput:
        from ..pipelines.common.window import Windowing

        return io.NodeOutput(Windowing(size, stride, weights))


class EvenframeInvert(io.ComfyNode):
    """DDIM inversion, found again on disk when nothing that it depends on has changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.attention.sites import KEYFRAME_LAYERS

        return io.Schema(
            node_id="EvenframeInvert",
            display_name="DDIM Inverter (Evenframe)",
            category=sockets.CATEGORY,
            description="Find the noise from which the model would make this clip. Done once for "
            "a clip: later edits, also after a restart, find it again.",
            search_aliases=["ddim inversion", "invert video", "unsampler"],
            inputs=[
                sockets.Model.Input("model", tooltip="The model that inverts and edits."),
                io.Image.Input(
                    "frames",
                    tooltip="The clip; its sides must be multiples of what the model takes, 8 "
                    "pixels for Stable Diffusion.",
                ),
                sockets.Prompt.Input("source_prompt", tooltip="What the clip shows."),
                io.Int.Input(
                    "steps",
                    default=50,
                    min=1,
                    max=1000,
                    tooltip="DDIM steps. More follow the clip more closely and take longer.",
                ),
                io.String.Input(
                    "key_frames",
                    default="own, mid",
                    tooltip="The frames that each frame attends to: own, mid, first, last, all, or "
                    "offsets such as -1. 'mid' suits style and attribute edits, '-1, first' shape "
                    "edits.",
                ),
                sockets.Store.Input(
                    "store",
                    optional=True,
                    tooltip="Where the source's attention is kept; auto where nothing is linked.",
                ),
                io.Boolean.Input(
                    "check",
                    default=True,
                    tooltip="Also reconstruct the middle frame and show how close it comes (PSNR): "
                    "it tells at once whether the inversion is good.",
                ),
                io.Int.Input(
                    "cache_gb",
                    default=8,
                    min=0,
                    max=10000,
                    advanced=True,
                    tooltip="Inversions are kept on disk up to this many gigabytes; the ones used "
                    "longest ago go first. 0 keeps none.",
                ),
                io.Int.Input(
                    "sample_seed",
                    default=-1,
                    min=-1,
                    max=2**31 - 1,
                    advanced=True,
                    tooltip="-1 takes the mode of the autoencoder's distribution, which is the "
                    "same every time; any other number samples it with that seed.",
                ),
                sockets.Windows.Input(
                    "windows",
                    optional=True,
                    tooltip="For long clips: how inversion and edits are cut into windows. All "
                    "frames at once where nothing is linked.",
                ),
                io.Combo.Input(
                    "key_frame_layers",
                    options=list(KEYFRAME_LAYERS),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="Which layers look at key frames: all, or only those of at most half "
                    "or a quarter of the latents' resolution (32x32, 16x16 at 512 pixels). auto: "
                    "what suits the model, half at 512 pixels. Published shape edits used all.",
                ),
            ],
            outputs=[
                sockets.Inversion.Output(display_name="inversion"),
                io.Image.Output(
                    display_name="reconstruction",
                    tooltip="The middle frame of the clip, and what the inversion makes of it.",
                ),
                io.Float.Output(
                    display_name="psnr",
                    tooltip="How close the reconstruction comes to the clip, in dB; 0 unchecked.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: ModelHandle[Backbone],
        frames: Tensor,
        source_prompt: Prompt,
        steps: int,
        key_frames: str,
        check: bool,
        cache_gb: int,
        sample_seed: int,
        store: str = "auto",
        windows: Windowing | None = None,
        key_frame_layers: str = "auto",
    ) -> io.NodeOutput:
        from ..pipelines.attention import keyframes
        from ..pipelines.common.window import WHOLE_CLIP
        from ..pipelines.source.cache import InversionCache, find_or_invert
        from ..pipelines.source.inversion import Settings
        from ..pipelines.video.clip import rgb_frames

        frames, _ = rgb_frames(frames)
        size = (frames.shape[1], frames.shape[2])
        windowing = windows or WHOLE_CLIP
        seed = None if sample_seed < 0 else sample_seed
        names = keyframes.parse(key_frames)
        settings = Settings(steps, names, store, seed, windowing, key_frame_layers)
        at_once = len(windowing.cut(len(frames))[0])
        memory = model.model.working_bytes(at_once, size, branches=1)
        backbone = host.load(model, memory)
        cache = InversionCache(host.cache_dir() / "inversions", cache_gb * GIGABYTE)
        with advice(ATTENTION_ADVICE):
            inversion, found = find_or_invert(
                cache,
                backbone,
                frames,
                source_prompt,
                settings,
                check=check,
                # No live preview: the editor would go on showing it in the place of the result.
                on_step=feedback.follow(host.progress(steps, "Inverting"), backbone),
                on_check=feedback.follow(host.progress(steps, "Checking"), backbone),
                on_frame=lambda _: host.check_interrupt(),
                free=host.free_memory,
            )
        note = "found on disk" if found else f"{steps} steps"
        return cls.given(inversion, backbone, frames, note, check)

    @classmethod
    def given(
        cls, inversion: Inversion, backbone: Backbone, frames: Tensor, note: str, check: bool
    ) -> io.NodeOutput:
        """The outputs, and what the node shows: the reconstruction where it was checked."""
        from ..pipelines.common.checks import size_notes
        from ..pipelines.source.reconstruction import compare

        remarks = size_notes(backbone, (frames.shape[1], frames.shape[2]))
        if not check:
            shown = {"text": [note, *remarks]}
            return io.NodeOutput(cls.lent(inversion), frames[:1], 0.0, ui=shown)
        pair, decibels = compare(backbone, inversion, frames)
        attention = inversion.mode if inversion.records else "recompute"
        text = f"{note}; reconstruction {decibels:.1f} dB; attention: {attention}"
        shown = feedback.shown(pair, "\n".join([text, *remarks]))
        return io.NodeOutput(cls.lent(inversion), pair, decibels, ui=shown)

    @classmethod
    def lent(cls, inversion: Inversion) -> Inversion:
        """The same; the host may take back what attention it keeps on the device."""
        from dataclasses import replace

        if inversion.mode != "resident" or not inversion.records:
            return inversion
        nbytes = sum(record.nbytes() for record in inversion.records)
        return replace(inversion, records=host.lend(inversion.records, nbytes))


class EvenframeSaveInversion(io.ComfyNode):
    """An inversion into a file of the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeSaveInversion",
            display_name="Save Inversion (Evenframe)",
            category=sockets.CATEGORY,
            description="Write an inversion to the output folder, to edit from it elsewhere.",
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                sockets.Inversion.Input("inversion", tooltip="What is written."),
                io.String.Input(
                    "filename_prefix",
                    default="evenframe/inversion",
                    tooltip="Start of the file name; may name a subfolder of the output folder. "
                    "%date:yyyy-MM-dd% and %Node.input% are filled in.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        """Say before the inversion what would fail after it; None: linked, not yet known."""
        from ..pipelines.common.errors import EvenframeError
        from ..pipelines.common.tensor_file import SUFFIX

        try:
            if filename_prefix is not None:
                host.check_output(cls.name(filename_prefix), SUFFIX)
        except EvenframeError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, inversion: Inversion, filename_prefix: str) -> io.NodeOutput:
        from ..pipelines.common.tensor_file import SUFFIX
        from ..pipelines.source.file import save

        path = save(inversion, host.new_output(cls.name(filename_prefix), SUFFIX))
        return io.NodeOutput(ui={"files": [host.saved(path)], "text": [path.name]})

    @classmethod
    def name(cls, prefix: str) -> str:
        """The prefix with what stands between % signs filled in."""
        return filled(prefix, cls.hidden.prompt, cls.hidden.extra_pnginfo)


class EvenframeLoadInversion(io.ComfyNode):
    """An inversion from a file of the input or the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.common.tensor_file import SUFFIX

        return io.Schema(
            node_id="EvenframeLoadInversion",
            display_name="Load Inversion (Evenframe)",
            category=sockets.CATEGORY,
            description="Read an inversion that was saved.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.input_names({SUFFIX}, saved=True),
                    tooltip="A file that Save Inversion wrote: of the output folder, marked so, or "
                    "put into the input folder.",
                )
            ],
            outputs=[sockets.Inversion.Output(display_name="inversion")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str | None) -> Stamp | None:
        return None if file is None else stamp(host.input_path(file))  # None: linked

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        from ..pipelines.source.file import load

        return io.NodeOutput(load(host.input_path(file)))


NODES = [
    EvenframeAttentionStore,
    EvenframeWindows,
    EvenframeInvert,
    EvenframeSaveInversion,
    EvenframeLoadInversion,
]
