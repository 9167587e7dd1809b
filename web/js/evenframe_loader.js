// Says under Load Video, before any run, at which size its clip is edited and at which it is saved.

import { app } from "../../../scripts/app.js";
import { askOfLoader, chained, isAlive, remembered, showAsRun, value } from "./lib/graph.js";
import { showText } from "./lib/text.js";

const PAUSE = 400; // ms without a change of the widgets, until the server is asked
const RESULT = "evenframe_result"; // as evenframe_results.js remembers it

const DEMO = "demo: "; // how built-in clips are named, which are no files

const isDemo = (node) => String(value(node, "file")).startsWith(DEMO);

// The editor looks for a video of the file's name, and says that it failed to load: a picture of the
// clip in its place.
async function showDemo(node) {
  const { subfolder, type } = await askOfLoader("filmstrip", node);
  if (!isAlive(node) || !isDemo(node)) return;
  node.previewMediaType = "image";
  const output = {
    text: [value(node, "evenframe_text") ?? ""],
    images: [{ filename: "00000.jpg", subfolder, type }],
  };
  showAsRun(node, output, RESULT);
}

// One question at a time for each node; of answers that come late, none is shown.
class Plan {
  constructor(node) {
    this.node = node;
    this.asked = 0;
  }

  later() {
    clearTimeout(this.timer);
    if (!isDemo(this.node)) this.node.previewMediaType = "video";
    this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  async ask() {
    const asked = ++this.asked;
    const said = await askOfLoader("plan", this.node).then((told) => told.said, (error) => error.message);
    if (asked !== this.asked || !isAlive(this.node)) return;
    showText(this.node, said);
    if (isDemo(this.node)) await showDemo(this.node).catch(() => {});
  }

  // Whatever is chosen or linked anew.
  follow() {
    const { node } = this;
    onChoice(node, () => this.later());
    chained(node, "onConnectionsChange", () => this.later());
    chained(node, "onRemoved", () => clearTimeout(this.timer));
  }
}

function onChoice(node, heard) {
  for (const widget of node.widgets ?? []) chained(widget, "callback", heard);
}

app.registerExtension({
  name: "evenframe.Loader",

  nodeCreated(node) {
    if (node.comfyClass === "EvenframeLoadModel")
      onChoice(node, () => node.graph?.nodes.forEach((one) => one.evenframePlan?.later()));
    if (node.comfyClass !== "EvenframeLoadVideo") return;
    node.evenframePlan = new Plan(node);
    node.evenframePlan.follow();
    node.evenframePlan.later();
  },

  loadedGraphNode(node) {
    // What the last run said stays until something is changed.
    if (!node.evenframePlan || !remembered(node, RESULT)) return;
    clearTimeout(node.evenframePlan.timer);
    if (isDemo(node)) setTimeout(() => showDemo(node).catch(() => {}), PAUSE);
  },
});
