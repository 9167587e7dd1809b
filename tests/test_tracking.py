"""Tracked regions: flow against scenes of known truth, SAM 1 and SAM 2 with tiny random weights."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import typed
from hypothesis import given
from torch import Tensor
from tracking_models import save_tiny_sam2, tiny_sam

from evenframe.miniature import demo, sample_scenes, scenes
from evenframe.nodes import node_classes
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Interrupted, Session, StandaloneHost
from evenframe.nodes.region import EvenframeDrawRegions
from evenframe.nodes.tracking import FLOW, NO_SEGMENTER, TRACKED, EvenframeTrackRegion, seen
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.grids import Box
from evenframe.pipelines.regions.region import MaskRegion, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.regions.tracking import fields, flow, layer, sam, sam2
from evenframe.pipelines.regions.tracking.drawn import Drawing, painted_masks, parse_drawing
from evenframe.pipelines.regions.tracking.track import track

SIZE = (64, 96)
SAVED = {
    "filename_prefix": "tracked",
    "format": "gif",
    "frame_rate": 0.0,
    "undo_fit": True,
    "crf": -1,
}
FRAMES, FRAME = 5, 3
"""Of the built-in clip; a mask is painted for the second."""
CIRCLE = [
    [36.8 + 25 * math.cos(angle), 53.2 + 25 * math.sin(angle)]
    for angle in (2 * math.pi * index / 48 for index in range(48))
]
"""The red circle of the built-in clip, on that frame, in pixels."""
PAINTED = json.dumps(
    {
        "version": 1,
        "unit": "pixel",
        "regions": [{"name": "circle", "words": "", "polygon": CIRCLE}],
    }
)
BOX = (10.0, 10.0, 40.0, 40.0)


def edges(**given: Any) -> dict[str, Any]:
    return {"words": "", "grow": 0, "soften": 0, **given}


def rendered(scene: scenes.Scene, frames: int = 16) -> tuple[Tensor, Tensor]:
    """Frames (f, 128, 128, 3) and true masks (items, f, 128, 128) of 0 and 1."""
    drawn = [scenes.render(scene, frame) for frame in range(frames)]
    images = torch.stack([torch.from_numpy(image) for image, _ in drawn])
    masks = torch.stack([torch.from_numpy(mask) for _, mask in drawn], dim=1)
    return images, (masks > 0.5).float()


def overlap(mask: Tensor, truth: Tensor) -> list[float]:
    """Intersection over union on every frame."""
    both, either = (mask * truth).sum((1, 2)), torch.maximum(mask, truth).sum((1, 2))
    return (both / either).tolist()


def around(mask: Tensor, margin: int = 2) -> Box:
    rows, columns = mask.nonzero().T
    low, high = -margin, margin + 1
    return (
        float(columns.min() + low),
        float(rows.min() + low),
        float(columns.max() + high),
        float(rows.max() + high),
    )


@pytest.mark.parametrize("kind, least", [("one", 0.96), ("two", 0.88), ("figure", 0.93)])
def test_a_mask_follows_what_moves(kind: str, least: float):
    scene = sample_scenes.sample_scene(np.random.default_rng(0), kind)
    frames, truth = rendered(scene)
    masks = flow.follow_masks(frames, {8: truth[0, 8]})[0]
    assert torch.equal(masks[8], truth[0, 8])
    assert set(masks.unique().tolist()) <= {0, 1}
    assert min(overlap(masks, truth[0])) > least
    still = truth[0, 8].expand_as(truth[0])
    assert min(overlap(masks, truth[0])) > min(overlap(still, truth[0])) + 0.1


def crossing() -> tuple[Tensor, Tensor]:
    """A square passes in front of a circle that stands."""
    behind = scenes.make_object("red", "circle", 64, 64, 22)
    front = scenes.make_object("blue", "square", 26, 64, 20, velocity=(4, 0))
    return rendered(scenes.compose("two", (behind, front), "gray"))


def test_what_passes_in_front_is_followed_and_what_is_hidden_is_dropped():
    frames, truth = crossing()
    front = flow.follow_masks(frames, {0: truth[1, 0]})[0]
    assert min(overlap(front, truth[1])) > 0.8
    behind = flow.follow_masks(frames, {0: truth[0, 0]})[0]
    hidden = truth[1] * truth[0, 0]  # where the square lies over the circle's place
    most = int(hidden.sum((1, 2)).argmax())
    assert (behind[most] * hidden[most]).sum() < 0.1 * hidden[most].sum()


def test_flows_that_cancel_agree():
    there, back = torch.zeros(8, 20, 2), torch.zeros(8, 20, 2)
    there[..., 0], back[..., 0] = 3, -3
    agree = fields.agree(there, back)
    assert agree[:, :17].all() and not agree[:, 17:].any(), "the rest leaves the frame"
    back[:, 10] = torch.tensor([-3, 1])  # where column 7 goes
    assert (~fields.agree(there, back)).nonzero()[:, 1].unique().tolist() == [7, 17, 18, 19]


def test_what_flow_does_not_explain_is_dropped_but_no_hole_is_left():
    was, now, still = torch.zeros(20, 40, 3), torch.zeros(20, 40, 3), torch.zeros(20, 40, 2)
    astray = still.clone()
    for columns in (slice(5, 6), slice(20, 40)):  # a line inside of the mask; its right half
        now[:, columns] = 1
        astray[:, columns] = torch.tensor([0.0, 5.0])
    astray[0, 0] = torch.tensor([0.0, 5.0])  # astray, but of the same colour
    mask = torch.zeros(20, 40)
    mask[:, :30] = 1
    followed = layer.carried(
        layer.begin(mask, was), was, now, fields.Neighbours(0, 1, astray, still)
    ).mask
    assert followed[:, :20].all() and not followed[:, 20 + layer.NEAR :].any()


def test_a_box_follows_what_moves_towards_both_ends():
    scene = sample_scenes.sample_scene(np.random.default_rng(3), "one")
    frames, truth = rendered(scene)
    boxes = flow.follow_boxes(frames, {5: around(truth[0, 5])})[0]
    assert boxes[5] == around(truth[0, 5])
    for box, mask in zip(boxes, truth[0], strict=True):
        assert np.abs(np.subtract(box, around(mask))).max() < 3


def test_a_box_grows_with_what_it_holds():
    texture = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    sides = [64, 68, 72, 76, 80]
    frames = torch.zeros(5, 128, 128, 3)
    for frame, side in zip(frames, sides, strict=True):
        low = 64 - side // 2
        sized = torch.nn.functional.interpolate(texture, (side, side), mode="bilinear")
        frame[low : low + side, low : low + side] = sized[0].permute(1, 2, 0)
    boxes = flow.follow_boxes(frames, {0: (32, 32, 96, 96)})[0]
    left, top, right, bottom = boxes[-1]
    assert right - left == pytest.approx(80, abs=3) and bottom - top == pytest.approx(80, abs=3)
    assert (left + right) / 2 == pytest.approx(64, abs=1.5)


def test_a_box_stops_at_the_edge_of_the_frame():
    item = scenes.make_object("red", "square", 100, 64, 20, velocity=(8, 0))
    frames, truth = rendered(scenes.compose("one", (item,), "gray"), frames=12)
    assert truth[0, -1].sum() == 0, "it has left"
    counted: list[int] = []
    boxes = flow.follow_boxes(frames, {0: around(truth[0, 0])}, counted.append)[0]
    assert counted == list(range(2, 13))
    assert all(left < 128 and right > left for left, _, right, _ in boxes)
    assert boxes[-1][0] > 110


def test_sampling_is_exact_at_pixels_and_empty_outside():
    image = torch.rand(5, 7, 2, generator=torch.Generator().manual_seed(0))
    points = fields.pixels(torch.zeros(5, 7, 2))
    assert torch.allclose(fields.sample(image, points), image, atol=1e-5)
    half = fields.sample(image, points + torch.tensor([0.5, 0]))
    assert torch.allclose(half[:, :-1], (image[:, :-1] + image[:, 1:]) / 2, atol=1e-5)
    assert fields.sample(image, points + 100).abs().max() == 0


@pytest.mark.parametrize("size", [(7, 40), (40, 7), (11, 11), (1, 1)])
def test_frames_too_small_for_optical_flow_are_told_before_the_work(size: tuple[int, int]):
    text = '{"version": 1, "unit": "pixel", "box": [0, 0, 1, 2]}'
    for mask in (None, torch.ones(size)):
        with pytest.raises(EvenframeError) as caught:
            EvenframeTrackRegion.execute(
                torch.rand(2, *size, 3),
                text,
                NO_SEGMENTER,
                FLOW,
                mask=mask,
                name="o",
                words="",
                grow=0,
                soften=0,
            )
        assert str(caught.value) == (
            f"The frames are {size[1]}x{size[0]} pixels, too small for optical flow: give frames "
            "of 12x12 or more, or choose SAM 2 as the tracker."
        )


@pytest.mark.parametrize("size", [(8, 12), (12, 8), (12, 12)])
def test_frames_no_smaller_are_followed(size: tuple[int, int]):
    frames = torch.rand(3, *size, 3)
    assert flow.follow_masks(frames, {0: torch.ones(size)})[0].shape == (3, *size)
    assert flow.follow_masks(frames[:1], {0: torch.ones(size)})[0].all(), "one frame has no flow"


def test_a_prompt_is_read_in_fractions_and_pixels():
    text = '{"version": 1, "frame": 2, "box": [0.25, 0, 0.5, 1], "points": [[0.5, 0.5]]}'
    assert parse_drawing(text, 3, SIZE) == Drawing(2, (24, 0, 48, 64), ((48, 32),))
    text = '{"version": 1, "unit": "pixel", "points": [[1, 2]], "outside": [[3, 4]]}'
    prompt = parse_drawing(text, 3, SIZE)
    assert (prompt.frame, prompt.coordinates(), prompt.labels()) == (0, [[1, 2], [3, 4]], [1, 0])


@pytest.mark.parametrize(
    "text, message",
    [
        ("box", "The box or points are not JSON"),
        ('{"version": 1}', "neither a box nor points"),
        ('{"version": 1, "outside": [[0, 0]]}', "neither a box nor points"),
        ('{"version": 2, "box": [0, 0, 1, 1]}', "version is 2"),
        (
            '{"version": 1, "frame": 3, "box": [0, 0, 1, 1]}',
            "frame is 3, beyond the clip: .* 0 to 2",
        ),
        (
            '{"version": 1, "box": [1.5, 0, 2, 1]}',
            r"^The box \[1.5, 0, 2, 1\] lies outside the frame, 0",
        ),
        ('{"version": 1, "box": [9, 9, 60, 40]}', 'box has 60, but the unit .* "unit": "pixel"'),
        ('{"version": 1, "box": [0.5, 0, 0.2, 1]}', "reversed or empty"),
        ('{"version": 1, "box": [NaN, 0, 1, 1]}', "no number"),
        (
            '{"version": 1, "points": [[1.2, 0]]}',
            r"points\[0\] is \[1.2, 0\], outside the frame, 0 to",
        ),
        ('{"version": 1, "points": [[20, 30]]}', r'points\[0\] has 30, but the unit .*"pixel"'),
        (
            '{"version": 1, "unit": "pixel", "points": [[20, 65]]}',
            r"points\[0\] is \[20, 65\], outside the frame of 96x64 pixels",
        ),
        ('{"version": 1, "points": [[0.5]]}', r"points\[0\] is \[0.5\]: give 2 numbers, \[x, y\]"),
        ('{"version": 1, "bbox": [0, 0, 1, 1]}', "'bbox', which is unknown"),
    ],
)
def test_a_bad_prompt_is_refused(text: str, message: str):
    with pytest.raises(EvenframeError, match=message):
        parse_drawing(text, 3, SIZE)


@given(typed.drawings)
def test_any_text_is_a_prompt_or_said_to_be_wrong(text: str):
    prompt = typed.read_or_refused(lambda text: parse_drawing(text, 3, SIZE), text)
    assert prompt is None or prompt.box or prompt.points


def test_beside_a_mask_the_text_needs_to_say_the_frame_only():
    assert parse_drawing('{"version": 1, "frame": 2}', 3, SIZE, masked=True) == Drawing(2)
    text = '{"version": 1, "box": [0, 0, 1, 1]}'
    assert parse_drawing(text, 3, SIZE, masked=True) == Drawing(0, (0, 0, 96, 64))
    with pytest.raises(EvenframeError, match="frame is 3, beyond the clip"):
        parse_drawing('{"version": 1, "frame": 3}', 3, SIZE, masked=True)


def test_a_painted_mask_is_that_of_its_frame():
    masks = torch.zeros(3, *SIZE)
    masks[1, 10, 20:24] = torch.tensor([0.49, 0.5, 0.51, 1])
    masks[2, 30, 40] = 1
    wanted = torch.zeros(SIZE)
    wanted[10, 21:24] = 1
    for painted in (masks, masks[1:2], masks[1], masks.half()):
        assert torch.equal(painted_masks(painted, Drawing(1), 3, SIZE), wanted[None])
    assert painted_masks(masks[:1] + 1, Drawing(0), 1, SIZE).all(), "a clip of one frame"


@pytest.mark.parametrize(
    "masks, message",
    [
        (torch.ones(2, *SIZE), r"\(2, 64, 96\), but the clip has 3 frames of 96x64 .* of frame 1"),
        (torch.ones(1, 96, 64), r"shape \(1, 96, 64\), .* give a mask of frame 1, \(1, 64, 96\)"),
        (torch.ones(3, 32, 48), r"shape \(3, 32, 48\), .* one for each frame, \(3, 64, 96\)"),
        (torch.ones(1, 1, *SIZE), r"shape \(1, 1, 64, 96\)"),
        (torch.ones(96), r"shape \(96,\)"),
        (torch.ones(0, *SIZE), r"shape \(0, 64, 96\)"),
        (
            torch.zeros(1, *SIZE),
            "mask of frame 1 is empty, its largest value is 0: paint the object",
        ),
        (torch.full((3, *SIZE), 0.4), "mask of frame 1 is empty, its largest value is 0.4"),
        (torch.full((1, *SIZE), 255.0), "has values from 255 to 255: give 0 to 1"),
        (torch.full((1, *SIZE), float("nan")), "has values from nan to nan: give 0 to 1"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(masks: Tensor, message: str):
    with pytest.raises(EvenframeError, match=message):
        painted_masks(masks, Drawing(1), 3, SIZE)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    return torch.rand(4, *SIZE, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def sams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a tiny SAM 1, twice, and a tiny SAM 2."""
    pytest.importorskip("segment_anything", reason="segment-anything is not installed")
    from safetensors.torch import save_file

    models = tmp_path_factory.mktemp("models")
    tensors = tiny_sam().state_dict()
    (models / "sams").mkdir()
    torch.save(tensors, models / "sams" / "tiny.pth")
    save_file(tensors, models / "sams" / "tiny.safetensors")
    save_tiny_sam2(models / "sams" / "sam2-tiny")
    return models


