// Fairness Targets: its shares as a bar. Fairness Prompt Encoder: its strength (lambda) as one.

import { app } from "../../../scripts/app.js";
import { SharesPanel, StrengthPanel } from "./fairness/panel.js";
import { chained, value, widgetOf } from "./lib/graph.js";
import { mount, setValue } from "./lib/mount.js";

const WIDGET = "evenframe_shares";

// The presets that Fairness Prompt Encoder offers: {name: [values]}.
function presets() {
  const { required } = globalThis.LiteGraph.registered_node_types.EvenframeFairnessPrompt.nodeData.input;
  const [first, { options = first } = {}] = required.preset;
  const found = {};
  for (const option of [options].flat()) {
    const at = option.lastIndexOf(": ");
    if (at > 0) (found[option.slice(0, at)] ??= []).push(option.slice(at + 2));
  }
  return found;
}

function placed(node, panel, height, names, set) {
  mount(node, WIDGET, panel.element, { getMinHeight: () => height, getMaxHeight: () => height });
  for (const name of names) chained(widgetOf(node, name), "callback", set);
  chained(node, "onConfigure", set); // a saved workflow sets values without telling
}

function mountShares(node) {
  const text = () => String(value(node, "shares"));
  const onChange = (written) => setValue(node, "shares", written);
  const panel = new SharesPanel({ text: text(), presets: presets(), onChange });
  placed(node, panel, 76, ["shares"], () => panel.set(text()));
}

function mountStrength(node) {
  const now = () => {
    const preset = value(node, "preset");
    const chosen = preset === "none" ? "" : String(preset).split(": ").pop();
    const attribute = [chosen, value(node, "attribute")].filter(Boolean).join(", ");
    return { attribute, strength: Number(value(node, "strength")) };
  };
  const onChange = (strength) => setValue(node, "strength", strength);
  const panel = new StrengthPanel({ ...now(), onChange });
  placed(node, panel, 40, ["preset", "attribute", "strength"], () => panel.set(now()));
}

app.registerExtension({
  name: "evenframe.Fairness",

  nodeCreated(node) {
    if (node.comfyClass === "EvenframeFairnessTargets") mountShares(node);
    if (node.comfyClass === "EvenframeFairnessPrompt") mountStrength(node);
  },
});
