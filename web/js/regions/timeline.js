// When each region is where: a row a region, a diamond a key frame, a line at the frame shown.

import { along, button, clamp, dragged, element, group, keyed } from "../lib/dom.js";
import { t } from "../lib/words.js";

export class Timeline {
  #drag = null;
  #wanted = "";

  constructor(act) {
    this.act = act;
    this.line = element("div", { class: "now" });
    this.rows = element("div");
    this.element = group(t("Key frames"), "timeline", this.rows, this.line);
  }

  // A new text may not have what is dragged.
  cancel() {
    this.#drag = null;
    this.#wanted = "";
  }

  // count: frames of the clip; frame: the one shown.
  show(items, selected, frame, count) {
    this.count = count;
    this.line.style.left = this.#left(frame);
    const wanted = JSON.stringify([count, selected, items.map((item) => [item.name, item.colour, item.frames, item.dots, item.locked])]);
    if (wanted === this.#wanted || this.#drag) return;
    this.#wanted = wanted;
    const { at, index } = document.activeElement?.dataset ?? {};
    this.rows.replaceChildren(...items.map((item) => this.#row(item, item.index === selected)));
    if (at) this.#diamond(index, at)?.focus();
  }

  #left = (frame) => `calc(7px + (100% - 14px) * ${clamp(frame / Math.max(1, this.count - 1), 0, 1)})`;

  #diamond = (index, frame) => this.rows.querySelector(`[data-index="${index}"][data-at="${frame}"]`);

  #frameAt = (event) => Math.round(along(event, this.rows, 7) * (this.count - 1));

  #row(item, selected) {
    const { index } = item;
    const on = {
      pointerdown: (event) => {
        this.act.select(index);
        this.act.go(this.#frameAt(event));
      },
      dblclick: (event) => this.act.addKey(index, this.#frameAt(event)),
    };
    const dots = (item.dots ?? []).map(({ frame, share }) => {
      const style = { left: this.#left(frame), opacity: 0.25 + 0.75 * share, background: item.colour };
      return element("i", { title: `${frame + 1}: ${share.toFixed(2)}`, style });
    });
    const keys = item.frames.map((frame) => this.#key(item, frame));
    return element("div", { class: selected ? "track chosen" : "track", title: item.name, on }, ...dots, ...keys);
  }

  #key({ index, name, colour, locked }, frame) {
    const behind = frame >= this.count;
    const where = { name, at: frame + 1, behind: behind ? t(", behind the clip's end") : "" };
    const label = t("Key of {name} on frame {at}{behind}: drag, with Alt a copy; arrow keys; Delete", where);
    const style = { left: this.#left(frame), background: colour };
    const made = button(label, () => this.act.go(frame), "", { class: behind ? "key behind" : "key", style });
    Object.assign(made.dataset, { index, at: frame });
    dragged(made, {
      begin: () => {
        this.act.select(index);
        if (!locked) this.#drag = { to: frame };
        return !locked;
      },
      move: (event) => {
        if (event.movementX || this.#drag.to !== frame) this.#drag.to = this.#frameAt(event);
        made.style.left = this.#left(this.#drag.to);
      },
      end: ({ altKey }) => {
        const { to } = this.#drag;
        this.#drag = null;
        this.#place(index, frame, to, altKey);
      },
      cancel: () => {
        this.#drag = null;
        made.style.left = this.#left(frame);
      },
    });
    made.addEventListener("dblclick", (event) => event.stopPropagation());
    const place = (step, copy) => () => frame + step >= 0 && this.#place(index, frame, frame + step, copy);
    const remove = () => this.act.removeKey(index, frame);
    keyed(made, ({ altKey }) => ({
      ArrowLeft: place(-1, altKey),
      ArrowRight: place(1, altKey),
      Delete: remove,
      Backspace: remove,
    }));
    return made;
  }

  #place(index, from, to, copy) {
    if (from === to) return;
    this.act.placeKey(index, from, to, copy);
    this.#diamond(index, to)?.focus();
  }
}