def test_the_encoders_of_sam_are_recognised():
    def shapes(width: int, depth: int, heads: int, everywhere: set[int]) -> dict[str, Any]:
        reach = {index: 127 if index in everywhere else 27 for index in range(depth)}
        block = "image_encoder.blocks.{}.attn.rel_pos_h"
        return {
            "image_encoder.patch_embed.proj.weight": (width, 3, 16, 16),
            "image_encoder.pos_embed": (1, 64, 64, width),
            **{block.format(index): (reach[index], width // heads) for index in range(depth)},
        }

    published: list[tuple[int, int, int, set[int]]] = [  # vit_b, vit_l and vit_h
        (768, 12, 12, {2, 5, 8, 11}),
        (1024, 24, 16, {5, 11, 17, 23}),
        (1280, 32, 16, {7, 15, 23, 31}),
    ]
    for width, depth, heads, everywhere in published:
        encoder = sam.encoder_of(shapes(width, depth, heads, everywhere), "file")
        assert (encoder.width, encoder.depth, encoder.heads) == (width, depth, heads)
        assert set(encoder.global_blocks) == everywhere
        assert (encoder.side, encoder.patch, encoder.window) == (64, 16, 14)


def test_sam_gives_the_same_mask_from_both_kinds_of_file(sams: Path, frames: Tensor):
    prompt = Drawing(0, BOX, ((20.0, 20.0),), ((50.0, 50.0),))
    masks = [
        sam.segment(sam.load_sam(sams / "sams" / name), frames[0], prompt)
        for name in ("tiny.pth", "tiny.safetensors")
    ]
    assert masks[0].shape == SIZE and set(masks[0].unique().tolist()) == {0, 1}
    assert torch.equal(*masks)


def test_what_is_no_sam_is_refused(sams: Path, tmp_path: Path):
    from safetensors.torch import save_file

    def refused(name: str, tensors: dict[str, Tensor]) -> str:
        save_file(tensors, tmp_path / name)
        with pytest.raises(EvenframeError) as caught:
            sam.load_sam(tmp_path / name)
        return str(caught.value)

    lora = {"lora_unet_a.lora_up.weight": torch.zeros(2)}
    assert "not a SAM 1 checkpoint (it is of the kind 'lora'): choose" in refused("a.sft", lora)
    native = {"image_encoder.trunk.pos_embed": torch.zeros(2)}
    assert "(it is a SAM 2 checkpoint in its own format" in refused("b.sft", native)
    whole = dict(tiny_sam().state_dict())
    hq = whole | {"mask_decoder.hf_token.weight": torch.zeros(1, 256)}
    assert "(it is HQ-SAM)" in refused("c.sft", hq)
    whole.pop("prompt_encoder.no_mask_embed.weight")
    assert "not a SAM 1 checkpoint" in refused("d.sft", whole)
    assert "'e.sft' is not a SAM 1 checkpoint" in refused("e.sft", {"x": torch.zeros(1)})
    torch.save({"model": Path("x")}, tmp_path / "f.pth")
    with pytest.raises(EvenframeError, match="'f.pth' is a pickle that cannot be read safely"):
        sam.load_sam(tmp_path / "f.pth")
    (tmp_path / "g.pth").write_text("x" * 100)
    with pytest.raises(EvenframeError, match="'g.pth' is not a safetensors file: choose a SAM 1"):
        sam.load_sam(tmp_path / "g.pth")
    torch.save([1, 2], tmp_path / "h.pth")
    with pytest.raises(EvenframeError, match="something else than a checkpoint: choose a SAM 1"):
        sam.load_sam(tmp_path / "h.pth")
    with pytest.raises(EvenframeError, match="is a folder: choose a SAM 1 .* to the tracker"):
        sam.load_sam(tmp_path)


def test_an_empty_mask_is_refused(sams: Path, frames: Tensor):
    model = sam.load_sam(sams / "sams" / "tiny.pth")
    model.mask_threshold = 1e9
    with pytest.raises(EvenframeError, match="SAM found nothing on frame 0: draw the box closer"):
        sam.segment(model, frames[0], Drawing(0, BOX))


def test_packages_that_are_missing_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frames: Tensor
):
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(EvenframeError, match="pip install segment-anything"):
        sam.load_sam(tmp_path / "any.pth")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EvenframeError, match="pip install opencv-python`"):
        flow.follow_boxes(frames, {0: BOX})


