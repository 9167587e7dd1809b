// Plays two clips together: always the same frame of both, at the clip's rate, in four views.

import { along, button, clamp, dragged, element, framed, keyed, note, pressed, row } from "../lib/dom.js";
import { Playhead } from "../lib/playhead.js";
import { Stage } from "../lib/stage.js";
import { Transport } from "../lib/transport.js";
import { t } from "../lib/words.js";
import { Changes } from "./changes.js";
import { compose, filled, outlining, views } from "./compose.js";
import { Results, cards } from "./results.js";
import { Sound } from "./sound.js";

const BLINK = 500; // ms: well below three flashes a second
const NEAR = 14; // pixels at which the line is taken and not the frame
const START = { frame: 0, mode: "wipe", divider: 0.5, outlines: true, muted: false, loop: true };

export class Player {
  #pair = null; // the pictures of A and B that are shown
  #busy = null; // while a frame is fetched
  #drag = null; // {takes: whether the line is moved, x, y}
  #second = false;
  #cards = [];
  #used = []; // the Frames of A and B

  // results: oldest first, each {number, strips: [before, after] as Frames, sound: a URL or null,
  // outlines: see outlines.py, or the URL of such, or null; changes: see changes.js}; for a single
  // one, its parts may stand here instead. view: as onChange tells it, to begin with.
  constructor({ results, view, onChange, ...single }) {
    this.view = { ...START, ...view };
    this.onChange = onChange;
    this.sound = new Sound();
    this.playhead = new Playhead(1, 8, this.sound.clock);
    this.stage = new Stage((context) => this.#paint(context));
    this.changes = new Changes((frame) => this.go(frame));
    this.results = new Results((slot, id) => this.choose(slot, id));
    this.note = note();
    this.#build();
    this.#listen();
    this.show(results ?? [{ number: 1, ...single }], this.view);
  }

  // The last of them becomes B, or what is chosen.
  show(results, chosen = {}) {
    const wasSource = this.#card("a")?.source ?? true;
    this.#cards = cards(results);
    const last = results.at(-1);
    const [before, after] = last.strips.map((frames) => frames.url(0));
    this.view.b = this.#named(chosen.b) ?? after;
    this.view.a = this.#named(chosen.a) ?? (wasSource ? before : (this.#named(this.view.a) ?? before));
    return this.#use();
  }

  // slot: "a" or "b".
  choose(slot, id) {
    this.view[slot] = id;
    this.#tell();
    return this.#use();
  }

  // Resolves when the frame is on the stage.
  async go(frame) {
    this.playhead.go(frame);
    await this.#busy;
  }

  // One of `views`.
  look(mode) {
    this.view.mode = mode;
    this.#tell();
    this.#dress();
  }

  divide(at) {
    this.view.divider = clamp(at, 0, 1);
    this.#dress();
  }

  close() {
    this.playhead.pause();
    this.sound.close();
    this.stage.close();
    clearInterval(this.blinking);
    this.#pair = null;
    for (const frames of this.#used) frames.close();
    this.#used = [];
  }

  #named = (id) => (this.#cards.some((card) => card.id === id) ? id : null);

  #card = (slot) => this.#cards.find(({ id }) => id === this.view[slot]);

  #tell() {
    this.onChange({ ...this.view });
  }

  async #use() {
    const [a, b] = [this.#card("a"), this.#card("b")];
    this.#pair = null;
    const [before, used] = [this.#used, [a.frames, b.frames]];
    this.#used = used;
    for (const frames of before) if (!used.includes(frames)) frames.close();
    this.stage.size = [b.frames.width, b.frames.height];
    // The curve and the outlines are those of the run that made B, or else A.
    const { sound, changes, outlines } = (b.source ? a : b).result;
    const { frame } = this.view; // telling where the playhead is would overwrite it
    this.sound.set(sound);
    this.playhead.set(Math.min(a.frames.count, b.frames.count), b.frames.rate);
    this.playhead.go(frame);
    this.changes.set(changes, this.playhead.count);
    this.outlines = null;
    this.results.set(this.#cards, this.view);
    this.#dress();
    const read = this.#read(outlines, used);
    await this.#show();
    await read;
  }

  async #read(outlines, used) {
    const fetched = () => fetch(outlines).then((got) => got.ok && got.json()).catch(() => null); // shown without
    const told = typeof outlines === "string" ? await fetched() : outlines;
    if (used !== this.#used) return; // another clip was chosen meanwhile, or the player closed
    this.outlines = told && filled(told);
    this.#dress();
  }

  // Fetches the frame where the playhead is, and whichever it is at when that has come: the last
  // one is always shown, and in play as many on the way as the browser can.
  #show() {
    this.#busy ??= this.#follow().finally(() => (this.#busy = null));
    return this.#busy;
  }

  async #follow() {
    let frame, used;
    do {
      frame = this.playhead.frame;
      used = this.#used;
      if (!used.length) return; // closed
      const both = used.map((frames) => frames.picture(frame));
      const got = await Promise.all(both).catch((error) => error);
      if (used !== this.#used) continue;
      if (got instanceof Error) return this.#failed(got);
      this.note.say("");
      [this.#pair, this.shown] = [got, frame];
      this.stage.render();
      this.changes.show(frame);
      if (this.playhead.playing) for (const frames of new Set(used)) frames.prepare(frame);
    } while (frame !== this.playhead.frame || used !== this.#used);
  }

  #failed(error) {
    this.playhead.pause();
    this.note.say(error.message, true);
  }

  #paint(context) {
    if (!this.#pair) return;
    const { stage, view, outlines } = this;
    const outline = view.outlines && outlines ? outlining(outlines, this.shown, stage) : null;
    compose(context, stage, { ...view, pair: this.#pair, second: this.#second, outline });
  }

  #dress() {
    const { mode, divider, outlines, muted, loop } = this.view;
    for (const [name, made] of Object.entries(this.modes)) pressed(made, name === mode);
    this.line.hidden = mode !== "wipe";
    this.line.style.left = `${100 * divider}%`;
    this.line.setAttribute("aria-valuenow", Math.round(100 * divider));
    this.stage.panes = mode === "side" ? 2 : 1;
    this.outlined.hidden = !this.outlines;
    this.heard.hidden = !this.sound.there;
    this.sound.muted = muted;
    this.playhead.loop = loop;
    pressed(this.outlined, outlines);
    pressed(this.heard, !muted);
    pressed(this.looped, loop);
    clearInterval(this.blinking);
    if (mode === "blink")
      this.blinking = setInterval(() => {
        this.#second = !this.#second;
        this.stage.draw();
      }, BLINK);
    this.stage.draw();
  }

  #switch(name, label, title = label) {
    const flip = () => {
      this.view[name] = !this.view[name];
      this.#tell();
      this.#dress();
    };
    return button(title, flip, label);
  }

  #build() {
    this.modes = Object.fromEntries(
      Object.entries(views()).map(([mode, [label, title]]) => [mode, button(title, () => this.look(mode), label)]),
    );
    this.outlined = this.#switch("outlines", t("Outlines"), t("Outlines of the regions"));
    this.heard = this.#switch("muted", t("Sound"));
    this.looped = this.#switch("loop", t("Loop"));
    const range = { "aria-label": t("Line between A and B, in percent"), "aria-valuemin": 0, "aria-valuemax": 100 };
    this.line = element("div", { class: "divider", role: "slider", tabIndex: 0, ...range });
    this.stage.element.append(this.line);
    const whole = () => (document.fullscreenElement ? document.exitFullscreen() : this.element.requestFullscreen());
    const near = [
      button(t("One pixel of the frame as one of the screen"), () => this.stage.actual(), "1:1"),
      button(t("Show all of the frame"), () => this.stage.zoom(1), t("Fit")),
      button(t("Full screen"), whole, "⤢"),
    ];
    this.transport = new Transport(this.playhead);
    this.element = framed(
      { tabIndex: -1 },
      (event) => this.transport.key(event),
      element("div", { class: "row views" }, ...Object.values(this.modes), ...near),
      this.stage.element,
      this.transport.element,
      this.changes.curve,
      row(this.outlined, this.heard, this.looped, this.changes.said),
      this.results.element,
      this.note,
    );
  }

  #listen() {
    const { playhead, sound } = this;
    playhead.addEventListener("frame", () => {
      const { frame, playing, rate } = playhead;
      const ahead = sound.clock() * rate - frame; // less than 1 where pictures follow the sound
      if (!playing) this.#stand();
      else if (ahead < -1 || ahead >= 2) this.#start(); // from the beginning again, or the slider's
      this.#show();
    });
    playhead.addEventListener("play", () => this.#start());
    playhead.addEventListener("pause", () => this.#stand());
    keyed(this.line, ({ shiftKey }) => {
      const { divider } = this.view;
      const step = shiftKey ? 0.1 : 0.01;
      const to = (at) => () => {
        this.divide(at);
        this.#tell();
      };
      return { ArrowLeft: to(divider - step), ArrowRight: to(divider + step), Home: to(0), End: to(1) };
    });
    dragged(this.stage.element, {
      begin: (event) => this.#down(event),
      move: (event) => this.#move(event),
      end: () => this.#drag.takes && this.#tell(),
    });
  }

  // The sound begins where the pictures are, and the playhead's clock with it.
  #start() {
    const { playhead } = this;
    this.sound.play(playhead.frame / playhead.rate);
    playhead.go(playhead.frame);
  }

  #stand() {
    this.sound.pause();
    this.view.frame = this.playhead.frame;
    this.#tell();
  }

  #down(event) {
    const { element: stage, zoomed } = this.stage;
    const off = (along(event, stage) - this.view.divider) * stage.clientWidth;
    const takes = this.view.mode === "wipe" && (Math.abs(off) < NEAR || zoomed <= 1);
    this.#drag = { takes, x: event.clientX, y: event.clientY };
    (takes ? this.line : this.element).focus({ preventScroll: true });
    event.preventDefault();
    this.#move(event);
    return true;
  }

  #move(event) {
    if (this.#drag.takes) this.divide(along(event, this.stage.element));
    else Object.assign(this.#drag, this.stage.drag(event, this.#drag));
  }
}
