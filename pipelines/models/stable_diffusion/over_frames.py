"""Layers over the frames of a clip, which a `Delta` adds to a UNet: hooks run them, and do nothing
in a pass that has none, so that nothing in the UNet is replaced.

By the names of Tune-A-Video, for a BLOCK or CONV of the UNet:

    BLOCK.attn_temp.{to_q,to_k,to_v,to_out.0}.weight, .to_out.0.bias: self-attention of each pixel
        over the frames, behind the feed-forward layer: h += to_out(attention(norm_temp(h)))
    BLOCK.norm_temp.{weight,bias}: of its layer norm; may be left out, for ones and zeros
    CONV.conv_temporal.{weight,bias}: a convolution over the frames behind one of 3x3 pixels
    CONV.conv_temporal.{down,up}.weight: two of a lower rank, whose result is added to their input

Source: "Tune-A-Video" (Wu et al., ICCV 2023), section 3.2; the convolutions are FateZero's (Qi et
al., ICCV 2023).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...attention.processor import ForwardPass, Passing
from ...attention.sites import Site
from ...attention.terms import Call, evaluate
from ...common.errors import EvenframeError
from ..delta import Delta

LAYERS = re.compile(r"\.(?=(?:attn_temp|norm_temp|conv_temporal)\.)")
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
MAX_KERNEL = 15

Layer = Mapping[str, Tensor]
Hook = Callable[[Any, Any, Tensor], Tensor | None]


def by_place(added: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Weights by the module of the UNet that they stand behind, and their names there."""
    places: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, weight in added.items():
        place, *rest = LAYERS.split(name, maxsplit=1)
        places[place][rest[0] if rest else ""] = weight
    return dict(places)


def require_fitting(delta: Delta, unet: nn.Module, model: str) -> None:
    """Raise EvenframeError for layers that a UNet has no place for, in part or in other shapes."""
    modules = dict(unet.named_modules())
    for name, weight in delta.added.items():
        delta.require_finite(name, weight)
    for place, layer in by_place(delta.added).items():
        shapes = {name: tuple(weight.shape) for name, weight in layer.items()}
        if place not in modules or not _fits(modules[place], shapes):
            raise EvenframeError(
                f"The difference '{delta.name}' has a layer over frames at '{place}' that does not "
                f"fit '{model}', or is not whole: use the model that it was made for."
            )


def attention_shapes(block: Any) -> dict[str, tuple[int, ...]]:
    """What attention over frames is made of, behind a transformer block."""
    width = block.attn1.to_q.in_features
    shapes = {f"attn_temp.{each}.weight": (width, width) for each in PROJECTIONS}
    return shapes | {"attn_temp.to_out.0.bias": (width,)}


def tuning_start(
    unet: nn.Module, sites: Iterable[Site], layers: str, draw: torch.Generator
) -> Delta:
    """A difference of nothing: the queries of both attentions of each block, and attention over
    frames behind it, as torch begins such layers, with nothing in the last.

    layers: "all", or "mid and up": the blocks of the UNet that are tuned.
    """
    changes, added = {}, {}
    for block in temporal_sites(dict(unet.named_modules()), sites):
        if layers == "all" or not block.startswith("down_blocks"):
            module = unet.get_submodule(block)
            for name in (f"{block}.{each}.to_q.weight" for each in ("attn1", "attn2")):
                changes[name] = torch.zeros(unet.get_parameter(name).shape)
            for name, shape in attention_shapes(module).items():
                bound = 0.0 if "to_out" in name else shape[-1] ** -0.5
                drawn = torch.rand(shape, generator=draw)
                added[f"{block}.{name}"] = bound * (2 * drawn - 1)
    return Delta("tuning", changes, added)


def _fits(module: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    if _is_block(module):
        needed = attention_shapes(module)
        width = needed["attn_temp.to_out.0.bias"]
        norm = {"norm_temp.weight": width, "norm_temp.bias": width}
        return shapes in (needed, needed | norm)
    if not _is_convolution(module):
        return False
    channels = module.out_channels
    first = shapes.get("conv_temporal.down.weight") or shapes.get("conv_temporal.weight") or ()
    rank, size = (first[0], first[-1]) if len(first) == 3 else (0, 0)
    whole = {"conv_temporal.weight": (channels, channels, size), "conv_temporal.bias": (channels,)}
    parts = {
        "conv_temporal.down.weight": (rank, channels, size),
        "conv_temporal.up.weight": (channels, rank, size),
    }
    return size % 2 == 1 and size <= MAX_KERNEL and shapes in (whole, parts)


def temporal_sites(blocks: Iterable[str], sites: Iterable[Site]) -> dict[str, Site]:
    """The sites of attention over frames behind some transformer blocks, by their names.

    sites: of the UNet.
    """
    own = {site.name.removesuffix(".attn2"): site for site in sites if site.kind == "cross"}
    return {
        block: Site(f"{block}.attn_temp", "temporal", own[block].stride, own[block].order)
        for block in blocks
        if block in own
    }


def attach(unet: nn.Module, sites: Iterable[Site], passing: Passing) -> None:
    """Have a UNet run what the pass adds that is under way."""
    # Functions in the place of objects: copies of the UNet share them, and with them the pass.
    modules = dict(unet.named_modules())
    for block, site in temporal_sites(modules, sites).items():
        modules[block].register_forward_hook(_behind_block(block, site, passing))
    for name, module in modules.items():
        if _is_convolution(module):
            module.register_forward_hook(_behind_convolution(name, passing))
        elif isinstance(module, nn.GroupNorm) and "attentions" not in name:
            module.register_forward_pre_hook(_before_norm(passing))
            module.register_forward_hook(_behind_norm(passing))


def _is_block(module: Any) -> bool:
    return hasattr(module, "attn1") and hasattr(module, "ff")


def _is_convolution(module: Any) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)


