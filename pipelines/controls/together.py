"""Which controls go together, and with a model, as far as they say themselves."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..common.errors import EvenframeError

if TYPE_CHECKING:
    from ..models.model import Model
    from .base import Control


def require_together(controls: Iterable["Control"]) -> None:
    """Raise EvenframeError for two controls of which a chain holds one, or that keep the source's
    latents at different noise."""
    controls = tuple(controls)
    names = [control.unique for control in controls if control.unique]
    for name in names:
        if names.count(name) > 1:
            raise EvenframeError(
                f"There are two {name}s: their order would matter. Put what both shall do into "
                "one, or leave one out."
            )
    changed = [control.changes_self for control in controls if control.changes_self]
    for control in controls:
        if control.carries and changed:
            raise EvenframeError(
                f"{control.unique} puts something else in the place of self-attention, which "
                f"another control changes: set {changed[0]}, or leave one of the two out."
            )
    kept = {control.kept_noise for control in controls if control.kept_noise}
    if len(kept) > 1:
        raise EvenframeError(
            "Two controls keep the source's latents, one at fresh noise and one at the "
            "inversion's: set noise of IRJS Blender to 'inversion', or latent_blend of Attention "
            "Fusion to off, or leave First Frame out."
        )


def require_carried(controls: Iterable["Control"], model: "Model") -> None:
    """Raise EvenframeError for a control that carries where the model does not let it."""
    for control in controls:
        if control.carries and not model.denoiser.layout.carries:
            raise EvenframeError(
                f"{control.unique} must see what goes into self-attention, and '{model.name}' does "
                "not show it: load a Stable Diffusion 1.x or 2.1 checkpoint with Load Model."
            )
