// Where a clip looks at the words of its prompt: words as chips below it, maps and outlines on it.

import { button, colour, element, framed, group, listen, note, pressed, row, slider } from "../lib/dom.js";
import { stroked, within } from "../lib/draw.js";
import { Playhead } from "../lib/playhead.js";
import { Stage } from "../lib/stage.js";
import { Transport } from "../lib/transport.js";
import { t } from "../lib/words.js";
import { WordMaps } from "./maps.js";

const MOST_PINNED = 3;
const OPACITY = 0.7;

export class AttentionViewer {
  #pins = []; // {word, slot}, that pinned longest ago first
  #hovered = null;
  #open = new AbortController(); // until close()

  // strips: Frames, in the order of maps: what WordMaps takes, of the source and perhaps of an edit.
  // state: as `state` gave it. onChange({threshold}): the user has let go; onState(): what is looked at
  // is another; onRegion(text): a mask became a region.
  constructor({ strips, maps, threshold = 0.3, state = {}, onChange, onState, onRegion }) {
    Object.assign(this, { strips, threshold, onChange, onState, onRegion });
    this.maps = maps.map((each) => new WordMaps(each));
    this.playhead = new Playhead();
    this.stage = new Stage((context) => this.#paint(context));
    this.#build();
    this.#restore(state);
    this.playhead.addEventListener("frame", () => this.#show());
    this.ready = Promise.all(this.maps.map((each) => each.load(this.#open.signal))).then(
      () => this.#show(),
      this.#failed,
    );
  }

  #failed = (error) => this.#open.signal.aborted || this.note.say(error.message, true);

  // What is looked at: goes into the next viewer of this node.
  get state() {
    const { seen, moment } = this;
    const pinned = this.#pins.map(({ word }) => seen.words[word]);
    return { of: seen.of, pinned, step: seen.steps[moment], frame: this.playhead.frame };
  }

  close() {
    this.#open.abort();
    this.playhead.pause();
    this.stage.close();
    for (const strip of this.strips) strip.close();
  }

  #build() {
    this.clips = this.maps.map((each, at) => {
      const name = each.of === "edit" ? t("Edit") : t("Source");
      return button(name, () => this.#choose(at), name);
    });
    this.chips = group(t("Words"), "row words");
    this.step = this.#slider(t("Step"), {}, (at) => this.#go(at));
    this.above = this.#slider(t("Threshold"), { max: 1, step: 0.01 }, (at) => {
      this.threshold = at;
      this.#draw();
    });
    this.above.input.addEventListener("change", () => this.onChange?.({ threshold: this.threshold }));
    this.note = note();
    this.transport = new Transport(this.playhead);
    this.element = framed(
      {},
      (event) => this.transport.key(event),
      this.maps.length > 1 ? row(...this.clips) : null,
      this.stage.element,
      this.chips,
      row(this.step.element, this.above.element),
      this.transport.element,
      row(
        button(t("Mask to region"), () => this.#region(this.onRegion), t("Mask to region")),
        button(t("Copy the region"), () => this.#region(copied), t("Copy")),
        this.note,
      ),
    );
  }

  #slider(name, range, moved) {
    const [input, output] = [slider(name, range, moved), element("output")];
    return { input, output, element: element("label", { class: "row" }, name, input, output) };
  }

  #restore({ of, pinned, step, frame }) {
    const at = Math.max(0, this.maps.findIndex((each) => each.of === of));
    this.#choose(at, pinned);
    const wanted = step ?? this.seen.steps[Math.floor(this.seen.steps.length / 2)];
    const near = this.seen.steps.map((each) => Math.abs(each - wanted));
    this.#go(near.indexOf(Math.min(...near)));
    this.playhead.go(frame ?? 0);
  }

  // Look at the source or at the edit. pinned: words; those pinned before, where there are none.
  #choose(at, pinned = this.seen && this.state.pinned) {
    this.seen = this.maps[at];
    this.frames = this.strips[at];
    this.clips.forEach((each, index) => pressed(each, index === at));
    const { words, chosen } = this.seen;
    const found = (pinned ?? []).map((word) => words.indexOf(word)).filter((word) => word >= 0);
    this.#pins = [];
    for (const word of found.length || chosen == null ? found : [chosen]) this.#pin(word);
    this.chips.replaceChildren(...words.map((word, index) => this.#chip(word, index)));
    this.step.input.max = this.seen.steps.length - 1;
    this.playhead.set(Math.min(this.frames.count, this.seen.count), this.frames.rate);
    this.#go(Math.min(this.moment ?? 0, this.seen.steps.length - 1));
    this.#show();
  }

  #chip(word, index) {
    const hover = (on) => {
      this.#hovered = on ? index : null;
      this.#draw();
    };
    // What was asked for in several words stands behind those of the prompt.
    const chip = button(word, () => this.#pin(index), word, { class: index === this.seen.chosen ? "chip asked" : "chip" });
    listen(chip, {
      pointerenter: () => hover(true),
      pointerleave: () => hover(false),
      focus: () => chip.matches(":focus-visible") && hover(true),
      blur: () => hover(false),
    });
    return chip;
  }

  // Of too many, the one that was kept longest goes.
  #pin(word) {
    const kept = this.#pins.filter((pin) => pin.word !== word);
    if (kept.length === this.#pins.length) {
      if (kept.length === MOST_PINNED) kept.shift();
      kept.push({ word, slot: this.#free(kept) });
    }
    this.#pins = kept;
    this.#draw();
  }

  #free(pins) {
    const slots = [...Array(MOST_PINNED).keys()];
    return slots.find((slot) => !pins.some((pin) => pin.slot === slot)) ?? 0;
  }

  #go(moment) {
    this.moment = moment;
    const { steps, total } = this.seen;
    this.step.input.value = moment;
    this.step.output.value = t("{at} of {total}", { at: steps[moment] + 1, total });
    this.step.input.setAttribute("aria-valuetext", this.step.output.value);
    this.#draw();
  }

  #show() {
    if (this.#open.signal.aborted) return;
    this.stage.follow(this.frames, this.playhead).catch(this.#failed);
    this.onState?.();
  }

  #draw() {
    this.above.input.value = this.threshold;
    this.above.output.value = this.threshold.toFixed(2);
    [...this.chips.children].forEach((chip, word) => {
      const pin = this.#pins.find((each) => each.word === word);
      pressed(chip, Boolean(pin));
      chip.style.setProperty("--chip", pin ? colour(pin.slot) : "");
    });
    this.stage.draw();
    this.onState?.();
  }

  // A word that is pointed at alone, else those that are kept.
  get #shown() {
    if (this.#hovered === null) return this.#pins;
    const pin = this.#pins.find(({ word }) => word === this.#hovered);
    return [pin ?? { word: this.#hovered, slot: this.#free(this.#pins) }];
  }

  #paint(context) {
    if (!this.seen?.bytes || !this.stage.picture) return;
    const shown = this.#shown.map(({ word, slot }) => [word, colour(slot)]);
    const { a: wide, d: high, e: left, f: top } = this.stage.matrix();
    within(context, [left, top, wide, high], () => shown.forEach((each) => this.#heat(context, ...each)));
    for (const [word, paint] of shown) {
      const mask = this.seen.mask(this.moment, word, this.stage.shown, this.threshold);
      stroked(context, this.stage.placed(this.seen.outline(mask)), paint, 2);
    }
  }

  #heat(context, word, paint) {
    const { rows, columns, cell } = this.seen;
    const picture = new ImageData(columns, rows);
    const rgb = [1, 3, 5].map((at) => parseInt(paint.slice(at, at + 2), 16));
    this.seen.at(this.moment, word, this.stage.shown)
      .forEach((value, at) => picture.data.set([...rgb, value * OPACITY], 4 * at));
    const small = new OffscreenCanvas(columns, rows);
    small.getContext("2d").putImageData(picture, 0, 0);
    const [left, top, right, bottom] = [[0, 0], [columns * cell[0], rows * cell[1]]].flatMap((at) => this.stage.place(at));
    context.imageSmoothingEnabled = false;
    context.drawImage(small, left, top, right - left, bottom - top);
  }

  async #region(use) {
    const words = this.#pins.map(({ word }) => word);
    if (!words.length) return this.note.say(t("Click the words that the region shall be of."), true);
    const text = this.seen.regions(this.moment, words, this.threshold);
    if (!text) return this.note.say(t("Nothing is above the threshold: lower it."), true);
    try {
      this.note.say((await use(text)) ?? "");
    } catch (error) {
      this.#failed(error);
    }
  }
}

async function copied(text) {
  if (!navigator.clipboard) throw new Error(t("The browser gives no clipboard to pages without https."));
  await navigator.clipboard.writeText(text);
  return t("Copied: paste it into the text of Draw Regions.");
}
