"""The video miniature's weights as ComfyUI's own loaders read them.

The diffusion model and the VAE in Wan's original names; the text states that ComfyUI's Wan reads
are 4096 wide, of which the miniature's are the first. Its text encoder is none that ComfyUI
detects: the pack's own loader gives it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ...pipelines.common import whole_file
from ..integrity import check_weights
from . import weights_dir
from .model import FILES

TEXT_WIDTH = 4096
"""Of umT5's states, which ComfyUI's Wan expects."""
NAMES = {
    "diffusion_models": "evenframe_video_miniature.safetensors",
    "vae": "evenframe_video_miniature_vae.safetensors",
}
"""Files by folder of ComfyUI's models."""
Renames = Iterable[tuple[str, str]]
_TRANSFORMER: Renames = (
    (r"condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"condition_embedder\.time_proj\.", "time_projection.1."),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_(q|k|v)\.", r".\1."),
    (r"\.to_out\.0\.", ".o."),
    (r"(blocks\.\d+)\.norm2\.", r"\1.norm3."),
    (r"\.ffn\.net\.0\.proj\.", ".ffn.0."),
    (r"\.ffn\.net\.2\.", ".ffn.2."),
    (r"(blocks\.\d+)\.scale_shift_table", r"\1.modulation"),
    (r"^scale_shift_table", "head.modulation"),
    (r"^proj_out\.", "head.head."),
)
_VAE: Renames = (
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"\.conv_in\.", ".conv1."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"\.down_blocks\.", ".downsamples."),
    (r"\.norm1\.", ".residual.0."),
    (r"\.conv_shortcut\.", ".shortcut."),
    (r"\.norm2\.", ".residual.3."),
    (r"((?:middle|downsamples|up_blocks)\.\S*)\.conv1\.", r"\1.residual.2."),
    (r"((?:middle|downsamples|up_blocks)\.\S*)\.conv2\.", r"\1.residual.6."),
)
_LEVEL = 4
"""Three blocks and an upsampling, which ComfyUI's decoder counts through."""


def diffusion_model(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The transformer's weights by the names that ComfyUI's Wan has."""
    found = _renamed(weights, _TRANSFORMER)
    text = found["text_embedding.0.weight"]
    found["text_embedding.0.weight"] = F.pad(text, (0, TEXT_WIDTH - text.shape[1]))
    return found


def vae(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The autoencoder's weights by the names that ComfyUI's Wan VAE has."""
    return {_as_one_list(name): value for name, value in _renamed(weights, _VAE).items()}


def _as_one_list(name: str) -> str:
    """Levels and blocks of the decoder as one list."""

    def place(found: re.Match[str]) -> str:
        level, kind, block = int(found[1]), found[2], int(found[3])
        return f".upsamples.{_LEVEL * level + (block if kind == 'resnets' else _LEVEL - 1)}."

    return re.sub(r"\.up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.", place, name)


def _renamed(weights: Mapping[str, Tensor], renames: Renames) -> dict[str, Tensor]:
    found = {}
    for name, value in weights.items():
        for pattern, new in renames:
            name = re.sub(pattern, new, name)
        found[name] = value
    return found


def write_files(models: Path, folder: Path | None = None) -> list[Path]:
    """Write both files into ComfyUI's folder of models; returns where they are.

    folder: of the weights; the package's own where None. Files of those names are replaced.
    Raises EvenframeError where weights are missing or altered.
    """
    from safetensors.torch import load_file, save_file

    folder = folder or weights_dir()
    check_weights(folder)
    made = {
        "diffusion_models": diffusion_model(load_file(folder / FILES["transformer"])),
        "vae": vae(load_file(folder / FILES["vae"])),
    }
    written = []
    for kind, weights in made.items():
        path = models / kind / NAMES[kind]
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.replace(
            path, partial(save_file, {name: each.contiguous() for name, each in weights.items()})
        )
        written.append(path)
    return written


def main() -> None:
    """``python -m evenframe.miniature.video.comfyui MODELS``."""
    parser = argparse.ArgumentParser(description="Write the video miniature's files for ComfyUI.")
    parser.add_argument("models", type=Path, help="ComfyUI's folder of models")
    parser.add_argument("--weights", type=Path, help="another export than the package's own")
    args = parser.parse_args()
    for path in write_files(args.models, args.weights):
        print(path)


if __name__ == "__main__":
    main()
