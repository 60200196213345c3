// A picture and its patches: click one to see where it looks, who looks at it, and what reaches it through all layers.
import { h, inkOn, ramp, scaleBar, tableTwin } from "../draw.js";
import { t } from "../words.js";
import { rolloutColumn, rolloutRow, rolloutStep } from "./rollout.js";
import { gridCanvas, gridMoves, gridPicture, paintGrid, prefixButtons } from "./gridmap.js";
import { barList, choice, headChoice, headWithin, hintText, itemName, place, scrubber, sideCard, spaceSize, switcher, topOf, wholeWithin } from "./parts.js";

const IMAGE = { main: 560, small: 116, tiny: 88, pins: 4, most: 1300 };
const imageSteps = new WeakMap();

export const imageScreen = {
  name: "image",
  python(app) { return imagePython(imageView(app)); },
  title: "Picture",
  available(trace) { return imageRelations(trace).length > 0; },
  render(root, app) {
    const view = imageView(app);
    const main = imageMain(view);
    place(root,
      hintText(t("Choose a patch (or a token before the grid) and see where it looks. Nothing is smoothed: a patch has one colour.")),
      imageControls(view),
      h("div", { class: "s-columns s-wide" }, main.element, h("div", { class: "s-stack" }, imageClasses(app), imageHeads(view), imagePins(view))),
      imageLayers(view),
    );
  },
};

// Relations whose keys are a grid, except signed ones, which have a screen of their own.
function imageRelations(trace) {
  const { relations, spaces } = trace.manifest;
  const shown = ({ kind, keys, layers }) => kind === "attention" && spaces[keys]?.kind === "grid" && layers.length > 0;
  return Object.keys(relations).filter((name) => shown(relations[name]));
}

// All that is on the page follows from this.
function imageView(app) {
  const names = imageRelations(app.trace);
  const name = names.includes(app.state.relation) ? app.state.relation : names[0];
  const relation = app.trace.manifest.relations[name];
  const space = app.trace.manifest.spaces[relation.keys];
  const queries = app.trace.manifest.spaces[relation.queries];
  const same = relation.queries === relation.keys;
  const layer = wholeWithin(app.state.layer, relation.layers.length);
  const asked = Object.hasOwn(app.asked ?? {}, "head") ? app.state.head : "mean";
  const middle = (space.prefix ?? 0) + Math.floor(space.rows / 2) * space.columns + Math.floor(space.columns / 2);
  const start = same && !space.prefix ? middle : 0;
  return {
    app, names, name, relation, space, queries, same, layer,
    head: asked === "max" ? "max" : headWithin(asked, relation.layers[layer].heads),
    item: wholeWithin(app.state.query, spaceSize(queries), start),
    rollout: same && app.state.measure === "rollout" && imageCanRoll(relation, space),
    across: same && app.state.way === "in",
    opacity: wholeWithin(app.state.opacity, 101, 65) / 100,
    picture: gridPicture(app.trace, space),
    set: (changes) => app.set({ relation: name, ...changes }),
  };
}

// Rollout needs every layer's numbers, and n x n of them for each.
function imageCanRoll(relation, space) {
  return spaceSize(space) <= IMAGE.most && relation.layers.every((layer) => layer.weights || (layer.q && layer.k));
}

function imageControls(view) {
  const { app, names, name, relation, layer, set } = view;
  const titles = names.map((one) => [one, t(app.trace.manifest.relations[one].title)]);
  const measures = [["", t("attention")], ["rollout", t("rollout")]];
  const ways = [["", t("where it looks")], ["in", t("who looks here?")]];
  const rolls = view.same && imageCanRoll(relation, view.space);
  const opacity = h("input", { type: "range", id: "s-opacity", min: 0, max: 100, step: 5, value: Math.round(100 * view.opacity) });
  opacity.addEventListener("change", () => set({ opacity: opacity.value }));
  return h("div", { class: "controls" },
    names.length > 1 && choice(t("Relation"), titles, name, (to) => app.set({ relation: to, layer: 0 })),
    rolls && switcher(t("Measure"), measures, view.rollout ? "rollout" : "", (to) => set({ measure: to })),
    view.same && switcher(t("Direction"), ways, view.across ? "in" : "", (to) => set({ way: to })),
    relation.layers.length > 1 && scrubber(t("Layer"), layer, relation.layers.length, (to) => set({ layer: to })),
    !view.rollout && headChoice(relation.layers[layer].heads, view.head, (to) => set({ head: to })),
    view.picture && h("label", { class: "control" }, h("span", { class: "control-name" }, t("Opacity")), opacity));
}

