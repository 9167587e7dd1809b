"""Names and shapes of Stable Diffusion checkpoints, written out from the architecture.

Not a test: the tests of loading build random-weight checkpoints of the real layout with it, small
or full-size, without any model library.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

SD15_WIDTHS = (320, 640, 1280, 1280)
TINY_WIDTHS = (32, 32, 64, 64)
SD_VAE_WIDTHS = (128, 256, 512, 512)
TINY_VAE_WIDTHS = (32, 32, 32, 32)


def unet_shapes(
    widths: tuple[int, ...] = TINY_WIDTHS,
    layers: int = 2,
    text_width: int = 768,
    linear: bool = False,
    channels: int = 4,
) -> Shapes:
    """A UNet: attention in every level but the coarsest."""
    base, time = widths[0], widths[0] * 4
    shapes: Shapes = {
        **_linear("time_embed.0", base, time),
        **_linear("time_embed.2", time, time),
        **_conv("input_blocks.0.0", channels, base),
    }
    block, current, skips = 1, base, [base]
    for level, width in enumerate(widths):
        crossed = level < len(widths) - 1
        for _ in range(layers):
            shapes |= _resnet(f"input_blocks.{block}.0", current, width, time)
            if crossed:
                shapes |= _transformer(f"input_blocks.{block}.1", width, text_width, linear)
            current = width
            skips.append(current)
            block += 1
        if level < len(widths) - 1:
            shapes |= _conv(f"input_blocks.{block}.0.op", current, current)
            skips.append(current)
            block += 1
    shapes |= _resnet("middle_block.0", current, current, time)
    shapes |= _transformer("middle_block.1", current, text_width, linear)
    shapes |= _resnet("middle_block.2", current, current, time)
    block = 0
    for level, width in reversed(list(enumerate(widths))):
        crossed = level < len(widths) - 1
        for layer in range(layers + 1):
            name = f"output_blocks.{block}"
            shapes |= _resnet(f"{name}.0", current + skips.pop(), width, time)
            current = width
            if crossed:
                shapes |= _transformer(f"{name}.1", width, text_width, linear)
            if layer == layers and level > 0:
                shapes |= _conv(f"{name}.{2 if crossed else 1}.conv", width, width)
            block += 1
    return shapes | _norm("out.0", base) | _conv("out.2", base, 4)


def vae_shapes(widths: tuple[int, ...] = TINY_VAE_WIDTHS, layers: int = 2) -> Shapes:
    """An autoencoder with four latent channels."""
    shapes = _conv("encoder.conv_in", 3, widths[0])
    current = widths[0]
    for level, width in enumerate(widths):
        for layer in range(layers):
            shapes |= _vae_resnet(f"encoder.down.{level}.block.{layer}", current, width)
            current = width
        if level < len(widths) - 1:
            shapes |= _conv(f"encoder.down.{level}.downsample.conv", current, current)
    shapes |= _vae_middle("encoder", current)
    shapes |= _norm("encoder.norm_out", current) | _conv("encoder.conv_out", current, 8)
    shapes |= _conv("quant_conv", 8, 8, 1) | _conv("post_quant_conv", 4, 4, 1)
    shapes |= _conv("decoder.conv_in", 4, current) | _vae_middle("decoder", current)
    for level, width in reversed(list(enumerate(widths))):
        for layer in range(layers + 1):
            shapes |= _vae_resnet(f"decoder.up.{level}.block.{layer}", current, width)
            current = width
        if level > 0:
            shapes |= _conv(f"decoder.up.{level}.upsample.conv", current, current)
    return shapes | _norm("decoder.norm_out", current) | _conv("decoder.conv_out", current, 3)


def clip_shapes(
    width: int = 768, layers: int = 1, vocabulary: int = 49408, inner: int | None = None
) -> Shapes:
    """CLIP's text encoder in transformers' naming, with `text_model.`."""
    inner = inner or width * 4
    shapes: Shapes = {
        "embeddings.token_embedding.weight": (vocabulary, width),
        "embeddings.position_embedding.weight": (77, width),
        **_norm("final_layer_norm", width),
    }
    for layer in range(layers):
        name = f"encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{name}.self_attn.{part}", width, width)
        shapes |= _norm(f"{name}.layer_norm1", width) | _norm(f"{name}.layer_norm2", width)
        shapes |= _linear(f"{name}.mlp.fc1", width, inner)
        shapes |= _linear(f"{name}.mlp.fc2", inner, width)
    return prefixed("text_model.", shapes)


def open_clip_shapes(
    width: int = 1024, layers: int = 24, vocabulary: int = 49408, inner: int | None = None
) -> Shapes:
    """CLIP's text encoder in open_clip's naming, as Stable Diffusion 2 carries it."""
    inner = inner or width * 4
    shapes: Shapes = {
        "token_embedding.weight": (vocabulary, width),
        "positional_embedding": (77, width),
        "text_projection": (width, width),
        "logit_scale": (),
        **_norm("ln_final", width),
    }
    for layer in range(layers):
        name = f"transformer.resblocks.{layer}"
        shapes |= _norm(f"{name}.ln_1", width) | _norm(f"{name}.ln_2", width)
        shapes[f"{name}.attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{name}.attn.in_proj_bias"] = (3 * width,)
        shapes |= _linear(f"{name}.attn.out_proj", width, width)
        shapes |= _linear(f"{name}.mlp.c_fc", width, inner)
        shapes |= _linear(f"{name}.mlp.c_proj", inner, width)
    return shapes


def sd1_shapes(full: bool = False) -> Shapes:
    """A Stable Diffusion 1.x checkpoint: tiny, or the real thing (686 UNet tensors)."""
    unet = unet_shapes(SD15_WIDTHS if full else TINY_WIDTHS)
    vae = vae_shapes(SD_VAE_WIDTHS if full else TINY_VAE_WIDTHS)
    clip = clip_shapes(layers=12) if full else tiny_clip_shapes()
    return checkpoint_shapes(unet, vae, prefixed("cond_stage_model.transformer.", clip))


def tiny_clip_shapes(width: int = 768, layers: int = 3) -> Shapes:
    """A text encoder of the real width that knows 64 tokens."""
    return clip_shapes(width, layers, vocabulary=64, inner=64)


def sd2_shapes(text_layers: int = 3) -> Shapes:
    """A tiny Stable Diffusion 2.x checkpoint."""
    unet = unet_shapes(text_width=1024, linear=True)
    clip = open_clip_shapes(layers=text_layers, vocabulary=64, inner=64)
    return checkpoint_shapes(unet, vae_shapes(), prefixed("cond_stage_model.model.", clip))


def checkpoint_shapes(unet: Shapes, vae: Shapes, clip: Shapes) -> Shapes:
    """One file's shapes from those of its parts."""
    return {
        **prefixed("model.diffusion_model.", unet),
        **prefixed("first_stage_model.", vae),
        **clip,
        "alphas_cumprod": (1000,),
    }


