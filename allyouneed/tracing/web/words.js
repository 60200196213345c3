// The interface's words. The key of a translation is the English text itself, so that code can be read.

const dictionaries = { en: {}, zh: {} };
let spoken = "en";

export function loadWords(language, words) {
  Object.assign(dictionaries[language], words);
}

export function speak(language) {
  spoken = dictionaries[language] ? language : "en";
}

/** A text in the chosen language, with {name} filled in from `values`. */
export function t(key, values = {}) {
  const text = dictionaries[spoken][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** English or Chinese, by what the browser's user reads. */
export function preferredLanguage() {
  const wishes = navigator.languages?.length ? navigator.languages : [navigator.language ?? "en"];
  return wishes[0].toLowerCase().startsWith("zh") ? "zh" : "en";
}
