// Shares of a batch as a bar that reads and writes their text, and how far one prompt is moved.

import { element } from "../lib/dom.js";
import { ShareBar } from "./bar.js";
import { evenly, readShares, writeShares } from "./shares.js";

// The text is the value; one that cannot be read is told, and left as it is.
export class SharesPanel {
  // presets: {name: [values]}. onChange(text).
  constructor({ text, presets = {}, onChange }) {
    this.bar = new ShareBar((shares) => onChange(writeShares(this.text, shares)));
    this.note = element("div", { class: "note", role: "status" });
    this.choice = element(
      "select",
      {
        "aria-label": "Even shares of a preset",
        on: {
          change: () => {
            onChange(evenly(presets[this.choice.value]));
            this.choice.value = "";
          },
        },
      },
      element("option", { value: "", textContent: "Even shares of …" }),
      ...Object.keys(presets).map((name) => element("option", { value: name, textContent: name })),
    );
    const row = element("div", { class: "row" }, this.choice, this.note);
    this.element = element("div", { class: "evenframe" }, this.bar.element, row);
    this.set(text);
  }

  set(text) {
    this.text = text;
    let [parts, wrong] = [[], ""];
    try {
      parts = readShares(text);
    } catch (error) {
      wrong = error.message;
    }
    this.bar.element.style.display = wrong ? "none" : "";
    if (!wrong) this.bar.set(parts);
    this.note.textContent = wrong || (Math.abs(this.bar.total - 1) > 1e-6 ? "Scaled to 100 %" : "");
    this.note.classList.toggle("wrong", Boolean(wrong));
  }

  close() {}
}

// How much of a word's meaning is the prompt's, and how much the attribute's (lambda).
export class StrengthPanel {
  // onChange(strength): 0..1.
  constructor({ attribute, strength, onChange }) {
    this.bar = new ShareBar(([, share]) => onChange(share));
    this.element = element("div", { class: "evenframe" }, this.bar.element);
    this.set({ attribute, strength });
  }

  set({ attribute, strength }) {
    const kept = { name: "as written", share: Number((1 - strength).toFixed(4)) };
    this.bar.set([kept, { name: attribute || "no attribute", share: strength }]);
  }

  close() {}
}
