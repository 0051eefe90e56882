// The attendant's page. Each act has an id made when its form is first sent; the same id again is the same act.
"use strict";

const FORGET_MS = 120000;
const REFRESH_MS = 10000;
const PERSON_MS = 2000;  // a module that learns somebody is looked after closely
const TOLD_MS = 6000;
const SURE_MS = 10000;  // what cannot be undone is asked back; so long is the second press the answer
const page = document.documentElement;
const base = `/desk/${page.dataset.terminal}`;
const language = `lang=${page.dataset.lang}`;
const told = document.getElementById("told");
const person = document.getElementById("person");
const readText = document.getElementById("consent-text");
let who = null;
let tab = "open";
let card = null;
let cardSince = page.dataset.since;  // a card shown before this page was opened is nobody's who stands here now
let lastTouch = Date.now();
let toldUntil = 0;

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function say(text, refused) {
  told.textContent = text;
  told.classList.toggle("is-refused", refused);
  told.hidden = text === "";
  toldUntil = Date.now() + TOLD_MS;
}

async function ask(act, id) {
  const body = JSON.stringify({ id, staff: who.staff, pin: who.pin, act });
  try {
    const answer = await fetch(`${base}/act?${language}`, { method: "POST", body });
    return await answer.json();
  } catch {
    return { outcome: "refused", reason: "no_answer", text: "…" };
  }
}

