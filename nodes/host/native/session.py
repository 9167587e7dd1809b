"""Work with the host's model inside its own guider, where a sampler would be."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from comfy.model_patcher import create_model_options_clone
from comfy.patcher_extension import WrappersMP, add_wrapper
from comfy.sampler_helpers import cleanup_models
from comfy.samplers import CFGGuider

from .prompts import bearing, conditioning_of
from .standing import unused_of

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.models.model import Model
    from ....pipelines.text.conditioning import Conditioning

Result = TypeVar("Result")
ROLES = {"target": "positive", "negative": "negative", "source": "source"}
"""What the host calls the branches: a ControlNet is handed on from "positive" alone."""
COPIED = ("control", "control_apply_to_uncond", "gligen")
"""What the host hands on from the positive prompt to all others, which the source must not have."""


@dataclass(eq=False)
class Ready:
    """The host's model while its guider runs.

    inner: the `BaseModel`, loaded. options: the guider's model options. conditions: by branch, as
    the host has prepared them. main: those of its entries that bear the prompt's tokens, by their
    uuids. others: further models that run with it, such as ControlNets. sigma, during: noise and
    options of the last pass.
    """

    inner: Any
    options: dict[str, Any]
    conditions: Mapping[str, list[Any]]
    main: frozenset[Any]
    others: Sequence[Any] = ()
    sigma: float = inf
    during: dict[str, Any] = field(default_factory=dict)

    def at(self, sigma: float) -> None:
        """Begin a pass. The host's hooks with a schedule only ever look for what comes later; where
        noise has risen, they begin anew."""
        risen, self.sigma = sigma > self.sigma, sigma
        entries = (entry for each in self.conditions.values() for entry in each)
        hooked = [entry["hooks"] for entry in entries if entry.get("hooks") is not None]
        if risen and hooked:
            for hooks in hooked:
                hooks.reset()
            self.inner.current_patcher.clear_cached_hook_weights()


@dataclass
class Work:
    """Takes the place of a sampler in a guider: calls `work`, and hands on its noise.

    bearing: the entries that bear their prompt's tokens, (the host's name of the branch, place).
    """

    work: Callable[[Ready], Any]
    bearing: Collection[tuple[str, int]]
    result: Any = None
    begun: Any = None

    def sample(
        self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], *others: Any
    ) -> Tensor:
        """Called by the guider between what it prepares and what it tidies up.

        others: (callback, noise, latent image, mask, whether to show no bar).
        """
        self.begun = guider.conds, guider.loaded_models
        given = guider.original_conds
        conditions = dict(guider.conds)
        if "source" in given:
            conditions["source"] = _as_given(conditions["source"], given["source"])
        main = frozenset(given[role][at]["uuid"] for role, at in self.bearing)
        options, models = extra_args["model_options"], tuple(guider.loaded_models)
        ready = Ready(guider.inner_model, options, conditions, main, models)
        self.result = self.work(ready)
        return others[1]

    def tidy(self) -> None:
        """What the host leaves out after an error: else a ControlNet keeps its last hint."""
        if self.begun is not None:
            cleanup_models(*self.begun)


def in_guider(
    patcher: Any,
    prompts: Mapping[str, Conditioning],
    latents: Tensor,
    work: Callable[[Ready], Result],
    memory_bytes: int = 0,
) -> Result:
    """What `work` gives, called while the host's guider holds the model ready for these prompts.

    latents: of the shape that the model is asked about at once, in the host's layout. memory_bytes:
    what the work needs beside the weights, where that is more than the host's own estimate.
    """
    asked = {ROLES[branch]: prompt for branch, prompt in prompts.items()}
    if "positive" not in asked:  # by that name, what hangs on a condition is handed on
        asked = {"positive": asked["source"], **asked}
    named = {role: conditioning_of(prompt) for role, prompt in asked.items()}
    entries = {role: prompt.host or named[role] for role, prompt in asked.items()}
    guider = CFGGuider(patcher)
    taken = Work(work, [(role, at) for role in entries for at in bearing(entries[role])])
    guider.inner_set_conds(named)
    guider.model_options = create_model_options_clone(guider.model_options)
    roomy = partial(_with_room, memory_bytes)
    add_wrapper(WrappersMP.PREPARE_SAMPLING, roomy, guider.model_options, is_model_options=True)
    # Zeros for a start: the work brings its own, and only the shape counts.
    empty = torch.zeros(latents.shape)
    most = float(patcher.get_model_object("model_sampling").sigma_max)
    try:
        guider.sample(empty, empty, taken, torch.tensor([most, 0.0]), disable_pbar=True)
    except BaseException:
        taken.tidy()
        raise
    return taken.result


def session(
    model: Model,
    prompts: Mapping[str, Conditioning],
    latents: Tensor,
    work: Callable[[Model], Result],
    memory_bytes: int = 0,
) -> Result:
    """`Model.session` of the host's models; memory_bytes: see `in_guider`."""
    denoiser: Any = model.denoiser

    def once_ready(ready: Ready) -> Result:
        bound = replace(denoiser, ready=ready)
        unused = unused_of(ready.options)
        return work(
            replace(model, denoiser=bound, guidance=bound.guided, unused=unused, session=None)
        )

    return in_guider(denoiser.patcher, prompts, denoiser.outward(latents), once_ready, memory_bytes)


def with_room(model: Any, memory_bytes: int) -> Any:
    """The model, whose sessions make so much room beside its weights."""
    return replace(model, session=partial(session, memory_bytes=memory_bytes))


def _as_given(entries: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """The entries of a prompt without what the host has copied to them from the positive one."""
    before = {entry["uuid"]: entry for entry in given}
    return [
        {name: value for name, value in entry.items() if name not in COPIED}
        | {name: before[entry["uuid"]][name] for name in COPIED if name in before[entry["uuid"]]}
        for entry in entries
        if entry["uuid"] in before
    ]


def _with_room(
    memory_bytes: int, prepare: Any, model: Any, shape: Any, *args: Any, **more: Any
) -> Any:
    """Let the host prepare as for a batch that needs so many bytes."""
    own = max(1, model.memory_required(list(shape)))
    batch = shape[0] * max(1, -(-memory_bytes // own))
    return prepare(model, [batch, *shape[1:]], *args, **more)
