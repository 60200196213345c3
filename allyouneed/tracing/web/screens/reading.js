// Beside the beam tree: what is known of the chosen node, what was read when it was chosen, and its rivals.
import { h, inkOn, ramp, scaleBar, tableTwin, tokenText } from "../draw.js";
import { t } from "../words.js";
import { lastSurvivor, pathTo } from "./tree.js";
import { labelledMap, roomWide } from "./labelled.js";
import { barList, brief, headChoice, headWithin, hintText, itemName, lineOf, percent, scrubber, sideCard, topOf, wholeWithin } from "./parts.js";

export function beamState(state) {
  return { kept: t("kept"), pruned: t("pruned"), finished: t("finished") }[state];
}

/** The words of a path, each with the space that belongs before it. Pieces that bring their own spaces get no others. */
export function beamSentence(tree, index) {
  const own = tree.nodes.some((node) => /^[ ▁]/.test(node.text));
  return pathTo(tree, index).map((i, at) => (own || at === 0 ? "" : " ") + tree.nodes[i].text.replaceAll("▁", " "));
}

/** The sentence so far, the numbers of the node, and its fate. */
export function beamInspector(tree, index, width) {
  const node = tree.nodes[index];
  const texts = beamSentence(tree, index);
  const line = h("p", { class: "s-sentence", dir: "auto", "data-path": pathTo(tree, index).join(" ") },
    texts.map((text, i) => h(i === texts.length - 1 ? "b" : "span", {}, i === 0 ? text.trimStart() : text)));
  const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
  return sideCard(t("The sentence so far"), line,
    h("dl", { class: "s-facts" },
      fact(t("Probability of this token"), percent(Math.exp(node.log_probability))),
      fact(t("Its log-probability"), brief(node.log_probability)),
      fact(t("Sum so far"), brief(node.total)),
      fact(t("Score after length penalty"), brief(node.score)),
      fact(t("State"), beamState(node.state))),
    h("p", { class: "s-why" }, beamFate(tree, index, width)));
}

/** Why a node was given up, or what became of it, in a sentence that the numbers bear out. */
export function beamFate(tree, index, width) {
  const node = tree.nodes[index];
  if (tree.best.has(index)) return t("It is on the best path: the translation that was given.");
  if (node.state === "finished") return t("It ended a sentence of its own, which was not the best in the end.");
  if (node.state === "kept") {
    const heirs = tree.children[index].some((i) => tree.nodes[i].state !== "pruned");
    return heirs ? t("It was kept, and something followed that was kept too.") : t("It was kept, but nothing that followed it was.");
  }
  const last = lastSurvivor(tree, node.step);
  if (last < 0) return t("It was pruned when the search ended.");
  const other = tree.nodes[last];
  const values = {
    mine: brief(node.total), text: tokenText(other.text), theirs: brief(other.total), gap: brief(other.total - node.total), width,
  };
  if (node.total > other.total) return t("It was pruned although its sum {mine} is above that of the last survivor, “{text}” ({theirs}): an end of sentence counts only among the first {width} of its step.", values);
  return t("It was pruned: its sum {mine} is {gap} below that of the last survivor of this step, “{text}” ({theirs}).", values);
}

/** The cross-attention recorded in the search when the node was chosen. */
export function beamReading(app, tree, index) {
  const beam = app.trace.manifest.beam;
  const space = app.trace.manifest.spaces[beam.sources];
  const { reading, text } = tree.nodes[index];
  if (!beam.cross.length || reading < 0 || !space) {
    return sideCard(t("What was read"), hintText(t("The cross-attention of this step was not kept.")));
  }
  const layer = wholeWithin(app.state.clayer, beam.cross.length, beam.cross.length - 1);
  const { data, shape } = app.trace.array(beam.cross[layer]);
  const [, heads, items] = shape;
  const weights = { data: data.subarray(reading * heads * items, (reading + 1) * heads * items), heads, rows: 1, columns: items };
  const head = headWithin(app.state.chead, heads);
  const row = lineOf(weights, head, 0);
  return sideCard(t("What was read to choose “{text}”", { text: text.replaceAll("▁", " ").trim() || tokenText(text) }),
    h("div", { class: "controls" },
      beam.cross.length > 1 && scrubber(t("Layer"), layer, beam.cross.length, (to) => app.set({ clayer: to })),
      headChoice(heads, head, (to) => app.set({ chead: to }))),
    readingChips(app, beam.sources, space, row),
    heads > 1 && headsByItems(app, space, weights, head),
    tableTwin([t("source item"), t("weight")], () => [...row].map((value, i) => [itemName(space, i), value.toFixed(4)])));
}

