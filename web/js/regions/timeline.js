// When each region is where: a row a region, a diamond a key frame, a line at the frame shown.

import { button, clamp, element } from "../lib/dom.js";

export class Timeline {
  #drag = null;
  #wanted = "";

  // act: {go(frame), select(index), key(index, frame), remove(index, frame),
  //   place(index, from, to, copy)}, what the user asks for.
  constructor(act) {
    this.act = act;
    this.line = element("div", { class: "now" });
    this.rows = element("div");
    this.element = element("div", { class: "timeline", role: "group", "aria-label": "Key frames" }, this.rows, this.line);
  }

  // count: frames of the clip; frame: the one shown.
  show(items, selected, frame, count) {
    Object.assign(this, { count });
    this.line.style.left = this.#left(frame);
    const wanted = JSON.stringify([count, selected, items.map((item) => [item.name, item.colour, item.frames, item.dots])]);
    if (wanted === this.#wanted || this.#drag) return;
    this.#wanted = wanted;
    const { at, index } = document.activeElement?.dataset ?? {};
    this.rows.replaceChildren(...items.map((item) => this.#row(item, item.index === selected)));
    if (at && this.rows.isConnected) this.#diamond(index, at)?.focus();
  }

  #left = (frame) => `calc(7px + (100% - 14px) * ${clamp(frame / Math.max(1, this.count - 1), 0, 1)})`;

  #diamond = (index, frame) => this.rows.querySelector(`[data-index="${index}"][data-at="${frame}"]`);

  #frameAt(event) {
    const box = this.rows.getBoundingClientRect();
    const inset = 7 * (box.width / (this.rows.offsetWidth || 1));
    const share = (event.clientX - box.left - inset) / (box.width - 2 * inset);
    return clamp(Math.round(share * (this.count - 1)), 0, this.count - 1);
  }

  #row(item, selected) {
    const { index } = item;
    const press = (event) => {
      this.act.select(index);
      this.act.go(this.#frameAt(event));
    };
    const dots = (item.dots ?? []).map(({ frame, share }) =>
      element("i", { title: `${frame + 1}: ${share.toFixed(2)}`, style: { left: this.#left(frame), opacity: 0.25 + 0.75 * share, background: item.colour } }));
    return element(
      "div",
      { class: selected ? "track chosen" : "track", title: item.name, on: { pointerdown: press, dblclick: (event) => this.act.key(index, this.#frameAt(event)) } },
      ...dots,
      ...item.frames.map((frame) => this.#key(item, frame)),
    );
  }

  #key({ index, name, colour }, frame) {
    const behind = frame >= this.count ? ", behind the clip's end" : "";
    const label = `Key of ${name} on frame ${frame + 1}${behind}: drag, with Alt a copy; arrow keys; Delete`;
    const made = button(label, () => this.act.go(frame), { class: behind ? "key behind" : "key", style: { left: this.#left(frame), background: colour } });
    Object.assign(made.dataset, { index, at: frame });
    made.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      made.setPointerCapture(event.pointerId);
      this.#drag = { to: frame };
      this.act.select(index);
    });
    made.addEventListener("pointermove", (event) => {
      if (!this.#drag || !event.buttons) return;
      this.#drag.to = Math.abs(event.movementX) || this.#drag.to !== frame ? this.#frameAt(event) : frame;
      made.style.left = this.#left(this.#drag.to);
    });
    made.addEventListener("pointerup", (event) => {
      const to = this.#drag?.to ?? frame;
      this.#drag = null;
      this.#place(index, frame, to, event.altKey);
    });
    made.addEventListener("dblclick", (event) => event.stopPropagation());
    made.addEventListener("keydown", (event) => this.#pressed(event, index, frame));
    return made;
  }

  #pressed(event, index, frame) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && frame + step >= 0) this.#place(index, frame, frame + step, event.altKey);
    else if (["Delete", "Backspace"].includes(event.key)) this.act.remove(index, frame);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #place(index, from, to, copy) {
    if (from === to) return;
    this.act.place(index, from, to, copy);
    this.#diamond(index, to)?.focus();
  }
}
