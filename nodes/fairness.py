"""Fairness-aware editing (FAME): the prompt, the two controls, and targets over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .common import sockets
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.backbone import Backbone
    from ..pipelines.controls.base import Control
    from ..pipelines.prompt import Prompt
    from ..pipelines.region import Regions
    from .host import ModelHandle

NO_PRESET = "none"


def _share(name: str, default: float, tooltip: str, advanced: bool | None = None) -> io.Input:
    return io.Float.Input(
        name, default=default, min=0.0, max=1.0, step=0.05, tooltip=tooltip, advanced=advanced
    )


def _control_inputs() -> list[io.Input]:
    """What both controls take last: where, when, and the chain."""
    from ..pipelines.controls.fairness import SCHEDULES

    return [
        io.Combo.Input(
            "schedule",
            options=list(SCHEDULES),
            default=SCHEDULES[0],
            advanced=True,
            tooltip="constant: the same at every step. power: strongest at first, then less and "
            "less, and nothing after 30 % of the steps (VideoGrain).",
        ),
        _share("start", 0.0, "Share of the steps after which it begins.", advanced=True),
        _share("end", 1.0, "Share of the steps after which it ends.", advanced=True),
        io.String.Input(
            "subject",
            default="",
            tooltip="Words of the source prompt, with commas: where no regions are linked, the "
            "person is where the source looks at them. Attention Viewer shows it.",
        ),
        io.Float.Input(
            "threshold",
            default=0.3,
            min=0.0,
            max=2.0,
            step=0.05,
            advanced=True,
            tooltip="How strongly a place must look at the subject to belong to it, relative to "
            "the strongest of its frame.",
        ),
        sockets.Regions.Input(
            "regions", optional=True, tooltip="One region for each person; they win over subject."
        ),
        sockets.Controls.Input(
            "controls", optional=True, tooltip="Controls that act before this one."
        ),
    ]


class EvenframeFairnessPrompt(io.ComfyNode):
    """A target prompt whose person has an attribute, blended in softly; shows what was blended."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.fairness.attributes import shipped
        from ..pipelines.fairness.encoder import EOS_SCOPES, MASKS

        presets = [f"{preset}: {value}" for preset, values in shipped().items() for value in values]
        return io.Schema(
            node_id="EvenframeFairnessPrompt",
            display_name="Fairness Prompt Encoder (Evenframe)",
            category=sockets.CATEGORY,
            description="Say how a person of the target prompt shall be shown, without changing "
            "the rest of the prompt (FAME).",
            search_aliases=["fame", "debias", "fairness", "gender", "attribute"],
            inputs=[
                sockets.Model.Input("model", tooltip="The model whose text encoder reads it."),
                sockets.Prompt.Input("target_prompt", tooltip="What the clip shall show."),
                io.Combo.Input(
                    "preset",
                    options=[NO_PRESET, *presets],
                    default=NO_PRESET,
                    tooltip="An attribute that comes with the pack. Together with attribute, both "
                    "are asked for.",
                ),
                io.String.Input(
                    "attribute",
                    default="",
                    tooltip="How the person shall be shown, in your words: 'female', 'elderly'. "
                    "For several people: 'doctor: female, nurse: older male'.",
                ),
                io.String.Input(
                    "words",
                    default="",
                    tooltip="The words of the target prompt that stand for the person. Empty: a "
                    "profession or person that the pack knows, else the closest word.",
                ),
                _share(
                    "strength",
                    0.5,
                    "How far the words move towards the attribute (lambda). 0 changes nothing, "
                    "below 0.25 hardly shows, above 0.75 distorts.",
                ),
                io.Combo.Input(
                    "mask",
                    options=list(MASKS),
                    default=MASKS[0],
                    advanced=True,
                    tooltip="hard: only the person's words. soft: also words that are like them.",
                ),
                io.Combo.Input(
                    "eos_scope",
                    options=list(EOS_SCOPES),
                    default=EOS_SCOPES[0],
                    advanced=True,
                    tooltip="The end of the prompt sums it up. first: blend the end too. "
                    "first+padding: and the padding behind it. none: neither.",
                ),
            ],
            outputs=[
                sockets.Prompt.Output(display_name="prompt"),
                io.String.Output(
                    display_name="record", tooltip="Which words were found, what was blended."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: ModelHandle[Backbone],
        target_prompt: Prompt,
        preset: str,
        attribute: str,
        words: str,
        strength: float,
        mask: str,
        eos_scope: str,
    ) -> io.NodeOutput:
        from ..pipelines.fairness.encoder import encode_fair, parse_wishes

        chosen = "" if preset == NO_PRESET else preset.rpartition(": ")[2]
        wishes = parse_wishes(chosen, words) + parse_wishes(attribute, words)
        fair = encode_fair(
            host.load(model),
            target_prompt,
            wishes,
            strength=strength,
            mask=mask,
            eos_scope=eos_scope,
        )
        record = fair.record.describe()
        return io.NodeOutput(fair.prompt, record, ui={"text": [record]})


class EvenframeFairnessTargets(io.ComfyNode):
    """Which attribute a clip of a batch gets, by shares."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeFairnessTargets",
            display_name="Fairness Targets (Evenframe)",
            category=sockets.CATEGORY,
            description="Give each clip of a batch an attribute, so that the batch has the shares "
            "that you ask for.",
            search_aliases=["distribution", "batch", "shares", "fame"],
            inputs=[
                io.String.Input(
                    "shares",
                    multiline=True,
                    default="female: 0.5, male: 0.5",
                    tooltip="Attributes and their shares, with commas or one a line. They are "
                    "scaled where they do not sum to 1.",
                ),
                io.Int.Input("count", default=10, min=1, max=100000, tooltip="Clips of the batch."),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=99999,
                    control_after_generate=io.ControlAfterGenerate.increment,
                    tooltip="Which clip this is, counted from 0. The editor counts it up after "
                    "each run.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    control_after_generate=False,
                    tooltip="Keep it for the whole batch: it decides which clip gets which.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="attribute",
                    tooltip="For the attribute of Fairness Prompt Encoder.",
                ),
                io.String.Output(
                    display_name="log", tooltip="The whole batch's assignment, as JSON."
                ),
            ],
        )

    @classmethod
    def execute(cls, shares: str, count: int, index: int, seed: int) -> io.NodeOutput:
        from ..pipelines.fairness.targets import parse_shares, plan

        batch = plan(parse_shares(shares), count, seed)
        attribute = batch.at(index)
        text = f"clip {index + 1} of {count}: {attribute}\n{batch.log()}"
        return io.NodeOutput(attribute, batch.log(), ui={"text": [text]})


class EvenframeSelfModulator(io.ComfyNode):
    """FAME's temporal self-attention modulation: one person stays one person in every frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.controls.self_modulator import FORMS

        return io.Schema(
            node_id="EvenframeSelfModulator",
            display_name="Temporal Self-Attention Modulator (Evenframe)",
            category=sockets.CATEGORY,
            description="Keep each person the same over all frames, and apart from others: "
            "strengthen self-attention inside a region, weaken it between regions (FAME).",
            search_aliases=["fame", "fairattention", "videograin", "consistency"],
            inputs=[
                _share("strength", 0.5, "How much of it (alpha). 0 changes nothing."),
                _share("same", 0.6, "Pull inside a region, over the frames (lambda)."),
                _share("other", 0.4, "Push between different regions (mu)."),
                io.Float.Input(
                    "tau",
                    default=0.1,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    advanced=True,
                    tooltip="How alike two places must look to count as the same: less is "
                    "stricter. 0 lets the regions alone decide.",
                ),
                io.Float.Input(
                    "frame_decay",
                    default=4.0,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    advanced=True,
                    tooltip="Frames after which the pull is down to about a third; 0 is no decay.",
                ),
                io.Combo.Input(
                    "form",
                    options=list(FORMS),
                    default=FORMS[0],
                    advanced=True,
                    tooltip="relative: measured by each row's largest and smallest value. "
                    "additive: a fixed amount, which is fast where tau is 0.",
                ),
                io.Float.Input(
                    "unit",
                    default=4.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    advanced=True,
                    tooltip="The amount of the additive form.",
                ),
                *_control_inputs(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(
        cls,
        strength: float,
        same: float,
        other: float,
        tau: float,
        frame_decay: float,
        form: str,
        unit: float,
        schedule: str,
        start: float,
        end: float,
        subject: str,
        threshold: float,
        regions: Regions | None = None,
        controls: tuple[Control, ...] = (),
    ) -> io.NodeOutput:
        import math

        from ..pipelines.controls.self_modulator import SelfModulator
        from ..pipelines.prompt import parse_phrases

        modulator = SelfModulator(
            strength=strength,
            same=same,
            other=other,
            tau=tau,
            frame_decay=frame_decay or math.inf,
            form=form,
            unit=unit,
            schedule=schedule,
            window=(start, end),
            regions=regions,
            subject=parse_phrases(subject),
            threshold=threshold,
        )
        return io.NodeOutput((*controls, modulator))


class EvenframeCrossReweighter(io.ComfyNode):
    """FAME's cross-attention reweighting: a person's pixels listen more to the person's words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeCrossReweighter",
            display_name="Cross-Attention Reweighter (Evenframe)",
            category=sockets.CATEGORY,
            description="Let the pixels of a person listen more to the words for the person, by "
            "how alike they are (FAME).",
            search_aliases=["fame", "fairness", "cross attention"],
            inputs=[
                io.String.Input(
                    "words",
                    default="",
                    tooltip="Words of the target prompt that stand for the person, with commas. "
                    "Empty: the regions' own words, else a profession that the pack knows.",
                ),
                _share("strength", 0.5, "How much of it (alpha). 0 changes nothing."),
                _share("weight", 0.4, "How far a word that fits is raised (lambda)."),
                io.Boolean.Input(
                    "eos",
                    default=False,
                    advanced=True,
                    tooltip="Raise the end of the prompt too, which sums it up.",
                ),
                io.Boolean.Input(
                    "spread",
                    default=False,
                    advanced=True,
                    tooltip="Stretch the likeness to the whole range from 0 to 1 over the pixels; "
                    "raw ones can be flat.",
                ),
                *_control_inputs(),
            ],
            outputs=[sockets.Controls.Output(display_name="controls")],
        )

    @classmethod
    def execute(
        cls,
        words: str,
        strength: float,
        weight: float,
        eos: bool,
        spread: bool,
        schedule: str,
        start: float,
        end: float,
        subject: str,
        threshold: float,
        regions: Regions | None = None,
        controls: tuple[Control, ...] = (),
    ) -> io.NodeOutput:
        from ..pipelines.controls.cross_reweighter import CrossReweighter
        from ..pipelines.prompt import parse_phrases

        reweighter = CrossReweighter(
            words=parse_phrases(words),
            strength=strength,
            weight=weight,
            eos=eos,
            spread=spread,
            schedule=schedule,
            window=(start, end),
            regions=regions,
            subject=parse_phrases(subject),
            threshold=threshold,
        )
        return io.NodeOutput((*controls, reweighter))


NODES = [
    EvenframeFairnessPrompt,
    EvenframeSelfModulator,
    EvenframeCrossReweighter,
    EvenframeFairnessTargets,
]
