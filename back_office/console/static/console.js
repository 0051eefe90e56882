// Says when the page has gone quiet: htmx and hx-sse do the rest.
"use strict";

const QUIET_MS = 12000;
const GIVE_UP_MS = 30000;
let lastHeard = Date.now();

function mark(state) {
  document.body.dataset.link = state;
}

document.addEventListener("htmx:sse:after:message", () => {
  lastHeard = Date.now();
  mark("live");
});
document.addEventListener("htmx:sse:error", () => mark("lost"));

setInterval(() => {
  if (document.hidden) return;
  const quiet = Date.now() - lastHeard;
  if (quiet > QUIET_MS) mark("lost");
  if (quiet > GIVE_UP_MS) {
    lastHeard = Date.now();
    fetch(location.href).then((answer) => { if (answer.ok) location.reload(); }, () => mark("lost"));
  }
}, 1000);
