// What a head does, measured: how much of its weight goes to a query's own place, the one before, the next, the first.
import { t } from "./words.js";

const CHEAP = 6e6; // cells of a relation that are read through at once

const SHAPES = {
  self: (i) => i, previous: (i) => i - 1, next: (i) => i + 1, first: () => 0, last: (i, n) => n - 1,
};
const ACROSS = ["first", "last"];

/** Whether a relation is small enough to be measured when its page opens. */
export function measurable(trace, relation) {
  return trace.manifest.relations[relation].layers.every((layer, l) => {
    const [rows, columns] = trace.maps.shape(relation, l);
    return trace.maps.exact(relation, l) && rows * columns * layer.heads * trace.manifest.relations[relation].layers.length <= CHEAP && (layer.weights || rows <= 128);
  });
}

/** Mean share of a head's weight by pattern: `{previous: 0.94, ...}`. */
export function shares(trace, relation, layer, head) {
  const { queries, keys, kind } = trace.manifest.relations[relation];
  if (kind === "signed") return {};
  const { rows, columns } = trace.weights(relation, layer), map = trace.head(relation, layer, head), out = {};
  for (const [name, place] of Object.entries(SHAPES)) {
    if (queries !== keys && !ACROSS.includes(name)) continue;
    let sum = 0, count = 0;
    for (let i = 0; i < rows; i++) {
      const j = place(i, columns);
      if (j < 0 || j >= columns) continue;
      sum += map[i * columns + j];
      count++;
    }
    out[name] = count ? sum / count : 0;
  }
  return out;
}

/** The pattern that takes half of the weight or more, if any: `["previous", 0.94]`. */
export function strongPattern(found) {
  const best = Object.entries(found).sort((a, b) => b[1] - a[1])[0];
  return best && best[1] >= 0.5 ? best : null;
}

/** A pattern's name for people. */
export function patternName(name) {
  return t({ self: "own place", previous: "previous", next: "next", first: "first", last: "last", spread: "spread out" }[name] ?? name);
}
