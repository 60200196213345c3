// The codes of places that a model really uses: as a map, as waves, and how alike two places are.
import { cells, h, heatmap, scaleBar, svg, tableTwin } from "../draw.js";
import { t } from "../words.js";
import { gridCanvas, gridMoves, gridPicture, paintGrid, prefixButtons } from "./gridmap.js";
import { cosineOf, curveSpread, dotCurves, wavePartner } from "./waves.js";
import { chartWide } from "./labelled.js";
import { asVectors } from "./pen.js";
import { brief, cellUnder, choice, hintText, itemName, place, sideCard, wholeWithin } from "./parts.js";

const CODES = { most: 512, same: 1e-3 };

export const positionsScreen = {
  name: "positions",
  python() { return 'trace.plot("positions", output="positions.svg")'; },
  title: "Positions",
  available(trace) { return trace.manifest.positions.length > 0; },
  render(root, app) {
    const all = app.trace.manifest.positions;
    const which = wholeWithin(app.state.list, all.length);
    const view = positionsView(app, all[which]);
    const said = view.positions.sinusoidal
      ? t("Sinusoidal codes: each pair of dimensions is a sine and a cosine of one frequency.")
      : t("Codes that the model has learned, or computes in its own way.");
    place(root, hintText(said),
      all.length > 1 && choice(t("Codes"), all.map((one, i) => [i, t(one.title)]), which, (to) => app.set({ list: to, item: null })),
      positionsMap(view),
      h("div", { class: "s-columns" }, positionsWaves(view), positionsDistance(view), positionsGrid(view)),
      positionsTable(view));
  },
};

// All places, and the first dimensions only: the rest would not fit.
function positionsTable({ codes, length, dim }) {
  const first = [...Array(Math.min(dim, 8)).keys()];
  const row = (_, i) => [i + 1, ...first.map((j) => codes[i * dim + j].toFixed(4))];
  return tableTwin([t("place"), ...first.map((j) => String(j + 1))], () => Array.from({ length }, row));
}

function positionsView(app, positions) {
  const { data, shape: [length, dim] } = app.trace.array(positions.codes);
  const space = app.trace.manifest.spaces[positions.space];
  const chosen = wholeWithin(app.state.dimension, dim);
  return { app, positions, space, codes: data, length, dim, chosen, item: wholeWithin(app.state.item, length, space?.prefix ?? 0) };
}

function positionsMap(view) {
  const { app, codes, length, dim } = view;
  const max = codes.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  const cell = Math.max(1, Math.min(12, Math.floor(1000 / dim)));
  const canvas = h("canvas", {
    id: "s-codes", class: "s-codes", tabindex: 0, role: "application", "data-picture": t("Position codes"),
    "aria-label": t("Position codes: rows are places, columns are dimensions; left and right choose a dimension"),
  });
  heatmap(canvas, codes, length, dim, { max, signed: true, cell });
  asVectors(canvas, 720, 320, (pen) => cells(pen, codes, length, dim, { x: 0, y: 0, width: 720, height: 320 }, { max, signed: true }));
  canvas.style.aspectRatio = `${dim} / ${Math.max(length, dim * 0.12)}`;
  canvas.addEventListener("pointermove", (event) => {
    const at = cellUnder(canvas, event, length, dim);
    if (!at) return;
    const value = brief(codes[at.y * dim + at.x]);
    app.say(t("Place {place}, dimension {dimension}: {value}", { place: at.y + 1, dimension: at.x + 1, value }));
    positionsShowWaves(view, at.x);
  });
  canvas.addEventListener("pointerleave", () => positionsShowWaves(view, view.chosen));
  canvas.addEventListener("click", (event) => { const at = cellUnder(canvas, event, length, dim); if (at) app.set({ dimension: at.x }); });
  canvas.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: view.chosen - 1, ArrowRight: view.chosen + 1, Home: 0, End: dim - 1 }[event.key];
    if (to === undefined || to < 0 || to >= dim) return;
    event.preventDefault();
    app.set({ dimension: to });
    app.say(t("Dimension {n}", { n: to + 1 }));
  });
  return h("figure", { class: "card s-figure" },
    h("figcaption", {}, t("Rows are places (1 to {length}), columns are dimensions (1 to {dim})", { length, dim })),
    canvas, scaleBar({ max, signed: true, title: t("code") }));
}