def test_sam2_follows_from_the_prompted_frame_both_ways(sams: Path, frames: Tensor):
    model = sam2.load_sam2(sams / "sams" / "sam2-tiny")
    counted: list[int] = []
    found, sure = sam2.follow(model, frames, [Drawing(1, BOX)], None, counted.append)
    assert counted == [1, 2, 3, 4]
    assert found.shape == (4, *SIZE) and set(found.unique().tolist()) <= {0, 1}
    assert sure[1] == 1 and sure.amin() >= 0 and sure.amax() <= 1
    assert torch.equal(found, sam2.follow(model, frames, [Drawing(1, BOX)])[0])
    points = Drawing(1, None, ((20.0, 20.0),), ((60.0, 5.0),))
    pointed, _ = sam2.follow(model, frames, [points])
    assert not torch.equal(found[1], pointed[1])
    mask = torch.zeros(SIZE)
    mask[16:48, 24:72] = 1
    drawn, _ = sam2.follow(model, frames, [Drawing(1, BOX)], {1: mask})
    assert (drawn[1] - mask).abs().mean() < 0.02
    with pytest.raises(EvenframeError, match="SAM 2 found nothing on frame 1: give a larger mask"):
        sam2.follow(model, frames, [Drawing(1, BOX)], {1: torch.zeros(SIZE)})


