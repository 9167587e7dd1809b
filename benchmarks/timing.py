"""Times and differences, of real edits with the built-in model on the CPU.

Times are ratios of medians of processor seconds, of runs that take turns in one process on one
thread: a busy machine slows all of them alike, and the share it gives to others does not count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor

from ..miniature.demo import demo_clip
from ..pipelines.common.errors import EvenframeError
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.editing import edit
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.source.inversion import Inversion, invert
from .baseline import MapFusion, MapStore, map_model
from .models import tiny

FRAMES, STEPS, ROUNDS = 4, 6, 5
Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class Scene:
    """What is edited: a model, a clip (f, h, w, 3), its prompt, another prompt and how."""

    model: Any
    clip: Tensor
    source: str
    target: str
    control: Fusion


def scene(frames: int = FRAMES) -> Scene:
    """The built-in clip and model; random weights where none are shipped."""
    pixels, source, target, word = demo_clip(frames)
    try:
        model: Any = load("miniature")
    except (EvenframeError, OSError):
        print("no weights of the built-in model: random ones stand in", flush=True)
        model = tiny()
    control = Fusion(
        "refine",
        cross_steps=0.8,
        self_steps=0.8,
        blend_words=("circle",),
        weights=((word, 2.0),),
        latent_blend=True,
    )
    return Scene(model, torch.from_numpy(pixels), source, target, control)


def times(scene: Scene, rounds: int = ROUNDS) -> Figures:
    """A fully controlled edit and the original's way, each over a plain edit.

    Every run starts from its own inversion; that is part of an edit, but not of the ratio: only the
    denoising is, where the original's inversion would count against it even more.
    """
    store = MapStore()
    mapped = map_model(scene.model, store)
    kept = _invert(scene, "resident")
    maps = invert(mapped, scene.clip, scene.source, steps=STEPS, store="recompute")
    medians = interleaved(
        {
            "plain": lambda: edit(scene.model, kept, scene.target),
            "controlled": lambda: edit(scene.model, kept, scene.target, controls=[scene.control]),
            "original": lambda: edit(
                mapped, maps, scene.target, controls=[MapFusion(scene.control, store)]
            ),
        },
        rounds,
    )
    return {
        "time.controlled_over_plain": medians["controlled"] / medians["plain"],
        "time.original_over_plain": medians["original"] / medians["plain"],
    }


def differences(scene: Scene) -> Figures:
    """How far the final latents of each mode are from those of materialised maps, in float32."""
    store = MapStore(torch.float32)
    mapped = map_model(scene.model, store)
    maps = invert(mapped, scene.clip, scene.source, steps=STEPS, store="recompute")
    reference = edit(mapped, maps, scene.target, controls=[MapFusion(scene.control, store)])

    def error(mode: str) -> float:
        out = edit(scene.model, _invert(scene, mode), scene.target, controls=[scene.control])
        return float((out - reference).norm() / reference.norm())

    errors = {mode: error(mode) for mode in ("recompute", "offload", "resident")}
    return {
        "modes.max_rel_error": max(errors.values()),
        "modes.recompute_rel_error": errors["recompute"],
    }


def reuse(scene: Scene, rounds: int = ROUNDS) -> Figures:
    """A second edit of a clip over the first one, which inverts it."""
    passes = {"first": 0, "second": 0}
    kept: list[Inversion] = []

    def first() -> None:
        kept[:] = [_invert(scene, "resident")]
        edit(scene.model, kept[0], scene.target, controls=[scene.control])

    def second() -> None:
        edit(scene.model, kept[0], scene.target, controls=[scene.control])

    for name, action in (("first", first), ("second", second)):
        passes[name] = frame_passes(scene.model, action)
    medians = interleaved({"first": first, "second": second}, rounds)
    return {
        "reuse.second_over_first": medians["second"] / medians["first"],
        "reuse.first_passes": float(passes["first"]),
        "reuse.second_passes": float(passes["second"]),
    }


def interleaved(actions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
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


def _invert(scene: Scene, store: str) -> Inversion:
    return invert(scene.model, scene.clip, scene.source, steps=STEPS, store=store)
