"""Tuning on a clip: a model that learns one clip before it edits it, and its file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..pipelines.common.tensor_file import SUFFIX
from ..pipelines.models.delta import Delta
from ..pipelines.tuning.cache import find_or_tune, tuning_cache
from ..pipelines.tuning.file import load, save
from ..pipelines.tuning.one_shot import training_bytes
from ..pipelines.tuning.settings import PRESETS, Tuning
from ..pipelines.video.clip import rgb_frames
from .common import shared, sockets
from .common.files import Stamp, input_stamp
from .common.inputs import input_of, inputs_of, settings_of
from .common.memory import advice
from .common.names import filled_for
from .common.verdict import verdict
from .host import host, io

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.models.model import Model
    from ..pipelines.text.conditioning import Conditioning
    from .host import ModelHandle

GIGABYTE = 10**9
OWN = "as set below"
ADVICE = "set checkpointing to 'on'; then take fewer frames or a smaller max_side."


class EvenframeTuneOnClip(io.ComfyNode):
    """One-shot tuning, found again on disk when nothing that it depends on has changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeTuneOnClip",
            display_name="Tune On Clip (Evenframe)",
            category=sockets.CATEGORY,
            description="Let the model learn this one clip before it edits it, so that the edit "
            "moves as the clip does (Tune-A-Video). Takes minutes on a GPU, once for a clip.",
            search_aliases=["tune-a-video", "one-shot tuning", "finetune", "train"],
            inputs=[
                sockets.Model.Input(
                    "model", tooltip="What is tuned, from Load Model. It stays as it is itself."
                ),
                io.Image.Input("frames", tooltip="The clip, of two frames or more."),
                sockets.Prompt.Input("source_prompt", tooltip="What the clip shows."),
                io.Combo.Input(
                    "preset",
                    options=[OWN, *PRESETS],
                    default=OWN,
                    tooltip="A published tuning, which sets tuning_steps, learning_rate, layers, "
                    "norm and key_frames in the place of those below.",
                ),
                input_of(Tuning, "steps", "tuning_steps"),
                *inputs_of(Tuning, "learning_rate", "layers"),
                *inputs_of(Tuning, "norm", advanced=True),
                input_of(Tuning, "keyframes", "key_frames", default="first, -1", advanced=True),
                *inputs_of(Tuning, "seed", max=2**31 - 1),
                *inputs_of(Tuning, "checkpointing", advanced=True),
                io.Int.Input(
                    "cache_gb",
                    default=4,
                    min=0,
                    max=10000,
                    advanced=True,
                    tooltip="Tunings are kept on disk up to this many gigabytes; the ones used "
                    "longest ago go first. 0 keeps none.",
                ),
            ],
            outputs=[
                sockets.Model.Output(display_name="model"),
                sockets.Tuning.Output(display_name="tuning"),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: ModelHandle[Model],
        frames: Tensor,
        source_prompt: Conditioning,
        preset: str,
        tuning_steps: int,
        key_frames: str,
        cache_gb: int,
        **settings: Any,
    ) -> io.NodeOutput:
        frames, _ = rgb_frames(frames)
        tuning = settings_of(Tuning, settings | {"steps": tuning_steps, "keyframes": key_frames})
        if preset != OWN:
            tuning = replace(PRESETS[preset], seed=tuning.seed, checkpointing=tuning.checkpointing)
        loaded = host.load(model, training_bytes(model.model, frames, tuning))
        bar, losses = host.progress(tuning.steps, "Tuning"), list[float]()

        def follow(step: Any) -> None:
            losses.append(step.loss)
            bar.step(step.done)

        with advice(ADVICE):
            delta, found = find_or_tune(
                tuning_cache(host.cache_dir() / "tunings", cache_gb * GIGABYTE),
                loaded,
                frames,
                source_prompt,
                tuning,
                on_step=follow,
                on_frame=lambda _: host.check_interrupt(),
                free=host.free_memory,
            )
        told = "found on disk" if found else tuning.told(losses)
        return io.NodeOutput(_tuned(model, delta), delta, ui={"text": [f"{delta.name}: {told}"]})


class EvenframeSaveTuning(io.ComfyNode):
    """A tuning into a file of the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeSaveTuning",
            display_name="Save Tuning (Evenframe)",
            category=sockets.CATEGORY,
            description="Write what a model has learnt of a clip to the output folder, without "
            "the model.",
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                sockets.Tuning.Input("tuning", tooltip="What is written, from Tune On Clip."),
                shared.filename_prefix(
                    "evenframe/tuning",
                    "Start of the file name; may name a subfolder of the output folder. "
                    "%date:yyyy-MM-dd% and %Node.input% are filled in.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        """Say before the tuning what would fail after it."""

        def check() -> None:
            if filename_prefix is not None:
                host.check_output(filled_for(cls, filename_prefix), SUFFIX)

        return verdict(check)

    @classmethod
    def execute(cls, tuning: Delta, filename_prefix: str) -> io.NodeOutput:
        path = save(tuning, host.new_output(filled_for(cls, filename_prefix), SUFFIX))
        return io.NodeOutput(ui={"files": [host.saved(path)], "text": [path.name]})


class EvenframeLoadTuning(io.ComfyNode):
    """A tuning from a file of the input or the output folder, on the model it was made on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeLoadTuning",
            display_name="Load Tuning (Evenframe)",
            category=sockets.CATEGORY,
            description="Put a tuning that was saved on the model that it was made on.",
            inputs=[
                sockets.Model.Input("model", tooltip="The model that was tuned, from Load Model."),
                io.Combo.Input(
                    "file",
                    options=host.input_names({SUFFIX}, saved=True),
                    tooltip="A file that Save Tuning wrote: of the output folder, marked so, or "
                    "put into the input folder.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str | None, **others: Any) -> Stamp | None:
        return input_stamp(file)

    @classmethod
    def execute(cls, model: ModelHandle[Model], file: str) -> io.NodeOutput:
        delta = load(host.input_path(file))
        return io.NodeOutput(_tuned(model, delta), ui={"text": [delta.name]})


def _tuned(handle: ModelHandle[Model], delta: Delta) -> ModelHandle[Model]:
    """The same weights, where the host has them, with the difference beside them."""
    return replace(handle, model=handle.model.with_delta(delta))


NODES = [EvenframeTuneOnClip, EvenframeSaveTuning, EvenframeLoadTuning]
