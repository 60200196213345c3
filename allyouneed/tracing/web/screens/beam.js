// The search for the translation as a tree: what was written, what else was thought of, and why it was given up.
import { h, svg, tokenText } from "../draw.js";
import { t } from "../words.js";
import { beamNeighbour, beamTree, beamWindow, pathTo } from "./tree.js";
import { beamCandidates, beamInspector, beamReading, beamSentence, beamState } from "./reading.js";
import { roomWide } from "./labelled.js";
import { brief, hintText, place, scrolledTo, scrubber, wholeWithin } from "./parts.js";

const BEAM = { wide: 124, widest: 190, high: 44, chip: 94, tall: 30, most: 600, top: 26 };

export const beamScreen = {
  name: "beam",
  python() { return 'trace.plot("beam", output="beam.svg")'; },
  title: "Beam search",
  available(trace) { return Boolean(trace.manifest.beam && trace.manifest.beam.nodes.length); },
  render(root, app) {
    const tree = beamTree(app.trace.manifest.beam);
    const chosen = wholeWithin(app.state.node, tree.nodes.length, beamStart(app, tree));
    const step = tree.nodes[chosen].step;
    place(root,
      hintText(t("Each column is a step of the search, the likeliest continuation on top. Choose one to see how it came about.")),
      scrubber(t("Step"), step, tree.steps.length, (to) => app.set({ node: beamAtStep(tree, to) })),
      beamDrawing(app, tree, chosen),
      beamLegend(app, tree),
      h("div", { class: "s-columns s-halves" },
        h("div", { class: "s-stack" }, beamInspector(tree, chosen, app.trace.manifest.beam.width), beamCandidates(app, tree, chosen)),
        beamReading(app, tree, chosen)),
    );
  },
};

// The node shown at first: where the best path was least likely to be found, for there a beam was needed.
function beamStart(app, tree) {
  const { best } = app.trace.manifest.beam;
  const rank = Math.max(0, ...best.map((i) => tree.ranks[i]));
  return (rank > 0 ? best.find((i) => tree.ranks[i] === rank) : best[best.length >> 1]) ?? 0;
}

function beamAtStep(tree, step) {
  return tree.steps[step].find((i) => tree.best.has(i)) ?? tree.steps[step][0];
}

function beamDrawing(app, tree, chosen) {
  const { first, last } = beamWindow(tree, tree.nodes[chosen].step, BEAM.most);
  const tallest = Math.max(...tree.steps.slice(first, last + 1).map((row) => row.length));
  const wide = Math.max(BEAM.wide, Math.min(BEAM.widest, Math.floor((roomWide() - 8) / tree.steps.length)));
  const width = (last - first + 1) * wide - (wide - BEAM.chip) + 10;
  const height = tallest * BEAM.high + BEAM.top + 6;
  const picture = svg("svg", {
    class: "s-tree", id: "s-tree", "data-picture": t("Beam search"), width, height, viewBox: `0 0 ${width} ${height}`, role: "tree",
    "aria-label": t("Beam search as a tree; arrow keys move along it"),
  });
  const view = { wide, tree, first, last, chosen, lowest: beamLowest(tree), app };
  picture.append(...beamSteps(view), ...beamEdges(view));
  for (let step = first; step <= last; step += 1) for (const i of tree.steps[step]) picture.append(beamChip(view, i));
  beamLight(picture, tree, chosen);
  beamMoves(picture, view);
  const frame = h("div", { class: "s-scroll s-beam", tabindex: "-1" }, picture);
  return h("div", {}, beamFold(app, tree, first, last), scrolledTo(frame, (tree.nodes[chosen].step - first) * wide + wide / 2));
}

// Says what a long search leaves out, and leads there.
function beamFold(app, tree, first, last) {
  const hidden = [];
  const jump = (text, to) => {
    const button = h("button", { type: "button", class: "s-fold" }, text);
    button.addEventListener("click", () => app.set({ node: beamAtStep(tree, to) }));
    return button;
  };
  if (first > 0) hidden.push(jump(t("◀ {n} earlier steps folded", { n: first }), first - 1));
  const after = tree.steps.length - 1 - last;
  if (after > 0) hidden.push(jump(t("{n} later steps folded ▶", { n: after }), last + 1));
  return h("div", { class: "s-folds" }, ...hidden);
}

function beamPlace(view, i) {
  const x = (view.tree.nodes[i].step - view.first) * view.wide + 4;
  return { x, y: view.tree.ranks[i] * BEAM.high + BEAM.top + 2 };
}

function beamSteps(view) {
  const marks = [];
  for (let step = view.first; step <= view.last; step += 1) {
    const x = (step - view.first) * view.wide + 4 + BEAM.chip / 2;
    marks.push(svg("text", { class: "s-step", x, y: 14, "text-anchor": "middle" }, String(step + 1)));
  }
  return marks;
}

