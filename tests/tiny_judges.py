"""Judges with random weights in the layout of the real ones, small enough for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForQuestionAnswering,
    BlipImageProcessor,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

WORDS = ("a", "red", "blue", "circle", "square", "photo", "of", "left", "is", "it", "yes", "no")
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def save_clip(folder: Path, seed: int = 0) -> CLIPModel:
    torch.manual_seed(seed)
    text = SMALL | {"vocab_size": 600, "max_position_embeddings": 77, "eos_token_id": 1}
    vision = SMALL | {"image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    model = CLIPModel(config).eval()
    model.save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(pictures, _clip_tokenizer(folder)).save_pretrained(folder)
    return model


def _clip_tokenizer(folder: Path) -> CLIPTokenizer:
    letters = [chr(97 + at) for at in range(26)]
    signs = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    (folder / "vocab.json").write_text(json.dumps({sign: at for at, sign in enumerate(signs)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def save_dino(folder: Path) -> None:
    torch.manual_seed(1)
    ViTModel(ViTConfig(**SMALL, image_size=224, patch_size=32)).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


def save_detector(folder: Path) -> None:
    torch.manual_seed(2)
    text = SMALL | {"vocab_size": 600, "max_position_embeddings": 16}
    vision = SMALL | {"image_size": 32, "patch_size": 8}
    config = Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    pictures = Owlv2ImageProcessor(size={"height": 32, "width": 32})
    Owlv2Processor(pictures, _clip_tokenizer(folder)).save_pretrained(folder)


def save_vqa(folder: Path) -> None:
    torch.manual_seed(3)
    signs = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    text = SMALL | {
        "vocab_size": len(signs) + 2,
        "encoder_hidden_size": 16,
        "max_position_embeddings": 64,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "pad_token_id": 0,
    }
    vision = SMALL | {"image_size": 32, "patch_size": 8}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=8)
    BlipForQuestionAnswering(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(signs))
    words = BertTokenizer(str(folder / "vocab.txt"))
    pictures = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(pictures, words).save_pretrained(folder)


def save_judges(folder: Path) -> Path:
    """All of them, one folder each."""
    for name, save in (
        ("clip", save_clip),
        ("pickscore", save_clip),
        ("dino", save_dino),
        ("detector", save_detector),
        ("vqa", save_vqa),
    ):
        (folder / name).mkdir(parents=True)
        save(folder / name)
    return folder
