// Regions over a frame of the clip: outlines that are drawn, moved and pulled with pointer and keys.

import { Stage } from "../lib/stage.js";
import { around, boxBetween, cursorOf, handlesOf, holds, pulled, shifted } from "./shapes.js";
import { cells, dashed, handle as drawHandle, mark, outline, tag } from "./paint.js";

const REACH = 8; // CSS pixels around a handle in which it is meant
const LEAST = 4; // CSS pixels of a drag that is no click
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NAME =
  "Regions on the clip. Drag to draw a box, Alt and click for the points of a polygon; arrows move " +
  "the selected region by a pixel, with Shift by eight, with Alt its lower right corner; Delete removes it.";

export class RegionCanvas {
  #gesture = null; // {kind, ...} while a pointer or an arrow is down
  #points = []; // of the polygon that is begun

  // scene(): {items: [{index, kind, shape, ghosts, name, words, colour, key, hidden, locked,
  //   dotted}], selected, cell}, shapes in fractions, later ones on top.
  // select(index or null), shape(index, shape), draw(kind, shape), remove(index): what the user did.
  // point(place, outside): clicks are points, with Alt those outside, and no polygons are drawn.
  constructor(heard) {
    this.heard = heard;
    this.stage = new Stage((context) => this.#paint(context));
    this.element = this.stage.element;
    Object.assign(this.element, { tabIndex: 0 });
    this.element.setAttribute("role", "application");
    this.element.setAttribute("aria-label", NAME);
    const on = (event, act) => this.element.addEventListener(event, act);
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", () => this.#end());
    on("pointercancel", () => this.cancel());
    on("dblclick", () => this.#close());
    on("keydown", (event) => this.#key(event));
    on("keyup", (event) => ARROWS[event.key] && this.#end());
    on("blur", () => this.#gesture?.kind === "nudge" && this.#end());
  }

  get busy() {
    return Boolean(this.#gesture);
  }

  cancel() {
    this.#gesture = null;
    this.#points = [];
    this.stage.draw();
  }

  // The shape of an item, as the gesture has it so far.
  #shape(item) {
    const { index, draft } = this.#gesture ?? {};
    return index === item.index && draft ? draft : item.shape;
  }

  #near([ax, ay], [bx, by]) {
    return Math.hypot(ax - bx, ay - by) <= REACH;
  }

  // What is at a place: a handle of the selected region, the selected one, or the topmost.
  #hit(at) {
    const { items, selected } = this.heard.scene();
    const open = items.filter((item) => !item.hidden && !item.locked);
    const mine = open.find((item) => item.index === selected);
    const place = this.stage.place(at);
    if (mine) {
      const handles = handlesOf(mine.kind, mine.shape).map((spot) => this.stage.place(spot));
      const handle = handles.findIndex((spot) => this.#near(spot, place));
      if (handle >= 0) return { item: mine, handle };
      if (holds(mine.kind, mine.shape, at)) return { item: mine };
    }
    const item = open.findLast((one) => holds(one.kind, one.shape, at));
    return item ? { item } : null;
  }

  #down(event) {
    if (!this.stage.picture) return;
    this.element.focus({ preventScroll: true });
    const at = this.stage.at(event);
    if (event.button === 1) return this.#hold(event, { kind: "pan", x: event.clientX, y: event.clientY });
    if (event.button !== 0) return;
    const { altKey: outside } = event;
    if (!this.heard.point && (outside || this.#points.length)) return this.#point(at);
    const hit = this.#hit(at);
    if (!hit) return this.#hold(event, { kind: "new", from: at, outside, draft: null });
    const { item, handle } = hit;
    this.heard.select(item.index);
    this.#hold(event, { kind: "shape", index: item.index, item, handle, from: at, outside, draft: null });
  }

  #hold(event, gesture) {
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    this.#gesture = gesture;
  }

  #move(event) {
    const at = this.stage.at(event);
    if (this.#points.length) {
      this.reaching = at;
      return this.stage.draw();
    }
    const gesture = this.#gesture;
    if (!gesture) return this.#hover(at);
    if (gesture.kind === "pan") {
      this.stage.pan([event.clientX - gesture.x, event.clientY - gesture.y]);
      return Object.assign(gesture, { x: event.clientX, y: event.clientY });
    }
    if (gesture.kind === "new") gesture.draft = this.#large(gesture.from, at) && boxBetween(gesture.from, at);
    if (gesture.kind === "shape") this.#reshape(gesture, at);
    this.stage.draw();
  }

  #reshape(gesture, at) {
    const { item, handle, from } = gesture;
    if (!gesture.draft && !this.#apart(from, at)) return; // a click moves nothing
    gesture.draft = handle === undefined
      ? shifted(item.shape, [at[0] - from[0], at[1] - from[1]])
      : pulled(item.kind, item.shape, handle, at, this.#pixel());
  }

  #pixel = () => this.stage.size.map((side) => 1 / side);

  #apart(one, other) {
    const [[ax, ay], [bx, by]] = [this.stage.place(one), this.stage.place(other)];
    return Math.hypot(ax - bx, ay - by) >= LEAST / 2;
  }

  #large(one, other) {
    const [[ax, ay], [bx, by]] = [this.stage.place(one), this.stage.place(other)];
    return Math.min(Math.abs(ax - bx), Math.abs(ay - by)) >= LEAST;
  }

  #hover(at) {
    const hit = this.stage.picture && this.#hit(at);
    const handle = hit?.handle === undefined ? null : cursorOf(hit.item.kind, hit.handle);
    this.element.style.cursor = !hit ? "crosshair" : (handle ?? "move");
  }

  #end() {
    const gesture = this.#gesture;
    this.#gesture = null;
    if (!gesture || gesture.kind === "pan") return;
    const { kind, draft, from, outside } = gesture;
    if (kind === "new" && draft) this.heard.draw("box", draft);
    else if (draft) this.heard.shape(gesture.index, draft);
    else if (this.heard.point) this.heard.point(from, outside);
    else if (kind === "new") this.heard.select(null);
    this.stage.draw();
  }

