// The regions as a list: names and words, what is seen and locked, and which lies on top.

import { button, clamp, dragged, element, group, keyed, pressed, refill, row } from "../lib/dom.js";
import { t } from "../lib/words.js";
import { EDGES, occurs, phrases, toggled, wordsOf } from "./model.js";

const toggle = (label, press, text) => button(label, press, text, { class: "icon" });
const LOCK = ["M5 7V5a3 3 0 0 1 6 0", "M5 7V5a3 3 0 0 1 6 0v2"]; // the bow of a padlock, open and closed
const padlock = (closed) =>
  `<svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" fill="none" stroke="currentColor"
    stroke-width="1.5"><path d="${LOCK[Number(closed)]}"/><rect x="3" y="7" width="10" height="7" fill="currentColor"/></svg>`;

export class RegionList {
  #rows = [];

  constructor(act) {
    this.act = act;
    this.element = element("div", { class: "regions", role: "list", "aria-label": t("Regions, the last on top") });
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
    const field = (name, props, read = (text) => text) =>
      (this[name] = element("input", { ...props, on: { change: ({ target }) => change(name, target, read(target.value)) } }));
    const change = (name, target, value) => {
      target.value = value;
      act.change(index, { [name]: value });
    };
    const pixels = (name, label) =>
      element("label", { title: t("{label}, in pixels", { label }) }, `${label} `,
        field(name, { type: "number", min: 0, max: EDGES }, (text) => Math.round(clamp(Number(text), 0, EDGES))));
    Object.assign(this, { act, index });
    this.grip = this.#handle(index, act, gripOf);
    this.eye = toggle(t("Show on the clip"), () => act.toggle(index, "hidden"));
    this.lock = toggle(t("Lock"), () => act.toggle(index, "locked"));
    const name = field("name", { class: "name", "aria-label": t("Name") });
    name.addEventListener("focus", () => act.select(index));
    const label = t("Words of the target prompt");
    const words = field("words", { class: "name", "aria-label": label, placeholder: t("words, with commas") });
    this.chips = group(label, "row");
    this.more = element("div", { class: "more" }, this.chips, row(words, pixels("grow", t("grow")), pixels("soften", t("soften"))));
    this.remove = toggle(t("Delete this region"), () => act.remove(index), "✕");
    const props = { class: "region", role: "listitem", on: { pointerdown: () => act.select(index) } };
    this.element = element("div", props, row(this.grip, name, this.eye, this.lock, this.remove), this.more);
  }

  // Dragged to another place in the list, or moved there with the arrow keys.
  #handle(index, act, gripOf) {
    const grip = toggle(t("Move up or down: drag, or arrow keys"), () => act.select(index), "⠿");
    const move = (to) => {
      if (!gripOf(to) || to === index || this.locked) return;
      act.move(index, to);
      gripOf(to).focus();
    };
    keyed(grip, () => ({ ArrowUp: () => move(index - 1), ArrowDown: () => move(index + 1) }));
    const end = ({ clientX, clientY }) => {
      const over = document.elementFromPoint(clientX, clientY)?.closest(".region");
      if (over) move([...over.parentElement.children].indexOf(over));
    };
    dragged(grip, { begin: () => true, move() {}, end, cancel() {} });
    return grip;
  }

  show(item, selected, prompt) {
    const { name, words, grow, soften, hidden, locked } = item;
    this.element.setAttribute("aria-current", selected);
    Object.assign(this.grip.style, { background: item.colour, color: item.ink });
    for (const [field, value] of Object.entries({ name, words, grow, soften }))
      if (this[field] !== document.activeElement && this[field].value !== String(value)) this[field].value = value;
    this.eye.textContent = hidden ? "◌" : "◉";
    pressed(this.eye, !hidden);
    // A picture that is replaced while a button is down would take the click along.
    if (this.locked !== locked) this.lock.innerHTML = padlock(locked);
    pressed(this.lock, locked);
    this.more.hidden = !selected;
    this.locked = this.remove.disabled = locked;
    for (const field of ["name", "words", "grow", "soften"]) this[field].readOnly = locked;
    this.#showChips(words, prompt);
  }

  // The prompt's words to choose from, and those of the region that it does not have, red.
  #showChips(words, prompt) {
    const mine = phrases(words);
    const offered = prompt === null ? mine : [...new Set(wordsOf(prompt.toLowerCase()))];
    const gone = prompt === null ? [] : mine.filter((phrase) => !occurs(phrase, prompt));
    const wanted = JSON.stringify([offered, mine, gone, this.locked]);
    if (wanted === this.shown) return;
    this.shown = wanted;
    const chip = (word, missing) => {
      const label = missing ? t("{word}: not in the target prompt; remove it", { word }) : word;
      const press = () => this.act.change(this.index, { words: toggled(words, word) });
      const on = mine.some((phrase) => occurs(word, phrase));
      const look = { class: missing ? "chip wrong" : "chip", "aria-pressed": on, "data-word": word };
      return button(label, press, word, { ...look, disabled: this.locked });
    };
    refill(this.chips, "word", [...offered.map((word) => chip(word, false)), ...gone.map((word) => chip(word, true))]);
  }
}
