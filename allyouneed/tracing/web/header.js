// The head of the page: which model, how far it was checked, what went in and out; and what a reader must know, below.
import { h, number, tokenText } from "./draw.js";
import { openExport } from "./export.js";
import { openHelp } from "./keys.js";
import { t } from "./words.js";

const LIMIT = 1e-3; // a larger difference from the model's real output is not rounding

/** The largest difference between what is drawn and what the model did; null if nothing was compared. */
export function worstError(trace) {
  const errors = Object.values(trace.manifest.relations).flatMap((relation) => relation.layers.map((layer) => layer.error ?? null));
  const known = errors.filter((error) => error !== null);
  return known.length ? Math.max(...known) : null;
}

function check(trace) {
  const error = worstError(trace);
  if (error === null) return Object.keys(trace.manifest.relations).length ? h("span", { class: "chip", title: t("No layer's output was compared.") }, t("not checked")) : null;
  const rounded = error.toExponential(0).replace(/e([+-])(\d)$/, "e$10$2");
  const good = error <= LIMIT;
  const title = good
    ? t("Weights times values differ from the layers' real outputs by at most this much, in the rows that were compared.")
    : t("The drawn weights do not explain the model's real output. Do not trust this picture.");
  return h("span", { class: good ? "chip good" : "chip bad", role: good ? null : "alert", title }, good ? `✓ ${t("checked {error}", { error: rounded })}` : `⚠ ${t("differs by {error}", { error: rounded })}`);
}

/** Sizes in words: tokens of each space, layers and heads, parameters. */
export function sizes(trace) {
  const { model, spaces, relations } = trace.manifest;
  const titles = Object.values(spaces).map((space) => space.title).filter(Boolean);
  const told = Object.entries(spaces).filter(([, { title }]) => !titles.some((other) => title?.startsWith(`${other},`)));
  const lengths = told.map(([name, space]) => {
    const title = t(space.title || name), count = trace.count(name);
    if (space.kind === "grid") return t("{name}: {rows} × {columns}", { name: title, rows: space.rows, columns: space.columns });
    return name === "tokens" ? t("{count} tokens", { count }) : t("{name}: {count} tokens", { name: title, count });
  });
  const shapes = new Set(Object.values(relations).map(({ layers }) => t(layers.length === 1 ? "1 layer × {heads} heads" : "{layers} layers × {heads} heads", { layers: layers.length, heads: Math.max(0, ...layers.map((layer) => layer.heads)) })));
  const count = model.parameters;
  const parameters = count >= 1e6 ? `${(count / 1e6).toFixed(1)} M` : count >= 1e3 ? `${(count / 1e3).toFixed(0)} k` : String(count);
  return [...lengths, ...shapes, ...(count ? [t("{count} parameters", { count: parameters })] : [])];
}

function brand(trace) {
  const { model, title } = trace.manifest;
  return h("div", { class: "brand" },
    h("h1", {}, model.name, model.run && model.run !== model.name && h("span", { class: "run" }, model.run)),
    h("p", { class: "facts" }, model.task && h("span", { class: "task" }, t(model.task)), check(trace), sizes(trace).map((text) => h("span", {}, text)),
      title && title !== model.name && title !== model.run && h("span", {}, title)));
}

function said(trace) {
  const { input, output } = trace.manifest;
  if (!input && !output) return null;
  const line = (mark, text, title) => text && h("p", { class: "said" }, h("span", { class: "mark", title: t(title), "aria-hidden": "true" }, mark), h("bdi", { dir: "auto" }, tokenText(text).replace(/·/g, " ")));
  return h("div", { class: "sentences" }, line("→", input, "input"), line("⇒", output, "output"));
}

export function header(app) {
  const dark = app.theme === "dark";
  const button = (id, text, title, act) => h("button", { id, class: "tool", title, "aria-label": title, onclick: act }, text);
  return h("header", { class: "top" }, brand(app.trace),
    h("div", { class: "tools" },
      button("tool-language", app.language === "zh" ? "EN" : "中文", app.language === "zh" ? "English" : "中文界面", () => app.set({ lang: app.language === "zh" ? "en" : "zh" }, { replace: true })),
      button("tool-theme", dark ? "☀" : "☾", t(dark ? "Light colours" : "Dark colours"), () => app.set({ theme: dark ? "light" : "dark" }, { replace: true })),
      button("tool-export", t("Export"), t("Save this picture, its numbers or the page"), () => openExport(app)),
      button("tool-help", "?", t("Help and keys"), () => openHelp(app))),
    said(app.trace));
}

/** What was cut, pooled or left out, and what this page does not know. */
export function notes(app) {
  const { trace, other } = app, lines = [];
  if (worstError(trace) > LIMIT) lines.push(t("Warning: weights times values differ from the model's real output by {error}.", { error: number(worstError(trace), 4) }));
  for (const one of [trace, other]) {
    if (!one) continue;
    lines.push(...one.manifest.notes);
    if (one.unknown.length) lines.push(t("This page does not know these parts of the trace: {names}. A newer one may show them.", { names: one.unknown.join(", ") }));
  }
  const made = trace.manifest.model.library && t("Recorded by allyouneed {version}.", { version: trace.manifest.model.library });
  const say = h("p", { class: "quiet" }, t("Attention weights say where a model looked, not by themselves why it answered so."), " ", made);
  return [h("footer", {}, lines.length > 0 && h("ul", { class: "notes" }, lines.map((line) => h("li", {}, line))), say)];
}
