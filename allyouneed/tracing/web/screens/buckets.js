// Reformer: tokens in their order, each in a bucket; the same sorted by bucket and cut into chunks that look at one another.
import { h, hatch, tableTwin } from "../draw.js";
import { t } from "../words.js";
import { bucketMates, chunkMates, hashRound } from "./lanes.js";
import { asVectors } from "./pen.js";
import { roomWide } from "./labelled.js";
import { choice, hintText, itemName, place, scrubber, scrolledTo, sharpCanvas, sideCard, themeColour, wholeWithin } from "./parts.js";

const LANE = {
  names: 76, cell: 26, strands: 130, brackets: 22,
  colours: ["#e69f00", "#56b4e9", "#2aa587", "#f0e442", "#4a90d9", "#e8743b", "#cc79a7", "#a7a7a7"],
};

export const bucketsScreen = {
  name: "buckets",
  title: "Buckets",
  available(trace) { return trace.manifest.buckets.length > 0; },
  render(root, app) {
    const all = app.trace.manifest.buckets;
    const which = wholeWithin(app.state.list, all.length);
    const view = bucketsView(app, all[which]);
    const heads = Array.from({ length: view.lane.heads }, (_, i) => [i, t("head {n}", { n: i + 1 })]);
    place(root,
      hintText(t("Above: tokens in their order, each with the number of its bucket. Below: sorted by bucket and cut into chunks. A chunk looks at itself and at the one before.")),
      h("div", { class: "controls" },
        all.length > 1 && choice(t("Layer"), all.map((one, i) => [i, t("layer {n}", { n: one.layer + 1 })]), which, (to) => app.set({ list: to })),
        view.lane.heads > 1 && choice(t("Head"), heads, view.head, (to) => app.set({ bhead: to })),
        view.lane.rounds > 1 && scrubber(t("Round"), view.round, view.lane.rounds, (to) => app.set({ round: to }))),
      bucketsDrawing(view), bucketsSaid(view), bucketsTable(view));
  },
};

function bucketsView(app, buckets) {
  const space = app.trace.manifest.spaces[buckets.space];
  const first = hashRound(app.trace, buckets, 0, 0);
  const head = wholeWithin(app.state.bhead, first.heads);
  const round = wholeWithin(app.state.round, first.rounds);
  const lane = hashRound(app.trace, buckets, head, round);
  const item = wholeWithin(app.state.item, lane.size, -1);
  const fits = Math.max(22, Math.min(46, Math.floor((roomWide() - 12) / lane.size)));
  const cell = lane.size > 160 ? Math.max(3, Math.floor(8000 / lane.size)) : fits;
  const known = app.trace.manifest.relations[buckets.relation]?.layers[buckets.layer];
  const visible = known ? app.trace.visible(buckets.relation, buckets.layer, head) : null;
  return { app, buckets, space, head, round, lane, item, cell, visible, length: known ? app.trace.size(buckets.relation).columns : 0 };
}

function bucketsName(view, item) {
  return item < (view.space?.items.length ?? 0) || view.space?.kind === "grid" ? itemName(view.space, item) : t("filling");
}

// Whom an item may look at: its chunk and the one before, without those that a mask hides, as later ones.
function bucketsSeen(view, item) {
  const { lane, visible, length } = view;
  const may = (other) => !visible || item >= length || (other < length && visible[item * length + other] > 0);
  return chunkMates(lane, item).filter(may);
}

function bucketsDrawing(view) {
  const { app, lane, cell } = view;
  const names = cell >= 20 ? LANE.names : 6;
  const width = lane.size * cell + 12;
  const height = 2 * names + 2 * LANE.cell + LANE.strands + LANE.brackets;
  const { canvas, context } = sharpCanvas(width, height, {
    id: "s-buckets", class: "s-lanes", tabindex: 0, role: "application", "data-picture": t("Buckets"),
    "aria-label": t("Tokens and their buckets; left and right choose a token"),
  });
  const paint = (item) => { context.clearRect(0, 0, width, height); bucketsPaint({ ...view, names }, context, item); };
  paint(view.item);
  asVectors(canvas, width, height, (pen) => bucketsPaint({ ...view, names }, pen, view.item));
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) * width) / box.width / cell - 6 / cell);
    if (x < 0 || x >= lane.size) return -1;
    return event.clientY - box.top > names + LANE.cell + LANE.strands / 2 ? lane.order[x] : x;
  };
  canvas.addEventListener("pointermove", (event) => {
    paint(under(event));
    if (under(event) >= 0) app.say(bucketsSentence(view, under(event)));
  });
  canvas.addEventListener("pointerleave", () => paint(view.item));
  canvas.addEventListener("click", (event) => app.set({ item: under(event) === view.item || under(event) < 0 ? null : under(event) }));
  canvas.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: view.item - 1, ArrowRight: view.item + 1, Home: 0, End: lane.size - 1 }[event.key];
    if (to === undefined || to < 0 || to >= lane.size) return;
    event.preventDefault();
    app.set({ item: to });
    app.say(bucketsSentence(view, to));
  });
  return scrolledTo(h("div", { class: "card s-scroll" }, canvas), view.item * cell);
}

