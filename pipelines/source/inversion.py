"""DDIM inversion: from a clip to the noise that the model would make it from.

Source: "Denoising Diffusion Implicit Models" (ICLR 2021), section 4.3; FateZero (ICCV 2023),
section 3.2 for what is kept on the way.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..attention import keyframes as key_frames
from ..attention.keyframes import KeyFrames, KeyFrameTable
from ..attention.sites import KEYFRAME_LAYERS
from ..common.checks import MAX_SEED, require_choice
from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame
from ..common.settings import check, setting
from ..common.window import WHOLE_CLIP, Windowing
from ..models.checks import require_frames, require_prompt
from ..models.lattice import latents_for
from ..models.schedule import MAX_STEPS, Level, Schedule
from ..text.conditioning import Conditioning
from ..walk import OnStep, StepReport, walk
from .keeper import Keeper, SourcePass
from .origin import Origin, origin_of
from .prefetch import PrefetchedAttention
from .recompute import RecomputedAttention
from .store import MODES, AttentionSource, KeptAttention, SourceAttention

if TYPE_CHECKING:
    from ..models.model import Model

log = logging.getLogger(__name__)

WHOLE: KeyFrames = ("all",)
"""The key frames of models that attend to the whole clip."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """A clip as the model sees it at every noise level; any number of edits start from it.

    All frames here are latent frames, of which one may hold several of the video (`Lattice`).
    trajectory: (N+1, t, c, h, w) float32 on the CPU: the clean latents, then the latents after each
        inversion step. times: of its noise levels, N+1, highest noise first; see `levels`.
    mode: where the source's attention is kept ("recompute", "offload" or "resident"); "auto" where
        it was to be kept, but there was no room.
    records: that attention, lowest noise first. Empty where it is computed again: always in the
        modes "recompute" and "auto", in the others when the inversion came from disk or a host took
        the memory back. Edits give the same either way.
    origin: the clip, the noise schedule and the versions that it was made with, by content.
    windowing: how its latents were cut into windows, and edits are, too. layers: which ones look at
        key frames, see `Settings`.
    rebuilt: (1, c, h, w), the latents that previews show (`reconstruction.shown_frame`) made again
        from the noise; None where that was not asked for (`reconstruction.checked`).
    """

    trajectory: Tensor
    prompt: Conditioning
    times: tuple[float, ...]
    keyframes: KeyFrames
    model: str
    mode: str = "recompute"
    records: Sequence[SourceAttention] = ()
    origin: Origin = field(default_factory=Origin)
    rebuilt: Tensor | None = None
    windowing: Windowing = WHOLE_CLIP
    layers: str = "auto"

    def __post_init__(self) -> None:
        key_frames.require_names(self.keyframes)
        require_choice("key-frame layers", self.layers, tuple(KEYFRAME_LAYERS))
        falls = all(high > low for high, low in pairwise(self.times))
        if len(self.times) < 2 or not falls or self.times[-2] < 0:
            raise EvenframeError(
                f"The times {self.times} are no way from noise to a picture: they must fall from "
                "step to step, and only the last may lie below 0."
            )
        if self.trajectory.ndim != 5 or len(self.trajectory) != len(self.times):
            raise EvenframeError(
                f"An inversion of {self.steps} steps has a trajectory of the shape "
                f"{tuple(self.trajectory.shape)}: give ({self.steps + 1}, frames, channels, "
                "height, width)."
            )

    @property
    def steps(self) -> int:
        """Steps N, of the inversion and of its edits."""
        return len(self.times) - 1

    def levels(self, schedule: Schedule) -> list[Level]:
        """The noise levels of its edits, N+1, highest noise first, by the schedule of its model."""
        return [schedule.at(time) for time in self.times]

    @property
    def latent_frames(self) -> int:
        """Frames of the latents, t."""
        return self.trajectory.shape[1]

    @property
    def windows(self) -> list[range]:
        """The latent frames that are denoised at once, in turn."""
        return self.windowing.cut(self.latent_frames)

    @property
    def at_once(self) -> int:
        """Latent frames of a window."""
        return len(self.windows[0])

    def part(self, frames: range) -> "Inversion":
        """The inversion of one of its windows, of these latent frames, which has key frames of its
        own."""
        if len(frames) == self.latent_frames:
            return self
        trajectory = self.trajectory[:, frames.start : frames.stop]
        return replace(self, trajectory=trajectory, records=(), rebuilt=None, windowing=WHOLE_CLIP)

    def keyframe_table(self) -> KeyFrameTable | None:
        """Which frames each frame attends to, or None for its own."""
        return key_frames.table(self.keyframes, self.latent_frames, self.layers)

    def source_attention(self, model: "Model") -> AttentionSource:
        """Where an edit on this model gets the source's attention from."""
        records = tuple(self.records)  # held: a host that needs the room may empty the sequence
        if records:
            kept = KeptAttention(records, model.device, model.dtype)
            return PrefetchedAttention(kept) if self.mode == "offload" else kept
        return RecomputedAttention(
            model,
            self.trajectory,
            self.prompt,
            self.levels(model.schedule),
            self.keyframe_table(),
            # What is free just then must not change a byte: only "recompute" keeps full precision.
            rounded=self.mode != "recompute",
        )


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

    def __post_init__(self) -> None:
        check(self)

    def for_model(self, model: "Model") -> "Settings":
        """As this model can have them: one that attends to the whole clip has no key frames to
        choose, and "auto" keeps none of its attention."""
        if not model.denoiser.layout.whole_clip:
            return self
        if self.keyframes not in (key_frames.DEFAULT, WHOLE) or self.layers != "auto":
            log.warning(
                "'%s' always looks at all frames: the chosen key frames and their layers have no "
                "meaning there.",
                model.name,
            )
        store = "recompute" if self.store == "auto" else self.store
        return replace(self, keyframes=WHOLE, layers="auto", store=store)


