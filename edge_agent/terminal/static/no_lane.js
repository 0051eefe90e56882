// A screen that was started before the hub had named its machine opens it by itself.
"use strict";

const AGAIN_MS = 3000;

setInterval(() => {
  fetch(location.href, { method: "HEAD" }).then((answer) => { if (answer.ok) location.reload(); }, () => {});
}, AGAIN_MS);
