// The editor of regions: the clip with its outlines, when they are where, and what they are called.

import { button, colour, element } from "../lib/dom.js";
import { Playhead } from "../lib/playhead.js";
import { Transport } from "../lib/transport.js";
import { RegionCanvas } from "./canvas.js";
import { RegionList } from "./list.js";
import "./look.js";
import * as model from "./model.js";
import { Timeline } from "./timeline.js";

const CELLS = [["0", "no grid"], ["8", "latent cells, 8 px"], ["16", "cells of 16 px"], ["32", "attention cells, 32 px"]];
const FIRST = [0.3, 0.3, 0.7, 0.7]; // of a box that is added without a pointer
const inkOn = (paint) => (paint === "#0072b2" ? "#fff" : "#000");

export class RegionEditor {
  #wrong = ""; // what is wrong with the text, which is then left alone

  // value: the text. frames: of the clip (lib/frames.js), or null. words: the target prompt, or
  // null. view: {frame, selected, hidden, locked, cell} of an earlier editor. onChange(value): once
  // a gesture. onView(view): what is looked at has changed.
  constructor({ value = "", frames = null, words = null, view = {}, onChange = () => {}, onView = () => {} }) {
    Object.assign(this, { onChange, onView, words });
    this.view = { frame: 0, selected: 0, hidden: [], locked: [], cell: 0, ...view };
    this.playhead = new Playhead();
    this.canvas = new RegionCanvas({
      scene: () => ({ items: this.items, selected: this.view.selected, cell: this.view.cell }),
      select: (index) => this.select(index),
      shape: (index, shape) => this.setShape(index, shape),
      draw: (kind, shape) => this.add(kind, shape),
      remove: (index) => this.remove(index),
    });
    this.timeline = new Timeline({
      go: (frame) => this.go(frame),
      select: (index) => this.select(index),
      key: (index, frame) => this.#edit(index, (region) => this.#keyed(region, frame)),
      remove: (index, frame) => this.#edit(index, (region) => model.deleteKey(region, frame)),
      place: (index, from, to, copy) =>
        this.#edit(index, (region) => (copy ? model.copyKey : model.moveKey)(region, from, to)),
    });
    this.list = new RegionList({
      select: (index) => this.select(index),
      change: (index, fields) => this.#edit(index, (region) => ({ ...region, ...fields })),
      move: (from, to) => this.move(from, to),
      remove: (index) => this.remove(index),
      view: (index, what) => this.#toggle(index, what),
    });
    this.#build();
    this.playhead.addEventListener("frame", () => this.#onFrame());
    this.setValue(value);
    this.setFrames(frames);
  }

  #build() {
    this.hint = element("div", { class: "hint" });
    this.canvas.element.append(this.hint);
    this.transport = new Transport(this.playhead);
    this.note = element("div", { class: "note", role: "status" });
    this.text = element("textarea", { "aria-label": "Regions as text", spellcheck: false, on: { change: () => this.#typed() } });
    this.keyButton = button("Key frame here: set or delete (K)", () => this.toggleKey(), { textContent: "◆ key" });
    this.pasteButton = button("Paste the copied shape as a key frame here", () => this.paste(), { textContent: "paste", disabled: true });
    const cells = element(
      "select",
      { "aria-label": "Grid of cells", on: { change: () => this.#look({ cell: Number(cells.value) }) } },
      ...CELLS.map(([value, name]) => element("option", { value, textContent: name, selected: Number(value) === this.view.cell })),
    );
    const advanced = element("details", {}, element("summary", {}, "Advanced: text, grid"), this.text, cells);
    const bar = element(
      "div",
      { class: "row" },
      button("Add a box", () => this.add("box", FIRST), { textContent: "+ box" }),
      this.keyButton,
      button("Copy the shape of the selected region on this frame", () => this.copy(), { textContent: "copy" }),
      this.pasteButton,
      button("To the key frame before", () => this.#toNeighbour(0), { textContent: "‹◆" }),
      button("To the key frame after", () => this.#toNeighbour(1), { textContent: "◆›" }),
    );
    const film = element("div", { class: "film" }, this.canvas.element, this.transport.element, this.timeline.element);
    const side = element("div", { class: "side" }, this.list.element, advanced);
    this.element = element(
      "div",
      { class: "evenframe editor", on: { keydown: (event) => this.#key(event), pointerdown: (event) => event.stopPropagation() } },
      bar,
      element("div", { class: "panes" }, film, side),
      this.note,
    );
  }

  get value() {
    return this.#wrong ? this.text.value : model.write(this.state);
  }

  // Another text: read and shown; one that is wrong is told, and left as it is.
  setValue(text) {
    this.text.value = text;
    try {
      this.state = model.parse(text);
      this.#wrong = "";
    } catch (error) {
      this.state = model.EMPTY;
      this.#wrong = `${error.message} Mend the text under Advanced: it is left as it is.`;
    }
    this.canvas.cancel();
    this.refresh();
  }

  // Another clip, or none; hint: what to say where there is none.
  setFrames(frames, hint = "Link a clip, or run this node once, to see it here.") {
    const { frame } = this.view;
    this.frames = frames;
    this.hint.textContent = frames ? "" : hint;
    if (!frames) {
      this.canvas.stage.picture = null;
      this.playhead.set(1, 8);
    } else {
      this.playhead.set(frames.count, frames.rate);
      this.playhead.go(frame);
    }
    this.#showFrame();
    this.refresh();
  }

  // The target prompt whose words are offered, or null where it is not known.
  setWords(words) {
    if (words === this.words) return;
    this.words = words;
    this.refresh();
  }

  get frame() {
    return this.playhead.frame;
  }

  get size() {
    return this.frames ? [this.frames.width, this.frames.height] : null;
  }

  go(frame) {
    this.playhead.go(frame);
  }

  select(index) {
    this.#look({ selected: index });
  }

  add(kind, shape) {
    if (this.state.regions.length >= model.MOST) return this.#say(`A text has ${model.MOST} regions at most.`, true);
    const own = this.#own(shape);
    if (!own) return;
    this.view.selected = this.state.regions.length;
    this.#commit(model.added(this.state, kind, this.frame, own));
  }

  setShape(index, shape) {
    const own = this.#own(shape);
    if (own) this.#edit(index, (region) => model.setKey(region, this.frame, own));
  }

  remove(index) {
    const state = model.removed(this.state, index);
    this.view.selected = Math.min(index, state.regions.length - 1);
    this.#commit(state);
  }

  move(from, to) {
    this.view.selected = to;
    this.#commit(model.moved(this.state, from, to));
  }

  toggleKey() {
    this.#edit(this.view.selected, (region) =>
      model.keyAt(region, this.frame) ? model.deleteKey(region, this.frame) : this.#keyed(region, this.frame));
  }

  copy() {
    const region = this.state.regions[this.view.selected];
    if (!region) return;
    this.copied = { kind: region.kind, shape: model.interpolate(region.keys, this.frame) };
    this.pasteButton.disabled = false;
  }

  paste() {
    const { kind, shape } = this.copied;
    this.#edit(this.view.selected, (region) => {
      const fits = region.kind === kind && region.keys[0].shape.length === shape.length;
      if (!fits) this.#say("What was copied has another shape than this region.", true);
      return fits ? model.setKey(region, this.frame, shape) : region;
    });
  }

  // A shape in the text's own unit; null where it is pixels of a clip that is not known.
  #own(shape) {
    if (this.#wrong) return null;
    if (!this.size && this.state.unit === "pixel") return null;
    return model.fromFractions(shape, this.state.unit, this.size ?? [1, 1]);
  }

  #keyed = (region, frame) => model.setKey(region, frame, model.interpolate(region.keys, frame));

  #edit(index, change) {
    const region = this.state.regions[index];
    const changed = region && change(region);
    if (changed && changed !== region) this.#commit(model.replaced(this.state, index, changed));
  }

  #commit(state) {
    const text = model.write(state);
    const changed = text !== this.text.value;
    this.state = state;
    this.text.value = text;
    if (changed) this.onChange(text); // first: to refresh may move the focus, and so be heard
    this.refresh();
    this.onView(this.view);
  }

  #typed() {
    const typed = this.text.value;
    this.setValue(typed);
    this.onChange(typed);
  }

  #look(changed) {
    Object.assign(this.view, changed);
    this.refresh();
    this.onView(this.view);
  }

  #toggle(index, what) {
    const { name } = this.state.regions[index];
    const names = this.view[what];
    this.#look({ [what]: names.includes(name) ? names.filter((one) => one !== name) : [...names, name] });
  }

  #toNeighbour(which) {
    const region = this.state.regions[this.view.selected];
    const key = region && model.neighbours(region, this.frame)[which];
    if (key) this.go(key.frame);
  }

  #onFrame() {
    this.view.frame = this.frame;
    this.#showFrame();
    this.refresh();
    this.onView(this.view);
  }

