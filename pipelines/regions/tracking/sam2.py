"""SAM 2 on a whole clip, by transformers: from boxes, points or masks on some frames to all.

Source: "SAM 2: Segment Anything in Images and Videos" (ICLR 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.errors import EvenframeError, in_short
from ...common.pictures import to_bytes
from ...common.progress import OnFrame
from ...models.files.folder_files import header_of, part_name, read_settings
from .drawn import Drawing

if TYPE_CHECKING:
    from transformers import Sam2VideoModel, Sam2VideoProcessor

WANTED = "a folder of SAM 2 in the format of transformers, such as sam2.1-hiera-tiny"
MEMORY_BYTES = 3 * 2**30
"""Room to compute in, for the largest model at 1024 pixels."""
SETTINGS = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
)
MAX_NUMBER = 10_000
MAX_COUNT = 64
MAX_ENTRIES = 200
MAX_NESTING = 8
SHIFT = 1.0
"""By so much of a logit the cut of a mask is moved up and down, as its authors do to tell which are
stable."""
OBJECT = 1
"""The only object of a session."""


@dataclass(frozen=True, eq=False)
class Sam2:
    """model: holds the weights. processor: fits frames and prompts to its square image."""

    model: Sam2VideoModel
    processor: Sam2VideoProcessor


def load_sam2(folder: str | Path) -> Sam2:
    """Load a folder with config.json, safetensors and the processor's files. Never downloads.

    Raises EvenframeError for any other folder.
    """
    from transformers import Sam2VideoModel, Sam2VideoProcessor

    folder = Path(folder)
    _require_sam2(folder)
    for file in sorted(folder.glob("*.safetensors")):
        header_of(file, part_name(file), WANTED)
    try:
        with torch.inference_mode(False):
            loaded: Any = Sam2VideoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            model, report = loaded
        processor = Sam2VideoProcessor.from_pretrained(folder, local_files_only=True)
        _require_fitting(processor, model.config.image_size)
    except Exception as error:  # whatever the library happens to raise
        raise EvenframeError(
            f"'{folder.name}' could not be loaded ({in_short(error)}): download it again, with "
            "model.safetensors and all .json files."
        ) from error
    if report["missing_keys"]:
        raise EvenframeError(
            f"'{folder.name}' lacks {len(report['missing_keys'])} tensors of SAM 2, such as "
            f"{min(report['missing_keys'])}: download it again."
        )
    return Sam2(model.eval().requires_grad_(False), processor)


def follow(
    sam2: Sam2,
    frames: Tensor,
    drawings: Sequence[Drawing],
    given: Mapping[int, Tensor] | None = None,
    on_frame: OnFrame | None = None,
) -> tuple[Tensor, Tensor]:
    """Masks (f, h, w) of 0 and 1 on all frames, empty where it is hidden, and how sure each is.

    frames: (f, h, w, 3) in 0..1. drawings: at least one, each on a frame of its own; they are all
    what the model remembers on every other frame, before and after. given: masks (h, w) of 0 and 1
    by frame, which then stand for the boxes and points of all drawings.
    The confidence (f,) in 0..1 is the model's own, not measured against any truth: the share of its
    mask that stays where its cut is moved, times its score that the object is there; where it finds
    none, that it is not. 1 on drawn frames.
    Raises EvenframeError where nothing is found on a drawn frame.
    """
    session = _session(sam2, frames)
    size, trust = (frames.shape[1], frames.shape[2]), torch.ones(len(frames))
    for drawing in drawings:
        mask = None if given is None else given[drawing.frame]
        sam2.processor.add_inputs_to_inference_session(
            session, drawing.frame, OBJECT, **_inputs(drawing, mask)
        )
        result = sam2.model(session, frame_idx=drawing.frame)
        _require_found(_scores(result, size), drawing.frame, mask is not None)
    masks, done, start = torch.zeros(len(frames), *size), 0, min(each.frame for each in drawings)
    drawn = {each.frame for each in drawings}
    for reverse in (False, True):
        found = sam2.model.propagate_in_video_iterator(session, start, reverse=reverse)
        for result in found:
            scores = _scores(result, size)
            masks[result.frame_idx] = (scores > 0).float()
            if result.frame_idx not in drawn:
                trust[result.frame_idx] = _trust(scores, result)
            if reverse and result.frame_idx == start:
                continue  # it begins with that frame again
            done += 1
            if on_frame is not None:
                on_frame(done)
    return masks, trust


def _session(sam2: Sam2, frames: Tensor) -> Any:
    return sam2.processor.init_video_session(
        video=to_bytes(frames).permute(0, 3, 1, 2),
        inference_device=sam2.model.device,
        processing_device="cpu",
        video_storage_device="cpu",
        inference_state_device="cpu",
        dtype=sam2.model.dtype,
    )


def _scores(result: Any, size: tuple[int, int]) -> Tensor:
    """(h, w) logits of a frame's mask."""
    scores = result.pred_masks.float().cpu()  # 1 1 rows columns
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)[0, 0]


