"""Where a denoiser attends: layers named by what they do, not by their number."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..common.errors import EvenframeError
from ..common.grids import grid_of

SiteKind = Literal["self", "cross", "temporal"]


@dataclass(frozen=True)
class Site:
    """One attention layer.

    name: its module's name in the denoiser, the key of everything kept for it.
    kind: "self" (tokens attend to tokens), "cross" (tokens attend to the prompt) or "temporal" (the
        same pixel's tokens of all frames attend to each other: a layer that a `Delta` adds).
    stride: pixels of the frame along one side of a token (8, 16, 32, 64 for Stable Diffusion).
    order: its place in the forward pass; a temporal layer has that of the layer before it.
    """

    name: str
    kind: SiteKind
    stride: int
    order: int

    def grid(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Tokens (rows, columns) for frames of (height, width) pixels."""
        return grid_of(frame_size, self.stride)


@dataclass(frozen=True)
class Layout:
    """Which layers a method should use of a denoiser, by their stride.

    control_stride: attention at this stride and coarser can be replaced by the source's, and is
        what controls change; finer layers keep their own.
    keyframe_stride: self-attention at this stride and coarser looks at key frames, finer layers
        stay within their frame: unless an inversion says otherwise, see `KEYFRAME_LAYERS`.
    mask_stride: cross-attention at this stride gives masks and regions.
    whole_clip: self-attention is over all frames at once, as a video transformer's: nobody can
        choose key frames, and nothing of it is kept over the steps unless that is asked for.
    carries: whether a control is asked before a layer projects its tokens, see `Carrying`.
    """

    control_stride: int
    keyframe_stride: int
    mask_stride: int
    whole_clip: bool = False
    carries: bool = False

    def looks_from(self, width: int | None, space_stride: int) -> int:
        """The finest stride that looks at key frames: of tokens so many latents wide, or the
        model's own."""
        return width * space_stride if width else self.keyframe_stride


KEYFRAME_LAYERS: Mapping[str, int | None] = MappingProxyType(
    {"auto": None, "all": 1, "half": 2, "quarter": 4}
)
"""The finest layers that look at key frames: how many latents their tokens are wide, by a name that
says how many tokens a side they have, of the latents' own. auto: the layout's."""


def layout_of(sites: Iterable[Site], native_size: int, whole_clip: bool = False) -> Layout:
    """The published choices as a rule over the strides that a denoiser has layers of.

    FateZero leaves the 64x64 layers of a 512 px model alone and reads masks at 16x16. So: control
    and key frames up to 48 tokens a side, masks from the coarsest cross-attention of at least 16,
    or the finest. Stable Diffusion at 512 px gets strides 16, 16 and 32, at 768 px the same, a
    128 px model 8 everywhere.
    """
    each = tuple(sites)
    own, words = ({s.stride for s in each if s.kind == kind} for kind in ("self", "cross"))
    if not own or not words:
        raise EvenframeError(
            "The denoiser has no self-attention, or no cross-attention, of its own: words and "
            "pixels that attend together cannot be told apart. Choose another model."
        )
    coarse = min((s for s in own if native_size // s <= 48), default=max(own))
    fine_enough = [stride for stride in words if native_size // stride >= 16]
    return Layout(
        control_stride=coarse,
        keyframe_stride=coarse,
        mask_stride=max(fine_enough, default=min(words)),
        whole_clip=whole_clip,
    )
