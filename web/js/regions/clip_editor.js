// What the editors have in common: a clip with outlines, a timeline, and the text that they write.

import { choice, element, framed, note, row } from "../lib/dom.js";
import { Playhead } from "../lib/playhead.js";
import { Transport } from "../lib/transport.js";
import { t } from "../lib/words.js";
import { RegionCanvas } from "./canvas.js";
import { fromFractions, toFractions } from "./model.js";
import { Timeline } from "./timeline.js";

const grids = () =>
  [["0", t("no grid")], ["8", t("latent cells, 8 px")], ["16", t("cells of 16 px")], ["32", t("attention cells, 32 px")]];

// A kind of editor has model: {EMPTY, parse(text), write(state)}; bar(): its buttons; side(): elements
// beside the clip; seen(): the items; shown(): after they changed; told(): a note; and what canvas and
// timeline ask for: select(index or null), setShape(index, shape), add(kind, shape), remove(index),
// addKey(index, frame), removeKey(index, frame), placeKey(index, from, to, copy).
export class ClipEditor {
  wrong = ""; // what is wrong with the text, which is then left alone
  value = ""; // as it was set or told last, whatever is being typed

  // frames: of the clip (lib/frames.js), or null. view: {frame, selected, hidden, locked, cell} of an
  // earlier editor. onChange(value): once a gesture. onView(view): what is looked at has changed.
  constructor({ value, frames = null, view = {}, onChange, onView = () => {}, ...own }) {
    Object.assign(this, { onChange, onView, ...own });
    this.view = { frame: 0, selected: 0, hidden: [], locked: [], cell: 0, ...view };
    this.playhead = new Playhead();
    this.canvas = new RegionCanvas(this);
    this.timeline = new Timeline(this);
    this.build();
    this.playhead.addEventListener("frame", () => this.#onFrame());
    this.setValue(value);
    this.setFrames(frames);
  }

  build() {
    this.hint = element("div", { class: "hint" });
    this.canvas.element.append(this.hint);
    this.transport = new Transport(this.playhead);
    this.note = note();
    this.text = element("textarea", { "aria-label": t("The text"), spellcheck: false, on: { change: () => this.#typed() } });
    const cells = choice(t("Grid of cells"), grids(), (cell) => this.look({ cell: Number(cell) }));
    cells.value = this.view.cell;
    const advanced = element("details", {}, element("summary", {}, t("Advanced: text, grid")), this.text, cells);
    const film = element("div", { class: "film" }, this.canvas.element, this.transport.element, this.timeline.element);
    const listed = this.side();
    const side = element("div", { class: listed.length ? "side" : "side slim" }, ...listed, advanced);
    this.element = framed(
      { class: "evenframe editor" },
      (event) => this.key(event),
      row(...this.bar()),
      element("div", { class: "panes" }, film, side),
      this.note,
    );
  }

  side() {
    return [];
  }

  setValue(text) {
    this.value = this.text.value = text;
    this.wrong = "";
    try {
      this.state = this.model.parse(text);
    } catch (error) {
      this.state = this.model.EMPTY;
      this.wrong = `${error.message} ${t("Mend the text under Advanced: it is left as it is.")}`;
    }
    this.canvas.cancel();
    this.timeline.cancel();
    this.refresh();
  }

  // Another clip, or none; hint: what to say where there is none.
  setFrames(frames, hint = t("Link a clip, or run this node once, to see it here.")) {
    const { frame } = this.view; // which the playhead tells anew
    this.frames = frames;
    this.hint.textContent = frames ? "" : hint;
    this.canvas.stage.clear();
    this.playhead.set(frames?.count ?? 1, frames?.rate ?? 8);
    if (frames) this.playhead.go(frame);
    this.#showFrame();
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

  // A shape in the text's own unit; null where it is pixels of a clip that is not known.
  own(shape) {
    if (this.wrong || (!this.size && this.state.unit === "pixel")) return null;
    return fromFractions(shape, this.state.unit, this.size ?? [1, 1]);
  }

  drawn(shape) {
    return toFractions(shape, this.state.unit, this.size ?? [1, 1]);
  }

  commit(state) {
    const text = this.model.write(state);
    const changed = text !== this.value;
    this.state = state;
    this.value = this.text.value = text;
    if (changed) this.onChange(text); // first: to refresh may move the focus, and so be heard
    this.refresh();
    this.onView(this.view);
  }

  look(changed) {
    Object.assign(this.view, changed);
    this.refresh();
    this.onView(this.view);
  }

  say(text, wrong) {
    this.note.say(text, wrong);
  }

  key(event) {
    this.transport.key(event);
  }

  refresh() {
    this.items = this.seen();
    this.timeline.show(this.items, this.view.selected, this.frame, this.playhead.count);
    this.shown();
    this.canvas.stage.draw();
    this.say(this.wrong || this.told(), Boolean(this.wrong));
  }

  #typed() {
    const typed = this.text.value;
    this.setValue(typed);
    this.onChange(typed);
  }

  #onFrame() {
    if (!this.frames) return; // what was looked at is kept for the clip that comes
    this.look({ frame: this.frame });
    this.#showFrame();
  }

  #showFrame() {
    if (this.frames) this.canvas.stage.follow(this.frames, this.playhead).catch((error) => this.say(error.message, true));
  }

  close() {
    this.playhead.pause();
    this.canvas.close();
  }
}
