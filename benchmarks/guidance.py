"""What RAD's gradient and windows cost at full size, counted without computing anything.

Stable Diffusion 1.5 at 512x512. Work is counted on the meta device; bytes with tensors that only
pretend to be in main memory, so that torch takes its fused attention, and 16 bits.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ..pipelines.attention.sites import Layout
from ..pipelines.attention.terms import Call, Terms, probabilities
from ..pipelines.common.window import merged, windows
from ..pipelines.controls.base import Edit
from ..pipelines.controls.reatco.losses import condition_maps
from ..pipelines.controls.reatco.refocus import Refocus, RefocusRun
from ..pipelines.models.model import Model
from ..pipelines.regions.region import box_region
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion
from ..pipelines.source.maps import mask_sites
from .counting import ASKED, SIZE, STEPS, meta_inversion, meta_model, meta_prompt
from .models import with_part

PROMPT = "A jellyfish and a goldfish are swimming in the blue ocean."
FRAMES, GUIDED = 16, STEPS // 2
SAMPLE = 2
"""Frames that are run; costs are given per frame, and all frames cost the same."""
ORIGINAL_WINDOWS = len(windows(FRAMES, 4, 1)) * 4
"""Frames that the public code runs per step: 13 windows of 4."""
MEGA, PETA = 1e6, 1e15


def guidance() -> dict[str, float]:
    """The keys `guidance.*`."""
    model = meta_model()
    run, latents = _scene(model)
    both = {"negative": run.target, "target": run.target}
    once = _work(lambda: model.denoiser.predict(latents, ASKED, {"target": run.target}, run.table))
    edited = _work(lambda: model.denoiser.predict(latents, ASKED, both, run.table))
    forward, backward = _gradient_work(latents, run.maps)
    # The public code's attention looks at two frames at every stride, and its guidance pass runs
    # whole, in every step, whether a gradient is taken or not.
    original = with_part(
        model, "denoiser", layout=Layout(control_stride=8, keyframe_stride=8, mask_stride=32)
    )
    other, _ = _scene(original)
    plain = _work(lambda: original.denoiser.predict(latents, ASKED, both, other.table))
    whole, back = _gradient_work(latents, other.whole_maps)
    return {
        "guidance.forward_ratio": forward / once,
        **_saved(),
        "guidance.run_pflop": FRAMES * (STEPS * edited + GUIDED * (forward + backward)) / PETA,
        "guidance.original_run_pflop": ORIGINAL_WINDOWS
        * (STEPS * (plain + whole) + GUIDED * back)
        / PETA,
    }


def window_memory() -> dict[str, float]:
    """Most bytes alive in a step of 64 frames in windows of 16, over those of 16 frames."""
    with _pretended() as (model, run, _):
        branches = {"negative": run.target, "target": run.target}

        def peak(frames: int) -> int:
            parts = windows(frames, 16, 12)
            latents = torch.empty(frames, 4, SIZE // 8, SIZE // 8)
            table = replace(run.inversion, trajectory=latents.expand(STEPS + 1, -1, -1, -1, -1))
            table = table.part(parts[0]).keyframe_table()

            def step(frames: range) -> tuple[Tensor, ...]:
                part = latents[frames.start : frames.stop]
                return tuple(model.denoiser.predict(part, ASKED, branches, table).values())

            with torch.no_grad(), Alive() as alive:
                merged(parts, "triangular", (step(part) for part in parts))
            return alive.most + latents.nbytes

        return {"window.memory_ratio": peak(64) / peak(16)}


class _Scene:
    """One region on a clip of a few frames, and the maps that its loss is taken from."""

    def __init__(self, model: Model, inversion: Inversion, target: Any):
        frames, size = inversion.latent_frames, (SIZE, SIZE)
        box = box_region([(0, 0, 256, 256)] * frames, size, name="left", words="jellyfish")
        edit = Edit(model, inversion, target)
        self._model, self.inversion = model, inversion
        self.run = RefocusRun(Refocus(Regions((box,), frames, size)), edit)
        self.target, self.table = target, inversion.keyframe_table()

    @property
    def last(self) -> Any:
        """The site after which the pass is left."""
        return self.run._last

    def maps(self, latents: Tensor) -> Tensor:
        """From the pass that stops early."""
        return self.run._maps(latents, ASKED)

    def whole_maps(self, latents: Tensor) -> Tensor:
        """The same maps from a pass through all blocks."""
        sites, maps = (
            mask_sites(self._model.denoiser.sites, self._model.denoiser.layout.mask_stride),
            [],
        )

        def attend(call: Call, terms: Terms) -> Terms:
            if call.site in sites:
                maps.append(probabilities(call.q, call.k).mean(1).unflatten(1, call.grid))
            return terms

        self._model.denoiser.predict(latents, ASKED, {"target": self.target}, self.table, attend)
        return torch.stack(maps).mean(0)


def _scene(model: Model) -> tuple[_Scene, Tensor]:
    inversion = meta_inversion(model, SAMPLE)
    return _Scene(model, inversion, meta_prompt(model, PROMPT)), inversion.trajectory[0]


@contextmanager
def _pretended() -> Iterator[tuple[Model, _Scene, Tensor]]:
    """The model in bfloat16, as if its weights were in main memory."""
    model = meta_model()
    prompt = meta_prompt(model, PROMPT)
    with FakeTensorMode(allow_non_fake_inputs=True):
        for owner in model.denoiser.module.modules():
            for name, weight in list(owner.named_parameters(recurse=False)):
                empty = torch.empty(weight.shape, dtype=torch.bfloat16)
                setattr(owner, name, nn.Parameter(empty, requires_grad=False))
        prompt = replace(prompt, states={"tokens": torch.empty(77, 768)})
        trajectory = torch.empty(STEPS + 1, SAMPLE, 4, SIZE // 8, SIZE // 8)
        inversion = replace(meta_inversion(model, SAMPLE), trajectory=trajectory, prompt=prompt)
        with unset_fake_temporarily():  # masks are looked at: they must be real
            scene = _Scene(model, inversion, prompt)
        yield model, scene, trajectory[0].clone()


def _saved() -> dict[str, float]:
    """Bytes that one gradient keeps for its backward pass, per frame."""
    with _pretended() as (model, run, latents):
        weights = {_memory(weight) for weight in model.denoiser.module.parameters()}

        def kept(checkpoint_to: Any) -> float:
            held: dict[int, tuple[int, Any]] = {}

            def pack(tensor: Tensor) -> Tensor:
                storage = tensor.untyped_storage()  # held, so that no other takes its place
                if _memory(tensor) not in weights:
                    held[_memory(tensor)] = (storage.nbytes(), storage)
                return tensor

            start = latents.clone().requires_grad_()
            hooks = saved_tensors_hooks(pack, lambda tensor: tensor)
            with hooks, model.denoiser.differentiable(checkpoint_to):
                condition_maps(run.maps(start)).sum()
            return sum(size for size, _ in held.values()) / MEGA / SAMPLE

        saved = kept(None)
        asked = model.denoiser.gradient_bytes(SAMPLE, (SIZE, SIZE)) / MEGA / SAMPLE
        return {
            "guidance.saved_mb_per_frame": saved,
            "guidance.checkpointed_mb_per_frame": kept(run.last),
            # What the host is asked for before the edit; less than 1 would be too little.
            "guidance.asked_ratio": asked / saved,
        }


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _work(action: Callable[[], Any]) -> float:
    """Floating-point operations per frame."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops() / SAMPLE


def _gradient_work(latents: Tensor, maps: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Operations per frame of a pass to the maps, and of the way back."""
    start = latents.clone().requires_grad_()
    with FlopCounterMode(display=False) as counter:
        loss = condition_maps(maps(start)).sum()
        forward = counter.get_total_flops()
        torch.autograd.grad(loss, start)
    return forward / SAMPLE, (counter.get_total_flops() - forward) / SAMPLE


class Alive(TorchDispatchMode):
    """Counts the bytes of tensors that are made in it. most: that were alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self._now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and _memory(tensor) not in self._sizes:
                storage = tensor.untyped_storage()
                self._sizes[_memory(tensor)] = storage.nbytes()
                self._now += storage.nbytes()
                weakref.finalize(storage, self._freed, _memory(tensor))
        self.most = max(self.most, self._now)
        return result

    def _freed(self, memory: int) -> None:
        self._now -= self._sizes.pop(memory)
