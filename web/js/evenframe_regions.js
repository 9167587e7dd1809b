// The editors of regions on their nodes.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { chained, isAlive, leadingTo, loaderOf, loadersFrames, onRun, ranFrames, remembered, slotOf, upstream, value, widgetOf } from "./lib/graph.js";
import { mount, setValue } from "./lib/mount.js";
import { t } from "./lib/words.js";
import { RegionEditor } from "./regions/editor.js";
import { TrackEditor } from "./regions/track_editor.js";

const WIDGET = "evenframe_regions";
const STRIPS = "evenframe_strips";
const EDITORS = { EvenframeDrawRegions: [RegionEditor, 400], EvenframeTrackRegion: [TrackEditor, 300] };
const HANDED_ON = ["EVENFRAME_REGIONS", "EVENFRAME_CONTROLS", "*"]; // what leads on to the edit
const MANY = 100;
const [WIDE, ROOM] = [440, 160]; // of a new node: there is a clip to draw on

const views = new Map(); // what was looked at, by node: undo makes nodes anew

const keyOf = (node) => `${node.graph?.id}:${node.id}`;

// The text of the prompt that a node takes as its target, or null: of our prompt node, of the
// host's whose words it has, or of the prompt that a fair one is made of.
function promptOf(node) {
  const prompt = upstream(node, "target_prompt");
  if (!prompt) return null;
  const encoded = upstream(prompt, "conditioning") ?? prompt;
  const linked = upstream(encoded, "text");
  const text = linked ? linked.widgets?.find((one) => typeof one.value === "string")?.value : value(encoded, "text");
  return typeof text === "string" ? text : promptOf(prompt);
}

// The target prompt of the edit to which regions lead, or null where none is found.
export function targetPrompt(node) {
  const waiting = [node];
  const seen = new Set(waiting);
  for (const here of waiting) {
    const text = here === node ? null : promptOf(here);
    if (text !== null) return text;
    for (const output of here.outputs ?? []) {
      if (!HANDED_ON.includes(output.type)) continue;
      for (const id of output.links ?? []) {
        const next = here.graph.getNodeById(here.graph.getLink(id)?.target_id);
        if (!next || seen.has(next) || seen.size > MANY) continue;
        seen.add(next);
        waiting.push(next);
      }
    }
  }
  return null;
}

// Runs a node that is no output of the graph, and what it needs. Throws what is wrong with it.
async function runAlone(node) {
  const { output, workflow } = await app.graphToPrompt();
  const mine = Object.keys(output).filter((id) =>
    id.split(":").at(-1) === String(node.id) && output[id].class_type === node.comfyClass);
  if (mine.length !== 1) throw new Error(t("This node is muted, or in a subgraph that is there twice: run the workflow."));
  const needed = leadingTo(mine[0], output);
  const result = node.outputs.findIndex((one) => one.name === "regions");
  needed.evenframe_looked_at = { class_type: "PreviewAny", inputs: { source: [mine[0], result] } };
  await api.queuePrompt(0, { output: needed, workflow });
}

class Mounted {
  #asked = "";
  #asking = new AbortController();

  constructor(node, text, [Editor, height]) {
    Object.assign(this, { node, text });
    this.editor = new Editor({
      value: text.value,
      onTrack: () => runAlone(node).catch((error) => this.editor.say(error.message, true)),
      onChange: (changed) => setValue(node, text.name, changed),
      onView: (view) => this.placed && views.set(keyOf(node), { ...view }),
    });
    const { element } = this.editor;
    for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, () => this.look());
    mount(node, WIDGET, element, { getMinHeight: () => height, close: () => this.close() });
    node.evenframeLook = () => this.look();
    this.#conceal();
    const [wide, high] = node.computeSize();
    node.setSize([Math.max(wide, WIDE), high + ROOM]); // one that was saved has its own size
  }

  // The editor has the text under its own "advanced"; it is shown where it comes from another node.
  #conceal() {
    const linked = this.node.inputs?.[slotOf(this.node, this.text.name)]?.link != null;
    this.text.hidden = this.text.options.hidden = !linked;
    this.editor.element.inert = linked;
    if (linked) this.editor.say(t("The text comes from another node."));
  }

  // On a clip a new node begins with nothing: its example is for those who run it without.
  begin() {
    if (this.example === this.text.value) this.editor.setValue((this.text.value = ""));
    this.example = null;
  }

  // At the graph again: the text, the prompt's words, and which clip is linked.
  look() {
    if (!isAlive(this.node) || this.closed) return;
    if (!this.placed) this.editor.look(views.get(keyOf(this.node)) ?? {});
    this.placed = true;
    this.#conceal();
    if (this.text.value !== this.editor.value) this.editor.setValue(this.text.value);
    this.editor.setWords?.(targetPrompt(this.node));
    if (!this.told) this.onRan(remembered(this.node, STRIPS) ?? {});
    this.#lookForClip();
  }

  async #lookForClip() {
    const asked = JSON.stringify(loaderOf(this.node)); // what it says of the clip
    if (asked === this.#asked) return;
    this.#asked = asked;
    this.#asking.abort();
    const { signal } = (this.#asking = new AbortController());
    if (asked !== "null" && !this.editor.frames) this.editor.setFrames(null, t("Reading the clip ..."));
    try {
      const frames = await loadersFrames(this.node, signal);
      if (!signal.aborted) this.#show(frames ?? this.ran ?? null, Boolean(frames));
    } catch (error) {
      if (signal.aborted) return;
      this.#asked = ""; // it may be there the next time
      this.#show(this.ran ?? null, false, error.message);
    }
  }

  #show(frames, loaded, hint) {
    const before = this.editor.frames;
    this.loaded = loaded;
    if (frames) this.begin();
    this.editor.setFrames(frames, hint);
    if (before !== frames) before?.close();
  }

  // The clip that the node has seen, where no loader's is known.
  onRan(output) {
    this.told = output;
    [this.ran] = ranFrames(output);
    if (!this.loaded && this.ran) this.#show(this.ran, false);
    if (output.evenframe_tracked) this.editor.setTracked?.(output.evenframe_tracked[0]);
  }

  close() {
    this.closed = true;
    this.#asking.abort();
    this.editor.close();
    this.editor.frames?.close();
  }
}

app.registerExtension({
  name: "evenframe.Regions",

  nodeCreated(node) {
    const text = EDITORS[node.comfyClass] && widgetOf(node, "text");
    if (!text) return;
    const mounted = new Mounted(node, text, EDITORS[node.comfyClass]);
    // Links and values are there only when the graph around the node is.
    const look = () => setTimeout(() => mounted.look());
    for (const event of ["onAdded", "onConfigure", "onConnectionsChange"]) chained(node, event, look);
    mounted.example = text.value;
    chained(node, "onConfigure", () => (mounted.example = null)); // as it was saved
    // With the link, so that they are one in the history.
    chained(node, "onConnectionsChange", () => isAlive(node) && loaderOf(node)?.node.startsWith("Evenframe") && mounted.begin());
    onRun(node, STRIPS, (output) => output[STRIPS] && output, (_, output) => mounted.onRan(output));
  },
});
