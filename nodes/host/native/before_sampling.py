"""What is looked at before a sampler of the host's starts, so that no work is done in vain."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from comfy.samplers import filter_registered_hooks_on_conds

from ....pipelines.common.errors import EvenframeError
from ....pipelines.controls.together import require_carried
from .levels import is_one, scaling_of
from .prompts import bearing, conditioning_of, same_states
from .standing import require_reachable
from .stepwise import Stepwise
from .windows import require_rows

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.controls.base import Control
    from ....pipelines.models.model import Model
    from ....pipelines.text.conditioning import Conditioning
    from .attached import Attached

PICTURES = ("concat_latent_image", "clip_vision_output", "reference_latents")
"""What models that go on from a picture find on conditioning."""
STEPWISE = "put Refocus Sampler between your sampler and SamplerCustom or SamplerCustomAdvanced"


def require_before(
    guider: Any, attached: Attached, noise: Any, latents: Any, sampler: Any, sigmas: Tensor
) -> None:
    """Raise EvenframeError, saying what to do, for what cannot be sampled with this source and
    these controls."""
    source, patcher = attached.source, guider.model_patcher
    require_reachable(patcher, source.model.name)
    scaling_of(patcher.get_model_object("model_sampling"))
    _require_shape(latents, source.model, source.clean)
    _require_way_down(sigmas.tolist())
    source.require_noise(noise)
    _require_pictures(guider, target_entries(guider, source.target), source.prompt)
    _require_unsplit(guider)
    require_rows(guider.model_options, tuple(latents.shape), len(sigmas) - 1)
    require_carried(attached.controls, source.model)
    require_unworded(attached.controls)
    if isinstance(sampler, Stepwise):
        sampler.require(guider)
    else:
        require_foreign(attached.controls, source.model)


def require_unworded(controls: Iterable[Control]) -> None:
    """Raise EvenframeError for a control that wants another prompt than the sampler's."""
    for control in controls:
        if control.rewords:
            raise EvenframeError(
                f"{control.unique} encodes words of the target prompt alone, but your sampler has "
                "its prompt already: switch local_words off."
            )


def require_foreign(controls: Iterable[Control], model: Model) -> None:
    """Raise EvenframeError for a control that needs more of a sampler than one calls on."""
    for control in controls:
        if control.guides(model):
            raise EvenframeError(
                f"{control.unique} moves the latents before each step, which your sampler does not "
                f"do: set its guide_by to 'boost', or {STEPWISE}."
            )
        if control.draws:
            raise EvenframeError(
                f"{control.unique} draws fresh noise or takes steps again, which your sampler does "
                f"not do: set its noise to 'inversion' and its repeats to 1, or {STEPWISE}."
            )


def target_entries(guider: Any, target: Conditioning) -> set[Any]:
    """The uuids of the entries of a guider's prompts that bear the target's words.

    Raises EvenframeError where there are none.
    """
    own = conditioning_of(target)
    states = [own[at][0] for at in bearing(target.host or own)]
    found = {
        entry["uuid"]
        for name, entries in guider.conds.items()
        if name != "negative"
        for entry in entries
        if any(same_states(entry.get("cross_attn"), each) for each in states)
    }
    if not found:
        raise EvenframeError(
            "The sampler's positive prompt is not the one of Source for Controls, by which "
            "controls know its words: link positive from that node to your sampler, with a "
            "ControlNet or the like in between, but no other text."
        )
    return found


def _require_pictures(guider: Any, target: set[Any], prompt: Conditioning) -> None:
    """The source must be asked about with a picture too, where the edit is: without, a model that
    makes clips of one sees another clip."""
    own = {name for _, more in conditioning_of(prompt) for name in more}
    entries = [entry for entries in guider.conds.values() for entry in entries]
    missing = [
        name
        for entry in entries
        for name in PICTURES
        if entry["uuid"] in target and entry.get(name) is not None and name not in own
    ]
    if missing:
        raise EvenframeError(
            f"The sampler's positive prompt has a picture ({missing[0]}), as for image to video, "
            "and the source prompt has none: give a prompt of the source the clip's own picture by "
            "the same node, and link it to source_conditioning of Source for Controls."
        )


def with_hooks(source: Sequence[Any], options: Any) -> list[Any]:
    """A copy of the source's entries, with hooks as the host knows them in model options.

    Raises EvenframeError where it does not.
    """
    entries = [dict(entry) for entry in source]
    filter_registered_hooks_on_conds({"source": entries}, options)
    if any(one.get("hooks") != two.get("hooks") for one, two in zip(source, entries, strict=True)):
        raise EvenframeError(
            "The source prompt has hooks (a LoRA on its conditioning) that the sampler's own "
            "prompts do not have, and ComfyUI knows no others: put them on positive too, or "
            "leave them out of source_conditioning."
        )
    return entries


def _require_way_down(sigmas: Sequence[float]) -> None:
    for high, low in pairwise(sigmas):
        if low > high:
            raise EvenframeError(
                "The SIGMAS rise, from less noise to more, and controls act on the way down: for "
                "an inversion, use Invert for Sampler with the SIGMAS of the edit."
            )
        if is_one(low, high):
            raise EvenframeError(
                f"Two SIGMAS in a row are equal ({high:g}), a step in which controls could do "
                "nothing: take fewer steps, or another scheduler."
            )


def _require_unsplit(guider: Any) -> None:
    """Of an area, the host adds a copy to the other prompts, which no window may have alone."""
    handler = guider.model_options.get("context_handler")
    if getattr(handler, "split_conds_to_windows", False) and any(
        "area" in entry for entries in guider.conds.values() for entry in entries
    ):
        raise EvenframeError(
            "Context Windows gives each window one entry of a prompt (split_conds_to_windows), and "
            "a prompt has areas, of which the others get copies: take one of the two away."
        )


def _require_shape(latents: Any, model: Model, clean: Tensor) -> None:
    denoiser: Any = model.denoiser
    want, have = tuple(denoiser.outward(clean).shape), tuple(latents.shape)
    if getattr(latents, "is_nested", False) or want != have:
        raise EvenframeError(
            f"The sampler's latents have the shape {have}, but the source's {want}: give the "
            "sampler latents of the clip's size and length, the clip's own or empty ones."
        )
