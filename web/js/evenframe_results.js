// Shows the text a node reports (`ui = {"text": [...]}`), and after a reload of the page its text,
// pictures and video again.
//
// ComfyUI shows a node's pictures by itself, but its text only on its own preview nodes, and after a
// reload neither.

import { isThere, settingsOf, showAsRun, showsRuns } from "./lib/graph.js";
import { showText } from "./lib/text.js";

export const RESULT = "evenframe_result";

// A loader shows what becomes of the file that is chosen: what another one became is past.
const settings = (node) => (node.evenframePlan ? settingsOf(node) : "");

export const isOfNow = (kept, node) => kept?.of === settings(node);

function show(node, output, again) {
  if (output.text) showText(node, [output.text].flat().join("\n"));
  if (!again || !output.images) return;
  showAsRun(node, output, RESULT);
}

showsRuns("evenframe.Results", ({ comfyClass }) => comfyClass?.startsWith("Evenframe"), RESULT, {
  keep: ({ text, images, animated }, before, node) => (text || images) &&
    { text: text ?? (isOfNow(before, node) && before.text), images, animated, of: settings(node) },
  async left(output, node) {
    if (!isOfNow(output, node)) return null;
    const [first] = output.images ?? [];
    return first && (await isThere(first.filename, first)) ? output : { ...output, images: undefined };
  },
  show,
});
