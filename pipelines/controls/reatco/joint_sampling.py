"""Invariant Region-guided Joint Sampling (IRJS): keep what lies outside of the regions.

Source: "Re-Attentional Controllable Video Diffusion Editing" (AAAI 2025), Eq. 8; the repeats are
those of "RePaint" (CVPR 2022).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...common.checks import require_choice, require_range, require_whole
from ...common.errors import EvenframeError
from ...models.schedule import noisy_latents
from ...regions.edges import shrunk
from ...regions.region import Region
from ...regions.regions import Regions
from ..base import Control, ControlRun, Edit, Step
from ..span import Span

NOISES = ("inversion", "fresh")


@dataclass(frozen=True, eq=False)
class JointSampling(Control):
    """Settings of IRJS.

    regions: everything outside all of them is kept. noise: what V(t), the source at a noise level,
        is made with: "inversion", the latents of the inversion, which do not flicker, or "fresh",
        noise drawn once per step with the edit's seed (the paper).
    repeats: 1..20, how often a step is taken, with noise added again in between; more harmonise
        what is inside with what is outside.
    repeat_steps: share of the steps, 0..1, that are taken so often, from the start, cut as a
        `Span`; fewer leave what stands there by then in its place.
    inset: 0..16, latent cells along the inside of a region's edge that are kept as well. A decoder
        mixes neighbours: one cell brings the pixels right outside much nearer to the source's.
    Raises EvenframeError for settings out of range.
    """

    unique: ClassVar[str] = "IRJS Blender"
    regions: Regions
    noise: str = "inversion"
    repeats: int = 1
    repeat_steps: float = 1.0
    inset: int = 0

    def __post_init__(self) -> None:
        self.regions.require_items()
        require_choice("noise", self.noise, NOISES)
        require_whole("repeats", self.repeats, 1, 20)
        require_range("repeat_steps", self.repeat_steps, 0, 1)
        require_whole("inset", self.inset, 0, 16)

    @property
    def kept_noise(self) -> str:
        """At whose noise the source's latents are kept."""
        return self.noise

    def begin(self, edit: Edit) -> "JointSamplingRun":
        """Check the regions against the clip, and start."""
        self.regions.require(edit.clip_frames, edit.frame_size)
        return JointSamplingRun(self, edit)


class JointSamplingRun(ControlRun):
    """IRJS at work in one edit."""

    def __init__(self, settings: JointSampling, edit: Edit):
        trajectory = edit.inversion.trajectory
        self._settings, self._edit = settings, edit
        self._repeated = Span(0, settings.repeat_steps).steps(edit.steps)
        regions = settings.regions.part(edit.frames)
        grid = (trajectory.shape[-2], trajectory.shape[-1])
        each = regions.coverages(grid)
        mask = shrunk(each.amax(0), settings.inset)
        for region, cells in zip(regions.items, each, strict=True):
            _require_room(region, cells, mask, edit.frames, settings.inset)
        self._mask = mask[:, None].to(edit.backbone.device)  # f 1 h w
        self._generator = torch.Generator().manual_seed(edit.seed + 1)  # the edit's own is its seed

    def repeats(self, step: int) -> int:
        """`repeats` in the first `repeat_steps` of the steps, then once."""
        return self._settings.repeats if step in self._repeated else 1

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """X~ = X M + V(t) (1-M) at the level that was reached (Eq. 8); V(0) after the last step."""
        source = step.arrival
        if self._settings.noise == "fresh" and step.index + 1 < self._edit.steps:
            source = self._noisy_source(latents, step)
        return keep_outside(latents, source, self._mask.to(latents))

    def _noisy_source(self, latents: Tensor, step: Step) -> Tensor:
        """V(t) = sqrt(a) V(0) + sqrt(1-a) noise; the noise is the same in all windows."""
        edit = self._edit
        shape = (edit.clip_frames, *latents.shape[1:])
        noise = torch.randn(shape, generator=self._generator)
        noise = noise[edit.frames.start : edit.frames.stop].to(latents)
        alpha = edit.backbone.schedule.alpha(edit.inversion.grid.after(step.index))
        return noisy_latents(edit.inversion.trajectory[0].to(latents), noise, alpha.to(latents))


def _require_room(region: Region, cells: Tensor, mask: Tensor, frames: range, inset: int) -> None:
    """A region must keep cells (f, h, w) in the mask on all frames where it has any."""
    there, left = (each.flatten(1).amax(1) > 0 for each in (cells, cells * mask))
    lost = (there & ~left).nonzero().flatten().tolist()
    if lost:
        raise EvenframeError(
            f"inset is {inset}: on frame {frames[lost[0]]} it leaves nothing of region "
            f"'{region.name}'. Choose fewer latent cells, or a larger region."
        )


def keep_outside(latents: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """X M + V (1-M) (Eq. 8): exactly the source where the mask is 0.

    latents, source: (f, c, h, w). mask: (f, 1, h, w) in 0..1, 1 where the edit is.
    """
    return latents * mask + source * (1 - mask)
