"""What FateZero's attention costs here, and that it is the same: the keys `store.*` to `reuse.*`.

Bytes and work are counted for Stable Diffusion 1.5 at 512x512; times and differences are measured
with the built-in model on the CPU. Times are ratios of medians of processor seconds, of runs that
take turns in one process on one thread: a busy machine slows all of them alike, and the share it
gives to others does not count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor

from ..miniature import NAME
from ..miniature.demo import demo_clip
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.editing import edit
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.source.inversion import Inversion, invert
from . import counting, main
from .baseline import MapFusion, MapStore, map_model

FRAMES, STEPS, ROUNDS = 4, 6, 5
Figures = dict[str, float]

TARGETS = {
    "store.resident_bytes": 12.1e9,
    "store.offload_bytes": 12.1e9,
    "store.recompute_bytes": 0.30e9,
    "work.recompute_ratio": 1.20,
    "work.resident_ratio": 1.01,
    "time.controlled_over_plain": 1.25,
    "modes.max_rel_error": 1e-3,
    "modes.recompute_rel_error": 1e-5,
    "reuse.second_over_first": 0.70,
}
"""The most that a figure may be; `evenframe bench` says where one is missed."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What is edited: a model, a clip (f, h, w, 3), its prompt, another prompt and how."""

    model: Model
    clip: Tensor
    source: str
    target: str
    control: Fusion

    def inverted(self, store: str) -> Inversion:
        return invert(self.model, self.clip, self.source, steps=STEPS, store=store)

    def edited(self, inversion: Inversion) -> Tensor:
        """Latents under full control."""
        return edit(self.model, inversion, self.target, controls=[self.control])

    def originally(self, dtype: torch.dtype = torch.float16) -> Callable[[], Tensor]:
        """An edit in the original's way, its inversion made, its maps kept in this precision."""
        store = MapStore(dtype)
        mapped = map_model(self.model, store)
        maps = invert(mapped, self.clip, self.source, steps=STEPS, store="recompute")
        control = MapFusion(self.control, store)
        return lambda: edit(mapped, maps, self.target, controls=[control])


def run() -> Figures:
    """Measure."""
    pixels, source, target, word = demo_clip(FRAMES)
    control = Fusion(
        "refine",
        cross_steps=0.8,
        self_steps=0.8,
        blend_words=("circle",),
        weights=((word, 2.0),),
        latent_blend=True,
    )
    scene = Scene(load(NAME), torch.from_numpy(pixels), source, target, control)
    with torch.no_grad():
        counted = counting.stored_bytes() | counting.work()
        return counted | differences(scene) | times(scene) | reuse(scene)


def times(scene: Scene) -> Figures:
    """A fully controlled edit and the original's way, each over a plain edit.

    Every run starts from its own inversion; that is part of an edit, but not of the ratio: only the
    denoising is, where the original's inversion would count against it even more.
    """
    kept = scene.inverted("resident")
    medians = interleaved(
        {
            "plain": lambda: edit(scene.model, kept, scene.target),
            "controlled": lambda: scene.edited(kept),
            "original": scene.originally(),
        }
    )
    plain = medians.pop("plain")
    return {f"time.{name}_over_plain": taken / plain for name, taken in medians.items()}


def differences(scene: Scene) -> Figures:
    """How far the final latents of each mode are from those of materialised maps, in float32."""
    reference = scene.originally(torch.float32)()
    errors = {
        mode: float((scene.edited(scene.inverted(mode)) - reference).norm() / reference.norm())
        for mode in ("recompute", "offload", "resident")
    }
    return {
        "modes.max_rel_error": max(errors.values()),
        "modes.recompute_rel_error": errors["recompute"],
    }


def reuse(scene: Scene) -> Figures:
    """A second edit of a clip over the first one, which inverts it."""
    kept = scene.inverted("resident")
    actions = {
        "first": lambda: scene.edited(scene.inverted("resident")),
        "second": lambda: scene.edited(kept),
    }
    medians = interleaved(actions)
    passes = {name: frame_passes(scene.model, action) for name, action in actions.items()}
    return {
        "reuse.second_over_first": medians["second"] / medians["first"],
        **{f"reuse.{name}_passes": float(count) for name, count in passes.items()},
    }


def interleaved(actions: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of actions that take turns; the first turn does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for turn in range(rounds + 1):
            for name, action in actions.items():
                start = process_time()
                action()
                if turn:
                    seconds[name].append(process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: median(taken) for name, taken in seconds.items()}


def frame_passes(model: Model, action: Callable[[], Any]) -> int:
    """Frames that go through the UNet during an action, each branch counted."""
    count = 0

    def add(module: Any, args: tuple[Tensor, ...]) -> None:
        nonlocal count
        count += len(args[0])

    hook = model.denoiser.module.register_forward_pre_hook(add)
    try:
        action()
    finally:
        hook.remove()
    return count


if __name__ == "__main__":
    main(__file__)
