// Small matrices on a canvas with the names of their rows and columns, which answer pointer and keys.
import { cells } from "../draw.js";
import { sharpCanvas, themeColour } from "./parts.js";
import { asVectors } from "./pen.js";

const MAP_CELLS = 300000; // more are not drawn anew for every move of the pointer

/** Pixels that are there for a picture inside a card. */
export function roomWide() {
  const screen = Math.min(document.documentElement.clientWidth, 1480);
  return Math.max(240, screen - 2 * Math.max(14, Math.min(40, screen * 0.026)) - 36);
}

/** How wide a chart in one of two columns is. */
export function chartWide() {
  return Math.round(Math.min(600, roomWide() > 740 ? roomWide() / 2 - 26 : roomWide()));
}

function axisNames(context, box, names, lit, upright) {
  const pen = (bold, size) => {
    context.fillStyle = themeColour(bold ? "ink" : "quiet");
    context.font = `${bold ? "bold " : ""}${size}px system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif`;
  };
  context.textBaseline = "middle";
  context.textAlign = upright ? "right" : "left";
  names.forEach((name, i) => {
    const step = upright ? box.tall : box.wide;
    if (step < 9 && i !== lit) return;
    pen(i === lit, Math.max(10, Math.min(13, step)));
    context.save();
    if (upright) context.translate(box.left - 8, box.top + (i + 0.5) * box.tall);
    else context.translate(box.left + (i + 0.5) * box.wide, box.top - 8);
    if (!upright) context.rotate(-Math.PI / 4);
    context.fillText(name.slice(0, 13), 0, 0);
    context.restore();
  });
}

/**
 * A canvas with a heat map and names. `cell` is {wide, tall}; `row` is framed; `point(at or null)` hears of the cell under
 * the pointer, `choose(row, column)` of clicks, and of rows chosen by keys.
 */
export function labelledMap({ values, rows, columns, cell, row, attributes, draw, point, choose }) {
  const named = Math.min(cell.wide, cell.tall) >= 9;
  const box = { left: rows.some((name) => name) ? 92 : 4, top: named ? 74 : 4, ...cell };
  const [width, height] = [columns.length * cell.wide, rows.length * cell.tall];
  const { canvas, context } = sharpCanvas(box.left + width + 34, box.top + height + 4, { class: "s-lanes", tabindex: 0, role: "application", ...attributes });
  const paint = (at, context) => {
    context.clearRect(0, 0, box.left + width + 34, box.top + height + 4);
    cells(context, values, rows.length, columns.length, { x: box.left, y: box.top, width, height }, draw);
    axisNames(context, box, rows, at ? at.y : row, true);
    if (named) axisNames(context, box, columns, at ? at.x : -1, false);
    if (row < 0 && !at) return;
    context.strokeStyle = themeColour("key");
    context.lineWidth = 2.5;
    context.strokeRect(box.left, box.top + (at ? at.y : row) * cell.tall, width, cell.tall);
  };
  paint(null, context);
  asVectors(canvas, box.left + width + 34, box.top + height + 4, (pen) => paint(null, pen));
  const under = (event) => {
    const place = canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - place.left - box.left) / cell.wide);
    const y = Math.floor((event.clientY - place.top - box.top) / cell.tall);
    return x >= 0 && y >= 0 && x < columns.length && y < rows.length ? { x, y } : null;
  };
  const light = rows.length * columns.length <= MAP_CELLS;
  canvas.addEventListener("pointermove", (event) => { if (light) paint(under(event), context); point(under(event)); });
  canvas.addEventListener("pointerleave", () => { paint(null, context); point(null); });
  canvas.addEventListener("click", (event) => { const at = under(event); if (at) choose(at.y, at.x); });
  canvas.addEventListener("keydown", (event) => {
    const to = { ArrowUp: row - 1, ArrowDown: row + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || to < 0 || to >= rows.length) return;
    event.preventDefault();
    choose(to, null);
  });
  return canvas;
}
