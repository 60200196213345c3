// One query in all heads of a layer at once: a row for each head.
import { cells, h, scaleBar, shorten } from "./draw.js";
import { largest } from "./weights.js";
import { t } from "./words.js";

export class Strip {
  constructor(app, view) {
    Object.assign(this, { app, view, heads: view.what.layers[view.layer].heads });
    this.canvas = h("canvas", { id: "strip", class: "strip", tabindex: 0, role: "application", "aria-label": t("One query in all heads: up and down choose a head") });
    this.numbers = h("div", { class: "strip-heads", "aria-hidden": "true" });
    for (let head = 0; head < this.heads; head++) this.numbers.append(h("span", { class: head === view.head ? "here" : "" }, String(head + 1)));
    this.title = h("p", { class: "quiet" });
    this.legend = h("div");
    this.tall = Math.max(4, Math.min(20, Math.floor(420 / this.heads)));
    this.numbers.hidden = this.tall < 10;
    this.numbers.style.gridAutoRows = `${this.tall}px`;
    this.element = h("div", {}, this.title, h("div", { class: "strip-frame" }, this.numbers, this.canvas, this.names()), this.legend);
    const place = (event) => { const box = this.canvas.getBoundingClientRect(); return { head: Math.floor(((event.clientY - box.top) / box.height) * this.heads), key: Math.floor(((event.clientX - box.left) / box.width) * view.columns) }; };
    this.canvas.addEventListener("pointermove", (event) => this.read(place(event)));
    this.canvas.addEventListener("click", (event) => app.set({ head: Math.min(this.heads - 1, place(event).head) }));
    this.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key], now = Number.isInteger(view.head) ? view.head : 0;
      if (!by) return;
      event.preventDefault();
      app.set({ head: Math.max(0, Math.min(this.heads - 1, now + by)) });
    });
  }
  names() {
    const { view } = this;
    if (view.columns > 32) return null;
    return (this.labels = h("div", { class: "strip-names", style: { "grid-template-columns": `repeat(${view.columns}, minmax(0, 1fr))` } }, Array.from({ length: view.columns }, (_, j) => h("bdi", {}, shorten(view.key(j), 14)))));
  }
  read({ head, key }) {
    const { view, shown } = this;
    if (shown === null || head < 0 || head >= this.heads || key < 0 || key >= view.columns) return;
    const one = this.rows ? this.rows[head * view.columns + key] : null;
    if (one !== null) this.title.textContent = `${this.name()} · ${t("head {head}", { head: head + 1 })} → “${view.key(key)}” = ${one.toFixed(4)}`;
  }
  name() { return t("“{token}” in all heads", { token: this.view.query(this.shown) }); }
  light({ query }) {
    const { view, heads } = this, ready = query !== null && view.exact;
    this.shown = ready ? query : null;
    this.canvas.hidden = this.numbers.hidden = !ready;
    if (this.labels) this.labels.hidden = !ready;
    if (!ready) {
      this.title.textContent = t("Choose a query to see its row in every head.");
      this.legend.replaceChildren();
      return;
    }
    this.numbers.hidden = this.tall < 10;
    this.title.textContent = this.name();
    this.rows = new Float32Array(heads * view.columns);
    for (let head = 0; head < heads; head++) this.rows.set(view.trace.row(view.relation, view.layer, head, query), head * view.columns);
    const seen = view.masks ? Uint8Array.from({ length: this.rows.length }, (_, i) => (view.trace.maps.seen(view.relation, view.layer, Math.floor(i / view.columns), view.rows, view.columns)(query, i % view.columns) ? 1 : 0)) : null;
    const wide = Math.max(1, Math.floor(1100 / view.columns)), max = view.signed ? largest(this.rows.map(Math.abs)) || 1 : Math.max(1e-6, largest(this.rows));
    this.canvas.width = wide * view.columns;
    this.canvas.height = this.tall * heads;
    this.canvas.style.height = `${this.tall * heads}px`;
    cells(this.canvas.getContext("2d"), this.rows, heads, view.columns, { x: 0, y: 0, width: this.canvas.width, height: this.canvas.height }, { max, visible: seen, signed: view.signed });
    if (!this.legend.firstChild || this.max !== max) this.legend.replaceChildren(scaleBar({ max, title: t("weight"), signed: view.signed, masked: Boolean(seen) }));
    this.max = max;
  }
}
