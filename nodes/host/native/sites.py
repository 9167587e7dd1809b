"""Where the host's model attends, told apart by the block and the order of the calls within it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....pipelines.attention.sites import Site
from ....pipelines.common.errors import EvenframeError
from .family import INSTEAD, TOGETHER, unfit

ELSEWHERE = "attends by a function of its own and not by ComfyUI's, so that no control reaches it"
Place = tuple[Any, ...]
"""A block of the model, as its `transformer_options` name it."""


def place_of(options: Mapping[str, Any]) -> Place:
    """The block that attends just now."""
    return (*options.get("block", ()), options.get("block_type", ""), options.get("block_index", 0))


@dataclass
class Calls:
    """Numbers the attention calls of each block in the order in which they come.

    per_block: calls of the one block of a model that has no others, known from the probing pass;
    after so many it begins again, as the host may run the model several times for one prediction.
    Where there are others, these come in between.
    """

    per_block: Mapping[Place, int] = field(default_factory=dict)
    _last: Place = ()
    _count: int = 0

    def number(self, options: Mapping[str, Any]) -> tuple[Place, int]:
        """(block, number of the call within it)."""
        place = place_of(options)
        self._count = self._count + 1 if place == self._last else 0
        self._last = place
        most = self.per_block.get(place, 0)
        return place, self._count % most if most else self._count


@dataclass(frozen=True)
class Seen:
    """An attention call of the probing pass: tokens that ask, and tokens that are looked at."""

    place: Place
    number: int
    queries: int
    keys: int
    masked: bool


def read(
    seen: Sequence[Seen],
    name: str,
    latent_size: tuple[int, int],
    frames: int,
    stride: int,
    words: int,
) -> tuple[tuple[Site, ...], dict[tuple[Place, int], Site]]:
    """The layers that a probing pass saw, in its order and by their place.

    latent_size: (rows, columns) of the probed latents. frames: of them in one row of the model's
    batch. stride: pixels of a latent. words: tokens of the prompt. Which is which is read from the
    numbers of tokens: the probed size has been chosen so that no layer has as many as the prompt.
    Calls over others than the prompt's (a picture's) are no layers. Where a block attends to itself
    once more, what follows belongs to something beside the clip (VACE's control video): no layers
    either.
    Raises EvenframeError for a model whose words and pixels attend together, or of which no call
    was seen.
    """
    rows, columns = latent_size
    sizes = {
        frames * -(-rows // (1 << level)) * -(-columns // (1 << level)): stride << level
        for level in range(8)
    }
    sites, places = [], {}
    beside: set[Place] = set()
    for order, call in enumerate(seen):
        own = call.queries == call.keys
        if own and call.number:
            beside.add(call.place)
        if call.place in beside:
            continue
        if call.queries not in sizes or call.masked:
            raise unfit(name, TOGETHER)
        if not own and call.keys != words:
            continue
        kind = "self" if own else "cross"
        block = _named(call.place)
        site = Site(f"{block}.{kind}{call.number}", kind, sizes[call.queries], order)
        sites.append(site)
        places[call.place, call.number] = site
    _require_words(seen, name, words)
    if {site.kind for site in sites} != {"self", "cross"}:
        raise unfit(name, ELSEWHERE)
    return tuple(sites), places


def _require_words(seen: Sequence[Seen], name: str, words: int) -> None:
    last = {call.place: call for call in seen}
    elsewhere = next((c for c in last.values() if c.keys not in (c.queries, words)), None)
    if elsewhere is not None:
        raise EvenframeError(
            f"'{name}' attends to {elsewhere.keys} tokens in block {_named(elsewhere.place)}, but "
            f"the prompt has {words}, so that controls cannot tell its words: take away the node "
            f"that adds tokens, or load {INSTEAD}."
        )


def _named(place: Place) -> str:
    return ".".join(str(part) for part in place if part != "")
