"""The pack's own socket types, and those of ComfyUI that its nodes know by name alone.

What travels on the pack's own is frozen.

CLIP: `Clip`. MODEL: `ModelHandle` of a `Model`. PROMPT: `Conditioning`. STORE: the attention
store's mode, a str. WINDOWS: `Windowing`. INVERSION: `Inversion`. TUNING: `Delta`. REGIONS:
`Regions`. CONTROLS: a tuple of controls, applied in order.
"""

from __future__ import annotations

from ..host import io

CATEGORY = "Evenframe"

Clip = io.Custom("EVENFRAME_CLIP")
Model = io.Custom("EVENFRAME_MODEL")
Prompt = io.Custom("EVENFRAME_PROMPT")
Store = io.Custom("EVENFRAME_STORE")
Windows = io.Custom("EVENFRAME_WINDOWS")
Inversion = io.Custom("EVENFRAME_INVERSION")
Tuning = io.Custom("EVENFRAME_TUNING")
Regions = io.Custom("EVENFRAME_REGIONS")
Controls = io.Custom("EVENFRAME_CONTROLS")

BoundingBox = io.Custom("BOUNDING_BOX")
BoundingBoxes = io.Custom("BOUNDING_BOXES")
