// Says under Load Video, before any run, at which size its clip is edited and at which it is saved.

import { app } from "../../../scripts/app.js";
import { RESULT, isOfNow } from "./evenframe_results.js";
import { askOfLoader, chained, isAlive, remembered, showAsRun, value } from "./lib/graph.js";
import { fit, whenGone } from "./lib/mount.js";
import { showText } from "./lib/text.js";

const PAUSE = 400; // ms without a change of the widgets, until the server is asked
const DEMO = "demo: "; // how built-in clips are named, which are no files

const isDemo = (node) => String(value(node, "file")).startsWith(DEMO);

// The editor looks for a video of the file's name, and says that it failed to load: a picture of the
// clip in its place.
async function showDemo(node, signal) {
  const { subfolder, type } = await askOfLoader("filmstrip", node, signal);
  if (signal.aborted || !isAlive(node)) return;
  node.previewMediaType = "image";
  const images = [{ filename: "00000.jpg", subfolder, type }];
  showAsRun(node, { text: value(node, "evenframe_text"), images }, RESULT);
}

// The editor gives a late picture a widget, and no room.
function roomForPicture(node) {
  let known = node.widgets.length;
  chained(node, "onDrawBackground", () => {
    if (node.widgets.length > known) fit(node);
    known = node.widgets.length;
  });
}

// One question at a time for each node; of answers that come late, none is shown.
class Plan {
  constructor(node) {
    this.node = node;
  }

  stop() {
    clearTimeout(this.timer);
    this.asking?.abort();
  }

  later(act = (signal) => this.ask(signal)) {
    this.stop();
    const { signal } = (this.asking = new AbortController());
    if (!isDemo(this.node)) this.node.previewMediaType = "video";
    this.timer = setTimeout(() => act(signal), PAUSE);
  }

  async ask(signal) {
    const said = await askOfLoader("plan", this.node, signal).then((told) => told.said, (error) => error.message);
    if (signal.aborted || !isAlive(this.node)) return;
    showText(this.node, said);
    this.picture(signal);
    for (const one of this.node.graph.nodes) one.evenframeLook?.(); // who draws on its clip
  }

  picture(signal) {
    if (isDemo(this.node)) showDemo(this.node, signal).catch(() => {});
  }

  // Whatever is chosen or linked anew.
  follow() {
    const { node } = this;
    onChoice(node, () => this.later());
    chained(node, "onConnectionsChange", () => this.later());
    // What a run says comes after what was asked before it; it brings no picture.
    const onlyPicture = (signal) => this.picture(signal);
    chained(node, "onExecuted", (output) => output?.images || this.later(onlyPicture));
    whenGone(node, () => this.stop());
  }
}

const onChoice = ({ widgets = [] }, heard) => widgets.forEach((one) => chained(one, "callback", heard));

app.registerExtension({
  name: "evenframe.Loader",

  nodeCreated(node) {
    if (node.comfyClass === "EvenframeLoadModel")
      onChoice(node, () => node.graph?.nodes.forEach((one) => one.evenframePlan?.later()));
    if (node.comfyClass !== "EvenframeLoadVideo") return;
    node.evenframePlan = new Plan(node);
    node.evenframePlan.follow();
    roomForPicture(node);
    node.evenframePlan.later();
  },

  loadedGraphNode(node) {
    // What the last run said stays until something is changed.
    const plan = node.evenframePlan;
    const said = plan && remembered(node, RESULT);
    if (said?.text && isOfNow(said, node)) plan.later((signal) => plan.picture(signal));
  },
});
