// One head, or an aggregate of heads, as the panes see it: names, numbers and the colours' scale.
import { headName } from "./controls.js";
import { number, tokenText } from "./draw.js";
import { largest, pooled } from "./weights.js";
import { t } from "./words.js";

const EXACT = 4.2e6; // cells of a map that is made whole; beyond, only its picture and single rows

export class View {
  constructor(trace, { relation, layer, head, scale, mass }) {
    Object.assign(this, { trace, relation, layer, head });
    this.what = trace.manifest.relations[relation];
    this.signed = this.what.kind === "signed";
    [this.rows, this.columns] = trace.maps.shape(relation, layer);
    this.scale = this.signed ? "absolute" : ["absolute", "row", "lift"].includes(scale) ? scale : this.columns > 48 ? "row" : "absolute";
    this.mass = Number(mass) > 0 && Number(mass) <= 1 ? Number(mass) : 0.9;
    this.exact = trace.maps.exact(relation, layer);
    this.whole = this.exact && this.rows * this.columns <= EXACT;
    this.same = this.what.queries === this.what.keys;
  }
  get shift() { return { query: 0, key: 0 }; }
  get map() { return this.whole ? this.trace.head(this.relation, this.layer, this.head) : null; }
  get visible() { return this.rows * this.columns <= EXACT ? this.trace.visible(this.relation, this.layer, this.head) : null; }
  get masks() { const layer = this.what.layers[this.layer]; return Boolean(layer.causal || layer.visible); }
  row(query) { return this.exact ? this.trace.row(this.relation, this.layer, this.head, query) : null; }
  column(key) {
    const map = this.map;
    return map && Float32Array.from({ length: this.rows }, (_, i) => map[i * this.columns + key]);
  }
  may(query, key) {
    if (!this.masks) return true;
    const head = Number.isInteger(this.head) ? this.head : 0;
    return this.trace.maps.seen(this.relation, this.layer, head, this.rows, this.columns)(query, key);
  }
  value(query, key) { return this.row(query)?.[key] ?? null; }
  query(i) { return tokenText(this.trace.label(this.what.queries, i)); }
  key(j) { return tokenText(this.trace.label(this.what.keys, j)); }
  /** Where we are: "encoder self-attention · layer 3 · head 5". */
  get path() { return `${t(this.what.title || this.relation)} · ${t("layer {layer}", { layer: this.layer + 1 })} · ${headName(this.head)}`; }
  /** The exact number at a cell, in words. */
  reading(query, key) {
    const where = `“${this.query(query)}” → “${this.key(key)}”`;
    if (!this.may(query, key)) return `${where}: ${t("masked")}`;
    const value = this.value(query, key);
    return `${where} = ${value === null ? t("not kept") : number(value)}`;
  }
  /** The largest of a row, most first: `{list: [[item, weight]], rest}`, as many as make up the mass. */
  top(values, most = 10, mass = 1) {
    const order = Array.from(values.keys()).filter((i) => values[i] !== 0).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
    const total = values.reduce((sum, x) => sum + Math.abs(x), 0), list = [];
    let sum = 0;
    for (const i of order) {
      if (list.length >= most || sum >= mass * total - 1e-6) break;
      list.push([i, values[i]]);
      sum += Math.abs(values[i]);
    }
    return { list, rest: Math.max(0, total - sum), total };
  }
  /** What a matrix draws, at most `most` a side: `{data, rows, columns, max, visible, pooled}` on the chosen scale. */
  picture(most) {
    const scaled = this.map && this.scaled(this.map, this.rows, this.columns, this.visible);
    const small = scaled ? pooled(scaled, this.rows, this.columns, most) : this.kept(most);
    if (!small) return null;
    const fits = small.rows === this.rows && small.columns === this.columns;
    const visible = this.masks && this.visible ? (fits ? this.visible : pooled(this.visible, this.rows, this.columns, most).data) : null;
    const even = visible && visible.length === small.data.length ? visible : null;
    return { ...small, max: this.ceiling(small.data), visible: even, pooled: !fits };
  }
  ceiling(data) {
    if (this.signed) return largest(data.map(Math.abs)) || 1;
    return this.scale === "lift" ? Math.max(1, largest(data)) : 1;
  }
  kept(most) {
    const small = this.trace.small(this.relation, this.layer, this.head, Math.max(49, most));
    return small && { ...small, data: this.scaled(small.data, small.rows, small.columns, null) };
  }
  scaled(data, rows, columns, visible) {
    if (this.signed || this.scale === "absolute") return data;
    const out = new Float32Array(data.length);
    for (let i = 0; i < rows; i++) {
      let factor = 0;
      for (let j = 0; j < columns; j++) {
        const at = i * columns + j;
        factor = this.scale === "row" ? Math.max(factor, data[at]) : factor + (visible ? visible[at] : this.columns / columns);
      }
      for (let j = 0; j < columns; j++) out[i * columns + j] = this.scale === "row" ? (factor > 0 ? data[i * columns + j] / factor : 0) : data[i * columns + j] * factor;
    }
    return out;
  }
  get scaleTitle() {
    if (this.signed) return t("weight");
    return { absolute: t("weight"), row: t("share of the row's largest"), lift: t("lift: 1 is an even look at all allowed") }[this.scale];
  }
}

/** Letters of a pane's labels that fit. */
export const LABEL = 16;

/** What is looked at now: the hovered, else the locked: `{query, key}`. */
export function selection(app, view, hovered = app.focus) {
  const { query, key } = app.state;
  if (!hovered) return { query, key };
  const { queries, keys } = view.what;
  if (hovered.role === "key" && hovered.space === keys) return { query: null, key: hovered.item };
  if (hovered.space === queries && hovered.role !== "key" && hovered.item < view.rows) return { query: hovered.item, key: hovered.key ?? null };
  if (hovered.space === keys && hovered.item < view.columns) return { query: null, key: hovered.item };
  return { query, key };
}

/** Locks what was clicked; clicking the locked once more lets go. */
export function lock(app, query, key) {
  const same = app.state.query === query && app.state.key === key;
  app.set(same ? { query: null, key: null } : { query, key });
}
