// Shows the text a node reports (`ui = {"text": [...]}`), and after a reload of the page its text,
// pictures and video again.
//
// ComfyUI shows a node's pictures by itself, but its text only on its own preview nodes, and after a
// reload neither. What a node told last is kept for as long as the browser tab lives, by workflow
// and node.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { executionId, isThere, remember, remembered } from "./lib/graph.js";
import { showText } from "./lib/text.js";

const WHAT = "evenframe_result";

const isOurs = (node) => node?.comfyClass?.startsWith("Evenframe") ?? false;

const text = ({ text }) => [text].flat().join("\n");

app.registerExtension({
  name: "evenframe.Results",

  nodeCreated(node) {
    if (!isOurs(node)) return;
    const { onExecuted } = node;
    node.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      if (output?.text) showText(this, text(output));
      const { text: told, images, animated } = output ?? {};
      if (told || images) remember(this, WHAT, { text: told, images, animated });
    };
  },

  async loadedGraphNode(node) {
    const output = isOurs(node) ? remembered(node, WHAT) : null;
    if (output?.text) showText(node, text(output));
    if (!output?.images?.length || !(await isThere(output.images[0]))) return;
    // The editor's own way to show what a node has made, as when it runs.
    const id = executionId(node);
    const detail = { node: id, display_node: id, output, prompt_id: WHAT };
    api.dispatchEvent(new CustomEvent("executed", { detail }));
  },
});