def random_tensors(
    shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype = torch.float32, seed: int = 0
) -> dict[str, Tensor]:
    """Small random weights; norms' weights are near 1. Cheap: one block of noise, rotated."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2**16 + 1, generator=generator).mul(0.02).to(dtype)
    tensors = {}
    for index, (name, shape) in enumerate(shapes.items()):
        count = 1
        for side in shape:
            count *= side
        repeats = -(-(count + index % len(noise)) // len(noise))
        values = noise.repeat(repeats)[index % len(noise) :][:count].reshape(shape).clone()
        tensors[name] = values + 1 if _is_norm(name) and name.endswith("weight") else values
    return tensors


def save_checkpoint(
    path: Path, shapes: Shapes, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Path:
    """Write a random checkpoint of these shapes."""
    from safetensors.torch import save_file

    save_file(random_tensors(shapes, dtype, seed), path)
    return path


def save_hollow(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    metadata: dict[str, str] | None = None,
    filled: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a float16 checkpoint whose weights are a hole in the file, but for the filled ones."""
    header: dict[str, object] = {"__metadata__": metadata or {}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
        for name, tensor in (filled or {}).items():
            file.seek(8 + len(text) + header[name]["data_offsets"][0])  # type: ignore[index]
            file.write(tensor.half().numpy().tobytes())
    return path


def prefixed(prefix: str, shapes: Mapping[str, tuple[int, ...]]) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def _is_norm(name: str) -> bool:
    parts = name.split(".")
    return "norm" in name or "ln_" in name or (parts[-2:-1] == ["0"] and "layers" in name)


def _linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    weight = {f"{name}.weight": (outputs, inputs)}
    return weight | ({f"{name}.bias": (outputs,)} if bias else {})


def _conv(name: str, inputs: int, outputs: int, side: int = 3) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _resnet(name: str, inputs: int, outputs: int, time: int) -> Shapes:
    shapes = {
        **_norm(f"{name}.in_layers.0", inputs),
        **_conv(f"{name}.in_layers.2", inputs, outputs),
        **_linear(f"{name}.emb_layers.1", time, outputs),
        **_norm(f"{name}.out_layers.0", outputs),
        **_conv(f"{name}.out_layers.3", outputs, outputs),
    }
    skip = _conv(f"{name}.skip_connection", inputs, outputs, 1) if inputs != outputs else {}
    return shapes | skip


def _transformer(name: str, width: int, text_width: int, linear: bool) -> Shapes:
    inner = f"{name}.transformer_blocks.0"
    shapes = _norm(f"{name}.norm", width)
    for part in ("proj_in", "proj_out"):
        whole = f"{name}.{part}"
        shapes |= _linear(whole, width, width) if linear else _conv(whole, width, width, 1)
    for attention, keys in (("attn1", width), ("attn2", text_width)):
        shapes |= _linear(f"{inner}.{attention}.to_q", width, width, bias=False)
        shapes |= _linear(f"{inner}.{attention}.to_k", keys, width, bias=False)
        shapes |= _linear(f"{inner}.{attention}.to_v", keys, width, bias=False)
        shapes |= _linear(f"{inner}.{attention}.to_out.0", width, width)
    shapes |= _linear(f"{inner}.ff.net.0.proj", width, 8 * width)
    shapes |= _linear(f"{inner}.ff.net.2", 4 * width, width)
    for number in (1, 2, 3):
        shapes |= _norm(f"{inner}.norm{number}", width)
    return shapes


def _vae_resnet(name: str, inputs: int, outputs: int) -> Shapes:
    shapes = {
        **_norm(f"{name}.norm1", inputs),
        **_conv(f"{name}.conv1", inputs, outputs),
        **_norm(f"{name}.norm2", outputs),
        **_conv(f"{name}.conv2", outputs, outputs),
    }
    return shapes | (_conv(f"{name}.nin_shortcut", inputs, outputs, 1) if inputs != outputs else {})


def _vae_middle(name: str, width: int) -> Shapes:
    shapes = _vae_resnet(f"{name}.mid.block_1", width, width)
    shapes |= _norm(f"{name}.mid.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        shapes |= _conv(f"{name}.mid.attn_1.{part}", width, width, 1)
    return shapes | _vae_resnet(f"{name}.mid.block_2", width, width)
