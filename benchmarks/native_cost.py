"""What controls cost on Wan at its own size: the keys `native.overhead_*`, `native.bytes_kept` and
`native.word_map*`.

Counted on the meta device, where nothing is computed: operations of a step over those of a plain
guided one (two rows), of Wan 2.1's 1.3B with 33 frames of 832x480. The source is one pass more,
left after the last layer that is asked for. Megabytes are those that are in memory at once beside
queries and keys, in one layer, where words are looked for: all of its map has 345.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from ..pipelines.attention.processor import EarlyExit
from ..pipelines.attention.sites import Site
from ..pipelines.attention.terms import Call
from ..pipelines.controls.base import Control, Edit, Step, attending
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.span import WHOLE
from ..pipelines.models.flow_schedule import FlowSchedule
from ..pipelines.models.model import Model
from ..pipelines.regions.region import BoxRegion
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion, Settings, invert_clip
from ..pipelines.source.maps import MapCollector, word_maps
from ..pipelines.source.store import NOTHING, SourceAttention
from ..pipelines.text.conditioning import Conditioning
from . import main
from .guidance import Alive
from .stand_ins import RandomLatents, WordStates

TARGETS = {
    "native.overhead_fusion": 1.55,
    "native.overhead_bridge": 1.55,
    "native.overhead_masks": 1.8,
    "native.overhead_boost": 1.01,
    "native.bytes_kept": 0.0,
    "native.word_map_mb": 30.0,
    "native.word_map_gradient_mb": 230.0,
}
"""The most that a figure may be."""
FRAMES, SIZE = 33, (480, 832)
PROMPTS = "a red car", "a blue car", "blurry"
"""Source, target and negative."""
PUBLISHED = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "text_dim": 4096}
SMALL = {"num_attention_heads": 1, "ffn_dim": 64, "num_layers": 2, "text_dim": 4096}


def run() -> dict[str, float]:
    """Count."""
    model, counted = wan("meta", PUBLISHED), {}
    for name, control in controls(region(FRAMES, SIZE)).items():
        counted[f"native.overhead_{name}"] = overhead(model, control)
    return counted | {"native.bytes_kept": bytes_kept(wan("cpu", SMALL))} | word_map_bytes()


def wan(device: str, layout: dict[str, Any]) -> Model:
    """Wan of this layout, without trained weights."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    from ..pipelines.models.wan.denoiser import denoiser_of

    with torch.device(device):
        network: Any = WanTransformer3DModel(attention_head_dim=128, **layout)
    denoiser, text = denoiser_of(network.eval(), "Wan", 640, 8), WordStates(4096, 512)
    return Model("Wan", "random", RandomLatents(16, 4, 16), text, denoiser, FlowSchedule(3.0), 640)


def region(frames: int, size: tuple[int, int]) -> Regions:
    """A box for the car, of frames of (height, width) pixels."""
    rows, columns = size
    box = torch.tensor([0.125, 0.125, 0.75, 0.75]) * torch.tensor([columns, rows, columns, rows])
    return Regions((BoxRegion("it", "blue, car", box.expand(frames, 4), size),), frames, size)


def controls(regions: Regions) -> dict[str, Control]:
    """Those that are counted; they act in every step."""
    fusion = Fusion(cross_steps=1.0, self_steps=1.0)
    return {
        "fusion": fusion,
        "bridge": replace(fusion, bridge=2.0),
        "masks": replace(fusion, blend_words=("car",)),
        "boost": Refocus(regions, guide_by="boost", steps=WHOLE),
    }


def overhead(model: Model, control: Control) -> float:
    """Operations of a step with a control over those of one without."""
    source, target, negative = (_meta(model.text.encode(text)) for text in PROMPTS)
    lattice = model.codec.lattice(FRAMES, SIZE)
    shape = 3, lattice.latent_frames, model.codec.channels, *lattice.latent_size
    trajectory, times = torch.empty(shape, device="meta"), model.schedule.times(2)
    inversion = Inversion(trajectory, source, times, ("all",), model.fingerprint)
    levels, run = inversion.levels(model.schedule), control.begin(Edit(model, inversion, target))
    attention = inversion.source_attention(model)
    sites = tuple(run.source_sites(0))
    both = {"negative": negative, "target": target}

    def controlled() -> None:
        seen = attention.at(0, sites) if sites else NOTHING
        run.prepare(Step(0, levels[0], levels[1], seen, trajectory[1]))
        model.denoiser.predict(trajectory[2], levels[0], both, None, attending([run]))

    plain = _operations(lambda: model.denoiser.predict(trajectory[2], levels[0], both))
    return _operations(controlled) / plain


def bytes_kept(model: Model) -> float:
    """Of the source's attention, over the steps, where nobody asks for it to be kept."""
    frames = torch.rand(5, 32, 32, 3)
    prompt = model.text.encode("a red car")
    return float(sum(r.nbytes() for r in invert_clip(model, frames, prompt, Settings(2)).records))


def word_map_bytes() -> dict[str, float]:
    """Of the maps of a word that masks are made of, and of those that RAD differentiates, in 16
    bits: of 9 latent frames of 30x52 tokens and a prompt of 512, with 12 heads of 128."""
    site, size = Site("layer", "cross", 16, 0), (9, 12, 30 * 52, 128)
    with FakeTensorMode():  # as if in main memory: torch takes its fused attention there
        q, k = (torch.empty(shape, dtype=torch.bfloat16) for shape in (size, (1, 12, 512, 128)))
        own, source = q.nbytes + k.nbytes, SourceAttention({site.name: q}, {site.name: k})
        with torch.no_grad(), Alive() as masks:
            word_maps(source, [site], [3, 4], SIZE)
        call = Call(site, "target", (30, 52), q.requires_grad_(), *[k.expand(9, -1, -1, -1)] * 2)
        with suppress(EarlyExit), Alive() as gradient:
            MapCollector([site], [(3, 4)]).attend(call, ())
    found = {"native.word_map_mb": masks.most, "native.word_map_gradient_mb": gradient.most}
    return {name: (most - own) / 1e6 for name, most in found.items()}


def _meta(prompt: Conditioning) -> Conditioning:
    return replace(prompt, states={name: state.to("meta") for name, state in prompt.states.items()})


def _operations(work: Callable[[], Any]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


if __name__ == "__main__":
    main(__file__)
