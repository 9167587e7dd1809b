"""DDIM inversion: from a clip to the noise that the model would make it from.

Source: "Denoising Diffusion Implicit Models" (ICLR 2021), section 4.3; FateZero (ICCV 2023),
section 3.2 for what is kept on the way; for the solver "uni-inv" see keeper.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..attention import keyframes as key_frames
from ..attention.keyframes import KeyFrames, KeyFrameTable
from ..attention.sites import KEYFRAME_LAYERS
from ..common.checks import require_choice
from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame, OnPart
from ..common.window import WHOLE_CLIP, Windowing
from ..models.checks import require_frames, require_prompt
from ..models.schedule import Level, Schedule, add_noise, ahead
from ..text.conditioning import Conditioning
from ..walk import OnStep, StepReport, walk
from .keeper import Keeper, SourcePass
from .origin import Origin, origin_of
from .prefetch import PrefetchedAttention
from .recompute import RecomputedAttention
from .settings import SOLVERS, Settings
from .store import AttentionSource, KeptAttention, SourceAttention

if TYPE_CHECKING:
    from ..models.model import Model


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
    noise_seed: of the noise that its latents are blurred with at every level, where it was made
        without asking the model; None where it was inverted.
    solver: how its steps were found, see `Settings`.
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
    noise_seed: int | None = None
    solver: str = "ddim"

    def __post_init__(self) -> None:
        key_frames.require_names(self.keyframes)
        require_choice("key-frame layers", self.layers, tuple(KEYFRAME_LAYERS))
        require_choice("solver", self.solver, SOLVERS)
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
        return replace(
            self,
            trajectory=self.trajectory[:, frames.start : frames.stop],
            prompt=self.prompt.over(frames, self.latent_frames),
            records=(),
            rebuilt=None,
            windowing=WHOLE_CLIP,
        )

    def at_first(self, prompt: Conditioning) -> Conditioning:
        """A prompt as it is asked with about the first of its windows."""
        return prompt.over(self.windows[0], self.latent_frames)

    def keyframe_table(self) -> KeyFrameTable | None:
        """Which frames each frame attends to, or None for its own."""
        return key_frames.table(self.keyframes, self.latent_frames, self.layers)

    def source_attention(self, model: "Model") -> AttentionSource:
        """Where an edit on this model gets the source's attention from."""
        records = tuple(self.records)  # held: a host that needs the room may empty the sequence
        if records:
            kept = KeptAttention(records, model.device, model.dtype)
            return PrefetchedAttention(kept) if self.mode == "offload" else kept
        levels = self.levels(model.schedule)
        return RecomputedAttention(
            model,
            partial(self.asked, levels, device=model.device),
            self.prompt,
            levels,
            self.keyframe_table(),
            # What is free just then must not change a byte: only "recompute" keeps full precision.
            rounded=self.mode != "recompute",
        )

    def asked(
        self, levels: Sequence[Level], step: int, device: torch.device | None = None
    ) -> Tensor:
        """What the source is asked about at the level of a denoising step, (t, c, h, w): where it
        was inverted, the latents of the level below it, or what these were predicted to become.

        levels: its own. device: where that is reckoned; None for where the trajectory is.
        """
        below = self.steps - 1 - step
        if self.noise_seed is not None:
            return self.trajectory[below + 1]
        latents = self.trajectory[below].to(device or self.trajectory.device)
        if self.solver == "ddim" or not below:
            return latents
        before = self.trajectory[below - 1].to(latents.device)  # as the walk was: same to the bit
        return ahead(latents, levels[step + 1], before, levels[step + 2], levels[step])


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
    noise_seed: int | None = None,
    solver: str = "ddim",
    on_step: OnStep | None = None,
    on_part: OnPart | None = None,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Inversion:
    """Invert a clip with its source prompt, at guidance 1.

    frames: (f, h, w, 3) in 0..1, of a size that the model takes. steps, store, seed, windowing,
    layers, noise_seed, solver: see `Settings`; keyframes: the same, or their text. on_frame: for
    each frame encoded; on_step: see `walk`, on_part, too. free: free bytes of a device, for "auto".
    Raises EvenframeError for frames or settings out of range.
    """
    names = key_frames.parse(keyframes)
    settings = Settings(steps, names, store, seed, windowing, layers, noise_seed, solver)
    source = prompt if isinstance(prompt, Conditioning) else model.text.encode(prompt)
    heard: dict[str, Any] = {"on_step": on_step, "on_part": on_part, "on_frame": on_frame}
    return invert_clip(model, frames, source, settings, **heard, free=free)


