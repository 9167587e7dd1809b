// The curve of change: how far apart the clips are on each frame, inside and outside of regions.

import { along, element } from "../lib/dom.js";
import { t } from "../lib/words.js";

const LEVELS = 255;
const LEAST = 4; // levels that the curve's height stands for at least: noise shall look small
const LOOK = { whole: "#56b4e9", inside: "#e69f00", outside: "#56b4e9" };
const nameOf = (list) => ({ whole: t("whole"), inside: t("inside"), outside: t("outside") })[list];

export class Changes {
  // go(frame): called where a frame is chosen.
  constructor(go) {
    const around = element("div", { innerHTML: '<svg class="curve" preserveAspectRatio="none" role="img"></svg>' });
    this.curve = around.firstChild;
    const pick = (event) => {
      if (event.buttons) go(Math.round(along(event, this.curve) * (this.count - 1)));
    };
    for (const event of ["pointerdown", "pointermove"]) this.curve.addEventListener(event, pick);
    this.said = element("span", { class: "note" }); // no output: it would be read aloud in play
    this.set(null, 1);
  }

  // changes: lists of 0..1 or null, by name (nodes/common/playing.py). count: frames.
  set(changes, count) {
    const all = Object.entries(changes ?? {}).filter(([name, list]) => LOOK[name] && list?.length);
    this.lists = all.filter(([name]) => all.length < 2 || name !== "whole");
    this.count = count;
    this.curve.style.display = all.length ? "block" : "none";
    const most = this.lists.map(([, list]) => Math.max(...list)); // null counts as 0
    this.height = 1.05 * Math.max(LEAST, ...most.map((value) => LEVELS * value));
    this.curve.setAttribute("viewBox", `0 0 ${Math.max(count - 1, 1)} ${this.height}`);
    const paths = this.lists.map(([name, list]) => `<path stroke="${LOOK[name]}" d="${this.#traced(list)}"/>`);
    this.curve.innerHTML = `${paths.join("")}<line stroke="#fff" y2="${this.height}"/>`;
    this.mark = this.curve.lastChild;
    const told = this.lists.map(([name], at) => t("{name} up to {most}", { name: nameOf(name), most: this.#levels(most[at]) }));
    this.curve.setAttribute("aria-label", t("Change of each frame: {told} of 255", { told: told.join(", ") }));
    this.show(0);
  }

  show(frame) {
    for (const x of ["x1", "x2"]) this.mark.setAttribute(x, frame);
    const told = this.lists.map(([name, list]) => `${nameOf(name)} ${this.#levels(list[frame])}`);
    this.said.textContent = told.length ? t("Change of 255: {told}", { told: told.join(", ") }) : "";
  }

  #levels = (value) => (value == null ? t("none") : (LEVELS * value).toFixed(1));

  #traced(list) {
    const pen = (frame) => (list[frame - 1] == null ? "M" : "L"); // a gap where there is no value
    const point = (value, frame) => (value == null ? "" : `${pen(frame)}${frame} ${this.height - LEVELS * value}`);
    return list.map(point).join("");
  }
}
