// What pipelines/source/words_seen.py writes: 8 bits for each moment, word, latent frame and cell.

import { round } from "../lib/dom.js";
import { border } from "../lib/draw.js";
import { t } from "../lib/words.js";
import { write } from "../regions/model.js";
import { around } from "../regions/shapes.js";

export class WordMaps {
  // As WordsSeen.told has it; url: of the file.
  constructor({ url, ...told }) {
    Object.assign(this, { url, ...told });
  }

  async load(signal) {
    const answer = await fetch(this.url, { signal });
    if (!answer.ok) throw new Error(t("the maps are gone: run the node again"));
    this.bytes = new Uint8Array(await answer.arrayBuffer());
  }

  // Frames of the video: a latent frame holds `time_stride` of them, the first only one.
  get count() {
    return 1 + (this.frames - 1) * this.time_stride;
  }

  // Relative to the maximum of the frame, 255, row by row.
  at(moment, word, frame) {
    const latent = Math.min(this.frames - 1, Math.ceil(frame / this.time_stride));
    const cells = this.rows * this.columns;
    const start = ((moment * this.words.length + word) * this.frames + latent) * cells;
    return this.bytes.subarray(start, start + cells);
  }

  // 1 where the word counts as looked at, as the node makes it (`blend_mask`): what is above the
  // threshold, spread by a cell.
  mask(moment, word, frame, threshold) {
    const { rows, columns } = this;
    const map = this.at(moment, word, frame);
    const mask = new Uint8Array(map.length);
    map.forEach((value, cell) => {
      if (value <= threshold * 255) return;
      const [row, column] = [Math.floor(cell / columns), cell % columns];
      for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y++)
        mask.fill(1, y * columns + Math.max(0, column - 1), y * columns + Math.min(columns, column + 2));
    });
    return mask;
  }

  outline = (mask) => border(mask, this.columns, this.rows, this.cell);

  // The box around a mask in fractions; null around nothing.
  box(mask) {
    const cells = [...mask.keys()].filter((cell) => mask[cell]);
    if (!cells.length) return null;
    const corners = cells.flatMap((cell) => [cell % this.columns, Math.floor(cell / this.columns)]);
    // The last cells may reach over the frame's edge.
    return around(corners).map((at, edge) => round(Math.min(1, (at + (edge > 1)) * this.cell[edge % 2])));
  }

  // Words as the text of Draw Regions: the box around the mask of each, a key where it changes.
  // "" where nothing is above the threshold.
  regions(moment, words, threshold) {
    const regions = words
      .map((word) => ({ ...this.#named(word), kind: "box", keys: this.#keys(moment, word, threshold) }))
      .filter((region) => region.keys.length);
    return write({ unit: "fraction", regions });
  }

  // Regions are tied to words of the target prompt, which a word of the source need not be.
  #named(word) {
    const name = this.words[word];
    return { name, words: this.of === "edit" ? name : "" };
  }

  #keys(moment, word, threshold) {
    const boxes = Array.from({ length: this.count }, (_, frame) => this.box(this.mask(moment, word, frame, threshold)));
    const same = (one, other) => String(boxes[one]) === String(boxes[other]);
    return boxes
      .map((shape, frame) => ({ frame, shape }))
      .filter(({ frame, shape }) => shape && !(frame && same(frame, frame - 1) && same(frame, frame + 1)));
  }
}
