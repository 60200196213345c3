// A heat map on a grid of cells, over the picture that the cells are parts of where there is one.
import { h, ramp, signedRamp } from "../draw.js";
import { t } from "../words.js";
import { cellUnder, itemName, spaceSize } from "./parts.js";

const gridPictures = new WeakMap();

/** The picture of a grid space as a canvas of its own pixels; null where it has none. */
export function gridPicture(trace, space) {
  if (!space.picture) return null;
  const array = trace.array(space.picture);
  if (gridPictures.has(array)) return gridPictures.get(array);
  const [height, width] = array.shape;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    for (let c = 0; c < 3; c += 1) pixels.data[4 * i + c] = array.data[3 * i + c];
    pixels.data[4 * i + 3] = 255;
  }
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  gridPictures.set(array, canvas);
  return canvas;
}

/** Height over width of a grid as it lies on its picture. */
export function gridShape(trace, space) {
  if (!space.picture) return space.rows / space.columns;
  const [height, width] = trace.array(space.picture).shape;
  return height / width;
}

/** Draws values (of cells only) over the picture. Cells are whole pixels wide and never smoothed. */
export function paintGrid(canvas, picture, space, values, { max = 1, signed = false, opacity = 1, marks = [] } = {}) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = picture !== null && picture.width > width;
  context.globalAlpha = 1;
  if (picture) context.drawImage(picture, 0, 0, width, height);
  context.globalAlpha = picture ? opacity : 1;
  const edge = (count, size, i) => Math.round((i * size) / count);
  for (let cell = 0; values && cell < space.rows * space.columns; cell += 1) {
    const x = cell % space.columns;
    const y = Math.floor(cell / space.columns);
    const share = max > 0 ? values[cell] / max : 0;
    context.fillStyle = signed ? signedRamp(share) : ramp(share);
    const left = edge(space.columns, width, x);
    const top = edge(space.rows, height, y);
    context.fillRect(left, top, edge(space.columns, width, x + 1) - left, edge(space.rows, height, y + 1) - top);
  }
  context.globalAlpha = 1;
  marks.forEach((mark) => paintMark(context, space, mark));
}

// A frame in black and white around a cell, to be seen on any colour; a label in its corner.
function paintMark(context, space, { cell, label }) {
  const { width, height } = context.canvas;
  const [w, y] = [width / space.columns, Math.floor(cell / space.columns) * (height / space.rows)];
  const x = (cell % space.columns) * w;
  const thick = Math.max(1.5, Math.min(w / 9, 5));
  context.lineWidth = 2 * thick;
  context.strokeStyle = "#ffffff";
  context.strokeRect(x + thick, y + thick, w - 2 * thick, height / space.rows - 2 * thick);
  context.lineWidth = thick;
  context.strokeStyle = "#111111";
  context.strokeRect(x + thick, y + thick, w - 2 * thick, height / space.rows - 2 * thick);
  if (!label) return;
  const size = Math.max(14, Math.min(w * 0.6, 34));
  context.fillStyle = "#111111";
  context.fillRect(x, y, size, size);
  context.fillStyle = "#ffffff";
  context.font = `bold ${size * 0.75}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(label, x + size / 2, y + size / 2);
}

/** A canvas for a grid, at most `width` CSS pixels wide: whole cells, so that a cell's colour is one colour. */
export function gridCanvas(trace, space, width, attributes = {}) {
  const dense = Math.min(window.devicePixelRatio || 1, 2);
  const wide = Math.max(1, Math.round((width * dense) / space.columns)) * space.columns;
  const tall = Math.max(1, Math.round((wide * gridShape(trace, space)) / space.rows)) * space.rows;
  const canvas = h("canvas", { ...attributes, width: wide, height: tall });
  canvas.style.maxWidth = `${Math.round(wide / dense)}px`;
  return canvas;
}

/** Makes a grid's canvas answer pointer and keys: `preview(item or null)` under the pointer, `choose(item)` for good. */
export function gridMoves(app, canvas, space, item, { preview, choose }) {
  const first = space.prefix ?? 0;
  const size = spaceSize(space);
  const under = (event) => {
    const at = cellUnder(canvas, event, space.rows, space.columns);
    return at ? first + at.y * space.columns + at.x : null;
  };
  let last = null;
  canvas.addEventListener("pointermove", (event) => {
    const at = event.pointerType === "touch" ? null : under(event);
    if (at !== last) preview(at);
    last = at;
  });
  canvas.addEventListener("pointerleave", () => { last = null; preview(null); });
  canvas.addEventListener("click", (event) => { const at = under(event); if (at !== null) choose(at); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -space.columns, ArrowDown: space.columns }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = item < first ? (step > 0 ? item + 1 : item - 1) : item + step;
    if (next >= 0 && next < size) choose(next);
  });
}

/** Buttons for what stands before a grid's cells, such as [CLS]; each on the colour of its value. */
export function prefixButtons(space, item, choose) {
  const buttons = [];
  for (let i = 0; i < (space.prefix ?? 0); i += 1) {
    buttons.push(h("button", {
      type: "button", id: `s-prefix-${i}`, class: "s-chip", "data-item": i, "aria-pressed": String(i === item),
      onclick: () => choose(i),
    }, itemName(space, i)));
  }
  return buttons.length ? h("div", { class: "s-prefix", role: "group", "aria-label": t("items before the grid") }, buttons) : null;
}
