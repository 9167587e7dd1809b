"""How a clip is inverted."""

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..attention import keyframes as key_frames
from ..attention.keyframes import KeyFrames
from ..attention.sites import KEYFRAME_LAYERS
from ..common.checks import MAX_SEED
from ..common.errors import EvenframeError
from ..common.settings import check, setting
from ..common.window import WHOLE_CLIP, Windowing
from ..models.checks import length_notes
from ..models.lattice import frames_in, latents_for
from ..models.schedule import MAX_STEPS
from .store import MODES

if TYPE_CHECKING:
    from ..models.model import Model

log = logging.getLogger(__name__)

WHOLE: KeyFrames = ("all",)
"""The key frames of models that attend to the whole clip."""
MAX_NOISE_SEED = 2**31 - 1
SOLVERS = ("ddim", "uni-inv")


@dataclass(frozen=True)
class Settings:
    """How a clip is inverted.

    windowing: how it is cut into windows, in frames of the video; in them no attention is kept.
    Raises EvenframeError for settings out of range.
    """

    steps: int = setting(
        50, "DDIM steps. More follow the clip more closely and take longer.", whole=(1, MAX_STEPS)
    )
    keyframes: KeyFrames = setting(
        key_frames.DEFAULT,
        "The frames that each frame attends to: own, mid, first, last, all, or offsets such as "
        "-1. 'mid' suits style and attribute edits, '-1, first' shape edits.",
        demand=lambda _, names: key_frames.require_names(names),
        read=key_frames.parse,
    )
    store: str = setting(
        "auto",
        "Where the source's attention is kept: resident on the device, offload in main memory, "
        "recompute nowhere, auto where it fits. All give the same within rounding.",
        choices=MODES,
        told="attention store mode",
    )
    seed: int | None = setting(
        None,
        "None takes the mode of the autoencoder's distribution, which is the same every time; any "
        "other number samples it with that seed.",
        whole=(0, MAX_SEED),
        stand_in=(-1, None),
    )
    windowing: Windowing = WHOLE_CLIP
    layers: str = setting(
        "auto",
        "Which layers look at key frames: all, or only those of at most half or a quarter of the "
        "latents' resolution (32x32, 16x16 at 512 pixels). auto: what suits the model, half at "
        "512 pixels. Published shape edits used all.",
        choices=tuple(KEYFRAME_LAYERS),
        told="key-frame layers",
    )
    noise_seed: int | None = setting(
        None,
        "None inverts the clip. Any other number blurs it with the noise of that seed instead, the "
        "same at every step, at which the edit starts, too: no inversion to wait for, and it "
        "follows the clip less closely. For video models; skip some steps of the edit then.",
        whole=(0, MAX_NOISE_SEED),
        stand_in=(-1, None),
    )

    solver: str = setting(
        "ddim",
        "How each step of the inversion is found. ddim: the model is asked about the latents of "
        "the step before, as published. uni-inv: these are first moved on the way they came, which "
        "takes no longer and comes closer to the clip, by 11 dB with the built-in model.",
        choices=SOLVERS,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.noise_seed is not None and self.solver != "ddim":
            raise EvenframeError(
                f"The solver is '{self.solver}', but where nothing is inverted (noise_seed) there "
                "is nothing to solve: set solver to ddim."
            )

    def for_model(self, model: "Model") -> "Settings":
        """As this model can have them: one that attends to the whole clip has no key frames to
        choose, and "auto" keeps none of its attention; nor where nothing is inverted."""
        whole = model.denoiser.layout.whole_clip
        store = self.store
        if store == "auto" and (whole or self.noise_seed is not None):
            store = "recompute"
        if not whole:
            return replace(self, store=store)
        if self.keyframes not in (key_frames.DEFAULT, WHOLE) or self.layers != "auto":
            log.warning(
                "'%s' always looks at all frames: the chosen key frames and their layers have no "
                "meaning there.",
                model.name,
            )
        return replace(self, keyframes=WHOLE, layers="auto", store=store)

    def cut(self, model: "Model", frames: int) -> tuple[Windowing, list[range]]:
        """How the latents of a clip of so many frames are cut into windows, and the windows; more
        at once than this model was trained on is told."""
        stride = model.codec.time_stride
        windowing = self.windowing.in_latents(stride)
        windows = windowing.cut(latents_for(frames, stride))
        for note in length_notes(model, frames_in(len(windows[0]), stride)):
            log.warning("%s", note)
        return windowing, windows
