// The editor of Track Region: the object on one frame, where a tracker found it, and corrections.

import { button, colour } from "../lib/dom.js";
import { ClipEditor } from "./clip_editor.js";
import { pairs } from "./model.js";
import * as model from "./track_model.js";

const FIRST = [0.3, 0.3, 0.7, 0.7];
const NEAR = 8; // CSS pixels around a point in which it is meant

export class TrackEditor extends ClipEditor {
  // As the common editor; onTrack(): the object shall be followed now.
  constructor(options) {
    super({ tracked: null, onTrack: () => {}, ...options });
  }

  get model() {
    return model;
  }

  canvasActs() {
    return {
      select: () => {},
      shape: (_, shape) => this.setBox(shape),
      draw: (_, shape) => this.setBox(shape),
      remove: () => this.remove(this.frame),
      point: (at, outside) => this.point(at, outside),
    };
  }

  timelineActs() {
    return {
      select: () => {},
      key: (_, frame) => this.#solid(frame),
      remove: (_, frame) => this.remove(frame),
      place: (_, from, to, copy) => this.commit(model.placed(this.state, from, to, copy)),
    };
  }

  bar() {
    this.solidButton = button("Take the dotted box as a correction here", () => this.#solid(this.frame), { textContent: "◆ keep" });
    return [
      button("Draw a box on this frame", () => this.setBox(FIRST), { textContent: "+ box" }),
      this.solidButton,
      button("Delete what is drawn on this frame", () => this.remove(this.frame), { textContent: "✕" }),
      button("Follow the object through the clip, both ways: runs this node alone", () => this.onTrack(), { textContent: "Track from here" }),
    ];
  }

  side() {
    return [];
  }

  // What a run found: {bounds: of each frame in fractions, or null; confidence: or null}.
  setTracked(tracked) {
    this.tracked = tracked;
    this.refresh();
  }

  setBox(shape) {
    const box = this.own(shape);
    if (box) this.commit(model.changed(this.state, this.frame, { box }));
  }

  remove(frame) {
    if (model.drawingAt(this.state, frame)) this.commit(model.removed(this.state, frame));
  }

  // One more point on the object, or outside of it; one that is there is taken away.
  point(at, outside) {
    const own = this.own(at);
    if (!own) return;
    const drawing = model.drawingAt(this.state, this.frame) ?? { points: [], outside: [] };
    for (const list of ["points", "outside"]) {
      const spots = pairs(drawing[list]);
      const met = spots.findIndex((spot) => this.#meets(this.drawn(spot), at));
      if (met < 0) continue;
      const left = { ...drawing, [list]: spots.filter((_, index) => index !== met).flat() };
      if (!left.box && !left.points.length && !left.outside.length) return this.remove(this.frame);
      return this.commit(model.changed(this.state, this.frame, left));
    }
    const list = outside ? "outside" : "points";
    this.commit(model.changed(this.state, this.frame, { [list]: [...drawing[list], ...own] }));
  }

  #meets(one, other) {
    const [[ax, ay], [bx, by]] = [one, other].map((spot) => this.canvas.stage.place(spot));
    return Math.hypot(ax - bx, ay - by) <= NEAR;
  }

  // Where the tracker had it becomes what the user says.
  #solid(frame) {
    const bounds = this.tracked?.bounds[frame];
    const box = bounds && this.own(bounds);
    if (box) this.commit(model.changed(this.state, frame, { box }));
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
    const found = tracked?.bounds[frame];
    const box = drawing?.box ? this.drawn(drawing.box) : found;
    const sure = tracked?.confidence?.[frame];
    const dots = (tracked?.bounds ?? []).flatMap((bounds, at) =>
      bounds ? [{ frame: at, share: tracked.confidence?.[at] ?? 1 }] : []);
    const name = drawing ? (drawing === state.drawings[0] ? "prompt" : "correction")
      : `tracked${sure == null ? "" : ` ${Math.round(100 * sure)} %`}`;
    const look = { colour: colour(0), ink: "#000", ghosts: [], index: 0, kind: "box", words: "" };
    return [{ ...look, name, shape: box ?? FIRST, hidden: !box, dotted: !drawing?.box, key: Boolean(drawing), frames: state.drawings.map((each) => each.frame), dots }];
  }

  shown() {
    this.solidButton.disabled = !this.items[0].dotted || this.items[0].hidden;
  }

  told() {
    if (!this.state.drawings.length) return "Drag a box around the object, or click on it; Alt and click beside it.";
    return this.tracked ? "Dotted: as tracked. Drag it where it is wrong, and track again." : "";
  }
}
