// A pen that writes SVG where a canvas would paint: so a screen drawn on a canvas leaves the page as vectors.
import { svg } from "../draw.js";

const PEN_STRIPES = "pen-stripes";

/** As much of a canvas's 2-D context as the screens use. */
class ScreenPen {
  constructor(width, height) {
    Object.assign(this, {
      fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, globalAlpha: 1, font: "12px sans-serif", textAlign: "left", textBaseline: "alphabetic",
      imageSmoothingEnabled: true, dash: [], moves: [], path: [], kept: [],
    });
    const stripes = svg("pattern", { id: PEN_STRIPES, width: 6, height: 6, patternUnits: "userSpaceOnUse" },
      svg("rect", { width: 6, height: 6, fill: "#8a919c" }), svg("path", { d: "M-1 7L7 -1M-1 1L1 -1M5 7L7 5", stroke: "#c9cdd3", "stroke-width": 2 }));
    this.svg = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, svg("defs", {}, stripes));
  }
  put(tag, attributes, ...children) {
    const opacity = this.globalAlpha < 1 ? this.globalAlpha : null;
    this.svg.append(svg(tag, { ...attributes, opacity, transform: this.moves.join(" ") || null }, ...children));
  }
  save() {
    const { fillStyle, strokeStyle, lineWidth, globalAlpha, font, textAlign, textBaseline, dash, moves } = this;
    this.kept.push({ fillStyle, strokeStyle, lineWidth, globalAlpha, font, textAlign, textBaseline, dash, moves: [...moves] });
  }
  restore() { Object.assign(this, this.kept.pop()); }
  translate(x, y) { this.moves.push(`translate(${x} ${y})`); }
  rotate(angle) { this.moves.push(`rotate(${(angle * 180) / Math.PI})`); }
  setLineDash(dash) { this.dash = dash; }
  createPattern() { return `url(#${PEN_STRIPES})`; }
  clearRect() {}
  fillRect(x, y, width, height) { this.put("rect", { x, y, width, height, fill: this.fillStyle }); }
  strokeRect(x, y, width, height) { this.put("rect", { x, y, width, height, fill: "none", stroke: this.strokeStyle, "stroke-width": this.lineWidth }); }
  beginPath() { this.path = []; }
  moveTo(x, y) { this.path.push(`M${x} ${y}`); }
  lineTo(x, y) { this.path.push(`L${x} ${y}`); }
  bezierCurveTo(...points) { this.path.push(`C${points.join(" ")}`); }
  /** A whole circle only. */
  arc(x, y, r) { this.path.push(`M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`); }
  stroke() {
    const dash = this.dash.join(" ") || null;
    this.put("path", { d: this.path.join(""), fill: "none", stroke: this.strokeStyle, "stroke-width": this.lineWidth, "stroke-dasharray": dash });
  }
  fill() { this.put("path", { d: this.path.join(""), fill: this.fillStyle }); }
  fillText(text, x, y) {
    const anchor = { center: "middle", right: "end" }[this.textAlign] ?? "start";
    const dy = this.textBaseline === "middle" ? "0.35em" : null;
    this.put("text", { x, y, dy, fill: this.fillStyle, "text-anchor": anchor, style: `font: ${this.font}` }, text);
  }
  drawImage(image, x, y, width, height) {
    this.put("image", { x, y, width, height, href: image.toDataURL(), preserveAspectRatio: "none", style: "image-rendering: pixelated" });
  }
}

/** Lets a canvas be saved as vectors, always in light colours. `paint` draws all of it with the context it is given. */
export function asVectors(canvas, width, height, paint) {
  canvas.vector = () => {
    const page = document.documentElement;
    const theme = page.dataset.theme;
    page.dataset.theme = "light";
    const pen = new ScreenPen(width, height);
    paint(pen);
    page.dataset.theme = theme;
    return pen.svg;
  };
}
