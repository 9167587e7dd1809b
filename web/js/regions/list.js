// The regions as a list: names and words, what is seen and locked, and which lies on top.

import { button, element } from "../lib/dom.js";
import { occurs, phrases, toggled, wordsOf } from "./model.js";

const toggle = (label, press) => button(label, press, { class: "icon" });
const LOCK = ["M5 7V5a3 3 0 0 1 6 0", "M5 7V5a3 3 0 0 1 6 0v2"]; // the bow of a padlock, open and closed
const padlock = (closed) =>
  `<svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" fill="none" stroke="currentColor"
    stroke-width="1.5"><path d="${LOCK[Number(closed)]}"/><rect x="3" y="7" width="10" height="7" fill="currentColor"/></svg>`;
const state = (made, on) => made.setAttribute("aria-pressed", on);

export class RegionList {
  #rows = [];

  // act: {select(index), change(index, fields), move(from, to), remove(index),
  //   view(index, "hidden" or "locked")}, what the user asks for.
  constructor(act) {
    this.act = act;
    this.element = element("div", { class: "regions", role: "list", "aria-label": "Regions, the last on top" });
  }

  // items: as the canvas has them. prompt: the text whose words are offered, or null.
  show(items, selected, prompt) {
    while (this.#rows.length > items.length) this.#rows.pop().element.remove();
    while (this.#rows.length < items.length) {
      this.#rows.push(new Row(this.#rows.length, this.act, (at) => this.#rows[at]?.grip));
      this.element.append(this.#rows.at(-1).element);
    }
    this.#rows.forEach((row, at) => row.show(items[at], at === selected, prompt));
  }
}

class Row {
  constructor(index, act, gripOf) {
    const change = (name) => (event) => act.change(index, { [name]: event.target.value });
    const whole = (name) => (event) => act.change(index, { [name]: Math.round(Math.min(1024, Math.max(0, Number(event.target.value)))) });
    this.index = index;
    this.grip = this.#handle(index, act, gripOf);
    this.name = element("input", { class: "name", "aria-label": "Name", on: { change: change("name"), focus: () => act.select(index) } });
    this.eye = toggle("Show on the clip", () => act.view(index, "hidden"));
    this.lock = toggle("Lock", () => act.view(index, "locked"));
    const remove = toggle("Delete this region", () => act.remove(index));
    remove.textContent = "✕";
    this.words = element("input", { class: "name", "aria-label": "Words of the target prompt", placeholder: "words, with commas", on: { change: change("words") } });
    this.chips = element("div", { class: "row chips", role: "group", "aria-label": "Words of the target prompt" });
    this.grow = element("input", { type: "number", min: 0, max: 1024, on: { change: whole("grow") } });
    this.soften = element("input", { type: "number", min: 0, max: 1024, on: { change: whole("soften") } });
    const pixels = (name, field) => element("label", { title: `${name}, in pixels` }, `${name} `, field);
    this.more = element("div", { class: "more" }, this.chips, element("div", { class: "row" }, this.words, pixels("grow", this.grow), pixels("soften", this.soften)));
    this.element = element(
      "div",
      { class: "region", role: "listitem", on: { pointerdown: () => act.select(index) } },
      element("div", { class: "row" }, this.grip, this.name, this.eye, this.lock, remove),
      this.more,
    );
    this.act = act;
  }

  // Dragged to another place in the list, or moved there with the arrow keys.
  #handle(index, act, gripOf) {
    const grip = toggle("Move up or down: drag, or arrow keys", () => act.select(index));
    grip.textContent = "⠿";
    const move = (to) => {
      if (!gripOf(to) || to === index) return;
      act.move(index, to);
      gripOf(to).focus();
    };
    grip.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      move(index + step);
    });
    grip.addEventListener("pointerdown", (event) => grip.setPointerCapture(event.pointerId));
    grip.addEventListener("pointerup", (event) => {
      const over = document.elementFromPoint(event.clientX, event.clientY)?.closest(".region");
      if (over) move([...over.parentElement.children].indexOf(over));
    });
    return grip;
  }

  show(item, selected, prompt) {
    const { name, words, grow, soften, hidden, locked } = item;
    this.element.setAttribute("aria-current", selected);
    this.grip.style.background = item.colour;
    this.grip.style.color = item.ink;
    for (const [field, value] of Object.entries({ name, words, grow, soften }))
      if (this[field].value !== String(value)) this[field].value = value;
    this.eye.textContent = hidden ? "◌" : "◉";
    state(this.eye, !hidden);
    this.lock.innerHTML = padlock(locked);
    state(this.lock, locked);
    this.more.hidden = !selected;
    this.#showChips(words, prompt);
  }

  // The prompt's words to choose from, and those of the region that it does not have, red.
  #showChips(words, prompt) {
    const mine = phrases(words);
    const offered = prompt === null ? mine : [...new Set(wordsOf(prompt.toLowerCase()))];
    const gone = prompt === null ? [] : mine.filter((phrase) => !occurs(phrase, prompt));
    const wanted = JSON.stringify([offered, mine, gone]);
    if (wanted === this.shown) return;
    this.shown = wanted;
    const focused = document.activeElement?.dataset?.word;
    const chip = (word, missing) => {
      const label = missing ? `${word}: not in the target prompt; remove it` : word;
      const made = button(label, () => this.act.change(this.index, { words: toggled(words, word) }), { textContent: word, class: missing ? "chip wrong" : "chip" });
      made.dataset.word = word;
      state(made, mine.some((phrase) => occurs(word, phrase)));
      return made;
    };
    this.chips.replaceChildren(...offered.map((word) => chip(word, false)), ...gone.map((word) => chip(word, true)));
    if (focused) [...this.chips.children].find((made) => made.dataset.word === focused)?.focus();
  }
}

