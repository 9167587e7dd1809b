"""The settings that StreamEdit published for its edits, made of the controls that there are.

A bridge for the self-attention; a mask of the words' places, outside of which the clip is kept; and
new words that count for more. Bridge, boost and steps are those of the example commands of its
public code, which edit with Self Forcing, a Wan 2.1 of 1.3B that was distilled to few steps. The
threshold of its masks is not known: it is that of `Fusion`, and the mask holds until the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ...common.errors import EvenframeError
from ...regions.regions import Regions
from ..base import Control
from ..fatezero.fusion import Fusion
from ..reatco.refocus import Refocus
from ..span import WHOLE, Span
from .word_boost import WordBoost

MASKED = Span(0.2, 1.0)


@dataclass(frozen=True)
class Preset:
    """A published edit.

    example: what it was published for. boost: how many times more the new words count. bridge: see
    `Fusion`. steps: of the edit. beside: what else belongs to it.
    """

    example: str
    boost: float = 4.0
    bridge: float = 2.0
    steps: int = 15
    beside: str = ""

    def controls(
        self, source_words: tuple[str, ...], new_words: tuple[str, ...], regions: Regions | None
    ) -> tuple[Control, ...]:
        """The chain of an edit.

        source_words: what is edited, in the words of the source prompt; new_words: what it becomes,
        in those of the target prompt, which count for more there: where the source looks at
        source_words, or with regions inside of these, each for its own words.
        Raises EvenframeError where there are no words.
        """
        if not (source_words or new_words):
            raise EvenframeError(
                "StreamEdit Preset has no words: name what is edited in the words of the source "
                "prompt (source_words), what it becomes in those of the target prompt (new_words), "
                "or both."
            )
        fusion = Fusion(
            cross_steps=0.0,
            self_steps=1.0,
            blend_words=source_words,
            target_blend_words=new_words,
            self_blend=False,
            latent_blend=True,
            blend_window=MASKED,
            bridge=self.bridge,
        )
        if regions is not None:
            return fusion, Refocus(regions, guide_by="boost", boost=self.boost, steps=WHOLE)
        return (fusion, WordBoost(new_words, source_words, self.boost)) if new_words else (fusion,)

    def note(self) -> str:
        """What belongs to the recipe beside the controls."""
        note = (
            f"Published for '{self.example}', with {self.steps} steps and no inversion: set steps "
            f"to {self.steps} and noise_seed from 0 up in the DDIM Inverter. In your own sampler, "
            "put Source Guidance behind it."
        )
        return f"{note} {self.beside}".strip()


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "colour": Preset("a grey car -> a yellow car"),
        "thing": Preset("a white tiger -> an elephant", steps=5),
        "addition": Preset("a dog -> a dog wearing sunglasses"),
        "removal": Preset(
            "a toy -> nothing",
            beside="source_words is what goes, and new_words what shows behind it.",
        ),
        "first frame": Preset(
            "a woman -> a porcelain woman, by an edited first frame",
            boost=2.0,
            beside="Put First Frame before it, with the edited frame.",
        ),
    }
)
