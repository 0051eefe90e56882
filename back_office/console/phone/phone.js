// The member's page: keeps the seed the counter's link brought, and shows the code of the moment. Needs no network.

import { STEP_MS, codeAt, fromLink } from "./code.js";
import { path, speakable } from "./page.js";
import { modules } from "./qr.js";

const LOOK_MS = 200;
const at = (id) => document.getElementById(id);
let mine = null;
let shown = -1;

// Open the page's own store and do one thing in it: the key lies there as one that cannot be read out.
function inStore(mode, act) {
  return new Promise((done, failed) => {
    const opening = indexedDB.open("member", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("code");
    opening.onerror = () => failed(opening.error);
    opening.onsuccess = () => {
      const asked = act(opening.result.transaction("code", mode).objectStore("code"));
      asked.onsuccess = () => done(asked.result);
      asked.onerror = () => failed(asked.error);
    };
  });
}

function draw(text) {
  at("code").firstElementChild.setAttribute("d", path(modules(text)));
  at("code").dataset.code = text;
}

async function look() {
  const nowMs = Date.now();
  const step = Math.floor(nowMs / STEP_MS);
  at("left").value = 10 - Math.floor((nowMs % STEP_MS) / 1000);
  if (step === shown) return;
  shown = step;
  draw(await codeAt(mine, nowMs));
}

async function start() {
  const brought = await fromLink(location.hash);
  if (brought) await inStore("readwrite", (store) => store.put(brought, "mine"));
  if (location.hash) history.replaceState(null, "", location.pathname);
  mine = brought ?? (await inStore("readonly", (store) => store.get("mine"))) ?? null;
  at(mine ? "shown" : "none").hidden = false;
  if (!mine) return;
  await look();
  setInterval(look, LOOK_MS);
}

addEventListener("hashchange", () => location.hash && location.reload()); // a link opened where the page is open
speakable();
start();
navigator.serviceWorker?.register("offline.js");
