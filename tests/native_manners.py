"""Run by test_native.py in a process of its own: what is left behind in ComfyUI, which is nothing.

Not a test itself: it ends with an AssertionError where something is.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch

from evenframe.benchmarks import host_models, native
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import working_bytes
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source.inversion import Inversion

SLOT = "optimized_attention_override"


class Stopped(BaseException):
    """An interrupt."""


def state(model: Model) -> tuple[Any, ...]:
    """What other nodes would see of the MODEL and of ComfyUI."""
    import comfy.model_management as memory

    patcher: Any = model.denoiser.module and model.denoiser.patcher  # type: ignore[attr-defined]
    weights = [(name, id(weight)) for name, weight in patcher.model.named_parameters()]
    options = patcher.model_options["transformer_options"]
    return weights, dict(options), patcher.wrappers, patcher.patches, memory.in_training


def left_alone(model: Model, work: Callable[[], Any], error: type[BaseException] | None) -> None:
    before = state(model)
    with nullcontext() if error is None else pytest.raises(error):
        work()
    assert state(model) == before, "something was left behind"
    assert native.identity(model) < 1e-6


def refocus(size: tuple[int, int] = (128, 128), frames: int = native.FRAMES) -> Refocus:
    [control] = native.controls(frames, size)["RAD, one step"]
    assert isinstance(control, Refocus)
    return control


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        model = host_models.sd()
        inversion = native.noise(model, (128, 128))

        def run(*controls: Any, on_step: Any = None, on_pass: Any = lambda: None) -> Any:
            given = {"controls": controls, "on_step": on_step, "on_pass": on_pass}
            return edit(model, inversion, native.TARGET, **given)

        def stop(*_: Any) -> None:
            raise Stopped

        def no_memory(*_: Any) -> None:
            raise torch.OutOfMemoryError("none left")

        left_alone(model, lambda: run(Fusion(), refocus()), None)
        left_alone(model, lambda: run(Fusion(), on_step=stop), Stopped)
        left_alone(model, lambda: run(refocus(), on_pass=stop), Stopped)
        left_alone(model, lambda: run(Fusion(), on_step=no_memory), torch.OutOfMemoryError)
        in_the_gradient(model, lambda: run(refocus()))
        chained(model, lambda: run(Fusion()))
        streamed(model, inversion)
        swapped(model)


def in_the_gradient(model: Model, work: Callable[[], Any]) -> None:
    """An error while ComfyUI believes to be in training, and its weights are ordinary."""
    from evenframe.pipelines.controls.reatco import refocus as module

    def broken(*_: Any) -> None:
        raise EvenframeError("broken")

    whole, module.region_losses = module.region_losses, broken  # type: ignore[assignment]
    try:
        left_alone(model, work, EvenframeError)
    finally:
        module.region_losses = whole


def streamed(model: Model, inversion: Inversion) -> None:
    """Without a gradient, RAD is refused before the first pass, though it begins late."""
    asked: list[int] = []
    late = replace(refocus(), steps=Span(0.5, 1.0))
    patcher: Any = model.denoiser.patcher  # type: ignore[attr-defined]
    patcher.is_dynamic = lambda: True
    try:
        with pytest.raises(EvenframeError, match=r"\(dynamic VRAM\).* set its guide_by to 'boost'"):
            working_bytes([late], model, native.FRAMES, (128, 128))
        with pytest.raises(EvenframeError, match="dynamic VRAM"):
            edit(model, inversion, native.TARGET, controls=[late], on_pass=lambda: asked.append(1))
        assert not asked
        by_boost = replace(late, guide_by="boost")
        edit(model, inversion, native.TARGET, controls=[by_boost], on_pass=lambda: asked.append(1))
        assert asked
    finally:
        del patcher.is_dynamic


def chained(model: Model, work: Callable[[], Any]) -> None:
    """An override of another pack is asked in the place of ComfyUI's own attention, and stays."""
    patcher: Any = model.denoiser.patcher  # type: ignore[attr-defined]
    calls: list[int] = []

    def theirs(func: Any, *args: Any, **more: Any) -> Any:
        calls.append(1)
        return func(*args, **more)

    options = patcher.model_options["transformer_options"]
    plain = work()
    options[SLOT] = theirs
    left_alone(model, work, None)
    assert calls
    assert native.rel_error(work(), plain) < 1e-6
    assert options.pop(SLOT) is theirs


def swapped(model: Model) -> None:
    """A model with a LoRA is another: an inversion of the one is refused with the other."""
    from evenframe.nodes.host.native.fingerprint import of_patchers

    patched = host_models.with_lora(model)
    prints = [of_patchers(each.denoiser.patcher) for each in (model, patched)]  # type: ignore[attr-defined]
    assert prints[0] == of_patchers(model.denoiser.patcher) != prints[1]  # type: ignore[attr-defined]
    other = replace(patched, fingerprint=prints[1])
    left_alone(model, lambda: edit(other, native.noise(model), "a circle"), EvenframeError)


if __name__ == "__main__":
    main()
