"""Where one update of RAD is not enough: more at a few early steps, until attention is there.

Source: "Re-Attentional Controllable Video Diffusion Editing" (AAAI 2025) and its published code,
after the refinement of "Attend-and-Excite" (SIGGRAPH 2023).
"""

from collections.abc import Callable

from torch import Tensor

RULES = ("all", "worst")
THRESHOLDS = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))
"""(share of the steps, threshold): there every word's 1 - L_IR shall reach the threshold."""
MOST = 20

Evaluate = Callable[[Tensor, str], tuple[float, Tensor]]
"""(latents, loss) -> (the worst word's L_IR, dL/dX). loss: "all" (of every word, inside and out),
"worst" (the L_IR of the worst word alone) or "inner" (the L_IR of every word)."""
Move = Callable[[Tensor, Tensor], Tensor]
"""(latents, gradient) -> the latents moved along it."""


def refined(
    latents: Tensor, enough: float, rule: str, evaluate: Evaluate, move: Move
) -> tuple[Tensor, Tensor]:
    """Latents whose worst L_IR is at most `enough`, or that have been moved MOST times, and the
    gradient of the step's own update there.

    rule: "all" moves along the gradient of all losses. "worst", as the published code does, along
    that of the worst word's L_IR alone; it stops one move late, since it looks before it moves, and
    then the own update has no L_OR.
    """
    worst, gradient = evaluate(latents, "all")
    if worst <= enough:
        return latents, gradient
    for _ in range(MOST):
        if rule == "worst":
            worst, gradient = evaluate(latents, "worst")
            latents = move(latents, gradient)
        else:
            latents = move(latents, gradient)
            worst, gradient = evaluate(latents, "all")
        if worst <= enough:
            break
    return latents, evaluate(latents, "inner")[1] if rule == "worst" else gradient
