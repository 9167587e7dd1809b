"""From a clip to its inversion: the attention store, windows, the DDIM inverter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..pipelines.common.window import WHOLE_CLIP, Windowing
from ..pipelines.models.lattice import latents_for
from ..pipelines.source import cache
from ..pipelines.source.inversion import Inversion, Settings
from ..pipelines.source.report import report
from ..pipelines.video.clip import rgb_frames
from .common import feedback, sockets
from .common.inputs import input_of, inputs_of, settings_of
from .common.memory import ATTENTION_ADVICE, advice
from .host import host, io

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.models.model import Model
    from ..pipelines.text.conditioning import Conditioning
    from .host import ModelHandle

GIGABYTE = 10**9


class EvenframeAttentionStore(io.ComfyNode):
    """Where the source's attention is kept between inversion and edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeAttentionStore",
            display_name="Attention Store (Evenframe)",
            category=sockets.CATEGORY,
            description="Say where the source's attention is kept between inversion and edit.",
            search_aliases=["attention memory", "fatezero store"],
            inputs=[
                input_of(
                    Settings,
                    "store",
                    "mode",
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
        return io.Schema(
            node_id="EvenframeWindows",
            display_name="Windows (Evenframe)",
            category=sockets.CATEGORY,
            description="Invert and edit a long clip in overlapping windows of frames, so that "
            "memory does not grow with it.",
            search_aliases=["long video", "context window", "sliding window"],
            inputs=[
                *inputs_of(Windowing, "size", "stride", max=1000),
                *inputs_of(Windowing, "weights"),
            ],
            outputs=[sockets.Windows.Output(display_name="windows")],
        )

    @classmethod
    def execute(cls, size: int, stride: int, weights: str) -> io.NodeOutput:
        return io.NodeOutput(Windowing(size, stride, weights))


class EvenframeInvert(io.ComfyNode):
    """DDIM inversion, found again on disk when nothing that it depends on has changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeInvert",
            display_name="DDIM Inverter (Evenframe)",
            category=sockets.CATEGORY,
            description="Find the noise from which the model would make this clip. Done once for "
            "a clip: later edits, also after a restart, find it again.",
            search_aliases=["ddim inversion", "invert video", "unsampler"],
            inputs=_inversion_inputs(),
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
        model: ModelHandle[Model],
        frames: Tensor,
        source_prompt: Conditioning,
        steps: int,
        key_frames: str,
        check: bool,
        cache_gb: int,
        sample_seed: int,
        store: str = "auto",
        windows: Windowing | None = None,
        key_frame_layers: str = "auto",
        noise_seed: int = -1,
        solver: str = Settings.solver,
    ) -> io.NodeOutput:
        frames, _ = rgb_frames(frames)
        values: dict[str, Any] = {"steps": steps, "keyframes": key_frames, "store": store}
        values |= {"seed": sample_seed, "layers": key_frame_layers, "noise_seed": noise_seed}
        values["solver"] = solver
        settings = settings_of(Settings, values | {"windowing": windows or WHOLE_CLIP})
        time, size = model.model.codec.time_stride, frames.shape[1:3]
        windowing = settings.windowing.in_latents(time)
        at_once = len(windowing.cut(latents_for(len(frames), time))[0])
        memory = model.model.denoiser.working_bytes(at_once, (size[0], size[1]), branches=1)
        loaded = host.load(model, memory)
        bar = host.progress(steps, "Inverting")
        with advice(ATTENTION_ADVICE):
            inversion, found = cache.find_or_invert(
                cache.InversionCache(host.cache_dir() / "inversions", cache_gb * GIGABYTE),
                loaded,
                frames,
                source_prompt,
                settings,
                check=check,
                # No live preview: the editor would go on showing it in the place of the result.
                on_step=feedback.follow(bar, loaded),
                on_part=feedback.follow_parts(bar),
                on_check=feedback.follow(host.progress(steps, "Checking"), loaded),
                on_frame=lambda _: host.check_interrupt(),
                free=host.free_memory,
            )
        told = report(loaded, inversion, frames, found, check)
        shown = {"text": list(told.lines)}
        if check:
            shown = feedback.shown(told.picture, "\n".join(told.lines))
        return io.NodeOutput(_lent(inversion), told.picture, told.decibels, ui=shown)


def _inversion_inputs() -> list[io.Input]:
    return [
        sockets.Model.Input("model", tooltip="The model that inverts and edits."),
        io.Image.Input(
            "frames",
            tooltip="The clip; its sides must be multiples of what the model takes, 8 pixels for "
            "Stable Diffusion.",
        ),
        sockets.Prompt.Input("source_prompt", tooltip="What the clip shows."),
        input_of(Settings, "steps"),
        input_of(Settings, "keyframes", "key_frames", default="own, mid"),
        sockets.Store.Input(
            "store",
            optional=True,
            tooltip="Where the source's attention is kept; auto where nothing is linked.",
        ),
        io.Boolean.Input(
            "check",
            default=True,
            tooltip="Also reconstruct the middle frame and show how close it comes (PSNR): it "
            "tells at once whether the inversion is good.",
        ),
        io.Int.Input(
            "cache_gb",
            default=8,
            min=0,
            max=10000,
            advanced=True,
            tooltip="Inversions are kept on disk up to this many gigabytes; the ones used longest "
            "ago go first. 0 keeps none.",
        ),
        input_of(Settings, "seed", "sample_seed", max=2**31 - 1, advanced=True),
        sockets.Windows.Input(
            "windows",
            optional=True,
            tooltip="For long clips: how inversion and edits are cut into windows. All frames at "
            "once where nothing is linked.",
        ),
        input_of(Settings, "layers", "key_frame_layers", optional=True, advanced=True),
        *inputs_of(Settings, "noise_seed", "solver", optional=True, advanced=True),
    ]


def _lent(inversion: Inversion) -> Inversion:
    """The same; the host may take back what attention it keeps on the device."""
    if inversion.mode != "resident" or not inversion.records:
        return inversion
    nbytes = sum(record.nbytes() for record in inversion.records)
    return replace(inversion, records=host.lend(inversion.records, nbytes))


NODES = [EvenframeAttentionStore, EvenframeWindows, EvenframeInvert]
