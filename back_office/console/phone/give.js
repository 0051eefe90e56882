// The counter's screen: shows a phone's link as a QR code, for the guest to take with the phone's camera. Keeps nothing.

import { path, speakable } from "./page.js";
import { linkModules } from "./qr.js";

const secret = location.hash;
history.replaceState(null, "", location.pathname);
speakable();
document.getElementById("code").firstElementChild.setAttribute(
  "d", secret ? path(linkModules(new URL(`./${secret}`, location.href).href)) : "",
);
addEventListener("hashchange", () => location.hash && location.reload());
