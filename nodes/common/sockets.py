"""The pack's own socket types. What travels on them is frozen.

CLIP: `Clip`. MODEL: `ModelHandle` of a backbone. PROMPT: `Prompt`. STORE: the attention store's
mode, a str. INVERSION: `Inversion`. CONTROLS: a tuple of controls, applied in order.
"""

from __future__ import annotations

from ..host import io

CATEGORY = "Evenframe"

Clip = io.Custom("EVENFRAME_CLIP")
Model = io.Custom("EVENFRAME_MODEL")
Prompt = io.Custom("EVENFRAME_PROMPT")
Store = io.Custom("EVENFRAME_STORE")
Inversion = io.Custom("EVENFRAME_INVERSION")
Controls = io.Custom("EVENFRAME_CONTROLS")
