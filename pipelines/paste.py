"""The source's own pixels outside of the regions, where the autoencoder would change them."""

from torch import Tensor

from .checks import frames_of_size
from .edge import Edge
from .errors import EvenframeError


def paste_outside(
    edited: Tensor, source: Tensor, mask: Tensor, feathered: int = 8, linear: bool = False
) -> Tensor:
    """The edit inside the mask, the source outside, with a soft edge that lies inside.

    edited, source: (f, h, w, 3) in 0..1. mask: (f, h, w) in 0..1, or (n, f, h, w) of n regions,
    each of which keeps its middle. feathered, linear: as of `Edge`.
    Where the mask is 0, pixels are equal to the source's. Raises EvenframeError.
    """
    edge = Edge(feather=feathered, linear=linear)
    masks = mask[None] if mask.ndim == 3 else mask
    if edited.shape != source.shape:
        raise EvenframeError(
            f"The edit has {_size(edited)}, the source {_size(source)}: "
            "paste the frames that were inverted."
        )
    if masks.shape[1:] != edited.shape[:3]:
        raise EvenframeError(
            f"The regions are for {_size(masks[0])}, but the clip has {_size(edited)}: "
            "draw them on the frames that were inverted."
        )
    if not edited.is_floating_point() or edited.dtype != source.dtype:
        raise EvenframeError(
            f"The edit's pixels are {_kind(edited)}, the source's {_kind(source)}: give both as "
            "floating-point numbers of one kind, 0 to 1 (divide bytes by 255)."
        )
    return edge.mixed(source, edited, edge.inside(masks))


def _kind(frames: Tensor) -> str:
    return str(frames.dtype).removeprefix("torch.")


def _size(frames: Tensor) -> str:
    count, height, width = frames.shape[:3]
    return frames_of_size(count, (width, height))
