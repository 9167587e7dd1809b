// A bar of coloured segments, each as wide as its share; the borders between them can be moved.

import { along, clamp, colour, dragged, element, group, ink, keyed, round } from "../lib/dom.js";
import { t } from "../lib/words.js";

const STEPS = 100; // of the whole, by which borders move

const percent = (share) => `${round(100 * share, 1)} %`;

export class ShareBar {
  // onChange(shares): the user has let go of a border, or pressed a key on it.
  constructor(onChange) {
    this.onChange = onChange;
    this.element = group(t("Shares"), "shares");
    this.set([]);
  }

  // segments: {name, share}, in any unit.
  set(segments) {
    if (segments.length !== this.segments?.length) {
      this.parts = segments.map(() => element("div", { class: "part" }));
      this.borders = segments.slice(1).map((_, at) => this.#border(at));
      this.element.replaceChildren(...this.parts, ...this.borders);
    }
    this.segments = segments;
    this.total = segments.reduce((sum, { share }) => sum + share, 0);
    this.#draw(segments.map(({ share }) => share));
  }

  #draw(shares) {
    let sum = 0;
    this.segments.forEach(({ name }, at) => {
      const share = shares[at] / this.total;
      const text = `${name} ${percent(share)}`;
      Object.assign(this.parts[at], { textContent: text, title: text });
      Object.assign(this.parts[at].style, { flexGrow: share, background: colour(at), color: ink(at) });
      sum += share;
      const border = this.borders[at];
      if (!border) return;
      border.style.left = `${100 * sum}%`;
      const next = this.segments[at + 1].name;
      const told = {
        label: t("Border between {name} and {next}", { name, next }),
        valuemin: 0,
        valuemax: round(shares[at] + shares[at + 1]),
        valuenow: shares[at],
        valuetext: `${text}, ${next} ${percent(shares[at + 1] / this.total)}`,
      };
      for (const [key, value] of Object.entries(told)) border.setAttribute(`aria-${key}`, value);
    });
    this.shares = shares;
  }

  // Shares with a border moved so that the part before it has this one.
  #moved(at, share) {
    const pair = this.shares[at] + this.shares[at + 1];
    const unit = this.total / STEPS;
    const first = clamp(Math.round(share / unit) * unit, 0, pair);
    return this.shares.toSpliced(at, 2, round(first), round(pair - first));
  }

  #border(at) {
    const border = element("div", { role: "slider", tabIndex: 0 });
    dragged(border, {
      begin: (event) => !event.button,
      move: (event) => {
        const before = this.shares.slice(0, at).reduce((sum, share) => sum + share, 0);
        this.#draw(this.#moved(at, along(event, this.element) * this.total - before));
      },
      end: () => this.#tell(),
      cancel: () => this.#draw(this.segments.map(({ share }) => share)),
    });
    keyed(border, (event) => this.#keys(event, at));
    return border;
  }

  #keys({ shiftKey }, at) {
    const step = (this.total / STEPS) * (shiftKey ? 10 : 1);
    const to = (share) => () => {
      this.#draw(this.#moved(at, share));
      this.#tell();
    };
    const [less, more] = [-step, step].map((by) => to(this.shares[at] + by));
    return { ArrowLeft: less, ArrowDown: less, ArrowRight: more, ArrowUp: more, Home: to(0), End: to(this.total) };
  }

  #tell() {
    if (this.shares.some((share, at) => share !== this.segments[at].share)) this.onChange(this.shares);
  }
}
