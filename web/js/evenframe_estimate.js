// Says under the editor, before a run, how many passes it makes, and as far as known memory and time.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { RESULT } from "./evenframe_results.js";
import { allNodes, ask, isAlive, leadingTo, nodeAt, openGraph, remembered } from "./lib/graph.js";
import { showText } from "./lib/text.js";

const EDITOR = "EvenframeEdit";
const PAUSE = 500; // ms without a change of the graph, until the server is asked
const asked = new WeakMap(); // node -> what was asked last

const isSeed = (name) => name.endsWith("seed"); // changes after every run, and costs nothing

function questions(output) {
  const editors = Object.keys(output).filter((id) => output[id].class_type === EDITOR);
  return editors.map((id) => {
    const nodes = Object.entries(leadingTo(id, output)).map(([at, { class_type, inputs }]) => [at, { class_type, inputs }]);
    return { node: id, inputs: Object.fromEntries(nodes) };
  });
}

async function look() {
  if (!allNodes(openGraph()).some(({ comfyClass }) => comfyClass === EDITOR)) return;
  const { output } = await app.graphToPrompt();
  for (const question of questions(output)) {
    const node = nodeAt(question.node);
    if (!node) continue;
    const text = JSON.stringify(question, (name, value) => (isSeed(name) ? undefined : value));
    const before = asked.get(node);
    asked.set(node, text);
    // What the last run said stays until something is changed.
    if (before === text || (!before && remembered(node, RESULT))) continue;
    const { said } = await ask("estimate", question).catch(() => ({})); // the run will say what is wrong
    if (said && isAlive(node) && asked.get(node) === text) showText(node, said);
  }
}

let waiting;

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(() => look().catch(() => {}), PAUSE); // a graph that cannot be sent yet
}

app.registerExtension({
  name: "evenframe.Estimate",
  setup: () => api.addEventListener("graphChanged", later),
  afterConfigureGraph: later,
});