/** What an item has to do with all others: a row of the weights or of the rollout, or a column in the other direction. */
function imageValues(view, item, { layer = view.layer, head = view.head } = {}) {
  const { app, name, across } = view;
  if (view.rollout) {
    const steps = imageRolloutSteps(view).slice(0, layer + 1);
    return (across ? rolloutColumn : rolloutRow)(steps, spaceSize(view.space), item);
  }
  if (!across) return app.trace.row(name, layer, head, item);
  const whole = app.trace.head(name, layer, head);
  const { rows, columns } = app.trace.size(name);
  return whole && Float32Array.from({ length: rows }, (_, i) => whole[i * columns + item]);
}

function imageRolloutSteps({ app, name, relation }) {
  if (!imageSteps.has(app.trace)) imageSteps.set(app.trace, new Map());
  const kept = imageSteps.get(app.trace);
  if (!kept.has(name)) {
    const { rows, columns } = app.trace.size(name);
    kept.set(name, relation.layers.map((_, layer) => rolloutStep({ data: app.trace.head(name, layer, "mean"), heads: 1, rows, columns })));
  }
  return kept.get(name);
}

function imageCells(view, values) {
  return values.subarray(view.space.prefix ?? 0);
}

function imageLargest(values) {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function imageMain(view) {
  const { app, space } = view;
  const canvas = gridCanvas(app.trace, space, IMAGE.main, {
    id: "s-grid", class: "s-grid", tabindex: 0, role: "application", "data-picture": t("Picture"),
    "aria-label": t("Patches of the picture; arrow keys choose one"),
  });
  const choose = (item) => view.set({ query: item });
  const prefix = prefixButtons(space, view.item, choose);
  const legend = h("div", {});
  const sentence = h("p", { class: "s-sentence", "aria-live": "off" });
  const paint = (item) => {
    const values = imageValues(view, item);
    if (!values) { sentence.textContent = t("Only a small picture of this layer was kept, so single rows cannot be shown."); return; }
    const max = imageLargest(imageCells(view, values));
    const marks = view.same && item >= (space.prefix ?? 0) ? [{ cell: item - (space.prefix ?? 0) }] : [];
    paintGrid(canvas, view.picture, space, imageCells(view, values), { max, opacity: view.opacity, marks });
    imagePrefixColours(prefix, values, max);
    legend.replaceChildren(scaleBar({ max, title: view.rollout ? t("rollout") : t("weight"), digits: 3 }));
    sentence.textContent = imageSentence(view, item, values);
    return sentence.textContent;
  };
  paint(view.item);
  const preview = (item) => app.say(paint(item ?? view.item) ?? "");
  if (view.same) gridMoves(app, canvas, space, view.item, { preview, choose });
  const numbers = () => [...(imageValues(view, view.item) ?? [])].map((value, i) => [itemName(space, i), value.toFixed(5)]);
  const table = tableTwin([t("item"), t("value")], numbers);
  return { element: h("div", { class: "card s-figure" }, !view.same && imageQueries(view), prefix, canvas, legend, sentence, table) };
}

function imagePython({ rollout, name, layer, head, item }) {
  const kind = rollout ? "rollout" : "image";
  const who = typeof head === "number" && !rollout ? `, head=${head}` : "";
  return `trace.plot("${kind}", relation=${JSON.stringify(name)}, layer=${layer}${who}, query=${item}, output="${kind}.svg")`;
}

// Where the looking items are not the grid itself, they are chosen from a list.
function imageQueries(view) {
  const options = Array.from({ length: spaceSize(view.queries) }, (_, i) => [i, itemName(view.queries, i)]);
  return choice(t("Query"), options, view.item, (to) => view.set({ query: Number(to) }));
}

function imagePrefixColours(prefix, values, max) {
  for (const button of prefix?.children ?? []) {
    const value = values[Number(button.dataset.item)];
    const share = max > 0 ? Math.min(1, value / max) : 0;
    button.style.background = ramp(share);
    button.style.color = inkOn(share);
    button.title = value.toFixed(4);
  }
}

function imageSentence(view, item, values) {
  const list = topOf(values, 3).map((i) => `${itemName(view.space, i)} ${values[i].toFixed(3)}`).join(", ");
  const who = { item: itemName(view.queries, item), list };
  if (view.rollout) return t(view.across ? "{item} reaches most: {list}." : "Through all layers up to here, {item} is made most of: {list}.", who);
  return t(view.across ? "{item} is looked at most by: {list}." : "{item} looks most at: {list}.", who);
}

// A small map that is also a button.
function imageThumb(view, values, { title, pressed, onclick, width = IMAGE.tiny, item = view.item }) {
  const canvas = gridCanvas(view.app.trace, view.space, width, { "aria-hidden": "true" });
  const first = view.space.prefix ?? 0;
  const cells = values && imageCells(view, values);
  const marks = view.same && item >= first ? [{ cell: item - first }] : [];
  if (cells) paintGrid(canvas, view.picture, view.space, cells, { max: imageLargest(cells), opacity: Math.max(view.opacity, 0.5), marks });
  return h("button", { type: "button", id: `s-thumb-${title}`, class: "s-thumb", "aria-pressed": String(pressed), onclick }, canvas, h("span", {}, title));
}

function imageHeads(view) {
  const count = view.relation.layers[view.layer].heads;
  if (view.rollout || count < 2) return null;
  const thumbs = Array.from({ length: count }, (_, head) => imageThumb(view, imageValues(view, view.item, { head }), {
    title: t("head {n}", { n: head + 1 }), pressed: head === view.head, onclick: () => view.set({ head }),
  }));
  return sideCard(t("All heads of layer {n}, each to its own scale", { n: view.layer + 1 }), h("div", { class: "s-strip" }, thumbs));
}

function imageLayers(view) {
  if (view.relation.layers.length < 2) return null;
  const thumbs = view.relation.layers.map((_, layer) => imageThumb(view, imageValues(view, view.item, { layer, head: imageHeadOf(view, layer) }), {
    title: t("layer {n}", { n: layer + 1 }), pressed: layer === view.layer, onclick: () => view.set({ layer }),
  }));
  const title = view.rollout ? t("Rollout from the first layer up to each") : t("The same head in every layer");
  const how = t("Each layer passes on half of what it had and half of what its heads saw on average; rows sum to one.");
  return sideCard(title, view.rollout && hintText(how), h("div", { class: "s-strip" }, thumbs));
}

function imageHeadOf(view, layer) {
  return typeof view.head === "number" ? Math.min(view.head, view.relation.layers[layer].heads - 1) : view.head;
}

function imageShort(space, item) {
  const cell = item - (space.prefix ?? 0);
  return cell < 0 ? itemName(space, item) : `(${Math.floor(cell / space.columns) + 1}, ${(cell % space.columns) + 1})`;
}

// Up to four chosen places with their maps, as in the figure of the DETR paper.
function imagePins(view) {
  if (!view.same) return null;
  const written = String(view.app.state.pins ?? "").split(".").filter(Boolean).map(Number);
  const pins = written.filter((i) => i < spaceSize(view.space)).slice(0, IMAGE.pins);
  const write = (list) => view.set({ pins: list.join(".") });
  const pinned = pins.includes(view.item);
  const toggle = h("button", {
    type: "button", id: "s-pin", disabled: !pinned && pins.length >= IMAGE.pins,
    onclick: () => write(pinned ? pins.filter((i) => i !== view.item) : [...pins, view.item]),
  }, pinned ? t("Unpin this place") : t("Pin this place ({n} of 4)", { n: pins.length }));
  const maps = pins.map((item) => imageThumb(view, imageValues(view, item), {
    title: imageShort(view.space, item), pressed: item === view.item, width: IMAGE.small, item, onclick: () => view.set({ query: item }),
  }));
  return sideCard(t("Pinned places"), toggle, maps.length > 0 && h("div", { class: "s-strip" }, maps));
}

/** The classes of a classifier, the likeliest first. */
export function imageClasses(app) {
  const { classes } = app.trace.manifest;
  if (!classes) return null;
  const order = topOf(Float32Array.from(classes.probabilities), 8);
  const rows = order.map((i, rank) => ({ name: classes.names[i], share: classes.probabilities[i], mark: rank === 0 }));
  const rest = 1 - order.reduce((sum, i) => sum + classes.probabilities[i], 0);
  if (rest > 0.0005) rows.push({ name: t("the rest"), share: rest, rest: true });
  return sideCard(classes.title ? t(classes.title) : t("classes"), barList(rows, { "data-bars": "classes" }));
}
