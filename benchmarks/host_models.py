"""Models in ComfyUI's own classes, for measuring without pretrained weights: random ones of the
layouts of SDXL and Wan, and the miniature, which this pack's own engine runs as well."""

# pyright: reportMissingImports=false

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..miniature import NAME
from ..pipelines.models.families import load
from .stand_ins import RandomLatents, WordStates

if TYPE_CHECKING:
    from ..pipelines.models.model import Model
    from ..pipelines.text.conditioning import Conditioning

POOLED = 1280
"""Width of what SDXL's prompts are summed up in."""


def find(device: str = "cpu") -> str:
    """Make ComfyUI importable, for "cpu" or "cuda", with torch's own attention; gives the reason
    where that cannot be, else ""."""
    path = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI")
    if not (path / "comfy").is_dir():
        return f"no ComfyUI at {path}: set COMFYUI_PATH"
    if str(path) not in sys.path:
        sys.path.append(str(path))
    from comfy import options

    wanted = ["--cpu"] if device == "cpu" else ["--use-pytorch-cross-attention"]
    given, sys.argv = sys.argv, [sys.argv[0], "--disable-xformers", *wanted]
    options.enable_args_parsing()
    try:
        import comfy.cli_args  # reads the arguments when it is imported
    finally:
        sys.argv = given
    same = comfy.cli_args.args.cpu == (device == "cpu")
    return "" if same else "ComfyUI was imported for another device"


def miniature(dtype: torch.dtype = torch.float32) -> tuple[Model, Model]:
    """The miniature run by this pack's engine, and by ComfyUI's; dtype: of its weights there."""
    from ..nodes.host.native.model import host_model

    own = load(NAME)
    parts = miniature_patcher(own, dtype), own.text, own.codec
    theirs = host_model(*parts, "miniature", own.native_size)
    return own, replace(theirs, fingerprint=own.fingerprint)


def miniature_patcher(own: Model, dtype: torch.dtype = torch.float32) -> Any:
    """The miniature's UNet in ComfyUI's class, whose groups of 32 are taken for its own 8."""
    import comfy.model_base
    import comfy.ops
    import comfy.supported_models
    import comfy.utils

    class Eight(comfy.ops.manual_cast):
        class GroupNorm(comfy.ops.manual_cast.GroupNorm):
            def __init__(self, num_groups: int, num_channels: int, **others: Any):
                super().__init__(8, num_channels, **others)

    unet = own.denoiser.module
    widths, crossed = unet.config.block_out_channels, [1, 1, 1, 0]
    layout = {
        "model_channels": widths[0],
        "channel_mult": [_Width(width / widths[0]) for width in widths],
        "num_res_blocks": [1] * 4,
        "transformer_depth": crossed,
        "transformer_depth_output": [depth for depth in crossed for _ in range(2)],
        "transformer_depth_middle": 1,
        "context_dim": unet.config.cross_attention_dim,
        "num_heads": 2,
        "num_head_channels": -1,
        "use_linear_in_transformer": False,
    }
    patcher = _patcher("SD15", comfy.model_base.BaseModel, _unet(layout, dtype), Eight)
    names = comfy.utils.unet_to_diffusers(layout)
    state = {names[name]: weight for name, weight in unet.state_dict().items()}
    patcher.model.diffusion_model.load_state_dict(state)
    return patcher


def sd(dtype: torch.dtype = torch.float32) -> Model:
    """A narrow UNet of Stable Diffusion 1's layout: transformers at two of three levels."""
    import comfy.model_base

    from ..nodes.host.native.model import host_model

    layout = {
        "model_channels": 32,
        "channel_mult": [1, 2, 2],
        "num_res_blocks": [1, 1, 1],
        "transformer_depth": [1, 1, 0],
        "transformer_depth_output": [1, 1, 1, 1, 0, 0],
        "transformer_depth_middle": 1,
        "context_dim": 64,
        "num_heads": 4,
        "num_head_channels": -1,
        "use_linear_in_transformer": False,
    }
    patcher = _patcher("SD15", comfy.model_base.BaseModel, _unet(layout, dtype))
    _randomise(patcher.model.diffusion_model)
    return host_model(patcher, WordStates(64, 77), RandomLatents(4), "random")


def sdxl(dtype: torch.dtype = torch.float32) -> Model:
    """A narrow UNet of SDXL's layout: two levels of transformers, pooled text and sizes."""
    import comfy.model_base

    from ..nodes.host.native.model import host_model

    layout = {
        "model_channels": 32,
        "channel_mult": [1, 2, 4],
        "num_res_blocks": [2, 2, 2],
        "transformer_depth": [0, 0, 1, 1, 2, 2],
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        "transformer_depth_middle": 2,
        "context_dim": 64,
        "num_heads": -1,
        "num_head_channels": 16,
        "use_linear_in_transformer": True,
        "adm_in_channels": 2816,
        "num_classes": "sequential",
    }
    patcher = _patcher("SDXL", comfy.model_base.SDXL, _unet(layout, dtype))
    _randomise(patcher.model.diffusion_model)
    return host_model(patcher, WordStates(64, 77, POOLED), RandomLatents(4), "random")


