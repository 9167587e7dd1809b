"""Work with the host's model inside its own guider, where a sampler would be."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from comfy.samplers import CFGGuider

from .prompts import conditioning_of

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.models.model import Model
    from ....pipelines.text.conditioning import Conditioning

Result = TypeVar("Result")
ROLES = {"target": "positive", "negative": "negative", "source": "source"}
"""What the host calls the branches: a ControlNet is handed on from "positive" alone."""


@dataclass(frozen=True, eq=False)
class Ready:
    """The host's model while its guider runs.

    inner: the `BaseModel`, loaded. options: the guider's model options. conditions: by branch, as
    the host has prepared them.
    """

    inner: Any
    options: dict[str, Any]
    conditions: Mapping[str, list[Any]]


@dataclass
class Work:
    """Takes the place of a sampler in a guider: calls `work`, and hands on its noise."""

    work: Callable[[Ready], Any]
    result: Any = None

    def sample(
        self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], *others: Any
    ) -> Tensor:
        """Called by the guider between what it prepares and what it tidies up.

        others: (callback, noise, latent image, mask, whether to show no bar).
        """
        inner = guider.inner_model
        self.result = self.work(Ready(inner, extra_args["model_options"], guider.conds))
        return others[1]


def in_guider(
    patcher: Any,
    prompts: Mapping[str, Conditioning],
    latents: Tensor,
    work: Callable[[Ready], Result],
) -> Result:
    """What `work` gives, called while the host's guider holds the model ready for these prompts.

    latents: of the shape that the model is asked about at once, in the host's layout.
    """
    named = {ROLES[branch]: conditioning_of(prompt) for branch, prompt in prompts.items()}
    if "positive" not in named:  # by that name, what hangs on a condition is handed on
        named = {"positive": named["source"], **named}
    guider, taken = CFGGuider(patcher), Work(work)
    guider.inner_set_conds(named)
    # Zeros for a start: the work brings its own, and only the shape counts.
    empty = torch.zeros(latents.shape)
    guider.sample(empty, empty, taken, torch.tensor([1.0, 0.0]), disable_pbar=True)
    return taken.result


def session(
    model: Model,
    prompts: Mapping[str, Conditioning],
    latents: Tensor,
    work: Callable[[Model], Result],
) -> Result:
    """`Model.session` of the host's models."""
    denoiser: Any = model.denoiser

    def once_ready(ready: Ready) -> Result:
        bound = replace(denoiser, ready=ready)
        return work(replace(model, denoiser=bound, guidance=bound.guided, session=None))

    return in_guider(denoiser.patcher, prompts, denoiser.outward(latents), once_ready)
