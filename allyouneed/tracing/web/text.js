// The text with the chosen row or column painted on it, and its numbers in words.
import { cells, h, number, shorten, signedRamp } from "./draw.js";
import { lock } from "./view.js";
import { t } from "./words.js";

const MOST = 600; // tokens of a text that are shown at once

function around(item, count) {
  const start = count <= MOST ? 0 : Math.max(0, Math.min(count - MOST, item - MOST / 2));
  return [start, Math.min(count, start + MOST)];
}

class Tokens {
  constructor(app, view, role) {
    Object.assign(this, { app, view, role, space: view.what[role === "query" ? "queries" : "keys"] });
    const count = role === "query" ? view.rows : view.columns, special = new Set(app.trace.manifest.spaces[this.space]?.special ?? []);
    [this.from, this.to] = around(app.state[role] ?? 0, count);
    this.chips = [];
    for (let i = this.from; i < this.to; i++) {
      this.chips.push(h("span", { class: special.has(i) ? "token special" : "token", "data-item": i }, h("bdi", {}, shorten(view[role](i), 40))));
    }
    const note = count > this.to - this.from && h("p", { class: "quiet" }, t("Items {a}–{b} of {n}.", { a: this.from + 1, b: this.to, n: count }));
    this.element = h("div", { class: `tokens ${role}`, dir: "auto" }, this.chips, note);
    const item = (event) => { const chip = event.target.closest?.(".token"); return chip ? Number(chip.dataset.item) : null; };
    this.element.addEventListener("pointerover", (event) => { const i = item(event); if (i !== null) app.hover({ space: this.space, item: i, role }); });
    this.element.addEventListener("pointerleave", () => app.hover(null));
    this.element.addEventListener("click", (event) => { const i = item(event); if (i !== null) lock(app, role === "query" ? i : null, role === "key" ? i : null); });
  }
  /** Scrolls to what is locked, inside the list only. */
  show(item) {
    const chip = item === null ? null : this.chips[item - this.from];
    if (chip) this.element.scrollTop = chip.offsetTop - this.element.offsetTop - this.element.clientHeight / 2;
  }
  paint(values, strong, max, signed) {
    this.chips.forEach((chip, c) => {
      const i = this.from + c, value = values ? values[i] : null;
      chip.classList.toggle("strong", i === strong);
      chip.style.background = value !== null && signed ? signedRamp(value / max) : "";
      chip.style.color = value !== null && signed ? "#10151c" : "";
      chip.style.setProperty("--share", value === null || signed ? 0 : Math.max(0, value / max).toFixed(3));
    });
  }
}

class Patches {
  show() {}
  constructor(app, view, role) {
    Object.assign(this, { role });
    this.space = app.trace.manifest.spaces[view.what[role === "query" ? "queries" : "keys"]];
    this.canvas = h("canvas", { width: this.space.columns * 12, height: this.space.rows * 12, class: "patches", "aria-hidden": "true" });
    this.prefix = h("p", { class: "quiet" });
    const item = (event) => { const box = this.canvas.getBoundingClientRect(), { rows, columns, prefix } = this.space; return prefix + Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows)) * columns + Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns)); };
    this.canvas.addEventListener("pointermove", (event) => app.hover({ space: view.what[role === "query" ? "queries" : "keys"], item: item(event), role }));
    this.canvas.addEventListener("pointerleave", () => app.hover(null));
    this.canvas.addEventListener("click", (event) => lock(app, role === "query" ? item(event) : null, role === "key" ? item(event) : null));
    this.element = h("div", {}, this.canvas, this.prefix);
  }
  paint(values, strong, max, signed) {
    const { rows, columns, prefix } = this.space, context = this.canvas.getContext("2d"), box = { x: 0, y: 0, width: this.canvas.width, height: this.canvas.height };
    context.clearRect(0, 0, box.width, box.height);
    if (values) cells(context, values.slice(prefix), rows, columns, box, { max, signed });
    if (strong !== null && strong >= prefix) {
      context.lineWidth = 2;
      context.strokeStyle = "#d55e00";
      context.strokeRect(((strong - prefix) % columns) * 12 + 1, Math.floor((strong - prefix) / columns) * 12 + 1, 10, 10);
    }
    this.prefix.textContent = values ? Array.from({ length: prefix }, (_, i) => `${this.space.items[i] ?? i} ${number(values[i], 3)}`).join(" · ") : "";
  }
}

