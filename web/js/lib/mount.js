// A widget's place on its node, and changes of the graph that are one entry in its history.

import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { chained, isAlive, isVueNodes, widgetOf } from "./graph.js";

const closing = new Set(); // {node, close} of nodes that are in a graph

// Calls close once: when a node goes alone, with a subgraph, or with the whole graph.
export function whenGone(node, close) {
  const here = { node, close };
  chained(node, "onAdded", () => closing.add(here));
  chained(node, "onRemoved", () => gone(here));
  if (node.graph) closing.add(here);
}

const gone = (here) => closing.delete(here) && here.close();

// Of nodes in subgraphs the editor does not tell that they go where it makes the whole graph anew.
const sweep = () => [...closing].filter(({ node }) => !isAlive(node)).forEach(gone);

app.registerExtension({ name: "evenframe.Gone", afterConfigureGraph: sweep });
api.addEventListener("graphCleared", sweep);

// Puts an element on a node, as no input: neither saved nor sent. close(): when the node goes.
export function mount(node, name, element, { close, ...options }) {
  const widget = node.addDOMWidget(name, name, element, { serialize: false, hideOnZoom: false, ...options });
  widget.serialize = false;
  if (close) whenGone(node, close);
  chained(node, "onAdded", () => settle(node, name, element));
  if (node.graph) settle(node, name, element);
  return widget;
}

const owners = new WeakMap(); // element -> its node

// Nodes 2.0 goes on showing the element of the node before, where undo or a reload of the graph has
// made the node anew, or put it into a subgraph.
function settle(node, name, element) {
  const swap = () => {
    const id = `${name}:${node.id}`;
    element.dataset.evenframe = id;
    owners.set(element, node);
    if (!isVueNodes() || element.isConnected) return;
    const shown = [...document.querySelectorAll(`[data-evenframe="${CSS.escape(id)}"]`)];
    shown.find((one) => !isAlive(owners.get(one)))?.replaceWith(element);
  };
  requestAnimationFrame(() => requestAnimationFrame(swap));
}

// Taller where need be, never wider: a wider node would cover its neighbours.
export function fit(node) {
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  node.setDirtyCanvas?.(true, true); // the canvas places a widget when it draws
}

const openWorkflow = () => app.extensionManager?.workflow?.activeWorkflow;

// What act does to the graph is undone at once. settles: milliseconds that what it made has to take
// its size, which Nodes 2.0 gives it later.
export function once(act, settles = 0) {
  const begun = openWorkflow();
  app.canvas.emitBeforeChange?.();
  const end = () => {
    if (openWorkflow() === begun) app.canvas.emitAfterChange?.();
    else if (begun?.changeTracker) begun.changeTracker.changeCount--; // or another tab's history would hear of it
  };
  try {
    return act();
  } finally {
    if (settles) setTimeout(end, settles);
    else end();
  }
}

export function setValue(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget || widget.value === value) return;
  once(() => {
    widget.value = value;
    widget.callback?.(value);
  });
  node.setDirtyCanvas?.(true, true);
}