def wan(layers: int = 3, heads: int = 3, seed: int = 0, **others: Any) -> Model:
    """A narrow transformer of Wan's layout; seed: of its weights; others: what else it has
    instead."""
    import comfy.model_base

    from ..nodes.host.native.model import host_model

    width = 32 * heads
    layout = {
        "image_model": "wan2.1",
        "model_type": "t2v",
        "patch_size": (1, 2, 2),
        "text_len": 64,
        "text_dim": 64,
        "in_dim": 16,
        "out_dim": 16,
        "dim": width,
        "ffn_dim": 2 * width,
        "freq_dim": 64,
        "num_heads": heads,
        "num_layers": layers,
        "dtype": torch.float32,
        **others,
    }
    patcher = _patcher("WAN21_T2V", comfy.model_base.WAN21, layout)
    _randomise(patcher.model.diffusion_model, seed=seed)
    text = WordStates(layout["text_dim"], layout["text_len"])
    return host_model(patcher, text, RandomLatents(16, 4, 16), "random")


def wan_twins() -> tuple[Model, Model]:
    """The same narrow Wan run by this pack's engine, over diffusers' class, and by ComfyUI's."""
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    from ..pipelines.models.wan.denoiser import denoiser_of

    theirs = wan()
    network = theirs.denoiser.module.diffusion_model
    ours = WanTransformer3DModel(
        num_attention_heads=network.num_heads,
        attention_head_dim=network.dim // network.num_heads,
        text_dim=64,
        freq_dim=network.freq_dim,
        ffn_dim=network.ffn_dim,
        num_layers=len(network.blocks),
        rope_max_seq_len=64,
    )
    copied = {name: weight.clone() for name, weight in network.state_dict().items()}
    ours.load_state_dict(convert_wan_transformer_to_diffusers(copied))
    denoiser = denoiser_of(ours.eval(), theirs.name, theirs.native_size, 8)
    return replace(theirs, denoiser=denoiser, session=None), theirs


def lora() -> dict[str, Tensor]:
    """A random LoRA on a layer of `sd`."""
    name, random = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_v", torch.Generator()
    up, down = (torch.randn(size, generator=random.manual_seed(1)) for size in ((32, 4), (4, 64)))
    weights = {f"{name}.lora_up.weight": 0.3 * up, f"{name}.lora_down.weight": 0.3 * down}
    return weights | {f"{name}.alpha": torch.tensor(4.0)}


def with_lora(model: Model) -> Model:
    """A model with that LoRA, put on by ComfyUI's own loader."""
    from comfy.sd import load_lora_for_models

    denoiser: Any = model.denoiser
    patcher, _ = load_lora_for_models(denoiser.patcher, None, lora(), 1.0, 0.0)
    return replace(model, denoiser=replace(denoiser, patcher=patcher))


def controlnet(unet: Mapping[str, Any]) -> torch.nn.Module:
    """A random ControlNet for a UNet of this layout."""
    from comfy import ops
    from comfy.cldm.cldm import ControlNet

    layout = dict(unet)
    for output in ("out_channels", "transformer_depth_output", "disable_unet_model_creation"):
        layout.pop(output, None)
    given = {"hint_channels": 3, "operations": ops.disable_weight_init, "device": "cpu"}
    network = ControlNet(**(layout | given))
    _randomise(network)
    return network


def with_controlnet(model: Model, size: tuple[int, int], frames: int = 1) -> Model:
    """A model whose prompts come with a random ControlNet and hints of (height, width) pixels."""
    from comfy.controlnet import ControlNet as Control

    denoiser: Any = model.denoiser
    network = controlnet(denoiser.patcher.model.model_config.unet_config)
    control, hint = Control(network, load_device=torch.device("cpu")), torch.rand(frames, 3, *size)

    class Steered(WordStates):
        def encode(self, text: str) -> Conditioning:
            own = control.copy().set_cond_hint(hint, 0.5, (0.0, 1.0))
            entry = [None, {"control": own, "control_apply_to_uncond": True}]
            return replace(super().encode(text), host=[entry])

    return replace(model, text=Steered(64, 77))


def _unet(layout: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return {
        "image_size": 32,
        "use_spatial_transformer": True,
        "legacy": False,
        "in_channels": 4,
        "out_channels": 4,
        "adm_in_channels": None,
        "num_classes": None,
        "use_temporal_attention": False,
        "dtype": dtype,
        **layout,
    }


def _patcher(kind: str, model: Any, layout: dict[str, Any], operations: Any = None) -> Any:
    import comfy.supported_models
    from comfy.model_management import get_torch_device, unet_manual_cast
    from comfy.model_patcher import ModelPatcher

    config = getattr(comfy.supported_models, kind)(layout)
    config.unet_config.update(layout)
    config.custom_operations = operations
    device = get_torch_device()
    config.manual_cast_dtype = unet_manual_cast(layout["dtype"], device)
    return ModelPatcher(model(config).to(device), device, torch.device("cpu"))


def _randomise(module: torch.nn.Module, gain: float = 1.5, seed: int = 0) -> None:
    """gain: of its matrices; the more, the sharper its attention."""
    device = next(module.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    for name, weight in module.named_parameters():
        fan_in = weight[0].numel() if weight.ndim > 1 else 2500
        values = torch.randn(weight.shape, generator=generator, device=device)
        ones = "norm" in name and name.endswith("weight") and weight.ndim == 1
        weight.data = (values * gain * fan_in**-0.5 + float(ones)).to(weight.dtype)


class _Width(float):
    """A factor that gives whole numbers: the miniature's widths are no multiples of its first."""

    def __mul__(self, other: Any) -> int:
        return round(float(self) * other)

    __rmul__ = __mul__
