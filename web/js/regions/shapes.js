// Boxes and polygons in fractions of a frame: where they are taken hold of, and what that makes.

import { clamp } from "../lib/dom.js";
import { pairs } from "./model.js";

// The handles of a box: which of its edges each moves, as [x, y] places in left, top, right, bottom.
const EDGES = [[0, 1], [null, 1], [2, 1], [2, null], [2, 3], [null, 3], [0, 3], [0, null]];
const CURSORS = ["nwse", "ns", "nesw", "ew", "nwse", "ns", "nesw", "ew"].map((way) => `${way}-resize`);

export const cursorOf = (kind, handle) => (kind === "box" ? CURSORS[handle] : "grab");

// Of what is added without a pointer.
export const FIRST = [0.3, 0.3, 0.7, 0.7];

export const handlesOf = (kind, shape) =>
  kind === "polygon"
    ? pairs(shape)
    : EDGES.map((edges) => edges.map((edge, axis) => (edge === null ? (shape[axis] + shape[axis + 2]) / 2 : shape[edge])));

export const inFrame = (at) => at.map((part) => clamp(part, 0, 1));

// A shape whose handle is pulled to a place. least: the sides of a pixel.
export function pulled(kind, shape, handle, at, least) {
  const place = inFrame(at);
  if (kind === "polygon") return shape.toSpliced(2 * handle, 2, ...place);
  const made = [...shape];
  EDGES[handle].forEach((edge, axis) => {
    if (edge === null) return;
    const facing = shape[(edge + 2) % 4];
    made[edge] = edge < 2 ? Math.min(place[axis], facing - least[axis]) : Math.max(place[axis], facing + least[axis]);
  });
  return made;
}

// A shape moved as a whole; it stays in the frame, or no further outside of it than it was.
export function shifted(shape, by) {
  const bounds = around(shape);
  const step = by.map((wanted, axis) => clamp(wanted, Math.min(0, -bounds[axis]), Math.max(0, 1 - bounds[axis + 2])));
  return shape.map((number, at) => number + step[at % 2]);
}

// The box around places, as a flat list or [left, top, right, bottom] itself.
export const around = (shape) =>
  [Math.min, Math.max].flatMap((pick) => [0, 1].map((axis) => pick(...shape.filter((_, at) => at % 2 === axis))));

export const boxBetween = (one, other) => around([...inFrame(one), ...inFrame(other)]);

export function holds(kind, shape, [x, y]) {
  if (kind === "box") return x >= shape[0] && y >= shape[1] && x <= shape[2] && y <= shape[3];
  const points = pairs(shape);
  let inside = false;
  points.forEach(([ax, ay], at) => {
    const [bx, by] = points.at(at - 1);
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}
