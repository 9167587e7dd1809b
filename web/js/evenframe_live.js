// Tells on a node that works how far it is: steps or frames, windows and passes, time left.
//
// ComfyUI draws the bar and the preview; what it does not know comes from nodes/host/ticks.py.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { nodeAt, openGraph } from "./lib/graph.js";
import { showText } from "./lib/text.js";
import { t } from "./lib/words.js";

const begun = new Map(); // by id of a node, where the bar that it shows began, and when
const said = new Map(); // by id of a node, what it said of its work before the first step

const span = (seconds) =>
  seconds < 90
    ? t("{count} s", { count: Math.max(1, Math.round(seconds)) })
    : t("{count} min", { count: Math.round(seconds / 60) });

// done, total: steps; share: how much of the next is done, `what` of it is being done.
// after: seconds since `from` were done.
export function line({ label, done, total, share, what }, after, from) {
  const told = [t("{label}: {done} of {total}", { label, done, total })];
  if (done >= total) return `${told}, ${span(after)}`;
  if (what) told.push(what);
  const moved = done + share - from;
  if (moved > 0 && after > 1) told.push(t("about {time} left", { time: span((after / moved) * (total - done - share)) }));
  return told.join(", ");
}

// The node that is told of, where its graph is the one that is open.
const nodeOf = ({ node, workflow }) => (!workflow || workflow === openGraph().id ? nodeAt(node) : null);

function heard({ detail }) {
  const { node: id, prompt_id, label, done, share } = detail;
  const node = nodeOf(detail);
  if (!node?.comfyClass?.startsWith("Evenframe")) return; // the host's own keep their look
  const [now, run] = [performance.now() / 1000, `${prompt_id} ${label}`];
  if (begun.get(id)?.run !== run) begun.set(id, { run, now, from: done + share });
  const [first, before] = [begun.get(id), said.get(id)];
  const told = line(detail, now - first.now, first.from);
  showText(node, before?.prompt_id === prompt_id ? `${before.text}\n${told}` : told);
}

function announced({ detail }) {
  said.set(detail.node, detail);
  const node = nodeOf(detail);
  if (node) showText(node, detail.text);
}

app.registerExtension({
  name: "evenframe.Live",
  setup() {
    api.addEventListener("evenframe.progress", heard);
    api.addEventListener("evenframe.told", announced);
  },
});
