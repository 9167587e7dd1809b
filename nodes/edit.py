"""The editor (the denoising loop) and the decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines import editing
from ..pipelines.controls.base import Control, working_bytes
from ..pipelines.editing import Settings
from ..pipelines.source.reconstruction import shown_frame
from .common import feedback, sockets
from .common.cost import Cost
from .common.estimate import submitted_upstream
from .common.inputs import input_of, inputs_of
from .common.memory import ATTENTION_ADVICE, DECODER_ADVICE, advice
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.models.model import Model
    from ..pipelines.source.inversion import Inversion
    from ..pipelines.text.conditioning import Conditioning
    from .host import ModelHandle


IDLE_SEED = (
    "The seed changes nothing here: eta is 0, and no control draws noise. For variations, raise "
    "eta, or change guidance_scale, start_step or a control's strength."
)


class EvenframeEdit(io.ComfyNode):
    """Denoise an inverted clip under a target prompt, steered by controls."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeEdit",
            display_name="Video Editor (Evenframe)",
            category=sockets.CATEGORY,
            description="Edit an inverted clip: denoise it under the target prompt.",
            search_aliases=["video edit", "sampler", "denoise"],
            inputs=[
                sockets.Model.Input("model", tooltip="The model that inverted the clip."),
                sockets.Inversion.Input("inversion", tooltip="The clip, from the DDIM inverter."),
                sockets.Prompt.Input("target_prompt", tooltip="What the clip shall show."),
                *inputs_of(Settings, "guidance_scale", "start_step"),
                *inputs_of(Settings, "eta", advanced=True),
                input_of(Settings, "seed", control_after_generate=io.ControlAfterGenerate.fixed),
                io.Int.Input(
                    "preview_every",
                    default=5,
                    min=0,
                    max=1000,
                    advanced=True,
                    tooltip="Show the middle frame every so many steps; 0 shows none.",
                ),
                sockets.Prompt.Input(
                    "negative_prompt",
                    optional=True,
                    tooltip="What the clip shall not show; empty where nothing is linked.",
                ),
                sockets.Controls.Input(
                    "controls",
                    optional=True,
                    tooltip="What steers the edit; nothing linked is a plain edit.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="latents", tooltip="For the decoder, or any node that takes them."
                )
            ],
            hidden=[io.Hidden.prompt],
        )

    @classmethod
    def execute(
        cls,
        model: ModelHandle[Model],
        inversion: Inversion,
        target_prompt: Conditioning,
        preview_every: int,
        negative_prompt: Conditioning | None = None,
        controls: tuple[Control, ...] = (),
        **settings: Any,
    ) -> io.NodeOutput:
        Settings(**settings).require(inversion.steps)
        size = model.model.codec.lattice_of(inversion.trajectory[0]).size
        needed = working_bytes(controls, model.model, inversion.at_once, size)
        like = (model.model.fingerprint, inversion.at_once, size)
        known = submitted_upstream(getattr(cls.hidden, "prompt", None), host.running())
        cost = Cost(like, needed, inversion.steps, known)
        loaded = host.load(model, needed)
        bar = host.progress(inversion.steps, "Editing")
        with advice(ATTENTION_ADVICE):
            latents = editing.edit(
                loaded,
                inversion,
                target_prompt,
                negative="" if negative_prompt is None else negative_prompt,
                controls=controls,
                **settings,
                on_begin=cost.begin,
                on_step=feedback.follow(
                    bar, loaded, every=preview_every, frame=shown_frame(loaded, inversion)
                ),
                on_part=feedback.follow_parts(bar),
                on_pass=host.check_interrupt,
                free=host.free_memory,
            )
        cost.end()
        samples, told = loaded.codec.exported(latents).cpu(), list(cost.lines)
        if settings.get("seed", 0) and not editing.draws(settings.get("eta", 0.0), controls):
            told.append(IDLE_SEED)
        return io.NodeOutput({"samples": samples}, ui={"text": told})


class EvenframeDecode(io.ComfyNode):
    """Latents to frames, some at a time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeDecode",
            display_name="Video Decoder (Evenframe)",
            category=sockets.CATEGORY,
            description="Turn latents into frames, some at a time, so that memory stays small.",
            search_aliases=["vae decode"],
            inputs=[
                sockets.Model.Input("model", tooltip="The model that made the latents."),
                io.Latent.Input("latents", tooltip="From the editor."),
                io.Int.Input(
                    "slice_size",
                    default=1,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="Frames decoded at once: more is faster on a GPU and needs more "
                    "memory; the result is the same.",
                ),
            ],
            outputs=[io.Image.Output(display_name="frames")],
        )

    @classmethod
    def execute(
        cls, model: ModelHandle[Model], latents: dict[str, Any], slice_size: int
    ) -> io.NodeOutput:
        samples = latents["samples"]
        size = model.model.codec.lattice_of(samples).size
        loaded = host.load(model, model.model.codec.decoding_bytes(slice_size, size))
        with advice(DECODER_ADVICE):
            imported = loaded.codec.imported(samples)
            progress = host.progress(len(imported), "Decoding")
            frames = loaded.codec.decode(imported, slice_size, progress.step)
        return io.NodeOutput(frames)


NODES = [EvenframeEdit, EvenframeDecode]
