// Lines between tokens: who looks at whom. Few lines, chosen by their share of each row's weight.
import { number, shorten, svg } from "./draw.js";
import { lock } from "./view.js";
import { t } from "./words.js";

const MOST = 2000, SPAN = 256, GAP = 46;

function strongest(view, from, to) {
  const lines = [], most = view.rows + view.columns > 400 ? 1200 : MOST;
  for (let i = from.query; i < to.query; i++) {
    for (const [j, weight] of view.top(view.row(i), 256, view.mass).list) if (j >= from.key && j < to.key) lines.push([i, j, weight]);
  }
  lines.sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
  return { lines: lines.slice(0, most), cut: lines.length > most };
}

function chosen(view, { query, key }) {
  if (query !== null) {
    const row = view.row(query), list = view.top(row, 300, Math.max(view.mass, 0.99)).list;
    if (key !== null && !list.some(([j]) => j === key)) list.push([key, row[key]]);
    return list.map(([j, weight]) => [query, j, weight]);
  }
  const column = view.column(key);
  return column ? view.top(column, 300, 0.99).list.map(([i, weight]) => [i, key, weight]) : [];
}

/** Which items stand in the pane when there are too many for all: those around what is looked at. */
function windows(view, { query, key }) {
  const start = (item, count) => (count <= SPAN ? 0 : Math.max(0, Math.min(count - SPAN, (item ?? 0) - SPAN / 2)));
  const from = { query: start(query ?? (view.same ? key : 0), view.rows), key: start(key ?? (view.same ? query : 0), view.columns) };
  return { from, to: { query: Math.min(view.rows, from.query + SPAN), key: Math.min(view.columns, from.key + SPAN) } };
}

