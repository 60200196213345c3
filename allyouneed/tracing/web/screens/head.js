// One head: lines, matrix, text and all heads of a row, which light up together.
import { choices, headName, layerChoice, pythonOf, relationChoice, slider } from "../controls.js";
import { h, heatmap, number, scaleBar, tableTwin } from "../draw.js";
import { Lines } from "../lines.js";
import { Matrix } from "../matrix.js";
import { Strip } from "../strip.js";
import { Tile } from "../tile.js";
import { Text } from "../text.js";
import { selection, View } from "../view.js";
import { t } from "../words.js";

function headChoices(app, view) {
  const heads = view.what.layers[view.layer].heads, numbers = Array.from({ length: heads }, (_, i) => i);
  const drawn = heads <= 16;
  const thumb = (head) => {
    const small = drawn && app.trace.small(view.relation, view.layer, head);
    if (!small || !Number.isInteger(head)) return headName(head) === t("mean of all heads") ? t("mean") : head === "max" ? t("max") : String(head + 1);
    const canvas = h("canvas", { class: "pick" });
    heatmap(canvas, small.data, small.rows, small.columns, { max: view.signed ? Math.max(...small.data.map(Math.abs)) : small.max, signed: view.signed, cell: Math.max(1, Math.round(40 / small.columns)) });
    return [canvas, h("span", {}, String(head + 1))];
  };
  const all = heads > 1 ? [...numbers, "mean", "max"] : numbers;
  return h("div", { class: drawn ? "heads drawn" : "heads" }, choices("head", t("Head"), all.map((head) => ({ value: head, text: thumb(head), title: headName(head) })), view.head, (head) => app.set({ head })));
}

function controls(app, view) {
  return h("div", { class: "controls" },
    relationChoice(app, app.trace, view.relation, (relation) => app.set({ relation, query: null, key: null })),
    layerChoice(view.what, view.layer, (layer) => app.set({ layer })),
    headChoices(app, view));
}

export function scaleChoice(app, view) {
  const scales = [["absolute", "0–1", "weights as they are"], ["row", "row", "share of the row's largest"], ["lift", "lift", "weight times the number of allowed keys: 1 is an even look"]];
  return view.signed ? null : choices("scale", t("Colours"), scales.map(([value, text, title]) => ({ value, text: t(text), title: t(title) })), view.scale, (scale) => app.set({ scale }, { replace: true }));
}

function massSlider(app, view) {
  const settings = { value: view.mass, least: 0.1, most: 1, step: 0.05, text: (x) => t("{share} % of each row", { share: Math.round(100 * x) }) };
  return slider("mass", "", settings, (value) => app.set({ mass: value === 0.9 ? null : value }, { replace: true }));
}

export function titled(title, tool, ...content) {
  return h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, title), tool), content);
}

function twin(app, view) {
  const now = selection(app, view, null), heads = [t("query"), t("key"), t("weight")];
  const rows = () => {
    const queries = now.query !== null ? [now.query] : Array.from({ length: Math.min(view.rows, 64) }, (_, i) => i);
    return queries.flatMap((i) => (view.exact ? view.top(view.row(i), now.query !== null ? 64 : 5).list.map(([j, weight]) => [view.query(i), view.key(j), number(weight)]) : []));
  };
  return tableTwin(heads, rows, now.query === null ? t("As a table: the strongest of each row") : t("As a table: the row of “{token}”", { token: view.query(now.query) }));
}

function room(root, columns) {
  const width = root.clientWidth || 900;
  return width >= 900 && columns > 1 ? [Math.round(width * 0.46) - 44, Math.round(width * 0.54) - 60] : [width - 34, width - 34];
}

function matrixCard(app, view, width) {
  const matrix = new Matrix(app, view, width);
  const { picture } = matrix;
  const label = !picture ? t("Nothing was kept of this layer.")
    : picture.pooled ? t("Pooled: each point is the largest of about {y} × {x} cells.", { y: Math.round(view.rows / picture.rows), x: Math.round(view.columns / picture.columns) }) + " " + (view.exact ? t("Exact values under the pointer.") : t("Only this picture was kept.")) : "";
  const legend = picture && scaleBar({ max: picture.max, title: view.scaleTitle, signed: view.signed, masked: view.masks });
  return [matrix, titled(t("Matrix"), scaleChoice(app, view), label && h("p", { class: "quiet pooled-note" }, label), matrix.element, legend)];
}

export const headScreen = {
  name: "head",
  available(trace) { return Object.values(trace.manifest.relations).some((relation) => relation.layers.length); },
  view(app) { return new View(app.trace, app.state); },
  render(root, app) {
    const view = this.view(app), [left, right] = room(root, 2), panes = [];
    const [matrix, matrixPart] = matrixCard(app, view, right);
    root.append(h("p", { class: "where" }, view.path), view.what.note ? h("p", { class: "quiet" }, t(view.what.note)) : "", controls(app, view));
    const pair = h("div", { class: "pair" });
    if (view.exact) {
      const lines = new Lines(app, view, left);
      panes.push(lines);
      pair.append(titled(t("Lines"), massSlider(app, view), lines.partial && h("p", { class: "quiet" }, lines.partial), h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": t("Lines") }, lines.element)));
    }
    const text = new Text(app, view), strip = new Strip(app, view);
    const tile = new Tile(app, view, right);
    pair.append(h("div", {}, matrixPart, tile.element, titled(t("Text"), null, text.element)));
    panes.push(matrix, tile, text, strip);
    root.append(pair, titled(t("All heads of a row"), null, strip.element), twin(app, view));
    const light = (hovered) => { const now = selection(app, view, hovered); for (const pane of panes) pane.light(now); };
    app.onHover(light);
    light(null);
    for (const pane of panes) pane.show?.(selection(app, view, null));
  },
  /** For the export: all numbers of the matrix. */
  rows(app) {
    const view = this.view(app), lines = [["query", "key", "query text", "key text", "weight"]];
    for (let i = 0; i < view.rows && view.exact; i++) {
      const row = view.row(i);
      row.forEach((weight, j) => lines.push([i, j, view.query(i), view.key(j), view.may(i, j) ? weight : ""]));
    }
    return lines;
  },
  python(app) { return pythonOf("trace", app.state); },
};
