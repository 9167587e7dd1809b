// Outlines, tags and handles of regions on a stage: thin, so that the picture is seen.

import { boxed, stroked, tag } from "../lib/draw.js";
import { pairs } from "./model.js";
import { around } from "./shapes.js";

const traced = ({ kind, shape }, stage, open) =>
  stage.placed(kind === "box" ? boxed(shape) : new Path2D(`M${pairs(shape).join("L")}${open ? "" : "Z"}`));

function lined(context, path, strokeStyle, lineWidth) {
  Object.assign(context, { strokeStyle, lineWidth });
  context.stroke(path);
}

export const outline = (context, item, stage, strong, open) =>
  stroked(context, traced(item, stage, open), item.colour, strong ? 2 : 1.25, item.dotted ? [2, 4] : []);

// Where a region is on a neighbouring key frame.
export function dashed(context, item, ghost, stage) {
  context.setLineDash([3, 4]);
  lined(context, traced({ ...item, shape: ghost }, stage), item.colour, 1);
  context.setLineDash([]);
}

export function handle(context, [x, y], colour) {
  const path = boxed([x - 3.5, y - 3.5, x + 3.5, y + 3.5]);
  context.fillStyle = "#fff";
  context.fill(path);
  lined(context, path, colour === "#fff" ? "#000" : colour, 1.5);
}

// A point on the object, or one outside of it.
export function mark(context, [x, y], outside) {
  const disc = new Path2D();
  disc.arc(x, y, 6, 0, 2 * Math.PI);
  context.fillStyle = outside ? "#b3261e" : "#00784f";
  context.fill(disc);
  disc.addPath(new Path2D(`M${x - 3} ${y}h6${outside ? "" : `M${x} ${y - 3}v6`}`));
  lined(context, disc, "#fff", 1.5);
}

// Name and words above the region, or inside it where there is no room.
export function named(context, item, stage) {
  const [left, top] = stage.place(around(item.shape));
  const text = (item.key ? "◆ " : "") + item.name + (item.words ? `: ${item.words}` : "");
  const above = top < 15 ? top : top - 15;
  tag(context, text, [left - 1, above], stage.element.clientWidth, item.colour, item.ink);
}

// A grid of so many pixels of the frame, as the cells of latents or of attention lie.
export function cells(context, stage, cell) {
  const path = new Path2D();
  const [wide, high] = stage.size;
  for (let x = 0; x <= wide; x += cell) path.addPath(new Path2D(`M${x / wide} 0v1`));
  for (let y = 0; y <= high; y += cell) path.addPath(new Path2D(`M0 ${y / high}h1`));
  lined(context, stage.placed(path), "#ffffff73", 0.5);
}