def _behind_block(place: str, site: Site, passing: Passing) -> Hook:
    def hook(block: Any, _: Any, output: Tensor) -> Tensor | None:
        forward = passing.now()
        layer = None if forward is None else forward.added.get(place)
        if forward is None or layer is None:
            return None
        return attend_over_frames(output, layer, block.attn1.heads, site, forward)

    return hook


def _behind_convolution(place: str, passing: Passing) -> Hook:
    def hook(_: Any, __: Any, output: Tensor) -> Tensor | None:
        forward = passing.now()
        layer = None if forward is None else forward.added.get(place)
        if forward is None or layer is None:
            return None
        return convolve_over_frames(output, layer, forward.frames)

    return hook


def _before_norm(passing: Passing) -> Callable[[Any, tuple[Tensor]], tuple[Tensor] | None]:
    def hook(_: Any, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        forward = passing.now()
        if forward is None or forward.norm == "frame":
            return None
        return (over_clip(inputs[0], forward.frames),)

    return hook


def _behind_norm(passing: Passing) -> Hook:
    def hook(_: Any, __: Any, output: Tensor) -> Tensor | None:
        forward = passing.now()
        if forward is None or forward.norm == "frame":
            return None
        return by_frame(output, forward.frames)

    return hook


def over_clip(features: Tensor, frames: int) -> Tensor:
    """The frames of a branch as one picture, for a group norm: (b f) c h w -> b c (f h) w."""
    return features.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2, 3)


def by_frame(features: Tensor, frames: int) -> Tensor:
    """The inverse of `over_clip`."""
    return features.unflatten(2, (frames, -1)).transpose(1, 2).flatten(0, 1)


def attend_over_frames(
    hidden: Tensor, layer: Layer, heads: int, site: Site, forward: ForwardPass
) -> Tensor:
    """The tokens (b f) n c behind a transformer block, and behind attention over the frames."""
    weights = {name.removeprefix("attn_temp."): each.to(hidden) for name, each in layer.items()}
    scale, shift = (weights.get(f"norm_temp.{each}") for each in ("weight", "bias"))
    pixels = hidden.unflatten(0, (-1, forward.frames)).transpose(1, 2)  # b n f c
    normed = F.layer_norm(pixels, hidden.shape[-1:], scale, shift)
    projected = (
        F.linear(normed, weights[f"{each}.weight"]).unflatten(-1, (heads, -1)).transpose(2, 3)
        for each in PROJECTIONS[:3]
    )  # each b n heads f d
    grid, outputs = site.grid(forward.frame_size), []
    for branch, *own in zip(forward.branches, *projected, strict=True):
        call = Call(site, branch, grid, *own)
        out = evaluate(forward.attend(call, call.plain()))  # n heads f d
        outputs.append(out.transpose(1, 2).flatten(2))  # n f (heads d)
    out = F.linear(torch.stack(outputs), weights["to_out.0.weight"], weights["to_out.0.bias"])
    return (pixels + out).transpose(1, 2).flatten(0, 1)  # (b f) n c


def convolve_over_frames(features: Tensor, layer: Layer, frames: int) -> Tensor:
    """Features (b f) c h w behind a convolution of the UNet, and behind one over the frames."""
    _, _, rows, columns = features.shape
    clip = features.unflatten(0, (-1, frames)).permute(0, 3, 4, 2, 1).flatten(0, 2)  # (b h w) c f
    weights = {name.removeprefix("conv_temporal."): w.to(features) for name, w in layer.items()}
    if "weight" in weights:
        clip = _over(clip, weights["weight"], weights["bias"])
    else:
        clip = clip + _over(_over(clip, weights["down.weight"]), weights["up.weight"])
    return clip.unflatten(0, (-1, rows, columns)).permute(0, 4, 3, 1, 2).flatten(0, 1)


def _over(clip: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv1d(clip, weight, bias, padding=weight.shape[-1] // 2)
