// The text "female: 0.5, male: 0.5", as pipelines/fairness/targets.py reads it.

import { round } from "../lib/dom.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

// The parts of a text: {name, share, from, to}, where the number stands. Throws what is wrong.
export function readShares(text) {
  const parts = [];
  for (const [part, start] of pieces(text)) {
    const colon = part.lastIndexOf(":");
    const digits = part.slice(colon + 1).trim();
    const name = part.slice(0, Math.max(0, colon)).trim();
    if (!name || !NUMBER.test(digits))
      throw new Error(`“${part.trim()}” cannot be read: write attribute: share, as in female: 0.5`);
    const share = Number(digits);
    if (!(share >= 0 && share <= 1e6)) throw new Error(`The share of “${name}” is ${digits}: 0 to 1`);
    if (parts.some((other) => folded(other.name) === folded(name)))
      throw new Error(`“${name}” has two shares: name each attribute once`);
    const from = start + part.indexOf(digits, colon + 1);
    parts.push({ name, share, from, to: from + digits.length });
  }
  if (!parts.length) throw new Error("There are no shares: write one, as in female: 0.5");
  if (!parts.some(({ share }) => share)) throw new Error("All shares are 0: give one above it");
  return parts;
}

// The text with other numbers, and else as it was typed.
export function writeShares(text, shares) {
  let [written, at] = ["", 0];
  readShares(text).forEach(({ share, from, to }, index) => {
    const kept = share === shares[index] ? text.slice(from, to) : String(shares[index]);
    written += text.slice(at, from) + kept;
    at = to;
  });
  return written + text.slice(at);
}

// Names with even shares that sum to 1.
export function evenly(names) {
  const each = Math.floor(1e4 / names.length) / 1e4;
  const last = round(1 - each * (names.length - 1));
  return names.map((name, at) => `${name}: ${at < names.length - 1 ? each : last}`).join(", ");
}

const folded = (name) => name.normalize("NFC").toLowerCase();

function* pieces(text) {
  let start = 0;
  for (const part of text.split(/[,\n]/)) {
    if (part.trim()) yield [part, start];
    start += part.length + 1;
  }
}
