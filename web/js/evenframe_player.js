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
      const kept = remembered(this, NAME) ?? [];
      if (kept.at(-1)?.beside.subfolder !== beside.subfolder)
        kept.push({ number: (kept.at(-1)?.number ?? 0) + 1, strips: output.evenframe_strips, beside });
      remember(this, NAME, kept.slice(-KEPT));
      show(this, kept.slice(-KEPT));
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
