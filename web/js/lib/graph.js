// What a widget learns from the graph around its node, and what it asks of the server.

import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { Frames } from "./frames.js";

// The node that an input is linked to, through reroutes, or null.
export function upstream(node, input) {
  const slot = node.inputs?.findIndex((one) => one.name === input) ?? -1;
  let found = slot < 0 ? null : node.getInputNode(slot);
  while (found?.type === "Reroute") found = found.getInputNode(0);
  return found;
}

export const value = (node, name) => node?.widgets?.find((one) => one.name === name)?.value;

const values = (node) =>
  Object.fromEntries(
    (node.widgets ?? [])
      .filter((one) => one.options?.serialize !== false && typeof one.value !== "object")
      .map((one) => [one.name, one.value]),
  );

// Nodes that hand on a clip's frames as they are: the input that they come from.
const HANDED_ON = { EvenframeCompare: "before" };

// The loader of a node's clip and its settings, as the server is asked for its frames; null where
// nothing is linked.
export function loaderOf(node, input = "frames") {
  let loader = upstream(node, input);
  while (loader && HANDED_ON[loader.comfyClass]) loader = upstream(loader, HANDED_ON[loader.comfyClass]);
  if (!loader) return null;
  return asked(loader);
}

// What the server is asked for about a loader: its id, and its settings.
function asked(loader) {
  const inputs = values(loader);
  const video = upstream(loader, "video"); // one of ComfyUI's own, that has the file
  if (video) inputs.file = value(video, "file");
  const model = upstream(loader, "model");
  if (model) inputs.model = value(model, "model") ?? model.type;
  return { node: loader.comfyClass ?? loader.type, inputs };
}

// The frames of a clip that a loader gives, which the server decodes before anything has run.
// Null where nothing is linked. Throws what the server says.
export async function loadersFrames(node, input = "frames") {
  const loader = loaderOf(node, input);
  return loader && Frames.of(await ask("filmstrip", loader), (path) => api.apiURL(path));
}

// What the server says of a loader's clip. Throws what it says where that cannot be.
export const askOfLoader = (what, loader) => ask(what, asked(loader));

async function ask(what, question) {
  const answer = await api.fetchApi(`/evenframe/${what}`, { method: "POST", body: JSON.stringify(question) });
  const told = await answer.json();
  if (told.error) throw new Error(told.error);
  return told;
}

// The clips that a node has named when it ran, as Frames, in their order.
export const ranFrames = (output) =>
  (output?.evenframe_strips ?? []).map((strip) => Frames.of(strip, (path) => api.apiURL(path)));

// What a node told last, for as long as the browser tab lives: shown again after a reload.
const key = (node, what) => `${what}:${node.graph?.id}:${node.id}`;

export function remember(node, what, told) {
  try {
    sessionStorage.setItem(key(node, what), JSON.stringify(told));
  } catch {
    // Storage is full or switched off: it is shown all the same.
  }
}

export function remembered(node, what) {
  try {
    return JSON.parse(sessionStorage.getItem(key(node, what)));
  } catch {
    return null;
  }
}

// Whether the server still has a file that a node has named: it empties its folder for previews
// when it starts.
export async function isThere({ filename, subfolder, type }) {
  const url = api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
  return fetch(url, { method: "HEAD" }).then(({ ok }) => ok, () => false);
}

// The id by which the server names a node, those of the subgraphs around it before its own; and the
// node of such an id, or null.
export function executionId(node) {
  const { graph } = node;
  const root = graph?.rootGraph ?? graph;
  const all = [root, ...(root?.subgraphs?.values() ?? [])].flatMap((one) => one?.nodes ?? []);
  const around = graph === root ? null : all.find((one) => one.subgraph === graph);
  return around ? `${executionId(around)}:${node.id}` : String(node.id);
}

export function nodeAt(id) {
  let [graph, node] = [app.rootGraph ?? app.graph, null];
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

// Calls heard(output) whenever a node of ours has run, and after a reload with what it told last.
// what: the name of the part of the output.
export function onResult(node, what, heard) {
  const { onExecuted } = node;
  node.onExecuted = function (output) {
    onExecuted?.apply(this, arguments);
    if (!output?.[what]) return;
    remember(this, what, output);
    heard(output);
  };
}

export const isVueNodes = () => Boolean(app.extensionManager?.setting?.get("Comfy.VueNodes.Enabled"));
