"""DDIM inversion: from a clip to the noise that the model would make it from.

Source: "Denoising Diffusion Implicit Models" (ICLR 2021), section 4.3; FateZero (ICCV 2023),
section 3.2 for what is kept on the way.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .attention import keyframes as key_frames
from .attention.keyframes import KeyFrames
from .attention.prefetch import PrefetchedAttention
from .attention.recompute import RecomputedAttention
from .attention.store import (
    KEPT_DTYPE,
    AttentionSource,
    KeptAttention,
    Recorder,
    SourceAttention,
    choose_mode,
    keep,
    kept_sites,
    require_mode,
)
from .checks import require_finite, require_frames, require_model
from .memory import free_memory
from .origin import Origin, origin_of
from .progress import OnStep, StepReport
from .prompt import Prompt
from .schedule import Grid, ddim_grid

if TYPE_CHECKING:
    from .backbone import Backbone


@dataclass(frozen=True, eq=False)
class Inversion:
    """A clip as the model sees it at every noise level; any number of edits start from it.

    trajectory: (N+1, f, c, h, w) float32 on the CPU: the clean latents, then the latents after each
        inversion step. grid: the timesteps, highest noise first.
    mode: where the source's attention is kept ("recompute", "offload" or "resident"); "auto" where
        it was to be kept, but there was no room.
    records: that attention, lowest noise first. Empty where it is computed again: always in the
        modes "recompute" and "auto", in the others when the inversion came from disk or a host took
        the memory back. Edits give the same either way.
    origin: the clip, the noise schedule and the versions that it was made with, by content.
    """

    trajectory: Tensor
    prompt: Prompt
    grid: Grid
    keyframes: KeyFrames
    model: str
    mode: str = "recompute"
    records: Sequence[SourceAttention] = ()
    origin: Origin = field(default_factory=Origin)

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return self.trajectory.shape[1]

    def keyframe_table(self) -> Tensor | None:
        """(f, j) key-frame indices, or None."""
        return key_frames.resolve(self.keyframes, self.frames)

    def source_attention(self, backbone: "Backbone") -> AttentionSource:
        """Where an edit on this backbone gets the source's attention from."""
        records = tuple(self.records)  # held: a host that needs the room may empty the sequence
        if records:
            kept = KeptAttention(records, backbone.device, backbone.dtype)
            return PrefetchedAttention(kept) if self.mode == "offload" else kept
        return RecomputedAttention(
            backbone,
            self.trajectory,
            self.prompt.embeddings,
            self.grid,
            self.keyframe_table(),
            # What is free just then must not change a byte: only "recompute" keeps full precision.
            rounded=self.mode != "recompute",
        )


@torch.no_grad()
def invert(
    backbone: "Backbone",
    frames: Tensor,
    prompt: str | Prompt,
    *,
    steps: int = 50,
    keyframes: str | Iterable[str | int] = key_frames.DEFAULT,
    store: str = "auto",
    seed: int | None = None,
    on_step: OnStep | None = None,
    on_frame: Callable[[int], None] | None = None,
    free: Callable[[torch.device], int] = free_memory,
) -> Inversion:
    """Invert a clip with its source prompt, at guidance 1.

    frames: (f, h, w, 3) in 0..1, sides multiples of 64. steps: 1..1000. keyframes: see
    attention/keyframes.py. store: "auto", "recompute", "offload" or "resident". seed: sample the
    autoencoder's distribution with it; None takes its mode. on_frame: called for each frame
    encoded, on_step after each step. free: free bytes of a device, for "auto".
    Raises EvenframeError for frames or settings out of range.
    """
    require_frames(frames)
    source = prompt if isinstance(prompt, Prompt) else backbone.encode_prompt(prompt)
    require_model(backbone, source.model, "source prompt")
    require_mode(store)
    names = key_frames.parse(keyframes)
    grid = ddim_grid(backbone.schedule, steps)
    latents = backbone.encode(frames, seed, on_frame)
    start = Inversion(
        torch.empty(0, len(frames)),
        source,
        grid,
        names,
        backbone.fingerprint,
        mode=store,
        origin=origin_of(backbone, frames),
    )
    return _walk(backbone, latents, start, on_step, free)


def _walk(
    backbone: "Backbone",
    latents: Tensor,
    inversion: Inversion,
    on_step: OnStep | None,
    free: Callable[[torch.device], int],
) -> Inversion:
    """Inversion steps from the clean latents to the highest noise."""
    grid, mode = inversion.grid, inversion.mode
    schedule, table = backbone.schedule, inversion.keyframe_table()
    sites = kept_sites(backbone.sites, backbone.layout)
    trajectory, records = [latents.float().cpu()], []
    for done in range(len(grid)):
        step = len(grid) - 1 - done
        timestep = grid.timesteps[step]
        recorder = Recorder(sites if mode != "recompute" else ())
        output = backbone.predict(
            latents, timestep, {"source": inversion.prompt.embeddings}, table, recorder.attend
        )["source"]
        if mode == "auto":
            mode = _resolve(recorder.record(), len(grid), backbone.device, free)
        if mode != "recompute":
            records.append(keep(recorder.record(), mode))
        latents = schedule.inverse_step(latents, output, grid.after(step), timestep)
        require_finite(latents, "inversion", done, len(grid), backbone.dtype)
        trajectory.append(latents.float().cpu())
        if on_step is not None:
            clean, _ = schedule.split(latents, output, timestep)
            on_step(StepReport(done + 1, len(grid), timestep, latents, clean))
    mode = mode if records else inversion.mode
    return replace(inversion, trajectory=torch.stack(trajectory), mode=mode, records=tuple(records))


def _resolve(
    record: SourceAttention, steps: int, device: torch.device, free: Callable[[torch.device], int]
) -> str:
    """The mode that "auto" stands for, from the size of the first step's record."""
    kept = [*record.queries.values(), *record.keys.values()]
    needed = sum(tensor.numel() for tensor in kept) * KEPT_DTYPE.itemsize * steps
    return choose_mode("auto", needed, free(device), free(torch.device("cpu")))