def _trust(scores: Tensor, result: Any) -> float:
    there = float(result.object_score_logits.float().sigmoid().max())
    widest = int((scores > -SHIFT).sum())
    if not (scores > 0).any():
        return 1 - there
    return there * int((scores > SHIFT).sum()) / max(widest, 1)


def _require_found(scores: Tensor, frame: int, masked: bool) -> None:
    if (scores > 0).any():
        return
    remedy = "draw the box closer around the object, or put a point on it"
    if masked:
        remedy = "give a larger mask (of a segmenter: draw its box closer), or use optical flow"
    raise EvenframeError(f"SAM 2 found nothing on frame {frame}: {remedy}.")


def _inputs(drawing: Drawing, mask: Tensor | None) -> dict[str, Any]:
    """What the processor takes: nested by image, object and point."""
    if mask is not None:
        return {"input_masks": mask}
    inputs: dict[str, Any] = {}
    if drawing.labels():
        inputs["input_points"] = [[drawing.coordinates()]]
        inputs["input_labels"] = [[drawing.labels()]]
    if drawing.box is not None:
        inputs["input_boxes"] = [[list(drawing.box)]]
    return inputs


def _require_sam2(folder: Path) -> None:
    """Refuse other folders, and settings that the library would believe too much."""
    try:
        config = _settings(folder / "config.json")
    except OSError as error:
        raise EvenframeError(
            f"'{folder.name}' has no readable config.json: choose {WANTED}."
        ) from error
    kind = config.get("model_type")
    if kind != "sam2_video":
        raise EvenframeError(f"'{folder.name}' is a model of type {kind!r:.60}: choose {WANTED}.")
    for name in SETTINGS:
        if (folder / name).exists():
            _check(part_name(folder / name), "", _settings(folder / name))


def _settings(path: Path) -> dict[str, Any]:
    path.stat()
    return read_settings(path)


def _check(file: str, key: str, value: Any, depth: int = 0) -> None:
    """Refuse numbers and lists that no model of this kind has, and the names of code to run."""
    if isinstance(value, dict | list):
        if len(value) > MAX_ENTRIES or depth > MAX_NESTING:
            raise _refusal(file, key, value)
        pairs = value.items() if isinstance(value, dict) else ((key, each) for each in value)
        for name, inner in pairs:
            _check(file, name, inner, depth + 1)
        return
    counts = "layers" in key or "blocks" in key
    if isinstance(value, int | float) and not abs(value) <= (MAX_COUNT if counts else MAX_NUMBER):
        raise _refusal(file, key, value)
    if value is not None and ("auto_map" in key or "attn_implementation" in key):
        raise _refusal(file, key, value)


def _refusal(file: str, key: str, value: Any) -> EvenframeError:
    return EvenframeError(
        f"'{file}' has {value!r:.60} as its '{key}', which no SAM 2 has: choose {WANTED}."
    )


def _require_fitting(processor: Sam2VideoProcessor, side: int) -> None:
    """Raise ValueError where pictures are made to another size than the model's."""
    for part in (processor.image_processor, processor.video_processor):
        if dict(part.size) != {"height": side, "width": side}:
            raise ValueError(f"pictures are made to {part.size}, and the model takes {side}")
