// Weights that may be negative and do not sum to one: lambda layers and token mixing, from blue over white to orange.
import { h, scaleBar, tableTwin } from "../draw.js";
import { t } from "../words.js";
import { gridCanvas, gridMoves, gridPicture, paintGrid, prefixButtons } from "./gridmap.js";
import { labelledMap, roomWide } from "./labelled.js";
import { brief, choice, headChoice, headWithin, hintText, itemName, place, scrubber, sideCard, spaceSize, topOf, wholeWithin } from "./parts.js";

const SIGNED_MAP = { most: 720, grid: 560 };

export const signedScreen = {
  name: "signed",
  title: "Signed weights",
  available(trace) { return signedNames(trace).length > 0; },
  render(root, app) {
    const view = signedView(app);
    const grid = view.same && view.keys.kind === "grid";
    place(root,
      hintText(t("These weights may be negative, and a row does not sum to one: blue takes away, white is nothing, orange adds.")),
      view.relation.note && hintText(t(view.relation.note)),
      view.relation.input_independent && h("p", {}, h("span", { class: "s-badge" }, t("does not depend on the input"))),
      signedControls(view),
      h("div", { class: "s-columns s-wide" }, grid ? signedGrid(view) : signedMatrix(view), signedFacts(view)),
      signedTable(view));
  },
};

function signedNames(trace) {
  const { relations } = trace.manifest;
  return Object.keys(relations).filter((name) => relations[name].kind === "signed" && relations[name].layers.length);
}

function signedView(app) {
  const names = signedNames(app.trace);
  const name = names.includes(app.state.relation) ? app.state.relation : names[0];
  const relation = app.trace.manifest.relations[name];
  const { spaces } = app.trace.manifest;
  const layer = wholeWithin(app.state.layer, relation.layers.length);
  const keys = spaces[relation.keys];
  const centre = keys.kind === "grid" ? keys.prefix + Math.floor(keys.rows / 2) * keys.columns + Math.floor(keys.columns / 2) : 0;
  return {
    app, names, name, relation, layer, keys, queries: spaces[relation.queries], same: relation.keys === relation.queries,
    head: app.state.relation === name && app.state.head !== "max" ? headWithin(app.state.head, relation.layers[layer].heads) : 0,
    item: wholeWithin(app.state.query, spaceSize(spaces[relation.queries]), centre),
    set: (changes) => app.set({ relation: name, ...changes }),
  };
}

function signedControls(view) {
  const { app, names, name, relation, layer, set } = view;
  const titles = names.map((one) => [one, t(app.trace.manifest.relations[one].title)]);
  return h("div", { class: "controls" },
    names.length > 1 && choice(t("Relation"), titles, name, (to) => app.set({ relation: to, layer: 0, head: 0, query: null })),
    relation.layers.length > 1 && scrubber(t("Layer"), layer, relation.layers.length, (to) => set({ layer: to })),
    relation.layers[layer].heads > 1 && headChoice(relation.layers[layer].heads, view.head, (to) => set({ head: to })));
}

function signedRow(view, item) {
  return view.app.trace.row(view.name, view.layer, view.head, item) ?? new Float32Array(spaceSize(view.keys));
}

function signedLargest(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function signedSentence(view, item) {
  const row = signedRow(view, item);
  const list = topOf(row.map(Math.abs), 3).map((i) => `${itemName(view.keys, i)} ${brief(row[i])}`).join(", ");
  return t("{item} takes most of: {list}.", { item: itemName(view.queries, item), list });
}

function signedGrid(view) {
  const { app, keys } = view;
  const canvas = gridCanvas(app.trace, keys, SIGNED_MAP.grid, {
    id: "s-grid", class: "s-grid", tabindex: 0, role: "application",
    "aria-label": t("Cells of the grid; arrow keys choose one"), "data-picture": t("Signed weights"),
  });
  const legend = h("div", {});
  const sentence = h("p", { class: "s-sentence" });
  const paint = (item) => {
    const values = signedRow(view, item).subarray(keys.prefix);
    const max = signedLargest(values);
    const marks = item >= keys.prefix ? [{ cell: item - keys.prefix }] : [];
    paintGrid(canvas, gridPicture(app.trace, keys), keys, values, { max, signed: true, opacity: 0.75, marks });
    legend.replaceChildren(scaleBar({ max, signed: true, title: t("weight"), digits: 3 }));
    sentence.textContent = signedSentence(view, item);
  };
  paint(view.item);
  const choose = (item) => view.set({ query: item });
  gridMoves(app, canvas, keys, view.item, { preview: (item) => { paint(item ?? view.item); app.say(sentence.textContent); }, choose });
  return h("div", { class: "card s-figure" }, prefixButtons(keys, view.item, choose), canvas, legend, sentence);
}

function signedMatrix(view) {
  const { app, queries, keys } = view;
  const names = (space) => Array.from({ length: spaceSize(space) }, (_, i) => itemName(space, i));
  const [rows, columns] = [names(queries), names(keys)];
  const values = app.trace.head(view.name, view.layer, view.head);
  if (!values) return hintText(t("Only a small picture of this layer was kept, so single rows cannot be shown."));
  const visible = app.trace.visible(view.name, view.layer);
  const max = signedLargest(values);
  const side = Math.max(1, Math.min(52, Math.floor((Math.min(roomWide(), SIGNED_MAP.most) - 100) / Math.max(rows.length, columns.length))));
  const canvas = labelledMap({
    values, rows, columns, cell: { wide: side, tall: side }, row: view.item, draw: { max, signed: true, visible },
    attributes: { id: "s-matrix", "data-picture": t("Signed weights"), "aria-label": t("Rows take, columns are taken from; up and down choose a row") },
    point: (at) => at && app.say(`${rows[at.y]} → ${columns[at.x]}: ${brief(values[at.y * columns.length + at.x])}`),
    choose: (item) => { view.set({ query: item }); app.say(signedSentence(view, item)); },
  });
  const scale = scaleBar({ max, signed: true, title: t("weight"), digits: 3, masked: Boolean(visible) });
  return h("div", { class: "card s-figure" }, h("div", { class: "s-scroll" }, canvas), scale);
}

// What is true of the chosen row, computed: its sum, and how much of it takes away.
function signedFacts(view) {
  const row = signedRow(view, view.item);
  const sum = row.reduce((total, value) => total + value, 0);
  const negative = row.filter((value) => value < 0).length;
  const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
  return sideCard(t("The row of {item}", { item: itemName(view.queries, view.item) }),
    h("dl", { class: "s-facts", "data-facts": "row" },
      fact(t("Sum of the row"), brief(sum)), fact(t("Negative weights"), t("{n} of {all}", { n: negative, all: row.length })),
      fact(t("Largest"), brief(Math.max(...row))), fact(t("Smallest"), brief(Math.min(...row)))),
    h("p", { class: "s-why" }, signedSentence(view, view.item)));
}

function signedTable(view) {
  return tableTwin([t("item"), t("weight")], () => [...signedRow(view, view.item)].map((value, i) => [itemName(view.keys, i), value.toFixed(5)]));
}
