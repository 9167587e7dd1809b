// A widget's place on its node, and changes of the graph that are one entry in its history.

import { app } from "../../../../scripts/app.js";
import { isVueNodes } from "./graph.js";

// Puts an element on a node, as no input: neither saved nor sent. options: see addDOMWidget.
export function mount(node, name, element, options) {
  node.addDOMWidget(name, name, element, { serialize: false, hideOnZoom: false, ...options }).serialize = false;
  const { onConfigure } = node;
  node.onConfigure = function () {
    onConfigure?.apply(this, arguments);
    settle(this, name, element);
  };
  if (node.graph) settle(node, name, element);
}

// Nodes 2.0 goes on showing the element of the node before, where undo or a reload of the graph has
// made the node anew.
function settle(node, name, element) {
  const id = `${name}:${node.graph?.id}:${node.id}`;
  element.dataset.evenframe = id;
  if (!isVueNodes()) return;
  const swap = () => {
    if (element.isConnected) return;
    document.querySelector(`[data-evenframe="${CSS.escape(id)}"]`)?.replaceWith(element);
  };
  requestAnimationFrame(() => requestAnimationFrame(swap));
}

// What act does to the graph is undone at once. settles: milliseconds that what it made has to take
// its size, which Nodes 2.0 gives it later.
export function once(act, settles = 0) {
  app.canvas.emitBeforeChange?.();
  const end = () => app.canvas.emitAfterChange?.();
  try {
    return act();
  } finally {
    if (settles) setTimeout(end, settles);
    else end();
  }
}

// A value of a node's own widget.
export function setValue(node, name, value) {
  const widget = node.widgets?.find((one) => one.name === name);
  if (!widget || widget.value === value) return;
  once(() => {
    widget.value = value;
    widget.callback?.(value);
  });
  node.setDirtyCanvas?.(true, true);
}
