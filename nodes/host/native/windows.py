"""The host's conditions of one window of a clip, which have its frames alone."""

# pyright: reportMissingImports=false

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from comfy.context_windows import (
    CONTEXT_MAPPING,
    IndexListContextHandler,
    IndexListContextWindow,
)

from ....pipelines.common.errors import EvenframeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Conditions = dict[str, list[Any]]
CACHED = ("cond_hint", "extra_concat", "control_input")
"""What ControlNets and T2I adapters make of their hints, for those of before."""


def require_frames(conditions: Mapping[str, list[Any]], clip: Sequence[int]) -> None:
    """Raise EvenframeError for a control video of VACE that is not as long as the clip."""
    for entry in (entry for entries in conditions.values() for entry in entries):
        video = entry["model_conds"].get("vace_context")
        if video is not None and video.cond.shape[3] != clip[2]:  # b, videos, c, f, h, w
            raise EvenframeError(
                f"The control video on the conditioning has {video.cond.shape[3]} latent frames, "
                f"but the clip has {clip[2]}: give VACE's node as many frames as the clip, and no "
                "reference image, which would be a frame of its own."
            )


def require_prompts(
    conditions: Mapping[str, list[Any]], clip: Sequence[int], main: Collection[Any]
) -> None:
    """Raise EvenframeError for a branch of whose areas none lies over some of the latent frames:
    the host would predict nothing there; and for a source prompt that does not hold at every level.

    main: the entries that bear a prompt's tokens, by their uuids.
    """
    frames = clip[2] if len(clip) == 5 else clip[0]
    for role, entries in conditions.items():
        spans = [_span(entry.get("area"), frames) for entry in entries]
        left = [at for at in range(frames) if not any(at in span for span in spans)]
        if entries and left:
            raise EvenframeError(
                f"No {role} prompt reaches latent frame {left[0] + 1} of {frames}: its area has "
                f"other frames. Combine it with a prompt that has no area."
            )
    _require_lasting([each for each in conditions.get("source", ()) if each["uuid"] in main])


def _require_lasting(source: Sequence[Mapping[str, Any]]) -> None:
    """Raise EvenframeError where in some of the steps there is no entry."""
    reached = 0.0
    for begins, ends in sorted(map(_share, source)):
        reached = max(reached, ends) if begins <= reached else reached
    if source and reached < 1:
        raise EvenframeError(
            "The source prompt holds for a part of the steps alone "
            "(ConditioningSetTimestepRange), and the source is asked about in all: leave that "
            "node out, or combine its conditioning with the same text for the other steps."
        )


def _share(entry: Mapping[str, Any]) -> tuple[float, float]:
    """From where to where an entry holds, 0..1 of the way down: of a schedule on the CLIP, and of
    the conditioning itself."""
    begins = max(entry.get(name, 0.0) for name in ("start_percent", "clip_start_percent"))
    return begins, min(entry.get(name, 1.0) for name in ("end_percent", "clip_end_percent"))


def _span(area: Any, frames: int) -> range:
    """The frames over which an area (sizes, places) lies."""
    return range(area[3], area[3] + area[0]) if len(area or ()) >= 6 else range(frames)


def conditions_over(
    frames: range, conditions: Mapping[str, list[Any]], model: Any, clip: Sequence[int], dim: int
) -> Conditions:
    """Conditions, by branch, as the model is asked with them about some frames of a clip.

    clip: the shape of its latents as the host lays them out, for which the conditions have been
    prepared. dim: where that has the frames. What has as many frames as the clip is cut as the
    host's own context windows cut it; the rest stays.
    """
    window = IndexListContextWindow([*frames], dim=dim, total_frames=clip[dim])
    handler = IndexListContextHandler(None, None, dim=dim)  # pyright: ignore[reportArgumentType]
    handler._model = model  # as it does itself: each kind of model knows its own conditions
    like = torch.empty(clip, device="meta")
    steered: dict[int, Any] = {}
    cut: Conditions = {}
    for role, entries in conditions.items():
        own = zip(entries, handler.get_resized_cond(entries, like, window), strict=True)
        cut[role] = [
            {**resized, **area, **_rest(entry, frames, dim, steered)}
            for entry, resized in own
            if (area := _area(entry.get("area"), frames)) is not None
        ]
    return cut


