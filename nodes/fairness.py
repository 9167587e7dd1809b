"""Fairness-aware editing (FAME): the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines.common.errors import EvenframeError
from ..pipelines.common.typed_text import composed, quoted
from ..pipelines.fairness.blending import EOS_SCOPES
from ..pipelines.fairness.encoder import MASKS, encode_fair, parse_wishes
from ..pipelines.fairness.presets import Presets, with_own
from .common import sockets
from .common.files import Stamp, stamps
from .common.verdict import verdict
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.models.model import Model
    from ..pipelines.text.conditioning import Conditioning
    from .host import ModelHandle

NO_PRESET = "none"


def _options(presets: Presets) -> list[str]:
    """What `preset` offers."""
    named = (f"{preset}: {value}" for preset, values in presets.items() for value in values)
    return [NO_PRESET, *named]


def _require(preset: str, presets: Presets, left_out: tuple[str, ...]) -> None:
    """Raise EvenframeError for a preset that is gone, which says why files were left out."""
    if composed(str(preset)) not in _options(presets):
        gone = f"preset is {quoted(str(preset))}, which there is no more: choose one that the node"
        raise EvenframeError(" ".join([f"{gone} offers.", *left_out]))


def _blending_inputs() -> list[io.Input]:
    """How the attribute is blended in."""
    return [
        io.Float.Input(
            "strength",
            default=0.5,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="How far the words move towards the attribute (lambda). 0 changes "
            "nothing, below 0.25 hardly shows, above 0.75 distorts, with larger models; "
            "the built-in one needs 0.75 to 1.",
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
        io.Boolean.Input(
            "explicit",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Put the attribute's own words into the prompt too, blended as far: for models "
            "that read an attribute there, as the built-in video model does.",
        ),
    ]


class EvenframeFairnessPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        presets, left_out = with_own(host.presets_dir())
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
                    options=_options(presets),
                    default=NO_PRESET,
                    tooltip="An attribute that comes with the pack, or from a file of your own. "
                    + " ".join(["Together with attribute, both are asked for.", *left_out]),
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
                *_blending_inputs(),
            ],
            outputs=[
                sockets.Prompt.Output(display_name="prompt"),
                io.String.Output(
                    display_name="record", tooltip="Which words were found, what was blended."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, preset: str | None) -> bool | str:
        # Naming the preset puts this in the place of the host's check, which cannot say why a
        # preset of a broken file is gone.
        return verdict(lambda: preset is None or _require(preset, *with_own(host.presets_dir())))

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> list[Stamp]:
        return stamps(host.presets_dir())

    @classmethod
    def execute(
        cls,
        model: ModelHandle[Model],
        target_prompt: Conditioning,
        preset: str,
        attribute: str,
        words: str,
        **blending: Any,
    ) -> io.NodeOutput:
        presets, left_out = with_own(host.presets_dir())
        _require(preset, presets, left_out)  # once more: it may have come by a link
        chosen = "" if preset == NO_PRESET else preset.rpartition(": ")[2]
        wishes = parse_wishes(chosen, words) + parse_wishes(attribute, words)
        fair = encode_fair(host.load(model), target_prompt, wishes, presets=presets, **blending)
        record = "\n".join([fair.record.describe(), *left_out])
        return io.NodeOutput(fair.prompt, record, ui={"text": [record]})


NODES = [EvenframeFairnessPrompt]
