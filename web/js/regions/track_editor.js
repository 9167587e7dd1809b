// The editor of Track Region: the object on one frame, where a tracker found it, and corrections.

import { button, colour, ink } from "../lib/dom.js";
import { t } from "../lib/words.js";
import { ClipEditor } from "./clip_editor.js";
import { pairs } from "./model.js";
import { FIRST } from "./shapes.js";
import * as model from "./track_model.js";

export class TrackEditor extends ClipEditor {
  // onTrack(): the object shall be followed now.
  constructor(options) {
    super({ tracked: null, model, ...options });
  }

  bar() {
    this.solidButton = button(t("Take the dotted box as a correction here"), () => this.addKey(0, this.frame), t("◆ keep"));
    return [
      button(t("Draw a box on this frame"), () => this.add("box", FIRST), t("+ box")),
      this.solidButton,
      button(t("Delete what is drawn on this frame"), () => this.remove(), "✕"),
      button(t("Follow the object through the clip, both ways: runs this node alone"), () => this.onTrack(), t("Track from here")),
    ];
  }

  // What a run found: {bounds: of each frame in fractions or null, confidence: of each, or null}.
  setTracked(tracked) {
    this.tracked = tracked;
    this.refresh();
  }

  setShape(_, shape, frame = this.frame) {
    const box = shape && this.own(shape);
    if (box) this.commit(model.changed(this.state, frame, { box }));
  }

  add(_, shape) {
    this.setShape(0, shape);
  }

  select() {}

  remove() {
    this.removeKey(0, this.frame);
  }

  removeKey(_, frame) {
    if (model.drawingAt(this.state, frame)) this.commit(model.removed(this.state, frame));
  }

  placeKey(_, from, to, copy) {
    this.commit(model.placed(this.state, from, to, copy));
  }

  // Where the tracker had it becomes what the user says.
  addKey(_, frame) {
    this.setShape(0, this.tracked?.bounds[frame], frame);
  }

  // One more point on the object, or outside of it; one that is there is taken away.
  point(at, outside) {
    const own = this.own(at);
    if (!own) return;
    const drawing = model.drawingAt(this.state, this.frame) ?? { points: [], outside: [] };
    for (const list of ["points", "outside"]) {
      const spots = pairs(drawing[list]);
      const met = spots.findIndex((spot) => this.canvas.near(this.drawn(spot), at));
      if (met < 0) continue;
      const left = { ...drawing, [list]: spots.filter((_, index) => index !== met).flat() };
      if (!left.box && !left.points.length && !left.outside.length) return this.remove();
      return this.commit(model.changed(this.state, this.frame, left));
    }
    const list = outside ? "outside" : "points";
    this.commit(model.changed(this.state, this.frame, { [list]: [...drawing[list], ...own] }));
  }

  get points() {
    const drawing = model.drawingAt(this.state, this.frame);
    if (!drawing) return [];
    const marked = (list, outside) => pairs(drawing[list]).map((spot) => ({ at: this.drawn(spot), outside }));
    return [...marked("points", false), ...marked("outside", true)];
  }

  seen() {
    const { frame, tracked, state } = this;
    const drawing = model.drawingAt(state, frame);
    const box = drawing?.box ? this.drawn(drawing.box) : tracked?.bounds[frame];
    const sure = tracked?.confidence?.[frame];
    const dots = (tracked?.bounds ?? []).flatMap((bounds, at) =>
      bounds ? [{ frame: at, share: tracked.confidence?.[at] ?? 1 }] : []);
    const name = drawing ? (drawing === state.drawings[0] ? t("prompt") : t("correction"))
      : `${t("tracked")}${sure == null ? "" : ` ${Math.round(100 * sure)} %`}`;
    const look = { colour: colour(0), ink: ink(0), ghosts: [], index: 0, kind: "box", words: "" };
    const frames = state.drawings.map((each) => each.frame);
    const now = { shape: box ?? FIRST, hidden: !box, dotted: !drawing?.box, key: Boolean(drawing) };
    return [{ ...look, ...now, name, frames, dots }];
  }

  shown() {
    this.solidButton.disabled = !this.items[0].dotted || this.items[0].hidden;
  }

  told() {
    if (!this.state.drawings.length) return t("Drag a box around the object, or click on it; Alt and click beside it.");
    return this.tracked ? t("Dotted: as tracked. Drag it where it is wrong, and track again.") : "";
  }
}