/** The source tokens, each on the colour of its weight; the strongest as bars below. */
function readingChips(app, name, space, row) {
  const most = Math.max(...row, 1e-9);
  const chips = h("p", { class: "s-chips", dir: "auto" }, [...row].map((value, i) => {
    const share = value / most;
    return h("span", {
      class: "s-chip", "data-item": i, title: `${itemName(space, i)}: ${value.toFixed(4)}`,
      style: { background: ramp(share), color: inkOn(share) },
      onpointerenter: () => app.hover({ space: name, item: i }), onpointerleave: () => app.hover(null),
    }, itemName(space, i));
  }));
  const top = topOf(row, 5);
  const rest = Math.max(0, 1 - top.reduce((sum, i) => sum + row[i], 0));
  const rows = top.map((i) => ({ name: itemName(space, i), share: row[i] }));
  if (row.length > top.length) rows.push({ name: t("the rest"), share: rest, rest: true });
  return [chips, scaleBar({ max: most, title: t("weight") }), barList(rows)];
}

/** All heads at once: a row for each head, a column for each source item. A click chooses the head. */
function headsByItems(app, space, weights, head) {
  const { data, heads, columns } = weights;
  const names = Array.from({ length: columns }, (_, i) => itemName(space, i));
  const rows = Array.from({ length: heads }, (_, i) => t("head {n}", { n: i + 1 }));
  const room = Math.min(roomWide() * (roomWide() > 830 ? 0.44 : 1), 640) - 150;
  const canvas = labelledMap({
    values: data, rows, columns: names, row: head === "mean" ? -1 : head, draw: { max: Math.max(...data, 1e-9) },
    cell: { wide: Math.max(12, Math.min(52, Math.floor(room / columns))), tall: heads > 10 ? 16 : 22 },
    attributes: {
      id: "s-heads", "data-picture": t("All heads at this step"),
      "aria-label": t("All heads: rows are heads, columns are source items. Up and down choose a head."),
    },
    point: (at) => at && app.say(`${rows[at.y]}: ${names[at.x]} ${data[at.y * columns + at.x].toFixed(3)}`),
    choose: (to) => app.set({ chead: to }),
  });
  return h("div", { class: "s-scroll" }, canvas);
}

/** The candidates of a step, before and after the length penalty. */
export function beamCandidates(app, tree, index) {
  const step = tree.nodes[index].step;
  const { penalty, alpha } = app.trace.manifest.beam;
  const rule = t(alpha ? "length penalty: {name}, alpha {alpha}" : "length penalty: {name}", { name: penalty, alpha });
  const highest = tree.nodes[tree.steps[step][0]].total;
  const heads = [t("rank"), t("token"), t("after"), t("log-probability"), t("sum before penalty"), t("score after penalty"), t("state")];
  const body = tree.steps[step].map((i, rank) => {
    const node = tree.nodes[i];
    const choose = h("button", {
      type: "button", class: "s-link", "aria-pressed": String(i === index), onclick: () => app.set({ node: i }),
    }, tokenText(node.text));
    const before = beamSentence(tree, i).slice(-4, -1).join("").trim();
    const width = `${100 * Math.exp(node.total - highest)}%`;
    const share = h("span", { class: "s-minibox", title: t("probability, as a share of the first") }, h("span", { class: "s-mini", style: { width } }));
    return h("tr", { class: `s-${node.state}${i === index ? " s-mark" : ""}`, "data-node": i },
      h("td", {}, rank + 1), h("td", { dir: "auto" }, choose), h("td", { dir: "auto", class: "s-quiet" }, before),
      h("td", {}, brief(node.log_probability)),
      h("td", {}, share, brief(node.total)),
      h("td", {}, brief(node.score)), h("td", {}, beamState(node.state)));
  });
  return sideCard(t("Candidates of step {n}", { n: step + 1 }), hintText(rule),
    h("div", { class: "s-scroll" }, h("table", { class: "s-table" },
      h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, body))));
}
