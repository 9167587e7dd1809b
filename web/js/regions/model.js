// Regions as the text of the node has them (pipelines/regions/text.py), read, changed and written.
// Nothing here is changed in place. Numbers stay in the text's own unit: what is not touched is
// written as it was read. A shape is a flat list: left, top, right, bottom, or x, y of each point.

const VERSION = 1;
const UNITS = ["fraction", "pixel"];
export const MOST = 32;
const KNOWN = ["name", "words", "box", "polygon", "keyframes", "grow", "soften"];
const EDGES = 1024;

export const EMPTY = { unit: "fraction", regions: [] };

export const fail = (message) => {
  throw new Error(message);
};

export const only = (value, known, where) => {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    fail(`${where} is no object in braces.`);
  const odd = Object.keys(value).find((name) => !known.includes(name));
  if (odd !== undefined) fail(`${where} has "${odd}", which is unknown.`);
  return value;
};

// A text to {unit, regions: [{name, words, grow, soften, kind, keys: [{frame, shape}]}]}; throws
// what is wrong with it. Stricter checks, of what lies outside of the frame, are the node's.
export function parse(text) {
  if (!text.trim()) return EMPTY;
  const { data, unit } = readText(text, ["regions"]);
  if (!Array.isArray(data.regions)) fail("The text has no list of regions.");
  if (data.regions.length > MOST) fail(`There are more than ${MOST} regions.`);
  return { unit, regions: data.regions.map((one, at) => readRegion(one, `regions[${at}]`, unit)) };
}

// The object that a text is, with those names beside version and unit.
export function readText(text, names) {
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    fail(`The text is not JSON: ${error.message}`);
  }
  only(data, ["version", "unit", ...names], "The text");
  if (data.version !== VERSION) fail(`The text has version ${data.version}: this reads ${VERSION}.`);
  const { unit = UNITS[0] } = data;
  if (!UNITS.includes(unit)) fail(`unit is ${unit}: use ${UNITS.join(" or ")}.`);
  return { data, unit };
}

function readRegion(data, where, unit) {
  only(data, KNOWN, where);
  const { name, words = "", grow = 0, soften = 0 } = data;
  if (typeof name !== "string" || typeof words !== "string") fail(`${where} needs a name in quotes.`);
  for (const pixels of [grow, soften])
    if (!Number.isInteger(pixels) || pixels < 0 || pixels > EDGES)
      fail(`${where}: grow and soften are 0 to ${EDGES} pixels.`);
  const given = ["box", "polygon", "keyframes"].filter((shape) => shape in data);
  if (given.length !== 1) fail(`${where} needs one of box, polygon or keyframes.`);
  const entries = given[0] === "keyframes" ? data.keyframes : [{ frame: 0, [given[0]]: data[given[0]] }];
  const keys = readKeys(entries, where, unit);
  return { name, words, grow, soften, ...keys };
}

function readKeys(entries, where, unit) {
  if (!Array.isArray(entries) || !entries.length) fail(`${where}.keyframes is no list of key frames.`);
  let kind;
  const keys = entries.map((entry, at) => {
    const place = `${where}.keyframes[${at}]`;
    only(entry, ["frame", "box", "polygon"], place);
    const { frame } = entry;
    if (!Number.isInteger(frame) || frame < 0) fail(`${place}.frame is no number of a frame.`);
    if (at && frame <= entries[at - 1].frame) fail(`${place}.frame is not after the one before.`);
    const given = ["box", "polygon"].filter((shape) => shape in entry);
    if (given.length !== 1 || given[0] !== (kind ??= given[0]))
      fail(`${place} needs a box or a polygon, as the others.`);
    return { frame, shape: readShape(kind, entry[kind], place, unit) };
  });
  if (keys.some((key) => key.shape.length !== keys[0].shape.length))
    fail(`${where}: the polygons have different numbers of points.`);
  return { kind, keys };
}

export function readShape(kind, value, where, unit) {
  const points = Array.isArray(value) ? value : fail(`${where} has no ${kind} in square brackets.`);
  if (kind !== "box" && points.some((point) => !Array.isArray(point) || point.length !== 2))
    fail(`${where}: each point is x, y.`);
  const shape = points.flat();
  if (kind === "box" ? shape.length !== 4 : kind === "polygon" && shape.length < 6)
    fail(`${where}: a box is left, top, right, bottom; a polygon has three points or more.`);
  if (!shape.every(Number.isFinite)) fail(`${where} has something that is no number.`);
  if (unit === "fraction" && shape.some((number) => Math.abs(number) > 2))
    fail(`${where} has pixels, but the unit is the fraction of the frame.`);
  if (kind === "box" && (shape[0] >= shape[2] || shape[1] >= shape[3]))
    fail(`${where}: the box is reversed or empty.`);
  return shape;
}

