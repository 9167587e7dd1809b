// What pipelines/source/words_seen.py writes: 8 bits for each moment, word, latent frame and cell.

export class WordMaps {
  // told: see WordsSeen.told; url: of the file.
  constructor({ url, ...told }) {
    Object.assign(this, { url, ...told });
  }

  async load() {
    const answer = await fetch(this.url);
    if (!answer.ok) throw new Error("the maps are gone: run the node again");
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

  // The border of a mask: pairs of points in fractions of the frame.
  outline(mask) {
    const { rows, columns } = this;
    const inside = (y, x) => y >= 0 && x >= 0 && y < rows && x < columns && mask[y * columns + x];
    const lines = [];
    for (let y = 0; y <= rows; y++)
      for (let x = 0; x <= columns; x++) {
        const here = !inside(y, x);
        if (here !== !inside(y - 1, x)) lines.push([this.#corner(x, y), this.#corner(x + 1, y)]);
        if (here !== !inside(y, x - 1)) lines.push([this.#corner(x, y), this.#corner(x, y + 1)]);
      }
    return lines;
  }

  // The box around a mask, [left, top, right, bottom] in fractions; null around nothing.
  box(mask) {
    const { columns } = this;
    let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
    mask.forEach((on, cell) => {
      if (!on) return;
      const [y, x] = [Math.floor(cell / columns), cell % columns];
      [left, top] = [Math.min(left, x), Math.min(top, y)];
      [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
    });
    if (right < 0) return null;
    return [...this.#corner(left, top), ...this.#corner(right + 1, bottom + 1)];
  }

  // The last cells may reach over the frame's edge.
  #corner(x, y) {
    return [x * this.cell[0], y * this.cell[1]].map((at) => Math.min(1, at));
  }

  // Words as the text of Draw Regions: the box around the mask of each, a key where it changes.
  // Null where nothing is above the threshold.
  regions(moment, words, threshold) {
    const regions = words
      .map((word) => ({ ...this.#named(word), keyframes: this.#keys(moment, word, threshold) }))
      .filter((region) => region.keyframes.length);
    if (!regions.length) return null;
    const lines = regions.map((region) => `  ${JSON.stringify(region)}`);
    return `{"version": 1, "unit": "fraction", "regions": [\n${lines.join(",\n")}\n]}`;
  }

  // Regions are tied to words of the target prompt, which a word of the source need not be.
  #named(word) {
    const name = this.words[word];
    return { name, words: this.of === "edit" ? name : "" };
  }

  #keys(moment, word, threshold) {
    const boxes = Array.from({ length: this.count }, (_, frame) => {
      const box = this.box(this.mask(moment, word, frame, threshold));
      return box?.map((edge) => Math.round(edge * 1e4) / 1e4);
    });
    const same = (one, other) => String(boxes[one]) === String(boxes[other]);
    return boxes
      .map((box, frame) => ({ frame, box }))
      .filter(({ frame, box }) => box && !(frame && same(frame, frame - 1) && same(frame, frame + 1)));
  }
}