def invert(
    model: "Model",
    frames: Tensor,
    prompt: str | Conditioning,
    *,
    steps: int = 50,
    keyframes: str | Iterable[str | int] = key_frames.DEFAULT,
    store: str = "auto",
    seed: int | None = None,
    windowing: Windowing = WHOLE_CLIP,
    layers: str = "auto",
    on_step: OnStep | None = None,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Inversion:
    """Invert a clip with its source prompt, at guidance 1.

    frames: (f, h, w, 3) in 0..1, of a size that the model takes. steps, store, seed, windowing,
    layers: see `Settings`; keyframes: the same, or their text. on_frame: for each frame encoded,
    on_step after each step. free: free bytes of a device, for "auto".
    Raises EvenframeError for frames or settings out of range.
    """
    settings = Settings(steps, key_frames.parse(keyframes), store, seed, windowing, layers)
    source = prompt if isinstance(prompt, Conditioning) else model.text.encode(prompt)
    return invert_clip(
        model, frames, source, settings, on_step=on_step, on_frame=on_frame, free=free
    )


@torch.no_grad()
def invert_clip(
    model: "Model",
    frames: Tensor,
    prompt: Conditioning,
    settings: Settings,
    origin: Origin | None = None,
    *,
    on_step: OnStep | None = None,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Inversion:
    """`invert`, with the settings as one value. origin: of these frames, where it is known."""
    require_frames(frames, model)
    require_prompt(model, prompt, "source prompt")
    settings, times = settings.for_model(model), model.schedule.times(settings.steps)
    windowing = settings.windowing.in_latents(model.codec.time_stride)
    parts = windowing.cut(latents_for(len(frames), model.codec.time_stride))
    _require_unkept(settings.store, len(parts))
    latents = model.codec.encode(frames, settings.seed, on_frame).to(model.device)
    keeper = Keeper(model, settings.store, settings.steps, len(parts), free)
    table = key_frames.table(settings.keyframes, len(parts[0]), settings.layers)
    trajectory = [latents.float().cpu()]

    def keep(report: StepReport) -> None:
        trajectory.append(report.latents.float().cpu())
        if on_step is not None:
            on_step(report)

    upwards = partial(
        walk,
        levels=[model.schedule.at(time) for time in reversed(times)],
        latents=latents,
        passes=[SourcePass(part, prompt, table, keeper) for part in parts],
        stage="inversion",
        weights=windowing.weights,
        on_step=keep,
    )
    model.run({"source": prompt}, latents[: len(parts[0])], upwards)
    return Inversion(
        torch.stack(trajectory),
        prompt,
        times,
        settings.keyframes,
        model.fingerprint,
        keeper.mode,
        tuple(keeper.records),
        origin or origin_of(model, frames),
        windowing=windowing,
        layers=settings.layers,
    )


def _require_unkept(store: str, windows: int) -> None:
    if windows > 1 and store not in ("auto", "recompute"):
        raise EvenframeError(
            f"The attention store is '{store}', but of {windows} windows no attention is kept: "
            "set the store to auto or recompute."
        )
