"""The settings that FateZero published for its edits, as starting points.

Source: the configurations of FateZero (ICCV 2023). They were found on Stable Diffusion 1.4 at 512
pixels; those of shapes and persons on copies of it that had been tuned on the clip.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ...common.errors import EvenframeError
from ...tuning.settings import FATEZERO, Tuning
from .fusion import Fusion


@dataclass(frozen=True)
class Preset:
    """A published edit: the fusion's settings, and the factor for the words that are new.

    example: the edit it was published for. needs_blend_words: where the object is must be named.
    keyframes, layers, steps: of the inversion that was edited, see `inversion.Settings`.
    tuning: how the model had been tuned on the clip, if it was.
    """

    example: str
    fusion: Fusion
    emphasis: float = 1.0
    needs_blend_words: bool = False
    keyframes: str = "mid"
    layers: str = "auto"
    steps: int = 50
    tuning: Tuning | None = None

    @property
    def tuned(self) -> bool:
        """Whether the model had been tuned on the clip."""
        return self.tuning is not None

    def settings(self, new_words: tuple[str, ...], blend_words: tuple[str, ...]) -> Fusion:
        """The fusion for an edit with these new words and this edited object."""
        if self.needs_blend_words and not blend_words:
            raise EvenframeError(
                f"The preset for '{self.example}' changes a shape and needs blend words: "
                "name the words of the source prompt whose place is edited."
            )
        weights = tuple((word, self.emphasis) for word in new_words if self.emphasis != 1.0)
        return replace(self.fusion, weights=weights, blend_words=blend_words)

    def note(self) -> str:
        """What belongs to the recipe beside the fusion."""
        note = (
            f"Published for '{self.example}', inverted with key_frames '{self.keyframes}', "
            f"key_frame_layers '{self.layers}' and {self.steps} steps: set these in the DDIM "
            "Inverter."
        )
        if self.tuning is not None:
            note += (
                f" The model had been tuned on the clip in {self.tuning.steps} steps, as by Tune "
                "On Clip with the preset of this name: expect less of one that was not."
            )
        return note


def _shape(
    name: str,
    example: str,
    method: str,
    cross: float,
    own: float,
    threshold: float,
    steps: int = 50,
) -> Preset:
    """An edit whose blend words name what changes its shape."""
    return Preset(
        example,
        Fusion(method, cross, own, threshold=threshold),
        needs_blend_words=True,
        keyframes="-1, first",
        layers="all",
        steps=steps,
        tuning=FATEZERO[name],
    )


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "style": Preset("jeep -> watercolor of a jeep", Fusion("refine", 0.8, 0.8), 10.0),
        "style, strong": Preset("sunflower -> van gogh style", Fusion("refine", 0.5, 0.5), 10.0),
        "style, cartoon": Preset("swan -> cartoon of a swan", Fusion("refine", 0.8, 0.7), 10.0),
        "attribute, one word for one": Preset(
            "bear -> red tiger, leopard, lion", Fusion("replace", 0.7, 0.7)
        ),
        "attribute, added words": Preset(
            "rabbit, strawberries -> white rabbit, leaves", Fusion("refine", 0.5, 0.5), 10.0
        ),
        "shape, rigid": _shape("shape, rigid", "jeep -> Porsche", "replace", 0.5, 0.5, 0.3),
        "shape, free": _shape("shape, free", "swan -> duck", "replace", 0.0, 0.5, 0.2, steps=30),
        "shape, longer neck": _shape(
            "shape, longer neck", "swan -> flamingo", "replace", 0.3, 0.5, 0.2, steps=30
        ),
        "person, loose": _shape("person, loose", "man -> Spider-Man", "refine", 0.3, 0.3, 0.3),
        "person, close": _shape("person, close", "man -> Batman", "refine", 0.9, 0.9, 0.3),
    }
)
