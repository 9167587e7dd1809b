// Attention Viewer: after a run, every word of the prompt on the clip, below the node's inputs.

import { AttentionViewer } from "./attention/viewer.js";
import { element } from "./lib/dom.js";
import { fileUrl, isThere, ranFrames, remember, remembered, showsRuns, slotOf, value, widgetOf } from "./lib/graph.js";
import { fit, mount, once, setValue } from "./lib/mount.js";
import { t } from "./lib/words.js";

const WIDGET = "evenframe_attention";
const TOLD = "evenframe_maps";
const FILE = "maps.bin";
const [WIDTH, HEIGHT] = [400, 380];

const mounted = new WeakMap(); // node -> {place, viewer}

// A Draw Regions node beside this one, on the same clip.
function addRegion(node, text) {
  once(() => {
    const made = globalThis.LiteGraph.createNode("EvenframeDrawRegions");
    made.pos = [node.pos[0] + node.size[0] + 40, node.pos[1]];
    node.graph.add(made);
    const slot = slotOf(node, "frames");
    node.getInputNode(slot)?.connect(node.getInputLink(slot).origin_slot, made, "frames");
    widgetOf(made, "text").value = text;
  }, 1000);
  return t("A Draw Regions node stands beside this one.");
}

function placed(node) {
  const here = { place: element("div", { style: { width: "100%", height: "100%" } }) };
  mount(node, WIDGET, here.place, { getMinHeight: () => HEIGHT, close: () => here.viewer?.close() });
  mounted.set(node, here);
  return here;
}

function show(node, output) {
  const here = mounted.get(node) ?? placed(node);
  const state = here.viewer?.state ?? remembered(node, WIDGET) ?? {};
  here.viewer?.close();
  here.viewer = null; // it is asked for its state
  here.viewer = new AttentionViewer({
    strips: ranFrames(output),
    maps: output[TOLD].map((told) => ({ ...told, url: fileUrl(FILE, told) })),
    threshold: Math.min(1, value(node, "threshold") ?? 0.3),
    state,
    onChange: (changed) => setValue(node, "threshold", changed.threshold),
    onState: () => here.viewer && remember(node, WIDGET, here.viewer.state),
    onRegion: (text) => addRegion(node, text),
  });
  here.place.replaceChildren(here.viewer.element);
  fit(node);
}

showsRuns("evenframe.Attention", ({ comfyClass }) => comfyClass === "EvenframeAttentionViewer", TOLD, {
  keep: (output) => output[TOLD] && output,
  left: async (output) => (await isThere(FILE, output[TOLD][0])) && output,
  show,
  width: WIDTH,
});
