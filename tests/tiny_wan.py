"""A Wan without trained weights, small enough for every test."""

from typing import Any

import torch

from evenframe.pipelines.models.flow_schedule import FlowSchedule
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.wan.folder import from_parts

FRAMES, SIZE = 9, (64, 64)
LENGTH = 24
WORDS = "a cat dog silver red jeep is driving down the road man woman doctor in watercolor of ,"


def transformer(seed: int = 0) -> Any:
    """Two blocks of two heads, over latents of 16 channels."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=24,
            text_dim=16,
            freq_dim=32,
            ffn_dim=64,
            num_layers=2,
            rope_max_seq_len=32,
        ).eval()


def autoencoder(seed: int = 0) -> Any:
    """Wan's own strides and channels, narrow."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval()


def text_encoder(seed: int = 0) -> Any:
    """One layer of umT5."""
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(
        vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UMT5EncoderModel(config).eval()


def tokenizer() -> Any:
    """T5's, that knows a few words, and for others their letters."""
    from transformers import T5Tokenizer

    pieces = [f"\u2581{word}" for word in WORDS.split()]
    letters = [*"abcdefghijklmnopqrstuvwxyz,"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -4.0)]
    vocabulary += [(piece, -1.0) for piece in pieces] + [(letter, -5.0) for letter in letters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=LENGTH)


def tiny_wan(seed: int = 0) -> Model:
    """Wan 2.1's layout with seeded random weights: 4x8x8 latents, tokens of 16 pixels."""
    modules = {
        "transformer": transformer(seed),
        "vae": autoencoder(seed),
        "text_encoder": text_encoder(seed),
    }
    name = f"tiny-wan-{seed}"
    return from_parts(name, f"random-{name}", modules, tokenizer(), FlowSchedule(shift=3.0))
