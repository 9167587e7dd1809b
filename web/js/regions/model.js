// Regions as the text of the node has them (pipelines/regions/text.py), read, changed and written;
// nothing is changed in place. Numbers stay in the text's own unit: what is not touched is written
// as it was read. A shape is a flat list: left, top, right, bottom, or x, y of each point.

const VERSION = 1;
const UNITS = ["fraction", "pixel"];
export const MOST = 32;
const SHAPES = ["box", "polygon"];
export const EDGES = 1024; // pixels that a region may grow or be softened by

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

// To {unit, regions: [{name, words, grow, soften, kind, keys: [{frame, shape}]}]}; throws what is
// wrong. Stricter checks, of what lies outside of the frame, are the node's.
export function parse(text) {
  if (!text.trim()) return EMPTY;
  const { unit, regions } = readText(text, ["regions"]);
  if (!Array.isArray(regions)) fail("The text has no list of regions.");
  if (regions.length > MOST) fail(`There are more than ${MOST} regions.`);
  return { unit, regions: regions.map((one, at) => readRegion(one, `regions[${at}]`, unit)) };
}

export function readText(text, names) {
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    fail(`The text is not JSON: ${error.message}`);
  }
  const { version, unit = UNITS[0], ...told } = only(data, ["version", "unit", ...names], "The text");
  if (version !== VERSION) fail(`The text has version ${version}: this reads ${VERSION}.`);
  if (!UNITS.includes(unit)) fail(`unit is ${unit}: use ${UNITS.join(" or ")}.`);
  return { unit, ...told };
}

function readRegion(data, where, unit) {
  only(data, ["name", "words", ...SHAPES, "keyframes", "grow", "soften"], where);
  const { name, words = "", grow = 0, soften = 0, ...shape } = data;
  if (typeof name !== "string" || typeof words !== "string") fail(`${where} needs a name in quotes.`);
  for (const pixels of [grow, soften])
    if (!Number.isInteger(pixels) || pixels < 0 || pixels > EDGES)
      fail(`${where}: grow and soften are 0 to ${EDGES} pixels.`);
  if (Object.keys(shape).length !== 1) fail(`${where} needs one of box, polygon or keyframes.`);
  const keys = readKeys(shape.keyframes ?? [{ frame: 0, ...shape }], where, unit);
  return { name, words, grow, soften, ...keys };
}

function readKeys(entries, where, unit) {
  if (!Array.isArray(entries) || !entries.length) fail(`${where}.keyframes is no list of key frames.`);
  let kind;
  const keys = entries.map((entry, at) => {
    const place = `${where}.keyframes[${at}]`;
    const { frame, ...shape } = only(entry, ["frame", ...SHAPES], place);
    if (!Number.isInteger(frame) || frame < 0) fail(`${place}.frame is no number of a frame.`);
    if (at && frame <= entries[at - 1].frame) fail(`${place}.frame is not after the one before.`);
    const given = Object.keys(shape).join();
    kind ??= given;
    if (given !== kind || !SHAPES.includes(kind)) fail(`${place} needs a box or a polygon, as the others.`);
    return { frame, shape: readShape(kind, shape[kind], place, unit) };
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

// JSON on one line; a string in it has no line break of its own.
export const spaced = (value) => JSON.stringify(value, null, 1).replace(/,\n */g, ", ").replace(/\n */g, "");

export const pairs = (shape) =>
  Array.from({ length: shape.length / 2 }, (_, at) => [shape[2 * at], shape[2 * at + 1]]);

// size: [width, height]; what is drawn is rounded to less than a tenth of a pixel.
export const toFractions = (shape, unit, size) =>
  unit === "pixel" ? shape.map((number, at) => number / size[at % 2]) : shape;

export function fromFractions(shape, unit, size) {
  const [scale, digits] = unit === "pixel" ? [size, 1] : [[1, 1], Math.max(...size) > 1000 ? 5 : 4];
  return shape.map((number, at) => Number((number * scale[at % 2]).toFixed(digits)) + 0);
}

// Moved evenly between key frames, held before and after them.
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

const others = (region, frame) => region.keys.filter((key) => key.frame !== frame);

export const setKey = (region, frame, shape) => ({
  ...region,
  keys: [...others(region, frame), { frame, shape }].sort((one, other) => one.frame - other.frame),
});

// Without a key frame; the last one stays, as a region has a shape.
export const deleteKey = (region, frame) =>
  region.keys.length > 1 ? { ...region, keys: others(region, frame) } : region;

// A key frame moved to another frame, or copied.
export const placeKey = (region, from, to, copy) =>
  setKey(copy ? region : { ...region, keys: others(region, from) }, to, keyAt(region, from).shape);

// With a new region on top.
export function added(state, kind, frame, shape) {
  let number = state.regions.length + 1;
  while (state.regions.some(({ name }) => name === `region ${number}`)) number += 1;
  const region = { name: `region ${number}`, words: "", grow: 0, soften: 0, kind, keys: [{ frame, shape }] };
  return { ...state, regions: [...state.regions, region] };
}

export const replaced = (state, index, region) => ({ ...state, regions: state.regions.with(index, region) });

export const removed = (state, index) => ({ ...state, regions: state.regions.toSpliced(index, 1) });

export const moved = (state, from, to) => ({
  ...state,
  regions: state.regions.toSpliced(from, 1).toSpliced(to, 0, state.regions[from]),
});

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
