"""What else serves the user's own sampler: masks, steps one by one, an inversion, guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines.common.errors import EvenframeError
from ..pipelines.controls.span import Span
from ..pipelines.regions.latent_mask import latent_mask
from ..pipelines.source.inversion import Settings
from .common import sockets
from .common.inputs import SHARE_STEP, input_of
from .host import host, io

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.regions.regions import Regions
    from ..pipelines.walk import StepReport


class EvenframeRegionsToLatentMask(io.ComfyNode):
    """Regions as a noise mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeRegionsToLatentMask",
            display_name="Regions to Latent Mask (Evenframe)",
            category=sockets.CATEGORY,
            description="Let a sampler change a clip inside regions alone: a noise mask on the "
            "latents, of video models too.",
            search_aliases=["noise mask", "inpaint", "set latent noise mask", "vae encode inpaint"],
            inputs=[
                sockets.Regions.Input("regions", tooltip="Where the clip may change."),
                io.Latent.Input("latent", tooltip="The clip, from VAE Encode."),
                *_span_inputs(),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The sampler's MODEL, which is needed where the mask shall hold for a "
                    "part of the steps.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="For the sampler."),
                io.Mask.Output(display_name="mask", tooltip="A mask for each latent frame."),
                io.Model.Output(
                    display_name="model", tooltip="For the sampler, where model is linked."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        regions: Regions,
        latent: dict[str, Any],
        start: float = 0.0,
        end: float = 1.0,
        model: Any = None,
    ) -> io.NodeOutput:
        span, before = Span(start, end), latent.get("noise_mask")
        if model is None and span != Span():
            raise EvenframeError(
                f"The mask shall hold from {start:g} to {end:g} of the steps, which the MODEL has "
                "to know: link model, and its output to the sampler."
            )
        mask = latent_mask(regions, latent["samples"].shape, before)
        if model is not None and span != Span():
            model = host.samplers().mask_steps(model, span)
        flat = mask.flatten(0, -3)  # t rows columns, of single frames and of clips
        return io.NodeOutput({**latent, "noise_mask": mask}, flat, model)


class EvenframeRefocusSampler(io.ComfyNode):
    """A sampler around a sampler."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeRefocusSampler",
            display_name="Refocus Sampler (Evenframe)",
            category=sockets.CATEGORY,
            description="Take the steps of a sampler one by one, for controls that act between "
            "steps: RAD by its gradient, IRJS with fresh noise or repeats.",
            search_aliases=["reatco", "rad", "repaint", "custom sampler", "ksampler select"],
            inputs=[
                io.Sampler.Input(
                    "sampler", tooltip="From KSamplerSelect: euler, heun or another of one step."
                )
            ],
            outputs=[
                io.Sampler.Output(
                    display_name="sampler",
                    tooltip="For SamplerCustom or SamplerCustomAdvanced.",
                )
            ],
        )

    @classmethod
    def execute(cls, sampler: Any) -> io.NodeOutput:
        return io.NodeOutput(host.samplers().refocus(sampler))


class EvenframeInvertForSampler(io.ComfyNode):
    """An inversion at a sampler's own levels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeInvertForSampler",
            display_name="Invert for Sampler (Evenframe)",
            category=sockets.CATEGORY,
            description="Find the noise from which your sampler would make the clip, at the very "
            "levels of the edit: it walks their SIGMAS backwards by itself.",
            search_aliases=["unsampler", "ddim inversion", "rf inversion", "flip sigmas", "noise"],
            inputs=[
                io.Model.Input("model", tooltip="From Source for Controls."),
                io.Sigmas.Input(
                    "sigmas", tooltip="Those of the edit, from its scheduler; not flipped."
                ),
                input_of(Settings, "solver", default="uni-inv"),
                io.Noise.Input(
                    "noise",
                    optional=True,
                    tooltip="Your sampler's noise, of which the seed is taken: samplers that draw "
                    "noise on their way need one. It goes on to the sampler where this node is "
                    "bypassed.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The MODEL, whose source is followed as it was inverted.",
                ),
                sockets.Inversion.Output(display_name="inversion"),
                io.Noise.Output(
                    display_name="noise",
                    tooltip="For SamplerCustomAdvanced over an empty latent of the clip's size and "
                    "length.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model: Any, sigmas: Tensor, solver: str, noise: Any = None) -> io.NodeOutput:
        bar = host.progress(max(1, len(sigmas) - 1), "Inverting")

        def told(report: StepReport) -> None:
            bar.step(report.done)

        seed = getattr(noise, "seed", 0)
        return io.NodeOutput(*host.samplers().invert(model, sigmas, solver, told, seed))


class EvenframeSourceGuidance(io.ComfyNode):
    """Source-oriented guidance."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeSourceGuidance",
            display_name="Source Guidance (Evenframe)",
            category=sockets.CATEGORY,
            description="Correct what the model says of the edit by how far it misses the source, "
            "wherever the two go the same way (StreamEdit).",
            search_aliases=["streamedit", "guidance", "background", "flowedit"],
            inputs=[
                io.Model.Input("model", tooltip="From Source for Controls or Apply Controls."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=SHARE_STEP,
                    tooltip="How much of the correction. 1 as published, 0 changes nothing. It "
                    "costs a pass of the source for each pass of the sampler.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For your sampler.")],
        )

    @classmethod
    def execute(cls, model: Any, strength: float) -> io.NodeOutput:
        return io.NodeOutput(host.samplers().guide(model, strength))


def _span_inputs() -> list[io.Input]:
    ends = {
        "start": (0.0, "Share of the steps after which the mask begins to hold."),
        "end": (1.0, "Share of the steps after which it no longer does."),
    }
    shares = {"min": 0.0, "max": 1.0, "step": SHARE_STEP, "advanced": True, "optional": True}
    return [
        io.Float.Input(name, default=default, tooltip=effect, **shares)
        for name, (default, effect) in ends.items()
    ]


NODES = [
    EvenframeRegionsToLatentMask,
    EvenframeRefocusSampler,
    EvenframeInvertForSampler,
    EvenframeSourceGuidance,
]
