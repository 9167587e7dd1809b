// Elements, pointer and keys: all that the widgets have in common on a page.

export function listen(made, heard) {
  for (const [event, act] of Object.entries(heard)) made.addEventListener(event, act);
}

// props: properties; `class`, `role` and names with a hyphen become attributes, functions under `on`
// listeners.
export function element(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") listen(made, value);
    else if (name === "class" || name === "role" || name.includes("-")) made.setAttribute(name, value);
    else if (name === "style") Object.assign(made.style, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const button = (label, press, textContent, props = {}) =>
  element("button", { type: "button", title: label, "aria-label": label, textContent, ...props, on: { click: press } });

export const row = (...parts) => element("div", { class: "row" }, ...parts);

export const group = (label, look, ...parts) => element("div", { class: look, role: "group", "aria-label": label }, ...parts);

export const pressed = (made, on) => made.setAttribute("aria-pressed", on);

export const slider = (label, props, moved) => {
  const input = ({ target }) => moved(Number(target.value));
  return element("input", { type: "range", "aria-label": label, min: 0, ...props, on: { input } });
};

// A choice of [value, name].
export const choice = (label, options, chosen) =>
  element("select", { "aria-label": label, on: { change: ({ target }) => chosen(target.value) } },
    ...options.map(([value, textContent]) => element("option", { value, textContent })));

// Where a widget says what is wrong, or what to do.
export function note() {
  const made = element("div", { class: "note", role: "status" });
  made.say = (text, wrong = false) => {
    made.textContent = text;
    made.classList.toggle("wrong", wrong);
  };
  return made;
}

// A widget around its parts. key(event): hears the keys of them all.
export function framed(props, key, ...parts) {
  const keydown = (event) => {
    key?.(event);
    if (!event.ctrlKey && !event.metaKey && !["Escape", "Tab"].includes(event.key)) kept(event);
  };
  return element("div", { class: "evenframe", ...props, on: { keydown, pointerdown: kept } }, ...parts);
}

// The graph shall not hear of it: it has keys of its own, and moves nodes with the pointer.
const kept = (event) => event.stopPropagation();

export function taken(event) {
  event.preventDefault();
  kept(event);
}

// acts(event): what the keys do that an element takes for itself, by their names.
export function keyed(made, acts) {
  made.addEventListener("keydown", (event) => {
    const act = acts(event)[event.key];
    if (!act) return;
    taken(event);
    act();
  });
}

// Follows a pointer from where it goes down until it is let go. begin(event): whether it is a drag.
export function dragged(made, { begin, move, end, cancel = end }) {
  let pointer = null;
  const last = (act) => (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    act(event);
  };
  listen(made, {
    pointerdown(event) {
      kept(event);
      if (!event.isPrimary || !begin(event)) return; // of several fingers the first
      pointer = event.pointerId;
      made.setPointerCapture(pointer);
    },
    pointermove: (event) => event.pointerId === pointer && move(event),
    pointerup: last(end),
    pointercancel: last(cancel),
  });
}

// How far a pointer is along an element, 0 to 1, but for so many CSS pixels at its ends.
export function along(event, made, inset = 0) {
  const box = made.getBoundingClientRect();
  const edge = (inset * box.width) / (made.offsetWidth || 1); // the graph may be zoomed
  return clamp((event.clientX - box.left - edge) / (box.width - 2 * edge || 1), 0, 1);
}

// The focus stays at the child that has the same data.
export function refill(made, name, children) {
  const { activeElement: focused } = document;
  const data = made.contains(focused) && focused.dataset[name];
  made.replaceChildren(...children);
  if (data) made.querySelector(`[data-${name}="${CSS.escape(data)}"]`)?.focus();
}

// The look is there before any widget is; without it they still work.
const look = element("link", { rel: "stylesheet", href: new URL("../look.css", import.meta.url).href });
const { head } = document;
head.append(look);
await new Promise((done) => listen(look, { load: done, error: done }));

// Colours of regions and words, in their order: apart for most kinds of colour vision (Okabe, Ito).
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2"];

export const colour = (index) => COLOURS[index % COLOURS.length];

// To write on them: the last is too dark for black.
export const ink = (index) => (index % COLOURS.length === 6 ? "#fff" : "#000");

export const round = (value, digits = 4) => Number(value.toFixed(digits));

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
