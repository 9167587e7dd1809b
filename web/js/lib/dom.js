// Elements and their look: all that the widgets have in common on a page.

// A new element. props: its properties; `class`, `role` and names with a hyphen become attributes,
// functions under `on` listeners. children: elements and texts.
export function element(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, heard] of Object.entries(value)) made.addEventListener(event, heard);
    } else if (name === "class" || name === "role" || name.includes("-")) {
      made.setAttribute(name, value);
    } else if (name === "style") Object.assign(made.style, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const button = (label, press, props = {}) =>
  element("button", { type: "button", title: label, "aria-label": label, ...props, on: { click: press } });

// Puts a style sheet on the page once, whichever widgets are there.
export function styled(id, css) {
  if (document.getElementById(id)) return;
  document.head.append(element("style", { id, textContent: css }));
}

styled(
  "evenframe-common",
  `.evenframe { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%;
    min-height: 0; box-sizing: border-box; font: 12px/1.4 system-ui, sans-serif;
    color: var(--input-text, #ddd); }
  .evenframe *, .evenframe *::before { box-sizing: border-box; }
  .evenframe [hidden] { display: none !important; }
  .evenframe button, .evenframe input, .evenframe select { font: inherit; color: inherit;
    background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #666);
    border-radius: 4px; padding: 2px 6px; min-height: 24px; }
  .evenframe button { cursor: pointer; }
  .evenframe button:disabled { cursor: default; opacity: .5; }
  .evenframe button[aria-pressed="true"] { background: var(--p-primary-color, #0b6bcb);
    color: var(--p-primary-contrast-color, #fff); }
  .evenframe :focus-visible { outline: 2px solid var(--p-primary-color, #64b5f6); outline-offset: 1px; }
  .evenframe .row { display: flex; flex-wrap: wrap; align-items: center; gap: 4px; }
  .evenframe .stage { position: relative; flex: 1 1 auto; min-height: 80px; overflow: hidden;
    background: #111; border-radius: 4px; touch-action: none; }
  .evenframe .stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
  .evenframe .note { color: var(--descrip-text, #999); min-height: 1.4em; }
  .evenframe .note.wrong { color: var(--error-text, #ff6b6b); }
  .evenframe input[type="range"] { flex: 1 1 80px; padding: 0; min-width: 60px; }`,
);

// Colours of regions and words, in their order: apart for most kinds of colour vision (Okabe, Ito).
export const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2"];

export const colour = (index) => COLOURS[index % COLOURS.length];

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
