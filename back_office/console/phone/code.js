// Member codes on the phone: the same bytes as payment_core/member_code.py, made with the browser's own HMAC.

export const STEP_MS = 10000;
const LABEL = new TextEncoder().encode("venuehub/member-code/v1\0");
const LINK = /^#([0-9a-f]{20})\.([0-9a-f]{32})$/;

// Return handle and key of a link's fragment, null where it is none. The key cannot be read out again.
export async function fromLink(fragment) {
  const found = LINK.exec(fragment);
  if (!found) return null;
  const kind = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes(found[2]), kind, false, ["sign"]);
  return { handle: found[1], key };
}

// Return the code of a moment (ms since 1970, UTC).
export async function codeAt({ handle, key }, nowMs) {
  const body = new Uint8Array(14);
  body.set(bytes(handle));
  new DataView(body.buffer).setUint32(10, Math.floor(nowMs / STEP_MS));
  const signed = new Uint8Array(LABEL.length + body.length);
  signed.set(LABEL);
  signed.set(body, LABEL.length);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, signed)).slice(0, 8);
  return `VM1:${hex(body)}${hex(mac)}`;
}

const bytes = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("").toUpperCase();
