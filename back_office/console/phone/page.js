// What both pages do: speak three languages, and draw a code.

import { LANGUAGES, WORDS, spoken } from "./words.js";

// Say everything in the browser's language, and in the next one whenever the button is pressed.
export function speakable() {
  let language = spoken(navigator.languages);
  document.getElementById("language").addEventListener("click", () => {
    language = LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length];
    speak(language);
  });
  speak(language);
}

function speak(language) {
  const words = WORDS[language];
  document.documentElement.lang = language;
  document.title = words.title;
  for (const place of document.querySelectorAll("[data-word]")) place.textContent = words[place.dataset.word];
  for (const place of document.querySelectorAll("[data-label]")) place.setAttribute("aria-label", words[place.dataset.label]);
}

// Return the dark modules as an SVG path.
export function path(rows) {
  return rows.flatMap((row, down) => row.map((dark, along) => (dark ? `M${along} ${down}h1v1h-1z` : ""))).join("");
}