@torch.no_grad()
def invert_clip(
    model: "Model",
    frames: Tensor,
    prompt: Conditioning,
    settings: Settings,
    origin: Origin | None = None,
    *,
    on_step: OnStep | None = None,
    on_part: OnPart | None = None,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Inversion:
    """`invert`, with the settings as one value. origin: of these frames, where it is known."""
    require_frames(frames, model)
    require_prompt(model, prompt, "source prompt")
    settings, times = settings.for_model(model), model.schedule.times(settings.steps)
    windowing, parts = settings.cut(model, len(frames))
    _require_unkept(settings, len(parts))
    latents = model.codec.encode(frames, settings.seed, on_frame).to(model.device)
    keeper = Keeper(model, settings.store, settings.steps, len(parts), free)
    levels = [model.schedule.at(time) for time in reversed(times)]
    if settings.noise_seed is None:
        table = key_frames.table(settings.keyframes, len(parts[0]), settings.layers)
        predicts, length = settings.solver == "uni-inv", parts[-1].stop
        passes = [
            SourcePass(part, prompt.over(part, length), table, keeper, predicts) for part in parts
        ]
        trajectory = climb(model, latents, levels, passes, windowing.weights, on_step, on_part)
    else:
        trajectory = blurred(latents.float().cpu(), levels, settings.noise_seed)
    return Inversion(
        trajectory,
        prompt,
        times,
        settings.keyframes,
        model.fingerprint,
        keeper.mode,
        tuple(keeper.records),
        origin or origin_of(model, frames),
        windowing=windowing,
        layers=settings.layers,
        noise_seed=settings.noise_seed,
        solver=settings.solver,
    )


def climb(
    model: "Model",
    latents: Tensor,
    levels: Sequence[Level],
    passes: Sequence[SourcePass],
    weights: str = "uniform",
    on_step: OnStep | None = None,
    on_part: OnPart | None = None,
) -> Tensor:
    """The trajectory (N+1, t, c, h, w) of clean latents (t, c, h, w), which a walk upwards finds.

    levels: N+1, the clean one first.
    """
    trajectory = [latents.float().cpu()]

    def keep(report: StepReport) -> None:
        trajectory.append(report.latents.float().cpu())
        if on_step is not None:
            on_step(report)

    told = {"stage": "inversion", "on_step": keep, "on_part": on_part}
    walk(model, levels, latents, passes, weights=weights, **told)
    return torch.stack(trajectory)


def blurred(latents: Tensor, levels: Sequence[Level], seed: int) -> Tensor:
    """The trajectory of clean latents (t, c, h, w) with the same noise at every level, as far as
    the model does not have to be asked: (N+1, t, c, h, w).

    levels: the clean one first. Source: "FlowEdit" (arXiv 2412.08629) and "StreamEdit" (arXiv
    2605.21466), which edit without an inversion.
    """
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
    more = [add_noise(latents, noise, levels[0], level) for level in levels[1:]]
    return torch.stack([latents, *more])


def _require_unkept(settings: Settings, windows: int) -> None:
    inverted = settings.noise_seed is None
    if settings.store in ("auto", "recompute") or (windows == 1 and inverted):
        return
    case = f"of {windows} windows" if inverted else "where nothing is inverted (noise_seed)"
    raise EvenframeError(
        f"The attention store is '{settings.store}', but {case} no attention is kept: "
        "set the store to auto or recompute."
    )
