"""A single-file checkpoint (Stable Diffusion 1.x, 2.x) to components, with no network.

The configuration comes with the package (`shipped.py`) and the widths from the file's own shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ..family import Prediction
from ..files import fingerprint
from ..files.sniff import Sniffed, classify, require_supported, sniff
from ..files.tensors import read_pickle, read_safetensors
from . import ldm
from .components import Components
from .compose import compose

# Spread of one normalisation bias that tells the two Stable Diffusion 2 models apart: the
# 768 px v-prediction model lies above, the 512 px epsilon model below. A rule of thumb that other
# programs use too; say `prediction` where a fine-tune defies it.
V_SIGN = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
V_SPREAD = 0.09


def load_checkpoint(
    path: str | Path, dtype: torch.dtype = torch.float32, prediction: Prediction = "auto"
) -> Components:
    """Load a checkpoint file.

    path: .safetensors, or a pickled checkpoint that `torch.load(weights_only=True)` reads.
    dtype: of the weights in memory (the VAE's: see `part_dtype`). Where the file has that type
        already, safetensors stay mapped from the disk until they are first used or moved.
    prediction: what the UNet predicts; 'auto' is epsilon for Stable Diffusion 1.x and for 2.x
        what the file says, see `guess_prediction`.

    Raises:
        EvenframeError: the file is not such a checkpoint; the first line says what it is instead.
    """
    path = Path(path)
    known = get_args(Prediction)
    if prediction not in known:
        raise EvenframeError(
            f"Unknown prediction '{prediction}': choose one of {', '.join(known)}."
        )
    found = sniff(path)
    with torch.inference_mode(False):
        if found.container == "pickle":
            tensors = read_pickle(path)
            shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
            found = Sniffed("pickle", classify(shapes), shapes)
            family = require_supported(path, found)
        else:
            family = require_supported(path, found)
            tensors = read_safetensors(path)
        if prediction == "auto":
            prediction = guess_prediction(family, tensors, found.metadata)
        return _compose(path, tensors, dtype, prediction)


def guess_prediction(
    family: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Literal["epsilon", "v_prediction"]:
    """What a UNet predicts, which its names and shapes do not show.

    In this order: the file's `modelspec.prediction_type` or architecture; a tensor named `v_pred`;
    epsilon for Stable Diffusion 1.x; for 2.x the spread of a bias (`V_SPREAD`).
    """
    stated = metadata.get("modelspec.prediction_type", "")
    if stated in ("v", "epsilon"):
        return "v_prediction" if stated == "v" else "epsilon"
    if "v_pred" in tensors or "-v2-768-v" in metadata.get("modelspec.architecture", ""):
        return "v_prediction"
    sign = tensors.get(ldm.UNET_PREFIX + V_SIGN)
    if family == "sd15" or sign is None:
        return "epsilon"
    return "v_prediction" if float(sign.float().std(correction=0)) > V_SPREAD else "epsilon"


def _compose(
    path: Path,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
    prediction: Literal["epsilon", "v_prediction"],
) -> Components:
    parts = {
        "unet": ldm.strip_prefix(tensors, ldm.UNET_PREFIX),
        "vae": ldm.strip_prefix(tensors, ldm.VAE_PREFIX),
        "text_encoder": ldm.plain_text(tensors),
    }
    try:
        return compose(
            parts,
            prediction=prediction,
            dtype=dtype,
            fingerprint=fingerprint.of_files([path], prediction),
            name=path.stem,
        )
    except EvenframeError as error:  # which knows of no file
        raise EvenframeError(f"'{path.name}': {error}") from error
