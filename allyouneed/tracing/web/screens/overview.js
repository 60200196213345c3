// All layers and heads as small maps, with what each does in words. A click opens the head.
import { choices, menu, relationChoice } from "../controls.js";
import { h, heatmap, number, svg, tableTwin } from "../draw.js";
import { measurable, patternName, shares, strongPattern } from "../patterns.js";
import { pooled } from "../weights.js";
import { t } from "../words.js";

const ORDERS = ["order", "entropy", "distance", "pattern"];

/** All heads of a relation with their measures. */
function headsOf(trace, relation) {
  const cheap = measurable(trace, relation);
  return trace.manifest.relations[relation].layers.flatMap((layer, l) => Array.from({ length: layer.heads }, (_, head) => {
    const found = cheap ? strongPattern(shares(trace, relation, l, head)) : null;
    const columns = trace.size(relation).columns, entropy = layer.entropy?.[head] ?? null;
    const spread = entropy !== null && entropy > 0.95 * Math.log2(Math.max(2, columns)) && !layer.causal;
    return { relation, layer: l, head, entropy, distance: layer.distance?.[head] ?? null, pattern: found?.[0] ?? (spread ? "spread" : null), share: found?.[1] ?? 0 };
  }));
}

function paint(trace, canvas, { relation, layer, head }) {
  const small = trace.small(relation, layer, head), signed = trace.manifest.relations[relation].kind === "signed";
  if (!small) return;
  const [rows, columns] = trace.maps.shape(relation, layer), seen = trace.maps.exact(relation, layer) ? trace.visible(relation, layer, head) : null;
  const visible = seen && rows * columns <= 4.2e6 ? trace.maps.remember(`mask ${relation} ${layer} ${seen.length} ${small.rows}`, () => pooled(seen, rows, columns, Math.max(small.rows, small.columns)).data) : null;
  const max = signed ? Math.max(...small.data.map(Math.abs)) : small.max;
  heatmap(canvas, small.data, small.rows, small.columns, { max, signed, visible: visible?.length === small.data.length ? visible : null, cell: Math.max(2, Math.round(96 / Math.max(small.rows, small.columns))) });
  canvas.style.aspectRatio = `${Math.max(0.4, Math.min(2.5, small.columns / small.rows))}`;
}

function headWords(one, sort) {
  if (sort === "entropy") return one.entropy === null ? "" : t("{bits} bits", { bits: number(one.entropy, 2) });
  if (sort === "distance") return one.distance === null ? "" : t("{items} away", { items: number(one.distance, 1) });
  if (one.pattern) return one.share ? `${patternName(one.pattern)} ${one.share.toFixed(2)}` : patternName(one.pattern);
  return one.entropy === null ? "" : t("{bits} bits", { bits: number(one.entropy, 2) });
}

function card(app, one, sort, flat, watch) {
  const name = flat ? `${one.layer + 1} · ${one.head + 1}` : String(one.head + 1), text = headWords(one, sort), canvas = h("canvas", { "aria-hidden": "true" });
  const columns = app.trace.size(one.relation).columns;
  const share = one.entropy === null ? null : Math.min(1, one.entropy / Math.log2(Math.max(2, columns)));
  const full = [t("Layer {layer}", { layer: one.layer + 1 }), t("head {head}", { head: one.head + 1 }), text, one.entropy !== null && `${t("entropy")} ${number(one.entropy, 2)}`, one.distance !== null && `${t("distance")} ${number(one.distance, 1)}`].filter(Boolean).join(", ");
  const button = h("button", { id: `map-${one.relation}-${one.layer}-${one.head}`, class: "map", title: full, "aria-label": full, "data-cell": `${one.layer},${one.head}`,
    onclick: () => app.set({ screen: "head", relation: one.relation, layer: one.layer, head: one.head, query: null, key: null }) },
    canvas, h("span", { class: "caption" }, h("b", {}, name), h("span", {}, text)), share !== null && h("span", { class: "meter" }, h("span", { style: { width: `${100 * share}%` } })));
  canvas.draw = () => paint(app.trace, canvas, one);
  watch.observe(canvas);
  return button;
}

