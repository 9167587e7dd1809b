"""Make the pictures that Templates shows, from what the recipes give.

    python examples_workflows/pictures.py                      # all
    python examples_workflows/pictures.py "FAME one person"    # one

Each recipe is run as on the command line, after the one that saves what it loads.
Where it names a video, that is the built-in clip, or somebody drawn if it looks for people. Recipes
with nodes of ComfyUI's own are run by a server that is started for them. The picture shows the
first and the last frame, the source above the edit; of a recipe that has neither a comparison nor a
source, its video's middle frame. A recipe that needs a checkpoint keeps the picture it has.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Image
    from torch import Tensor

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
SAVED_BY = {
    "EvenframeLoadInversion": "ReAtCo long clip",
    "EvenframeLoadTuning": "Tune-A-Video shape edit",
}
"""The recipe that saves what a node loads."""
SIDE, GAP, GROUND = 256, 12, (20, 20, 20)
FRAMES, RATE = 8, 8
DEMO = "demo: "
"""How the names of built-in clips begin."""


def run(workflow: Path, folder: Path) -> Path:
    """Run a recipe in a folder; gives the comparison that it saved, or else its video."""
    for name in videos(workflow):
        write_clip(folder / "input" / name, _people(workflow))
    if not runs_here(workflow):
        return _shown(_run_in_comfyui(workflow, folder))
    for node, recipe in SAVED_BY.items():
        if named(workflow, node):
            _run(workflow.with_stem(recipe), folder)
    earlier = set(folder.rglob("*.mp4"))
    _run(workflow, folder)
    return _shown(set(folder.rglob("*.mp4")) - earlier)


def _shown(videos: Iterable[Path]) -> Path:
    """What a picture is made of."""
    found = sorted(videos)
    return next((video for video in found if "_compared_" in video.name), found[0])


def _run(workflow: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "evenframe", "run", str(workflow), "--no-cache"]
    folders = ["--input", str(folder / "input"), "--output", str(folder / "output")]
    subprocess.run([*command, *folders], check=True)


def _run_in_comfyui(workflow: Path, folder: Path) -> list[Path]:
    """The videos that a recipe saves, run by a server that has this pack."""
    sys.path.insert(0, str(ROOT / "tests"))
    from comfyui_server import ComfyServer, find_comfyui

    comfyui, reason = find_comfyui()
    if comfyui is None:
        raise SystemExit(f"{workflow.stem}: {reason}")
    with ComfyServer(comfyui, folder, {"evenframe": ROOT}).running() as server:
        done = server.run(json.loads(workflow.read_text(encoding="utf-8")))
        return [file for file in server.files(done) if file.suffix == ".mp4"]


def named(workflow: Path, node: str) -> list[str]:
    """The files that the nodes of a class name."""
    return [one["inputs"]["file"] for one in nodes(workflow) if one["class_type"] == node]


def videos(workflow: Path) -> list[str]:
    """The videos of the input folder that a recipe names."""
    return [name for name in named(workflow, "EvenframeLoadVideo") if not name.startswith(DEMO)]


def nodes(workflow: Path) -> Iterable[dict[str, Any]]:
    return json.loads(workflow.read_text(encoding="utf-8")).values()


def write_clip(path: Path, frames: Tensor | None = None) -> None:
    """Frames as a video file; the built-in clip where there are none."""
    import torch

    from evenframe.miniature.demo import scene_clip
    from evenframe.pipelines.video import save

    if frames is None:
        frames = torch.from_numpy(scene_clip("two shapes", FRAMES)[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, frames, RATE, crf=0)


def _people(workflow: Path) -> Tensor | None:
    """A clip for a recipe that looks for people; None for others."""
    sys.path.insert(0, str(ROOT / "tests"))
    from example_workflows import finds_people, walking

    graph = json.loads(workflow.read_text(encoding="utf-8"))
    return walking(FRAMES, (240, 240)) if finds_people(graph) else None


def picture(video: Path, source: Path | None = None) -> Image:
    """A square of four frames of a comparison, or of a video below its source; else one frame."""
    from evenframe.pipelines.common.pictures import to_image
    from evenframe.pipelines.video import load

    frames = load(video).frames
    if "_compared_" in video.name:
        sides = frames.chunk(2, dim=2)  # the source, the edit
    elif source is not None:
        sides = (load(source).frames, frames)
    else:
        return to_image(frames[len(frames) // 2])
    return square([[side[0], side[-1]] for side in sides])


def square(rows: list[list[Tensor]]) -> Image:
    """Two rows of two frames (h, w, 3), with a dark gap."""
    from PIL import Image

    from evenframe.pipelines.common.pictures import to_image

    whole = 2 * SIDE + GAP
    drawn = Image.new("RGB", (whole, whole), GROUND)
    for y, row in enumerate(rows):
        for x, frame in enumerate(row):
            scaled = to_image(frame).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            drawn.paste(scaled, (x * (SIDE + GAP), y * (SIDE + GAP)))
    return drawn


def runs_here(workflow: Path) -> bool:
    """Whether all of its nodes are this pack's."""
    return all(node["class_type"].startswith("Evenframe") for node in nodes(workflow))


def needs_checkpoint(workflow: Path) -> bool:
    """Whether there is a checkpoint to choose, which nobody can do here."""
    loaders = {"CheckpointLoaderSimple", "UNETLoader"}
    return any(node["class_type"] in loaders for node in nodes(workflow))


def main() -> None:
    """Make the pictures of the named recipes, or of all."""
    parser = argparse.ArgumentParser(description="Make the recipes' pictures.")
    parser.add_argument("names", nargs="*", help="recipes; all where none is named")
    shown = {path.stem.split(" - ")[0]: path for path in sorted(FOLDER.glob("*.json"))}
    names = parser.parse_args().names or shown
    for workflow in (FOLDER / "api" / f"{name}.json" for name in names):
        if not needs_checkpoint(workflow):
            with TemporaryDirectory() as folder:
                video = run(workflow, Path(folder))
                clips = [Path(folder) / "input" / name for name in videos(workflow)]
                drawn = picture(video, next(iter(clips), None))
            drawn.save(shown[workflow.stem].with_suffix(".jpg"), quality=90)
            print(workflow.stem)


if __name__ == "__main__":
    main()
