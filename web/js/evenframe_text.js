// Shows the text a node reports (`ui = {"text": [...]}`) under its inputs, read-only.
//
// ComfyUI shows a node's pictures by itself, but its text only on its own preview nodes. The widget
// here is ComfyUI's multiline text, which the canvas and Nodes 2.0 both know how to draw. It is no
// input: it enters neither the saved workflow nor what is sent to the server.
//
// A page that is reloaded shows the texts again: they are remembered for as long as the browser tab
// lives, by workflow and node.

import { app } from "../../../scripts/app.js";

const WIDGET = "evenframe_text";
const LINE_HEIGHT = 16;
const MAX_LINES = 8;

const isOurs = (node) => node?.comfyClass?.startsWith("Evenframe") ?? false;

const memoryKey = (node) => `${WIDGET}:${node.graph?.id}:${node.id}`;

function remember(node, text) {
  try {
    sessionStorage.setItem(memoryKey(node), text);
  } catch {
    // Storage is full or switched off: the text is shown all the same.
  }
}

function remembered(node) {
  try {
    return sessionStorage.getItem(memoryKey(node));
  } catch {
    return null;
  }
}

function makeWidget(node) {
  const { widget } = app.widgets.STRING(node, WIDGET, ["STRING", { multiline: true }], app);
  widget.label = "result";
  widget.serialize = false; // not in the saved workflow
  Object.assign(widget.options, {
    serialize: false, // not in what is sent to the server
    read_only: true,
    getMinHeight: () => LINE_HEIGHT * (1 + Math.min(MAX_LINES, lines(widget.value) + 1)),
  });
  if (widget.element) {
    widget.element.readOnly = true;
    widget.element.style.opacity = 0.75;
  }
  return widget;
}

const lines = (text) => String(text ?? "").split("\n").length;

function show(node, text) {
  const widget = node.widgets?.find((one) => one.name === WIDGET) ?? makeWidget(node);
  widget.value = text;
  // Taller where need be, never wider: a wider node would cover its neighbours.
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  node.setDirtyCanvas?.(true, true);
}

app.registerExtension({
  name: "evenframe.Text",

  nodeCreated(node) {
    if (!isOurs(node)) return;
    const { onExecuted } = node;
    node.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      if (!output?.text) return;
      const text = [output.text].flat().join("\n");
      show(this, text);
      remember(this, text);
    };
  },

  loadedGraphNode(node) {
    const text = isOurs(node) ? remembered(node) : null;
    if (text) show(node, text);
  },
});
