// Small pieces that several screens are made of: choosers, scrubbers, bars, cards.
import { choices, menu } from "../controls.js";
import { h, number, tokenText } from "../draw.js";
import { t } from "../words.js";

export function percent(share) {
  const digits = share >= 0.1 ? 0 : share >= 0.001 || share === 0 ? 1 : 2;
  return `${(100 * share).toFixed(digits)} %`;
}

/** Two digits behind the point, with a true minus. */
export function brief(value) {
  if (value === -Infinity) return "−∞";
  return number(value, 2).replace("-", "−");
}

export function sideCard(title, ...children) {
  return h("section", { class: "card s-card" }, title && h("h3", {}, title), children);
}

/** Puts children into an element; what is null or false is left out. */
export function place(root, ...children) {
  root.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

export function hintText(...children) {
  return h("p", { class: "s-hint" }, children);
}

// The page finds what had the focus by its id after every drawing, so controls need one that stays the same.
function controlId(label, more = "") {
  return `s-${label}${more}`.replace(/\s+/g, "-");
}

/** A labelled list to choose one of. Options are [value, text]. */
export function choice(label, options, current, onchoose) {
  return menu(controlId(label), label, options.map(([value, text]) => ({ value: String(value), text })), String(current), onchoose);
}

/** A row of buttons of which one is down. */
export function switcher(label, options, current, onchoose) {
  return choices(controlId(label), label, options.map(([value, text]) => ({ value, text })), current, onchoose);
}

/** ◀ 3 of 12 ▶ with a slider between: for layers and steps. `value` counts from 0, people from 1. */
export function scrubber(label, value, count, onset) {
  const slider = h("input", { type: "range", min: 1, max: count, step: 1, value: value + 1, id: controlId(label), "aria-label": label });
  slider.addEventListener("change", () => onset(Number(slider.value) - 1));
  const arrow = (sign, name, to) => h("button", {
    type: "button", id: controlId(label, sign), "aria-label": `${label}: ${name}`, disabled: to < 0 || to >= count, onclick: () => onset(to),
  }, sign);
  return h("div", { class: "control s-scrub", role: "group", "aria-label": label },
    h("span", { class: "control-name" }, label), arrow("◀", t("previous"), value - 1), count > 1 && slider,
    arrow("▶", t("next"), value + 1), h("output", { class: "s-of" }, t("{n} of {all}", { n: value + 1, all: count })));
}

/** Names with a bar and a number. Rows are {name, share, text, mark, rest}; a share is of the whole width. */
export function barList(rows, attributes = {}) {
  return h("div", { class: "s-bars", role: "list", ...attributes }, rows.map((row) => {
    const width = `${Math.max(0, Math.min(1, row.share)) * 100}%`;
    return h("div", { class: `s-row${row.mark ? " s-mark" : ""}${row.rest ? " s-rest" : ""}`, role: "listitem" },
      h("span", { class: "s-name", dir: "auto" }, row.name),
      h("span", { class: "s-track" }, h("span", { class: "s-bar", style: { width } })),
      h("span", { class: "s-number" }, row.text ?? percent(row.share)));
  }));
}

/** What an item of a space is called: its label, or the place of a grid's cell. */
export function itemName(space, item) {
  const cell = item - (space.prefix ?? 0);
  if (space.kind === "grid" && cell >= 0) {
    return t("patch (row {y}, column {x})", { y: Math.floor(cell / space.columns) + 1, x: (cell % space.columns) + 1 });
  }
  return space.items[item] === undefined ? String(item + 1) : tokenText(space.items[item]);
}

export function spaceSize(space) {
  return space.kind === "grid" ? (space.prefix ?? 0) + space.rows * space.columns : space.items.length;
}

/** A field of the state as a whole number within bounds. */
export function wholeWithin(value, count, otherwise = 0) {
  const chosen = value === undefined || value === null || value === "" ? NaN : Number(value);
  return Number.isInteger(chosen) && chosen >= 0 && chosen < count ? chosen : otherwise;
}

/** Heads by name, the mean first. */
export function headChoice(heads, head, onchoose) {
  const options = [["mean", t("mean of heads")]];
  for (let i = 0; i < heads; i += 1) options.push([i, t("head {n}", { n: i + 1 })]);
  return choice(t("Head"), options, head, (to) => onchoose(to === "mean" ? to : Number(to)));
}

export function headWithin(value, heads) {
  return wholeWithin(value, heads, heads > 1 ? "mean" : 0);
}

/** Row `row` of h n m weights for one head or "mean"; with `across`, column `row`. */
export function lineOf(weights, head, row, across = false) {
  const { data, heads, rows, columns } = weights;
  const result = new Float32Array(across ? rows : columns);
  const among = head === "mean" ? [...Array(heads).keys()] : [head];
  for (const one of among) {
    for (let i = 0; i < result.length; i += 1) {
      const [y, x] = across ? [i, row] : [row, i];
      result[i] += data[(one * rows + y) * columns + x] / among.length;
    }
  }
  return result;
}

/** Places of the `most` largest values, largest first. */
export function topOf(values, most) {
  return [...values.keys()].sort((a, b) => values[b] - values[a] || a - b).slice(0, most);
}

/** Where in a box of `width` by `height` cells a pointer is, from its place on an element. */
export function cellUnder(element, event, rows, columns) {
  const box = element.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * columns);
  const y = Math.floor(((event.clientY - box.top) / box.height) * rows);
  return x >= 0 && y >= 0 && x < columns && y < rows ? { x, y } : null;
}

/** A canvas of a size in CSS pixels, sharp on any screen, with its context scaled to them. */
export function sharpCanvas(width, height, attributes = {}) {
  const dense = Math.min(window.devicePixelRatio || 1, 3, 16000 / width); // wider than that no browser draws
  const canvas = h("canvas", { ...attributes, width: Math.round(width * dense), height: Math.round(height * dense) });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(dense, dense);
  return { canvas, context };
}

/** Puts a wide picture into a frame that scrolls, with the place `x` of the picture in the middle of what is seen. */
export function scrolledTo(frame, x) {
  queueMicrotask(() => { frame.scrollLeft = Math.max(0, x - frame.clientWidth / 2); });
  return frame;
}

/** A colour of the theme by its name in the style sheet. */
export function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() || "#777777";
}