  #showFrame() {
    const { frames, frame } = this;
    if (!frames) return this.canvas.stage.draw();
    if (this.playhead.playing) frames.prepare(frame);
    this.shown = this.canvas.stage.show(frames, frame).catch((error) => this.#say(error.message, true));
  }

  #key(event) {
    if (event.key.toLowerCase() === "k" && event.target === this.canvas.element && !event.ctrlKey) this.toggleKey();
    else return this.transport.key(event);
    event.stopPropagation();
  }

  #say(text, wrong = false) {
    this.note.textContent = text;
    this.note.classList.toggle("wrong", wrong);
  }

  // Draw all of it anew.
  refresh() {
    const { state, frame, size, view } = this;
    const drawn = (shape) => model.toFractions(shape, state.unit, size ?? [1, 1]);
    this.items = state.regions.map((region, index) => ({
      ...region,
      index,
      shape: drawn(model.interpolate(region.keys, frame)),
      ghosts: index === view.selected ? model.neighbours(region, frame).filter(Boolean).map((key) => drawn(key.shape)) : [],
      frames: region.keys.map((key) => key.frame),
      key: Boolean(model.keyAt(region, frame)),
      colour: colour(index),
      ink: inkOn(colour(index)),
      hidden: view.hidden.includes(region.name),
      locked: view.locked.includes(region.name),
    }));
    this.list.show(this.items, view.selected, this.words);
    this.timeline.show(this.items, view.selected, frame, this.playhead.count);
    this.keyButton.setAttribute("aria-pressed", Boolean(this.items[view.selected]?.key));
    this.canvas.stage.draw();
    this.#tell();
  }

  #tell() {
    const { count } = this.playhead;
    const behind = this.frames ? this.items.filter((item) => item.frames.some((frame) => frame >= count)) : [];
    const names = behind.map((item) => item.name).join(", ");
    if (this.#wrong) this.#say(this.#wrong, true);
    else if (names) this.#say(`Key frames behind the clip's end are kept: ${names}.`);
    else if (!this.items.length) this.#say("Drag on the clip to draw a box; Alt and click for a polygon.");
    else this.#say("");
  }

  close() {
    this.playhead.pause();
    this.canvas.close();
  }
}
