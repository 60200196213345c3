// The matrix of a head: rows look, columns are looked at. Exact values under the pointer, also where the picture is pooled.
import { cells, h, number, ramp, shorten, signedRamp, svg } from "./draw.js";
import { lock } from "./view.js";
import { t } from "./words.js";

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const LARGEST = 44; // pixels of a cell
const FONT = '12px system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif';

/** Where cells and labels lie for a given room. */
function layout(view, room, limit) {
  const longest = (name, count) => {
    let most = 0;
    for (let i = 0; i < Math.min(count, 80); i++) most = Math.max(most, [...shorten(view[name](i), 12)].reduce((sum, letter) => sum + (letter > "\u2e80" ? 12 : 7), 0));
    return Math.min(92, most + 8);
  };
  const named = view.rows <= 80 && view.columns <= 80;
  let left = named ? longest("query", view.rows) : 8, top = named ? longest("key", view.columns) : 8;
  const fit = Math.min((room - left - 22) / view.columns, (limit - top - 22) / view.rows, LARGEST);
  const labels = named && fit >= 11;
  if (!labels) left = top = 8;
  left += 18;
  top += 18;
  const cell = labels ? Math.floor(fit) : Math.min((room - left - 4) / view.columns, (limit - top) / view.rows, LARGEST);
  const step = cell >= 2 ? Math.floor(cell) : cell;
  return { left, top, cell: step, labels, width: Math.max(1, Math.floor(step * view.columns)), height: Math.max(1, Math.floor(step * view.rows)) };
}

