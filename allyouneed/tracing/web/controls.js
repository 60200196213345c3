// Controls that screens share: a row of choices, a slider, and the choice of relation, layer and head.
import { h } from "./draw.js";
import { t } from "./words.js";

/** A row of choices of which one holds; arrow keys move inside it. `options`: [{value, text, title}]. */
export function choices(id, label, options, chosen, pick) {
  const at = options.findIndex((option) => option.value === chosen);
  const move = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by || options.length < 2) return;
    event.preventDefault();
    const to = (at + by + options.length) % options.length;
    pick(options[to].value);
    document.getElementById(`${id}-${to}`)?.focus();
  };
  const buttons = options.map((option, i) => h("button", { id: `${id}-${i}`, role: "radio", "aria-checked": String(i === at), title: option.title,
    tabindex: i === Math.max(0, at) ? 0 : -1, onclick: () => pick(option.value) }, option.text));
  return h("div", { class: "control" }, label && h("span", { class: "control-name", id: `${id}-name` }, label),
    h("div", { class: "choices", role: "radiogroup", "aria-label": label, onkeydown: move }, buttons));
}

/** A choice from many. */
export function menu(id, label, options, chosen, pick) {
  const entries = options.map(({ value, text }) => h("option", { value, selected: value === chosen }, text));
  return h("label", { class: "control" }, h("span", { class: "control-name" }, label),
    h("select", { id, onchange: (event) => pick(event.target.value) }, entries));
}

export function slider(id, label, { value, least, most, step, text }, move) {
  const shown = h("output", { class: "control-value" }, text(value));
  const input = h("input", { id, type: "range", min: least, max: most, step, value, "aria-label": label || t("Share of each row that is drawn"),
    oninput: (event) => { shown.textContent = text(Number(event.target.value)); }, onchange: (event) => move(Number(event.target.value)) });
  return h("label", { class: "control" }, label && h("span", { class: "control-name" }, label), input, shown);
}

const SHORT = { encoder: "Encoder", decoder: "Decoder", cross: "Cross", self: "Self-attention", mixing: "Mixing" };

/** A relation's name for a button. */
export function relationName(name, relation) {
  return t(SHORT[name] ?? (relation.title || name));
}

export function relationChoice(app, trace, chosen, pick, id = "relation") {
  const all = Object.entries(trace.manifest.relations);
  const text = ([name, relation]) => ({ value: name, text: relationName(name, relation), title: t(relation.title || name) });
  if (all.length < 2) return null;
  return all.length <= 5 ? choices(id, t("Relation"), all.map(text), chosen, pick) : menu(id, t("Relation"), all.map(text), chosen, pick);
}

export function layerChoice(relation, chosen, pick, id = "layer") {
  if (relation.layers.length < 2) return null;
  const options = relation.layers.map((layer, i) => ({ value: i, text: String(i + 1), title: layer.module }));
  if (options.length <= 12) return choices(id, t("Layer"), options, chosen, pick);
  return menu(id, t("Layer"), options.map((option) => ({ ...option, value: String(option.value) })), String(chosen), (value) => pick(Number(value)));
}

/** The line of Python that draws one head's matrix, and the chosen query's lines. */
export function pythonOf(trace, { relation, layer, head, query = null }) {
  const where = `relation=${JSON.stringify(relation)}, layer=${layer}`;
  if (head === "max") return `${trace}.weights(${JSON.stringify(relation)}, layer=${layer}).max(0)  # queries by keys`;
  const one = Number.isInteger(head) ? `, head=${head}` : "";
  const lines = query === null ? "" : `\n${trace}.plot("lines", ${where}${one}, query=${query}, output="lines.svg")`;
  return `${trace}.plot("attention", ${where}${one}, output="attention.svg")${lines}`;
}

/** Heads by number, and their mean and largest. */
export function headName(head) {
  if (head === "mean") return t("mean of all heads");
  if (head === "max") return t("largest of all heads");
  return t("head {head}", { head: Number(head) + 1 });
}