def test_what_is_no_sam2_is_refused(sams: Path, tmp_path: Path):
    with pytest.raises(EvenframeError, match="has no readable config.json: choose a folder"):
        sam2.load_sam2(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "sam"}')
    with pytest.raises(EvenframeError, match="is a model of type 'sam': choose a folder of SAM 2"):
        sam2.load_sam2(tmp_path)
    config = sams / "sams" / "sam2-tiny" / "config.json"
    (tmp_path / "config.json").write_bytes(config.read_bytes())
    with pytest.raises(EvenframeError, match="could not be loaded .*download it again"):
        sam2.load_sam2(tmp_path)


@pytest.fixture
def session(tmp_path: Path, sams: Path) -> Iterator[Session]:
    assert isinstance(host, StandaloneHost)
    folders = Session(models=(sams,), output=tmp_path / "output", temp=tmp_path / "temp")
    with host.using(folders):
        yield folders


def tracked(frames: Tensor, segmenter: str = NO_SEGMENTER, tracker: str = FLOW, **prompt: Any):
    text = json.dumps({"version": 1, "unit": "pixel", "frame": 1, **prompt})
    return EvenframeTrackRegion.execute(
        frames, text, segmenter, tracker, **edges(name="thing", words="red circle")
    )


def graph(**changes: Any) -> workflow.Workflow:
    """The built-in clip, its red circle tracked and saved; `changes` to Track Region's inputs."""
    inputs: dict[str, Any] = {
        "frames": ["clip", 0],
        "text": '{"version": 1, "unit": "pixel", "box": [8, 19, 62, 73]}',
        "name": "thing",
        "words": "",
        "segmenter": NO_SEGMENTER,
        "tracker": FLOW,
        "grow": 0,
        "soften": 0,
    }
    nodes = {
        "clip": ("DemoClip", {"max_frames": FRAMES}),
        "paint": ("DrawRegions", {"frames": ["clip", 0], "text": PAINTED}),
        "track": ("TrackRegion", inputs | changes),
        "save": ("SaveVideo", SAVED | {"frames": ["track", 2]}),
    }
    return workflow.parse(
        {
            node_id: {"class_type": f"Evenframe{name}", "inputs": inputs}
            for node_id, (name, inputs) in nodes.items()
        }
    )


