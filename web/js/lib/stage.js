// A canvas that shows a frame as large as fits, or nearer, and knows where in it the pointer is.

import { clamp, element, taken } from "./dom.js";

const MOST_ZOOM = 32;

export class Stage {
  #zoom = 1;
  #centre = [0.5, 0.5]; // of the view, in fractions of the frame
  #asked = 0;
  #waiting = false;

  // paint(context, stage): draws over the frame, in CSS pixels; see `place`.
  constructor(paint = () => {}) {
    this.paint = paint;
    this.size = [16, 9]; // of a frame in pixels
    this.panes = 1; // side by side; the view is that of each
    this.picture = null;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.element = element("div", { class: "stage" }, this.canvas);
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  follow(frames, { frame, playing }) {
    if (playing) frames.prepare(frame);
    return this.show(frames, frame);
  }

  // A later call wins. Resolves when the frame is on the canvas.
  async show(frames, index) {
    const asked = ++this.#asked;
    const picture = await frames.picture(index).catch((error) => {
      if (asked === this.#asked) throw error;
    });
    if (asked !== this.#asked) return;
    this.size = [frames.width, frames.height];
    this.picture = picture;
    this.shown = frames.shown = index;
    this.render();
  }

  // Nor is a frame shown that is on its way: its clip may be closed.
  clear() {
    this.#asked += 1;
    this.picture = null;
    this.draw();
  }

  draw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.render();
    });
  }

  render() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const ratio = window.devicePixelRatio;
    const pixels = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== pixels[0] || this.canvas.height !== pixels[1])
      [this.canvas.width, this.canvas.height] = pixels;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (this.picture) this.put(context, this.picture);
    this.paint(context, this);
  }

  // Draw a picture where the frame lies, or so far right of it.
  put(context, picture, right = 0) {
    if (!picture.width) return; // its clip was closed since: the next picture is on its way
    const { a, d, e, f } = this.matrix(right);
    context.imageSmoothingEnabled = a < 2 * this.size[0];
    context.drawImage(picture, e, f, a, d);
  }

  // From fractions of the frame to CSS pixels, for paths.
  matrix(right = 0) {
    const { left, top, scale } = this.view();
    return new DOMMatrix([this.size[0] * scale, 0, 0, this.size[1] * scale, left + right, top]);
  }

  placed(path, right = 0) {
    const made = new Path2D();
    made.addPath(path, this.matrix(right));
    return made;
  }

  // Where the frame lies in each pane, in CSS pixels, and the scale of its own.
  view() {
    const [width, height] = [this.element.clientWidth / this.panes, this.element.clientHeight];
    const [wide, high] = this.size;
    const scale = Math.min(width / wide, height / high) * this.#zoom;
    const [x, y] = this.#centre;
    return { left: width / 2 - x * wide * scale, top: height / 2 - y * high * scale, scale };
  }

  // From fractions of the frame to CSS pixels of the element; `at` leads back.
  place([x, y]) {
    const { left, top, scale } = this.view();
    return [left + x * this.size[0] * scale, top + y * this.size[1] * scale];
  }

  at(event) {
    const { box, shrink } = this.#laid();
    const { left, top, scale } = this.view();
    const [wide, high] = this.size;
    const [x, pane] = [(event.clientX - box.left) * shrink, this.element.clientWidth / this.panes];
    const across = x - pane * clamp(Math.floor(x / pane), 0, this.panes - 1);
    return [(across - left) / (wide * scale), ((event.clientY - box.top) * shrink - top) / (high * scale)];
  }

  // The graph may be zoomed: what the page shows is larger or smaller than what was laid out.
  #laid() {
    const box = this.element.getBoundingClientRect();
    return { box, shrink: this.element.clientWidth / (box.width || 1) };
  }

  // With a pointer that was at x, y; gives where it is now.
  drag({ clientX, clientY }, { x, y }) {
    const { shrink } = this.#laid();
    this.pan([(x - clientX) * shrink, (y - clientY) * shrink]);
    return { x: clientX, y: clientY };
  }

  // 1 fits; less only as far as a pixel of a small frame is one of the screen. about: what stays
  // where it is.
  zoom(factor, about = [0.5, 0.5]) {
    const before = this.place(about);
    this.#zoom = clamp(factor, Math.min(1, this.#actual()), MOST_ZOOM);
    const after = this.place(about);
    this.pan([after[0] - before[0], after[1] - before[1]]);
  }

  get zoomed() {
    return this.#zoom;
  }

  // One pixel of the frame as one of the screen.
  actual = () => this.zoom(this.#actual());

  #actual = () => this.#zoom / this.view().scale / window.devicePixelRatio;

  pan(by) {
    const { scale } = this.view();
    const half = Math.min(0.5, 0.5 / this.#zoom);
    this.#centre = this.#centre.map((at, axis) => clamp(at + by[axis] / (this.size[axis] * scale), half, 1 - half));
    this.draw();
  }

  close() {
    this.clear();
    this.observer.disconnect();
  }

  #wheel(event) {
    taken(event); // or the graph would zoom, too
    this.zoom(this.#zoom * 2 ** (-event.deltaY / 240), this.at(event));
  }
}
