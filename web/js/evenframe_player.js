// Puts the player onto Compare Clips, with what it and its last runs have shown.

import { fileUrl, framesOf, isThere, remember, remembered, showsRuns, widgetOf } from "./lib/graph.js";
import { fit, mount } from "./lib/mount.js";
import { Player } from "./player/player.js";

const NAME = "evenframe_player";
const VIEW = `${NAME}_view`;
const KEPT = 8; // results
const [WIDTH, HEIGHT] = [440, 440];
const WAIT = 300; // ms after the last change of the view until it is kept

// A run's result as the player takes it, from what is kept of it.
function result({ number, strips, beside }) {
  const file = (name) => name && fileUrl(name, beside);
  const { sound, outlines } = beside;
  return { number, strips: strips.map(framesOf), sound: file(sound), outlines: file(outlines), changes: beside };
}

function show(node, kept) {
  const results = kept.map(result);
  const shown = widgetOf(node, NAME);
  if (shown) return shown.player.show(results);
  let waiting;
  const onChange = (view) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => remember(node, VIEW, view), WAIT);
  };
  const player = new Player({ results, view: remembered(node, VIEW) ?? {}, onChange });
  const close = () => {
    player.close();
    clearTimeout(waiting); // or it is kept under the name of another graph
  };
  const options = { getMinHeight: () => HEIGHT, close };
  mount(node, NAME, player.element, options).player = player;
  fit(node);
}

// Equal clips have the same strip.
const named = (strips) => strips.map(({ subfolder }) => subfolder).join();

function keep({ [NAME]: [beside] = [], evenframe_strips: strips }, before) {
  if (!beside) return null;
  const kept = before ?? [];
  const again = kept.find((one) => named(one.strips) === named(strips));
  const number = again?.number ?? 1 + Math.max(0, ...kept.map((one) => one.number));
  return [...kept.filter((one) => one !== again), { number, strips, beside }].slice(-KEPT);
}

async function left(kept) {
  const areThere = ({ strips }) => Promise.all(strips.map((strip) => isThere("00000.jpg", strip)));
  const there = await Promise.all(kept.map(areThere));
  const found = kept.filter((_, at) => there[at].every(Boolean));
  return found.length ? found : null;
}

showsRuns("evenframe.Player", ({ comfyClass }) => comfyClass === "EvenframeCompare", NAME, {
  keep, left, show, width: WIDTH,
});
