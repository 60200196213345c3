// The state lives in the address, so that a link, the back button and a test see exactly what a person sees.

const WHOLE = new Set(["layer", "query", "key", "layer2", "step", "node", "item", "round", "depth"]);

/** What the address says. Numbers that are whole by nature come back as numbers; the rest stays text. */
export function readState(hash) {
  const state = {};
  for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    state[name] = WHOLE.has(name) && /^\d+$/.test(value) ? Number(value) : value;
  }
  return state;
}

/** The address of a state: what is null or empty is left out. */
export function writeState(state) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value !== null && value !== undefined && value !== "") parts.set(name, String(value));
  }
  return `#${parts}`;
}

function whole(value, count) {
  const number = Number(value);
  return Number.isInteger(number) && number >= 0 && number < count ? number : null;
}

/** A state whose relation, layer, head, query and key exist in the trace: an old link never breaks a page. */
export function sane(state, trace) {
  const names = Object.keys(trace.manifest.relations);
  const relation = names.includes(state.relation) ? state.relation : names[0] ?? null;
  const layers = relation === null ? [] : trace.manifest.relations[relation].layers;
  const layer = whole(state.layer ?? 0, layers.length) ?? Math.max(0, layers.length - 1);
  const heads = layers[layer]?.heads ?? 1;
  const head = ["mean", "max"].includes(state.head) ? state.head : whole(state.head ?? 0, heads) ?? 0;
  const size = relation === null ? { rows: 0, columns: 0 } : trace.size(relation);
  return { ...state, relation, layer, head, query: pick(state.query, size.rows), key: pick(state.key, size.columns) };
}

function pick(value, count) {
  return value === undefined || value === null || value === "" ? null : whole(value, count);
}
