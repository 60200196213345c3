// A field that asks a running model; its answer replaces the trace in place. Only this page's own server is asked.
import { traceOfBytes } from "./data.js";
import { h } from "./draw.js";
import { t } from "./words.js";

const typed = { input: null, options: {} }; // survives a change of language

function base64(bytes) {
  if (bytes.toBase64) return bytes.toBase64();
  let letters = "";
  for (let i = 0; i < bytes.length; i += 32768) letters += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(letters);
}

async function ask(url, body, signal) {
  let answer;
  try {
    answer = await fetch(new URL(url, location.href.split("#")[0]), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(t("The model's server does not answer. Is `allyouneed explore` still running?"));
  }
  if (answer.ok) return traceOfBytes(await answer.arrayBuffer());
  const said = await answer.json().catch(() => null);
  throw new Error(said?.error ?? t("The server answered with an error ({status}).", { status: answer.status }));
}

async function request(run, field) {
  const options = Object.fromEntries((run.options ?? []).map(({ name, value }) => [name, Number(typed.options[name] ?? value)]));
  if (run.takes !== "image") {
    if (!field.value.trim()) throw new Error(t("There is nothing to look at: type a text."));
    if (field.value.length > run.limit) throw new Error(t("The text has {have} letters; at most {most} are allowed.", { have: field.value.length, most: run.limit }));
    return { input: field.value, options };
  }
  const file = field.files[0];
  if (!file) throw new Error(t("Choose an image file."));
  if (file.size > run.limit) throw new Error(t("The file has {have} bytes; at most {most} are allowed.", { have: file.size, most: run.limit }));
  return { image: base64(new Uint8Array(await file.arrayBuffer())), name: file.name, options };
}

function entry(run, submit) {
  const says = t(run.says ?? "");
  if (run.takes === "image") return h("input", { id: "live-input", type: "file", accept: run.accept || "image/*", "aria-label": says, onchange: submit });
  const field = h("textarea", { id: "live-input", rows: 1, placeholder: says, "aria-label": says, dir: "auto", maxlength: 4 * run.limit, oninput: () => { typed.input = field.value; } });
  field.value = typed.input ?? run.example ?? "";
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  return field;
}

function option({ name, title, value, least, most, step }) {
  const field = h("input", { id: `live-${name}`, type: "number", min: least, max: most, step, value: typed.options[name] ?? value, oninput: () => { typed.options[name] = field.value; } });
  return h("label", { class: "control" }, h("span", { class: "control-name" }, t(title)), field);
}

export function livePanel(app) {
  const runs = app.live.runs, run = runs[0];
  const state = h("span", { class: "quiet", role: "status" }), wrong = h("p", { class: "wrong", role: "alert", hidden: true });
  const button = h("button", { id: "live-run", class: "tool strong", type: "submit" }, t("Run")), stop = h("button", { id: "live-stop", class: "tool", type: "button", hidden: true }, t("Stop"));
  let cancel = null;
  const busy = (now) => { button.disabled = now; stop.hidden = !now; form.setAttribute("aria-busy", String(now)); state.textContent = now ? t("The model is running …") : ""; };
  const submit = async () => {
    if (cancel) return;
    cancel = new AbortController();
    wrong.hidden = true;
    busy(true);
    try {
      const body = await request(run, field), traces = [];
      for (let i = 0; i < runs.length; i++) traces.push(await ask(app.live.url, { run: i, ...body }, cancel.signal));
      app.replace(...traces);
      app.say(t("Done."));
    } catch (error) {
      wrong.hidden = error.name === "AbortError";
      wrong.textContent = error.message;
    } finally {
      cancel = null;
      busy(false);
    }
  };
  const field = entry(run, submit);
  stop.addEventListener("click", () => cancel?.abort());
  const form = h("form", { class: "live", onsubmit: (event) => { event.preventDefault(); submit(); } },
    h("div", { class: "ask" }, field, button, stop),
    h("div", { class: "options" }, runs.map(({ name }, i) => runs.length > 1 && h("span", { class: "chip" }, `${"AB"[i]} · ${name}`)), (run.options ?? []).map(option), state), wrong);
  return form;
}
