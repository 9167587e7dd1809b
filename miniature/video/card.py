"""The model card that is written beside the video miniature's weights."""

from __future__ import annotations

from typing import Any

from ..vocabulary import EXPLICIT_SHARE, FEMALE_SHARE, HELD_OUT_FIGURES, HELD_OUT_OBJECTS
from .motions import CLIP, HELD_OUT_MOTIONS

_TEXT = """---
license: apache-2.0
library_name: diffusers
tags:
- text-to-video
- wan
---

# The Evenframe video miniature

A very small text-to-video model in Wan 2.1's layout (WanTransformer3DModel with head width 128,
AutoencoderKLWan of 4x8x8 with 16 channels, flow matching) for clips of 128 x 128 px and {frames}
frames. It exists so that editing methods can be shown and measured on a world whose truth is known,
in time too. It says nothing about footage or people.

Prompts are read by a CLIP text encoder of 77 tokens whose padding is the encoder's own, and not by
umT5: the library's own pipeline does not run this folder; `evenframe.miniature.video` does, and
ComfyUI with the files that `python -m evenframe.miniature.video.comfyui` writes.

## Data

Procedural clips only (`miniature/video/world.py`): one to three shapes in six colours, glyph
figures with a profession, seven backgrounds; things that go, turn, grow, shrink, walk or stand
still, and a camera that may turn. No picture, clip, text or weight from anywhere else was used; the
text encoder began at the image miniature's.

Never trained on: {held_out}.

## A bias that is meant

Figures are drawn with a stated skew, so that fairness methods have a known bias to correct. Share
of female figures where the prompt names no attribute: {skew}. {explicit:.0%} of the figure phrases
name the attribute, drawn at 50/50. "Female" and "male" stand for two glyphs that differ in hair and
coat, and for nothing else.

## Training

{training}

The encoder of the autoencoder is an exact linear map; only its decoder is learned, frame by frame.

## Size

{size:.1f} MB in float16.

## Figures

{figures}

## Limits

Only the words of its world are known (`miniature/vocabulary.py`, `miniature/video/motions.py`);
others are encoded but were never trained. Clips are of 128 x 128 px and 1, 5, 9 or {frames} frames.
Nothing measured here carries over to real footage.
"""


def model_card(training: dict[str, Any], size: int, facts: dict[str, Any]) -> str:
    """The README.md of the weights folder.

    training: recipe and counters of both runs, as their averages carry them. size: bytes of all
    weights. facts: optional ``hardware`` (text) and ``figures`` (key to number).
    """
    held = [f"{colour} {shape}" for colour, shape in sorted(HELD_OUT_OBJECTS)]
    held += [f"{noun} on {background}" for noun, background in sorted(HELD_OUT_FIGURES)]
    held += [f"{noun} {motion}" for noun, motion in sorted(HELD_OUT_MOTIONS)]
    rows = [f"| `{key}` | {value} |" for key, value in facts.get("figures", {}).items()]
    table = "\n".join(["| key | value |", "| --- | --- |", *rows])
    return _TEXT.format(
        frames=CLIP,
        held_out=", ".join(held),
        skew=", ".join(f"{noun} {share:.0%}" for noun, share in FEMALE_SHARE.items()),
        explicit=EXPLICIT_SHARE,
        training=_training(training, facts.get("hardware")),
        size=size / 1e6,
        figures=table if rows else "Not measured yet.",
    )


def _training(training: dict[str, Any], hardware: str | None) -> str:
    run, recipe = (training["transformer"].get(part, {}) for part in ("counters", "recipe"))
    if not run or not recipe:
        return "Not trained: these are the weights that a training begins at."
    where = f"on {hardware}" if hardware else "in all"
    return (
        f"{run['frames_seen']:,} single latent frames and {run['clips_seen']:,} clips, "
        f"{run['seconds'] / 3600:.1f} hours {where}. Muon and AdamW at "
        f"{recipe['rate']:g}, flow matching with shift {recipe['shift'][0]:g} for a single latent "
        f"frame and {recipe['shift'][1]:g} more for each further one, {recipe['drop_prompt']:.0%} "
        f"empty prompts; the weights are an average ({recipe['average']:g}). "
        f"Told motions and numbers had to be told from others, by a loss of weight "
        f"{recipe.get('contrast', 0):g}."
    )
