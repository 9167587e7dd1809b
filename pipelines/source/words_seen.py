"""Where a clip looks at every word of a prompt, at a few moments: for eyes, so in 8 bits.

Of the source they are the maps that controls read. Of an edit they are those of its own latents
under its own prompt, with the source's noise of each moment, in one pass without guidance and
controls: an edit equal to the source, under its prompt, has the source's maps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.grids import cell_width
from ..common.progress import OnPass
from ..models.checks import require_frames, require_model, require_prompt
from ..models.lattice import Lattice
from ..text.tokens import Tokens
from .inspection import Chosen, View, read, sites_of
from .maps import group_maps

if TYPE_CHECKING:
    from ..models.model import Model
    from ..text.conditioning import Conditioning
    from .inversion import Inversion

FILE = "maps.bin"
MOST_BYTES = 64 << 20
"""Of the maps of a clip: a browser holds them."""


@dataclass(frozen=True, eq=False)
class WordsSeen:
    """maps: (moments, words, t, h, w) uint8, 255 at the maximum of each frame; of latent frames, on
    the grid that masks use.

    of: "source" or "edit". words: of the prompt, in order, and at last what was asked for, where
    that is no single word of it. chosen: the place of what was asked for, or None. steps: those of
    the moments, of `total`.
    """

    of: str
    words: tuple[str, ...]
    chosen: int | None
    steps: tuple[int, ...]
    total: int
    maps: Tensor
    lattice: Lattice

    def told(self) -> dict[str, Any]:
        """For JSON. cell: how much of a frame's width and height a cell of the grid covers."""
        frames, rows, columns = self.maps.shape[2:]
        height, width = self.lattice.size
        cell = [cell_width(width, columns) / width, cell_width(height, rows) / height]
        own = {"of": self.of, "words": self.words, "chosen": self.chosen, "steps": self.steps}
        grid = {"frames": frames, "rows": rows, "columns": columns, "cell": cell}
        return {**own, "total": self.total, **grid, "time_stride": self.lattice.time_stride}

    def write(self, folder: Path) -> "WordsSeen":
        """The maps as the bytes of FILE, in the order of their dimensions."""
        (folder / FILE).write_bytes(self.maps.contiguous().numpy().tobytes())
        return self


@torch.no_grad()
def look_around(
    model: "Model", inversion: "Inversion", chosen: Chosen, moments: int, on_pass: OnPass
) -> tuple[View, WordsSeen | None]:
    """`look`, and every word of the source prompt at so many moments, with that one among them.

    Costs a pass of the source for each moment, to the last layer that masks are read from: one in
    all where `moments` is 1, as `look`, and none where the attention was kept. on_pass: called
    before each. The second value is None where the maps would be too large for a browser.
    """
    require_model(model, inversion.model, "inversion")
    tokens, lattice = inversion.prompt.tokens, model.codec.lattice_of(inversion.trajectory[0])
    asked = chosen.tokens_of(inversion)
    words, groups, place = _groups(tokens, chosen.name, asked)
    wanted = chosen.step_of(inversion)
    count = _fitting(model, lattice, len(groups), moments)
    steps = moments_of(inversion.steps, wanted, count) if count else [wanted]

    for_mask: list[Tensor] = []
    maps: list[Tensor] = []

    def by_steps(ready: "Model", steps: Sequence[int]) -> None:
        for step in steps:
            on_pass()
            readers = [_Groups(ready, lattice, groups)] if count else []
            if step == wanted:
                readers = [chosen.reader(ready, lattice, asked), *readers]
            found = list(read(ready, inversion, step, readers))
            if step == wanted:
                for_mask.append(found.pop(0))
            maps.extend(_eight_bits(each) for each in found)

    _in_turn(model, inversion, inversion.prompt, steps, by_steps)
    view = chosen.view(wanted, for_mask[0], lattice).by_frames(lattice)
    if not maps:
        return view, None
    own = (tuple(steps), inversion.steps, torch.stack(maps), lattice)
    return view, WordsSeen("source", words, place, *own)


