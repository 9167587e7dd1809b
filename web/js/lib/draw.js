// What the widgets draw over a frame.

import { clamp } from "./dom.js";

export function within(context, rectangle, draw) {
  context.save();
  context.beginPath();
  context.rect(...rectangle);
  context.clip();
  draw();
  context.restore();
}

export const boxed = ([left, top, right, bottom]) => new Path2D(`M${left} ${top}H${right}V${bottom}H${left}Z`);

// Strokes a path over a dark line, so that it shows on any picture.
export function stroked(context, path, colour, width, dash = []) {
  context.lineJoin = "round";
  context.setLineDash(dash);
  for (const [strokeStyle, lineWidth] of [["#000a", width + 2], [colour, width]]) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.stroke(path);
  }
  context.setLineDash([]);
}

// A text in a box at x, y, or as near as fits on a stage so wide.
export function tag(context, text, [x, y], room, fill = "#000a", ink = "#fff") {
  context.font = "11px system-ui, sans-serif";
  const width = Math.min(context.measureText(text).width + 8, room);
  const box = [clamp(x, 0, room - width), Math.max(0, y), width, 15];
  context.fillStyle = fill;
  context.fillRect(...box);
  context.fillStyle = ink;
  context.textBaseline = "middle";
  within(context, box, () => context.fillText(text, box[0] + 4, box[1] + 8));
}

// The border of the cells that are on, in fractions of the frame. cell: how large one is; the last
// ones may reach over the frame's edge.
export function border(cells, columns, rows, cell = [1 / columns, 1 / rows]) {
  const path = new Path2D();
  const on = (x, y) => Boolean(x >= 0 && x < columns && cells[y * columns + x]);
  const corner = (x, y) => [Math.min(1, x * cell[0]), Math.min(1, y * cell[1])];
  const line = (x, y, right, down) => {
    path.moveTo(...corner(x, y));
    path.lineTo(...corner(x + right, y + down));
  };
  for (let y = 0; y <= rows; y++)
    for (let x = 0; x <= columns; x++) {
      if (on(x, y) !== on(x, y - 1)) line(x, y, 1, 0);
      if (on(x, y) !== on(x - 1, y)) line(x, y, 0, 1);
    }
  return path;
}
