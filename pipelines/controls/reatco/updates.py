"""Updates of latents by a gradient, none of which may go too far."""

from torch import Tensor

from ...common.errors import EvenframeError

LARGEST = 0.5
"""Of a frame's latents: the norm of what one update may take from it."""
MOST_TOO_LARGE = 3
"""Updates in a row that are larger than the latents, at which guidance is stopped."""


class Updates:
    """Those of one edit. steps: of it. scale: of RAD, for errors."""

    def __init__(self, steps: int, scale: float):
        self._steps, self._scale, self._too_large = steps, scale, 0

    def take(self, latents: Tensor, update: Tensor, step: int) -> Tensor:
        """The latents less an update, both (f, c, h, w), no frame's further than LARGEST; stop
        where one after the other is far too large.

        Sharpened maps switch from word to word like a step, and a frame that is just there has a
        gradient far beyond the others'. It is soon gone again, unless guidance diverges.
        """
        size, have = (x.flatten(1).norm(dim=1) for x in (update, latents))  # f
        ratio = float(size.norm() / have.norm())
        self._too_large = self._too_large + 1 if ratio > 1 else 0
        if self._too_large == MOST_TOO_LARGE:
            raise EvenframeError(
                f"The guidance of RAD diverges at step {step + 1} of {self._steps}: "
                f"its update is {ratio:.3g} times as large as the latents, and so were the "
                f"{MOST_TOO_LARGE - 1} before. Reduce its scale, "
                f"{self._scale:g}, or end it earlier."
            )
        allowed = (LARGEST * have / size.clamp(min=1e-12)).clamp(max=1)
        return latents - allowed[:, None, None, None] * update
