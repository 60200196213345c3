// Shuffle-exchange: where each layer sends each place, as wires from layer to layer.
import { h, tableTwin } from "../draw.js";
import { t } from "../words.js";
import { shuffledPath } from "./lanes.js";
import { asVectors } from "./pen.js";
import { roomWide } from "./labelled.js";
import { hintText, itemName, place, scrolledTo, sharpCanvas, sideCard, themeColour, wholeWithin } from "./parts.js";

const WIRE = { names: 70, gap: 84, dot: 4 };

export const wiringScreen = {
  name: "wiring",
  title: "Wiring",
  available(trace) { return trace.manifest.permutations.length > 0; },
  render(root, app) {
    const view = wiringView(app);
    const text = view.item >= 0 ? wiringSentence(view, view.item) : t("Point at a place, or move with the arrow keys, to follow its wire.");
    place(root,
      hintText(t("Each band is a layer that moves places. A place's wire shows where it goes from layer to layer.")),
      wiringDrawing(view), sideCard("", h("p", { class: "s-sentence" }, text)), wiringTable(view));
  },
};

function wiringView(app) {
  const { permutations, spaces } = app.trace.manifest;
  const space = spaces[permutations[0].space];
  const layers = permutations.filter((one) => one.space === permutations[0].space);
  const shuffles = layers.map((one) => app.trace.array(one.targets).data);
  const size = shuffles[0].length;
  const left = 26 + 6.6 * Math.min(16, Math.max(...layers.map((one) => wiringTitle(one).length)));
  const cell = size > 128 ? Math.max(3, Math.floor(6000 / size)) : Math.max(14, Math.min(44, Math.floor((roomWide() - left - 12) / size)));
  return { app, space, layers, shuffles, size, cell, left, item: wholeWithin(app.state.item, size, -1) };
}

function wiringTitle(one) {
  const n = one.title.match(/\d+$/)?.[0] ?? one.layer + 1;
  return one.title ? t(one.title.replace(/\d+$/, "{n}"), { n }) : t("layer {n}", { n });
}

function wiringDrawing(view) {
  const { app, size, cell, left, layers } = view;
  const width = left + size * cell + 10;
  const height = WIRE.names + layers.length * WIRE.gap + 24;
  const { canvas, context } = sharpCanvas(width, height, {
    id: "s-wiring", class: "s-lanes", tabindex: 0, role: "application", "data-picture": t("Wiring"),
    "aria-label": t("Wires from layer to layer; left and right choose a place"),
  });
  const paint = (item) => { context.clearRect(0, 0, width, height); wiringPaint(view, context, item); };
  paint(view.item);
  asVectors(canvas, width, height, (pen) => wiringPaint(view, pen, view.item));
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((((event.clientX - box.left) * width) / box.width - left) / cell);
    if (x < 0 || x >= size) return -1;
    const layer = Math.round((event.clientY - box.top - WIRE.names) / WIRE.gap);
    return wiringStart(view, Math.max(0, Math.min(layers.length, layer)), x);
  };
  canvas.addEventListener("pointermove", (event) => { const item = under(event); paint(item); if (item >= 0) app.say(wiringSentence(view, item)); });
  canvas.addEventListener("pointerleave", () => paint(view.item));
  canvas.addEventListener("click", (event) => app.set({ item: under(event) >= 0 ? under(event) : null }));
  canvas.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: view.item - 1, ArrowRight: view.item + 1, Home: 0, End: size - 1 }[event.key];
    if (to === undefined || to < 0 || to >= size) return;
    event.preventDefault();
    app.set({ item: to });
    app.say(wiringSentence(view, to));
  });
  return scrolledTo(h("div", { class: "card s-scroll" }, canvas), left + view.item * cell);
}

// The item that has reached place `x` after `layer` shuffles.
function wiringStart({ shuffles, size }, layer, x) {
  for (let item = 0; item < size; item += 1) if (shuffledPath(shuffles.slice(0, layer), item)[layer] === x) return item;
  return -1;
}

function wiringPaint(view, context, item) {
  const { shuffles, size, cell, left, layers, space } = view;
  const x = (at) => left + (at + 0.5) * cell;
  for (let i = 0; i < size; i += 1) {
    if (i !== item) wiringWire(context, shuffledPath(shuffles, i), x, themeColour("quiet"), item < 0 ? 0.6 : 0.22, cell > 10 ? 1.4 : 0.8);
  }
  if (item >= 0) wiringWire(context, shuffledPath(shuffles, item), x, themeColour("key"), 1, 3.5);
  context.textBaseline = "middle";
  for (let band = 0; band <= layers.length; band += 1) {
    const y = WIRE.names + band * WIRE.gap;
    context.fillStyle = themeColour("ink");
    for (let i = 0; i < size; i += 1) {
      context.beginPath();
      context.arc(x(i), y, Math.min(WIRE.dot, cell / 3), 0, 2 * Math.PI);
      context.fill();
    }
    if (band === layers.length) break;
    context.textAlign = "right";
    context.font = "12.5px system-ui, sans-serif";
    context.fillStyle = themeColour("quiet");
    context.fillText(wiringTitle(layers[band]).slice(0, 16), left - 16, y + WIRE.gap / 2);
  }
  for (let i = 0; i < size && cell >= 14; i += 1) wiringName(view, context, i, x(i), i === item, itemName(space, i));
}

function wiringWire(context, path, x, colour, alpha, thick) {
  context.globalAlpha = alpha;
  context.strokeStyle = colour;
  context.lineWidth = thick;
  context.beginPath();
  path.forEach((at, band) => {
    const y = WIRE.names + band * WIRE.gap;
    if (band === 0) context.moveTo(x(at), y);
    else context.bezierCurveTo(x(path[band - 1]), y - WIRE.gap / 2, x(at), y - WIRE.gap / 2, x(at), y);
  });
  context.stroke();
  context.globalAlpha = 1;
}

function wiringName(view, context, i, x, bold, name) {
  context.save();
  context.translate(x, WIRE.names - 12);
  context.rotate(-Math.PI / 3);
  context.textAlign = "left";
  context.fillStyle = themeColour(bold ? "ink" : "quiet");
  context.font = `${bold ? "bold " : ""}12px system-ui, sans-serif`;
  context.fillText(name.slice(0, 10), 0, 0);
  context.restore();
}

function wiringSentence(view, item) {
  const path = shuffledPath(view.shuffles, item);
  const places = path.slice(1).map((at) => at + 1).join(" → ");
  return t("“{item}” starts at place {from} and goes to {path}.", { item: itemName(view.space, item), from: item + 1, path: places });
}

function wiringTable(view) {
  const heads = [t("item"), t("place"), ...view.layers.map(wiringTitle)];
  return tableTwin(heads, () => Array.from({ length: view.size }, (_, i) => [itemName(view.space, i), ...shuffledPath(view.shuffles, i).map((at) => at + 1)]));
}
