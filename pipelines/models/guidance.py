"""Guidance: how the answers of several branches become the one that a step goes by."""

from collections.abc import Callable, Mapping

from torch import Tensor

from .schedule import Level

Guidance = Callable[[Mapping[str, Tensor], float, Tensor, Level], Tensor]
"""(outputs by branch, scale, latents (f, c, h, w), their level) -> the guided output."""


UNUSED: Mapping[float, str] = {1.0: "negative", 0.0: "target"}
"""By scale, the branch that the guidance below does without, and need not be asked."""


def classifier_free(
    outputs: Mapping[str, Tensor], scale: float, latents: Tensor, level: Level
) -> Tensor:
    """negative + scale (target - negative), or the one branch that there is.

    The same for every kind of output: at given latents each is linear in the others.
    Source: "Classifier-Free Diffusion Guidance" (Ho and Salimans, 2022), Eq. 6.
    """
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    negative, target = outputs["negative"], outputs["target"]
    return negative + scale * (target - negative)


def source_oriented(source: Tensor, clean: Tensor, apart: Tensor, strength: float) -> Tensor:
    """What to add to a prediction of the clean latents: where the edit goes the source's way, by
    how much the model has missed the source, which is known.

    source: the clean latents (t, c, h, w) that it makes of the source at this level; clean: those
    that the source has. apart: (t, c, h, w), by how much the two predictions of noise - clean
    differ, the edit's and the source's. strength: 0..1.
    Source: "StreamEdit" (arXiv 2605.21466), source-oriented guidance.
    """
    much = apart.abs().mean(1, keepdim=True)  # t 1 h w
    low, high = much.amin(), much.amax()
    return strength * (1 - (much - low) / (high - low + 1e-7)) * (clean - source)
