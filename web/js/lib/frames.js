// The pictures of a clip, fetched as they are wanted; the last ones are kept, decoded.

import { t } from "./words.js";

const DECODED = 48; // of 1024 x 1024 pixels, 4 MB each
const AHEAD = 6;

export class Frames {
  #pictures = new Map(); // index -> promise of an ImageBitmap, that used longest ago first
  #wanted = new AbortController(); // until close()
  shown = null; // the index of the one on a stage: kept however long ago it was asked for

  // url(frame): of its picture. width, height: pixels; rate: frames a second.
  constructor({ url, count, width, height, rate }) {
    Object.assign(this, { url, count, width, height, rate });
  }

  picture(index) {
    const found = this.#pictures.get(index);
    this.#pictures.delete(index);
    const picture = found ?? this.#fetched(index);
    this.#pictures.set(index, picture); // as the last that was used
    if (this.#pictures.size > DECODED) this.#drop([...this.#pictures.keys()].find((one) => one !== this.shown));
    return picture;
  }

  prepare(index) {
    for (let next = index + 1; next <= index + AHEAD; next++) {
      const wrapped = next % this.count;
      if (!this.#pictures.has(wrapped)) this.picture(wrapped).catch(() => {});
    }
  }

  // Lets go of all pictures, also of those on their way; they are fetched again where asked for.
  close() {
    this.#wanted.abort();
    this.#wanted = new AbortController();
    for (const index of [...this.#pictures.keys()]) this.#drop(index);
  }

  async #fetched(index) {
    const { signal } = this.#wanted;
    try {
      const answer = await fetch(this.url(index), { signal });
      if (!answer.ok) throw new Error(t("frame {index} is gone: run the node again", { index }));
      return await createImageBitmap(await answer.blob());
    } catch (error) {
      if (!signal.aborted) this.#pictures.delete(index); // it may be there the next time
      throw error;
    }
  }

  #drop(index) {
    this.#pictures.get(index)?.then((picture) => picture.close(), () => {});
    this.#pictures.delete(index);
  }
}
