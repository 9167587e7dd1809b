"""What a run of a sampler of the host's is to do: the edit, and the room that it takes."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import comfy.model_management as memory

from ....pipelines.controls.base import Edit, working_bytes
from ....pipelines.source.between import Trajectory
from ....pipelines.source.inversion import Inversion

if TYPE_CHECKING:
    from ....pipelines.models.listed_schedule import ListedSchedule
    from ....pipelines.source.between import SourceLatents
    from .attached import Attached
    from .session import Ready


def planned(
    attached: Attached,
    patcher: Any,
    ready: Ready,
    latents: SourceLatents,
    schedule: ListedSchedule,
    seed: int,
) -> Edit:
    """The edit of the whole clip, by a patcher that is ready.

    latents: the source's. schedule: the sampler's levels. seed: of fresh noise.
    """
    source, levels = attached.source, schedule.levels
    own: Any = source.model.denoiser
    bound = replace(own, patcher=patcher, kind=schedule.kind, ready=ready)
    model = replace(source.model, denoiser=bound, schedule=schedule, session=None)
    # By its clean latents controls know the clip, also where the sampler leaves noise.
    trajectory: Any = Trajectory(latents, levels)
    inversion = Inversion(
        trajectory,
        source.prompt,
        schedule.times(len(levels) - 1),
        source.keyframes,
        model.fingerprint,
        layers=source.layers,
        noise_seed=0,  # whatever made its latents, the source is asked about these themselves
    )
    return Edit(
        model,
        inversion,
        source.target,
        seed=seed,
        controls=attached.controls,
        on_pass=memory.throw_exception_if_processing_interrupted,
        free=memory.get_free_memory,
    )


def needed_bytes(attached: Attached, shape: Sequence[int]) -> int:
    """About what a step needs beside the weights, where controls need more than the host's own
    estimate; else 0. shape: of the latents that are asked about at once, in the host's layout."""
    model = attached.source.model
    frames = shape[2] if len(shape) == 5 else shape[0]
    size = model.codec.lattice_of(attached.source.clean).size
    needed = working_bytes(attached.controls, model, frames, size)
    return needed if needed > model.denoiser.working_bytes(frames, size, branches=2) else 0