def _area(area: Any, frames: range) -> dict[str, Any] | None:
    """What of an area (sizes, places) over frames, rows and columns lies in the window; None where
    nothing does."""
    if area is None or len(area) < 6:  # over all frames
        return {}
    own = [at for at in _span(area, frames.stop) if at in frames]
    return {"area": (len(own), *area[1:3], own[0] - frames.start, *area[4:])} if own else None


def _rest(entry: Any, frames: range, dim: int, steered: dict[int, Any]) -> dict[str, Any]:
    """Masks and ControlNets, which the host's context windows leave as they are or to others."""
    rest = {}
    if entry.get("mask") is not None:
        rest["mask"] = _frames_of(entry["mask"], frames, max(0, dim - 1))
    if entry.get("control") is not None:
        rest["control"] = _steered(entry["control"], frames, steered)
    return rest


def _steered(control: Any, frames: range, made: dict[int, Any]) -> Any:
    """A ControlNet with the hints of these frames; the user's own and its network are left alone.

    made: those made for this window. Branches that have one in common go on having one, so that
    the host asks it once for them.
    """
    if control is not None and id(control) not in made:
        own = made[id(control)] = copy(control)
        own.previous_controlnet = _steered(control.previous_controlnet, frames, made)
        own.cond_hint_original = _frames_of(control.cond_hint_original, frames)
        own.extra_concat_orig = [_frames_of(each, frames) for each in control.extra_concat_orig]
        vars(own).update(dict.fromkeys(CACHED & vars(own).keys()))
    return None if control is None else made[id(control)]


def _frames_of(value: Any, frames: range, axis: int = 0) -> Any:
    """A tensor's frames; of fewer than the clip has, the host begins again with the first."""
    if value is None:
        return None
    count = value.shape[axis]
    return value.index_select(
        axis, torch.tensor([at % count for at in frames], device=value.device)
    )


def window_of(options: Mapping[str, Any], x: torch.Tensor, clip: Sequence[int]) -> range | None:
    """The frames of a clip that a call is about, by the host's context windows; None for all.

    x: the latents of the call; clip: the shape of all. Raises EvenframeError for others than frames
    in a row.
    """
    window = options.get("transformer_options", {}).get("context_window")
    if tuple(x.shape) == tuple(clip):
        return None
    frames: list[int] = [] if window is None else list(window.index_list)
    anchor = getattr(window, "causal_anchor_index", None)
    frames = frames if anchor is None else [anchor, *frames]
    dim = 2 if len(clip) == 5 else 0
    if not frames or (*clip[:dim], len(frames), *clip[dim + 1 :]) != tuple(x.shape):
        raise EvenframeError(
            f"The sampler asks the model about latents of the shape {tuple(x.shape)}, but the "
            f"source's are {tuple(clip)}: choose a sampler that takes the clip whole (no tiles), "
            "and latents of the clip's size and length."
        )
    _require_no_retained(options.get("context_handler"))
    return _row(frames)


def require_rows(options: Mapping[str, Any], clip: Sequence[int], steps: int) -> None:
    """Raise EvenframeError for Context Windows that ask about frames which are not in a row, in any
    of the steps. Those of other packs are looked at when they ask.

    clip: the shape of all latents.
    """
    if not isinstance(options.get("context_handler"), IndexListContextHandler):
        return
    handler: Any = options["context_handler"]
    dim = 2 if len(clip) == 5 else 0
    if handler.dim != dim or clip[dim] <= handler.context_length:
        return
    _require_no_retained(handler)
    if handler.context_schedule.func in CONTEXT_MAPPING.values():
        own: Any = copy(handler)
        for step in range(steps):
            own._step = step  # by which it moves uniform windows
            for frames in own.context_schedule.func(clip[dim], own, options):
                _row(frames)


def _require_no_retained(handler: Any) -> None:
    if retained := getattr(handler, "latent_retain_index_list", None):
        raise EvenframeError(
            f"Context Windows retains latents ({retained}) in every window, and controls know them "
            "by their place in the clip: leave latent_retain_index_list empty."
        )


def _row(frames: Sequence[int]) -> range:
    """Frames as a range. Raises EvenframeError where they are none."""
    row = range(frames[0], frames[0] + len(frames))
    if [*frames] != [*row]:
        raise EvenframeError(
            f"Context Windows asks about frames that are not in a row ({[*frames][:8]}...), and "
            "controls hold on to whole windows: set context_schedule to standard_static, "
            "standard_uniform or batched, context_stride to 1, and closed_loop to off."
        )
    return row
