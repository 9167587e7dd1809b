"""The region editor, alone on a page: what is drawn is what Python reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from widget_page import mounted, numbered, strip

from evenframe.pipelines.regions.region import BoxRegion, MaskRegion, Region
from evenframe.pipelines.regions.text import interpolate, parse_regions

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

FRAMES, SIZE = 9, (96, 128)
PROMPT = "a yellow square left of a green circle"
BOX = {"name": "one", "words": "square", "box": [0.1, 0.2, 0.4, 0.6]}
MOVING = {
    "name": "two",
    "words": "circle, whale",
    "keyframes": [
        {"frame": 0, "box": [0.5, 0.4, 0.9, 0.8]},
        {"frame": 4, "box": [0.3, 0.3, 0.7, 0.7]},
    ],
}
ORANGE, BLUE = (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)

SPOT = """([x, y]) => {
  const { stage } = widget.canvas, box = stage.element.getBoundingClientRect();
  const [left, top] = stage.place([x, y]); return [box.left + left, box.top + top] }"""
PIXEL = """([x, y]) => { const { stage } = widget.canvas, ratio = devicePixelRatio; stage.render();
  const [left, top] = stage.place([x, y]);
  const at = [Math.round(left * ratio), Math.round(top * ratio), 1, 1];
  return [...stage.canvas.getContext("2d").getImageData(...at).data].slice(0, 3) }"""


def text(*regions: dict[str, Any], **more: Any) -> str:
    return json.dumps({"version": 1, **more, "regions": list(regions)})


class Hand:
    """Somebody who draws, and counts what it takes."""

    editor = ("regions/editor", "RegionEditor")

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder, self.actions = page, folder, 0

    def mount(self, value: str, **view: Any) -> Hand:
        options = {"value": value, "words": PROMPT, "view": view}
        clip = strip(self.folder, "clip", numbered(FRAMES, *SIZE))
        mounted(self.page, *self.editor, options, clip)
        self.page.wait_for_function("() => widget.canvas.stage.picture")
        return self

    def drag(self, start: tuple[float, float], end: tuple[float, float], *keys: str) -> None:
        self.actions += 1
        mouse = self.page.mouse
        places = [self.page.evaluate(SPOT, spot) for spot in (start, end)]
        for key in keys:
            self.page.keyboard.down(key)
        mouse.move(*places[0])
        mouse.down()
        mouse.move(*places[1], steps=3)
        mouse.up()
        for key in keys:
            self.page.keyboard.up(key)

    def click(self, spot: tuple[float, float], *modifiers: Any) -> None:
        self.actions += 1
        x, y = self.page.evaluate(SPOT, spot)
        for key in modifiers:
            self.page.keyboard.down(key)
        self.page.mouse.click(x, y)
        for key in modifiers:
            self.page.keyboard.up(key)

    def press(self, name: str) -> None:
        self.actions += 1
        self.page.get_by_role("button", name=name, exact=True).locator("visible=true").click()

    def go(self, frame: int) -> None:
        """By a click on the row of the selected region."""
        self.actions += 1
        row = self.page.locator(".track.chosen").bounding_box()
        assert row is not None
        x = row["x"] + 7 + (row["width"] - 14) * frame / (FRAMES - 1)
        self.page.mouse.click(x + (9 if frame == 0 else 0), row["y"] + 2)

    @property
    def heard(self) -> list[str]:
        return self.page.evaluate("() => heard")

    @property
    def regions(self) -> list[Region]:
        """What Python makes of the text that was told last."""
        return list(parse_regions(self.heard[-1], FRAMES, SIZE).items)

    def boxes(self, at: int) -> list[list[float]]:
        region = self.regions[at]
        assert isinstance(region, BoxRegion)
        scale = region.boxes.new_tensor([SIZE[1], SIZE[0]] * 2)
        return (region.boxes / scale).tolist()

    def pixel(self, x: float, y: float) -> list[int]:
        return self.page.evaluate(PIXEL, [x, y])


@pytest.fixture
def hand(alone: Page, tmp_path: Path) -> Hand:
    return Hand(alone, tmp_path)


def near(colour: Sequence[int], wanted: Sequence[int]) -> bool:
    return all(abs(one - other) < 60 for one, other in zip(colour, wanted, strict=True))


MODEL = """async ([text, frames]) => {
  const model = await import("/js/regions/model.js");
  const state = model.parse(text);
  return [model.write(state), state.regions.map(({ keys }) =>
    frames.map(frame => model.interpolate(keys, frame)))]; }"""


def test_regions_move_as_python_says_and_are_written_as_they_were_read(alone: Page):
    triangle = [[0.5, 0.5], [0.8, 0.5], [0.7, 0.9]]
    key = {"frame": 3, "polygon": triangle}
    last = {"frame": 20, "polygon": [[x - 0.25, y] for x, y in triangle]}
    shapes = text(BOX, MOVING, {"name": 'a "b"', "grow": 3, "soften": 8, "keyframes": [key, last]})
    written, seen = alone.evaluate(MODEL, [shapes, [0, 1, 2, 3, 7, 20, 33]])
    told = json.loads(written)
    assert told.pop("unit") == "fraction" and told["regions"][2].pop("words") == ""
    assert told == json.loads(shapes)
    for keys, shown in zip(
        (
            {0: BOX["box"]},
            {key["frame"]: key["box"] for key in MOVING["keyframes"]},
            {key["frame"]: [v for point in key["polygon"] for v in point] for key in (key, last)},
        ),
        seen,
        strict=True,
    ):
        wanted = [interpolate(keys, frame) for frame in (0, 1, 2, 3, 7, 20, 33)]
        assert shown == [pytest.approx(shape) for shape in wanted]


WRONG = {
    "{": "not JSON",
    text(BOX, version=2): "version 2",
    text(BOX | {"colour": "red"}): '"colour", which is unknown',
    text(BOX | {"polygon": [[0, 0], [1, 0], [1, 1]]}): "one of box, polygon or keyframes",
    text({"name": "a", "keyframes": [{"frame": 2, "box": [0, 0, 1, 1]}] * 2}): "is not after",
    text(BOX | {"box": [0.4, 0, 0.1, 1]}): "reversed",
    text(BOX | {"box": [0, 0, 64, 64]}): "has pixels",
    text(BOX | {"box": [0, 0, None, 1]}): "no number",
}


def test_a_text_that_is_wrong_is_told_and_left_alone(hand: Hand):
    hand.mount(text(BOX))
    for wrong, said in WRONG.items():
        hand.page.evaluate("text => widget.setValue(text)", wrong)
        assert said in hand.page.locator(".note.wrong").inner_text()
        hand.drag((0.5, 0.5), (0.8, 0.8))
        hand.press("Add a box")
        assert hand.heard == [] and hand.page.evaluate("() => widget.value") == wrong
    hand.page.evaluate("text => widget.setValue(text)", text(BOX))
    assert hand.page.locator(".note").inner_text() == ""


def test_a_box_is_drawn_where_the_mouse_was(hand: Hand):
    hand.mount("")
    hand.drag((0.25, 0.3), (0.75, 0.6))
    assert len(hand.heard) == 1, "one change a gesture"
    assert hand.boxes(0) == [pytest.approx([0.25, 0.3, 0.75, 0.6], abs=0.01)] * FRAMES
    assert '"box": [' in hand.heard[0] and "keyframes" not in hand.heard[0]
    hand.page.evaluate("() => widget.select(null)")
    assert near(hand.pixel(0.5, 0.6), ORANGE)
    grey = round(255 * numbered(FRAMES)[0, 0, 0, 0].item())
    assert near(hand.pixel(0.5, 0.45), (grey,) * 3), "what is inside is seen as it is"


def test_a_box_that_is_drawn_beyond_the_border_ends_at_it(hand: Hand):
    hand.mount("")
    hand.drag((0.5, 0.3), (1.3, 0.6))
    assert hand.boxes(0)[0] == pytest.approx([0.5, 0.3, 1, 0.6], abs=0.01)


def test_delete_never_reaches_the_graph_which_would_take_the_node(hand: Hand):
    hand.mount(text(BOX), locked=["one"])
    hand.page.evaluate("""() => { window.keys = [];
      document.addEventListener("keydown", ({ key }) => window.keys.push(key)); }""")
    for selected in (0, None):
        hand.page.evaluate("index => widget.select(index)", selected)
        hand.page.locator(".stage").focus()
        hand.page.keyboard.press("Delete")
    hand.page.get_by_role("button", name="Add a box", exact=True).press("Delete")
    assert hand.page.evaluate("() => window.keys") == [] and hand.heard == []
    hand.page.keyboard.press("Escape")
    assert hand.page.evaluate("() => window.keys") == ["Escape"]


def test_what_is_being_typed_is_left_alone(hand: Hand):
    hand.mount(text(BOX))
    hand.page.locator("input.name").first.press_sequentially("x")
    hand.page.evaluate("() => widget.setWords('another prompt')")
    assert hand.page.locator("input.name").first.input_value() == "xone" and hand.heard == []
    hand.page.locator("input.name").first.press("Enter")
    assert hand.regions[0].name == "xone"
    hand.page.locator("summary").click()
    told = hand.heard[-1]
    hand.page.locator("textarea").press_sequentially(" ")
    assert hand.page.evaluate("() => [widget.value, widget.text.value]") == [told, told + " "]


def test_two_boxes_on_three_keys_tied_to_words_in_twelve_actions(hand: Hand):
    hand.mount("")
    hand.drag((0.1, 0.1), (0.3, 0.4))
    hand.press("square")
    hand.drag((0.6, 0.1), (0.9, 0.4))
    hand.press("circle")
    for frame, down in ((4, 0.3), (8, 0.6)):
        hand.go(frame)
        hand.drag((0.2, down - 0.05), (0.2, down + 0.25))
        hand.drag((0.75, down - 0.05), (0.75, down + 0.25))
    assert hand.actions <= 12
    print("actions:", hand.actions)
    assert [region.words for region in hand.regions] == ["square", "circle"]
    told = json.loads(hand.heard[-1])["regions"]
    assert [[key["frame"] for key in region["keyframes"]] for region in told] == [[0, 4, 8]] * 2
    tops = [box[1] for box in hand.boxes(0)]
    assert (tops[0], tops[4], tops[8]) == pytest.approx((0.1, 0.4, 0.7), abs=0.02)
    hand.go(4)
    hand.page.wait_for_function("() => widget.canvas.stage.shown === 4")
    hand.page.evaluate("() => widget.select(0)")
    assert near(hand.pixel(0.15, 0.4), ORANGE), "solid where it is"
    ghost = [hand.pixel(0.1 + step / 400, 0.1) for step in range(60)]
    assert sum(near(pixel, ORANGE) for pixel in ghost) > 10, "dashed where it was"


def test_handles_arrows_and_delete(hand: Hand):
    hand.mount(text(BOX))
    hand.drag((0.4, 0.6), (0.6, 0.8))
    assert hand.boxes(0)[0] == pytest.approx([0.1, 0.2, 0.6, 0.8], abs=0.01)
    before = hand.boxes(0)[0]
    for key in ("ArrowRight", "Shift+ArrowDown", "Alt+ArrowLeft"):
        hand.page.keyboard.press(key)
    assert len(hand.heard) == 4
    left, top, right, bottom = before
    moved = [left + 1 / 128, top + 8 / 96, right, bottom + 8 / 96]
    assert hand.boxes(0)[0] == pytest.approx(moved, abs=0.0004)
    hand.page.keyboard.press("Delete")
    assert hand.heard[-1] == ""


def test_an_arrow_that_is_held_is_one_gesture(hand: Hand):
    hand.mount(text(BOX))
    hand.click((0.2, 0.4))
    for _ in range(5):
        hand.page.keyboard.down("ArrowRight")
    hand.page.keyboard.up("ArrowRight")
    assert len(hand.heard) == 1
    assert hand.boxes(0)[0][0] == pytest.approx(0.1 + 5 / 128, abs=1e-4)


def test_a_click_changes_nothing_and_escape_takes_a_drag_back(hand: Hand):
    hand.mount(text(BOX))
    hand.click((0.2, 0.4))
    hand.click((0.8, 0.8))
    x, y = hand.page.evaluate(SPOT, [0.2, 0.4])
    hand.page.mouse.move(x, y)
    hand.page.mouse.down()
    hand.page.mouse.move(x + 50, y + 50)
    hand.page.keyboard.press("Escape")
    hand.page.mouse.up()
    assert hand.heard == []


def test_the_middle_button_moves_the_frame_along(hand: Hand):
    hand.mount(text(BOX))
    hand.page.evaluate("() => widget.canvas.stage.zoom(4)")
    x, y = hand.page.evaluate(SPOT, [0.5, 0.5])
    hand.page.mouse.move(x, y)
    hand.page.mouse.down(button="middle")
    hand.page.mouse.move(x + 60, y - 30, steps=3)
    hand.page.mouse.up(button="middle")
    assert hand.page.evaluate(SPOT, [0.5, 0.5]) == pytest.approx([x + 60, y - 30], abs=1)
    assert hand.heard == []


def test_a_box_stays_in_the_frame(hand: Hand):
    hand.mount(text(BOX))
    hand.drag((0.2, 0.4), (0.95, 0.95))
    assert hand.boxes(0)[0] == pytest.approx([0.7, 0.6, 1, 1], abs=0.001)


def test_a_polygon_by_points(hand: Hand):
    hand.mount(text(BOX))
    for spot in ((0.6, 0.6), (0.9, 0.6), (0.9, 0.95)):
        hand.click(spot, "Alt")
    hand.page.keyboard.press("Enter")
    assert len(hand.heard) == 1
    region = hand.regions[1]
    assert isinstance(region, MaskRegion)
    assert region.masks[0, 66, 112] == 1 and region.masks[0, 85, 80] == 0
    hand.drag((0.9, 0.95), (0.6, 0.9))
    assert json.loads(hand.heard[-1])["regions"][1]["polygon"][2] == pytest.approx(
        [0.6, 0.9], abs=0.01
    )


def test_moving_on_another_frame_sets_a_key_and_pixels_stay_pixels(hand: Hand):
    hand.mount(text(BOX | {"box": [16, 24, 48, 72]}, unit="pixel"))
    hand.page.keyboard.press("Tab")
    hand.page.evaluate("() => widget.go(6)")
    hand.drag((0.25, 0.5), (0.5, 0.5))
    told = json.loads(hand.heard[-1])
    assert told["unit"] == "pixel"
    first, second = told["regions"][0]["keyframes"]
    assert first == {"frame": 0, "box": [16, 24, 48, 72]}
    assert second["frame"] == 6 and second["box"] == pytest.approx([48, 24, 80, 72], abs=0.8)
    assert hand.boxes(0)[3] == pytest.approx([0.25, 0.25, 0.5, 0.75], abs=0.01)


def test_words_are_chosen_from_the_prompt_and_red_where_they_are_gone(hand: Hand):
    hand.mount(text(BOX, MOVING), selected=1)
    red = hand.page.locator(".chip.wrong >> visible=true")
    assert red.all_inner_texts() == ["whale"]
    hand.press("whale: not in the target prompt; remove it")
    hand.press("green")
    assert hand.regions[1].words == "circle, green"
    assert hand.page.evaluate("() => document.activeElement.dataset.word") == "green"
    hand.page.evaluate("words => widget.setWords(words)", "a blue square")
    assert red.all_inner_texts() == ["circle", "green"]
    hand.page.evaluate("() => widget.setWords(null)")
    assert red.count() == 0, "nothing is known of a prompt"


def test_the_list_orders_names_hides_and_locks(hand: Hand):
    hand.mount(text(BOX, MOVING))
    hand.page.get_by_role("button", name="Move up or down").first.focus()
    hand.page.keyboard.press("ArrowDown")
    assert [region.name for region in hand.regions] == ["two", "one"]
    grips = hand.page.get_by_role("button", name="Move up or down")
    grips.nth(1).drag_to(hand.page.get_by_label("Name").first)
    assert [region.name for region in hand.regions] == ["one", "two"]
    name = hand.page.get_by_label("Name").first
    name.fill("first")
    hand.page.get_by_label("soften").locator("visible=true").fill("9000")
    hand.page.keyboard.press("Tab")
    assert (hand.regions[0].name, hand.regions[0].soften) == ("first", 1024)
    told = len(hand.heard)
    hand.page.get_by_role("button", name="Show on the clip").first.click()
    assert near(hand.pixel(0.25, 0.6), hand.pixel(0.25, 0.95)), "hidden"
    hand.page.get_by_role("button", name="Lock").nth(1).click()
    hand.drag((0.7, 0.7), (0.6, 0.6))
    assert not any("0.4" in now for now in hand.heard[told + 1 :])
    assert parse_regions(hand.heard[-1], FRAMES, SIZE).items[1].name == "two"


def test_a_locked_region_is_only_looked_at(hand: Hand):
    hand.mount(text(BOX, MOVING), selected=1, locked=["two"])
    page = hand.page
    assert page.get_by_label("Name").nth(1).evaluate("one => one.readOnly")
    assert page.get_by_label("grow").locator("visible=true").evaluate("one => one.readOnly")
    assert page.locator(".chip:not([disabled]) >> visible=true").count() == 0
    remove = page.get_by_role("button", name="Delete this region")
    assert [one.is_disabled() for one in remove.all()] == [False, True]
    page.locator('[data-index="1"][data-at="4"]').hover()
    page.mouse.down()
    page.mouse.move(200, 600, steps=3)
    page.mouse.up()
    page.keyboard.press("Delete")
    for key in ("ArrowRight", "Delete"):
        page.locator('[data-index="1"][data-at="4"]').press(key)
    page.locator(".track.chosen").dblclick(position={"x": 100, "y": 2})
    for key in ("k", "ArrowDown", "Delete"):
        page.locator(".stage").press(key)
    page.get_by_role("button", name="Move up or down").nth(1).press("ArrowUp")
    hand.press("Add a box")
    told = json.loads(hand.heard[-1])["regions"]
    assert len(hand.heard) == 1 and told[1]["keyframes"] == MOVING["keyframes"]
    page.evaluate("() => widget.select(1)")
    page.locator(".stage").press("k")
    assert "two is locked" in page.locator(".note.wrong").inner_text()
    page.get_by_role("button", name="Show on the clip").nth(1).click()
    page.get_by_role("button", name="Lock").nth(1).click()
    page.locator(".stage").press("k")
    assert len(hand.heard) == 2, "hidden and unlocked, it is deleted and moved like any other"


def test_a_new_region_is_seen_whatever_its_name_was_before(hand: Hand):
    hand.mount("")
    hand.press("Add a box")
    hand.page.get_by_role("button", name="Show on the clip").click()
    hand.page.get_by_label("Name").fill("again")
    hand.page.keyboard.press("Tab")
    assert hand.page.evaluate("() => widget.items[0].hidden"), "by whatever name"
    hand.page.get_by_label("Name").fill("region 1")
    hand.page.keyboard.press("Tab")
    hand.press("Delete this region")
    hand.press("Add a box")
    assert hand.regions[0].name == "region 1"
    assert not hand.page.evaluate("() => widget.items[0].hidden")


def test_what_a_pointer_has_hold_of_is_its_own_until_it_is_let_go(hand: Hand):
    """Of keys only Escape is heard, of further fingers none."""
    hand.mount(text(BOX, MOVING))
    x, y = hand.page.evaluate(SPOT, [0.2, 0.4])
    hand.page.mouse.move(x, y)
    hand.page.mouse.down()
    hand.page.mouse.move(x + 20, y + 20)
    for key in ("Delete", "ArrowRight", "Alt+ArrowDown", "k"):
        hand.page.keyboard.press(key)
    hand.page.evaluate(
        """([x, y]) => widget.canvas.element.dispatchEvent(new PointerEvent("pointerdown",
        { pointerId: 7, isPrimary: false, clientX: x, clientY: y, bubbles: true }))""",
        [x, y],
    )
    hand.page.mouse.move(x + 60, y, steps=2)
    hand.page.mouse.up()
    assert len(hand.heard) == 1 and [region.name for region in hand.regions] == ["one", "two"]
    moved = 60 / hand.page.evaluate("() => widget.canvas.stage.view().scale") / 128
    wanted = [0.1 + moved, 0.2, 0.4 + moved, 0.6]
    assert hand.boxes(0)[0] == pytest.approx(wanted, abs=0.01)


def test_what_is_drawn_in_play_belongs_to_the_frame_that_was_seen(hand: Hand):
    hand.mount(text(BOX))
    hand.page.evaluate("() => { widget.playhead.rate = 20; widget.playhead.play(); }")
    hand.page.wait_for_function("() => widget.frame > 2")
    x, y = hand.page.evaluate(SPOT, [0.2, 0.4])
    hand.page.mouse.move(x, y)
    hand.page.mouse.down()
    at = hand.page.evaluate("() => widget.frame")
    hand.page.mouse.move(x + 20, y)
    hand.page.wait_for_timeout(200)
    hand.page.mouse.up()
    keys = json.loads(hand.heard[-1])["regions"][0]["keyframes"]
    assert [key["frame"] for key in keys] == [0, at]


def test_a_key_that_is_dragged_is_let_go_where_the_text_is_another(hand: Hand):
    hand.mount(text(MOVING))
    hand.page.locator('[data-at="4"]').hover()
    hand.page.mouse.down()
    hand.page.mouse.move(300, 500, steps=2)
    hand.page.evaluate("text => widget.setValue(text)", text(BOX))
    hand.page.mouse.move(400, 500, steps=2)
    hand.page.mouse.up()
    assert hand.heard == []
    assert hand.page.locator(".track button").count() == 1


def test_a_frame_of_a_clip_that_has_gone_is_not_shown(hand: Hand):
    hand.mount(text(BOX))
    hand.page.route(
        "**/00005.jpg", lambda route: (hand.page.wait_for_timeout(60), route.continue_())
    )
    shown = hand.page.evaluate("""async () => {
      const { frames } = widget;
      widget.go(5);
      const picture = frames.picture(5).catch(() => null);
      widget.setFrames(null);
      frames.close();
      await picture;
      await new Promise(done => setTimeout(done, 50));
      widget.canvas.stage.render();
      return widget.canvas.stage.picture; }""")
    assert shown is None


def test_keys_are_dragged_copied_and_deleted(hand: Hand):
    hand.mount(text(MOVING))

    def frames() -> list[int]:
        return [key["frame"] for key in json.loads(hand.heard[-1])["regions"][0]["keyframes"]]

    def drag_key(frame: int, to: int, *keys: str) -> None:
        diamond = hand.page.locator(f'[data-at="{frame}"]').bounding_box()
        row = hand.page.locator(".track").bounding_box()
        assert diamond and row
        y = row["y"] + 10
        hand.page.mouse.move(diamond["x"] + diamond["width"] / 2, y)
        for key in keys:
            hand.page.keyboard.down(key)
        hand.page.mouse.down()
        x = row["x"] + 7 + (row["width"] - 14) * to / (FRAMES - 1)
        hand.page.mouse.move(x, y, steps=4)
        hand.page.mouse.up()
        for key in keys:
            hand.page.keyboard.up(key)

    drag_key(4, 6)
    assert frames() == [0, 6]
    drag_key(6, 3, "Alt")
    assert frames() == [0, 3, 6] and len(hand.heard) == 2
    hand.page.locator('[data-at="3"]').focus()
    hand.page.keyboard.press("ArrowRight")
    assert frames() == [0, 4, 6]
    hand.page.keyboard.press("Delete")
    assert frames() == [0, 6]
    hand.page.locator(".stage").focus()
    hand.page.keyboard.press(".")
    hand.page.keyboard.press("k")
    assert frames() == [0, 1, 6]
    [_, key, _] = json.loads(hand.heard[-1])["regions"][0]["keyframes"]
    assert key["box"] == pytest.approx([0.4667, 0.3833, 0.8667, 0.7833], abs=1e-3)


def test_keys_behind_the_end_are_kept_and_said(hand: Hand):
    behind = MOVING | {
        "keyframes": [MOVING["keyframes"][0], {"frame": 16, "box": [0, 0, 0.4, 0.4]}]
    }
    hand.mount(text(behind, BOX))
    assert "two" in hand.page.locator(".note").inner_text()
    hand.page.get_by_label("Name").nth(1).fill("three")
    hand.page.keyboard.press("Tab")
    assert json.loads(hand.heard[-1])["regions"][0]["keyframes"] == behind["keyframes"]


def test_everything_has_a_name_and_can_be_reached(hand: Hand):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    hand.mount(text(BOX, MOVING), selected=1)
    hand.page.locator("summary").click()
    of_the_page = {"rules": {"page-has-heading-one": {"enabled": False}}}
    found = axe.Axe().run(hand.page, options=of_the_page)
    assert found.violations_count == 0, found.generate_report()
    hand.page.get_by_role("button", name="Add a box").focus()
    hand.page.keyboard.press("Enter")
    hand.page.locator(".stage").focus()
    hand.page.keyboard.press("ArrowUp")
    assert len(hand.heard) == 2 and len(hand.regions) == 3, "drawn and moved without a mouse"
