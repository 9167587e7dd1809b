"""Controls: what steers an edit. Each node adds one to a chain."""

from __future__ import annotations

from typing import Any

from ..pipelines.controls.base import Control, chained
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.fatezero.presets import PRESETS
from ..pipelines.controls.first_frame.first_frame import FirstFrame
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.token_flow.token_flow import TokenFlow
from ..pipelines.controls.videograin.videograin import VideoGrain
from ..pipelines.text.prompt import parse_phrases, parse_weights
from .common import sockets
from .common.chain import control_schema
from .common.early import Named, Place, words_verdict
from .common.inputs import inputs_of, settings_of
from .host import io

MOST_FRAMES = 100_000
"""An input of a node has an end."""


class EvenframeAttentionFusion(io.ComfyNode):
    """FateZero's attention fusion, every setting by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeAttentionFusion",
            display_name="Attention Fusion (Evenframe)",
            description="Keep the clip's motion and scene: fuse the source's attention into the "
            "edit's (FateZero).",
            search_aliases=["fatezero", "prompt to prompt", "attention control"],
            inputs=[
                *inputs_of(Fusion, "method", "cross_steps", "self_steps", "blend_words"),
                *inputs_of(Fusion, "threshold", "weights", "latent_blend"),
                *inputs_of(Fusion, "blend_window", advanced=True),
                *inputs_of(
                    Fusion, "self_blend", "target_blend_words", optional=True, advanced=True
                ),
                *inputs_of(Fusion, "bridge", optional=True, advanced=True),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        blend_words: str | None = "",
        weights: str | None = "",
        target_blend_words: str | None = "",
    ) -> bool | str:
        # Texts, so the host has no checks of its own that naming them would switch off.
        def named(node: Place) -> list[Named]:
            weighted = [word for word, _ in parse_weights(weights or "")]
            return [
                ("blend_words", "source", parse_phrases(blend_words or "")),
                ("weights", "target", weighted),
                ("target_blend_words", "target", parse_phrases(target_blend_words or "")),
            ]

        return words_verdict(named)

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(chained(controls, settings_of(Fusion, settings)))


class EvenframeFusionPreset(io.ComfyNode):
    """FateZero's attention fusion with the published settings of a kind of edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeFusionPreset",
            display_name="Attention Fusion Preset (Evenframe)",
            description="Attention fusion with the settings that FateZero published for a kind of "
            "edit.",
            search_aliases=["fatezero preset"],
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="style",
                    tooltip="The kind of edit. Shape and person presets need blend words.",
                ),
                io.String.Input(
                    "new_words",
                    default="",
                    tooltip="The words of the target prompt that are new, separated by commas: "
                    "the style presets make them ten times stronger.",
                ),
                *inputs_of(Fusion, "blend_words"),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, new_words: str | None = "", blend_words: str | None = ""
    ) -> bool | str:
        def named(node: Place) -> list[Named]:
            preset = PRESETS.get(node.text("preset"))
            weighted = new_words if preset and preset.emphasis != 1 else ""
            return [
                ("new_words", "target", parse_phrases(weighted or "")),
                ("blend_words", "source", parse_phrases(blend_words or "")),
            ]

        return words_verdict(named)

    @classmethod
    def execute(
        cls, preset: str, new_words: str, blend_words: str, controls: tuple[Control, ...] = ()
    ) -> io.NodeOutput:
        chosen = PRESETS[preset]
        fusion = chosen.settings(parse_phrases(new_words), parse_phrases(blend_words))
        return io.NodeOutput(chained(controls, fusion), ui={"text": [chosen.note()]})


