"""What is done once and no more: the keys `once.*`, all of them exact counts.

Regions are drawn on a grid once and not at every attention call, the source runs once in a step
however often the step is repeated, and key frames that all frames share are gathered once.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..miniature import NAME
from ..pipelines.attention import keyframes
from ..pipelines.attention.terms import gather_keyframes
from ..pipelines.controls.base import Control
from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
from ..pipelines.controls.fame.self_modulator import SelfModulator
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.editing import edit
from ..pipelines.models.families import load
from ..pipelines.models.schedule import Level
from ..pipelines.regions.region import MaskRegion, Raster
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import invert
from ..pipelines.source.store import kept_sites
from . import main
from .models import with_predict

TARGETS = {
    "once.rasters_per_grid": 1.0,
    "once.source_passes_per_step": 1.0,
    "once.keyframe_bytes_ratio": 1.0,
}
"""The most that a figure may be."""
FRAMES, STEPS, REPEATS, SIZE = 3, 4, 3, (64, 128)
SOURCE, TARGET = "a doctor and a nurse", "a tall doctor and a short nurse"


def run() -> dict[str, float]:
    """Count."""
    passes: list[bool] = []

    def predict(latents: Tensor, level: Level, branches: Any, *others: Any) -> dict[str, Tensor]:
        passes.append("source" in branches)
        return plain.denoiser.predict(latents, level, branches, *others)

    plain = load(NAME)
    model = with_predict(plain, predict)
    frames = torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    inversion = invert(model, frames, SOURCE, steps=STEPS, keyframes="all", store="recompute")

    def count(*controls: Control) -> int:
        """Passes of the source in an edit."""
        passes.clear()
        edit(model, inversion, TARGET, guidance_scale=1, controls=controls)
        return sum(passes)

    people = _two_people()
    regions = Regions(tuple(people), FRAMES, SIZE)
    count(CrossReweighter(regions=regions), SelfModulator(regions=regions))
    drawn = sum(len(person.drawn) for person in people)
    denoiser = model.denoiser
    grids = {site.grid(SIZE) for site in kept_sites(denoiser.sites, denoiser.layout)}
    repeated = count(Fusion(cross_steps=1, self_steps=1), JointSampling(regions, repeats=REPEATS))
    return {
        "once.rasters_per_grid": drawn / (len(people) * len(grids)),
        "once.source_passes_per_step": repeated / STEPS,
        "once.keyframe_bytes_ratio": _gathered_ratio(),
    }


def _two_people() -> "list[_CountedRegion]":
    left = torch.zeros(FRAMES, *SIZE)
    left[..., 8:48] = 1
    masks = {"doctor": left, "nurse": left.flip(-1)}
    return [_CountedRegion(who, who, mask) for who, mask in masks.items()]


def _gathered_ratio(frames: int = 16, heads: int = 2, tokens: int = 64, width: int = 8) -> float:
    """Bytes that are kept for the key frames of a clip, over those of its tokens."""
    table = keyframes.table(("all",), frames)
    assert table is not None
    own = torch.zeros(frames, heads, tokens, width)
    gathered = gather_keyframes(own, table.rows)
    return gathered.untyped_storage().nbytes() / own.untyped_storage().nbytes()


@dataclass(frozen=True, eq=False)
class _CountedRegion(MaskRegion):
    """A region that notes each grid that it is drawn on."""

    drawn: list[tuple[int, int]] = field(default_factory=list)

    def on(self, grid: tuple[int, int], soft: bool = False) -> Raster:
        self.drawn.append(grid)
        return super().on(grid, soft)


if __name__ == "__main__":
    main(__file__)