/** Arrow keys move among the maps as they lie on the page. */
function moves(event) {
  const here = event.target.closest(".map");
  if (!here || !["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  const all = [...event.currentTarget.querySelectorAll(".map")], at = all.indexOf(here), box = here.getBoundingClientRect();
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") return void all[at + (event.key === "ArrowLeft" ? -1 : 1)]?.focus();
  const down = event.key === "ArrowDown" ? 1 : -1;
  const rows = all.map((map) => [map, map.getBoundingClientRect()]).filter(([, other]) => down * (other.top - box.top) > box.height / 2);
  const near = (other) => Math.abs(other.top - box.top) * 10 + Math.abs(other.left - box.left);
  rows.sort((a, b) => near(a[1]) - near(b[1]))[0]?.[0].focus();
}

function overviewControls(app, shown, patterns) {
  const { trace } = app, sort = app.state.sort ?? "order", filter = app.state.filter ?? "all";
  const all = Object.keys(trace.manifest.relations), names = { order: "layers and heads", entropy: "entropy", distance: "distance", pattern: "strongest pattern" };
  const options = ORDERS.map((name) => ({ value: name, text: t(names[name]) }));
  const filters = [{ value: "all", text: t("all heads") }, ...patterns.map((name) => ({ value: name, text: patternName(name) }))];
  return h("div", { class: "controls" },
    all.length > 1 && choices("show", t("Relation"), [{ value: "all", text: t("All") }, ...all.map((name) => ({ value: name, text: t({ encoder: "Encoder", decoder: "Decoder", cross: "Cross" }[name] ?? (trace.manifest.relations[name].title || name)) }))], shown, (show) => app.set({ show })),
    menu("sort", t("Sort by"), options, sort, (value) => app.set({ sort: value === "order" ? null : value }, { replace: true })),
    patterns.length > 0 && menu("filter", t("Show"), filters, filter, (value) => app.set({ filter: value === "all" ? null : value }, { replace: true })));
}

function sorted(heads, sort) {
  const by = { entropy: (one) => one.entropy ?? Infinity, distance: (one) => one.distance ?? Infinity, pattern: (one) => -one.share }[sort];
  return by ? [...heads].sort((a, b) => by(a) - by(b)) : heads;
}

function group(app, relation, heads, sort, filter, watch) {
  const what = app.trace.manifest.relations[relation], spaces = app.trace.manifest.spaces;
  const list = sorted(heads.filter((one) => filter === "all" || one.pattern === filter), sort), flat = sort !== "order" || filter !== "all";
  const ends = what.queries === what.keys ? t(spaces[what.queries]?.title ?? "") : `${t(spaces[what.queries]?.title ?? "")} → ${t(spaces[what.keys]?.title ?? "")}`;
  const head = h("h2", {}, t(what.title || relation), h("span", { class: "quiet" }, ends));
  const size = what.layers[0].heads <= 4 ? 116 : what.layers[0].heads <= 8 ? 96 : 80;
  const maps = (some) => h("div", { class: size < 110 ? "maps stacked" : "maps", style: { "--map": `${size}px` } }, some.map((one) => card(app, one, sort, flat, watch)));
  const layer = (l) => h("div", { class: "map-row" }, h("span", {}, t("Layer {layer}", { layer: l + 1 })), maps(list.filter((one) => one.layer === l)));
  const body = !list.length ? h("p", { class: "quiet" }, t("No head does that.")) : flat ? maps(list) : what.layers.map((_, l) => layer(l));
  return h("section", { class: "map-group" }, head, body);
}

/** All maps as one picture, where they lie on the page. */
function overviewVector(root, trace) {
  const base = root.getBoundingClientRect(), parts = [];
  const place = (element) => { const box = element.getBoundingClientRect(); return { x: box.left - base.left, y: box.top - base.top, width: box.width, height: box.height }; };
  for (const canvas of root.querySelectorAll(".map canvas")) {
    canvas.draw();
    parts.push(svg("image", { ...place(canvas), href: canvas.toDataURL(), preserveAspectRatio: "none", style: "image-rendering: pixelated" }));
  }
  for (const text of root.querySelectorAll("h2, .map-row > span, .caption b, .caption span")) {
    const { x, y, height } = place(text), size = parseFloat(getComputedStyle(text).fontSize);
    if (height) parts.push(svg("text", { x, y: y + height / 2 + size * 0.35, "font-size": size, "font-family": "system-ui, Noto Sans, Noto Sans CJK SC, sans-serif", fill: "#1b212c" }, text.firstChild?.textContent ?? ""));
  }
  return svg("svg", { viewBox: `0 0 ${base.width} ${base.height}` }, svg("title", {}, trace.manifest.model.name), parts);
}

export const overviewScreen = {
  name: "overview",
  available(trace) { return Object.values(trace.manifest.relations).some((relation) => relation.layers.length); },
  render(root, app) {
    const { trace } = app, all = Object.keys(trace.manifest.relations), sort = app.state.sort ?? "order", filter = app.state.filter ?? "all";
    const total = all.reduce((sum, name) => sum + trace.manifest.relations[name].layers.reduce((part, layer) => part + layer.heads, 0), 0);
    const wish = app.state.show, shown = all.includes(wish) || wish === "all" ? wish : total <= 160 ? "all" : all[0];
    const names = shown === "all" ? all : [shown], heads = Object.fromEntries(names.map((name) => [name, headsOf(trace, name)]));
    const watch = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) if (isIntersecting) { watch.unobserve(target); target.draw(); }
    }, { rootMargin: "200px" });
    const patterns = [...new Set(names.flatMap((name) => heads[name].map((one) => one.pattern)))].filter(Boolean);
    const groups = names.map((name) => group(app, name, heads[name], sort, filter, watch));
    const table = () => names.flatMap((name) => heads[name].map((one) => [t(trace.manifest.relations[name].title || name), one.layer + 1, one.head + 1, one.entropy === null ? "" : number(one.entropy, 3), one.distance === null ? "" : number(one.distance, 2), one.pattern ? headWords(one, "order") : ""]));
    const whole = h("div", { class: "map-groups", "data-picture": "overview", onkeydown: moves, style: { "--group": `${Math.max(...names.map((name) => Math.min(12, trace.manifest.relations[name].layers[0]?.heads ?? 1))) * 104 + 80}px` } }, groups);
    whole.vector = () => overviewVector(whole, trace);
    root.append(overviewControls(app, shown, patterns), whole,
      h("p", { class: "quiet" }, t("Each map runs from 0 to its own largest weight; rows are queries, columns keys. The bar below is the entropy: full is an even look at everything.")),
      tableTwin([t("relation"), t("layer"), t("head"), t("entropy"), t("distance"), t("pattern")], table));
  },
  python(app) { return `trace.plot("heads", relation=${JSON.stringify(app.state.relation)}, output="heads.svg")`; },
};
