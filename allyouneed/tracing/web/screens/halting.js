// Universal Transformer: how sure each token was to stop, step by step, and how many steps it took.
import { h, hatch, inkOn, ramp, scaleBar, svg, tableTwin } from "../draw.js";
import { t } from "../words.js";
import { asVectors } from "./pen.js";
import { chartWide, roomWide } from "./labelled.js";
import { brief, choice, hintText, itemName, place, scrolledTo, sharpCanvas, sideCard, themeColour, wholeWithin } from "./parts.js";

const HALT = { cell: 64, tall: 30, bar: 74, label: 92, names: 66 };

export const haltingScreen = {
  name: "halting",
  python() { return 'trace.plot("halting", output="halting.svg")'; },
  title: "Halting",
  available(trace) { return trace.manifest.halting.length > 0; },
  render(root, app) {
    const all = app.trace.manifest.halting;
    const which = wholeWithin(app.state.list, all.length);
    const view = haltingView(app, all[which]);
    place(root,
      hintText(t("Columns are tokens, rows are steps. A cell says how sure the token was to stop at that step; striped cells come after it had stopped and only copy.")),
      all.length > 1 && choice(t("Stack"), all.map((one, i) => [i, t(one.title)]), which, (to) => app.set({ list: to, item: null })),
      h("div", { class: "card" }, haltingMap(view), haltingTotals(view)),
      h("div", { class: "s-columns" }, haltingCurve(view), haltingLinks(view)),
      haltingTable(view));
  },
};

function haltingView(app, halting) {
  const space = app.trace.manifest.spaces[halting.space];
  const { data, shape: [steps, items] } = app.trace.array(halting.probabilities);
  const updates = app.trace.array(halting.updates).data;
  const remainders = app.trace.array(halting.remainders).data;
  const item = wholeWithin(app.state.item, items);
  const cell = Math.max(14, Math.min(HALT.cell, Math.floor((roomWide() - HALT.label - 8) / items)));
  return { app, halting, space, data, steps, items, updates, remainders, item, cell };
}

/** Steps counted from 0 at which an item still ran. */
export function haltingRan(view, step, item) {
  return step < view.updates[item];
}

function haltingMap(view) {
  const { app, steps, items, cell } = view;
  const width = HALT.label + items * cell;
  const height = HALT.bar + steps * HALT.tall + HALT.names;
  const { canvas, context } = sharpCanvas(width, height, {
    id: "s-halting", class: "s-halting", tabindex: 0, role: "application", "data-picture": t("Halting"),
    "aria-label": t("Halting probabilities; left and right choose a token"),
  });
  const paint = (item) => { context.clearRect(0, 0, width, height); haltingPaint(view, context, item); };
  paint(view.item);
  asVectors(canvas, width, height, (pen) => haltingPaint(view, pen, view.item));
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((((event.clientX - box.left) * width) / box.width - HALT.label) / cell);
    return x >= 0 && x < items ? x : null;
  };
  canvas.addEventListener("pointermove", (event) => {
    const item = under(event) ?? view.item;
    paint(item);
    app.say(haltingSpoken(view, item));
  });
  canvas.addEventListener("pointerleave", () => paint(view.item));
  canvas.addEventListener("click", (event) => { if (under(event) !== null) app.set({ item: under(event) }); });
  canvas.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: view.item - 1, ArrowRight: view.item + 1, Home: 0, End: items - 1 }[event.key];
    if (to === undefined || to < 0 || to >= items) return;
    event.preventDefault();
    app.set({ item: to });
    app.say(haltingSpoken(view, to));
  });
  return scrolledTo(h("div", { class: "s-scroll" }, canvas), HALT.label + view.item * cell);
}

function haltingPaint(view, context, lit) {
  const { data, steps, items, cell, space, updates } = view;
  const ink = themeColour("ink");
  const bottom = HALT.bar + steps * HALT.tall;
  context.textBaseline = "middle";
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = themeColour("quiet");
  context.textAlign = "right";
  for (let step = 0; step < steps; step += 1) {
    context.fillText(t("step {n}", { n: step + 1 }), HALT.label - 10, HALT.bar + (step + 0.5) * HALT.tall);
  }
  context.fillText(t("updates"), HALT.label - 10, HALT.bar - 12);
  for (let item = 0; item < items; item += 1) {
    const x = HALT.label + item * cell;
    for (let step = 0; step < steps; step += 1) {
      haltingCell(view, context, step, item, data[step * items + item], x, HALT.bar + step * HALT.tall);
    }
    haltingBar(view, context, item, x);
    context.save();
    context.translate(x + cell / 2, bottom + 10);
    context.rotate(-Math.PI / 4);
    context.fillStyle = ink;
    context.font = `${item === lit ? "bold " : ""}${cell < 20 ? 10 : 13}px system-ui, sans-serif`;
    context.textAlign = "right";
    if (cell >= 20 || item === lit || item % 5 === 0) context.fillText(itemName(space, item).slice(0, 12), 0, 0);
    context.restore();
  }
  context.strokeStyle = ink;
  context.lineWidth = 2.5;
  context.strokeRect(HALT.label + lit * cell + 0.5, HALT.bar - 1, cell - 1, steps * HALT.tall + 2);
}

