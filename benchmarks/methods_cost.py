"""What VideoGrain and TokenFlow cost, counted for Stable Diffusion 1.5 at 512x512: the keys
`methods.*`.

Operations on the meta device, where nothing is computed, of one step with the control over one
without it. VideoGrain: a guided step (two prompts) of 8 frames of which all look at all in the
coarser layers. TokenFlow: a step of the source and both prompts, 16 frames that each look at
themselves; it has a pass of the source of its own, up to the last self-attention. A plain edit asks
no source: beside that, of frames that look at themselves or at all, are the keys `..._edit_...`.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import torch

from ..pipelines.controls.base import Control, Edit, Step, attending
from ..pipelines.controls.token_flow.token_flow import TokenFlow
from ..pipelines.controls.videograin.videograin import VideoGrain
from ..pipelines.models.model import Model
from ..pipelines.models.schedule import Level
from ..pipelines.regions.region import box_region
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion
from ..pipelines.source.store import NOTHING
from . import main
from .counting import FRAMES, SIZE, TARGET, flops, meta_inversion, meta_model, meta_prompt
from .shares import Figures

TARGETS = {"methods.videograin_ratio": 1.10, "methods.token_flow_ratio": 0.90}
"""The most that a figure may be."""
LONG = 16
EARLY = Level(981, 0.0689, 0.9976)
"""The first step of 50, in which VideoGrain acts."""


def run() -> Figures:
    """Count."""
    return {
        "methods.videograin_ratio": round(videograin(), 4),
        "methods.token_flow_ratio": round(token_flow(), 4),
        "methods.token_flow_free_ratio": round(token_flow(structure=0.0), 4),
        "methods.token_flow_edit_own_ratio": round(token_flow(source=False), 4),
        "methods.token_flow_edit_all_ratio": round(token_flow(source=False, looks="all"), 4),
    }


def videograin(frames: int = FRAMES) -> float:
    """A guided step with two regions over one without."""
    model = meta_model()
    inversion = replace(meta_inversion(model, frames), keyframes=("all",))
    boxes = {"jeep": (40, 64, 240, 480), "road": (270, 64, 470, 480)}
    items = [
        box_region([box] * frames, (SIZE, SIZE), name=word, words=word)
        for word, box in boxes.items()
    ]
    control = VideoGrain(Regions(tuple(items), frames, (SIZE, SIZE)))
    branches = {"negative": inversion.prompt, "target": meta_prompt(model, TARGET)}
    plain = flops(lambda: ask(model, inversion, branches))
    return _with(model, inversion, control, branches) / plain


def token_flow(
    frames: int = LONG,
    structure: float = TokenFlow.structure,
    source: bool = True,
    looks: str = "own",
) -> float:
    """A step of both prompts with TokenFlow, over one without.

    source: of the source, too, in that without. looks: its key frames.
    """
    model = meta_model()
    inversion = replace(meta_inversion(model, frames), keyframes=(looks,))
    both = {"negative": inversion.prompt, "target": meta_prompt(model, TARGET)}
    asked = {"source": inversion.prompt, **both} if source else both
    return _with_token_flow(frames, structure) / flops(lambda: ask(model, inversion, asked))


@cache
def _with_token_flow(frames: int, structure: float) -> float:
    """Of a step with it; what its frames look at without it does not matter."""
    model = meta_model()
    inversion = replace(meta_inversion(model, frames), keyframes=("own",))
    both = {"negative": inversion.prompt, "target": meta_prompt(model, TARGET)}
    return _with(model, inversion, TokenFlow(structure=structure), both)


def ask(model: Model, inversion: Inversion, branches: Any, *attend: Any) -> None:
    """One pass."""
    table = inversion.keyframe_table()
    model.denoiser.predict(inversion.trajectory[0], EARLY, branches, table, *attend)


def _with(model: Model, inversion: Inversion, control: Control, branches: Any) -> float:
    edit = Edit(model, inversion, branches["target"], controls=(control,))
    work = control.begin(edit)

    def step() -> None:
        work.prepare(Step(0, EARLY, EARLY, NOTHING, torch.empty(0)))
        ask(model, inversion, branches, attending([work]))

    return flops(step)


if __name__ == "__main__":
    main(__file__)
