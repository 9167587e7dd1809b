// Shares of a batch as a bar that reads and writes their text, and how far one prompt is moved.

import { choice, framed, note, round, row } from "../lib/dom.js";
import { t } from "../lib/words.js";
import { ShareBar } from "./bar.js";
import { evenly, readShares, writeShares } from "./shares.js";

// The text is the value; one that cannot be read is told, and left as it is.
export class SharesPanel {
  // presets: {name: [values]}. onChange(text).
  constructor({ text, presets = {}, onChange }) {
    this.bar = new ShareBar((shares) => onChange(writeShares(this.text, shares)));
    this.note = note();
    const names = Object.keys(presets).map((name) => [name, name]);
    this.choice = choice(t("Even shares of a preset"), [["", t("Even shares of …")], ...names], (name) => {
      onChange(evenly(presets[name]));
      this.choice.value = "";
    });
    this.element = framed({}, null, this.bar.element, row(this.choice, this.note));
    this.set(text);
  }

  set(text) {
    this.text = text;
    try {
      this.bar.set(readShares(text));
      this.bar.element.style.display = "";
      this.note.say(Math.abs(this.bar.total - 1) > 1e-6 ? t("Scaled to 100 %") : "");
    } catch (error) {
      this.bar.element.style.display = "none";
      this.note.say(error.message, true);
    }
  }
}

// How much of a word's meaning is the prompt's, and how much the attribute's (lambda).
export class StrengthPanel {
  // onChange(strength): 0..1.
  constructor({ attribute, strength, onChange }) {
    this.bar = new ShareBar(([, share]) => onChange(share));
    this.element = framed({}, null, this.bar.element);
    this.set({ attribute, strength });
  }

  set({ attribute, strength }) {
    const kept = { name: t("as written"), share: round(1 - strength) };
    this.bar.set([kept, { name: attribute || t("no attribute"), share: strength }]);
  }
}