function haltingCell(view, context, step, item, value, x, y) {
  const w = view.cell - 1;
  const tall = HALT.tall - 1;
  if (!haltingRan(view, step, item)) { hatch(context, x, y, w, tall); return; }
  context.fillStyle = ramp(value);
  context.fillRect(x, y, w, tall);
  if (view.cell < 36) return;
  context.fillStyle = inkOn(value);
  context.textAlign = "center";
  context.font = "12px system-ui, sans-serif";
  context.fillText(value.toFixed(2), x + w / 2, y + tall / 2 + 0.5);
}

// The number of updates as a bar on top, the remainder as a tick within its last step.
function haltingBar(view, context, item, x) {
  const { steps, updates, remainders, cell } = view;
  const room = HALT.bar - 30;
  const tall = (updates[item] / steps) * room;
  context.fillStyle = themeColour("accent");
  context.fillRect(x + cell * 0.2, HALT.bar - 6 - tall, cell * 0.6 - 1, tall);
  const tick = HALT.bar - 6 - tall + (1 - Math.max(0, Math.min(1, remainders[item]))) * (room / steps);
  context.fillStyle = themeColour("key");
  context.fillRect(x + cell * 0.08, tick - 1, cell * 0.84 - 1, 2.5);
  if (cell < 20) return;
  context.fillStyle = themeColour("ink");
  context.textAlign = "center";
  context.font = "bold 12px system-ui, sans-serif";
  context.fillText(String(Math.round(updates[item])), x + cell / 2, HALT.bar - 15 - tall);
}

function haltingSpoken(view, item) {
  const { data, items, steps, updates, remainders, space } = view;
  const list = [];
  for (let step = 0; step < steps && haltingRan(view, step, item); step += 1) list.push(data[step * items + item].toFixed(2));
  return t("“{item}”: {count} updates, halting probabilities {list}, remainder {rest}.", {
    item: itemName(space, item), count: Math.round(updates[item]), list: list.join(", "), rest: brief(remainders[item]),
  });
}

function haltingTotals(view) {
  const { updates, remainders, items } = view;
  const steps = updates.reduce((sum, value) => sum + value, 0) / Math.max(1, items);
  const cost = steps + remainders.reduce((sum, value) => sum + value, 0) / Math.max(1, items);
  return h("div", { class: "s-legend" }, scaleBar({ max: 1, title: t("halting probability"), masked: false }),
    h("span", { class: "s-key" }, h("i", { class: "s-swatch s-bar-blue" }), t("updates")),
    h("span", { class: "s-key" }, h("i", { class: "s-swatch s-bar-tick" }), t("remainder")),
    h("span", {}, t("mean of {steps} steps, ponder cost {cost}", { steps: brief(steps), cost: brief(cost) })));
}

/** The running sum of halting probabilities of one token, up to the step at which it stopped. */
function haltingCurve(view) {
  const { data, items, steps, item, space } = view;
  const [wide, tall, left, top] = [chartWide(), 190, 34, 14];
  const x = (step) => left + (step * (wide - left - 12)) / Math.max(1, steps);
  const y = (value) => top + (1 - value) * (tall - top - 26);
  let sum = 0;
  const points = [[0, 0]];
  for (let step = 0; step < steps && haltingRan(view, step, item); step += 1) {
    sum += data[step * items + item];
    points.push([step + 1, Math.min(1, sum)]);
  }
  const line = points.map(([step, value], i) => `${i ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const marks = [0, 0.5, 1].map((value) => [svg("line", { class: "s-rule", x1: left, x2: wide - 8, y1: y(value), y2: y(value) }),
    svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value))]);
  const names = Array.from({ length: steps + 1 }, (_, step) => (
    steps > 16 && step % 4 ? null : svg("text", { x: x(step), y: tall - 6, "text-anchor": "middle" }, String(step))));
  const said = haltingSpoken(view, item);
  const dots = points.map(([step, value]) => svg("circle", { class: "s-dot", cx: x(step), cy: y(value), r: 3.5 }));
  const title = t("How “{item}” came to stop: sum of its probabilities after each step", { item: itemName(space, item) });
  const picture = svg("svg", { class: "s-curve", width: wide, viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": said },
    marks, names, svg("path", { class: "s-wave", d: line }), dots);
  return sideCard(title, picture, h("p", { class: "s-why" }, said));
}

// The attention of each step is one layer of a relation.
function haltingLinks(view) {
  const { app, halting, steps, item } = view;
  const relation = app.trace.manifest.relations[halting.relation];
  if (!relation) return null;
  const links = Array.from({ length: Math.min(steps, relation.layers.length) }, (_, step) => h("button", {
    type: "button", class: haltingRan(view, step, item) ? "" : "s-quiet", "data-layer": step,
    onclick: () => app.set({ screen: "head", relation: halting.relation, layer: step, query: item }),
  }, t("step {n}", { n: step + 1 })));
  return sideCard(t("Where it looked at each step"), hintText(t("Opens the attention of that step, on this token.")), h("div", { class: "s-buttons" }, links));
}

function haltingTable(view) {
  const { data, items, steps, updates, remainders, space } = view;
  const heads = [t("token"), ...Array.from({ length: steps }, (_, step) => t("step {n}", { n: step + 1 })), t("updates"), t("remainder")];
  return tableTwin(heads, () => Array.from({ length: items }, (_, item) => [itemName(space, item),
    ...Array.from({ length: steps }, (_, step) => (haltingRan(view, step, item) ? data[step * items + item].toFixed(4) : t("halted"))),
    updates[item], remainders[item].toFixed(4)]));
}
