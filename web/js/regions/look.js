// How the region editor looks.

import { styled } from "../lib/dom.js";

styled(
  `.evenframe.editor { container-type: inline-size; overflow: hidden auto; }
  .evenframe .panes { display: flex; flex-direction: column; gap: 4px; flex: 1 1 auto; min-height: 0; }
  .evenframe .film, .evenframe .side { display: flex; flex-direction: column; gap: 4px; min-width: 0; }
  .evenframe .film { flex: 2 1 0; min-height: 200px; }
  .evenframe .film .stage { min-height: 100px; }
  .evenframe .side { flex: 1 1 0; min-height: 110px; overflow: hidden auto; }
  .evenframe .side.slim { flex: 0 1 auto; min-height: 22px; }
  @container (min-width: 560px) { .evenframe .panes { flex-direction: row; }
    .evenframe .side.slim { flex: 1 1 0; } }
  .evenframe .hint { position: absolute; inset: 0; display: grid; place-content: center; padding: 12px;
    text-align: center; color: #ccc; pointer-events: none; }
  .evenframe .timeline { position: relative; flex: 0 0 auto; min-height: 42px; max-height: 84px; overflow: hidden auto;
    border: 1px solid var(--border-color, #666); border-radius: 4px; }
  .evenframe .track { position: relative; height: 20px; cursor: pointer; }
  .evenframe .track::before { content: ""; position: absolute; inset: 9px 7px; height: 2px;
    background: var(--border-color, #666); }
  .evenframe .track.chosen { background: var(--comfy-input-bg, #222); }
  .evenframe button.key { position: absolute; top: 4px; width: 12px; height: 12px; min-height: 0;
    padding: 0; margin-left: -6px; transform: rotate(45deg); border-radius: 1px; border: 1px solid #000;
    touch-action: none; }
  .evenframe button.key.behind { opacity: .5; }
  .evenframe .track i { position: absolute; top: 8px; width: 4px; height: 4px; margin-left: -2px;
    border-radius: 50%; }
  .evenframe .now { position: absolute; top: 0; bottom: 0; width: 0; pointer-events: none;
    border-left: 1px solid var(--input-text, #ddd); }
  .evenframe .regions { display: flex; flex-direction: column; gap: 2px; }
  .evenframe .region { padding: 2px; border: 1px solid transparent; border-radius: 4px; }
  .evenframe .region[aria-current="true"] { border-color: var(--border-color, #666); }
  .evenframe .region > .row { flex-wrap: nowrap; }
  .evenframe .more, .evenframe .more > .row + .row { padding-top: 4px; }
  .evenframe input.name { flex: 1 1 60px; min-width: 40px; width: 60px; }
  .evenframe input[type="number"] { width: 52px; }
  .evenframe button.icon { min-width: 24px; padding: 2px 4px; }
  .evenframe .chip[aria-pressed="true"] { font-weight: 600; }
  .evenframe button.icon[aria-pressed] { background: var(--comfy-input-bg, #222); color: inherit; }
  .evenframe button.chip.wrong { background: #b3261e; color: #fff; text-decoration: line-through; }
  .evenframe summary { cursor: pointer; color: var(--descrip-text, #999); }
  .evenframe textarea { width: 100%; min-height: 120px; resize: vertical; font: 11px/1.4 monospace; }`,
);
