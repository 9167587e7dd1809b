// The row below a clip: play, step, and where it stands. Space plays, comma and point step.

import { button, element, pressed, row, slider, taken } from "./dom.js";
import { t } from "./words.js";

export class Transport {
  constructor(playhead) {
    this.playhead = playhead;
    this.play = button(t("Play (Space)"), () => playhead.toggle());
    this.slider = slider(t("Frame"), {}, (frame) => playhead.go(frame));
    this.count = element("output", { "aria-live": "off" }); // it changes with every frame in play
    this.element = row(
      this.play,
      button(t("One frame back (,)"), () => this.step(-1), "◂"),
      button(t("One frame on (.)"), () => this.step(1), "▸"),
      this.slider,
      this.count,
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
    const others = `input:not([type=range]), textarea, select, summary${event.key === " " ? ", button" : ""}`;
    const act = { " ": () => this.playhead.toggle(), ",": () => this.step(-1), ".": () => this.step(1) }[event.key];
    if (!act || event.target.closest?.(others)) return false;
    act();
    taken(event);
    return true;
  }

  show() {
    const { frame, count, playing } = this.playhead;
    this.slider.max = count - 1;
    this.slider.value = frame;
    this.count.value = `${frame + 1} / ${count}`;
    this.play.textContent = playing ? "❚❚" : "▶";
    pressed(this.play, playing);
  }
}