// As people write it; a region that stands still has no key frames. "" where there is none.
export function write({ unit, regions }) {
  if (!regions.length) return "";
  const lines = regions.map((region) => `  ${spaced(written(region))}`);
  return `{"version": ${VERSION}, "unit": "${unit}", "regions": [\n${lines.join(",\n")}\n]}`;
}

function written({ name, words, grow, soften, kind, keys }) {
  const made = { name, words, ...(grow && { grow }), ...(soften && { soften }) };
  const shaped = (shape) => (kind === "box" ? shape : pairs(shape));
  if (keys.length === 1 && keys[0].frame === 0) return { ...made, [kind]: shaped(keys[0].shape) };
  return { ...made, keyframes: keys.map(({ frame, shape }) => ({ frame, [kind]: shaped(shape) })) };
}

export const spaced = (value) => {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).map(([name, held]) => `"${name}": ${spaced(held)}`);
  return `{${entries.join(", ")}}`;
};

export const pairs = (shape) =>
  Array.from({ length: shape.length / 2 }, (_, at) => [shape[2 * at], shape[2 * at + 1]]);

// Between the text's unit and fractions of a frame of [width, height]; what is drawn is rounded to
// less than a tenth of a pixel.
export const toFractions = (shape, unit, size) =>
  unit === "pixel" ? shape.map((number, at) => number / size[at % 2]) : shape;

export function fromFractions(shape, unit, size) {
  const [scale, digits] = unit === "pixel" ? [size, 1] : [[1, 1], Math.max(...size) > 1000 ? 5 : 4];
  return shape.map((number, at) => Number((number * scale[at % 2]).toFixed(digits)) + 0);
}

// The shape on a frame: moved evenly between key frames, held before and after them.
export function interpolate(keys, frame) {
  const after = keys.findIndex((key) => key.frame > frame);
  if (after < 1) return keys.at(after).shape;
  const [low, high] = [keys[after - 1], keys[after]];
  const share = (frame - low.frame) / (high.frame - low.frame);
  return low.shape.map((number, at) => number + share * (high.shape[at] - number));
}

export const keyAt = (region, frame) => region.keys.find((key) => key.frame === frame);

// The key frames before and after a frame, which may itself be one.
export const neighbours = (region, frame) => [
  region.keys.findLast((key) => key.frame < frame),
  region.keys.find((key) => key.frame > frame),
];

const others = (region, ...frames) => region.keys.filter((key) => !frames.includes(key.frame));

export const setKey = (region, frame, shape) => ({
  ...region,
  keys: [...others(region, frame), { frame, shape }].sort((one, other) => one.frame - other.frame),
});

// Without a key frame; the last one stays, as a region has a shape.
export const deleteKey = (region, frame) =>
  region.keys.length > 1 ? { ...region, keys: others(region, frame) } : region;

export const copyKey = (region, from, to) => setKey(region, to, keyAt(region, from).shape);

export const moveKey = (region, from, to) =>
  from === to ? region : setKey({ ...region, keys: others(region, from) }, to, keyAt(region, from).shape);

// With a new region on top, whose first key frame this is.
export function added(state, kind, frame, shape) {
  const names = new Set(state.regions.map((region) => region.name));
  let number = state.regions.length + 1;
  while (names.has(`region ${number}`)) number += 1;
  const region = { name: `region ${number}`, words: "", grow: 0, soften: 0, kind };
  return { ...state, regions: [...state.regions, { ...region, keys: [{ frame, shape }] }] };
}

export const replaced = (state, index, region) => ({
  ...state,
  regions: state.regions.map((one, at) => (at === index ? region : one)),
});

export const removed = (state, index) => ({
  ...state,
  regions: state.regions.filter((_, at) => at !== index),
});

export function moved(state, from, to) {
  const regions = [...state.regions];
  regions.splice(to, 0, ...regions.splice(from, 1));
  return { ...state, regions };
}

export const phrases = (words) =>
  words.split(/[,\n]/).map((phrase) => phrase.trim()).filter(Boolean);

export const wordsOf = (text) => text.match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu) ?? [];

const plain = (text) => ` ${wordsOf(text).join(" ").toLowerCase()} `;

// Whether a prompt has a phrase, as whole words in its order.
export const occurs = (phrase, prompt) => plain(prompt).includes(plain(phrase));

// The words with one of the prompt's words added, or the phrases taken away that hold it.
export function toggled(words, word) {
  const kept = phrases(words).filter((phrase) => !occurs(word, phrase));
  if (kept.length === phrases(words).length) kept.push(word);
  return kept.join(", ");
}