function clock(ageMs) {  // as the desk's own clock shows it, with the day where it is not today's
  const at = new Date(Date.now() - ageMs);
  const day = at.toDateString() === new Date().toDateString() ? {} : { month: "numeric", day: "numeric" };
  return at.toLocaleString(page.lang, { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function laneOf(name) {  // the picker speaks of machines by the names that all pages show
  const known = Array.from(document.querySelectorAll("#machines option"));
  return known.find((option) => option.value === name)?.dataset.lane ?? name;
}

async function look(what) {
  const act = { act: "look", what };
  if (what === "card" || what === "person") {
    if (card === null) return;
    act.credential = card.credential;
  }
  if (what === "machine") {
    act.machine = laneOf(document.querySelector("[data-machine] input").value.trim());
    if (act.machine === "") return;
  }
  const rows = document.querySelector(`[data-look="${what}"]`);
  if (what === "machine" && rows.dataset.shown !== act.machine) {  // no play of one machine stands under another's name
    rows.innerHTML = "";
    rows.dataset.shown = act.machine;
  }
  if (rows.contains(document.activeElement) && document.activeElement.tagName === "INPUT") return;
  const answer = await ask(act, newId());
  if (answer.outcome === "refused") {
    if (what !== "card" && what !== "person") say(answer.text, true);
    if (answer.reason === "pin_needed" || answer.reason === "wrong_pin") leave();
    return;
  }
  const typed = Array.from(rows.querySelectorAll("input"), (input) => input.value).join("");
  if (typed === "" || what === "card") {
    rows.innerHTML = answer.html;
    for (const time of rows.querySelectorAll("[data-age-ms]")) time.textContent = clock(Number(time.dataset.ageMs));
  }
  if (what === "person") showTextToRead(rows.querySelector("[data-consent-text]"));
  if (what === "open") {
    const count = document.querySelector(".count");
    count.textContent = answer.count;
    count.hidden = answer.count === 0;
  }
}

function showTextToRead(given) {  // what is agreed to is what stands here
  if (given === null || readText.innerHTML === given.innerHTML) return;
  readText.innerHTML = given.innerHTML;
  readText.dataset.version = given.dataset.version;
}

function keepDrawer(drawer) {  // as the venue's document names it; a desk without one is asked each time
  for (const input of document.querySelectorAll("input[data-drawer]")) input.defaultValue = drawer;
}

function isSure(button) {
  if (!("sure" in button.dataset) || Date.now() < Number(button.dataset.until ?? 0)) return true;
  const words = button.textContent;
  button.dataset.until = Date.now() + SURE_MS;
  button.textContent = button.dataset.sure;
  setTimeout(() => { button.textContent = words; delete button.dataset.until; }, SURE_MS);
  return false;
}

function open(name) {
  tab = name;
  for (const button of document.querySelectorAll("[data-tab]")) {
    const chosen = button.dataset.tab === name;
    button.setAttribute("aria-selected", chosen);
    document.getElementById(`panel-${button.dataset.tab}`).hidden = !chosen;
  }
  look(name);
  lookAtPerson();
}

function lookAtPerson() {
  if (who !== null && tab === "card" && person.open) look("person");
}

function leave() {
  who = null;
  document.getElementById("enter").hidden = false;
  document.getElementById("work").hidden = true;
  document.getElementById("leave").hidden = true;
  for (const rows of document.querySelectorAll(".rows")) rows.innerHTML = "";
  document.getElementById("enter-form").reset();
  card = null;
  document.getElementById("card-acts").hidden = true;
  person.open = false;
  const place = document.getElementById("card-shown");
  place.textContent = place.dataset.none;
  place.classList.remove("is-there");
}

function minor(text, digits) {
  const [whole, rest = ""] = text.split(".");
  if (rest.length > digits) return null;
  return Number(whole) * 10 ** digits + Number(rest.padEnd(digits, "0") || 0);
}

function actOf(form, submitter) {
  const field = (name) => form.elements[name]?.value.trim() ?? "";
  const digits = Number(form.dataset.digits ?? card?.digits ?? 0);
  const act = { act: form.dataset.act };
  const row = form.closest("[data-authorization]");
  if (row !== null) act.authorization = row.dataset.authorization;
  if (field("note") !== "") act.note = field("note");
  if (field("place") !== "") act.place = laneOf(field("place"));
  switch (act.act) {
    case "settle_doubt": act.delivered = submitter.value === "yes"; break;
    case "refund": act.unit = form.dataset.unit; act.amount = field("amount") === "" ? null : minor(field("amount"), digits); break;
    case "top_up": case "pay_out": act.credential = card.credential; act.amount = minor(field("amount"), digits); break;
    case "take_won": act.credential = card.credential; act.amount = Number(field("count")); break;
    case "sell_card": act.credential = card.credential; act.deposit = minor(field("deposit") || "0", digits); break;
    case "replace_card": act.old = field("old"); act.new = card.credential; break;
    case "consent":
      act.credential = card.credential; act.of = field("of"); act.text = readText.dataset.version;
      act.of_age = form.elements.of_age.checked; act.guardian = field("guardian"); act.relation = field("relation");
      break;
    case "enroll":
      act.credential = card.credential; act.device = field("device");
      if (field("page") !== "") act.page = Number(field("page"));
      break;
    case "forget": act.credential = card.credential; break;
    case "back_in_service": act.lane = laneOf(field("lane")); break;
    case "read_meter":
      act.machine = laneOf(field("machine")); act.meter = field("meter"); act.value = Number(field("value"));
      act.reset = form.elements.reset.checked;
      break;
    case "block_card": act.credential = card.credential; break;
    case "count_box":
      act.box = form.dataset.box; act.kind = form.dataset.kind; act.unit = form.dataset.unit;
      act.counted = minor(field("counted"), digits);
      break;
  }
  return act;
}

async function carryOut(form, submitter) {
  const act = actOf(form, submitter);
  const content = JSON.stringify(act);
  if (form.dataset.sent !== content) {  // asked again without a change: the same act
    form.dataset.sent = content;
    form.dataset.id = newId();
  }
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  const answer = await ask(act, form.dataset.id);
  for (const button of form.querySelectorAll("button")) button.disabled = false;
  say(answer.text, answer.outcome === "refused");
  if (answer.outcome === "refused") return;
  form.dataset.sent = "";
  form.reset();
  document.activeElement?.blur();
  look(tab);
  lookAtPerson();
}

function showCard(shown) {
  card = shown;
  cardSince = shown.at_ms;
  const place = document.getElementById("card-shown");
  place.textContent = `${shown.text} · ${shown.credential.slice(-6)}`;
  place.title = shown.credential;
  place.classList.add("is-there");
  document.getElementById("card-acts").hidden = false;
  person.hidden = shown.status === "unknown";
  person.open = false;  // one guest's fingers never stand under another's card
  person.querySelector(".rows").innerHTML = "";
  for (const form of document.querySelectorAll("#card-acts form")) {
    form.hidden = shown.status === "unknown" ? !("new" in form.dataset) : !("known" in form.dataset);
  }
  const staff = shown.staff ?? "";
  if (staff !== "" && who === null) enter(staff, "");
  else if (staff === "" && who !== null) open("card");
}

async function watchCards() {
  for (;;) {
    try {
      const answer = await fetch(`${base}/card?since=${cardSince}&${language}`);
      if (answer.status === 200) showCard(await answer.json());
      else if (answer.status !== 204) await new Promise((done) => setTimeout(done, REFRESH_MS));
    } catch {
      await new Promise((done) => setTimeout(done, REFRESH_MS));
    }
  }
}

async function enter(staff, pin) {
  who = { staff, pin };
  const answer = await ask({ act: "look", what: "open" }, newId());
  if (answer.outcome === "refused") {
    who = null;
    say(answer.text, true);
    return;
  }
  say("", false);
  keepDrawer(answer.drawer);
  document.getElementById("enter").hidden = true;
  document.getElementById("work").hidden = false;
  document.getElementById("leave").hidden = false;
  open("open");
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.id === "enter-form") enter(form.elements.staff.value, form.elements.pin.value);
  else if ("machine" in form.dataset) look("machine");
  else if (isSure(event.submitter)) carryOut(form, event.submitter);
});

document.addEventListener("click", (event) => {
  lastTouch = Date.now();
  const chosen = event.target.closest("[data-tab]");
  if (chosen !== null) open(chosen.dataset.tab);
  const chip = event.target.closest("[data-chip]");
  if (chip !== null) chip.closest("form").elements.note.value = chip.textContent;
  if (event.target.closest("#leave") !== null) leave();
});
document.addEventListener("keydown", () => { lastTouch = Date.now(); });

setInterval(() => {
  if (Date.now() > toldUntil) told.hidden = true;
  if (who !== null && Date.now() - lastTouch > FORGET_MS) leave();
}, 1000);
setInterval(() => { if (who !== null && tab === "open") look("open"); }, REFRESH_MS);
setInterval(lookAtPerson, PERSON_MS);
person.addEventListener("toggle", lookAtPerson);
watchCards();
