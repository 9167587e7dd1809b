// Puts the player onto Compare Clips, with what it and its last runs have shown.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { Frames } from "./lib/frames.js";
import { isThere, remember, remembered } from "./lib/graph.js";
import { Player } from "./player/player.js";

const NAME = "evenframe_player";
const VIEW = `${NAME}_view`;
const KEPT = 8; // results
const HEIGHT = 440;
const WAIT = 300; // ms after the last change of the view until it is kept

const address = (path) => api.apiURL(path);

// A run's result as the player takes it, from what is kept of it.
function result({ number, strips, beside }) {
  const file = (filename) => {
    if (!filename) return null;
    const { subfolder, type } = beside;
    return address(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
  };
  return {
    number,
    strips: strips.map((strip) => Frames.of(strip, address)),
    sound: file(beside.sound),
    outlines: file(beside.outlines),
    changes: beside,
  };
}

const areThere = ({ strips }) =>
  Promise.all(strips.map(({ subfolder, type }) => isThere({ filename: "00000.jpg", subfolder, type })));

function show(node, kept) {
  const results = kept.map(result);
  const { player } = node.widgets?.find(({ name }) => name === NAME) ?? {};
  if (player) player.show(results);
  else mount(node, results);
}

function mount(node, results) {
  let waiting;
  const onChange = (view) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => remember(node, VIEW, view), WAIT);
  };
  const player = new Player({ results, view: remembered(node, VIEW) ?? {}, onChange });
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => HEIGHT };
  const widget = node.addDOMWidget(NAME, NAME, player.element, options);
  Object.assign(widget, { player, serialize: false });
  widget.onRemove = () => player.close();
  // Taller where need be, never wider: a wider node would cover its neighbours.
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  node.setDirtyCanvas?.(true, true); // the canvas places the player when it draws
}

// Equal clips have the same strip.
const named = (strips) => strips.map(({ subfolder }) => subfolder).join();

const isOurs = (node) => node.comfyClass === "EvenframeCompare";

app.registerExtension({
  name: "evenframe.Player",

  nodeCreated(node) {
    if (!isOurs(node)) return;
    const { onExecuted } = node;
    node.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      const [beside] = output?.[NAME] ?? [];
      if (!beside) return;
      const strips = output.evenframe_strips;
      const before = remembered(this, NAME) ?? [];
      const again = before.find((one) => named(one.strips) === named(strips));
      const number = again?.number ?? 1 + Math.max(0, ...before.map((one) => one.number));
      const kept = [...before.filter((one) => one !== again), { number, strips, beside }].slice(-KEPT);
      remember(this, NAME, kept);
      show(this, kept);
    };
  },

  async loadedGraphNode(node) {
    const kept = isOurs(node) && remembered(node, NAME);
    if (!kept) return;
    const there = await Promise.all(kept.map(areThere));
    const left = kept.filter((_, at) => there[at].every(Boolean));
    remember(node, NAME, left);
    if (left.length) show(node, left);
  },
});
