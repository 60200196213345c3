// From input to output: the blocks that ran, their shapes and their share of the parameters.
import { h, tableTwin } from "../draw.js";
import { t } from "../words.js";
import { flowRelation, flowTree, folded, shapeLetters } from "./folds.js";
import { hintText, percent, place, switcher, wholeWithin } from "./parts.js";

const FLOW_TILES = { f: "work", n: "norm", r: "work", b: "work", d: "work", x: "work" };

export const flowScreen = {
  name: "flow",
  title: "Shape flow",
  available(trace) { return trace.manifest.flow.length > 0; },
  render(root, app) {
    const { flow } = app.trace.manifest;
    const open = new Set(String(app.state.open ?? "").split("_").filter(Boolean));
    const deepest = Math.max(...flow.map((step) => step.depth));
    const depths = Array.from({ length: deepest }, (_, i) => [i + 1, String(i + 1)]);
    const depth = wholeWithin(app.state.depth, deepest + 1, Math.min(3, deepest));
    const view = { app, open, depth, letters: shapeLetters(app.trace.manifest), all: Math.max(1, ...flow.map((step) => step.parameters)) };
    place(root,
      hintText(t("Blocks in the order in which they ran. Equal neighbours are folded into one; a block with attention leads to its heads.")),
      deepest > 1 && h("div", { class: "controls" }, switcher(t("Depth"), depths, depth, (to) => app.set({ depth: to }))),
      h("div", { class: "s-flow", role: "tree", "aria-label": t("Shape flow") }, flowGroups(view, flowTree(flow), "r")),
      flowTable(app, view));
  },
};

function flowGroups(view, blocks, path) {
  return folded(blocks).flatMap((group, i) => {
    const key = `${path}.${i}`;
    if (group.times === 1) return group.blocks.map((block, j) => flowBlock(view, block, `${key}.${j}`));
    if (view.open.has(key)) return [flowFold(view, key, group), ...group.all.map((block, j) => flowBlock(view, block, `${key}.${j}`))];
    return [h("div", { class: "s-group" }, flowFold(view, key, group), group.blocks.map((block, j) => flowBlock(view, block, `${key}.${j}`)))];
  });
}

// The sign "x 6" of a folded run, which opens and closes it.
function flowFold(view, key, group) {
  const open = view.open.has(key);
  const times = group.shared ? t("× {n}, the same weights", { n: group.times }) : `× ${group.times}`;
  const text = open ? t("fold {n} equal blocks", { n: group.times }) : times;
  return h("button", {
    type: "button", id: `s-fold-${key}`, class: "s-times", "aria-expanded": String(open), title: t("{n} equal blocks one after the other", { n: group.times }),
    onclick: () => view.app.set({ open: [...view.open].filter((one) => one !== key).concat(open ? [] : [key]).join("_") }),
  }, text);
}

function flowBlock(view, block, path) {
  const { app } = view;
  const { step } = block;
  const shut = step.depth >= view.depth;
  const leads = shut ? flowRelation(block) : step;
  const linked = leads?.relation && leads.relation in app.trace.manifest.relations;
  const name = step.name.split(".").pop();
  const title = linked ? h("button", {
    type: "button", id: `s-block-${path}`, class: "s-link", "data-name": step.name,
    onclick: () => app.set({ screen: "head", relation: leads.relation, layer: leads.layer ?? 0, query: null }),
  }, step.kind) : h("b", {}, step.kind);
  const outer = block.children.length > 0 && !shut;
  return h("div", { class: `s-block${outer ? " s-outer" : ""}`, role: "treeitem", "data-name": step.name, "aria-level": step.depth + 1 },
    h("div", { class: "s-head" },
      step.letter && h("span", { class: `tile ${FLOW_TILES[step.letter] ?? "look"}`, "aria-hidden": "true" }, step.letter),
      title, name && h("code", {}, name), flowShapes(view, step), flowShare(view, step)),
    outer && h("div", { class: "s-inner", role: "group" }, flowGroups(view, block.children, path)));
}

function flowShapes(view, step) {
  const same = String(step.input) === String(step.output);
  const shape = (sizes) => h("span", { class: "s-shape" }, sizes.flatMap((size, axis) => {
    const letter = view.letters(sizes)[axis];
    return [axis > 0 && " · ", letter && h("var", {}, letter), h("span", {}, String(size))];
  }));
  if (!step.input.length && !step.output.length) return null;
  return h("span", { class: "s-shapes" }, !same && step.input.length > 0 && [shape(step.input), h("span", { class: "s-arrow" }, "→")], shape(step.output));
}

function flowShare(view, step) {
  const share = step.parameters / view.all;
  return h("span", { class: "s-share", title: percent(share) },
    h("span", { class: "s-track" }, h("span", { class: "s-bar", style: { width: `${100 * share}%` } })),
    h("span", { class: "s-number" }, flowCount(step.parameters)));
}

function flowCount(parameters) {
  if (parameters >= 1e6) return `${(parameters / 1e6).toFixed(1)} M`;
  return parameters >= 1e4 ? `${(parameters / 1e3).toFixed(1)} k` : String(parameters);
}

function flowTable(app, view) {
  const named = (letter, size) => (letter ? `${letter}=${size}` : String(size));
  const shape = (sizes) => sizes.map((size, axis) => named(view.letters(sizes)[axis], size)).join(" · ");
  return tableTwin([t("name"), t("class"), t("input"), t("output"), t("parameters")], () => app.trace.manifest.flow.map((step) => (
    [`${"  ".repeat(step.depth)}${step.name || "·"}`, step.kind, shape(step.input), shape(step.output), step.parameters])));
}
