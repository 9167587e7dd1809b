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
from .windows import conditions_over, require_frames, require_prompts

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

    inner: the `BaseModel`, loaded. options: the guider's model options. whole: conditions by
    branch, as the host has prepared them for latents of the shape `clip`. main: those of its
    entries that bear the prompt's tokens, by their uuids. others: further models that run with it,
    such as ControlNets. sigma, frames, conditions, during: of the last pass, its noise, the frames
    that it was about (None: all), their conditions and its options.
    """

    inner: Any
    options: dict[str, Any]
    whole: Mapping[str, list[Any]]
    clip: Sequence[int]
    main: frozenset[Any]
    others: Sequence[Any] = ()
    sigma: float = inf
    frames: range | None = None
    during: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.conditions = self.whole

    def over(self, frames: range | None) -> None:
        """Make conditions ready for these frames of the clip. Those of one window are held."""
        if frames != self.frames:
            dim = 2 if len(self.clip) == 5 else 0  # (1, c, f, h, w) or (f, c, h, w)
            given = (self.whole, self.inner, self.clip, dim)
            self.conditions = self.whole if frames is None else conditions_over(frames, *given)
            self.frames = frames

    def at(self, sigma: float) -> None:
        """Begin a pass. The host's hooks with a schedule only ever look for what comes later; where
        noise has risen, they begin anew. Its T2I adapters go on with what they made of their hints
        for as many rows as the pass before had."""
        risen, self.sigma = sigma > self.sigma, sigma
        for control in _all(self.conditions, "control"):
            while control is not None:
                if hasattr(control, "control_input"):
                    control.control_input = None
                control = control.previous_controlnet
        hooked = _all(self.whole, "hooks")
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

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        *_: Any,
        **__: Any,
    ) -> Tensor:
        """Called by the guider, model_wrap, between what it prepares and what it tidies up."""
        guider = model_wrap
        given = guider.original_conds
        conditions = dict(guider.conds)
        require_frames(conditions, noise.shape)
        main = frozenset(given[role][at]["uuid"] for role, at in self.bearing)
        require_prompts(conditions, noise.shape, main)
        if "source" in given:
            conditions["source"] = as_given(conditions["source"], given["source"])
        options, models = extra_args["model_options"], tuple(guider.loaded_models)
        ready = Ready(guider.inner_model, options, conditions, noise.shape, main, models)
        self.result = self.work(ready)
        return noise


def tidy(guider: Any) -> None:
    """What the host leaves out after an error: else a ControlNet keeps its last hint."""
    models = getattr(guider, "loaded_models", None)
    if models is not None:
        cleanup_models(guider.conds, models)


def in_guider(
    patcher: Any,
    prompts: Mapping[str, Conditioning],
    latents: Tensor,
    work: Callable[[Ready], Result],
    memory_bytes: int = 0,
    clip: Sequence[int] | None = None,
) -> Result:
    """What `work` gives, called while the host's guider holds the model ready for these prompts.

    latents: of the shape that the model is asked about at once, in the host's layout. memory_bytes:
    what the work needs beside the weights, where that is more than the host's own estimate. clip:
    the shape of all of the clip's latents, which prompts may have something for each frame of.
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
    roomy = partial(with_bytes, tuple(latents.shape), memory_bytes)
    add_wrapper(WrappersMP.PREPARE_SAMPLING, roomy, guider.model_options, is_model_options=True)
    # Zeros for a start: the work brings its own, and only the shape counts.
    empty = torch.zeros(clip or latents.shape)
    most = float(patcher.get_model_object("model_sampling").sigma_max)
    try:
        levels = torch.tensor([most, 0.0])
        guider.sample(empty, empty, taken, levels, disable_pbar=True, seed=0)  # unCLIP's noise
    except BaseException:
        tidy(guider)
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
        return work(replace(model, denoiser=bound, guidance=bound.guided, session=None))

    length = max(prompt.length for prompt in prompts.values()) or len(latents)
    clip = denoiser.outward(latents[:1].expand(length, -1, -1, -1)).shape
    latents = denoiser.outward(latents)
    return in_guider(denoiser.patcher, prompts, latents, once_ready, memory_bytes, clip)


def with_room(model: Any, memory_bytes: int) -> Any:
    """The model, whose sessions make so much room beside its weights."""
    low = None if model.low_noise is None else with_room(model.low_noise, memory_bytes)
    return replace(model, session=partial(session, memory_bytes=memory_bytes), low_noise=low)


def _all(conditions: Mapping[str, list[Any]], name: str) -> list[Any]:
    """What the entries of all branches have by this name."""
    entries = (entry for each in conditions.values() for entry in each)
    return [entry[name] for entry in entries if entry.get(name) is not None]


def as_given(entries: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """The entries of a prompt without what the host has copied to them from the positive one."""
    before = {entry["uuid"]: entry for entry in given}
    return [
        {name: value for name, value in entry.items() if name not in COPIED}
        | {name: before[entry["uuid"]][name] for name in COPIED if name in before[entry["uuid"]]}
        for entry in entries
        if entry["uuid"] in before
    ]


def with_bytes(
    shape: Sequence[int],
    memory_bytes: int,
    prepare: Any,
    model: Any,
    noise_shape: Any,
    *args: Any,
    **more: Any,
) -> Any:
    """Let the host prepare as for a batch of this shape, instead of noise_shape, that needs so many
    bytes."""
    own = max(1, model.memory_required(list(shape)))
    batch = shape[0] * max(1, -(-memory_bytes // own))
    return prepare(model, [batch, *shape[1:]], *args, **more)
