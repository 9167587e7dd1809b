"""SAM 1 and SAM 2, very small, with seeded random weights, saved in the layout of the real ones."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from evenframe.pipelines.regions.tracking.sam import Encoder, build


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """The same weights every time, none of them zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module.eval()


def tiny_sam() -> nn.Module:
    """SAM 1 at 128 pixels: one block with windows of 3 patches, one without."""
    encoder = Encoder(width=32, depth=2, heads=2, patch=16, side=8, window=3, global_blocks=(1,))
    return seeded(build(encoder))


def save_tiny_sam2(folder: Path) -> Path:
    """A folder as transformers saves SAM 2, at 128 pixels."""
    from transformers import (
        Sam2ImageProcessor,
        Sam2VideoConfig,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoVideoProcessor,
    )

    size = {"height": 128, "width": 128}
    config = Sam2VideoConfig(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "num_attention_heads": 1,
                "image_size": [128, 128],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 2, 4, 8],
                "window_size_per_stage": [8, 4, 4, 4],
                "window_positional_embedding_background_size": [4, 4],
                "global_attention_blocks": [3],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": 256,
        },
        prompt_encoder_config={"hidden_size": 256, "image_size": 128},
        mask_decoder_config={
            "hidden_size": 256,
            "mlp_dim": 32,
            "num_attention_heads": 8,
            "iou_head_hidden_dim": 256,
        },
        image_size=128,
        memory_attention_hidden_size=256,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[8, 8],
        memory_encoder_hidden_size=256,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=256,
        memory_fuser_embed_dim=256,
        memory_fuser_intermediate_dim=32,
    )
    model = Sam2VideoModel(config)
    seeded(model)
    with torch.no_grad():  # it always says that the object is there
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(10)
    model.save_pretrained(folder)
    processor = Sam2VideoProcessor(
        Sam2ImageProcessor(size=size), Sam2VideoVideoProcessor(size=size)
    )
    processor.save_pretrained(folder)
    return folder
