// Attention Viewer: after a run, every word of the prompt on the clip, below the node's inputs.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { AttentionViewer } from "./attention/viewer.js";
import { element } from "./lib/dom.js";
import { onResult, ranFrames, remember, remembered, value } from "./lib/graph.js";
import { mount, once, setValue } from "./lib/mount.js";

const NODE = "EvenframeAttentionViewer";
const WIDGET = "evenframe_attention";
const TOLD = "evenframe_maps";
const HEIGHT = 380;

const mounted = new WeakMap(); // node -> {place, viewer}

const file = ({ subfolder, type }) =>
  api.apiURL(`/view?${new URLSearchParams({ filename: "maps.bin", subfolder, type })}`);

// A Draw Regions node beside this one, on the same clip.
function addRegion(node, text) {
  once(() => {
    const made = globalThis.LiteGraph.createNode("EvenframeDrawRegions");
    made.pos = [node.pos[0] + node.size[0] + 40, node.pos[1]];
    node.graph.add(made);
    const slot = node.inputs.findIndex((one) => one.name === "frames");
    const clip = node.getInputNode(slot);
    clip?.connect(node.getInputLink(slot).origin_slot, made, "frames");
    made.widgets.find((one) => one.name === "text").value = text;
  }, 1000);
  return "A Draw Regions node stands beside this one.";
}

function placed(node) {
  const place = element("div", { style: { width: "100%", height: "100%" } });
  mount(node, WIDGET, place, { getMinHeight: () => HEIGHT });
  const { onRemoved } = node;
  node.onRemoved = function () {
    mounted.get(this)?.viewer.close();
    onRemoved?.apply(this, arguments);
  };
  return place;
}

function show(node, output) {
  const before = mounted.get(node);
  const place = before?.place ?? placed(node);
  before?.viewer.close();
  const viewer = new AttentionViewer({
    strips: ranFrames(output),
    maps: output[TOLD].map((told) => ({ ...told, url: file(told) })),
    threshold: Math.min(1, value(node, "threshold") ?? 0.3),
    state: before?.viewer.state ?? remembered(node, WIDGET) ?? {},
    onChange: (changed) => setValue(node, "threshold", changed.threshold),
    onState: () => mounted.has(node) && remember(node, WIDGET, mounted.get(node).viewer.state),
    onRegion: (text) => addRegion(node, text),
  });
  mounted.set(node, { place, viewer });
  place.replaceChildren(viewer.element);
  // Taller where need be, never wider: a wider node would cover its neighbours.
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
}

app.registerExtension({
  name: "evenframe.Attention",

  nodeCreated(node) {
    if (node.comfyClass === NODE) onResult(node, TOLD, (output) => show(node, output));
  },

  loadedGraphNode(node) {
    const told = node.comfyClass === NODE ? remembered(node, TOLD) : null;
    if (told) show(node, told);
  },
});
