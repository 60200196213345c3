// Drawing: elements, colour ramps, heat maps, scales and tables. Text always arrives as text, never as markup.
import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
// Cividis at 33 even steps: its lightness grows evenly, also for the colour-blind.
const CIVIDIS =
  "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d5a5f6e61656f686a716f70737676767d7c78848279" +
  "8c8878938e789b9476a39a74aba072b4a76fbcae6cc4b468cdbb63d5c25edec958e7d150f0d846f9e03afee838";
// Blue for negative, white for none, orange for positive.
const SIGNED = "08306b1f5fa55a9bd4a9cce3f7f7f5f8c99be8924ac45f127a3503";

function table(text) {
  const stops = text.match(/../g).map((pair) => parseInt(pair, 16));
  const last = stops.length / 3 - 1;
  const colours = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * last, low = Math.min(Math.floor(at), last - 1), share = at - low;
    for (let c = 0; c < 3; c++) {
      colours[i * 3 + c] = Math.round(stops[low * 3 + c] * (1 - share) + stops[low * 3 + 3 + c] * share);
    }
  }
  return colours;
}

const PLAIN_COLOURS = table(CIVIDIS), SIGNED_COLOURS = table(SIGNED);

function step(share) {
  return Math.max(0, Math.min(255, Math.round((Number.isFinite(share) ? share : 0) * 255)));
}

function css(colours, i) {
  return `rgb(${colours[i * 3]},${colours[i * 3 + 1]},${colours[i * 3 + 2]})`;
}

/** The colour of a share from 0 to 1. */
export function ramp(share) {
  return css(PLAIN_COLOURS, step(share));
}

/** The colour of a number from -1 to 1. */
export function signedRamp(x) {
  return css(SIGNED_COLOURS, step((x + 1) / 2));
}

/** Ink that can be read on a colour of `ramp`. */
export function inkOn(share) {
  return share > 0.52 ? "#10151c" : "#ffffff";
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style" && typeof value === "object") Object.entries(value).forEach(([k, v]) => element.style.setProperty(k, v));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** An HTML element: attributes by name, `on...` for listeners, children as elements or text. */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** A token as it is shown: spaces as a dot, line ends as an arrow, nothing as an empty sign. */
export function tokenText(string) {
  const text = String(string);
  return text === "" ? "∅" : text.replace(/[ ▁]/g, "·").replace(/[\n\r\u2028\u2029]/g, "⏎").replace(/\t/g, "⇥").replace(/[\u0000-\u001f]/g, "�");
}

/** At most `length` letters (whole ones, also beyond 16 bits). */
export function shorten(string, length) {
  const letters = string.length > length ? Array.from(string.slice(0, 4 * length)) : [];
  return letters.length > length ? letters.slice(0, length - 1).join("") + "…" : string;
}

/** A weight as text: four digits, or fewer where there is little room. */
export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  return value !== 0 && Math.abs(value) < 0.5 * 10 ** -digits ? value.toExponential(1) : value.toFixed(digits);
}

let stripes = null;

function pattern(context) {
  if (!stripes) {
    stripes = document.createElement("canvas");
    stripes.width = stripes.height = 6;
    const pen = stripes.getContext("2d");
    pen.fillStyle = "#8a919c";
    pen.fillRect(0, 0, 6, 6);
    pen.fillStyle = "#c9cdd3";
    for (let i = 0; i < 6; i++) for (let w = 0; w < 3; w++) pen.fillRect((i + w) % 6, 5 - i, 1, 1);
  }
  return context.createPattern(stripes, "repeat");
}

/** Hatches a box: what may not be looked at. Grey stripes occur in no ramp. */
export function hatch(context, x, y, w, height) {
  context.save();
  context.fillStyle = pattern(context);
  context.fillRect(x, y, w, height);
  context.restore();
}

