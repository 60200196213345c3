// A window of exact cells around what is locked, below a matrix that had to be pooled.
import { h } from "./draw.js";
import { Matrix } from "./matrix.js";
import { View } from "./view.js";
import { t } from "./words.js";

const SIDE = 64;

/** Part of a head as if it were whole; `from` says where it begins. */
class Part extends View {
  constructor(whole, from) {
    super(whole.trace, { relation: whole.relation, layer: whole.layer, head: whole.head, scale: whole.scale === "lift" ? "absolute" : whole.scale });
    Object.assign(this, { from, rows: Math.min(SIDE, whole.rows), columns: Math.min(SIDE, whole.columns), whole: true });
    this.numbers = new Float32Array(this.rows * this.columns);
    for (let i = 0; i < this.rows; i++) {
      const row = whole.row(from.query + i);
      this.numbers.set(row.subarray(from.key, from.key + this.columns), i * this.columns);
    }
  }
  get map() { return this.numbers; }
  get visible() {
    if (!this.masks) return null;
    return Uint8Array.from({ length: this.numbers.length }, (_, at) => (this.may(Math.floor(at / this.columns), at % this.columns) ? 1 : 0));
  }
  get shift() { return this.from; }
  query(i) { return super.query(this.from.query + i); }
  key(j) { return super.key(this.from.key + j); }
  row(i) { return this.numbers.subarray(i * this.columns, (i + 1) * this.columns); }
  may(i, j) {
    const [rows, columns] = this.trace.maps.shape(this.relation, this.layer), head = Number.isInteger(this.head) ? this.head : 0;
    return !this.masks || this.trace.maps.seen(this.relation, this.layer, head, rows, columns)(this.from.query + i, this.from.key + j);
  }
}

export class Tile {
  constructor(app, view, width) {
    const { query, key } = app.state, around = (item, count) => Math.max(0, Math.min(count - SIDE, item - SIDE / 2));
    const pooled = view.rows > width || view.columns > width;
    if (!view.exact || !pooled || (query === null && key === null)) return;
    const best = key ?? view.top(view.row(query), 1).list[0]?.[0] ?? 0, row = query ?? (view.same ? key : 0);
    this.view = new Part(view, { query: around(row, view.rows), key: around(best, view.columns) });
    this.matrix = new Matrix(app, this.view, width, 520, "tile");
    const { from, rows, columns } = this.view;
    const title = t("Exact tile: queries {a}–{b}, keys {c}–{d}", { a: from.query + 1, b: from.query + rows, c: from.key + 1, d: from.key + columns });
    this.element = h("section", { class: "card" }, h("h2", {}, title), this.matrix.element);
  }
  light({ query, key }) {
    if (!this.view) return;
    const { from, rows, columns } = this.view, inside = (item, start, count) => (item !== null && item >= start && item < start + count ? item - start : null);
    this.matrix.light({ query: inside(query, from.query, rows), key: inside(key, from.key, columns) });
  }
}
