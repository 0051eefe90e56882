// Keeps a machine's screen up to date: one stream, swapped in whole; a screen of its own while the stream is away.
"use strict";

const BEATS_MISSED_MS = 6500;
const RETRY_MS = 1000;
const page = document.documentElement;
const place = document.getElementById("place");
const spoken = document.getElementById("spoken");
const lost = document.getElementById("lost");
let source = null;
let lastHeard = Date.now();

function heard() {
  lastHeard = Date.now();
  lost.hidden = true;
}

function show(message) {
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const helpOpen = document.querySelector("#help:popover-open") !== null;
  const state = place.firstElementChild ? place.firstElementChild.dataset.state : "";
  place.innerHTML = message.html;
  page.lang = message.language;
  if (place.firstElementChild.dataset.state === state) {
    place.firstElementChild.classList.add("is-still");
    if (helpOpen) document.getElementById("help").showPopover();
  }
  if (spoken.textContent !== message.spoken) spoken.textContent = message.spoken;
  if (focused) document.getElementById(focused)?.focus();
}

function connect() {
  if (source !== null) source.close();
  lastHeard = Date.now();
  source = new EventSource(page.dataset.stream);
  source.addEventListener("screen", (event) => {
    heard();
    show(JSON.parse(event.data));
  });
  source.addEventListener("beat", (event) => {
    heard();
    if (event.data !== page.dataset.release) location.reload();
  });
  source.addEventListener("error", () => {
    lost.hidden = false;
  });
}

setInterval(() => {
  const quiet = Date.now() - lastHeard;
  if (quiet > BEATS_MISSED_MS) lost.hidden = false;
  if (source.readyState === EventSource.CLOSED || quiet > 2 * BEATS_MISSED_MS) connect();
}, RETRY_MS);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-post]");
  if (button !== null) fetch(button.dataset.post, { method: "POST" }).catch(() => { lost.hidden = false; });
});

connect();
