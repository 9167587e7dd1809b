// Shows the text a node reports (`ui = {"text": [...]}`), and after a reload of the page its text,
// pictures and video again.
//
// ComfyUI shows a node's pictures by itself, but its text only on its own preview nodes, and after a
// reload neither. What a node told last is kept for as long as the browser tab lives, by workflow
// and node.

import { isThere, showAsRun, showsRuns } from "./lib/graph.js";
import { showText } from "./lib/text.js";

const WHAT = "evenframe_result";

function show(node, output, again) {
  if (output.text) showText(node, [output.text].flat().join("\n"));
  if (!again || !output.images) return;
  showAsRun(node, output, WHAT);
}

showsRuns("evenframe.Results", ({ comfyClass }) => comfyClass?.startsWith("Evenframe"), WHAT, {
  keep: ({ text, images, animated }) => (text || images) && { text, images, animated },
  async left(output) {
    const [first] = output.images ?? [];
    return first && (await isThere(first.filename, first)) ? output : { text: output.text };
  },
  show,
});
