// Fairness Targets: its shares as a bar. Fairness Prompt Encoder: its strength (lambda) as one.

import { app } from "../../../scripts/app.js";
import { SharesPanel, StrengthPanel } from "./fairness/panel.js";
import { mount, setValue } from "./lib/mount.js";

const WIDGET = "evenframe_shares";

const widgetOf = (node, name) => node.widgets?.find((one) => one.name === name);

// Calls heard() when a widget of the node gets another value.
function onWidget(node, names, heard) {
  for (const widget of names.map((name) => widgetOf(node, name))) {
    const { callback } = widget;
    widget.callback = function () {
      callback?.apply(this, arguments);
      heard();
    };
  }
}

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
  onWidget(node, names, set);
  // A saved workflow sets values without telling.
  const { onConfigure } = node;
  node.onConfigure = function () {
    onConfigure?.apply(this, arguments);
    set();
  };
}

function mountShares(node) {
  const text = () => String(widgetOf(node, "shares").value);
  const onChange = (value) => setValue(node, "shares", value);
  const panel = new SharesPanel({ text: text(), presets: presets(), onChange });
  placed(node, panel, 76, ["shares"], () => panel.set(text()));
}

function mountStrength(node) {
  const now = () => {
    const [preset, own] = ["preset", "attribute"].map((name) => widgetOf(node, name).value);
    const chosen = preset === "none" ? "" : String(preset).split(": ").pop();
    const attribute = [chosen, own].filter(Boolean).join(", ");
    return { attribute, strength: Number(widgetOf(node, "strength").value) };
  };
  const onChange = (value) => setValue(node, "strength", value);
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
