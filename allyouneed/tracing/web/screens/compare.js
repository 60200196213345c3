// Two heads, of one model or of two: side by side, lit together, and their difference where they have the same shape.
import { choices, headName, layerChoice, menu, pythonOf, relationChoice } from "../controls.js";
import { h, number, scaleBar, tableTwin } from "../draw.js";
import { scaleChoice, titled } from "./head.js";
import { Matrix } from "../matrix.js";
import { readingOf } from "../text.js";
import { selection, View } from "../view.js";
import { t } from "../words.js";

/** What is on the right: by the address, else the other model's same head, else the next head. */
function second(app) {
  const { state } = app, which = app.other && state.trace2 !== "0" ? "1" : "0", trace = which === "1" ? app.other : app.trace;
  const names = Object.keys(trace.manifest.relations), relation = names.includes(state.relation2) ? state.relation2 : names.includes(state.relation) ? state.relation : names[0];
  const layers = trace.manifest.relations[relation].layers, layer = Math.min(state.layer2 ?? state.layer, layers.length - 1), heads = layers[layer].heads;
  const wish = ["mean", "max"].includes(state.head2) ? state.head2 : state.head2 === undefined || state.head2 === null ? null : Math.min(Number(state.head2) || 0, heads - 1);
  const head = wish ?? (which === "1" ? (Number.isInteger(state.head) ? Math.min(state.head, heads - 1) : state.head) : ((Number.isInteger(state.head) ? state.head : -1) + 1) % heads);
  return { which, view: new View(trace, { relation, layer, head, scale: state.scale }) };
}

/** a - b, cell by cell, as a signed view. */
class Difference extends View {
  constructor(a, b) {
    super(a.trace, { relation: a.relation, layer: a.layer, head: a.head, scale: "absolute" });
    Object.assign(this, { a, b, signed: true });
    this.values = a.map.map((x, i) => x - b.map[i]);
  }
  get map() { return this.values; }
  get masks() { return this.a.masks && this.b.masks; }
  get path() { return "A − B"; }
  row(query) { return this.values.subarray(query * this.columns, (query + 1) * this.columns); }
}

function side(app, view, name, prefix, set) {
  const model = view.trace.manifest.model, heads = view.what.layers[view.layer].heads;
  const all = [...Array.from({ length: heads }, (_, i) => i), ...(heads > 1 ? ["mean", "max"] : [])];
  const pick = menu(`${prefix}head`, t("Head"), all.map((head) => ({ value: String(head), text: headName(head) })), String(view.head), (value) => set("head", ["mean", "max"].includes(value) ? value : Number(value)));
  const which = prefix && app.other ? choices("trace2", t("Model"), [["0", "A"], ["1", "B"]].map(([value, text]) => ({ value, text, title: (value === "0" ? app.trace : app.other).manifest.model.name })), view.trace === app.other ? "1" : "0", (value) => set("trace", value)) : null;
  return h("div", {}, h("p", { class: "where" }, `${name} · ${model.name}${model.run ? ` · ${model.run}` : ""}`),
    h("div", { class: "controls" }, which, relationChoice(app, view.trace, view.relation, (value) => set("relation", value), `${prefix}relation`), layerChoice(view.what, view.layer, (value) => set("layer", value), `${prefix}layer`), pick));
}

function alike(a, b) {
  let dot = 0, one = 0, two = 0, apart = 0;
  a.map.forEach((x, i) => { dot += x * b.map[i]; one += x * x; two += b.map[i] ** 2; apart += Math.abs(x - b.map[i]); });
  const cosine = one > 0 && two > 0 ? dot / Math.sqrt(one * two) : 0;
  return t("Cosine of the two maps {cosine}; on average a row differs by {apart} in all.", { cosine: number(cosine, 3), apart: number(apart / a.rows, 3) });
}

function sameLabels(a, b) {
  for (let i = 0; i < a.rows; i++) if (a.query(i) !== b.query(i)) return false;
  for (let j = 0; j < a.columns; j++) if (a.key(j) !== b.key(j)) return false;
  return true;
}