class EvenframeRefocus(io.ComfyNode):
    """ReAtCo's RAD: each object in its own region."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeRefocus",
            display_name="RAD Refocuser (Evenframe)",
            description="Move each word's attention into its region, so that every object of the "
            "edit appears where it belongs (ReAtCo).",
            search_aliases=[
                "reatco",
                "re-attentional diffusion",
                "layout guidance",
                "multi object",
            ],
            inputs=[
                sockets.Regions.Input(
                    "regions", tooltip="Where the objects belong, each with words of the prompt."
                ),
                *inputs_of(Refocus, "scale", "steps", "top_fraction", "refine"),
                *inputs_of(Refocus, "rule", "outer_count", "sharpen", "smooth", advanced=True),
                *inputs_of(Refocus, "checkpointing", advanced=True),
                *inputs_of(Refocus, "guide_by", "boost", optional=True, advanced=True),
                *inputs_of(Refocus, "refine_by", "overlap", optional=True, advanced=True),
            ],
        )

    @classmethod
    def validate_inputs(cls, regions: Any = None) -> bool | str:
        return words_verdict(lambda _: [], lambda _: True)

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        refocus = settings_of(Refocus, settings)
        notes = refocus.notes()
        return io.NodeOutput(chained(controls, refocus), ui={"text": notes} if notes else None)


class EvenframeJointSampling(io.ComfyNode):
    """ReAtCo's IRJS: everything outside of the regions stays as it is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeJointSampling",
            display_name="IRJS Blender (Evenframe)",
            description="Keep the clip outside of the regions: after each step, the source takes "
            "its place there again (ReAtCo).",
            search_aliases=["reatco", "joint sampling", "background preservation", "inpaint"],
            inputs=[
                sockets.Regions.Input("regions", tooltip="Where the clip may change."),
                *inputs_of(JointSampling, "noise", "repeats"),
                *inputs_of(JointSampling, "repeat_steps", "inset", optional=True, advanced=True),
                *inputs_of(JointSampling, "place", optional=True, advanced=True),
            ],
        )

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(chained(controls, settings_of(JointSampling, settings)))


class EvenframeVideoGrain(io.ComfyNode):
    """VideoGrain: each region its own words, and nobody else's."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeVideoGrain",
            display_name="VideoGrain (Evenframe)",
            description="Several things edited at once: what is in a region looks at the region's "
            "words and at itself in all frames, and away from the rest (VideoGrain).",
            search_aliases=["videograin", "multi grained", "multi object", "regional prompt"],
            inputs=[
                sockets.Regions.Input(
                    "regions", tooltip="Where the things are, each with words of the prompt."
                ),
                *inputs_of(VideoGrain, "cross", "own"),
                *inputs_of(VideoGrain, "steps", "local_words", advanced=True),
            ],
        )

    @classmethod
    def validate_inputs(cls, regions: Any = None) -> bool | str:
        return words_verdict(lambda _: [], lambda node: node.exceeds("cross", 0))

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(chained(controls, settings_of(VideoGrain, settings)))


class EvenframeTokenFlow(io.ComfyNode):
    """TokenFlow: a few frames are edited, and the others follow the clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeTokenFlow",
            display_name="TokenFlow (Evenframe)",
            description="Edit a few key frames together, and carry what they look like to all "
            "others, as the clip's own places are alike (TokenFlow).",
            search_aliases=["tokenflow", "consistency", "key frames", "pnp", "plug and play"],
            inputs=[*inputs_of(TokenFlow, "batch", "structure")],
        )

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(chained(controls, settings_of(TokenFlow, settings)))


class EvenframeFirstFrame(io.ComfyNode):
    """An edited frame that the rest of the clip follows."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return control_schema(
            node_id="EvenframeFirstFrame",
            display_name="First Frame (Evenframe)",
            description="Edit one frame as you like, with any image editor or by hand, and let the "
            "clip follow it.",
            search_aliases=[
                "edited first frame",
                "keyframe",
                "propagate",
                "reference frame",
                "anchor",
                "anyv2v",
            ],
            inputs=[
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The edited frame, one picture of the clip's size.",
                ),
                *inputs_of(FirstFrame, "frame", max=MOST_FRAMES),
                *inputs_of(FirstFrame, "strength", "decay"),
                *inputs_of(FirstFrame, "carry", "attention", "steps", advanced=True),
                io.Latent.Input(
                    "latents",
                    optional=True,
                    tooltip="The edited frame from VAE Encode, in the place of image: where your "
                    "own sampler runs, which has no VAE.",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="Where the other frames follow; everywhere where nothing is linked.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        latents: dict[str, Any] | None = None,
        controls: tuple[Control, ...] = (),
        **settings: Any,
    ) -> io.NodeOutput:
        image = settings.pop("image", None)
        given = {
            "image": None if image is None else image[..., :3],  # a mask may come as a fourth
            "latents": None if latents is None else latents["samples"],
        }
        control = settings_of(FirstFrame, {**given, **settings})
        return io.NodeOutput(chained(controls, control))


NODES = [
    EvenframeAttentionFusion,
    EvenframeFusionPreset,
    EvenframeRefocus,
    EvenframeJointSampling,
    EvenframeFirstFrame,
    EvenframeVideoGrain,
    EvenframeTokenFlow,
]