function beamEdges(view) {
  const { tree, first, last } = view;
  const edges = [];
  for (let step = first + 1; step <= last; step += 1) {
    for (const i of tree.steps[step]) {
      const { state, parent } = tree.nodes[i];
      if (parent < 0) continue;
      const from = beamPlace(view, parent);
      const to = beamPlace(view, i);
      const [x0, y0, x1, y1] = [from.x + BEAM.chip, from.y + BEAM.tall / 2, to.x, to.y + BEAM.tall / 2];
      const middle = (x0 + x1) / 2;
      const best = tree.best.has(i) && tree.best.has(parent);
      edges.push({ best, line: svg("path", {
        class: `s-edge s-${state}${best ? " s-best" : ""}`, "data-node": i, fill: "none",
        d: `M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}`,
      }) });
    }
  }
  return edges.sort((a, b) => a.best - b.best).map((edge) => edge.line);
}

// A token in a box, its log-probability as a bar beneath: full is certain, empty the least likely of the whole tree.
function beamChip(view, i) {
  const { tree, app } = view;
  const node = tree.nodes[i];
  const { x, y } = beamPlace(view, i);
  const best = tree.best.has(i) ? " s-best" : "";
  const full = view.lowest < 0 ? 1 - node.log_probability / view.lowest : 1;
  const chip = svg("g", {
    class: `s-node s-${node.state}${best}`, id: `s-node-${i}`, "data-node": i, transform: `translate(${x} ${y})`, role: "treeitem",
    tabindex: i === view.chosen ? 0 : -1, "aria-selected": String(i === view.chosen), "aria-level": node.step + 1,
    "aria-label": beamSpoken(app, tree, i),
  }, svg("rect", { class: "s-box", width: BEAM.chip, height: BEAM.tall, rx: 7 }));
  if (node.state === "finished") {
    chip.append(svg("rect", { class: "s-inner", x: 3, y: 3, width: BEAM.chip - 6, height: BEAM.tall - 6, rx: 5 }));
  }
  const text = tokenText(node.text);
  chip.append(
    svg("text", { x: BEAM.chip / 2, y: 17, "text-anchor": "middle" }, beamShort(text)),
    svg("rect", { class: "s-slot", x: 10, y: BEAM.tall - 8.5, width: BEAM.chip - 20, height: 3, rx: 1.5 }),
    svg("rect", { class: "s-level", x: 10, y: BEAM.tall - 8.5, width: (BEAM.chip - 20) * full, height: 3, rx: 1.5 }),
    svg("title", {}, `${text} · ${brief(node.log_probability)}`),
  );
  return chip;
}

// Cut so that it fits its box; wide scripts need twice the room.
function beamShort(text) {
  let room = 12;
  let kept = "";
  for (const sign of text) {
    room -= sign.codePointAt(0) > 0x2e7f ? 2 : 1;
    if (room < 0) return `${kept}…`;
    kept += sign;
  }
  return kept;
}

function beamLowest(tree) {
  return Math.min(...tree.nodes.map((node) => node.log_probability).filter(Number.isFinite), 0);
}

function beamLight(picture, tree, index) {
  const lit = new Set(pathTo(tree, index));
  picture.classList.toggle("s-lit", true);
  for (const part of picture.querySelectorAll("[data-node]")) {
    part.classList.toggle("s-on", lit.has(Number(part.dataset.node)));
  }
}

function beamMoves(picture, view) {
  const { tree, app } = view;
  const at = (event) => {
    const part = event.target.closest?.(".s-node");
    return part ? Number(part.dataset.node) : -1;
  };
  const show = (i) => { beamLight(picture, tree, i); app.say(beamSpoken(app, tree, i)); };
  picture.addEventListener("pointerover", (event) => { if (at(event) >= 0) show(at(event)); });
  picture.addEventListener("pointerleave", () => beamLight(picture, tree, view.chosen));
  picture.addEventListener("focusin", (event) => { if (at(event) >= 0) show(at(event)); });
  picture.addEventListener("click", (event) => { if (at(event) >= 0) app.set({ node: at(event) }); });
  picture.addEventListener("keydown", (event) => {
    const i = at(event);
    if (i < 0) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); app.set({ node: i }); return; }
    const next = beamNeighbour(tree, i, event.key);
    const chip = next >= 0 ? picture.querySelector(`.s-node[data-node="${next}"]`) : null;
    if (!chip) return;
    event.preventDefault();
    event.stopPropagation();
    chip.focus();
  });
}

function beamSpoken(app, tree, i) {
  const node = tree.nodes[i];
  const said = beamSentence(tree, i).join("").trim();
  return t("Step {step}, rank {rank}: {said}. Score {score}, {state}.", {
    step: node.step + 1, rank: tree.ranks[i] + 1, said, score: brief(node.score), state: beamState(node.state),
  });
}

function beamLegend(app, tree) {
  const item = (kind, text) => h("span", { class: "s-key" },
    svg("svg", { width: 34, height: 18, class: "s-tree", "aria-hidden": "true" },
      svg("g", { class: `s-node ${kind}` }, svg("rect", { class: "s-box", x: 2, y: 2, width: 30, height: 14, rx: 5 }),
        kind.includes("finished") ? svg("rect", { class: "s-inner", x: 5, y: 5, width: 24, height: 8, rx: 3 }) : null)), text);
  return h("div", { class: "s-legend" },
    item("s-kept", t("kept")), item("s-pruned", t("pruned")), item("s-finished", t("finished")),
    item("s-kept s-best", t("on the best path")),
    h("span", {}, t("bar: log-probability from {low} (empty) to 0 (full)", { low: brief(beamLowest(tree)) })));
}
