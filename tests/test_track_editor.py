"""Track Region's editor, alone on a page: what is drawn is what Python reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_region_editor import FRAMES, ORANGE, SIZE, Hand, near

from evenframe.pipelines.regions.tracking.drawn import Drawing, parse_drawing

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

BOX = [0.1, 0.2, 0.4, 0.6]
WHOLE = {
    "version": 1,
    "frame": 2,
    "box": BOX,
    "points": [[0.2, 0.3]],
    "outside": [[0.5, 0.5], [0.6, 0.1]],
    "corrections": [{"frame": 6, "points": [[0.5, 0.75]]}, {"frame": 0, "box": BOX}],
}


class Tracker(Hand):
    editor = ("regions/track_editor", "TrackEditor")

    @property
    def drawing(self) -> Drawing:
        """What Python makes of the text that was told last."""
        return parse_drawing(self.heard[-1], FRAMES, SIZE)

    def box(self, drawing: Drawing) -> list[float]:
        assert drawing.box is not None
        return [edge / SIZE[1 - at % 2] for at, edge in enumerate(drawing.box)]


@pytest.fixture
def hand(alone: Page, tmp_path: Path) -> Tracker:
    return Tracker(alone, tmp_path)


def tracked(hand: Tracker, lost: int = 8) -> None:
    """As a run tells it: the object moves to the right, and is lost at the end."""
    bounds = [
        None if at == lost else [0.1 + 0.05 * at, 0.2, 0.4 + 0.05 * at, 0.6] for at in range(9)
    ]
    told = {"bounds": bounds, "confidence": [1 - at / 10 for at in range(9)]}
    hand.page.evaluate("told => widget.setTracked(told)", told)


def test_a_text_is_written_as_it_was_read(hand: Tracker):
    hand.mount(json.dumps(WHOLE))
    hand.page.evaluate("() => widget.commit(widget.state)")
    assert json.loads(hand.page.evaluate("() => widget.value")) == WHOLE


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('{"version": 1, "regions": []}', "unknown"),
        ('{"version": 1, "frame": 1, "corrections": [{"frame": 1}]}', "given twice"),
        ('{"version": 1, "points": [3, 4]}', "each point is x, y"),
    ],
)
def test_a_text_that_is_wrong_is_told_and_left_alone(hand: Tracker, wrong: str, said: str):
    hand.mount(wrong)
    assert said in hand.page.locator(".note.wrong").inner_text()
    hand.drag((0.5, 0.5), (0.8, 0.8))
    hand.click((0.5, 0.5))
    assert hand.heard == [] and hand.page.evaluate("() => widget.value") == wrong


def test_a_box_and_points_on_it_and_outside(hand: Tracker):
    hand.mount("")
    hand.drag((0.2, 0.2), (0.6, 0.7))
    assert hand.box(hand.drawing) == pytest.approx([0.2, 0.2, 0.6, 0.7], abs=0.01)
    hand.click((0.3, 0.3))
    hand.click((0.8, 0.8), "Alt")
    drawing = hand.drawing
    scale = (SIZE[1], SIZE[0])
    assert drawing.points == (pytest.approx([0.3 * v for v in scale], abs=1),)
    assert drawing.outside == (pytest.approx([0.8 * v for v in scale], abs=1),)
    assert near(hand.pixel(0.307, 0.307), (0, 0x78, 0x4F))
    hand.click((0.8, 0.8))
    assert hand.drawing.outside == () and len(hand.heard) == 4
    hand.page.keyboard.press("Delete")
    assert hand.heard[-1] == ""


def test_what_was_tracked_is_dotted_and_solid_once_it_is_dragged(hand: Tracker):
    hand.mount(json.dumps({"version": 1, "frame": 0, "box": BOX}))
    tracked(hand)
    assert hand.page.locator(".track i").count() == 8
    hand.page.evaluate("() => widget.go(4)")
    hand.page.wait_for_function("() => widget.canvas.stage.shown === 4")
    edge = [hand.pixel(0.3 + step / 300, 0.6) for step in range(90)]
    assert 10 < sum(near(pixel, ORANGE) for pixel in edge) < 80, "dotted"
    hand.drag((0.45, 0.5), (0.45, 0.8))
    [correction] = hand.drawing.corrections
    assert correction.frame == 4
    assert hand.box(correction) == pytest.approx([0.3, 0.5, 0.6, 0.9], abs=0.01)
    hand.page.evaluate("() => widget.go(5)")
    hand.press("Take the dotted box as a correction here")
    assert hand.box(hand.drawing.corrections[1]) == pytest.approx([0.35, 0.2, 0.65, 0.6], abs=0.01)
    hand.page.evaluate("() => widget.go(8)")
    assert hand.page.get_by_role("button", name="Take the dotted").is_disabled()


def test_corrections_are_moved_copied_and_deleted(hand: Tracker):
    hand.mount(json.dumps(WHOLE))

    def frames() -> list[int]:
        return [each.frame for each in hand.drawing.every()]

    def press(frame: int, key: str) -> None:
        hand.page.locator(f'[data-at="{frame}"]').focus()
        hand.page.keyboard.press(key)

    press(6, "ArrowRight")
    assert frames() == [2, 7, 0]
    press(7, "Alt+ArrowLeft")
    assert frames() == [2, 7, 0, 6] and hand.drawing.corrections[2].points
    press(2, "Delete")
    assert frames() == [7, 0, 6], "the first correction is the prompt now"


def test_track_from_here_is_asked_for_and_everything_has_a_name(hand: Tracker):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    hand.mount(json.dumps(WHOLE))
    tracked(hand)
    hand.page.evaluate("() => { widget.onTrack = () => heard.push('track') }")
    hand.page.get_by_text("Track from here").click()
    assert hand.heard == ["track"]
    of_the_page: Any = {"rules": {"page-has-heading-one": {"enabled": False}}}
    found = axe.Axe().run(hand.page, options=of_the_page)
    assert found.violations_count == 0, found.generate_report()
