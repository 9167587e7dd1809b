"""Muon for the weight matrices, AdamW for everything else, as one optimiser.

Source: "Muon: An optimizer for hidden layers in neural networks" (Jordan et al., 2024), with the
learning rate scaled so that one rate serves both parts ("Muon is Scalable for LLM Training", Liu et
al., 2025, Eq. 4). A convolution's kernel counts as a matrix of its output channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_OUTER = ("conv_in.", "conv_out.", "embedding")
"""First and last layers and lookup tables, which AdamW learns better."""


def is_inner(name: str, parameter: Tensor) -> bool:
    """Whether a parameter of the image miniature's networks is a matrix for Muon."""
    return parameter.ndim > 1 and not any(part in name for part in _OUTER)


class MatrixOptimiser:
    """Steps the parameters of some modules.

    inner: which of them, by name, are matrices for Muon; where none are, all is AdamW's.
    Raises ValueError for a kernel that is not stored channels-last: its matrix would be a copy.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        rate: float,
        weight_decay: float,
        inner: Callable[[str, Tensor], bool] = is_inner,
    ) -> None:
        named = [pair for module in modules for pair in module.named_parameters()]
        matrices = [p for name, p in named if inner(name, p)]
        self._matrices = [(p, nn.Parameter(_matrix(p.data))) for p in matrices]
        if any(p.data_ptr() != matrix.data_ptr() for p, matrix in self._matrices):
            raise ValueError("kernels must be channels-last: move the module to that format first")
        chosen = {id(p) for p in matrices}
        rest = [p for _, p in named if id(p) not in chosen]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                rest, lr=rate, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True
            )
        ]
        if self._matrices:
            muon = torch.optim.Muon(
                [matrix for _, matrix in self._matrices],
                lr=rate,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            self._parts.insert(0, muon)

    def step(self, rate: float) -> None:
        """Move every parameter along its gradient at a learning rate, and forget the gradients."""
        for parameter, matrix in self._matrices:
            matrix.grad = None if parameter.grad is None else _matrix(parameter.grad)
            parameter.grad = None
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of both parts."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Go on from `state_dict`."""
        for part, stored in zip(self._parts, state, strict=True):
            part.load_state_dict(stored)


def _matrix(weight: Tensor) -> Tensor:
    """(out, in) as it is; (out, in, h, w) kernels as (out, h w in)."""
    if weight.ndim == 2:
        return weight
    return weight.permute(0, 2, 3, 1).contiguous().view(len(weight), -1)
