// Regions over a frame of the clip: outlines that are drawn, moved and pulled with pointer and keys.

import { dragged, listen, taken } from "../lib/dom.js";
import { Stage } from "../lib/stage.js";
import { t } from "../lib/words.js";
import { around, boxBetween, cursorOf, handlesOf, holds, inFrame, pulled, shifted } from "./shapes.js";
import { cells, dashed, handle as drawHandle, mark, named, outline } from "./paint.js";

const REACH = 8; // CSS pixels around a handle in which it is meant
const LEAST = 4; // CSS pixels of a drag that is no click
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const nameOf = () => t(
  "Regions on the clip. Drag to draw a box, Alt and click for the points of a polygon; arrows move " +
  "the selected region by a pixel, with Shift by eight, with Alt its lower right corner; Delete removes it.");

export class RegionCanvas {
  #gesture = null; // {kind, ...} while a pointer or an arrow is down
  #points = []; // of the polygon that is begun

  // act: the editor. Its items: [{index, kind, shape, ghosts, name, words, colour, key, hidden, locked,
  // dotted}], shapes in fractions, later ones on top. Where it has point(place, outside), clicks are
  // points, with Alt those outside, and no polygons are drawn.
  constructor(act) {
    this.act = act;
    this.stage = new Stage((context) => this.#paint(context));
    this.element = this.stage.element;
    Object.assign(this.element, { tabIndex: 0, role: "application", ariaLabel: nameOf() });
    dragged(this.element, {
      begin: (event) => this.#down(event),
      move: (event) => this.#move(event),
      end: () => this.#end(),
      cancel: () => this.cancel(),
    });
    listen(this.element, {
      pointermove: (event) => this.#gesture || this.#hover(event),
      dblclick: () => this.#close(),
      keydown: (event) => this.#key(event),
      keyup: (event) => ARROWS[event.key] && this.#nudged(),
      blur: () => this.#nudged(),
    });
  }

  #nudged = () => this.#gesture?.kind === "nudge" && this.#end();

  cancel() {
    this.#gesture = null;
    this.#points = [];
    this.stage.draw();
  }

  // As the gesture has it so far.
  #shape({ index, shape }) {
    const { index: mine, draft } = this.#gesture ?? {};
    return (index === mine && draft) || shape;
  }

