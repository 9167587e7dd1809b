// Which frame is shown, and its moving on: one clock for all views of a clip.

import { clamp } from "./dom.js";

export class Playhead extends EventTarget {
  #frame = 0;
  #started = null; // {time, frame} of the moment when play began

  // count: frames; rate: of them a second. clock: seconds; a sound's own, where one plays.
  constructor(count = 1, rate = 8, clock = () => performance.now() / 1000) {
    super();
    Object.assign(this, { count, rate, clock, loop: true });
  }

  get frame() {
    return this.#frame;
  }

  get playing() {
    return this.#started !== null;
  }

  go(frame) {
    const wanted = clamp(Math.round(frame), 0, this.count - 1);
    if (this.playing) this.#started = { time: this.clock(), frame: wanted };
    this.#show(wanted);
  }

  // Another clip.
  set(count, rate) {
    Object.assign(this, { count, rate });
    this.#frame = clamp(this.#frame, 0, count - 1);
    this.dispatchEvent(new Event("frame"));
  }

  play() {
    if (this.playing || this.count < 2) return;
    this.#started = { time: this.clock(), frame: this.#frame };
    this.dispatchEvent(new Event("play"));
    const tick = () => {
      if (!this.playing) return;
      this.#advance();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() {
    if (!this.playing) return;
    this.#started = null;
    this.dispatchEvent(new Event("pause"));
  }

  toggle() {
    this.playing ? this.pause() : this.play();
  }

  #advance() {
    const { time, frame } = this.#started;
    const due = frame + Math.floor((this.clock() - time) * this.rate);
    const over = due >= this.count && !this.loop;
    this.#show(over ? this.count - 1 : due % this.count);
    if (over) this.pause();
  }

  #show(frame) {
    if (frame === this.#frame) return;
    this.#frame = frame;
    this.dispatchEvent(new Event("frame"));
  }
}