@pytest.mark.parametrize(
    "changes, file",
    [
        ({"segmenter": "tiny.pth"}, "tiny.pth"),
        ({"tracker": "sam2-tiny"}, "sam2-tiny/model.safetensors"),
        ({"tracker": "sam2-tiny"}, "sam2-tiny/processor_config.json"),
    ],
)
def test_a_replaced_model_tracks_again(session: Session, changes: dict[str, Any], file: str):
    assert isinstance(host, StandaloneHost)
    executor = Executor(host, node_classes())
    chosen, other = graph(**changes), session.models[0] / "sams" / "tiny.safetensors"
    assert "track" in executor.run(chosen).executed
    os.utime(other, (1, 1))
    assert executor.run(chosen).executed == (), "another model"
    os.utime(session.models[0] / "sams" / file, (1, 1))
    assert executor.run(chosen).executed == ("track", "save")
    os.utime(session.models[0] / "sams" / file, (2, 2))
    assert "track" in executor.run(chosen).executed


def test_without_a_model_nothing_is_looked_for(session: Session):
    fingerprint = EvenframeTrackRegion.fingerprint_inputs
    assert fingerprint(NO_SEGMENTER, FLOW, name="thing") == []
    assert fingerprint(None, None) == [], "linked, not yet known"


def test_a_painted_mask_is_followed_whatever_box_the_text_has(session: Session):
    assert isinstance(host, StandaloneHost)
    _, truth = rendered(demo.demo_scene(), FRAMES)
    executor = Executor(host, node_classes())

    def follow(**more: Any) -> tuple[Tensor, Tensor]:
        text = json.dumps({"version": 1, "frame": FRAME, **more})
        done = executor.run(graph(text=text, mask=["paint", 1])).results
        [region] = done["track"].values[0].items
        return region.masks, done["paint"].values[1]

    masks, painted = follow()
    assert torch.equal(masks[FRAME], painted[FRAME])
    assert min(overlap(masks, truth[0])) > 0.93
    assert min(overlap(masks, truth[0])) > min(overlap(painted, truth[0])) + 0.1
    assert torch.equal(masks, follow(box=[0.6, 0.4, 1, 0.8])[0])
    assert torch.equal(masks, follow(points=[[0.9, 0.9]])[0])


