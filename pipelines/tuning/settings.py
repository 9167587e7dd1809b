"""How a model is tuned on a clip, and the published ways.

Source: "Tune-A-Video" (Wu et al., ICCV 2023), section 4.1; ReAtCo (AAAI 2025) and FateZero (ICCV
2023) by the settings of their programs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType

from ..attention import keyframes as key_frames
from ..attention.keyframes import KeyFrames
from ..common.checks import MAX_SEED
from ..common.settings import check, setting

SPARSE: KeyFrames = ("first", "-1")
"""The frames that each one looks at in Tune-A-Video, in every layer."""
LAYERS = ("all", "mid and up")
NORMS = ("clip", "frame")


@dataclass(frozen=True)
class Tuning:
    """How a model is tuned on a clip. Raises EvenframeError for settings out of range."""

    steps: int = setting(
        300,
        "How often the clip is shown to the model. More holds on to its motion and looks, and to "
        "more than that in the end: 150 to 500 were published. 0 tunes nothing.",
        whole=(0, 10_000),
    )
    learning_rate: float = setting(
        3e-5,
        "How far each step goes. 3e-5 is Tune-A-Video's, 1e-5 FateZero's, both for Stable "
        "Diffusion; the built-in model needs 3e-4.",
        within=(1e-7, 1e-2),
        step=1e-6,
    )
    layers: str = setting(
        "all",
        "Which of the model's blocks are tuned. The published checkpoints have changed in the "
        "middle and the up blocks only; all takes more memory.",
        choices=LAYERS,
    )
    norm: str = setting(
        "clip",
        "What group norms take their statistics over, in the tuning and wherever the tuned model "
        "is used: all frames at once, as published, or each frame.",
        choices=NORMS,
    )
    keyframes: KeyFrames = setting(
        SPARSE,
        "The frames that each frame attends to, in all layers. Set the same in the DDIM Inverter.",
        demand=lambda _, names: key_frames.require_names(names),
        read=key_frames.parse,
    )
    seed: int = setting(0, "Of the noise, the times and the first weights.", whole=(0, MAX_SEED))
    checkpointing: str = setting(
        "auto",
        "Keep only the input of each block, and compute it again for the gradient: a seventieth of "
        "the memory at 512 pixels, and 1.4 times the work. auto: where memory is short.",
        choices=("auto", "on", "off"),
    )

    def __post_init__(self) -> None:
        check(self)

    def told(self, losses: Sequence[float]) -> str:
        """What to tell of a tuning: its mean loss over its first and its last steps."""
        if not losses:
            return "nothing was tuned"
        few = max(1, len(losses) // 5)
        return f"mean loss {fmean(losses[:few]):.4f} at first, {fmean(losses[-few:]):.4f} at last"


def _published(steps: int, rate: float = 3e-5) -> Tuning:
    return Tuning(steps, rate, layers="mid and up")


FATEZERO: Mapping[str, Tuning] = MappingProxyType(
    {
        "shape, rigid": _published(200, 1e-5),
        "shape, free": _published(150, 1e-5),
        "shape, longer neck": _published(150, 1e-5),
        "person, loose": _published(250, 1e-5),
        "person, close": _published(250, 1e-5),
    }
)
"""By the names of FateZero's presets for edits: jeep 200, swan 150, man 250 steps."""
PRESETS: Mapping[str, Tuning] = MappingProxyType(
    {
        "Tune-A-Video, published": _published(500),
        "ReAtCo, published": _published(200),
        **{f"FateZero: {name}": tuning for name, tuning in FATEZERO.items()},
    }
)
