// The order of sublayers, a tile for each letter: attention is filled and leads to its heads.
import { h } from "./draw.js";
import { t } from "./words.js";

const NAMES = {
  s: "self-attention", a: "attention", c: "cross-attention", f: "feed-forward", n: "normalisation", l: "local attention",
  h: "LSH attention", t: "token mixing", r: "recurrent layer", b: "bidirectional recurrent layer", d: "downsampling", x: "switches and shuffles",
};
const SELF = "slha";

function relationOf(letter, which, count, relations) {
  if (letter === "c") return "cross" in relations ? "cross" : null;
  if (letter === "t") return "mixing" in relations ? "mixing" : null;
  if (!SELF.includes(letter)) return null;
  const name = count > 1 && which > 0 ? "decoder" : "encoder";
  return name in relations ? name : "self" in relations ? "self" : null;
}

function tile(app, letter, place, seen) {
  const { relation, layer } = place, known = relation !== null && layer < app.trace.manifest.relations[relation].layers.length;
  const name = t(NAMES[letter] ?? "sublayer"), kind = relation !== null || SELF.includes(letter) || letter === "c" ? "look" : letter === "n" ? "norm" : "work";
  if (!known) return h("span", { class: `tile ${kind}`, title: name }, letter);
  const state = app.state, here = app.screen()?.name === "head" && state.relation === relation && state.layer === layer;
  return h("button", { id: `tile-${seen}`, class: `tile ${kind}${here ? " here" : ""}`, title: `${name} · ${t("layer {layer}", { layer: layer + 1 })}`,
    "aria-label": `${name}, ${t("layer {layer}", { layer: layer + 1 })}`, onclick: () => app.set({ screen: "head", relation, layer }) }, letter);
}

function line(app, order, which, count) {
  const relations = app.trace.manifest.relations, next = {};
  const title = count > 1 ? t(which === 0 ? "encoder" : "decoder") : t("order");
  if (!/^[a-z-]{1,96}$/.test(order)) return h("div", { class: "order" }, h("span", { class: "order-name" }, title), h("code", {}, order));
  const tiles = Array.from(order, (letter, i) => {
    const relation = relationOf(letter, which, count, relations);
    const layer = relation === null ? 0 : (next[relation] = (next[relation] ?? -1) + 1);
    return tile(app, letter, { relation, layer }, `${which}-${i}`);
  });
  return h("div", { class: "order" }, h("span", { class: "order-name" }, title), h("div", { class: "tiles" }, tiles));
}

export function ribbon(app) {
  const orders = app.trace.manifest.model.orders ?? [];
  return orders.length ? [h("div", { class: "ribbon", role: "group", "aria-label": t("Order of sublayers") }, orders.map((order, i) => line(app, order, i, orders.length)))] : [];
}
