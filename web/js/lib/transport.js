// The row below a clip: play, step, and where it stands. Space plays, comma and point step.

import { button, element } from "./dom.js";

export class Transport {
  // playhead: see playhead.js. extra: further elements at the end of the row.
  constructor(playhead, ...extra) {
    this.playhead = playhead;
    this.play = button("Play (Space)", () => playhead.toggle(), { textContent: "▶" });
    this.slider = element("input", {
      type: "range",
      min: 0,
      "aria-label": "Frame",
      on: { input: () => playhead.go(Number(this.slider.value)) },
    });
    // Not read aloud: it changes with every frame in play.
    this.count = element("output", { "aria-live": "off", style: { minWidth: "6em", textAlign: "right" } });
    this.element = element(
      "div",
      { class: "row" },
      this.play,
      button("One frame back (,)", () => this.step(-1), { textContent: "◂" }),
      button("One frame on (.)", () => this.step(1), { textContent: "▸" }),
      this.slider,
      this.count,
      ...extra,
    );
    for (const event of ["frame", "play", "pause"])
      playhead.addEventListener(event, () => this.show());
    this.show();
  }

  step(by) {
    this.playhead.pause();
    this.playhead.go(this.playhead.frame + by);
  }

  // The keys, for the element around the whole widget; true where one was ours.
  key(event) {
    if (event.target.closest?.("input:not([type=range]), textarea, select")) return false;
    if (event.target.closest?.("button") && event.key === " ") return false;
    const act = { " ": () => this.playhead.toggle(), ",": () => this.step(-1), ".": () => this.step(1) };
    if (!act[event.key]) return false;
    act[event.key]();
    event.preventDefault();
    event.stopPropagation(); // the graph has keys of its own
    return true;
  }

  show() {
    const { frame, count, playing } = this.playhead;
    this.slider.max = count - 1;
    this.slider.value = frame;
    this.count.value = `${frame + 1} / ${count}`;
    this.play.textContent = playing ? "❚❚" : "▶";
    this.play.setAttribute("aria-pressed", playing);
  }
}
