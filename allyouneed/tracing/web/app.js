// The application: everything visible is a function of the trace and of the state in the address.
import { h } from "./draw.js";
import { jsonOfPage, traceOfPage } from "./data.js";
import { header, notes } from "./header.js";
import { livePanel } from "./live.js";
import { onKey } from "./keys.js";
import { ribbon } from "./ribbon.js";
import { SCREENS } from "./screens/index.js";
import { readState, sane, writeState } from "./state.js";
import { loadWords, preferredLanguage, speak, t } from "./words.js";

class App {
  constructor(trace, other, live) {
    Object.assign(this, { trace, other, live, t, listeners: [], focus: null, asked: readState(location.hash) });
    this.parts = Object.fromEntries(["top", "live", "ribbon", "tabs", "screen", "notes"].map((name) => [name, h("div", { id: `part-${name}` })]));
    this.parts.screen = h("main", { id: "screen", role: "tabpanel", tabindex: "-1" });
    this.speaker = h("div", { id: "spoken", class: "unseen", "aria-live": "polite", role: "status" });
  }
  /** The state as it is shown: what the address asks for, as far as the trace has it. */
  get state() {
    return sane(this.asked, this.trace);
  }
  get theme() {
    const wish = this.asked.theme;
    return wish === "dark" || wish === "light" ? wish : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }
  get language() {
    return ["en", "zh"].includes(this.asked.lang) ? this.asked.lang : preferredLanguage();
  }
  screens() {
    return SCREENS.filter((screen) => screen.available(this.trace, this));
  }
  screen() {
    const open = this.screens();
    return open.find((screen) => screen.name === this.asked.screen) ?? open[0] ?? null;
  }
  /** Changes the state and draws. `{replace: true}` makes no step for the back button. */
  set(changes, { replace = false } = {}) {
    const next = { ...this.asked, ...changes };
    if (writeState(next) === writeState(this.asked)) return;
    this.asked = next;
    try {
      history[replace ? "replaceState" : "pushState"](null, "", writeState(next));
    } catch {
      // Inside a notebook's frame there is no address to write to; the state then lives here alone.
    }
    this.draw();
  }
  /** Lights up an item of a space everywhere, `{space, item, role, key}`, without a new drawing; null clears it. */
  hover(item) {
    this.focus = item;
    for (const listen of this.listeners) listen(item);
  }
  onHover(listen) {
    this.listeners.push(listen);
  }
  say(text) {
    this.speaker.textContent = text;
  }
  /** Replaces what is looked at, when a live model has answered. */
  replace(trace, other = null) {
    Object.assign(this, { trace, other });
    this.asked = { ...this.asked, query: null, key: null };
    this.draw();
  }
  draw() {
    speak(this.language);
    this.listeners = [];
    this.focus = null;
    document.documentElement.lang = this.language === "zh" ? "zh-Hans" : "en";
    document.documentElement.dataset.theme = this.theme;
    const kept = document.activeElement?.id, at = scrollY, before = this.parts.screen.dataset.screen;
    const tables = [...this.parts.screen.querySelectorAll("details.twin")].map((twin) => twin.open);
    const { top, live, ribbon: order, tabs, screen, notes: below } = this.parts;
    top.replaceChildren(header(this));
    order.replaceChildren(...ribbon(this));
    tabs.replaceChildren(...this.tabs());
    below.replaceChildren(...notes(this));
    if (this.live && live.dataset.language !== this.language) {
      live.replaceChildren(livePanel(this));
      live.dataset.language = this.language;
    }
    this.fill(screen);
    if (before === screen.dataset.screen) {
      screen.querySelectorAll("details.twin").forEach((twin, i) => { twin.open = tables[i] ?? false; });
      if (scrollY !== at) scrollTo(scrollX, at);
    }
    if (kept && document.activeElement?.id !== kept) document.getElementById(kept)?.focus({ preventScroll: true });
  }
  fill(root) {
    const screen = this.screen();
    root.replaceChildren();
    root.dataset.screen = screen?.name ?? "";
    try {
      if (screen) screen.render(root, this);
      else root.append(h("p", { class: "empty" }, t(this.live ? "Type a sentence and press Enter." : "This trace holds nothing to look at.")));
    } catch (error) {
      root.replaceChildren(trouble(t("This screen cannot be drawn."), error));
    }
  }
  tabs() {
    const open = this.screens(), chosen = this.screen();
    if (open.length < 2) return [];
    const move = (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1, Home: -open.length, End: open.length }[event.key];
      if (!by) return;
      event.preventDefault();
      const to = Math.abs(by) > 1 ? (by > 0 ? open.length - 1 : 0) : (open.indexOf(chosen) + by + open.length) % open.length;
      this.set({ screen: open[to].name });
      document.getElementById(`tab-${open[to].name}`)?.focus();
    };
    return [h("div", { class: "tabs", role: "tablist", "aria-label": t("Screens"), onkeydown: move }, open.map((screen) => {
      const here = screen === chosen, title = t(screen.title ?? screen.name[0].toUpperCase() + screen.name.slice(1));
      return h("button", { id: `tab-${screen.name}`, role: "tab", "aria-selected": String(here), "aria-controls": "screen",
        tabindex: here ? 0 : -1, onclick: () => this.set({ screen: screen.name }) }, title);
    }))];
  }
}

function trouble(sentence, error) {
  console.warn(error);
  return h("div", { class: "trouble", role: "alert" }, h("p", {}, sentence), h("p", { class: "quiet" }, error?.message ?? String(error)));
}

function pictured() {
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}

function start() {
  const root = document.getElementById("app");
  try {
    loadWords("zh", jsonOfPage("words-zh") ?? {});
    speak(preferredLanguage());
    const trace = traceOfPage("0");
    if (!trace) throw new Error(t("The page holds no trace of this library."));
    const app = new App(trace, traceOfPage("1"), jsonOfPage("live"));
    root.replaceChildren(...Object.values(app.parts), app.speaker);
    app.draw();
    addEventListener("popstate", () => { app.asked = readState(location.hash); app.draw(); });
    addEventListener("hashchange", () => { const next = readState(location.hash); if (writeState(next) !== writeState(app.asked)) { app.asked = next; app.draw(); } });
    addEventListener("keydown", (event) => onKey(app, event));
    let width = innerWidth, later = 0;
    addEventListener("resize", () => {
      if (innerWidth === width) return; // a phone's bars coming and going
      clearTimeout(later);
      later = setTimeout(() => { width = innerWidth; app.draw(); }, 150);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => app.draw());
    requestAnimationFrame(() => requestAnimationFrame(pictured));
  } catch (error) {
    root.replaceChildren(trouble(t("This page cannot be shown: its data is damaged. Write it once more."), error));
    pictured();
  }
}

start();
