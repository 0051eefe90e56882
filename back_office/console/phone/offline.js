// Keeps the page on the phone: it comes from here first, and is renewed where there is a network.

const KEPT = "member-page";
const FILES = ["./", "phone.css", "phone.js", "page.js", "code.js", "qr.js", "words.js", "icon.svg"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(FILES)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event));
});

async function answer(event) {
  const kept = await caches.open(KEPT);
  const fresh = fetch(event.request).then(async (response) => {
    if (response.ok) await kept.put(event.request, response.clone());
    return response;
  });
  const known = await kept.match(event.request);
  if (!known) return fresh;
  event.waitUntil(fresh.catch(() => undefined));
  return known;
}
