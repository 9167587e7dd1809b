"""Contact sheets: many small pictures with captions on one page, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .vocabulary import SIZE

_GAP, _CAPTION, _LETTERS = 6, 26, 22


def save_sheet(
    path: Path, images: NDArray[np.float32], captions: Sequence[str], columns: int = 8
) -> None:
    """Write images (n, 128, 128, 3) in 0..1 as a PNG grid, two lines of caption under each."""
    from PIL import Image, ImageDraw

    rows = -(-len(images) // columns)
    width, height = SIZE + _GAP, SIZE + _CAPTION
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = index % columns * width, index // columns * height
        pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
        sheet.paste(Image.fromarray(pixels), (x, y))
        lines = caption[:_LETTERS] + "\n" + caption[_LETTERS : 2 * _LETTERS]
        pen.multiline_text((x, y + SIZE), lines, fill="black", font_size=10, spacing=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def save_rows(
    path: Path,
    rows: Sequence[NDArray[np.float32]],
    captions: Sequence[Sequence[str]],
    shown: int = 12,
) -> None:
    """Write the first rows of pictures (n, 128, 128, 3), each with its captions, as one sheet."""
    images = np.concatenate(rows[:shown])
    save_sheet(path, images, [text for row in captions[:shown] for text in row], len(rows[0]))