function bucketsPaint(view, context, item) {
  const { lane, cell, names } = view;
  const mates = new Set(item >= 0 ? bucketMates(lane, item) : lane.order);
  const seen = new Set(item >= 0 ? bucketsSeen(view, item) : lane.order);
  const top = names;
  const low = names + LANE.cell + LANE.strands;
  for (let i = 0; i < lane.size; i += 1) {
    bucketsStrand(view, context, i, item < 0 ? 0.55 : mates.has(i) ? 1 : 0.12, i === item, top + LANE.cell, low);
  }
  for (let i = 0; i < lane.size; i += 1) {
    bucketsCell(view, context, i, 6 + i * cell, top, mates.has(i) ? 1 : 0.22, i === item);
    bucketsCell(view, context, i, 6 + lane.place[i] * cell, low, seen.has(i) ? 1 : 0.22, i === item);
    if (cell < 20) continue;
    bucketsLabel(view, context, i, 6 + (i + 0.5) * cell, top - 8, i === item, -1);
    bucketsLabel(view, context, i, 6 + (lane.place[i] + 0.5) * cell, low + LANE.cell + LANE.brackets + 8, i === item, 1);
  }
  bucketsBrackets(view, context, item, low);
}

function bucketsStrand(view, context, i, alpha, bold, y0, y1) {
  const { lane, cell } = view;
  const x0 = 6 + (i + 0.5) * cell;
  const x1 = 6 + (lane.place[i] + 0.5) * cell;
  context.globalAlpha = alpha;
  context.strokeStyle = LANE.colours[lane.bucket[i] % LANE.colours.length];
  context.lineWidth = bold ? 4 : cell >= 20 ? 2 : 1;
  context.beginPath();
  context.moveTo(x0, y0 + 2);
  context.bezierCurveTo(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, x1, y1 - 2);
  context.stroke();
  context.globalAlpha = 1;
}

function bucketsCell(view, context, i, x, y, alpha, bold) {
  const { lane, cell } = view;
  const w = cell > 6 ? cell - 2 : cell;
  context.globalAlpha = alpha;
  context.fillStyle = LANE.colours[lane.bucket[i] % LANE.colours.length];
  context.fillRect(x, y, w, LANE.cell);
  if (i >= view.space.items.length && view.space.kind !== "grid") hatch(context, x, y, w, LANE.cell);
  context.globalAlpha = 1;
  if (bold) {
    context.strokeStyle = themeColour("ink");
    context.lineWidth = 2.5;
    context.strokeRect(x + 0.5, y - 0.5, w - 1, LANE.cell + 1);
  }
  if (cell < 20) return;
  context.fillStyle = alpha < 1 ? themeColour("quiet") : "#10151c";
  context.font = "bold 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  if (lane.bucket[i] < 1e6) context.fillText(String(lane.bucket[i]), x + w / 2, y + LANE.cell / 2 + 0.5);
}

function bucketsLabel(view, context, i, x, y, bold, side) {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 3);
  context.fillStyle = themeColour(bold ? "ink" : "quiet");
  context.font = `${bold ? "bold " : ""}12.5px system-ui, sans-serif`;
  context.textAlign = side < 0 ? "left" : "right";
  context.textBaseline = "middle";
  context.fillText(bucketsName(view, i).slice(0, 11), 0, 0);
  context.restore();
}

// Chunks as brackets; the chosen token's with a full line, the one before it dashed.
function bucketsBrackets(view, context, item, low) {
  const { lane, cell } = view;
  const mine = item >= 0 ? Math.floor(lane.place[item] / lane.chunk) : -9;
  for (let at = 0; at * lane.chunk < lane.size; at += 1) {
    const x = 6 + at * lane.chunk * cell + 1;
    const w = Math.min(lane.chunk, lane.size - at * lane.chunk) * cell - 4;
    const lit = at === mine || at === mine - 1;
    context.strokeStyle = themeColour(lit ? "accent" : "line");
    context.lineWidth = lit ? 3 : 2;
    context.setLineDash(at === mine - 1 ? [6, 4] : []);
    context.beginPath();
    context.moveTo(x, low + LANE.cell + 6);
    context.lineTo(x, low + LANE.cell + 13);
    context.lineTo(x + w, low + LANE.cell + 13);
    context.lineTo(x + w, low + LANE.cell + 6);
    context.stroke();
  }
  context.setLineDash([]);
}

function bucketsSentence(view, item) {
  const { lane } = view;
  const names = (list) => list.slice(0, 12).map((i) => bucketsName(view, i)).join(", ") + (list.length > 12 ? " …" : "");
  return t("“{item}” is in bucket {bucket} with: {mates}. Its chunk is {chunk} of {all}; it may look at: {seen}.", {
    item: bucketsName(view, item), bucket: lane.bucket[item], mates: names(bucketMates(lane, item)),
    chunk: Math.floor(lane.place[item] / lane.chunk) + 1, all: Math.ceil(lane.size / lane.chunk), seen: names(bucketsSeen(view, item)),
  });
}

function bucketsSaid(view) {
  const text = view.item >= 0 ? bucketsSentence(view, view.item) : t("Point at a token, or move with the arrow keys, to see its bucket and its chunk.");
  return sideCard("", h("p", { class: "s-sentence" }, text));
}

function bucketsTable(view) {
  const { lane } = view;
  return tableTwin([t("place"), t("token"), t("bucket"), t("sorted place"), t("chunk")], () => [...lane.bucket.keys()].map((i) => (
    [i + 1, bucketsName(view, i), lane.bucket[i], lane.place[i] + 1, Math.floor(lane.place[i] / lane.chunk) + 1])));
}
