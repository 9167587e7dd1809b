// What a widget learns from the graph around its node, and what it asks of the server.

import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { Frames } from "./frames.js";

export const openGraph = () => app.rootGraph ?? app.graph;

const rootOf = (graph) => graph?.rootGraph ?? graph;

// Those of a graph and of its subgraphs.
export const allNodes = (root) => [root, ...(root?.subgraphs?.values() ?? [])].flatMap((one) => one?.nodes ?? []);

// Whether a node is still in its graph, and that in the workflow: one that was taken with all the
// others keeps naming it.
export function isAlive(node) {
  const { graph } = node;
  const root = rootOf(graph);
  return graph?.getNodeById(node.id) === node && (graph === root || root.subgraphs.get(graph.id) === graph);
}

export const slotOf = (node, input) => node.inputs?.findIndex(({ name }) => name === input) ?? -1;

// Through reroutes; null where nothing is linked.
export function upstream(node, input) {
  const slot = slotOf(node, input);
  let found = slot < 0 ? null : node.getInputNode(slot);
  while (found?.type === "Reroute") found = found.getInputNode(0);
  return found;
}

export const widgetOf = (node, name) => node?.widgets?.find((one) => one.name === name);

export const value = (node, name) => widgetOf(node, name)?.value;

function values({ widgets = [] }) {
  const sent = widgets.filter((one) => one.options?.serialize !== false && typeof one.value !== "object");
  return Object.fromEntries(sent.map((one) => [one.name, one.value]));
}

// Nodes that hand on a clip's frames as they are: the input that they come from.
const HANDED_ON = { EvenframeCompare: "before" };

// What the server is asked about the loader of a node's clip; null where nothing is linked.
export function loaderOf(node) {
  let loader = upstream(node, "frames");
  while (loader && HANDED_ON[loader.comfyClass]) loader = upstream(loader, HANDED_ON[loader.comfyClass]);
  return loader && asked(loader);
}

function asked(loader) {
  const inputs = values(loader);
  const video = upstream(loader, "video"); // one of ComfyUI's own, that has the file
  if (video) inputs.file = value(video, "file");
  const model = upstream(loader, "model");
  if (model) inputs.model = value(model, "model") ?? model.type;
  return { node: loader.comfyClass ?? loader.type, inputs };
}

// The frames of a node's clip, which the server decodes before anything has run; null where nothing
// is linked. Throws what the server says. signal: of who may no longer wait.
export async function loadersFrames(node, signal) {
  const loader = loaderOf(node);
  return loader && framesOf(await ask("filmstrip", loader, signal));
}

export const askOfLoader = (what, loader, signal) => ask(what, asked(loader), signal);

export const settingsOf = (loader) => JSON.stringify(asked(loader));

export async function ask(what, question, signal) {
  const answer = await api.fetchApi(`/evenframe/${what}`, { method: "POST", body: JSON.stringify(question), signal });
  const told = await answer.json();
  if (told.error) throw new Error(told.error);
  return told;
}

// Of a file in a folder that a node has named.
export const fileUrl = (filename, { subfolder, type }) =>
  api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);

// A strip as the server names it (nodes/common/filmstrips.py).
export function framesOf(strip) {
  const { frames: count, width, height, frame_rate: rate } = strip;
  const url = (index) => fileUrl(`${String(index).padStart(5, "0")}.jpg`, strip);
  return new Frames({ url, count, width, height, rate });
}

// The clips that a node has named when it ran.
export const ranFrames = (output) => (output.evenframe_strips ?? []).map(framesOf);

// What a node told last, for as long as the browser tab lives: shown again after a reload.
const key = (node, what) => `${what}:${node.graph?.id}:${node.id}`;

export function remember(node, what, told) {
  try {
    sessionStorage.setItem(key(node, what), JSON.stringify(told));
  } catch {} // full or switched off: it is shown all the same
}

export function remembered(node, what) {
  try {
    return JSON.parse(sessionStorage.getItem(key(node, what)));
  } catch {
    return null;
  }
}

// Whether the server still has a file: it empties its folder for previews when it starts.
export const isThere = (filename, folder) =>
  fetch(fileUrl(filename, folder), { method: "HEAD" }).then(({ ok }) => ok, () => false);

// The id by which the server names a node, those of the subgraphs around it before its own; and the
// node of such an id, or null.
export function executionId(node) {
  const { graph } = node;
  const root = rootOf(graph);
  const around = graph === root ? null : allNodes(root).find((one) => one.subgraph === graph);
  return around ? `${executionId(around)}:${node.id}` : String(node.id);
}

export function nodeAt(id) {
  let [graph, node] = [openGraph(), null];
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

// A node and all that lead to it, of a workflow in API format.
export function leadingTo(id, output) {
  const needed = {};
  const waiting = [id];
  for (const here of waiting) {
    if (needed[here] || !output[here]) continue;
    needed[here] = output[here];
    waiting.push(...Object.values(output[here].inputs).filter(Array.isArray).map(([from]) => String(from)));
  }
  return needed;
}

// Has a method followed by another call, with what it was given.
export function chained(object, name, after) {
  const before = object[name];
  object[name] = function (...given) {
    const told = before?.apply(this, given);
    after(...given);
    return told;
  };
}

// The editor's own way to show what a node has made, as when it runs. what: who says so.
export function showAsRun(node, output, what) {
  const id = executionId(node);
  api.dispatchCustomEvent("executed", { node: id, display_node: id, output, prompt_id: what });
  node.setDirtyCanvas?.(true, true); // drawn, it asks for pictures
}

// Remembers and shows what a node tells when it runs. keep(output, before, node): what of it, or
// nothing; before: what was kept last, or null.
export function onRun(node, what, keep, show) {
  chained(node, "onExecuted", (output) => {
    const kept = keep(output ?? {}, remembered(node, what), node);
    if (!kept) return;
    remember(node, what, kept);
    show(node, kept);
  });
}

// An extension: nodes show what their runs have told, also after a reload of the page.
// left(kept, node): a promise of what of it is still to be shown, or of nothing; show(node, kept, again).
// width: of a new node, for what it will show.
export const showsRuns = (name, isOurs, what, { keep, left, show, width = 0 }) =>
  app.registerExtension({
    name,

    nodeCreated(node) {
      if (!isOurs(node)) return;
      onRun(node, what, keep, show);
      if (width) node.setSize([Math.max(node.size[0], width), node.size[1]]);
    },

    async loadedGraphNode(node) {
      const kept = isOurs(node) && remembered(node, what);
      const there = kept && (await left(kept, node));
      // Meanwhile another undo may have taken the node, or a run have told more.
      if (!there || !isAlive(node) || JSON.stringify(remembered(node, what)) !== JSON.stringify(kept)) return;
      remember(node, what, there);
      show(node, there, true);
    },
  });

export const isVueNodes = () => Boolean(app.extensionManager?.setting?.get("Comfy.VueNodes.Enabled"));
