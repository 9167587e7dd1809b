"""The settings that ReAtCo was published with: RAD and IRJS in the order of its code.

Source: the editing scripts of "Re-Attentional Controllable Video Diffusion Editing" (AAAI 2025).
"""

from dataclasses import dataclass

from ...regions.regions import Regions
from ..base import Control
from ..span import Span
from .joint_sampling import JointSampling
from .refocus import Refocus


@dataclass(frozen=True)
class Published:
    """The published run. steps: in which RAD acts."""

    steps: Span = Span(0.0, 0.5)

    def controls(self, regions: Regions) -> tuple[Control, ...]:
        """The chain of an edit: refinement by the worst word, places of two regions counted for
        both, and the source put in its place right before the model is asked, at fresh noise."""
        refocus = Refocus(regions, refine=True, refine_by="worst", overlap="both", steps=self.steps)
        return refocus, JointSampling(regions, noise="fresh", place="before")

    def note(self) -> str:
        """What belongs to the recipe beside the controls."""
        return (
            "Published with an inversion of an empty source prompt, key_frames 'first, -1', "
            "key_frame_layers 'all' and 50 steps in windows of 4 frames at stride 1, and guidance "
            "12.5 (5.5 for the hares), on a Stable Diffusion 1.4 that had been tuned on the clip."
        )


PUBLISHED = Published()
