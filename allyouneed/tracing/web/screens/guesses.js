// What the model would put at a place: candidates for masked words, next tokens or tags; and a classifier's answer.
import { h, tableTwin, tokenText } from "../draw.js";
import { t } from "../words.js";
import { imageClasses } from "./image.js";
import { barList, choice, hintText, itemName, percent, place, scrubber, sideCard, wholeWithin } from "./parts.js";

export const guessesScreen = {
  name: "guesses",
  title: "Predictions",
  available(trace) { return trace.manifest.guesses.some((guesses) => guesses.at.length) || Boolean(trace.manifest.classes); },
  render(root, app) {
    const lists = app.trace.manifest.guesses.filter((guesses) => guesses.at.length);
    const which = wholeWithin(app.state.list, lists.length);
    const guesses = lists[which];
    place(root,
      guesses && hintText(t("Choose a token to see what the model would put there, with probabilities.")),
      lists.length > 1 && choice(t("Predictions"), lists.map((list, i) => [i, t(list.title)]), which, (to) => app.set({ list: to, item: null })),
      guesses && guessesOf(app, guesses), imageClasses(app));
  },
};

function guessesOf(app, guesses) {
  const space = app.trace.manifest.spaces[guesses.space];
  const at = new Map(guesses.at.map((guess, i) => [guess.item, i]));
  const chosen = at.get(Number(app.state.item)) ?? 0;
  const guess = guesses.at[chosen];
  const choose = (i) => app.set({ item: guesses.at[i].item });
  const chips = h("div", { class: "s-guesses", dir: "auto" }, guessChips(space, guesses, at, guess, (item) => choose(at.get(item))));
  return h("div", {},
    guesses.at.length > 1 && scrubber(t("Place"), chosen, guesses.at.length, choose),
    chips,
    sideCard(t("Candidates at “{item}”", { item: itemName(space, guess.item) }),
      guesses.title && hintText(t(guesses.title)), barList(guessRows(guess), { "data-bars": "guess" })),
    tableTwin([t("place"), t("token"), t("candidate"), t("probability")], () => guesses.at.flatMap((one) => (
      one.tokens.map((token, i) => [one.item + 1, itemName(space, one.item), tokenText(token), one.probabilities[i].toFixed(4)])))));
}

function guessRows(guess) {
  const rows = guess.tokens.map((token, i) => ({ name: tokenText(token), share: guess.probabilities[i], mark: i === 0 }));
  const rest = 1 - guess.probabilities.reduce((sum, value) => sum + value, 0);
  if (rest > 0.0005) rows.push({ name: t("the rest"), share: rest, rest: true });
  return rows;
}

// The tokens in order; under each that was asked about stands its likeliest candidate.
function guessChips(space, guesses, at, guess, choose) {
  return Array.from({ length: space.kind === "grid" ? 0 : space.items.length }, (_, item) => {
    const name = h("span", {}, itemName(space, item));
    if (!at.has(item)) return h("span", { class: "s-word" }, name);
    const one = guesses.at[at.get(item)];
    const same = one.tokens[0] === space.items[item];
    return h("button", {
      type: "button", id: `s-guess-${item}`, class: `s-word s-asked${same ? " s-same" : ""}`, "data-item": item,
      "aria-pressed": String(one === guess), onclick: () => choose(item),
    }, name, h("small", {}, tokenText(one.tokens[0] ?? "")), h("small", { class: "s-quiet" }, percent(one.probabilities[0] ?? 0)));
  });
}
