// The editor of regions: the clip with its outlines, when they are where, and what they are called.

import { button, colour, ink, pressed } from "../lib/dom.js";
import { t } from "../lib/words.js";
import { ClipEditor } from "./clip_editor.js";
import { RegionList } from "./list.js";
import * as model from "./model.js";
import { FIRST } from "./shapes.js";

export class RegionEditor extends ClipEditor {
  // words: the target prompt, if there is one.
  constructor(options) {
    super({ words: null, model, ...options });
  }

  bar() {
    this.keyButton = button(t("Key frame here: set or delete (K)"), () => this.toggleKey(), t("◆ key"));
    const label = t("Paste the copied shape as a key frame here");
    this.pasteButton = button(label, () => this.paste(), t("paste"), { disabled: true });
    return [
      button(t("Add a box"), () => this.add("box", FIRST), t("+ box")),
      this.keyButton,
      button(t("Copy the shape of the selected region on this frame"), () => this.copy(), t("copy")),
      this.pasteButton,
      button(t("To the key frame before"), () => this.#toNeighbour(0), "‹◆"),
      button(t("To the key frame after"), () => this.#toNeighbour(1), "◆›"),
    ];
  }

  side() {
    this.list = new RegionList(this);
    return [this.list.element];
  }

  setWords(words) {
    if (words === this.words) return;
    this.words = words;
    this.refresh();
  }

  select(index) {
    this.look({ selected: index });
  }

  add(kind, shape) {
    if (this.state.regions.length >= model.MOST) return this.say(t("A text has {most} regions at most.", { most: model.MOST }), true);
    const own = this.own(shape);
    if (!own) return;
    const state = model.added(this.state, kind, this.frame, own);
    const { name } = state.regions.at(-1); // perhaps that of one that was hidden, and deleted
    for (const what of ["hidden", "locked"]) this.view[what] = this.view[what].filter((one) => one !== name);
    this.view.selected = this.state.regions.length;
    this.commit(state);
  }

  setShape(index, shape) {
    const own = this.own(shape);
    if (own) this.#edit(index, (region) => model.setKey(region, this.frame, own));
  }

  remove(index) {
    if (!this.#isOpen(index)) return;
    const state = model.removed(this.state, index);
    this.view.selected = Math.min(index, state.regions.length - 1);
    this.commit(state);
  }

  move(from, to) {
    if (!this.#isOpen(from)) return;
    this.view.selected = to;
    this.commit(model.moved(this.state, from, to));
  }

  change(index, fields) {
    const { name } = this.state.regions[index];
    if (fields.name) this.view.hidden = this.view.hidden.map((one) => (one === name ? fields.name : one));
    this.#edit(index, (region) => ({ ...region, ...fields }));
  }

  addKey(index, frame) {
    this.#edit(index, (region) => model.setKey(region, frame, model.interpolate(region.keys, frame)));
  }

  removeKey(index, frame) {
    this.#edit(index, (region) => model.deleteKey(region, frame));
  }

  placeKey(index, from, to, copy) {
    this.#edit(index, (region) => model.placeKey(region, from, to, copy));
  }

  toggleKey() {
    const { selected } = this.view;
    if (this.items[selected]?.key) this.removeKey(selected, this.frame);
    else this.addKey(selected, this.frame);
  }

  copy() {
    const region = this.state.regions[this.view.selected];
    if (!region) return;
    this.copied = { kind: region.kind, shape: model.interpolate(region.keys, this.frame) };
    this.pasteButton.disabled = false;
  }

  paste() {
    const { kind, shape } = this.copied;
    const region = this.state.regions[this.view.selected];
    if (!region) return;
    if (region.kind !== kind || region.keys[0].shape.length !== shape.length)
      return this.say(t("What was copied has another shape than this region."), true);
    this.#edit(this.view.selected, () => model.setKey(region, this.frame, shape));
  }

  // A region that is locked is only looked at.
  #isOpen(index) {
    const { locked, name } = this.items[index] ?? {};
    if (locked) this.say(t("{name} is locked: unlock it in the list.", { name }), true);
    return !locked;
  }

  #edit(index, change) {
    const region = this.state.regions[index];
    const changed = region && this.#isOpen(index) && change(region);
    if (changed && changed !== region) this.commit(model.replaced(this.state, index, changed));
  }

  // what: "hidden" or "locked".
  toggle(index, what) {
    const { name } = this.state.regions[index];
    const names = this.view[what];
    this.look({ [what]: names.includes(name) ? names.filter((one) => one !== name) : [...names, name] });
  }

  #toNeighbour(which) {
    const region = this.state.regions[this.view.selected];
    const key = region && model.neighbours(region, this.frame)[which];
    if (key) this.go(key.frame);
  }

  key(event) {
    const mine = event.target === this.canvas.element && !event.ctrlKey && event.key.toLowerCase() === "k";
    if (!mine) return super.key(event);
    this.toggleKey();
    event.stopPropagation();
  }

  seen() {
    const { state, frame, view } = this;
    return state.regions.map((region, index) => ({
      ...region,
      index,
      shape: this.drawn(model.interpolate(region.keys, frame)),
      ghosts: index === view.selected
        ? model.neighbours(region, frame).filter(Boolean).map((key) => this.drawn(key.shape)) : [],
      frames: region.keys.map((key) => key.frame),
      key: Boolean(model.keyAt(region, frame)),
      colour: colour(index),
      ink: ink(index),
      hidden: view.hidden.includes(region.name),
      locked: view.locked.includes(region.name),
    }));
  }

  shown() {
    this.list.show(this.items, this.view.selected, this.words);
    pressed(this.keyButton, Boolean(this.items[this.view.selected]?.key));
  }

  told() {
    const { count } = this.playhead;
    const behind = this.frames ? this.items.filter((item) => item.frames.some((frame) => frame >= count)) : [];
    const names = behind.map((item) => item.name).join(", ");
    if (names) return t("Key frames behind the clip's end are kept: {names}.", { names });
    return this.items.length ? "" : t("Drag on the clip to draw a box; Alt and click for a polygon.");
  }
}
