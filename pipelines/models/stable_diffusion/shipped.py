"""The configuration files that come with the package: one folder a family, one tokenizer for all.

Source: the published architectures of Stable Diffusion 1.5 and 2.1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

CONFIGS = Path(__file__).parent / "data"
# Both pad to 77 tokens; open_clip, which Stable Diffusion 2 was trained with, pads with id 0.
PADDING = {"sd15": "<|endoftext|>", "sd21": "!"}
V_PREDICTION_SAMPLE_SIZE = 96


def config(family: str, part: str) -> dict[str, Any]:
    """One part's configuration: 'unet', 'vae', 'text_encoder' or 'scheduler' of a family."""
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    return json.loads((CONFIGS / family / part / name).read_text(encoding="utf-8"))


def tokenizer(family: str) -> CLIPTokenizer:
    """CLIP's tokenizer with the family's padding."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(
        str(CONFIGS / "tokenizer"), local_files_only=True, pad_token=PADDING[family]
    )
