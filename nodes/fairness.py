"""Fairness-aware editing (FAME): the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .common import sockets
from .common.files import Stamp, stamps
from .host import host, io

if TYPE_CHECKING:
    from ..pipelines.fairness.presets import Presets
    from ..pipelines.models.model import Model
    from ..pipelines.text.prompt import Prompt
    from .host import ModelHandle

NO_PRESET = "none"


def _own() -> tuple[Presets, tuple[str, ...]]:
    """The presets of now, and why files of the user's were left out."""
    from ..pipelines.fairness.presets import with_own

    return with_own(host.presets_dir())


def _options(presets: Presets) -> list[str]:
    """What `preset` offers."""
    named = (f"{preset}: {value}" for preset, values in presets.items() for value in values)
    return [NO_PRESET, *named]


def _missing(preset: str, presets: Presets, left_out: tuple[str, ...]) -> str:
    """Why a chosen preset cannot be had; "" where it can."""
    from ..pipelines.common.typed_text import composed, quoted

    if composed(str(preset)) in _options(presets):
        return ""
    gone = (
        f"preset is {quoted(str(preset))}, which there is no more: choose one that the node offers."
    )
    return " ".join([gone, *left_out])


class EvenframeFairnessPrompt(io.ComfyNode):
    """A target prompt whose person has an attribute, blended in softly; shows what was blended."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.fairness.blending import EOS_SCOPES
        from ..pipelines.fairness.encoder import MASKS

        presets, left_out = _own()
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
        if preset is None:  # linked, not yet known
            return True
        return _missing(preset, *_own()) or True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> list[Stamp]:
        return stamps(host.presets_dir())

    @classmethod
    def execute(
        cls,
        model: ModelHandle[Model],
        target_prompt: Prompt,
        preset: str,
        attribute: str,
        words: str,
        strength: float,
        mask: str,
        eos_scope: str,
    ) -> io.NodeOutput:
        from ..pipelines.common.errors import EvenframeError
        from ..pipelines.fairness.encoder import encode_fair, parse_wishes

        presets, left_out = _own()
        missing = _missing(preset, presets, left_out)  # of one that came by a link
        if missing:
            raise EvenframeError(missing)
        chosen = "" if preset == NO_PRESET else preset.rpartition(": ")[2]
        wishes = parse_wishes(chosen, words) + parse_wishes(attribute, words)
        fair = encode_fair(
            host.load(model),
            target_prompt,
            wishes,
            strength=strength,
            mask=mask,
            eos_scope=eos_scope,
            presets=presets,
        )
        record = "\n".join([fair.record.describe(), *left_out])
        return io.NodeOutput(fair.prompt, record, ui={"text": [record]})


NODES = [EvenframeFairnessPrompt]
