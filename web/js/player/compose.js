// Draws the same frame of two clips onto a stage, and outlines over it.

import { clamp, colour } from "../lib/dom.js";

export const MODES = {
  wipe: ["Wipe", "Wipe: A left of the line, B right of it"],
  side: ["Sides", "Side by side"],
  difference: ["Diff", "Difference, four times as bright"],
  blink: ["Blink", "Blink: A and B in turn"],
};

// pair: the pictures of A and B. divider: where the line is, 0..1 of the stage. second: whether it
// is B's turn to be seen. outline: draws over a frame that begins so far to the right, or null.
export function compose(context, stage, { pair, mode, divider, second, outline }) {
  const [width, height] = [stage.element.clientWidth, stage.element.clientHeight];
  const within = (left, right, draw) => {
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    draw();
    context.restore();
  };
  const cut = mode === "side" ? width / 2 : divider * width;
  if (mode === "wipe" || mode === "side") {
    within(0, cut, () => put(context, stage, pair[0], 0, outline));
    within(cut, width, () => put(context, stage, pair[1], mode === "side" ? cut : 0, outline));
    tag(context, "A", clamp(cut - 16, 2, width), height - 4);
    tag(context, "B", clamp(cut + 4, 2, width - 14), height - 4);
  } else if (mode === "blink") {
    put(context, stage, pair[second ? 1 : 0], 0, outline);
    tag(context, second ? "B" : "A", width / 2 - 6, height - 4);
  } else differ(context, stage, pair, outline);
}

function put(context, stage, picture, right, outline) {
  const { left, top, scale } = stage.view();
  const [wide, high] = stage.size;
  context.imageSmoothingEnabled = scale < 2;
  context.drawImage(picture, left + right, top, wide * scale, high * scale);
  outline?.(context, left + right, top, scale);
}

function differ(context, stage, [a, b], outline) {
  put(context, stage, a, 0);
  context.globalCompositeOperation = "difference";
  put(context, stage, b, 0);
  context.globalCompositeOperation = "lighter";
  context.save();
  context.resetTransform();
  for (let twice = 0; twice < 2; twice++) context.drawImage(stage.canvas, 0, 0);
  context.restore();
  context.globalCompositeOperation = "source-over";
  const { left, top, scale } = stage.view();
  outline?.(context, left, top, scale);
}

function tag(context, text, x, y) {
  context.font = "12px system-ui, sans-serif";
  const width = context.measureText(text).width;
  context.fillStyle = "#000a";
  context.fillRect(x, y - 14, width + 6, 17);
  context.fillStyle = "#fff";
  context.fillText(text, x + 3, y - 1);
}

// Outlines as nodes/common/playing.py names them, with every frame's own shape.
export function filled({ columns, rows, regions }) {
  const all = regions.map(({ name, boxes, runs }) => {
    let last = null;
    return { name, isBox: Boolean(boxes), frames: (boxes ?? runs).map((shape) => (last = shape ?? last)) };
  });
  return { columns, rows, regions: all, traced: new WeakMap() };
}

// A function that draws the outlines of a frame of (width, height) pixels, as `compose` takes it.
export const outlining = (outlines, frame, [width, height]) => (context, left, top, scale) => {
  const [wide, high] = [width * scale, height * scale];
  outlines.regions.forEach(({ name, isBox, frames }, index) => {
    const shape = frames[frame];
    if (!shape) return;
    let traced = outlines.traced.get(shape);
    if (!traced) outlines.traced.set(shape, (traced = isBox ? around(shape) : trace(shape, outlines)));
    const { path, across, down, from } = traced;
    const placed = new Path2D();
    placed.addPath(path, new DOMMatrix([wide / across, 0, 0, high / down, left, top]));
    context.lineWidth = 1.5;
    context.strokeStyle = colour(index);
    context.stroke(placed);
    if (from) tag(context, name, left + (from[0] * wide) / across, top + (from[1] * high) / down);
  });
};

function around([left, top, right, bottom]) {
  const path = new Path2D();
  path.rect(left, top, right - left, bottom - top);
  return { path, across: 1, down: 1, from: [left, top] };
}

// The edges of the cells of a mask's runs, see outlines.py; in units of `across` and `down`.
// from: where the first cell is, for a name; null where there is nothing.
function trace(runs, { columns, rows }) {
  const path = new Path2D();
  const cells = decoded(runs, columns * rows);
  const at = (x, y) => (x < 0 || y < 0 || x >= columns || y >= rows ? 0 : cells[y * columns + x]);
  edges(rows + 1, columns, (y, x) => at(x, y) !== at(x, y - 1), (y, x, end) => {
    path.moveTo(x, y);
    path.lineTo(end, y);
  });
  edges(columns + 1, rows, (x, y) => at(x, y) !== at(x - 1, y), (x, y, end) => {
    path.moveTo(x, y);
    path.lineTo(x, end);
  });
  const first = cells.indexOf(1);
  const from = first < 0 ? null : [first % columns, Math.floor(first / columns)];
  return { path, across: columns, down: rows, from };
}

// Calls found(line, start, end) for each stretch of a line on which there is an edge.
function edges(lines, length, isEdge, found) {
  for (let line = 0; line < lines; line++) {
    let start = -1;
    for (let at = 0; at <= length; at++) {
      const edge = at < length && isEdge(line, at);
      if (edge && start < 0) start = at;
      else if (!edge && start >= 0) {
        found(line, start, at);
        start = -1;
      }
    }
  }
}

function decoded(runs, count) {
  const cells = new Uint8Array(count);
  runs.reduce((at, run, index) => {
    if (index % 2) cells.fill(1, at, at + run);
    return at + run;
  }, 0);
  return cells;
}