export class Matrix {
  constructor(app, view, room, limit = 620, id = "matrix") {
    Object.assign(this, { app, view, at: layout(view, room, limit) });
    const { left, top, width, height, cell } = this.at;
    this.size = [left + width + 2, top + height + 2];
    this.picture = view.picture(Math.min(512, Math.max(width, height)));
    this.canvas = h("canvas", { id, class: "matrix", tabindex: 0, role: "application", "aria-roledescription": t("matrix"), "data-picture": "matrix", "aria-label": this.title(),
      "data-left": left, "data-top": top, "data-cell": cell, "data-columns": view.columns, "data-rows": view.rows });
    this.canvas.vector = () => this.vector();
    this.over = h("canvas", { class: "cross", "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("div", { class: "matrix-frame", style: { width: `${this.size[0]}px` } }, this.canvas, this.over, this.tip);
    this.draw();
    this.listen();
  }
  title() {
    return t("Matrix of {path}: {n} queries by {m} keys. Arrow keys move, Enter locks.", { path: this.view.path, n: this.view.rows, m: this.view.columns });
  }
  sheet(canvas) {
    const ratio = Math.max(1, Math.min(3, devicePixelRatio || 1)), [width, height] = this.size;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.aspectRatio = `${width} / ${height}`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }
  draw() {
    const { left, top, width, height } = this.at, context = this.sheet(this.canvas), { picture, view } = this;
    context.font = FONT;
    if (picture) cells(context, picture.data, picture.rows, picture.columns, { x: left, y: top, width, height }, { ...picture, signed: view.signed });
    context.strokeStyle = ink("--line");
    context.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
    context.fillStyle = ink("--key");
    context.fillText(t("keys: looked at"), left, 12);
    context.save();
    context.translate(12, top);
    context.rotate(Math.PI / 2);
    context.fillStyle = ink("--query");
    context.fillText(t("queries: look"), 0, 4);
    context.restore();
    if (this.at.labels) this.labels(context, { query: null, key: null });
  }
  labels(context, now) {
    const { left, top, cell } = this.at, { view } = this;
    context.font = FONT;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let i = 0; i < view.rows; i++) {
      context.fillStyle = ink(i === now.query ? "--query" : "--ink");
      context.fillText(shorten(view.query(i), 12), left - 6, top + (i + 0.5) * cell);
    }
    context.textAlign = "left";
    for (let j = 0; j < view.columns; j++) {
      context.save();
      context.translate(left + (j + 0.5) * cell, top - 6);
      context.rotate(-Math.PI / 2);
      context.fillStyle = ink(j === now.key ? "--key" : "--ink");
      context.fillText(shorten(view.key(j), 12), 0, 0);
      context.restore();
    }
  }
  light(now) {
    const { left, top, cell, width, height } = this.at, context = this.sheet(this.over), { query, key } = now, size = Math.max(cell, 1);
    const frame = (x, y, w, tall, colour) => {
      if (cell < 6) {
        context.fillStyle = colour;
        return w > tall ? [y - 2, y + tall + 1].forEach((at) => context.fillRect(x, at, w, 1)) : w < tall ? [x - 2, x + w + 1].forEach((at) => context.fillRect(at, y, 1, tall)) : context.strokeRect(x - 2.5, y - 2.5, w + 5, tall + 5);
      }
      context.lineWidth = 3;
      context.strokeStyle = "rgba(255,255,255,.9)";
      context.strokeRect(x - 0.5, y - 0.5, w + 1, tall + 1);
      context.lineWidth = 1.6;
      context.strokeStyle = colour;
      context.strokeRect(x - 0.5, y - 0.5, w + 1, tall + 1);
    };
    if (query !== null) frame(left, top + query * cell, width, size, cell < 6 ? "#7db8f2" : "#0064a8");
    if (key !== null) frame(left + key * cell, top, size, height, cell < 6 ? "#f2a06b" : "#b34a00");
    if (query !== null && key !== null) frame(left + key * cell, top + query * cell, size, size, "#111111");
    this.now = now;
    this.note(now);
  }
  note({ query, key }) {
    const { left, top, cell, width } = this.at;
    this.tip.hidden = query === null || key === null || !this.active;
    if (this.tip.hidden) return;
    this.tip.textContent = this.view.reading(query, key);
    const x = left + (key + 1) * cell, rightwards = x < left + width * 0.55;
    this.tip.style.left = rightwards ? `${(100 * (x + 8)) / this.size[0]}%` : "auto";
    this.tip.style.right = rightwards ? "auto" : `${100 - (100 * (x - cell - 8)) / this.size[0]}%`;
    this.tip.style.top = `${(100 * (top + query * cell)) / this.size[1]}%`;
  }
  cellAt(event) {
    const box = this.canvas.getBoundingClientRect(), { left, top, cell } = this.at;
    const x = ((event.clientX - box.left) / box.width) * this.size[0] - left, y = ((event.clientY - box.top) / box.height) * this.size[1] - top;
    const key = Math.floor(x / cell), query = Math.floor(y / cell);
    if (query < 0 || query >= this.view.rows || key < 0 || key >= this.view.columns) return null;
    return { query, key };
  }
  hover(cell) {
    this.active = cell !== null;
    const { query, key } = this.view.shift;
    this.app.hover(cell && { space: this.view.what.queries, item: cell.query + query, role: "query", key: cell.key + key, from: this });
  }
  listen() {
    let last = "";
    this.canvas.addEventListener("pointermove", (event) => {
      const cell = this.cellAt(event), name = cell ? `${cell.query},${cell.key}` : "";
      if (name !== last) this.hover(cell);
      last = name;
    });
    this.canvas.addEventListener("pointerleave", () => { last = ""; this.hover(null); });
    this.canvas.addEventListener("click", (event) => {
      const cell = this.cellAt(event);
      if (cell) this.lock(cell);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }
  lock({ query, key }) {
    const { shift } = this.view;
    lock(this.app, query + shift.query, key + shift.key);
  }
  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e9], End: [0, 1e9] };
    const { rows, columns } = this.view, now = this.cursor ?? this.locked();
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (now.query !== null) this.lock({ query: now.query, key: now.key ?? 0 });
    }
    if (event.key === "Escape") this.cursor = null;
    if (!moves[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [down, right] = now.query === null || now.key === null ? [0, 0] : moves[event.key], clamp = (x, count) => Math.max(0, Math.min(count - 1, x));
    this.cursor = { query: clamp((now.query ?? 0) + down, rows), key: clamp((now.key ?? 0) + right, columns) };
    this.hover(this.cursor);
    this.app.say(this.view.reading(this.cursor.query, this.cursor.key));
  }
  locked() {
    const { query, key } = this.app.state, { shift, rows, columns } = this.view, at = (item, from, count) => (item !== null && item >= from && item < from + count ? item - from : null);
    return { query: at(query, shift.query, rows), key: at(key, shift.key, columns) };
  }
  /** The same picture as vectors, for a paper: cells as rectangles, or as an image inside when there are very many. */
  vector() {
    const { left, top, cell, width, height, labels } = this.at, { view, picture } = this, parts = [];
    const raster = h("canvas", { width: picture?.columns ?? 1, height: picture?.rows ?? 1 });
    if (picture) cells(raster.getContext("2d"), picture.data, picture.rows, picture.columns, { x: 0, y: 0, width: raster.width, height: raster.height }, { ...picture, visible: null, signed: view.signed });
    if (picture && view.rows * view.columns <= 4096 && !picture.pooled) parts.push(this.rectangles(raster));
    else parts.push(svg("image", { x: left, y: top, width, height, href: raster.toDataURL(), preserveAspectRatio: "none", style: "image-rendering: pixelated" }));
    const name = (text, more) => svg("text", { "font-size": 12, "font-family": "system-ui, Noto Sans, Noto Sans CJK SC, sans-serif", ...more }, text);
    if (labels) {
      for (let i = 0; i < view.rows; i++) parts.push(name(shorten(view.query(i), 12), { x: left - 6, y: top + (i + 0.5) * cell + 4, "text-anchor": "end", fill: "#1b212c" }));
      for (let j = 0; j < view.columns; j++) parts.push(name(shorten(view.key(j), 12), { transform: `translate(${left + (j + 0.5) * cell + 4} ${top - 6}) rotate(-90)`, fill: "#1b212c" }));
    }
    parts.push(name(t("keys: looked at"), { x: left, y: 12, fill: "#b34a00" }), name(t("queries: look"), { transform: `translate(8 ${top}) rotate(90)`, fill: "#0064a8" }));
    const { query, key } = this.locked(), size = Math.max(1, cell), frame = (x, y, w, tall, stroke) => svg("rect", { x, y, width: w, height: tall, fill: "none", stroke, "stroke-width": 1.8 });
    if (query !== null) parts.push(frame(left, top + query * cell, width, size, "#0064a8"));
    if (key !== null) parts.push(frame(left + key * cell, top, size, height, "#b34a00"));
    const [wide, tall] = [Math.max(this.size[0], left + 330), this.size[1] + 44];
    return svg("svg", { viewBox: `0 0 ${wide} ${tall}` }, svg("title", {}, view.path), parts, this.legend(name, this.size[1] + 18));
  }
  /** The scale and the head's name, below the cells. */
  legend(name, y) {
    const { left } = this.at, { view, picture } = this, colour = view.signed ? (share) => signedRamp(2 * share - 1) : ramp;
    const stops = Array.from({ length: 17 }, (_, i) => svg("stop", { offset: i / 16, "stop-color": colour(i / 16) })), max = picture?.max ?? 1, quiet = { fill: "#596271", "font-size": 11 };
    return [svg("defs", {}, svg("linearGradient", { id: "scale" }, stops)), svg("rect", { x: left, y, width: 110, height: 9, fill: "url(#scale)" }),
      name(number(view.signed ? -max : 0, 2), { ...quiet, x: left - 5, y: y + 8, "text-anchor": "end" }), name(`${number(max, 2)}  ${view.scaleTitle}`, { ...quiet, x: left + 115, y: y + 8 }), name(view.path, { ...quiet, x: left, y: y + 24 })];
  }
  rectangles(raster) {
    const { left, top, cell } = this.at, { rows, columns } = this.view, pixels = raster.getContext("2d").getImageData(0, 0, columns, rows).data;
    const stripes = svg("pattern", { id: "masked", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("rect", { width: 6, height: 6, fill: "#8a919c" }), svg("rect", { width: 3, height: 6, fill: "#c9cdd3" }));
    const group = svg("g", { class: "cells", "shape-rendering": "crispEdges" }, svg("defs", {}, stripes));
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const at = 4 * (i * columns + j), seen = !this.picture.visible || this.picture.visible[i * columns + j];
        group.append(svg("rect", { x: left + j * cell, y: top + i * cell, width: cell, height: cell, "data-cell": `${i},${j}`, fill: seen ? `rgb(${pixels[at]},${pixels[at + 1]},${pixels[at + 2]})` : "url(#masked)" }));
      }
    }
    return group;
  }
}