def test_sam2_follows_a_painted_mask(session: Session):
    assert isinstance(host, StandaloneHost)
    text = json.dumps({"version": 1, "frame": FRAME})
    chosen = graph(text=text, tracker="sam2-tiny", mask=["paint", 1])
    done = Executor(host, node_classes()).run(chosen).results
    mask, painted = done["track"].values[1], done["paint"].values[1]
    assert (mask[FRAME] - painted[FRAME]).abs().mean() < 0.02


def test_a_mask_and_a_segmenter_are_one_too_many(session: Session):
    assert isinstance(host, StandaloneHost)
    chosen = graph(segmenter="tiny.pth", mask=["paint", 1])
    with pytest.raises(EvenframeError, match="There is a mask, and the segmenter 'tiny.pth' would"):
        Executor(host, node_classes()).run(chosen)


def test_the_node_offers_what_lies_in_the_folder(session: Session):
    inputs: dict[str, Any] = {
        socket.id: socket for socket in EvenframeTrackRegion.define_schema().inputs
    }
    assert inputs["segmenter"].options == ["none", "tiny.pth", "tiny.safetensors"]
    assert inputs["tracker"].options == ["optical flow", "person", "sam2-tiny"]


@pytest.mark.parametrize("segmenter", [NO_SEGMENTER, "tiny.pth"])
@pytest.mark.parametrize("tracker", [FLOW, "sam2-tiny"])
def test_the_node_tracks_with_what_was_chosen(
    session: Session, frames: Tensor, segmenter: str, tracker: str
):
    regions, mask, picture = tracked(frames, segmenter, tracker, box=BOX).args
    [region] = regions.items
    assert (region.name, region.words, regions.frame_size) == ("thing", "red circle", SIZE)
    assert isinstance(region, MaskRegion) == ((segmenter, tracker) != (NO_SEGMENTER, FLOW))
    assert mask.shape == (4, *SIZE) and picture.shape == frames.shape
    assert mask[1].any()


