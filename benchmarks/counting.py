"""Bytes kept and work done for a full-size model, counted without computing anything.

Stable Diffusion 1.5 in half precision on the meta device, 512x512, 8 frames, 50 steps, key frames
own and mid. The package's own recorder, store, controls and attention run; only their numbers are
missing. Every step of a kind costs the same, so each kind is run once.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from ..pipelines.controls.base import Edit, Step, attending
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.models.model import Model
from ..pipelines.models.schedule import Level
from ..pipelines.source.inversion import Inversion
from ..pipelines.source.recompute import RecomputedAttention
from ..pipelines.source.store import (
    NOTHING,
    AttentionSource,
    Recorder,
    SourceAttention,
    keep,
    kept_sites,
)
from ..pipelines.text.conditioning import Conditioning
from ..pipelines.text.tokens import tokenize
from .baseline import MapStore, map_layers
from .models import full_size

FRAMES, STEPS, SIZE = 8, 50, 512
SOURCE = "a silver jeep driving down a curvy road in the countryside"
TARGET = f"watercolor painting of {SOURCE}"
STYLE = Fusion("refine", 0.8, 0.8, weights=(("watercolor", 10.0),))  # the published style edit
MASKED = replace(STYLE, blend_words=("jeep",), latent_blend=True)
META = torch.device("meta")
ASKED = Level(1, 1.0, 0.0)
"""Any level will do: only shapes are counted."""
ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda out, q, k, v, *_, **__: sdpa_backward_flop_count(out, q, k, v)
    ),
}
"""What torch does not count by itself."""


def meta_model() -> Model:
    """Stable Diffusion 1.5 in half precision, without weights."""
    model = full_size()
    model.denoiser.module.half()
    return model


def meta_prompt(model: Model, text: str) -> Conditioning:
    """A prompt with its real tokens and states that are shapes only."""
    tokens = tokenize(text, model.text.tokenizer, end_sums_up=True)
    states = {"tokens": torch.empty(77, 768, device=META)}
    return Conditioning(tokens, states, model.fingerprint)


def meta_inversion(model: Model, frames: int = FRAMES) -> Inversion:
    """What an inversion leaves where nothing but the trajectory is kept."""
    side = SIZE // 8
    trajectory = torch.empty(STEPS + 1, frames, 4, side, side, device=META)
    prompt = meta_prompt(model, SOURCE)
    return Inversion(
        trajectory, prompt, model.schedule.times(STEPS), ("own", "mid"), model.fingerprint
    )


def source_pass(
    model: Model, inversion: Inversion, attend: Callable[..., Any]
) -> dict[str, Tensor]:
    """One step of the inversion."""
    branches = {"source": inversion.prompt}
    table = inversion.keyframe_table()
    return model.denoiser.predict(inversion.trajectory[0], ASKED, branches, table, attend)


def stored_bytes() -> dict[str, float]:
    """Attention kept for one clip, in every mode and in the original's way, from one pass."""
    model = meta_model()
    inversion = meta_inversion(model)
    maps, recorder = MapStore(), Recorder(kept_sites(model.denoiser.sites, model.denoiser.layout))

    def attend(call: Any, seen: Tensor) -> Tensor:
        recorder.attend(call, ())
        return maps.attend(call, seen)

    maps.steps.append({})
    source_pass(map_layers(model), inversion, attend)
    record = recorder.record()
    with FakeTensorMode():  # stands in for main memory, into which meta tensors cannot be copied
        offloaded = keep(_like(record), "offload").nbytes()
    in_flight = (
        _recomputed(model, inversion)
        .at(0, kept_sites(model.denoiser.sites, model.denoiser.layout))
        .nbytes()
    )
    trajectory = inversion.trajectory
    return {
        "store.maps_bytes": float(maps.nbytes() * STEPS),
        "store.resident_bytes": float(keep(record, "resident").nbytes() * STEPS),
        "store.offload_bytes": float(offloaded * STEPS),
        # No attention is kept: one step of it at a time, and the latents it is computed from.
        "store.recompute_bytes": float(in_flight + trajectory.numel() * trajectory.element_size()),
    }


def work() -> dict[str, float]:
    """Work of a controlled edit over that of a plain one, each with its inversion."""
    model = meta_model()
    inversion = meta_inversion(model)
    recomputed = _recomputed(model, inversion)
    kept = _Kept(recomputed.at(0, kept_sites(model.denoiser.sites, model.denoiser.layout)))
    inverting = STEPS * flops(lambda: source_pass(model, inversion, lambda call, terms: terms))
    plain = inverting + edit_work(model, inversion, (), kept)

    def ratio(control: Fusion, source: AttentionSource) -> float:
        return (inverting + edit_work(model, inversion, (control,), source)) / plain

    return {
        "work.recompute_ratio": ratio(STYLE, recomputed),
        "work.resident_ratio": ratio(STYLE, kept),
        "work.masked_recompute_ratio": ratio(MASKED, recomputed),
        "work.masked_resident_ratio": ratio(MASKED, kept),
    }


def edit_work(
    model: Model,
    inversion: Inversion,
    controls: tuple[Fusion, ...],
    source: AttentionSource,
) -> float:
    """Floating-point operations of an edit's denoising steps; equal steps are run once."""
    edit = Edit(model, inversion, meta_prompt(model, TARGET))
    runs = [control.begin(edit) for control in controls]
    branches = {"negative": inversion.prompt, "target": edit.prompt}
    table, known, attend = inversion.keyframe_table(), {}, attending(runs)

    def step(index: int) -> None:
        sites = tuple({site for run in runs for site in run.source_sites(index)})
        seen = source.at(index, sites) if sites else NOTHING
        latents = inversion.trajectory[0]
        for run in runs:
            run.prepare(Step(index, ASKED, ASKED, seen, latents))
        model.denoiser.predict(latents, ASKED, branches, table, attend)
        for run in runs:
            run.settle(latents, Step(index, ASKED, ASKED, seen, latents))

    total = 0.0
    for index in range(STEPS):
        # What is asked of the source tells which windows are open.
        kind = tuple(frozenset(run.source_sites(index)) for run in runs)
        if kind not in known:
            known[kind] = flops(lambda index=index: step(index))
        total += known[kind]
    return total


def flops(action: Callable[[], Any]) -> float:
    """Floating-point operations of an action, on any device."""
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=ON_CPU) as counter:
        action()
    return float(counter.get_total_flops())


class _Kept:
    """An AttentionSource of one record for every step."""

    def __init__(self, record: SourceAttention):
        self._record = record

    def at(self, step: int, sites: Any) -> SourceAttention:
        return self._record.only(sites)


def _recomputed(model: Model, inversion: Inversion) -> RecomputedAttention:
    source = inversion.source_attention(model)
    assert isinstance(source, RecomputedAttention)
    return source


def _like(record: SourceAttention) -> SourceAttention:
    """Tensors of the same shapes that say they are in main memory."""
    return SourceAttention(
        {name: torch.empty(t.shape, dtype=t.dtype) for name, t in record.queries.items()},
        {name: torch.empty(t.shape, dtype=t.dtype) for name, t in record.keys.items()},
    )