/** A chart of curves over a shared axis: `curves` are {points, kind, name}. */
export function curveChart(curves, label, across, title = label) {
  const wide = chartWide();
  const [tall, left, top, bottom] = [Math.round(Math.max(190, wide * 0.44)), 46, 12, 34];
  const points = curves.flatMap((curve) => curve.points);
  const [x0, x1] = [Math.min(...points.map((p) => p[0])), Math.max(...points.map((p) => p[0]))];
  const [y0, y1] = [Math.min(...points.map((p) => p[1]), 0), Math.max(...points.map((p) => p[1]), 1e-9)];
  const x = (value) => left + ((value - x0) / Math.max(1e-9, x1 - x0)) * (wide - left - 10);
  const y = (value) => top + ((y1 - value) / Math.max(1e-9, y1 - y0)) * (tall - top - bottom);
  const path = (curve) => curve.points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  const rules = [...new Set([y0, 0, y1])].map((value) => [svg("line", { class: "s-rule", x1: left, x2: wide - 10, y1: y(value), y2: y(value) }),
    svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, brief(value))]);
  const names = [...new Set([x0, Math.round((x0 + x1) / 2), x1])].map((value) => (
    svg("text", { x: x(value), y: tall - 18, "text-anchor": "middle" }, String(value).replace("-", "−"))));
  return svg("svg", { class: "s-curve", viewBox: `0 0 ${wide} ${tall}`, role: "img", "data-picture": title, width: wide, "aria-label": label }, rules, names,
    svg("text", { class: "s-axis", x: (left + wide) / 2, y: tall - 3, "text-anchor": "middle" }, across),
    curves.map((curve) => svg("path", { class: `s-wave ${curve.kind ?? ""}`, d: path(curve) })));
}

function positionsWaves(view) {
  const box = h("div", { id: "s-waves" });
  const shown = sideCard("", box);
  positionsDrawWaves(view, view.chosen, box);
  return shown;
}

function positionsShowWaves(view, dimension) {
  const box = document.getElementById("s-waves");
  if (box && box.dataset.dimension !== String(dimension)) positionsDrawWaves(view, dimension, box);
}

function positionsDrawWaves(view, dimension, box) {
  const { codes, length, dim, positions } = view;
  const partner = positions.sinusoidal ? wavePartner(codes, length, dim, dimension) : -1;
  const column = (j) => Array.from({ length }, (_, i) => [i + 1, codes[i * dim + j]]);
  const curves = [{ points: column(dimension), kind: "s-first" }];
  if (partner >= 0) curves.push({ points: column(partner), kind: "s-second" });
  const title = partner >= 0
    ? t("The two waves of dimensions {a} and {b}", { a: dimension + 1, b: partner + 1 })
    : t("Dimension {n} over all places", { n: dimension + 1 });
  box.dataset.dimension = String(dimension);
  box.dataset.partner = String(partner);
  box.replaceChildren(h("h3", {}, title), curveChart(curves, title, t("place")),
    partner >= 0 ? h("div", { class: "s-legend" },
      h("span", { class: "s-key" }, h("i", { class: "s-swatch s-line-first" }), t("dimension {n}", { n: dimension + 1 })),
      h("span", { class: "s-key" }, h("i", { class: "s-swatch s-line-second" }), t("dimension {n}", { n: partner + 1 }))) : "");
}

function positionsDistance(view) {
  const { codes, dim } = view;
  const length = Math.min(view.length, CODES.most);
  if (length < 3 || view.space?.kind === "grid") return null;
  const curves = dotCurves(codes, length, dim);
  const spread = curveSpread(curves);
  const places = curves.map((curve) => curve.anchor + 1).join(", ");
  const claim = spread < CODES.same
    ? t("All curves fall on one another: the dot product of two codes depends only on their distance. Compared at places {places}; they differ by at most {spread} of the largest value.", { places, spread: spread.toExponential(0) })
    : t("The curves differ by up to {spread} of the largest value: how alike two codes are depends on the places, not only on their distance.", { spread: brief(spread) });
  const title = t("Dot products by distance, a curve for each of {n} places", { n: curves.length });
  return sideCard(title, curveChart(curves.map((curve) => ({ ...curve, kind: "s-thin" })), claim, t("distance"), title),
    h("p", { class: "s-why", "data-claim": spread < CODES.same ? "same" : "different" }, claim));
}

/** For a grid: how alike the code of one cell is to those of all others. */
function positionsGrid(view) {
  const { app, space, codes, dim, length, item } = view;
  if (space?.kind !== "grid" || length !== space.prefix + space.rows * space.columns) return null;
  const canvas = gridCanvas(app.trace, space, 520, {
    id: "s-grid", class: "s-grid", tabindex: 0, role: "application", "data-picture": t("Position similarity"),
    "aria-label": t("Cells of the grid; arrow keys choose one"),
  });
  const sentence = h("p", { class: "s-sentence" });
  const legend = h("div", {});
  const paint = (from) => {
    const values = Float32Array.from({ length: space.rows * space.columns }, (_, cell) => cosineOf(codes, dim, from, space.prefix + cell));
    const others = values.filter((_, cell) => space.prefix + cell !== from);
    const [low, high] = [Math.min(...others), Math.max(...others)];
    const marks = from >= space.prefix ? [{ cell: from - space.prefix }] : [];
    paintGrid(canvas, gridPicture(app.trace, space), space, values.map((value) => value - low), { max: high - low, opacity: 0.9, marks });
    legend.replaceChildren(scaleBar({ min: low, max: high, title: t("cosine") }));
    sentence.textContent = t("How alike the codes are to that of {item}. Colours reach from the least to the most alike of the others.", { item: itemName(space, from) });
  };
  paint(item);
  const choose = (to) => app.set({ item: to });
  gridMoves(app, canvas, space, item, { preview: (to) => paint(to ?? item), choose });
  return sideCard(t("Likeness over the grid"), prefixButtons(space, item, choose), canvas, legend, sentence);
}