def shrinking(sides: list[int]) -> Tensor:
    """Masks (f, 64, 96) of squares; a side of 0 is an empty one."""
    masks = torch.zeros(len(sides), *SIZE)
    for mask, side in zip(masks, sides, strict=True):
        mask[20 : 20 + side, 30 : 30 + side] = 1
    return masks


@pytest.mark.parametrize("grow", [0, 8])
def test_the_node_says_where_the_object_is_lost(
    session: Session, monkeypatch: pytest.MonkeyPatch, grow: int
):
    def text(sides: list[int]) -> str:
        monkeypatch.setattr(
            flow, "follow_masks", lambda *_: (shrinking(sides), torch.ones(len(sides)))
        )
        frames = torch.rand(len(sides), *SIZE, 3, generator=torch.Generator().manual_seed(1))
        prompt = '{"version": 1, "frame": 1}'
        return EvenframeTrackRegion.execute(
            frames,
            prompt,
            NO_SEGMENTER,
            FLOW,
            **edges(name="o", grow=grow),
            mask=torch.ones(SIZE),
        ).ui["text"][0]

    assert text([16, 16, 17, 6]) == "o: no words"
    names, note = text([16, 16, 5, 5, 0, 5, 0, 0]).split("\n")
    assert names == "o: no words"
    assert note == (
        "Region 'o' is empty on frames 4, 6 to 7, below 10% of its area of frame 1 on frames "
        "2 to 3, 5. If the object is seen there, add a correction on one of them, draw the box "
        "closer, or choose SAM 2."
    )
    assert "is empty on frame 0. If" in text([0, 16])
    assert "is empty on frames 2, 4, 6, 8, 10, 12 and more. If" in text([9, 9] + [0, 9] * 8)


def test_a_box_is_measured_within_the_frame(session: Session, monkeypatch: pytest.MonkeyPatch):
    boxes = [(10.0, 10.0, 40.0, 40.0), (94.0, 10.0, 124.0, 40.0)]
    monkeypatch.setattr(flow, "follow_boxes", lambda *_: (boxes, torch.ones(2)))
    text = '{"version": 1, "unit": "pixel", "box": [10, 10, 40, 40]}'
    told = EvenframeTrackRegion.execute(
        torch.rand(2, *SIZE, 3), text, NO_SEGMENTER, FLOW, **edges(name="o")
    ).ui["text"][0]
    assert "Region 'o' is below 10% of its area of frame 0 on frame 1. If" in told


def test_the_node_tells_its_editor_what_it_found(
    session: Session, frames: Tensor, monkeypatch: pytest.MonkeyPatch
):
    """Of its own region alone, in fractions of the frame; nothing where the object is not."""
    boxes = [(16.0, 16.0, 64.0, 48.0)] * len(frames)
    monkeypatch.setattr(flow, "follow_boxes", lambda *_: (boxes, torch.full((len(frames),), 0.5)))
    text = json.dumps({"version": 1, "box": [0.2, 0.2, 0.6, 0.6]})
    [told] = EvenframeTrackRegion.execute(
        frames, text, NO_SEGMENTER, FLOW, **edges(name="b", grow=4)
    ).ui[TRACKED]
    high, wide = frames.shape[1:3]
    edge = pytest.approx([16 / wide, 16 / high, 64 / wide, 48 / high], abs=1e-4)
    assert told["bounds"] == [edge] * len(frames), "as it was followed, before it grew"
    assert told["confidence"] == [0.5] * len(frames)
    masks = torch.zeros(2, *SIZE)
    masks[1, :24, 8:40] = 1
    gone = Regions((mask_region(masks, 2, SIZE, name="o", grow=3),), 2, SIZE)
    [told] = seen(torch.rand(2, *SIZE, 3), gone, 3)[TRACKED]
    edge = [8 / SIZE[1], 0, 40 / SIZE[1], 24 / SIZE[0]]
    assert told == {"bounds": [None, pytest.approx(edge, abs=1e-4)], "confidence": None}


