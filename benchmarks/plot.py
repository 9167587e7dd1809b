"""A small plot of shares with their intervals. Needs nothing but Pillow."""

from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, FOOT, TOP = 480, 300, 44, 62, 30
INK, BAR, GRID = (40, 40, 40), (90, 140, 210), (225, 225, 225)


def plot_shares(
    path: Path, title: str, bars: Sequence[tuple[str, float, float, float]], axis: str
) -> None:
    """Write a bar for each (label, share, low, high), shares in 0..1. axis: below the labels."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    room = HEIGHT - FOOT - TOP

    def y(share: float) -> float:
        return TOP + room * (1 - share)

    draw.text((LEFT, 8), title, fill=INK)
    for tenth in range(0, 11, 2):
        draw.line([(LEFT, y(tenth / 10)), (WIDTH - 10, y(tenth / 10))], fill=GRID)
        draw.text((14, y(tenth / 10) - 6), f"{tenth / 10:.1f}", fill=INK)
    step = (WIDTH - 10 - LEFT) / len(bars)
    for index, (label, share, low, high) in enumerate(bars):
        middle = LEFT + step * (index + 0.5)
        draw.rectangle([middle - step / 4, y(share), middle + step / 4, y(0)], fill=BAR)
        draw.line([(middle, y(low)), (middle, y(high))], fill=INK, width=2)
        for end in (low, high):
            draw.line([(middle - 5, y(end)), (middle + 5, y(end))], fill=INK, width=2)
        draw.text((middle, HEIGHT - FOOT + 6), label, fill=INK, anchor="ma", align="center")
    draw.text((LEFT + (WIDTH - LEFT) / 2, HEIGHT - 18), axis, fill=INK, anchor="ma")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
