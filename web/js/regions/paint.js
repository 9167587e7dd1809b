// Outlines, tags and handles on a canvas: thin, over a dark line, so that they show on any picture.

import { pairs } from "./model.js";
import { around } from "./shapes.js";

const DARK = "rgba(0, 0, 0, .65)";

function trace(context, { kind, shape }, place, closed = true) {
  const [left, top, right, bottom] = shape;
  const corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
  context.beginPath();
  for (const spot of kind === "box" ? corners : pairs(shape)) context.lineTo(...place(spot));
  if (closed) context.closePath();
}

function stroked(context, colour, width, dash = []) {
  context.setLineDash(dash);
  context.lineJoin = "round";
  for (const [style, wide] of [[DARK, width + 2], [colour, width]]) {
    context.strokeStyle = style;
    context.lineWidth = wide;
    context.stroke();
  }
  context.setLineDash([]);
}

export function outline(context, item, place, strong, closed = true) {
  trace(context, item, place, closed);
  stroked(context, item.colour, strong ? 2 : 1.25, item.dotted ? [2, 4] : []);
}

// Where a region is on a neighbouring key frame.
export function dashed(context, item, ghost, place) {
  trace(context, { ...item, shape: ghost }, place);
  context.setLineDash([3, 4]);
  context.lineWidth = 1;
  context.strokeStyle = item.colour;
  context.stroke();
  context.setLineDash([]);
}

export function handle(context, [x, y], colour) {
  context.beginPath();
  context.rect(x - 3.5, y - 3.5, 7, 7);
  context.fillStyle = "#fff";
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = colour === "#fff" ? "#000" : colour;
  context.stroke();
}

// A point on the object, or one outside of it.
export function mark(context, [x, y], outside) {
  context.beginPath();
  context.arc(x, y, 6, 0, 2 * Math.PI);
  context.fillStyle = outside ? "#b3261e" : "#00784f";
  context.fill();
  context.moveTo(x - 3, y);
  context.lineTo(x + 3, y);
  if (!outside) {
    context.moveTo(x, y - 3);
    context.lineTo(x, y + 3);
  }
  context.lineWidth = 1.5;
  context.strokeStyle = "#fff";
  context.stroke();
}

// Name and words above the region, or inside it where there is no room.
export function tag(context, item, place, stage) {
  const [left, top] = around(item.shape);
  const [x, y] = place([left, top]);
  const text = (item.key ? "◆ " : "") + item.name + (item.words ? `: ${item.words}` : "");
  context.font = "11px system-ui, sans-serif";
  const room = stage.element.clientWidth;
  const wide = Math.min(context.measureText(text).width + 8, room);
  const [high, from] = [15, Math.max(0, Math.min(x - 1, room - wide))];
  const above = y - high >= 0 ? y - high : Math.max(0, y);
  context.fillStyle = item.colour;
  context.fillRect(from, above, wide, high);
  context.fillStyle = item.ink;
  context.textBaseline = "middle";
  context.save();
  context.beginPath();
  context.rect(from, above, wide, high);
  context.clip();
  context.fillText(text, from + 4, above + high / 2 + 0.5);
  context.restore();
}

// A grid of so many pixels of the frame, as the cells of latents or of attention lie.
export function cells(context, stage, cell) {
  const { left, top, scale } = stage.view();
  const [wide, high] = stage.size;
  context.beginPath();
  for (let x = 0; x <= wide; x += cell) {
    context.moveTo(left + x * scale, top);
    context.lineTo(left + x * scale, top + high * scale);
  }
  for (let y = 0; y <= high; y += cell) {
    context.moveTo(left, top + y * scale);
    context.lineTo(left + wide * scale, top + y * scale);
  }
  context.lineWidth = 0.5;
  context.strokeStyle = "rgba(255, 255, 255, .45)";
  context.stroke();
}
