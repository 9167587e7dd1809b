// One object on frames of a clip, as the text of Track Region has it
// (pipelines/regions/tracking/drawn.py): read, changed and written, as in model.js.

import { fail, only, pairs, readShape, readText, spaced } from "./model.js";

const DRAWN = ["box", "points", "outside"];

export const EMPTY = { unit: "fraction", drawings: [] };

// To {unit, drawings: [{frame, box or null, points, outside}]}, the prompt first, then its
// corrections; throws what is wrong.
export function parse(text) {
  if (!text.trim()) return EMPTY;
  const { unit, corrections = [], ...prompt } = readText(text, ["frame", "corrections", ...DRAWN]);
  if (!Array.isArray(corrections)) fail("corrections is no list in square brackets.");
  const drawings = [{ frame: 0, ...prompt }, ...corrections].map((entry, at) =>
    readDrawing(entry, at ? `corrections[${at - 1}]` : "The text", unit));
  if (new Set(drawings.map((each) => each.frame)).size < drawings.length) fail("A frame is given twice.");
  return { unit, drawings };
}

function readDrawing(entry, where, unit) {
  const { frame, box = null, points = [], outside = [] } = only(entry, ["frame", ...DRAWN], where);
  if (!Number.isInteger(frame) || frame < 0) fail(`${where}: frame is no number of a frame.`);
  const read = (list) => (list.length ? readShape("points", list, where, unit) : []);
  if (!Array.isArray(points) || !Array.isArray(outside)) fail(`${where}: points are lists of x, y.`);
  return { frame, box: box && readShape("box", box, where, unit), points: read(points), outside: read(outside) };
}

export function write({ unit, drawings }) {
  if (!drawings.length) return "";
  const plain = ({ frame, box, points, outside }) => ({
    frame,
    ...(box && { box }),
    ...(points.length && { points: pairs(points) }),
    ...(outside.length && { outside: pairs(outside) }),
  });
  const [prompt, ...corrections] = drawings.map(plain);
  const head = spaced({ version: 1, ...(unit === "pixel" && { unit }), ...prompt });
  if (!corrections.length) return head;
  return `${head.slice(0, -1)}, "corrections": [\n  ${corrections.map(spaced).join(",\n  ")}\n]}`;
}

export const drawingAt = (state, frame) => state.drawings.find((each) => each.frame === frame);

// With some of what is drawn on a frame changed; a frame on which nothing was yet is a correction.
export function changed({ unit, drawings }, frame, fields) {
  const found = drawings.findIndex((each) => each.frame === frame);
  const at = found < 0 ? drawings.length : found;
  const drawing = { frame, box: null, points: [], outside: [], ...drawings[at], ...fields };
  return { unit, drawings: drawings.toSpliced(at, 1, drawing) };
}

// Of the prompt's, the first correction takes its place.
export const removed = (state, frame) => ({
  ...state,
  drawings: state.drawings.filter((each) => each.frame !== frame),
});

export function placed(state, from, to, copy) {
  const drawing = { ...drawingAt(state, from), frame: to };
  return copy ? changed(state, to, drawing) : changed(removed(state, to), from, drawing);
}
