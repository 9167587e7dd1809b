// The last results of a node as small pictures, of which any two are A and B.

import { button, element, group, refill, row } from "../lib/dom.js";
import { t } from "../lib/words.js";

// What can be A or B: each clip once. results: oldest first, see player.js.
// Gives {id, label, frames, result, source: whether it is what was edited}.
export function cards(results) {
  const found = new Map();
  const sources = new Set(results.map(({ strips }) => strips[0].url(0)));
  for (const result of results) {
    const [before, after] = result.strips;
    const names = [
      [before, sources.size > 1 ? t("Source {number}", result) : t("Source"), true],
      [after, t("Result {number}", result), false],
    ];
    for (const [frames, label, source] of names) {
      const id = frames?.url(0);
      if (id) found.set(id, { id, label: found.get(id)?.label ?? label, frames, result, source });
    }
  }
  return [...found.values()];
}

export class Results {
  // choose(slot, id): called where a clip is chosen as "a" or "b".
  constructor(choose) {
    this.choose = choose;
    this.element = group(t("Last results"), "row results");
  }

  set(all, chosen) {
    this.element.hidden = all.length < 3; // a source and its result need no choice
    refill(this.element, "pick", all.map((card) => this.#card(card, chosen)));
  }

  #card({ id, label, frames }, chosen) {
    const pick = (slot) => {
      const name = slot.toUpperCase();
      const props = { "aria-pressed": chosen[slot] === id, "data-pick": `${slot} ${id}` };
      return button(t("{label} as {name}", { label, name }), () => this.choose(slot, id), name, props);
    };
    const image = element("img", { src: frames.url(0), alt: "", draggable: false });
    const name = element("div", { textContent: label });
    return element("div", { class: "card", title: label }, image, name, row(pick("a"), pick("b")));
  }
}
