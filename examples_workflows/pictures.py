"""Make the pictures that Templates shows, from what the recipes give.

    python examples_workflows/pictures.py                      # all
    python examples_workflows/pictures.py "FAME one person"    # one

Each recipe is run as on the command line. The picture shows the first and the last frame, the
source above the edit; of a recipe that compares nothing, its video's middle frame. Recipes for
ComfyUI alone keep the picture they have.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

FOLDER = Path(__file__).resolve().parent
SIDE, GAP, GROUND = 256, 12, (20, 20, 20)


def run(workflow: Path, output: Path) -> Path:
    """Run a recipe anew; gives the comparison that it saved, or else its video."""
    command = [sys.executable, "-m", "evenframe", "run", str(workflow), "--output", str(output)]
    subprocess.run([*command, "--no-cache"], check=True)
    videos = sorted(output.rglob("*.mp4"))
    return next((video for video in videos if "_compared_" in video.name), videos[0])


def picture(video: Path) -> Image:
    """A square of four frames of a comparison; the middle frame of another video."""
    from evenframe.pipelines.pictures import to_image
    from evenframe.pipelines.video import load

    frames = load(video).frames
    if "_compared_" not in video.name:
        return to_image(frames[len(frames) // 2])
    sides = frames.chunk(2, dim=2)  # the source, the edit
    return square([[side[0], side[-1]] for side in sides])


def square(rows: list[list[Tensor]]) -> Image:
    """Two rows of two frames (h, w, 3), with a dark gap."""
    from PIL import Image

    from evenframe.pipelines.pictures import to_image

    whole = 2 * SIDE + GAP
    drawn = Image.new("RGB", (whole, whole), GROUND)
    for y, row in enumerate(rows):
        for x, frame in enumerate(row):
            scaled = to_image(frame).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            drawn.paste(scaled, (x * (SIDE + GAP), y * (SIDE + GAP)))
    return drawn


def runs_here(workflow: Path) -> bool:
    """Whether all of its nodes are this pack's."""
    graph = json.loads(workflow.read_text(encoding="utf-8"))
    return all(node["class_type"].startswith("Evenframe") for node in graph.values())


def main() -> None:
    """Make the pictures of the named recipes, or of all."""
    parser = argparse.ArgumentParser(description="Make the recipes' pictures.")
    parser.add_argument("names", nargs="*", help="recipes; all where none is named")
    names = parser.parse_args().names or sorted(path.stem for path in FOLDER.glob("*.json"))
    for workflow in (FOLDER / "api" / f"{name}.json" for name in names):
        if runs_here(workflow):
            with TemporaryDirectory() as output:
                drawn = picture(run(workflow, Path(output)))
            drawn.save(FOLDER / f"{workflow.stem}.jpg", quality=90)
            print(workflow.stem)


if __name__ == "__main__":
    main()
