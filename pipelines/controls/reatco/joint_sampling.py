"""Invariant Region-guided Joint Sampling (IRJS): keep what lies outside of the regions.

Source: "Re-Attentional Controllable Video Diffusion Editing" (AAAI 2025), Eq. 8; the repeats are
those of "RePaint" (CVPR 2022).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ...common.settings import setting
from ...models.schedule import Level, mix
from ...regions.edges import shrunk
from ...regions.region import Region
from ...regions.regions import Regions
from ..base import Control, ControlRun, Edit, Step
from ..span import Span


@dataclass(frozen=True, eq=False)
class JointSampling(Control):
    """Settings of IRJS.

    regions: everything outside all of them is kept.
    Raises EvenframeError for settings out of range.
    """

    unique: ClassVar[str] = "IRJS Blender"
    regions: Regions
    noise: str = setting(
        "inversion",
        "What the source is blurred with at each step: the inversion's own, which cannot flicker, "
        "or fresh noise with the editor's seed, as published.",
        choices=("inversion", "fresh"),
    )
    repeats: int = setting(
        1,
        "How often a step is taken. More let the edit fit in better with what is around it; these "
        "steps take as many times longer.",
        whole=(1, 20),
    )
    repeat_steps: float = setting(
        1.0,
        "Share of the steps, from the start, that are taken so often. About 0.3 draws anew what "
        "stands there, and then leaves it in its place.",
        within=(0, 1),
    )
    inset: int = setting(
        0,
        "Latent cells (8 pixels) inside a region's edge that stay the source's too: with 1, what "
        "is decoded outside comes out much nearer to the source. Draw the region that much larger.",
        whole=(0, 16),
    )

    place: str = setting(
        "after",
        "When the source takes its place: after each step, or right before the model is asked, as "
        "published, so that RAD sees latents that nothing was kept in.",
        choices=("after", "before"),
    )

    def __post_init__(self) -> None:
        self.regions.require_items()
        super().__post_init__()

    @property
    def kept_noise(self) -> str:
        """At whose noise the source's latents are kept."""
        return self.noise

    @property
    def draws(self) -> bool:
        """Noise to blend with, or before a step is taken again."""
        return self.noise == "fresh" or (self.repeats > 1 and self.repeat_steps > 0)

    def begin(self, edit: Edit) -> "JointSamplingRun":
        """Check the regions against the clip, and start."""
        self.regions.require(edit.clip.frames, edit.frame_size)
        return JointSamplingRun(self, edit)


class JointSamplingRun(ControlRun):
    """IRJS at work in one edit."""

    def __init__(self, settings: JointSampling, edit: Edit):
        trajectory = edit.inversion.trajectory
        self._settings, self._edit = settings, edit
        self._repeated = Span(0, settings.repeat_steps).steps(edit.steps)
        regions = settings.regions.on_latents(edit.clip).part(edit.latent_frames)
        grid = (trajectory.shape[-2], trajectory.shape[-1])
        each = regions.coverages(grid)
        mask = shrunk(each.amax(0), settings.inset)
        for region, cells in zip(regions.items, each, strict=True):
            _require_room(region, cells, mask, edit, settings.inset)
        self._mask = mask[:, None].to(edit.model.device)  # t 1 h w
        self._generator = torch.Generator().manual_seed(edit.seed + 1)  # the edit's own is its seed

    def repeats(self, step: int) -> int:
        """`repeats` in the first `repeat_steps` of the steps, then once."""
        return self._settings.repeats if step in self._repeated else 1

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        """X~ = X M + V(t) (1-M) where a step begins (Eq. 8)."""
        if self._settings.place == "after":
            return latents
        source = self._edit.inversion.trajectory[self._edit.steps - step.index].to(latents)
        return self._kept(latents, source, step.here)

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """The same at the level that was reached; V(0) after the last step in any case."""
        last = step.index + 1 == self._edit.steps
        # A host's sampler has this called where it asks the model, and of its clean latents.
        passing = not last and step.there is not step.here and step.there.noise > 0
        if self._settings.place == "before" and passing:
            return latents
        return self._kept(latents, step.arrival, None if last else step.there)

    def _kept(self, latents: Tensor, source: Tensor, level: Level | None) -> Tensor:
        """source: with the inversion's noise. level: of fresh noise, None where there is none."""
        if self._settings.noise == "fresh" and level is not None:
            source = self._noisy_source(latents, level)
        return keep_outside(latents, source, self._mask.to(latents))

    def _noisy_source(self, latents: Tensor, level: Level) -> Tensor:
        """V(t), the source at a level, with noise that all windows share."""
        edit = self._edit
        shape = (edit.clip.latent_frames, *latents.shape[1:])
        noise = torch.randn(shape, generator=self._generator)
        noise = noise[edit.latent_frames.start : edit.latent_frames.stop].to(latents)
        return mix(edit.inversion.trajectory[0].to(latents), noise, level)


def _require_room(region: Region, cells: Tensor, mask: Tensor, edit: Edit, inset: int) -> None:
    """A region must keep cells (t, h, w) in the mask on all frames where it has any."""
    there, left = (each.flatten(1).amax(1) > 0 for each in (cells, cells * mask))
    lost = (there & ~left).nonzero().flatten().tolist()
    if lost:
        frame = edit.clip.held(edit.latent_frames[lost[0]]).start
        raise EvenframeError(
            f"inset is {inset}: on frame {frame} it leaves nothing of region "
            f"'{region.name}'. Choose fewer latent cells, or a larger region."
        )


def keep_outside(latents: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """X M + V (1-M) (Eq. 8): exactly the source where the mask is 0.

    latents, source: (t, c, h, w). mask: (t, 1, h, w) in 0..1, 1 where the edit is.
    """
    return latents * mask + source * (1 - mask)
