// Keys that work on every screen, and the dialog that names them.
import { h } from "./draw.js";
import { t } from "./words.js";

function turn(app, name, by, count) {
  const now = app.state[name], at = Number.isInteger(now) ? now : 0;
  const next = Math.max(0, Math.min(count - 1, at + by));
  if (next === now) return;
  app.set({ [name]: next });
  app.say(name === "head" ? t("Head {head}", { head: next + 1 }) : t("Layer {layer}", { layer: next + 1 }));
}

export function onKey(app, event) {
  const field = event.target.closest?.("input, select, textarea, dialog");
  if (field || event.ctrlKey || event.metaKey || event.altKey) return;
  const layers = app.trace.manifest.relations[app.state.relation]?.layers ?? [];
  const heads = layers[app.state.layer]?.heads ?? 1;
  const acts = {
    "?": () => openHelp(app),
    e: () => document.getElementById("tool-export")?.click(),
    t: () => { const twin = document.querySelector("#screen details.twin"); if (twin) { twin.open = !twin.open; twin.querySelector("summary").focus(); } },
    Escape: () => { app.hover(null); app.set({ query: null, key: null }); },
  };
  if (["head", "compare"].includes(app.screen()?.name)) {
    const turned = event.shiftKey ? ["layer", layers.length] : ["head", heads];
    acts.PageDown = () => turn(app, turned[0], 1, turned[1]);
    acts.PageUp = () => turn(app, turned[0], -1, turned[1]);
  }
  if (!acts[event.key]) return;
  if (event.key !== "Escape") event.preventDefault();
  acts[event.key]();
}

/** A dialog that closes by Escape, by its button and by a click beside it. */
export function dialog(title, ...content) {
  const close = h("button", { class: "tool", "aria-label": t("Close"), onclick: () => box.close() }, "✕");
  const box = h("dialog", { "aria-label": title, onclick: (event) => event.target === box && box.close(), onclose: () => box.remove() },
    h("div", { class: "dialog-in" }, h("div", { class: "dialog-head" }, h("h2", {}, title), close), content));
  document.body.append(box);
  box.showModal();
  return box;
}

export function openHelp() {
  const keys = [
    ["← → ↑ ↓", "move the cell of a picture, or between tabs"], ["Home End", "first and last of a row"],
    ["Enter", "lock what is under the cell"], ["Esc", "let go"], ["PgUp PgDn", "previous and next head"],
    ["Shift PgUp PgDn", "previous and next layer"], ["t", "the numbers as a table"], ["e", "export"], ["?", "this help"],
  ];
  dialog(t("Help and keys"),
    h("p", {}, t("Rows are queries, that is who looks; columns are keys, that is what is looked at. Point at a token to see its row everywhere; click to hold it. The address always names what you see, so a copied link shows the same.")),
    h("p", {}, t("Striped cells are masked: looking there was not allowed. That is not the same as zero.")),
    h("table", { class: "keys" }, h("tbody", {}, keys.map(([key, text]) => h("tr", {}, h("th", { scope: "row" }, key.split(" ").map((one) => h("kbd", {}, one))), h("td", {}, t(text)))))));
}