function painted(values, rows, columns, { max = 1, signed = false }) {
  const image = document.createElement("canvas");
  image.width = columns;
  image.height = rows;
  const pixels = new ImageData(columns, rows), colours = signed ? SIGNED_COLOURS : PLAIN_COLOURS;
  const most = max > 0 ? max : 1;
  for (let i = 0; i < rows * columns; i++) {
    const at = 3 * (signed ? step((values[i] / most + 1) / 2) : step(values[i] / most));
    pixels.data[4 * i] = colours[at];
    pixels.data[4 * i + 1] = colours[at + 1];
    pixels.data[4 * i + 2] = colours[at + 2];
    pixels.data[4 * i + 3] = 255;
  }
  image.getContext("2d").putImageData(pixels, 0, 0);
  return image;
}

/** Draws cells into a box of a context; cells that may not be seen are hatched. */
export function cells(context, values, rows, columns, box, options = {}) {
  const { x, y, width, height } = box, visible = options.visible ?? null;
  if (!rows || !columns) return;
  context.imageSmoothingEnabled = false;
  context.drawImage(painted(values, rows, columns, options), x, y, width, height);
  if (!visible) return;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      if (visible[i * columns + j]) continue;
      let end = j;
      while (end < columns && !visible[i * columns + end]) end++;
      const left = Math.round(x + (j * width) / columns), top = Math.round(y + (i * height) / rows);
      hatch(context, left, top, Math.round(x + (end * width) / columns) - left, Math.round(y + ((i + 1) * height) / rows) - top);
      j = end;
    }
  }
}

/** Fills a canvas with a heat map. Its raster is a whole number of pixels per cell; its size on the page is for CSS. */
export function heatmap(canvas, values, rows, columns, options = {}) {
  const cell = options.cell ?? Math.max(1, Math.round(120 / Math.max(rows, columns, 1)));
  canvas.width = Math.max(1, columns * cell);
  canvas.height = Math.max(1, rows * cell);
  cells(canvas.getContext("2d"), values, rows, columns, { x: 0, y: 0, width: canvas.width, height: canvas.height }, options);
  return canvas;
}

/** A legend made from the numbers that are drawn: `scaleBar({max, min, title, signed, masked})`. */
export function scaleBar({ max = 1, min = 0, title = "", signed = false, masked = false, digits = 2 }) {
  const bar = h("canvas", { class: "scale-bar", width: 128, height: 1, "aria-hidden": "true" });
  const shares = Float32Array.from({ length: 128 }, (_, i) => (signed ? (i / 127) * 2 - 1 : i / 127));
  bar.getContext("2d").drawImage(painted(shares, 1, 128, { signed }), 0, 0);
  const key = h("canvas", { class: "scale-mask", width: 18, height: 12, "aria-hidden": "true" });
  if (masked) hatch(key.getContext("2d"), 0, 0, 18, 12);
  return h("div", { class: "scale" },
    title && h("span", { class: "scale-title" }, title),
    h("span", {}, number(signed ? -max : min, digits)), bar, h("span", {}, number(max, digits)),
    masked && [key, h("span", {}, t("masked"))]);
}

/** The numbers of a picture as a table that opens below it. `rows` may be a function: then it is asked when opened. */
export function tableTwin(heads, rows, title = t("As a table")) {
  const body = h("div", { class: "twin-body" });
  const fill = () => {
    if (body.firstChild) return;
    const head = h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)));
    const lines = (typeof rows === "function" ? rows() : rows).map((row) => h("tr", {}, row.map((cell) => h("td", {}, String(cell)))));
    body.append(h("table", {}, h("thead", {}, head), h("tbody", {}, lines)));
  };
  const twin = h("details", { class: "twin" }, h("summary", {}, title), body);
  if (typeof rows === "function") twin.addEventListener("toggle", () => twin.open && fill());
  else fill();
  twin.csv = () => [heads, ...(typeof rows === "function" ? rows() : rows)];
  return twin;
}
