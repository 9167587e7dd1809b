"""`evenframe demo`: edit the built-in clip with the built-in model, and keep the rest of it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ..miniature.demo import DemoEdit
    from ..pipelines.controls.fatezero.fusion import Fusion
    from ..pipelines.models.model import Model
    from ..pipelines.source.inversion import Inversion
    from ..pipelines.video import Film

# Half of FateZero's 50 steps and a third of its guidance of 7.5: enough for the built-in model,
# which more guidance only makes harsher.
FRAMES, FRAME_RATE, STEPS, GUIDANCE = 8, 8, 25, 2.5
KEY_FRAMES = "mid"
NAME = "demo"
EDITED = ("red", "circle")
GROW, FEATHER = 2, 4
"""Of the region that these words have, in pixels: it is made of coarse cells, which hold the
shape with room to spare."""
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Result:
    """What the demo made: frames (f, h, w, 3) in 0..1, and the settings and figures to report.

    kept: the source, with `edited` in the region of the words alone.
    """

    source: Tensor
    edited: Tensor
    kept: Film
    settings: dict[str, Any]
    figures: dict[str, float | int | str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--video-model",
        action="store_true",
        help="edit with the built-in video model, which sees a clip as a whole",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output/demo"), metavar="DIR", help="where results go"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="compute everything anew, as the demo always does"
    )


def run(options: argparse.Namespace) -> int:
    """Edit, write a video, a sheet and a JSON file, and print where they are."""
    from .. import miniature
    from ..miniature import demo, video
    from ..miniature.video import demo as video_demo
    from ..nodes.host.folders import check_new
    from ..pipelines.models.families import load

    check_new(options.output, NAME, ".mp4")  # rather now than after the edit
    if options.video_model:
        shown, model = video_demo.demo_edit(), load(video.NAME)
    else:
        shown, model = demo.demo_edit(FRAMES), load(miniature.NAME)
    result = edit_clip(model, STEPS, console.progress(), shown)
    files = write(result, options.output)
    print(f"{result.settings['source_prompt']}\n  -> {result.settings['target_prompt']}")
    print(console.table(result.figures))
    region = " ".join(EDITED)
    print(f"kept             outside of '{region}': equal to the source, before encoding")
    for what, path in files.items():
        print(f"{what:<16} {path}")
    return 0


def edit_clip(model: Model, steps: int, report: Report, shown: DemoEdit) -> Result:
    """Invert a built-in clip, check the inversion, and edit it with FateZero's fusion."""
    import torch

    from ..pipelines.editing import edit
    from ..pipelines.source.inversion import invert
    from ..pipelines.source.reconstruction import checked, compare

    before, after = shown.source, shown.target
    source, fusion, seconds = torch.from_numpy(shown.frames), recolouring(), {}
    settings = {"steps": steps, "key_frames": KEY_FRAMES, "guidance_scale": GUIDANCE}

    @contextmanager
    def part(name: str, label: str) -> Iterator[Callable[[Any], None]]:
        start = time.perf_counter()
        yield lambda step: report(label, step.done, step.total)
        seconds[f"seconds.{name}"] = round(time.perf_counter() - start, 2)

    with part("inversion", "Inverting") as told:
        inversion = invert(model, source, before, steps=steps, keyframes=KEY_FRAMES, on_step=told)
    with part("check", "Checking") as told:
        inversion = checked(model, inversion, told)
        _, rebuilt = compare(model, inversion, source)
    with part("edit", "Editing") as told:
        how = {"controls": [fusion], "guidance_scale": GUIDANCE, "on_step": told}
        edited = model.codec.decode(edit(model, inversion, after, **how))
    prompts = {"model": model.name, "source_prompt": before, "target_prompt": after}
    pasted = {"words": EDITED, "grow": GROW, "feather": FEATHER}
    used = {"attention": inversion.mode, "fusion": asdict(fusion), "pasted": pasted}
    psnr = {"reconstruction_psnr_db": rebuilt, "kept_psnr_db": kept_psnr(shown, edited)}
    return Result(
        source,
        edited,
        only_words(model, inversion, source, edited),
        prompts | {"frames": len(source)} | settings | used,
        {name: round(value, 2) for name, value in psnr.items()} | seconds,
    )


def recolouring() -> Fusion:
    """The settings of Attention Fusion by which a shape gets another colour."""
    from ..pipelines.controls.fatezero.fusion import Fusion
    from ..pipelines.controls.span import Span

    # A colour changes no outline: attention is the source's, and the mask is for the latents, which
    # are the clip's outside it to the end.
    return Fusion(
        "replace",
        cross_steps=0.9,
        self_steps=0.9,
        blend_words=EDITED,
        self_blend=False,
        latent_blend=True,
        blend_window=Span(0.2, 1.0),
    )


def only_words(model: Model, inversion: Inversion, source: Tensor, edited: Tensor) -> Film:
    """The source, with the edit where the model sees the words in it: elsewhere equal to it."""
    from ..pipelines.pasting.edge import Edge
    from ..pipelines.pasting.only_there import only_there
    from ..pipelines.regions.region import mask_region
    from ..pipelines.regions.regions import Regions
    from ..pipelines.source.inspection import look
    from ..pipelines.video import clip_from_images

    frames, size = len(source), (source.shape[1], source.shape[2])
    seen = look(model, inversion, EDITED).mask
    region = mask_region(seen, frames, size, name=" ".join(EDITED), grow=GROW)
    clip = clip_from_images(source, FRAME_RATE, source="built-in clip")
    return only_there(clip, edited, Regions((region,), frames, size), Edge(feather=FEATHER))


def kept_psnr(shown: DemoEdit, edited: Tensor) -> float:
    """PSNR of what the prompt does not mention changing: all pixels but the edited shape's.

    Of the edit as the editor gave it: in what is saved, most of these are the source's own.
    """
    import torch

    from ..pipelines.measure.psnr import psnr

    # A ring around the shape is left out too: its edge is softened over a few pixels.
    near = torch.nn.functional.max_pool2d(torch.from_numpy(shown.masks), 9, stride=1, padding=4)
    kept = near == 0
    return psnr(edited[kept], torch.from_numpy(shown.frames)[kept])


def write(result: Result, folder: Path) -> dict[str, Path]:
    """Write the video, the sheet and the JSON file under a new number; give their paths."""
    import torch

    from .. import __version__
    from ..nodes.host.folders import numbered
    from ..pipelines.common.pictures import sheet
    from ..pipelines.common.whole_file import write_new
    from ..pipelines.video import save
    from ..pipelines.video.film import images

    video = save(numbered(folder, NAME, ".mp4"), result.kept)
    before, after = (result.settings[f"{which}_prompt"] for which in ("source", "target"))
    picture = sheet([(before, result.source), (after, images(result.kept))])
    versions = {"evenframe": __version__, "torch": torch.__version__}
    told = {"settings": result.settings, "figures": result.figures, "versions": versions}
    text = json.dumps(told, indent=2) + "\n"
    return {
        "video": video,
        "before and after": write_new(video.with_suffix(".png"), picture.save),
        "figures": write_new(
            video.with_suffix(".json"), lambda path: path.write_text(text, encoding="utf-8")
        ),
    }
