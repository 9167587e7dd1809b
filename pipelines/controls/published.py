"""Methods as they were published: a chain of controls, and what belongs beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..common.errors import EvenframeError
from ..regions.regions import Regions
from .base import Control
from .reatco.joint_sampling import JointSampling
from .reatco.presets import PUBLISHED
from .token_flow.token_flow import TokenFlow
from .videograin.videograin import VideoGrain

Chain = tuple[Control, ...]
GRAIN = (
    "Published with key_frames 'all', 50 steps and guidance 7.5, on Stable Diffusion 1.5 with a "
    "ControlNet of depth, edges or pose: put one on the prompts of a model of Adopt Model. "
    "Without, expect shapes to follow the clip less."
)
FLOW = (
    "Published with key_frames 'own', 50 steps and guidance 7.5, on Stable Diffusion 2.1. Features "
    "of one residual layer, which PnP takes from the source in .8 of the steps, are not taken "
    "over. The negative branch is changed, too."
)


@dataclass(frozen=True)
class Method:
    """A published method.

    chain: its controls, for regions. note: what belongs to it beside them. regions: whether it
    needs any.
    """

    chain: Callable[[Regions], Chain]
    note: str
    regions: bool = True

    def controls(self, name: str, regions: Regions | None) -> Chain:
        """The chain of an edit. Raises EvenframeError where regions are missing."""
        if regions is not None:
            return self.chain(regions)
        if self.regions:
            raise EvenframeError(
                f"{name} has no regions: draw one for each thing, with its words of the target "
                "prompt, and link them."
            )
        return self.chain(Regions((), 0, (0, 0)))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "ReAtCo, published": Method(PUBLISHED.controls, PUBLISHED.note()),
        "VideoGrain": Method(lambda regions: (VideoGrain(regions),), GRAIN),
        "VideoGrain, background kept": Method(
            lambda regions: (VideoGrain(regions), JointSampling(regions)), GRAIN
        ),
        "TokenFlow": Method(lambda _: (TokenFlow(),), FLOW, regions=False),
    }
)
