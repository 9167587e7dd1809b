"""What the widgets are made of, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from comfyui_server import ROOT
from widget_page import mounted, numbered, strip

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

MOST_SCRIPT = 148_000
"""Bytes of all scripts. Whoever raises it says for what."""


def test_the_scripts_stay_small():
    scripts = [path.read_bytes() for path in (ROOT / "web" / "js").rglob("*.js")]
    assert 100_000 < sum(map(len, scripts)) <= MOST_SCRIPT


STAGE = """async strip => {
  const [{ Frames }, { Stage }, { Playhead }, { Transport }] = await Promise.all(
    ["frames", "stage", "playhead", "transport"].map(name => import(`/js/lib/${name}.js`)));
  const frames = new Frames({ url: at => `/${strip.folder}/${String(at).padStart(5, "0")}.jpg`,
    count: strip.frames, width: strip.width, height: strip.height, rate: strip.frame_rate });
  const stage = new Stage(), playhead = new Playhead(frames.count, frames.rate);
  const transport = new Transport(playhead);
  document.querySelector("main").append(stage.element, transport.element);
  stage.element.style.height = "480px";
  Object.assign(window, { frames, stage, playhead, transport });
  await stage.show(frames, 0);
}"""
GREY = """([x, y]) => { const ratio = window.devicePixelRatio;
  return stage.canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data[0] }"""


@pytest.fixture
def stage(alone: Page, tmp_path: Path) -> Page:
    alone.evaluate(STAGE, strip(tmp_path, "clip", numbered(10)))
    return alone


@pytest.mark.parametrize("frame", [0, 4, 9])
def test_the_frame_that_is_asked_for_is_shown(stage: Page, frame: int):
    stage.evaluate("frame => stage.show(frames, frame)", frame)
    wanted = 255 * numbered(10)[frame, 0, 0, 0].item()
    assert stage.evaluate(GREY, [320, 240]) == pytest.approx(wanted, abs=2)


def test_of_two_calls_the_later_one_wins(stage: Page):
    stage.evaluate("() => Promise.all([stage.show(frames, 2), stage.show(frames, 7)])")
    assert stage.evaluate("() => stage.shown") == 7


def test_places_on_the_page_and_in_the_frame_agree_also_when_zoomed(stage: Page):
    for factor in (1, 5):
        stage.evaluate("factor => stage.zoom(factor, [0.2, 0.3])", factor)
        back = stage.evaluate(
            """() => { const [x, y] = stage.place([0.25, 0.35]);
            const box = stage.element.getBoundingClientRect();
            return stage.at({ clientX: box.left + x, clientY: box.top + y }) }"""
        )
        assert back == pytest.approx([0.25, 0.35])


def test_a_frame_that_is_gone_is_said_and_asked_for_again(stage: Page, tmp_path: Path):
    stage.evaluate("() => frames.close()")
    gone, away = tmp_path / "clip" / "00003.jpg", tmp_path / "clip" / "away"
    gone.rename(away)
    said = stage.evaluate("() => frames.picture(3).then(() => '', error => error.message)")
    assert "run the node again" in said
    away.rename(gone)
    assert stage.evaluate("() => frames.picture(3).then(picture => picture.width)") == 64


def test_a_stage_draws_no_picture_of_a_closed_clip(stage: Page):
    drawn = stage.evaluate("""async () => {
      await stage.show(frames, 0);
      frames.close();
      await new Promise(done => setTimeout(done, 50));
      stage.render();
      return stage.picture.width; }""")
    assert drawn == 0, "and rendering it threw nothing"


def test_pictures_on_their_way_are_let_go_with_the_clip(stage: Page):
    failed: list[str] = []
    stage.on("requestfailed", lambda request: failed.append(request.url.split("/")[-1]))
    stage.route("**/00008.jpg", lambda route: (stage.wait_for_timeout(100), route.continue_()))
    said, width = stage.evaluate("""async () => {
      const gone = frames.picture(8).then(() => "", error => error.name);
      await new Promise(done => setTimeout(done, 30));
      frames.close();
      return [await gone, (await frames.picture(8)).width]; }""")
    assert (said, width, failed) == ("AbortError", 64, ["00008.jpg"]), "and fetched again"


def test_no_more_pictures_are_kept_than_fit(stage: Page):
    closed = stage.evaluate("""async () => {
      const { Frames } = await import("/js/lib/frames.js");
      const many = new Frames({ url: () => "/clip/00000.jpg", count: 200, width: 64, height: 48 });
      const first = await many.picture(0);
      for (let at = 1; at < 200; at++) await many.picture(at);
      return first.width; }""")
    assert closed == 0, "a bitmap that was closed has no width"


def test_the_picture_on_the_stage_is_kept_and_a_refused_fetch_is_asked_again(stage: Page):
    width, said, again = stage.evaluate("""async () => {
      const { Frames } = await import("/js/lib/frames.js");
      let url = "/clip/00000.jpg";
      const many = new Frames({ url: () => url, count: 200, width: 64, height: 48 });
      await stage.show(many, 0);
      for (let at = 1; at < 100; at++) await many.picture(at);
      const { width } = stage.picture;
      url = "http://127.0.0.1:1/";
      const said = await many.picture(100).then(() => "", error => error.name);
      url = "/clip/00000.jpg";
      return [width, said, (await many.picture(100)).width]; }""")
    assert [width, said, again] == [64, "TypeError", 64]


def test_play_keeps_the_clips_rate_and_steps_stop_it(stage: Page):
    shown = stage.evaluate("""async () => {
      let time = 0;
      playhead.clock = () => time;
      const seen = [];
      playhead.addEventListener("frame", () => seen.push(playhead.frame));
      playhead.play();
      for (const at of [.1, .13, .26, 1.3]) {
        time = at;
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
      }
      transport.step(1);
      return [seen, playhead.playing]; }""")
    assert shown == [[1, 2, 0, 1], False], "8 frames a second, 10 of them, from the beginning again"


def test_the_keys_of_the_row(stage: Page):
    press = """key => transport.key({ key, target: document.body,
      preventDefault() {}, stopPropagation() {} })"""
    assert [stage.evaluate(press, key) for key in (".", ".", ",", "x")] == [True, True, True, False]
    assert stage.evaluate("() => playhead.frame") == 1
    assert stage.locator("output").inner_text() == "2 / 10"
    assert stage.locator("output").get_attribute("aria-live") == "off", "or play is read aloud"


TEXT = json.dumps({"version": 1, "regions": [{"name": "a very long name of a region " * 3,
    "words": "yellow square", "box": [0.1, 0.2, 0.4, 0.6]}]})  # fmt: skip
MAPS = {
    "of": "source",
    "words": ["a", "red", "circle"] * 5,
    "chosen": 1,
    "steps": [0, 1],
    "total": 2,
    "frames": 3,
    "rows": 2,
    "columns": 2,
    "cell": [0.5, 0.5],
    "time_stride": 1,
}
WIDGETS: dict[tuple[str, str], dict[str, Any]] = {
    ("regions/editor", "RegionEditor"): {"value": TEXT, "words": "a yellow square"},
    ("regions/track_editor", "TrackEditor"): {"value": ""},
    ("player/player", "Player"): {},
    ("attention/viewer", "AttentionViewer"): {"maps": [{**MAPS, "url": "/maps.bin"}]},
    ("fairness/panel", "SharesPanel"): {"text": "female: 1, male: 2", "presets": {"age": ["old"]}},
    ("fairness/panel", "StrengthPanel"): {"attribute": "elderly", "strength": 0.3},
}
CUT_OFF = """() => [...widget.element.querySelectorAll("*")].filter(one => {
  const { left, right, width } = one.getBoundingClientRect();
  return width && !one.closest(".results, details, .timeline") && (left < -1 || right > 321);
}).map(one => one.outerHTML.slice(0, 80))"""
LIGHT = {"bg": "#fff", "input-bg": "#c9c9c9", "menu-bg": "#f5f5f5"}
LIGHT |= {"border-color": "#888", "input-text": "#222", "descrip-text": "#444"}


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget[1])
def test_at_200_percent_on_light_nothing_is_cut_off_or_unreadable(
    alone: Page, tmp_path: Path, widget: tuple[str, str]
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    zoom = {"width": 330, "height": 760, "deviceScaleFactor": 2, "mobile": False}
    alone.context.new_cdp_session(alone).send("Emulation.setDeviceMetricsOverride", zoom)
    names = {"input-bg": "comfy-input-bg", "menu-bg": "comfy-menu-bg"}
    look = "".join(f"--{names.get(name, name)}: {value};" for name, value in LIGHT.items())
    style = f"main {{ width: 320px !important; {look} }} body {{ background: #fff !important }}"
    alone.add_style_tag(content=style)
    (tmp_path / "maps.bin").write_bytes(bytes(2 * 15 * 3 * 4))
    clips = [strip(tmp_path, name, numbered(3)) for name in ("a", "b")]
    mounted(alone, *widget, WIDGETS[widget], *clips)
    alone.wait_for_timeout(200)
    assert alone.evaluate(CUT_OFF) == []
    report = axe.run(alone, ".evenframe")
    assert report.violations_count == 0, report.generate_report()