function differenceCard(app, a, b, width) {
  if (a.rows !== b.rows || a.columns !== b.columns) return [null, h("p", { class: "quiet" }, t("No difference: A is {n} × {m} and B is {k} × {l}.", { n: a.rows, m: a.columns, k: b.rows, l: b.columns }))];
  if (!a.whole || !b.whole) return [null, h("p", { class: "quiet" }, t("No difference: the maps are too large, or only pictures were kept."))];
  const matrix = new Matrix(app, new Difference(a, b), width, 480, "matrix-d");
  const card = titled(t("Difference A − B"), null, h("p", { class: "quiet" }, alike(a, b), sameLabels(a, b) ? "" : ` ${t("The tokens differ; cells are compared by their place.")}`), matrix.element,
    scaleBar({ max: matrix.picture.max, signed: true, title: t("A − B"), masked: matrix.view.masks }));
  return [matrix, card];
}

function matrixSide(app, view, name, id, width) {
  const matrix = new Matrix(app, view, width, 480, id), { picture } = matrix, words = h("div", { class: "reading plain" });
  const card = titled(name, id === "matrix" ? scaleChoice(app, view) : null, h("p", { class: "quiet" }, view.path), matrix.element, picture && scaleBar({ max: picture.max, title: view.scaleTitle, signed: view.signed, masked: view.masks }), words);
  return { view, matrix, card, words };
}

/** What is lit in a view, as far as it has such a row and column. */
function within(view, { query, key }) {
  return { query: query !== null && query < view.rows ? query : null, key: key !== null && key < view.columns ? key : null };
}

export const compareScreen = {
  name: "compare",
  available(trace, app) {
    const heads = Object.values(trace.manifest.relations).flatMap((relation) => relation.layers.map((layer) => layer.heads));
    return heads.reduce((a, b) => a + b, 0) > 1 || (heads.length > 0 && Object.keys(app?.other?.manifest.relations ?? {}).length > 0);
  },
  render(root, app) {
    const a = new View(app.trace, app.state), { view: b } = second(app), wide = root.clientWidth || 900;
    const width = wide >= 1100 ? wide / 3 - 46 : wide >= 740 ? wide / 2 - 46 : wide - 34;
    const left = matrixSide(app, a, "A", "matrix", width), right = matrixSide(app, b, "B", "matrix-b", width), [third, difference] = differenceCard(app, a, b, width);
    root.append(h("div", { class: "two" }, side(app, a, "A", "", (name, value) => app.set({ [name]: value })), side(app, b, "B", "b-", (name, value) => app.set({ [`${name}2`]: value }))),
      h("div", { class: "two" }, left.card, right.card, difference), tableTwin([t("query"), t("key"), "A", "B"], () => this.rows(app).slice(1, 400).map((row) => row.slice(2))));
    const light = (hovered) => {
      const now = selection(app, a, hovered?.from?.view === b ? { ...hovered, space: a.what.queries } : hovered);
      for (const { view, matrix, words } of [left, right]) {
        const here = within(view, now);
        matrix.light(here);
        words.replaceChildren(...(here.query === null && here.key === null && matrix !== left.matrix ? [] : readingOf(view, here, here.query === null ? null : view.row(here.query), here.query === null ? view.column(here.key) : null)));
      }
      third?.light(within(a, now));
    };
    app.onHover(light);
    light(null);
  },
  rows(app) {
    const a = new View(app.trace, app.state), { view: b } = second(app), lines = [["query", "key", "query text", "key text", "A", "B"]];
    for (let i = 0; i < a.rows && a.exact; i++) {
      const one = a.row(i), two = b.exact && i < b.rows ? b.row(i) : null;
      one.forEach((weight, j) => lines.push([i, j, a.query(i), a.key(j), number(weight), two && j < b.columns ? number(two[j]) : ""]));
    }
    return lines;
  },
  python(app) {
    const { which, view } = second(app), { relation, layer, head } = app.state;
    return `${pythonOf("trace", { relation, layer, head })}\n${pythonOf(which === "1" ? "other" : "trace", { relation: view.relation, layer: view.layer, head: view.head })}`;
  },
};