@torch.no_grad()
def look_at_edit(
    model: "Model",
    inversion: "Inversion",
    frames: Tensor,
    prompt: "Conditioning",
    steps: Sequence[int],
    on_pass: OnPass,
) -> WordsSeen | None:
    """Every word of a target prompt, as an edited clip (f, h, w, 3) looks at it at some steps.

    Costs encoding the clip, and a pass for each step. on_pass: called before each, and each frame.
    Of steps whose maps would be too large together, evenly as many as are not; None where that is
    none. Raises EvenframeError for a clip of another size than
    the inverted one, and for a prompt of another model.
    """
    require_prompt(model, prompt, "target prompt")
    require_frames(frames, model)
    lattice = model.codec.lattice_of(inversion.trajectory[0])
    if model.codec.lattice(len(frames), (frames.shape[1], frames.shape[2])) != lattice:
        have, want = (f"{size[1]}x{size[0]}" for size in (frames.shape[1:3], lattice.size))
        raise EvenframeError(
            f"edited has {len(frames)} frames of {have} pixels, the inverted clip {lattice.frames} "
            f"of {want}: link an edit of that clip."
        )
    words, groups, _ = _groups(prompt.tokens, "", ())
    count = _fitting(model, lattice, len(groups), len(steps))
    if not count:
        return None
    steps = [steps[at] for at in moments_of(len(steps), 0, count)]
    latents = model.codec.encode(frames, None, lambda _: on_pass()).float().cpu()

    maps: list[Tensor] = []

    def by_steps(ready: "Model", steps: Sequence[int]) -> None:
        for step in steps:
            on_pass()
            moment = edited_moment(ready, inversion, step, latents, prompt)
            [found] = read(ready, moment, 0, [_Groups(ready, lattice, groups)])
            maps.append(_eight_bits(found))

    _in_turn(model, inversion, prompt, steps, by_steps)
    own = (tuple(steps), inversion.steps, torch.stack(maps), lattice)
    return WordsSeen("edit", words, None, *own)


def _in_turn(
    model: "Model",
    inversion: "Inversion",
    prompt: "Conditioning",
    steps: Sequence[int],
    work: Callable[..., None],
) -> None:
    """Call work with steps and the model that is asked there, made ready."""
    levels, shape = inversion.levels(model.schedule), inversion.trajectory[0, : inversion.at_once]
    for expert, own in model.in_turn([levels[step] for step in steps]):
        these = steps[own.start : own.stop]
        expert.run({"source": inversion.at_first(prompt)}, shape, partial(work, steps=these))


def edited_moment(
    model: "Model",
    inversion: "Inversion",
    step: int,
    latents: Tensor,
    prompt: "Conditioning",
) -> "Inversion":
    """One step of an inversion, and that below it, as they would be of an edit's clean latents
    (t, c, h, w) that had the source's noise."""
    times = inversion.times[step : step + 3]  # a solver may look at where the step before began
    end = inversion.steps + 1 - step
    rows = slice(end - len(times), end)  # the lowest noise first
    levels = [model.schedule.at(time) for time in reversed(times)]
    signals = torch.tensor([level.signal for level in levels])[:, None, None, None, None]
    moved = inversion.trajectory[rows] + signals * (latents - inversion.trajectory[0])
    return replace(
        inversion, trajectory=moved, prompt=prompt, times=times, records=(), rebuilt=None
    )


def moments_of(total: int, wanted: int, count: int) -> list[int]:
    """At most `count` of `total` steps, evenly from the first to the last; `wanted` is in the place
    of that nearest to it."""
    even = {int(step) for step in torch.linspace(0, total - 1, count).round().tolist()}
    nearest = min(even, key=lambda step: abs(step - wanted))
    return sorted(even - {nearest} | {wanted})


@dataclass(frozen=True, eq=False)
class _Groups:
    """Reads the maps of groups of tokens: (t, groups, h, w)."""

    model: "Model"
    lattice: Lattice
    groups: Sequence[Sequence[int]]

    def __call__(self, source: Any) -> Tensor:
        return group_maps(source, sites_of(self.model), self.groups, self.lattice.size)


def _groups(
    tokens: Tokens, name: str, asked: Sequence[int]
) -> tuple[tuple[str, ...], list[tuple[int, ...]], int | None]:
    """Words and their tokens, what was asked for among them, and its place."""
    words = [word.text for word in tokens.words]
    groups = [word.core or word.tokens for word in tokens.words]
    if not asked:
        return tuple(words), groups, None
    if tuple(asked) not in groups:
        words, groups = [*words, name], [*groups, tuple(asked)]
    return tuple(words), groups, groups.index(tuple(asked))


def _fitting(model: "Model", lattice: Lattice, groups: int, moments: int) -> int:
    """Of how many moments the maps of so many groups are not too large."""
    frames, rows, columns = lattice.grid(model.denoiser.layout.mask_stride)
    return min(moments, MOST_BYTES // (groups * frames * rows * columns)) if groups else 0


def _eight_bits(maps: Tensor) -> Tensor:
    """Maps (t, groups, h, w) relative to the maximum of each frame: (groups, t, h, w) uint8."""
    peak = maps.amax(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    return (maps / peak).mul_(255).round_().to(torch.uint8).transpose(0, 1)