  // One more point of a polygon; the first one again, a double click or Enter closes it.
  #point(at) {
    const [first] = this.#points;
    const again = first && this.#near(this.stage.place(first), this.stage.place(at));
    if (again && this.#points.length > 2) return this.#close();
    const last = this.#points.at(-1);
    if (!last || this.#apart(last, at)) this.#points.push(at.map((part) => Math.min(1, Math.max(0, part))));
    this.stage.draw();
  }

  #close() {
    const shape = this.#points.flat();
    if (shape.length < 6) return;
    this.#points = [];
    this.reaching = null;
    const [left, top, right, bottom] = around(shape);
    const [wide, high] = this.#pixel();
    if (right - left >= wide && bottom - top >= high) this.heard.draw("polygon", shape);
    this.stage.draw();
  }

  #key(event) {
    const { items, selected } = this.heard.scene();
    const item = items.find((one) => one.index === selected && !one.locked);
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape" && (this.#gesture || this.#points.length)) this.cancel();
    else if (event.key === "Enter" && this.#points.length) this.#close();
    else if (item && ["Delete", "Backspace"].includes(event.key)) this.heard.remove(item.index);
    else if (item && !item.hidden && ARROWS[event.key]) this.#nudge(item, event);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the graph has keys of its own
  }

  // A key that is held down is one gesture, which ends when it is let go.
  #nudge(item, event) {
    const by = ARROWS[event.key].map((step, axis) => (step * (event.shiftKey ? 8 : 1)) / this.stage.size[axis]);
    const shape = this.#shape(item);
    const corner = item.kind === "box" ? 4 : 0; // the lower right one, or the first point
    const spot = handlesOf(item.kind, shape)[corner];
    const draft = event.altKey
      ? pulled(item.kind, shape, corner, [spot[0] + by[0], spot[1] + by[1]], this.#pixel())
      : shifted(shape, by);
    this.#gesture = { kind: "nudge", index: item.index, draft };
    this.stage.draw();
  }

  #paint(context) {
    if (!this.stage.picture) return;
    const { items, selected, cell, points } = this.heard.scene();
    const place = (spot) => this.stage.place(spot);
    if (cell) cells(context, this.stage, cell);
    const seen = items.filter((one) => !one.hidden);
    for (const item of seen.sort((one, other) => (one.index === selected) - (other.index === selected))) {
      for (const ghost of item.ghosts) dashed(context, item, ghost, place);
      const mine = { ...item, shape: this.#shape(item) };
      outline(context, mine, place, item.index === selected);
      tag(context, mine, place, this.stage);
      if (item.index !== selected || item.locked) continue;
      for (const spot of handlesOf(mine.kind, mine.shape)) drawHandle(context, place(spot), item.colour);
    }
    for (const { at, outside } of points ?? []) mark(context, place(at), outside);
    this.#paintNew(context, place);
  }

  #paintNew(context, place) {
    const { kind, draft } = this.#gesture ?? {};
    const fresh = { kind: "box", colour: "#fff", shape: draft };
    if (kind === "new" && draft) outline(context, fresh, place, true);
    if (!this.#points.length) return;
    const open = [...this.#points, ...(this.reaching ? [this.reaching] : [])];
    outline(context, { kind: "polygon", colour: "#fff", shape: open.flat() }, place, true, false);
    for (const spot of this.#points) drawHandle(context, place(spot), "#fff");
  }

  close() {
    this.stage.close();
  }
}
