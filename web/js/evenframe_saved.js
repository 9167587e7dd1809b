// Graphs that were saved before a seed had its control, "fixed" or "randomize", read as they were.
//
// The editor saves the values of a node's widgets as a list, without names, and so the control that
// follows a seed today would take the value of the widget behind it, and that one none.

import { app } from "../../../scripts/app.js";
import { chained } from "./lib/graph.js";

// The editor names it after its first value where a node gives one.
const isControl = (widget) => widget.options?.values?.includes?.("randomize");

// Gives widgets the values that were saved where the control was not. A control's value is one of
// its words, which no value of the widget behind a seed of ours is.
function takeAsSaved(widgets, values) {
  const kept = widgets.filter((one) => one.serialize !== false);
  const at = kept.findIndex(isControl);
  if (at < 0 || at >= values.length || kept[at].options.values.includes(values[at])) return;
  [...values.slice(0, at), "fixed", ...values.slice(at)].forEach((value, index) => {
    if (kept[index]) kept[index].value = value;
  });
}

app.registerExtension({
  name: "evenframe.Saved",

  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Evenframe")) return;
    chained(node, "onConfigure", (saved) => {
      if (Array.isArray(saved?.widgets_values)) takeAsSaved(node.widgets ?? [], saved.widgets_values);
    });
  },
});
