"""The fairness panel: the bar says what the text says, and writes it; wrong text is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from widget_page import mounted

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.fairness.targets import parse_shares

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

READ = """async text => {
  const { readShares } = await import("/js/fairness/shares.js");
  try { return readShares(text).map(({ name, share }) => [name, share]); }
  catch (error) { return error.message; } }"""
WIDTHS = "() => widget.bar.parts.map(part => part.getBoundingClientRect().width)"
TEXTS = "() => widget.bar.parts.map(part => part.textContent)"


def panel(page: Page, text: str, **options: Any) -> Page:
    mounted(page, "fairness/panel", "SharesPanel", {"text": text, **options})
    page.evaluate("""() => { const told = widget.bar.onChange;
      widget.bar.onChange = shares => { told(shares); widget.set(heard.at(-1)); } }""")
    return page


@pytest.mark.parametrize(
    "text",
    [
        "female: 0.5, male: 0.5",
        "female: 50\nmale: 30\nnon-binary: 20",
        " a: b : .25 ,, c: 1e-1,\n",
        "very dark-skinned: +1., light: 0",
    ],
)
def test_a_text_is_read_as_python_reads_it(alone: Page, text: str):
    assert alone.evaluate(READ, text) == [list(pair) for pair in parse_shares(text).items()]


@pytest.mark.parametrize(
    "text", ["female", "female: half", ": 0.5", "Female: 1, female: 2", "a: 0x1"]
)
def test_what_python_refuses_is_told_and_left(alone: Page, text: str):
    with pytest.raises(EvenframeError):
        parse_shares(text)
    panel(alone, text)
    assert alone.locator(".note.wrong").inner_text()
    assert not alone.locator(".shares").is_visible()
    assert alone.evaluate("() => [widget.text, heard]") == [text, []]
    alone.evaluate("() => widget.set('a: 1, b: 3')")
    assert alone.locator(".shares").is_visible() and alone.locator(".note.wrong").count() == 0


def test_segments_are_as_wide_as_their_shares(alone: Page):
    panel(alone, "female: 50, male: 30, non-binary: 20")
    assert alone.evaluate(WIDTHS) == pytest.approx([320, 192, 128], abs=1)
    assert alone.evaluate(TEXTS) == ["female 50 %", "male 30 %", "non-binary 20 %"]
    assert alone.locator(".note").inner_text() == "Scaled to 100 %"


def test_a_border_is_dragged_and_told_once_it_is_let_go(alone: Page):
    panel(alone, "female: 0.5,\n male: .30, other:0.2")
    alone.mouse.move(320, 16)
    alone.mouse.down()
    for x in (350, 420, 384):
        alone.mouse.move(x, 16)
    assert alone.evaluate("() => heard") == []
    assert alone.evaluate(TEXTS) == ["female 60 %", "male 20 %", "other 20 %"]
    alone.mouse.up()
    assert alone.evaluate("() => heard") == ["female: 0.6,\n male: 0.2, other:0.2"]
    assert parse_shares(alone.evaluate("() => heard[0]")) == {
        "female": 0.6,
        "male": 0.2,
        "other": 0.2,
    }


def test_a_border_stops_at_its_neighbours(alone: Page):
    panel(alone, "a: 0.25, b: 0.25, c: 0.5")
    alone.mouse.move(160, 16)
    alone.mouse.down()
    alone.mouse.move(600, 16)
    alone.mouse.up()
    assert alone.evaluate("() => heard") == ["a: 0.5, b: 0, c: 0.5"]


def test_keys_move_a_border(alone: Page):
    panel(alone, "a: 0.5, b: 0.5")
    alone.get_by_role("slider").focus()
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowLeft", "End", "Home"):
        alone.keyboard.press(key)
    assert alone.evaluate("() => heard") == [
        "a: 0.51, b: 0.49",
        "a: 0.61, b: 0.39",
        "a: 0.6, b: 0.4",
        "a: 1, b: 0",
        "a: 0, b: 1",
    ]
    assert alone.get_by_role("slider").get_attribute("aria-valuetext") == "a 0 %, b 100 %"


def test_a_preset_gives_even_shares(alone: Page):
    panel(alone, "a: 1", presets={"age": ["young", "middle-aged", "elderly"]})
    alone.get_by_role("combobox").select_option("age")
    [text] = alone.evaluate("() => heard")
    assert text == "young: 0.3333, middle-aged: 0.3333, elderly: 0.3334"
    assert sum(parse_shares(text).values()) == pytest.approx(1, abs=1e-9)


def test_how_far_a_prompt_is_moved(alone: Page):
    options = {"attribute": "elderly", "strength": 0.75}
    mounted(alone, "fairness/panel", "StrengthPanel", options)
    assert alone.evaluate(TEXTS) == ["as written 25 %", "elderly 75 %"]
    alone.get_by_role("slider").focus()
    alone.keyboard.press("ArrowRight")
    assert alone.evaluate("() => heard") == [0.74]


def test_the_panel_is_for_everybody(alone: Page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    shares = ", ".join(f"attribute {at}: 1" for at in range(7))
    panel(alone, shares, presets={"age": ["young"]})
    assert axe.run(alone, ".evenframe").response["violations"] == []
