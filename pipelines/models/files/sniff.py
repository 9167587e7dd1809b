"""What a checkpoint file is, from its first bytes and its safetensors header alone.

No tensor is read and nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...common.errors import EvenframeError
from ..stable_diffusion.ldm import TEXT_PREFIXES, UNET_PREFIX, VAE_PREFIX, text_prefix
from .folder_files import WANTED, header_of, require_file


@dataclass(frozen=True)
class Sniffed:
    """What was found.

    container: 'safetensors' or 'pickle' (of a pickle nothing more is known: it was not opened).
    kind: 'sd1', 'sd2', or a kind of `REFUSALS`.
    shapes: tensor name -> shape. metadata: the file's own, text to text.
    """

    container: str
    kind: str
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


# What each kind is for people, and what to do about it.
REFUSALS: Mapping[str, str] = {
    "sdxl": f"is a Stable Diffusion XL model, which is not supported: choose {WANTED}.",
    "sdxl_refiner": f"is the refiner of Stable Diffusion XL: choose {WANTED}.",
    "sd3": f"is a Stable Diffusion 3 model, which is not supported: choose {WANTED}.",
    "flux": f"is a Flux model, which is not supported: choose {WANTED}.",
    "lora": (
        "is a LoRA, a patch and not a model: load its base model, apply the LoRA with ComfyUI's "
        "own node and adopt the result."
    ),
    "vae": "is only a VAE: choose the whole checkpoint that it belongs to.",
    "controlnet": f"is a ControlNet, which is not a model by itself: choose {WANTED}.",
    "embedding": f"is a textual-inversion embedding, not a model: choose {WANTED}.",
    "text_encoder": "is only a text encoder: choose the whole checkpoint that it belongs to.",
    "unet": (
        "is only a UNet, without text encoder or VAE: choose the whole checkpoint, or load the "
        "three parts in ComfyUI and adopt them."
    ),
    "diffusers_part": (
        "is one part of a model folder in the diffusers layout: choose the folder instead (the one "
        "that holds model_index.json)."
    ),
    "video_unet": f"is a video diffusion model, which is not supported: choose {WANTED}.",
    "inpainting": (
        "is an inpainting, depth or instruction model (its UNet takes {channels} input channels "
        f"and not 4): choose {WANTED}, the ordinary text-to-image one."
    ),
    "no_text_encoder": (
        "has no CLIP text encoder inside: choose the complete checkpoint, or load the parts in "
        "ComfyUI and adopt them."
    ),
    "no_vae": (
        "has no VAE inside: choose the complete checkpoint, or load the parts in ComfyUI and adopt "
        "them."
    ),
    "other": f"is not a model that is known here: choose {WANTED}.",
}


def sniff(path: str | Path, wanted: str = WANTED) -> Sniffed:
    """Say what a checkpoint file is. wanted: what an error says to choose instead.

    Raises:
        EvenframeError: no such file, a folder, empty, truncated, or not a safetensors file.
    """
    path = Path(path)
    require_file(path)
    with path.open("rb") as file:
        start = file.read(512)
    if _is_pickle(start):
        return Sniffed("pickle", "pickle")
    _refuse_others(path, start, wanted)
    header = header_of(path, wanted=wanted)
    return Sniffed("safetensors", classify(header.shapes), header.shapes, header.metadata)


def require_supported(path: str | Path, found: Sniffed) -> str:
    """The family, 'sd15' or 'sd21', of a file that can be loaded; an error for any other."""
    if found.kind in ("sd1", "sd2"):
        return {"sd1": "sd15", "sd2": "sd21"}[found.kind]
    convolution = found.shapes.get(UNET_PREFIX + "input_blocks.0.0.weight", ())
    reason = REFUSALS[found.kind].replace("{channels}", str(*convolution[1:2]))
    raise EvenframeError(f"'{Path(path).name}' {reason}")


def classify(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The kind of model that tensors of these names and shapes make up."""
    if UNET_PREFIX + "input_blocks.0.0.weight" not in shapes:
        return _classify_part(shapes)
    if any("time_mixer" in key or "time_stack" in key or "temporal" in key for key in shapes):
        return "video_unet"
    widths = {shape[-1:] for key, shape in shapes.items() if key.endswith("attn2.to_k.weight")}
    if widths == {(2048,)}:
        return "sdxl"
    if widths == {(1280,)}:
        return "sdxl_refiner"
    if widths not in ({(768,)}, {(1024,)}):
        return "other"
    if shapes[UNET_PREFIX + "input_blocks.0.0.weight"][1:2] != (4,):
        return "inpainting"
    has_vae = any(key.startswith(VAE_PREFIX) for key in shapes)
    if text_prefix(shapes) is None:
        return "no_text_encoder" if has_vae else "unet"
    if not has_vae:
        return "no_vae"
    return "sd1" if widths == {(768,)} else "sd2"


_LORA_SIGNS = ("lora_up", "lora_down", "lora_A", "lora_B", "hada_w1", "lokr_w", "lora.up", "dora_")


def _classify_part(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Files without a Stable Diffusion UNet in checkpoint naming."""
    if any(sign in key for key in shapes for sign in _LORA_SIGNS):
        return "lora"
    names = {key.removeprefix(UNET_PREFIX) for key in shapes}

    def any_starts(*starts: str) -> bool:
        return any(name.startswith(starts) for name in names)

    if any_starts("control_model.", "controlnet_cond_embedding."):
        return "controlnet"
    if any_starts("double_blocks.", "single_transformer_blocks."):
        return "flux"
    if any_starts("joint_blocks."):
        return "sd3"
    if any_starts("emb_params", "string_to_param", "clip_g", "clip_l") and len(names) <= 4:
        return "embedding"
    if any_starts("input_blocks."):
        return "unet"
    if any_starts("down_blocks.", "encoder.down_blocks.", "decoder.up_blocks."):
        return "diffusers_part"
    if any_starts("encoder.down.", "decoder.up.", VAE_PREFIX):
        return "vae"
    if any_starts("text_model.", *TEXT_PREFIXES):
        return "text_encoder"
    return "other"


def _is_pickle(start: bytes) -> bool:
    """A zip archive (torch.save today) or a bare pickle (torch.save before 1.6).

    A safetensors file may begin with the same two bytes: the length of its header, below 2^32, in
    eight bytes. A pickle goes on with opcodes, never with four zeros there.
    """
    is_bare = start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5")
    return start.startswith(b"PK\x03\x04") or (is_bare and start[4:8] != bytes(4))


def _refuse_others(path: Path, start: bytes, wanted: str) -> None:
    text = start.lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        raise EvenframeError(
            f"'{path.name}' is a Git LFS pointer, not the model itself: fetch it with "
            "`git lfs pull`, or download the file."
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise EvenframeError(
            f"'{path.name}' is a web page, not a model: the download went wrong (often a login or "
            "licence page). Download it again."
        )
    if start.startswith(b"GGUF"):
        raise EvenframeError(f"'{path.name}' is a quantized GGUF model: choose {wanted}.")
