"""A small random Wan: files that ComfyUI's own loaders detect, and a CLIP that stands for umT5,
which no loader detects narrow."""

# pyright: reportMissingImports=false

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import comfy.ops
import folder_paths
import torch
from comfy.ldm.wan.model import WanModel
from comfy.ldm.wan.vae import WanVAE
from comfy.model_patcher import ModelPatcher
from safetensors.torch import save_file

from evenframe.nodes.host import io

NAME = "small_wan.safetensors"
TEXT, LENGTH = 4096, 512
"""Of umT5: the width of its states, and how many there are."""


class ProbeWanFiles(io.ComfyNode):
    """Write the files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="ProbeWanFiles", category="probe", is_output_node=True)

    @classmethod
    def execute(cls) -> io.NodeOutput:
        sizes = {"dim": 256, "num_heads": 2, "num_layers": 2, "ffn_dim": 256, "text_dim": TEXT}
        operations = comfy.ops.disable_weight_init
        model = WanModel(in_dim=16, out_dim=16, freq_dim=256, **sizes, operations=operations)
        strides = {"dim_mult": [1, 2, 4, 4], "temperal_downsample": [False, True, True]}
        for kind, module in (
            ("diffusion_models", model),
            ("vae", WanVAE(dim=16, z_dim=16, num_res_blocks=2, **strides)),
        ):
            path = Path(folder_paths.get_folder_paths(kind)[0]) / NAME
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(
                {name: _random(name, t.shape) for name, t in module.state_dict().items()}, path
            )
        return io.NodeOutput(ui={"text": [NAME]})


class ProbeClip(io.ComfyNode):
    """A text encoder of random words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="ProbeClip", category="probe", outputs=[io.Clip.Output("clip")])

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(StandIn())


class StandIn:
    """As much of ComfyUI's CLIP as a prompt needs. Words are tokens, and padded as umT5's are."""

    def __init__(self) -> None:
        self.layer_idx, self.tokenizer_options, self.tokenizer = None, {}, None
        self.cond_stage_model, cpu = torch.nn.Linear(1, 1), torch.device("cpu")
        self.patcher = ModelPatcher(self.cond_stage_model, cpu, cpu)

    def tokenize(self, text: str, return_word_ids: bool = False) -> dict[str, Any]:
        words = [(zlib.crc32(word.encode()) % 30000 + 3, 1.0, 1) for word in text.split()]
        padded = [*words, (1, 1.0, 0), *[(0, 1.0, 0)] * (LENGTH - len(words) - 1)]
        return {"umt5": [padded if return_word_ids else [each[:2] for each in padded]]}

    def encode_from_tokens_scheduled(self, tokens: dict[str, Any]) -> list[Any]:
        states = [_random(str(token), (TEXT,)) for token, _ in tokens["umt5"][0]]
        return [[torch.stack(states)[None], {}]]


def _random(name: str, shape: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    fan_in = torch.Size(shape)[1:].numel() if len(shape) > 1 else 1
    values = torch.randn(shape, generator=generator) * fan_in**-0.5
    return values + 1 if name.endswith("gamma") else values
