"""SAM 1 on one frame: from a box or points to a mask.

Source: "Segment Anything" (ICCV 2023), by the package `segment-anything`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from ...common.errors import EvenframeError, in_short
from ...common.pictures import to_bytes
from ...models.files.sniff import classify, sniff
from ...models.files.tensors import read_pickle, read_safetensors
from . import packages
from .drawn import Drawing

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

WANTED = "a SAM 1 checkpoint (sam_vit_b, sam_vit_l or sam_vit_h)"
ENCODER = "image_encoder."
PATCH = ENCODER + "patch_embed.proj.weight"
SIGNS = {
    "image_encoder.trunk.": "a SAM 2 checkpoint in its own format; its folder in the format of "
    "transformers goes to the tracker",
    "image_encoder.layers.": "MobileSAM",
    "mask_decoder.hf_token.": "HQ-SAM",
    "vision_encoder.": "a model in the format of transformers",
}
"""Beginnings of names that only relatives of SAM 1 have."""
MAX_DEPTH = 64
MAX_PIXELS = 4096
"""Real ones have 12 to 32 blocks and 1024 pixels."""
COLOURS = {"pixel_mean": (123.675, 116.28, 103.53), "pixel_std": (58.395, 57.12, 57.375)}
"""What pictures are scaled by: of ImageNet, in no file."""
MEMORY_BYTES = 6 * 2**30
"""Room to compute in: two copies of the largest model's attention maps, with some to spare."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Encoder:
    """The image encoder of a file. side: of its square image, in patches of `patch` pixels."""

    width: int
    depth: int
    heads: int
    patch: int
    side: int
    window: int
    global_blocks: tuple[int, ...]


def load_sam(path: str | Path) -> Sam:
    """Load a checkpoint: safetensors, or a pickle that holds nothing but tensors.

    Raises EvenframeError where the file is something else or the package does not work.
    """
    path = Path(path)
    packages.require(packages.SAM)
    if path.is_dir():
        raise EvenframeError(
            f"'{path.name}' is a folder: choose {WANTED}, a single file. A folder of SAM 2 goes to "
            "the tracker."
        )
    is_pickle = sniff(path, WANTED).container == "pickle"
    with torch.inference_mode(False):
        tensors = read_pickle(path, WANTED) if is_pickle else read_safetensors(path)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        encoder = encoder_of(shapes, path.name)
        try:
            with torch.device("meta"):  # what the file only promises is never allocated
                sam = build(encoder)
            sam.load_state_dict({name: t.float() for name, t in tensors.items()}, assign=True)
        except (RuntimeError, ValueError, ArithmeticError) as error:
            raise _refusal(path.name, shapes, in_short(error)) from error
        for name, values in COLOURS.items():
            sam.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
    return sam.eval().requires_grad_(False)


def encoder_of(shapes: Shapes, file: str) -> Encoder:
    """What a file's tensors say of its image encoder. Raises EvenframeError where it has none."""
    try:
        width, _, patch, _ = shapes[PATCH]
        side = shapes[ENCODER + "pos_embed"][1]
        block = ENCODER + "blocks.{}.attn.rel_pos_h"
        depth = len([name for name in shapes if name.endswith(".attn.rel_pos_h")])
        if depth > MAX_DEPTH or side * patch > MAX_PIXELS:
            raise ValueError(f"{depth} blocks, {side * patch} pixels")
        reaches = [shapes[block.format(index)] for index in range(depth)]
        heads = width // reaches[0][1]
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise _refusal(file, shapes, "it has no such image encoder") from error
    # A block that looks at n patches along a side knows 2n - 1 distances.
    globally = tuple(index for index, (reach, _) in enumerate(reaches) if reach == 2 * side - 1)
    windows = [(reach + 1) // 2 for reach, _ in reaches if reach != 2 * side - 1]
    return Encoder(width, depth, heads, patch, side, max(windows, default=0), globally)


def segment(sam: Sam, frame: Tensor, drawing: Drawing) -> Tensor:
    """The mask (h, w) of 0 and 1 of what is drawn on a frame (h, w, 3) in 0..1.

    Of a single point, which may mean a part or the whole, SAM gives three masks: the one that it
    trusts most. Raises EvenframeError where it finds nothing.
    """
    import numpy as np
    from segment_anything import SamPredictor

    predictor = SamPredictor(sam)
    predictor.set_image(to_bytes(frame).numpy())
    labels = drawing.labels()
    masks, scores, _ = predictor.predict(
        point_coords=np.array(drawing.coordinates()) if labels else None,
        point_labels=np.array(labels) if labels else None,
        box=None if drawing.box is None else np.array(drawing.box),
        multimask_output=drawing.box is None and len(labels) == 1,
    )
    mask = torch.as_tensor(masks[int(np.argmax(scores))]).float()
    if not mask.any():
        raise EvenframeError(
            f"SAM found nothing on frame {drawing.frame}: draw the box closer around the object, "
            "or put a point on it."
        )
    return mask


def build(encoder: Encoder) -> Sam:
    """An empty model. Apart from the image encoder, all that were published are alike."""
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    pixels, channels = encoder.side * encoder.patch, 256
    return Sam(
        ImageEncoderViT(
            img_size=pixels,
            patch_size=encoder.patch,
            embed_dim=encoder.width,
            depth=encoder.depth,
            num_heads=encoder.heads,
            out_chans=channels,
            norm_layer=cast(type[torch.nn.Module], partial(torch.nn.LayerNorm, eps=1e-6)),
            use_rel_pos=True,
            window_size=encoder.window,
            global_attn_indexes=encoder.global_blocks,
        ),
        PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(encoder.side, encoder.side),
            input_image_size=(pixels, pixels),
            mask_in_chans=16,
        ),
        MaskDecoder(
            transformer_dim=channels,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=channels, num_heads=8, mlp_dim=2048
            ),
        ),
    )


def _refusal(file: str, shapes: Shapes, reason: str) -> EvenframeError:
    found = [what for sign, what in SIGNS.items() if any(n.startswith(sign) for n in shapes)]
    kind = classify(shapes).replace("_", " ")
    what = found[0] if found else None if kind == "other" else f"of the kind '{kind}'"
    told = f"it is {what}" if what else reason
    return EvenframeError(f"'{file}' is not a SAM 1 checkpoint ({told}): choose {WANTED}.")
