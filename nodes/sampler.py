"""Controls in the user's own sampler: what goes between a MODEL and it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines.attention import keyframes as key_frames
from ..pipelines.common.typed_text import require_typed
from .common import sockets
from .common.verdict import verdict
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.controls.base import Control
    from ..pipelines.source.inversion import Inversion

MOST_SEED = 0xFFFFFFFFFFFFFFFF
"""As ComfyUI's samplers have it."""


class EvenframeSourceForControls(io.ComfyNode):
    """The clip that a sampler edits."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeSourceForControls",
            display_name="Source for Controls (Evenframe)",
            category=sockets.CATEGORY,
            description="Tell your own sampler of the clip that it shall edit, so that controls "
            "can hold on to it: KSampler, SamplerCustomAdvanced, any scheduler. Apply Controls "
            "comes next.",
            search_aliases=[
                "ksampler",
                "video to video",
                "vid2vid",
                "own sampler",
                "inject",
                "wan",
            ],
            inputs=_source_inputs(),
            outputs=[
                io.Model.Output(display_name="model", tooltip="For Apply Controls."),
                io.Conditioning.Output(
                    display_name="positive",
                    tooltip="The target prompt, for the sampler; a ControlNet may come in between.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        source_prompt: str | None = "",
        target_prompt: str | None = "",
        key_frames: str | None = "",
    ) -> bool | str:
        # What no tokenizer reads, and names that do not exist, are told before anything runs.
        def check() -> None:
            require_typed(source_prompt or "", "source_prompt")
            require_typed(target_prompt or "", "target_prompt")
            _key_frames(key_frames)

        return verdict(check)

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        latent: dict[str, Any],
        source_prompt: str,
        target_prompt: str,
        noise: str,
        noise_seed: int,
        inversion: Inversion | None = None,
        key_frames: str = "own",
        target_conditioning: Any = None,
        source_conditioning: Any = None,
    ) -> io.NodeOutput:
        prompts = (source_prompt, source_conditioning), (target_prompt, target_conditioning)
        given = {"noise": noise, "seed": noise_seed, "inversion": inversion}
        found = host.samplers().source(model, clip, latent, prompts, **given, key_frames=key_frames)
        return io.NodeOutput(*found)


def _key_frames(text: str | None) -> None:
    if text:
        key_frames.parse(text)


def _source_inputs() -> list[io.Input]:
    return [
        io.Model.Input(
            "model", tooltip="Wan, SDXL, Stable Diffusion 1.x or 2.x, as for your sampler."
        ),
        io.Clip.Input("clip", tooltip="The text encoder that belongs to it: controls know words."),
        io.Latent.Input(
            "latent",
            tooltip="The clip, from VAE Encode: of the size and length of what is sampled.",
        ),
        io.String.Input(
            "source_prompt", multiline=True, default="", tooltip="What the clip shows."
        ),
        io.String.Input("target_prompt", multiline=True, default="", tooltip="What it shall show."),
        io.Combo.Input(
            "noise",
            options=["sampler", "shared"],
            default="sampler",
            tooltip="The source at a noise level is the clip with this noise. sampler: what your "
            "sampler starts with. shared: that of noise_seed, for a sampler that starts without.",
        ),
        io.Int.Input(
            "noise_seed",
            default=0,
            min=0,
            max=MOST_SEED,
            control_after_generate=False,
            tooltip="Of the shared noise; the same noise as a sampler's of this seed.",
        ),
        sockets.Inversion.Input(
            "inversion",
            optional=True,
            tooltip="The clip inverted: follows it more closely than noise, which is idle then.",
        ),
        *_further_inputs(),
    ]


def _further_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "key_frames",
            default="own",
            optional=True,
            advanced=True,
            tooltip="The frames that each frame attends to, of models that make single frames: "
            "own, mid, first, last, all, or offsets such as -1. 'own, mid' steadies a clip. An "
            "inversion brings its own.",
        ),
        # The first of this kind, for that is what positive is where the node is bypassed.
        io.Conditioning.Input(
            "target_conditioning",
            optional=True,
            tooltip="The target prompt as other nodes have encoded it, your sampler's positive: it "
            "goes on to the sampler where this node is bypassed.",
        ),
        io.Conditioning.Input(
            "source_conditioning",
            optional=True,
            tooltip="The source prompt as other nodes have encoded it, with a ControlNet of the "
            "clip's own or the like.",
        ),
    ]


class EvenframeApplyControls(io.ComfyNode):
    """A chain of controls for a sampler."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeApplyControls",
            display_name="Apply Controls (Evenframe)",
            category=sockets.CATEGORY,
            description="Steer your own sampler by controls: fusion, regions, IRJS, FAME. The "
            "MODEL comes from Source for Controls and goes to the sampler.",
            search_aliases=["ksampler", "attention control", "own sampler", "fatezero", "reatco"],
            inputs=[
                io.Model.Input("model", tooltip="From Source for Controls."),
                sockets.Controls.Input(
                    "controls", tooltip="What steers the edit, such as Attention Fusion."
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For your sampler.")],
        )

    @classmethod
    def execute(cls, model: Any, controls: tuple[Control, ...]) -> io.NodeOutput:
        return io.NodeOutput(host.samplers().apply(model, controls))


NODES = [EvenframeSourceForControls, EvenframeApplyControls]