export class Lines {
  constructor(app, view, width) {
    Object.assign(this, { app, view, width: Math.max(280, width) });
    const { from, to } = windows(view, app.state);
    Object.assign(this, { from, to, step: view.rows + view.columns > 120 ? 17 : 23 });
    this.side = this.longest();
    Object.assign(this, strongest(view, from, to));
    this.all = this.lines;
    this.most = view.signed ? Math.max(1e-12, ...this.all.map((line) => Math.abs(line[2]))) : 1;
    this.height = Math.max(to.query - from.query, to.key - from.key) * this.step + 26;
    this.drawn = svg("g", { class: "lines", fill: "none" });
    this.marks = svg("g", { class: "marks" });
    this.names = { query: [], key: [] };
    this.element = svg("svg", { class: "lines-picture", viewBox: `0 0 ${this.width} ${this.height}`, width: this.width, height: this.height, role: "img",
      "data-picture": "lines", "aria-label": `${t("Lines from queries to keys")}: ${view.path}` }, this.heads(), this.marks, this.drawn, this.texts("query"), this.texts("key"));
    this.listen();
  }
  /** Room for the longest name, but never more than 30 % of the width. */
  longest() {
    const { view, from, to } = this, wide = (text) => [...text].reduce((sum, letter) => sum + (letter > "\u2e80" ? 14 : 8), 0);
    let most = 40;
    for (const role of ["query", "key"]) for (let i = from[role]; i < to[role]; i++) most = Math.max(most, wide(shorten(view[role](i), 22)));
    return Math.min(most + 18, this.width * 0.3, 200);
  }
  y(role, item) { return 26 + (item - this.from[role] + 0.5) * this.step; }
  heads() {
    const { left, right } = this.edges();
    return svg("g", { class: "axis-names" },
      svg("text", { x: left, y: 13, "text-anchor": "end", class: "query-ink" }, t("queries")), svg("text", { x: right, y: 13, class: "key-ink" }, t("keys")));
  }
  edges() { return { left: GAP + this.side - 8, right: this.width - GAP - this.side + 8 }; }
  texts(role) {
    const { left, right } = this.edges(), group = svg("g", { class: `names ${role}` });
    for (let i = this.from[role]; i < this.to[role]; i++) {
      const name = svg("text", { x: role === "query" ? left : right, y: this.y(role, i) + 4.5, "text-anchor": role === "query" ? "end" : "start" }, shorten(this.view[role](i), Math.floor(this.side / 9)));
      this.names[role].push(name);
      group.append(name);
    }
    return group;
  }
  path([i, j, weight], lit) {
    const { left, right } = this.edges(), a = left + 7, b = right - 7, bend = (b - a) * 0.42, share = Math.min(1, Math.abs(weight ?? 0) / this.most);
    const d = `M${a} ${this.y("query", i)}C${a + bend} ${this.y("query", i)} ${b - bend} ${this.y("key", j)} ${b} ${this.y("key", j)}`;
    return svg("path", { d, class: this.view.signed ? (weight < 0 ? "negative" : "positive") : null, "stroke-width": (0.8 + 2.6 * share).toFixed(2), "stroke-opacity": Math.min(1, (lit ? 0.18 : 0.05) + 0.9 * share ** 0.75).toFixed(3), "data-cell": `${i},${j}` });
  }
  /** A frame around the chosen key of a chosen query. */
  frame(item) {
    const { right } = this.edges(), height = this.step - 3;
    return svg("rect", { class: "frame", fill: "none", x: right - 6, y: this.y("key", item) - height / 2, width: this.side - 2, height, rx: 4 });
  }
  bar(role, item, share, strong) {
    const { left, right } = this.edges(), height = this.step - 3, y = this.y(role, item) - height / 2;
    const x = role === "query" ? left - this.side + 8 : right - 6;
    const box = svg("rect", { class: `mark ${this.view.signed && !strong ? (share < 0 ? "query" : "key") : role}`, x, y, width: this.side - 2, height, rx: 4, "fill-opacity": strong ? 0.2 : Math.max(0.02, Math.min(0.6, (Math.abs(share) / this.most) * 0.6)).toFixed(3) });
    const value = svg("text", { class: "value", x: role === "query" ? GAP - 6 : this.width - GAP + 6, y: y + height / 2 + 4, "text-anchor": role === "query" ? "end" : "start" }, strong ? "" : number(share, 2));
    return [box, Math.abs(share) >= 0.005 ? value : null].filter(Boolean);
  }
  /** Lights up a row, a column or a cell; nothing chosen shows the strongest of all rows. */
  light(now) {
    const any = now.query !== null || now.key !== null, inside = ([i, j]) => i >= this.from.query && i < this.to.query && j >= this.from.key && j < this.to.key;
    const list = (any ? chosen(this.view, now) : this.all).filter(inside);
    this.drawn.replaceChildren(...list.map((line) => this.path(line, any)));
    const marks = any ? list.flatMap(([i, j, weight]) => (now.query !== null ? this.bar("key", j, weight) : this.bar("query", i, weight))) : [];
    if (now.query !== null && inside([now.query, this.from.key])) marks.push(...this.bar("query", now.query, 1, true));
    else if (now.key !== null && inside([this.from.query, now.key])) marks.push(...this.bar("key", now.key, 1, true));
    if (now.query !== null && now.key !== null && inside([now.query, now.key])) marks.push(this.frame(now.key));
    this.marks.replaceChildren(...marks);
  }
  listen() {
    const place = (event) => {
      const box = this.element.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * this.width;
      const row = Math.floor((((event.clientY - box.top) / box.height) * this.height - 26) / this.step), role = x < this.width / 2 ? "query" : "key";
      const item = this.from[role] + row;
      return row >= 0 && item < this.to[role] ? { space: role === "query" ? this.view.what.queries : this.view.what.keys, item, role } : null;
    };
    let last = "";
    this.element.addEventListener("pointermove", (event) => {
      const item = place(event), name = item ? `${item.role}${item.item}` : "";
      if (name !== last) this.app.hover(item);
      last = name;
    });
    this.element.addEventListener("pointerleave", () => { last = ""; this.app.hover(null); });
    this.element.addEventListener("click", (event) => {
      const item = place(event);
      if (item) lock(this.app, item.role === "query" ? item.item : null, item.role === "key" ? item.item : null);
    });
  }
  /** Scrolls the pane to what is locked. */
  show({ query, key }) {
    const item = query ?? key, frame = this.element.parentElement;
    if (item !== null) frame.scrollTop = this.y(query !== null ? "query" : "key", item) - frame.clientHeight / 2;
  }
  get partial() {
    const { from, to, view } = this;
    const strong = this.cut ? t("Only the {n} strongest lines are drawn.", { n: this.all.length }) : "";
    if (view.rows <= SPAN && view.columns <= SPAN) return strong;
    return strong + " " + t("Lines of queries {a}–{b} of {n} and keys {c}–{d} of {m}, around the chosen token.", { a: from.query + 1, b: to.query, n: view.rows, c: from.key + 1, d: to.key, m: view.columns });
  }
}
