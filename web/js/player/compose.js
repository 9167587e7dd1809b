// Draws the same frame of two clips onto a stage, and outlines over it.

import { colour } from "../lib/dom.js";
import { border, boxed, stroked, tag, within } from "../lib/draw.js";
import { t } from "../lib/words.js";

// What is on the button of each view, and what it does.
export const views = () => ({
  wipe: [t("Wipe"), t("Wipe: A left of the line, B right of it")],
  side: [t("Sides"), t("Side by side")],
  difference: [t("Diff"), t("Difference, four times as bright")],
  blink: [t("Blink"), t("Blink: A and B in turn")],
});

// pair: pictures of A and B. divider: 0..1 of the stage. second: whether it is B's turn to be seen.
// outline(context, right): draws over a frame that begins so far to the right, or null.
export function compose(context, stage, { pair, mode, divider, second, outline }) {
  const { clientWidth: width, clientHeight: height } = stage.element;
  const put = (picture, right = 0) => {
    stage.put(context, picture, right);
    outline?.(context, right);
  };
  const label = (text, x) => tag(context, text, [x, height - 18], width);
  const cut = mode === "side" ? width / 2 : divider * width;
  if (mode === "wipe" || mode === "side") {
    within(context, [0, 0, cut, height], () => put(pair[0]));
    within(context, [cut, 0, width - cut, height], () => put(pair[1], mode === "side" ? cut : 0));
    label("A", cut - 18);
    label("B", cut + 4);
  } else if (mode === "blink") {
    put(pair[Number(second)]);
    label("AB"[Number(second)], width / 2 - 6);
  } else {
    differ(context, stage, pair);
    outline?.(context, 0);
  }
}

function differ(context, stage, [a, b]) {
  stage.put(context, a);
  context.globalCompositeOperation = "difference";
  stage.put(context, b);
  context.globalCompositeOperation = "lighter";
  context.save();
  context.resetTransform();
  for (let twice = 0; twice < 2; twice++) context.drawImage(stage.canvas, 0, 0);
  context.restore();
  context.globalCompositeOperation = "source-over";
}

// Outlines as nodes/common/playing.py names them, with every frame's own shape.
export function filled({ columns, rows, regions }) {
  const all = regions.map(({ name, boxes, runs }) => {
    let last = null;
    return { name, isBox: Boolean(boxes), frames: (boxes ?? runs).map((shape) => (last = shape ?? last)) };
  });
  return { columns, rows, regions: all, traced: new WeakMap() };
}

// As `compose` takes it.
export const outlining = (outlines, frame, stage) => (context, right) => {
  outlines.regions.forEach(({ name, isBox, frames }, index) => {
    const shape = frames[frame];
    if (!shape) return;
    let traced = outlines.traced.get(shape);
    if (!traced) outlines.traced.set(shape, (traced = isBox ? { path: boxed(shape), from: shape } : trace(shape, outlines)));
    stroked(context, stage.placed(traced.path, right), colour(index), 1.5);
    if (!traced.from) return;
    const [x, y] = stage.place(traced.from);
    tag(context, name, [x + right, y - 15], stage.element.clientWidth);
  });
};

// A mask's runs, see outlines.py. from: where the first cell is, for a name; null where there is none.
function trace(runs, { columns, rows }) {
  const cells = decoded(runs, columns * rows);
  const first = cells.indexOf(1);
  const from = first < 0 ? null : [(first % columns) / columns, Math.floor(first / columns) / rows];
  return { path: border(cells, columns, rows), from };
}

function decoded(runs, count) {
  const cells = new Uint8Array(count);
  runs.reduce((at, run, index) => {
    if (index % 2) cells.fill(1, at, at + run);
    return at + run;
  }, 0);
  return cells;
}
