"""Controls: what steers an edit. Each node adds one to a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines.controls.base import Control, chained
from ..pipelines.controls.fatezero.fusion import Fusion
from .common import sockets
from .common.inputs import inputs_of, settings_of
from .host import io

if TYPE_CHECKING:
    from ..pipelines.controls.base import Control
    from ..pipelines.regions.regions import Regions


def _share(name: str, default: float, tooltip: str, advanced: bool | None = None) -> io.Input:
    """An input for a share of the steps."""
    return io.Float.Input(
        name, default=default, min=0.0, max=1.0, step=0.05, tooltip=tooltip, advanced=advanced
    )


def _chain_input() -> io.Input:
    return sockets.Controls.Input(
        "controls", optional=True, tooltip="Controls that act before this one."
    )


class EvenframeAttentionFusion(io.ComfyNode):
    """FateZero's attention fusion, every setting by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeAttentionFusion",
            display_name="Attention Fusion (Evenframe)",
            category=sockets.CATEGORY,
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
                _chain_input(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(cls, controls: tuple[Control, ...] = (), **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(chained(controls, settings_of(Fusion, settings)))


class EvenframeFusionPreset(io.ComfyNode):
    """FateZero's attention fusion with the published settings of a kind of edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.controls.fatezero.presets import PRESETS

        return io.Schema(
            node_id="EvenframeFusionPreset",
            display_name="Attention Fusion Preset (Evenframe)",
            category=sockets.CATEGORY,
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
                _chain_input(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(
        cls, preset: str, new_words: str, blend_words: str, controls: tuple[Control, ...] = ()
    ) -> io.NodeOutput:
        from ..pipelines.controls.fatezero.presets import PRESETS
        from ..pipelines.text.prompt import parse_phrases

        chosen = PRESETS[preset]
        fusion = chosen.settings(parse_phrases(new_words), parse_phrases(blend_words))
        return io.NodeOutput(chained(controls, fusion), ui={"text": [chosen.note()]})


class EvenframeRefocus(io.ComfyNode):
    """ReAtCo's RAD: each object in its own region."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.controls.reatco.refocus import CHECKPOINTING, OUTER_COUNTS, RULES

        return io.Schema(
            node_id="EvenframeRefocus",
            display_name="RAD Refocuser (Evenframe)",
            category=sockets.CATEGORY,
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
                io.Float.Input(
                    "scale",
                    default=-1.0,
                    min=-1.0,
                    max=10000.0,
                    step=1.0,
                    tooltip="How far the latents are moved. -1: as published for the rule, 20 with "
                    "'code' and 1 with 'paper'. More where objects stay away, less where they "
                    "break.",
                ),
                _share("start", 0.0, "Share of the steps after which the guidance begins."),
                _share(
                    "end",
                    0.5,
                    "Share of the steps after which it ends. Each guided step takes about half "
                    "again as long.",
                ),
                io.Float.Input(
                    "top_fraction",
                    default=0.2,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of a region's cells that count, those with the most attention. "
                    "Larger fills the region, and holds the object less well.",
                ),
                io.Boolean.Input(
                    "refine",
                    default=False,
                    tooltip="Move the latents up to 20 times more at three early steps, until the "
                    "attention is there. For objects that stay away; slow.",
                ),
                io.Combo.Input(
                    "rule",
                    options=list(RULES),
                    default="code",
                    advanced=True,
                    tooltip="How the scale falls from step to step: as the published code has it, "
                    "or as the paper.",
                ),
                io.Combo.Input(
                    "outer_count",
                    options=list(OUTER_COUNTS),
                    default="complement",
                    advanced=True,
                    tooltip="Cells that count outside of a region: the fraction of them all, or as "
                    "many as inside.",
                ),
                io.Boolean.Input(
                    "sharpen",
                    default=True,
                    advanced=True,
                    tooltip="Let the words of the prompt compete for each place.",
                ),
                io.Boolean.Input(
                    "smooth",
                    default=True,
                    advanced=True,
                    tooltip="Smooth the attention over neighbouring places and frames.",
                ),
                io.Combo.Input(
                    "checkpointing",
                    options=list(CHECKPOINTING),
                    default="auto",
                    advanced=True,
                    tooltip="Compute parts twice instead of keeping them: a fifth of the memory, "
                    "a third more time, the same result. auto: where memory is short.",
                ),
                _chain_input(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(
        cls,
        regions: Regions,
        scale: float,
        start: float,
        end: float,
        top_fraction: float,
        refine: bool,
        rule: str,
        outer_count: str,
        sharpen: bool,
        smooth: bool,
        checkpointing: str,
        controls: tuple[Control, ...] = (),
    ) -> io.NodeOutput:
        from ..pipelines.controls.reatco.refocus import Refocus
        from ..pipelines.controls.span import Span

        refocus = Refocus(
            regions,
            rule=rule,
            scale=None if scale < 0 else scale,
            steps=Span(start, end),
            top_fraction=top_fraction,
            outer_count=outer_count,
            sharpen=sharpen,
            smooth=smooth,
            refine=refine,
            checkpointing=checkpointing,
        )
        notes = refocus.notes()
        return io.NodeOutput(chained(controls, refocus), ui={"text": notes} if notes else None)


class EvenframeJointSampling(io.ComfyNode):
    """ReAtCo's IRJS: everything outside of the regions stays as it is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.controls.reatco.joint_sampling import NOISES

        return io.Schema(
            node_id="EvenframeJointSampling",
            display_name="IRJS Blender (Evenframe)",
            category=sockets.CATEGORY,
            description="Keep the clip outside of the regions: after each step, the source takes "
            "its place there again (ReAtCo).",
            search_aliases=["reatco", "joint sampling", "background preservation", "inpaint"],
            inputs=[
                sockets.Regions.Input("regions", tooltip="Where the clip may change."),
                io.Combo.Input(
                    "noise",
                    options=list(NOISES),
                    default="inversion",
                    tooltip="What the source is blurred with at each step: the inversion's own, "
                    "which cannot flicker, or fresh noise with the editor's seed, as published.",
                ),
                io.Int.Input(
                    "repeats",
                    default=1,
                    min=1,
                    max=20,
                    tooltip="How often a step is taken. More let the edit fit in better with "
                    "what is around it; these steps take as many times longer.",
                ),
                io.Float.Input(
                    "repeat_steps",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Share of the steps, from the start, that are taken so often. About "
                    "0.3 draws anew what stands there, and then leaves it in its place.",
                    advanced=True,
                ),
                io.Int.Input(
                    "inset",
                    default=0,
                    min=0,
                    max=16,
                    optional=True,
                    tooltip="Latent cells (8 pixels) inside a region's edge that stay the source's "
                    "too: with 1, what is decoded outside comes out much nearer to the source. "
                    "Draw the region that much larger.",
                    advanced=True,
                ),
                _chain_input(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(
        cls,
        regions: Regions,
        noise: str,
        repeats: int,
        repeat_steps: float = 1.0,
        inset: int = 0,
        controls: tuple[Control, ...] = (),
    ) -> io.NodeOutput:
        from ..pipelines.controls.reatco.joint_sampling import JointSampling

        control = JointSampling(
            regions, noise=noise, repeats=repeats, repeat_steps=repeat_steps, inset=inset
        )
        return io.NodeOutput(chained(controls, control))


NODES = [EvenframeAttentionFusion, EvenframeFusionPreset, EvenframeRefocus, EvenframeJointSampling]