function painter(app, view, role) {
  const space = app.trace.manifest.spaces[view.what[role === "query" ? "queries" : "keys"]];
  return space?.kind === "grid" ? new Patches(app, view, role) : new Tokens(app, view, role);
}

export class Text {
  constructor(app, view) {
    Object.assign(this, { app, view });
    this.query = painter(app, view, "query");
    this.key = painter(app, view, "key");
    this.reading = h("div", { class: "reading" });
    const title = (role) => h("h3", { class: `${role}-ink` }, t(role === "query" ? "Queries look" : "Keys are looked at"), h("span", { class: "quiet" }, ` ${t(app.trace.manifest.spaces[view.what[role === "query" ? "queries" : "keys"]]?.title ?? "")}`));
    this.element = h("div", { class: "text-pane" }, h("div", { class: this.query.canvas ? "side-by-side" : null }, h("div", {}, title("query"), this.query.element), h("div", {}, title("key"), this.key.element)), this.reading);
  }
  /** After the pane stands on the page: what is locked comes into sight. */
  show({ query, key }) {
    this.query.show(query);
    this.key.show(key);
  }
  light({ query, key }) {
    const { view } = this, row = query === null ? null : view.row(query), column = query === null && key !== null ? view.column(key) : null;
    const most = (values) => (view.signed ? Math.max(1e-12, ...values.map(Math.abs)) : Math.max(1e-12, ...values));
    this.key.paint(row, query === null ? key : null, row ? most(row) : 1, view.signed);
    this.query.paint(column, query, column ? most(column) : 1, view.signed);
    if (query !== null && key !== null && this.key.chips) this.key.chips[key - this.key.from]?.classList.add("strong");
    this.reading.replaceChildren(...readingOf(view, { query, key }, row, column));
  }
}

/** A row or column in words: its place, its largest weights, the rest. */
export function readingOf(view, { query, key }, row, column) {
  if (query === null && key === null) return [h("p", { class: "quiet" }, t("Point at a token to see where it looks; click to hold it."))];
  const values = row ?? column, name = query !== null ? t("“{token}” looks at", { token: view.query(query) }) : t("Who looks at “{token}”", { token: view.key(key) });
  const parts = [h("p", { class: "path" }, view.path), query !== null && key !== null ? h("p", { class: "cell-value" }, view.reading(query, key)) : null, h("h3", {}, name)];
  if (!values) return [...parts.filter(Boolean), h("p", { class: "quiet" }, t("Of this layer only a pooled picture was kept, so exact numbers are not known."))];
  const { list, rest, total } = view.top(values, 8), full = Math.max(1e-9, view.signed ? Math.abs(list[0]?.[1] ?? 1) : Math.max(1, query !== null ? 1 : total)), label = query !== null ? (i) => view.key(i) : (i) => view.query(i);
  const bar = ([i, weight]) => h("li", {}, h("bdi", { class: "bar-name" }, shorten(label(i), 18)), h("span", { class: "bar" }, h("span", { class: view.signed ? (weight < 0 ? "minus" : "plus") : null, style: { width: `${Math.min(100, (100 * Math.abs(weight)) / full)}%` } })), h("span", { class: "bar-value" }, number(weight)));
  const left = !view.signed && rest > 5e-5 ? h("li", { class: "quiet" }, h("span", { class: "bar-name" }, t("rest")), h("span"), h("span", { class: "bar-value" }, number(rest))) : null;
  return [...parts.filter(Boolean), h("ol", { class: "bars" }, list.map(bar), left)];
}