def test_regions_go_on_top_of_others(session: Session, frames: Tensor):
    below = EvenframeDrawRegions.execute(
        frames, '{"version": 1, "regions": [{"name": "a", "box": [0, 0, 1, 1]}]}'
    )[0]
    text = json.dumps({"version": 1, "box": [0.2, 0.2, 0.6, 0.6]})
    result = EvenframeTrackRegion.execute(
        frames, text, NO_SEGMENTER, FLOW, **edges(name="b", grow=4), regions=below
    )
    assert [region.name for region in result[0].items] == ["a", "b"]


@pytest.mark.parametrize(
    ("prompt", "edges", "starts"),
    [
        (Drawing(0, BOX), {"grow": -1}, "grow of region 'o' is -1: choose 0 to 1024 pixels"),
        (Drawing(0, BOX), {"soften": 2000}, "soften of region 'o' is 2000: choose 0 to 1024"),
        (Drawing(9, BOX), {}, "frame is 9: choose a whole number from 0 to "),
        (Drawing(-1, BOX), {}, "frame is -1: choose a whole number from 0 to "),
        (Drawing(0, (40.0, 10.0, 20.0, 30.0)), {}, "The box [40, 10, 20, 30] of region 'o' is rev"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_followed(
    frames: Tensor, monkeypatch: pytest.MonkeyPatch, prompt: Drawing, edges: Any, starts: str
):
    monkeypatch.setattr(flow, "follow_boxes", lambda *_: pytest.fail("it was followed"))
    with pytest.raises(EvenframeError) as caught:
        track(frames, prompt, name="o", **edges)
    assert str(caught.value).startswith(starts)


def test_regions_of_another_clip_are_refused_before_anything_is_followed(
    session: Session, frames: Tensor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flow, "follow_boxes", lambda *_: pytest.fail("it was followed"))
    other = EvenframeDrawRegions.execute(
        frames[:1], '{"version": 1, "regions": [{"name": "a", "box": [0, 0, 1, 1]}]}'
    )[0]
    text = json.dumps({"version": 1, "box": [0.2, 0.2, 0.6, 0.6]})
    with pytest.raises(EvenframeError, match="^The regions are for 1 frames of"):
        EvenframeTrackRegion.execute(
            frames, text, NO_SEGMENTER, FLOW, **edges(name="b"), regions=other
        )


def test_points_need_a_model(session: Session, frames: Tensor):
    with pytest.raises(EvenframeError, match="Points need a model that segments: choose a SAM"):
        tracked(frames, points=[[20, 20]])


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("tracker", [FLOW, "sam2-tiny"])
def test_tracking_stops_at_the_next_frame(session: Session, tracker: str, mask: bool):
    reported: list[int] = []

    def report(label: str, done: int, total: int) -> None:
        if label == "Tracking":
            reported.append(done)
        if len(reported) == 2:
            session.cancel.set()

    assert isinstance(host, StandaloneHost)
    changes: dict[str, Any] = {"mask": ["paint", 1]} if mask else {}
    with host.using(replace(session, report=report)), pytest.raises(Interrupted):
        Executor(host, node_classes()).run(graph(tracker=tracker, **changes))
    assert reported == ([2, 3] if tracker == FLOW else [1, 2]), f"of {FRAMES}"


@pytest.mark.parametrize("when", ["read", "moved"])
@pytest.mark.parametrize(
    "choice, module, read, use",
    [
        ({"segmenter": "tiny.pth"}, sam, "load_sam", "segment"),
        ({"tracker": "sam2-tiny"}, sam2, "load_sam2", "follow"),
    ],
)
def test_a_model_that_was_loaded_is_not_used_after_an_interrupt(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    choice: dict[str, str],
    module: ModuleType,
    read: str,
    use: str,
    when: str,
):
    done: list[str] = []

    def watched(owner: Any, name: str, step: str) -> None:
        real = getattr(owner, name)

        def watch(*values: Any) -> Any:
            done.append(step)
            result = real(*values)
            if step == when:
                session.cancel.set()
            return result

        monkeypatch.setattr(owner, name, watch)

    assert isinstance(host, StandaloneHost)
    watched(module, read, "read")
    watched(host, "load", "moved")
    watched(module, use, "used")
    with pytest.raises(Interrupted):
        Executor(host, node_classes()).run(graph(**choice))
    assert done == (["read"] if when == "read" else ["read", "moved"])
