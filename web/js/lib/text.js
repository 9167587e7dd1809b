// A text under a node's inputs, read-only: its result, or how far it is.
//
// The widget is ComfyUI's multiline text, which the canvas and Nodes 2.0 both know how to draw. It is
// no input: it enters neither the saved workflow nor what is sent to the server.

import { app } from "../../../../scripts/app.js";
import { widgetOf } from "./graph.js";
import { fit } from "./mount.js";
import { t } from "./words.js";

const WIDGET = "evenframe_text";
const LINE_HEIGHT = 16;
const MAX_LINES = 8;
const LETTER = 6; // CSS pixels of one, about
const MARGIN = 40; // left and right of a line

function lines(text, width) {
  const most = Math.max(10, (width - MARGIN) / LETTER);
  return String(text ?? "").split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / most)), 0);
}

const rows = ({ value }, { size }) => 1 + Math.min(MAX_LINES, lines(value, size[0]) + 1); // with its label

function makeWidget(node) {
  const { widget } = app.widgets.STRING(node, WIDGET, ["STRING", { multiline: true }], app);
  widget.label = t("result");
  widget.serialize = false; // not in the saved workflow
  Object.assign(widget.options, {
    serialize: false, // not in what is sent to the server
    read_only: true,
    getMinHeight: () => LINE_HEIGHT * rows(widget, node),
  });
  if (widget.element) Object.assign(widget.element, { readOnly: true, style: "opacity: .75" });
  return widget;
}

export function showText(node, text) {
  const widget = widgetOf(node, WIDGET) ?? makeWidget(node);
  widget.value = text;
  widget.options.rows = rows(widget, node); // Nodes 2.0 asks for no height
  fit(node);
}
