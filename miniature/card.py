"""The model card that is written beside the weights."""

from __future__ import annotations

from typing import Any

from .vocabulary import EXPLICIT_SHARE, FEMALE_SHARE, HELD_OUT_FIGURES, HELD_OUT_OBJECTS

_TEXT = """---
license: apache-2.0
library_name: diffusers
tags:
- text-to-image
- stable-diffusion
---

# The Evenframe miniature

A very small text-to-image latent diffusion model in the layout of Stable Diffusion 1.x (CLIP text
encoder, UNet2DConditionModel, AutoencoderKL with factor 8, 77 tokens, scaled-linear noise, epsilon
prediction) for pictures of 128 x 128 px. It exists so that editing methods can be shown and
measured on a world whose truth is known. It says nothing about photographs or people.

## Data

Procedural scenes only (`miniature/scenes.py`): one to three shapes in six colours, glyph figures
with a profession, seven backgrounds. No picture, text or weight from anywhere else was used.

Never trained on: {held_out}.

## A bias that is meant

Figures are drawn with a stated skew, so that fairness methods have a known bias to correct. Share
of female figures where the prompt names no attribute: {skew}. {explicit:.0%} of the figure phrases
name the attribute, drawn at 50/50. "Female" and "male" stand for two glyphs that differ in hair and
coat, and for nothing else.

## Training

{samples:,} noisy samples, the last {steps:,} steps in batches of {batch}, {hours:.1f} hours
{hardware}. The last recipe: Muon and AdamW at {rate:g}, min-SNR {snr:g} plus {noisy:g}, noise
offset {offset:g}, {drop:.0%} empty prompts; {average}. The encoder is an exact
linear map; only the decoder is learned.

Two things were taught, and did not arise by themselves: cross-attention at strides 8 and 16 px is
supervised with the scenes' masks, so words look at their objects; and the text encoder's states are
supervised with what the prompt has told so far of each thing.

## Size

{size:.1f} MB in float16. UNet widths {widths}, text width {text}. Attention maps at stride 8 px
are the ones to use for masks and regions.

## Figures

{figures}

## Limits

Only the words of its world are known (`miniature/vocabulary.py`); others are encoded but were
never trained. Pictures are of 128 x 128 px. Nothing measured here carries over to real footage.
"""


def model_card(training: dict[str, Any], size: int, facts: dict[str, Any]) -> str:
    """The README.md of the weights folder.

    training: recipe, size and counters of the run. size: bytes of all weights. facts: optional
    ``hardware`` (text) and ``figures`` (key to number).
    """
    recipe = training["recipe"]
    held = [f"{colour} {shape}" for colour, shape in sorted(HELD_OUT_OBJECTS)]
    held += [f"{noun} on {background}" for noun, background in sorted(HELD_OUT_FIGURES)]
    figures = facts.get("figures", {})
    rows = [f"| `{key}` | {value} |" for key, value in figures.items()]
    table = "\n".join(["| key | value |", "| --- | --- |", *rows])
    hardware = facts.get("hardware")
    return _TEXT.format(
        held_out=", ".join(held),
        skew=", ".join(f"{noun} {share:.0%}" for noun, share in FEMALE_SHARE.items()),
        explicit=EXPLICIT_SHARE,
        samples=training["seen"],
        steps=training["step"],
        batch=recipe["batch"],
        hours=training["seconds"] / 3600,
        hardware=f"on {hardware}" if hardware else "in all",
        rate=recipe["learning_rate"],
        snr=recipe["snr_limit"],
        noisy=recipe.get("high_noise", 0.0),
        offset=recipe["noise_offset"],
        drop=recipe["drop_prompt"],
        average=_average(recipe["average"], training.get("averaged_steps", training["step"])),
        size=size / 1e6,
        widths=tuple(training["size"]["unet"]),
        text=training["size"]["text_width"],
        figures=table if rows else "Not measured yet.",
    )


def _average(decay: float, steps: int) -> str:
    if not steps:
        return "the weights are those of the last step"
    return f"the weights are an average ({decay:g}) over the last {steps:,} steps"