  // In CSS pixels, across and down.
  #between(one, other) {
    const [from, to] = [one, other].map((at) => this.stage.place(at));
    return from.map((part, axis) => Math.abs(part - to[axis]));
  }

  #distance = (one, other) => Math.hypot(...this.#between(one, other));

  near = (one, other) => this.#distance(one, other) <= REACH;

  // A handle of the selected region, the selected one, or the topmost.
  #hit(at) {
    const { items, view: { selected } } = this.act;
    const open = items.filter((item) => !item.hidden && !item.locked);
    const mine = open.find((item) => item.index === selected);
    if (mine) {
      const handle = handlesOf(mine.kind, mine.shape).findIndex((spot) => this.near(spot, at));
      if (handle >= 0) return { item: mine, handle };
      if (holds(mine.kind, mine.shape, at)) return { item: mine };
    }
    const item = open.findLast((one) => holds(one.kind, one.shape, at));
    return item && { item };
  }

  // Whether a gesture begins.
  #down(event) {
    if (!this.stage.picture || event.button > 1) return false;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    if (!event.button) this.act.playhead.pause(); // what is drawn belongs to the frame that is seen
    const at = this.stage.at(event);
    const { altKey: outside, button } = event;
    if (!button && !this.act.point && (outside || this.#points.length)) return this.#point(at);
    const hit = button ? null : this.#hit(at);
    this.#gesture = button
      ? { kind: "pan", x: event.clientX, y: event.clientY }
      : { kind: hit ? "shape" : "new", index: hit?.item.index, from: at, outside, ...hit };
    if (hit) this.act.select(hit.item.index);
    return true;
  }

  #move(event) {
    const gesture = this.#gesture;
    if (!gesture) return;
    if (gesture.kind === "pan") return Object.assign(gesture, this.stage.drag(event, gesture));
    const at = this.stage.at(event);
    if (gesture.kind === "shape") this.#reshape(gesture, at);
    else gesture.draft = Math.min(...this.#between(gesture.from, at)) >= LEAST && boxBetween(gesture.from, at);
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

  #apart = (one, other) => this.#distance(one, other) >= LEAST / 2;

  #hover(event) {
    const at = this.stage.at(event);
    if (this.#points.length) {
      this.reaching = at;
      return this.stage.draw();
    }
    const { item, handle } = (this.stage.picture && this.#hit(at)) || {};
    this.element.style.cursor = !item ? "crosshair" : handle === undefined ? "move" : cursorOf(item.kind, handle);
  }

  #end() {
    const gesture = this.#gesture;
    this.#gesture = null;
    if (!gesture || gesture.kind === "pan") return;
    const { kind, draft, from, outside } = gesture;
    if (kind === "new" && draft) this.act.add("box", draft);
    else if (draft) this.act.setShape(gesture.index, draft);
    else if (this.act.point) this.act.point(from, outside);
    else if (kind === "new") this.act.select(null);
    this.stage.draw();
  }

  // One more point of a polygon; the first one again, a double click or Enter closes it.
  #point(at) {
    const [first] = this.#points;
    if (this.#points.length > 2 && this.near(first, at)) return this.#close();
    const last = this.#points.at(-1);
    if (!last || this.#apart(last, at)) this.#points.push(inFrame(at));
    this.stage.draw();
  }

  #close() {
    const shape = this.#points.flat();
    if (shape.length < 6) return;
    this.#points = [];
    this.reaching = null;
    const [left, top, right, bottom] = around(shape);
    const [wide, high] = this.#pixel();
    if (right - left >= wide && bottom - top >= high) this.act.add("polygon", shape);
    this.stage.draw();
  }

  #key(event) {
    const { items, view: { selected } } = this.act;
    if (event.ctrlKey || event.metaKey) return;
    const item = items.find((one) => one.index === selected && !one.locked);
    const { kind = "nudge" } = this.#gesture ?? {};
    if (event.key === "Escape" && (this.#gesture || this.#points.length)) this.cancel();
    else if (kind !== "nudge") return taken(event); // a pointer has hold of what a key might remove
    else if (event.key === "Enter" && this.#points.length) this.#close();
    else if (["Delete", "Backspace"].includes(event.key)) item && this.act.remove(item.index);
    else if (item && !item.hidden && ARROWS[event.key]) this.#nudge(item, event);
    else return;
    taken(event);
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
    const { items, points, view: { selected, cell } } = this.act;
    const { stage } = this;
    if (cell) cells(context, stage, cell);
    const seen = items.filter((one) => !one.hidden);
    for (const item of seen.sort((one, other) => (one.index === selected) - (other.index === selected))) {
      for (const ghost of item.ghosts) dashed(context, item, ghost, stage);
      const mine = { ...item, shape: this.#shape(item) };
      outline(context, mine, stage, item.index === selected);
      named(context, mine, stage);
      if (item.index !== selected || item.locked) continue;
      for (const spot of handlesOf(mine.kind, mine.shape)) drawHandle(context, stage.place(spot), item.colour);
    }
    for (const { at, outside } of points ?? []) mark(context, stage.place(at), outside);
    this.#paintNew(context, stage);
  }

  #paintNew(context, stage) {
    const { kind, draft } = this.#gesture ?? {};
    if (kind === "new" && draft) outline(context, { kind: "box", colour: "#fff", shape: draft }, stage, true);
    if (!this.#points.length) return;
    const open = [...this.#points, ...(this.reaching ? [this.reaching] : [])];
    outline(context, { kind: "polygon", colour: "#fff", shape: open.flat() }, stage, true, true);
    for (const spot of this.#points) drawHandle(context, stage.place(spot), "#fff");
  }

  close() {
    this.stage.close();
  }
}
