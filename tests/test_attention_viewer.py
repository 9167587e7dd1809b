"""The attention viewer: what it draws is what the maps say; a mask becomes the text of a region."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from widget_page import mounted, numbered, strip

from evenframe.pipelines.regions.text import parse_regions

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

ROWS, COLUMNS, FRAMES = 6, 8, 4
TOLD = {
    "of": "source",
    "words": ["a", "red", "circle", "red circle"],
    "chosen": 3,
    "steps": [0, 24, 49],
    "total": 50,
    "frames": FRAMES,
    "rows": ROWS,
    "columns": COLUMNS,
    "cell": [1 / COLUMNS, 1 / ROWS],
    "time_stride": 1,
}
COLOUR = """async ([x, y]) => {
  await widget.ready;
  await new Promise(done => setTimeout(done, 60));
  await widget.stage.show(widget.frames, widget.playhead.frame);
  const at = widget.stage.place([x, y]).map(v => Math.round(v * devicePixelRatio));
  return [...widget.stage.canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3); }"""
ORANGE, BLUE = (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)


def maps() -> np.ndarray:
    """A single cell is looked at: it moves with the frame, down with the word, and on with time."""
    made = np.zeros((3, 4, FRAMES, ROWS, COLUMNS), np.uint8)
    for moment in range(3):
        for word in range(4):
            for frame in range(FRAMES):
                made[moment, word, frame, 1 + word, min(7, 1 + frame + moment)] = 255
    return made


@pytest.fixture
def viewer(alone: Page, tmp_path: Path) -> Page:
    return shown(alone, tmp_path)


def shown(page: Page, folder: Path, told: dict[str, Any] | None = None, **options: Any) -> Page:
    (folder / "maps.bin").write_bytes(maps().tobytes())
    clip = strip(folder, "clip", numbered(FRAMES, 96, 128))
    every = {**TOLD, **(told or {}), "url": "/maps.bin"}
    mounted(page, "attention/viewer", "AttentionViewer", {"maps": [every], **options}, clip)
    page.evaluate("() => widget.ready")
    return page


def over(paint: tuple[int, int, int], grey: float) -> list[float]:
    """What a map of 255 makes of a grey frame."""
    return [0.7 * each + 0.3 * grey for each in paint]


def grey(frame: int) -> float:
    return 255 * numbered(FRAMES)[frame, 0, 0, 0].item()


def centre(row: int, column: int) -> list[float]:
    return [(column + 0.5) / COLUMNS, (row + 0.5) / ROWS]


def test_what_was_asked_for_is_shown_at_once(viewer: Page):
    """At the middle moment, where the cell is one further."""
    assert viewer.evaluate(COLOUR, centre(4, 2)) == pytest.approx(over(ORANGE, grey(0)), abs=4)
    assert viewer.evaluate(COLOUR, centre(2, 6)) == pytest.approx([grey(0)] * 3, abs=2)


def test_frame_and_step_choose_the_map(viewer: Page):
    viewer.evaluate("() => widget.playhead.go(2)")
    viewer.get_by_label("Step", exact=True).fill("2")
    assert viewer.evaluate(COLOUR, centre(4, 5)) == pytest.approx(over(ORANGE, grey(2)), abs=4)
    assert viewer.evaluate(COLOUR, centre(4, 2)) == pytest.approx([grey(2)] * 3, abs=2)
    assert viewer.get_by_text("50 of 50").is_visible()


def test_pointing_shows_a_word_and_a_click_keeps_it(viewer: Page):
    chip = viewer.get_by_role("button", name="red", exact=True)
    chip.hover()
    assert viewer.evaluate(COLOUR, centre(2, 2)) == pytest.approx(over(BLUE, grey(0)), abs=4)
    assert viewer.evaluate(COLOUR, centre(4, 2)) == pytest.approx([grey(0)] * 3, abs=2), "alone"
    chip.click()
    viewer.mouse.move(5, 5)
    assert viewer.evaluate(COLOUR, centre(2, 2)) == pytest.approx(over(BLUE, grey(0)), abs=4)
    assert viewer.evaluate(COLOUR, centre(4, 2)) == pytest.approx(over(ORANGE, grey(0)), abs=4)
    assert chip.get_attribute("aria-pressed") == "true"


def test_of_four_words_the_last_three_are_kept(viewer: Page):
    for name in ("a", "red", "circle"):
        viewer.get_by_role("button", name=name, exact=True).click()
    assert viewer.evaluate("() => widget.state.pinned") == ["a", "red", "circle"]
    colours = viewer.evaluate(
        "() => [...widget.chips.children].map(chip => chip.style.getPropertyValue('--chip'))"
    )
    assert len(set(colours[:3])) == 3 and colours[3] == ""


def test_the_outline_is_that_of_the_mask_as_the_node_makes_it(viewer: Page):
    """A cell at (4, 2) counts with those around it: rows 3 to 5, columns 1 to 3."""
    edge, inside = [2.5 / 8, 3 / 6], [2 / 8, 4.5 / 6]
    assert viewer.evaluate(COLOUR, edge) == pytest.approx(ORANGE, abs=6)
    assert viewer.evaluate(COLOUR, inside) != pytest.approx(ORANGE, abs=6)
    viewer.get_by_label("Threshold").fill("1")
    assert viewer.evaluate(COLOUR, edge) == pytest.approx([grey(0)] * 3, abs=2), "nothing is above"


def test_the_threshold_is_told_when_it_is_let_go(viewer: Page):
    viewer.get_by_label("Threshold").focus()
    viewer.keyboard.press("ArrowRight")
    assert viewer.evaluate("() => heard") == [{"threshold": 0.31}]


REGION = """async words => {
  let told = null;
  widget.onRegion = text => { told = text; };
  [...document.querySelectorAll("button")].find(b => b.textContent === "Mask to region").click();
  await new Promise(done => setTimeout(done, 20));
  return told; }"""


@pytest.mark.parametrize("of", ["source", "edit"])
def test_a_mask_becomes_the_text_of_a_region(alone: Page, tmp_path: Path, of: str):
    viewer = shown(alone, tmp_path, {"of": of})
    text = viewer.evaluate(REGION)
    [region] = json.loads(text)["regions"]
    assert (region["name"], region["words"]) == ("red circle", "red circle" if of == "edit" else "")
    read = parse_regions(text, FRAMES, (96, 128)).items[0].on((ROWS, COLUMNS)).cells
    wanted = torch.nn.functional.max_pool2d(
        torch.from_numpy(maps()[1, 3]).float()[:, None] / 255, 3, 1, 1
    )[:, 0]
    assert torch.equal(read.float(), wanted)


def test_frames_of_one_latent_have_its_map_and_its_box(alone: Page, tmp_path: Path):
    viewer = shown(alone, tmp_path, {"time_stride": 4})
    cells = "() => [0, 1, 4, 5, 12].map(frame => widget.seen.at(0, 0, frame).indexOf(255))"
    assert viewer.evaluate(cells) == [9, 10, 10, 11, 12]
    [region] = json.loads(viewer.evaluate(REGION))["regions"]
    assert [key["frame"] for key in region["keyframes"]] == [0, 1, 4, 5, 8, 9, 12]


def test_no_word_and_no_mask_are_said(viewer: Page):
    viewer.get_by_label("Threshold").fill("1")
    assert viewer.evaluate(REGION) is None
    assert "Nothing is above the threshold" in viewer.locator(".note").inner_text()
    viewer.get_by_role("button", name="red circle", exact=True).click()
    assert viewer.evaluate(REGION) is None
    assert "Click the words" in viewer.locator(".note").inner_text()


def test_source_and_edit_have_words_of_their_own(alone: Page, tmp_path: Path):
    edit = {**TOLD, "of": "edit", "words": ["a", "blue", "circle", "now"], "chosen": None}
    (tmp_path / "maps.bin").write_bytes(maps().tobytes())
    clips = [strip(tmp_path, name, numbered(FRAMES, 96, 128)) for name in ("before", "after")]
    both = [{**each, "url": "/maps.bin"} for each in (TOLD, edit)]
    state = {"of": "edit", "pinned": ["blue"], "step": 49, "frame": 1}
    options = {"maps": both, "state": state}
    mounted(alone, "attention/viewer", "AttentionViewer", options, *clips)
    alone.evaluate("() => widget.ready")
    assert alone.evaluate("() => widget.state") == state
    assert alone.evaluate(COLOUR, centre(2, 4)) == pytest.approx(over(ORANGE, grey(1)), abs=4)
    alone.get_by_role("button", name="Source").click()
    assert alone.evaluate("() => widget.state.pinned") == ["red circle"]


def test_the_viewer_is_for_everybody(viewer: Page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    viewer.get_by_role("button", name="red", exact=True).click()
    assert axe.run(viewer, ".evenframe").response["violations"] == []


def test_maps_on_their_way_to_a_viewer_that_is_closed_are_let_go(viewer: Page):
    failed: list[str] = []
    viewer.on("requestfailed", lambda request: failed.append(request.url.split("/")[-1]))
    viewer.route("**/maps.bin?*", lambda route: (viewer.wait_for_timeout(100), route.continue_()))
    said = viewer.evaluate("""async () => {
      const Viewer = widget.constructor, [told] = widget.maps;
      const maps = [{ ...told, url: "/maps.bin?slow" }];
      const made = new Viewer({ strips: widget.strips, maps });
      made.close();
      await made.ready;
      return made.note.textContent; }""")
    viewer.wait_for_timeout(200)
    assert said == "" and failed == ["maps.bin?slow"]


def test_maps_that_are_gone_are_said(alone: Page, tmp_path: Path):
    clip = strip(tmp_path, "clip", numbered(FRAMES))
    options = {"maps": [{**TOLD, "url": "/gone.bin"}]}
    mounted(alone, "attention/viewer", "AttentionViewer", options, clip)
    alone.evaluate("() => widget.ready")
    assert "run the node again" in alone.locator(".note").inner_text()
