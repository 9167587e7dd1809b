// The widgets' own strings in the language of the editor, English where it has none for them.

let known = {};

// Strings by their English, as locales/zh/main.json has them.
export function speak(strings) {
  known = strings;
}

// An English string in that language; what it has in braces comes from values.
export const t = (english, values = {}) =>
  (known[english] ?? english).replace(/\{(\w+)\}/g, (_, name) => values[name]);
