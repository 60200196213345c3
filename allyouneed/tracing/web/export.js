// What can be taken away: the picture as vectors or pixels, its numbers, the page itself, a link and the line of Python.
import { h } from "./draw.js";
import { dialog } from "./keys.js";
import { savedPage } from "./saving.js";
import { t } from "./words.js";

const STYLES = "fill fill-opacity stroke stroke-width stroke-opacity stroke-dasharray opacity font-size font-family font-weight font-style text-anchor dominant-baseline display visibility".split(" ");

/** Pictures of the screen: what is marked so, else the largest drawing. */
export function picturesOf(root) {
  const marked = [...root.querySelectorAll("[data-picture]")];
  if (marked.length) return marked;
  const size = (element) => { const box = element.getBoundingClientRect(); return box.width * box.height; };
  return [...root.querySelectorAll("svg, canvas")].sort((a, b) => size(b) - size(a)).slice(0, 1);
}

/** An SVG that needs no style sheet, in light colours whatever the page's. */
function standalone(element) {
  const page = document.documentElement, theme = page.dataset.theme, box = element.viewBox?.baseVal;
  const copy = element.cloneNode(true), from = [element, ...element.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  page.dataset.theme = "light";
  if (element.isConnected) {
    from.forEach((one, i) => {
      const style = getComputedStyle(one);
      for (const name of STYLES) to[i].style.setProperty(name, style.getPropertyValue(name));
      to[i].removeAttribute("class");
    });
  }
  page.dataset.theme = theme;
  copy.removeAttribute("tabindex");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  if (box?.width) Object.entries({ width: box.width, height: box.height }).forEach(([name, value]) => copy.setAttribute(name, value));
  return copy;
}

function imageIn(canvas) {
  const holder = document.createElementNS("http://www.w3.org/2000/svg", "svg"), image = document.createElementNS("http://www.w3.org/2000/svg", "image");
  const ratio = canvas.width / Math.max(1, canvas.clientWidth || canvas.width), width = canvas.width / ratio, height = canvas.height / ratio;
  Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` }).forEach(([name, value]) => holder.setAttribute(name, value));
  Object.entries({ width, height, href: canvas.toDataURL() }).forEach(([name, value]) => image.setAttribute(name, value));
  holder.append(image);
  return holder;
}

/** A picture as the text of an SVG file. A canvas may offer `vector()`, else its pixels go inside. */
export function svgText(element) {
  const drawn = element.vector ? element.vector() : element.localName === "canvas" ? imageIn(element) : element;
  return new XMLSerializer().serializeToString(standalone(drawn));
}

async function pixels(element, scale) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText(element))}`;
  await image.decode();
  const canvas = h("canvas", { width: Math.round(image.width * scale), height: Math.round(image.height * scale) }), pen = canvas.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function csvText(rows) {
  const cell = (value) => { const text = String(value ?? ""); return /[",\n\r]/.test(text) || /^[=+@]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text; };
  return "\ufeff" + rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function rowsOf(app) {
  const screen = app.screen();
  return screen.rows ? screen.rows(app) : [...document.querySelectorAll("#screen details.twin")].flatMap((twin) => (twin.csv ? twin.csv() : []));
}

function download(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([].concat(content), { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 30000);
}

function nameOf(app) {
  const { relation, layer, head } = app.state, where = ["head", "compare"].includes(app.screen().name) ? [relation, `layer${layer + 1}`, Number.isInteger(head) ? `head${head + 1}` : head] : [];
  return [app.trace.manifest.model.name, app.screen().name, ...where].filter(Boolean).join("-").replace(/[^\w.-]+/g, "-");
}

function copyable(id, text) {
  const button = h("button", { id, class: "tool", onclick: () => navigator.clipboard?.writeText(text).then(() => { button.textContent = t("Copied"); }, () => getSelection().selectAllChildren(code)) }, t("Copy"));
  const code = h("pre", {}, h("code", {}, text));
  return [code, h("div", { class: "row" }, button)];
}

export function openExport(app) {
  const screen = app.screen();
  if (!screen) return;
  const pictures = picturesOf(document.getElementById("screen")), name = nameOf(app);
  const button = (id, text, act) => h("button", { id, class: "tool", onclick: act }, text);
  const picture = (element, i) => h("div", { class: "row" }, pictures.length > 1 && h("span", { class: "control-name" }, t(element.dataset.picture || "picture")),
    button(`export-svg-${i}`, "SVG", () => download(`${name}-${i + 1}.svg`, svgText(element), "image/svg+xml")),
    button(`export-png-${i}`, "PNG", async () => download(`${name}-${i + 1}.png`, await pixels(element, 3))));
  dialog(t("Export"),
    pictures.length > 0 && [h("h3", {}, t("Picture")), pictures.slice(0, 8).map(picture)],
    h("h3", {}, t("Numbers and page")),
    h("div", { class: "row" }, button("export-csv", t("Numbers as CSV"), () => download(`${name}.csv`, csvText(rowsOf(app)), "text/csv")),
      button("export-page", t("This page as a file"), () => download(`${app.trace.manifest.model.name}.html`, savedPage(app), "text/html"))),
    screen.python && [h("h3", {}, t("The same in Python")), copyable("export-python", screen.python(app))],
    h("h3", {}, t("Link")), copyable("export-link", location.href));
}
