// The keyboard: choosing and sending are two acts, and single keys do nothing inside fields.
import { show } from "./page.js";

const PLACES = { i: "nav-inbox", r: "nav-runs", w: "nav-workflows", l: "nav-ledger" };
const PLACE_MS = 1200;
let placeUntil = 0;

const rows = () => [...document.querySelectorAll("[data-row]")];
const linkOf = (row) => (row?.matches("a") ? row : row?.querySelector("a[href]"));

function move(step) {
  const all = rows();
  const here = all.findIndex((row) => row.contains(document.activeElement));
  const from = here >= 0 ? here : all.findIndex((row) => row.matches("[aria-current], :has([aria-current])"));
  linkOf(all[Math.min(Math.max(from + step, 0), all.length - 1)])?.focus();
}

function step(by) {
  const all = rows();
  const here = all.findIndex((row) => row.matches("[aria-current], :has([aria-current])"));
  const link = linkOf(all[here + by]);
  if (link && here >= 0) show(link.href);
}

const decisionForm = () => document.querySelector("form[data-decision]");

export function choose(form, decision) {
  form.dataset.client = decision;
  for (const button of form.querySelectorAll("button[name=decision]")) {
    button.setAttribute("aria-pressed", String(button.value === decision));
  }
  const missing = [...form.querySelectorAll("[data-needed='1'], [data-needed-to]")].find(
    (field) => isAsked(field, decision) && !(field.type === "checkbox" ? field.checked : field.value.trim()),
  );
  (missing ?? form.querySelector("textarea[name=comment]"))?.focus();
}

function isAsked(field, decision) {
  const to = field.dataset.neededTo;
  return to ? to === decision : decision === "approve";
}

function send(form) {
  const chosen = form.querySelector("button[name=decision][aria-pressed=true]");
  if (chosen) form.requestSubmit(chosen);
}

const DOES = {
  j: () => move(1),
  k: () => move(-1),
  o: () => document.activeElement?.closest("[data-row]") && linkOf(document.activeElement.closest("[data-row]")).click(),
  "[": () => step(-1),
  "]": () => step(1),
  g: () => { placeUntil = performance.now() + PLACE_MS; },
  "?": () => document.getElementById("shortcuts")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const field = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = event.target.closest("form[data-decision]") ?? decisionForm();
    if (form) { event.preventDefault(); send(form); }
    return;
  }
  if (event.key === "Escape" && field) { field.blur(); return; }
  if (field || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : "";
  if (performance.now() < placeUntil && PLACES[key]) {
    placeUntil = 0;
    event.preventDefault();
    document.getElementById(PLACES[key])?.click();
    return;
  }
  const button = key && decisionForm()?.querySelector(`button[name=decision][data-key="${CSS.escape(key)}"]`);
  if (button) { event.preventDefault(); choose(button.form, button.value); return; }
  if (DOES[key]) { event.preventDefault(); DOES[key](); }
});

// On a phone the bar shows only the two buttons: the first tap opens the fields, the second sends.
document.addEventListener("click", (event) => {
  const button = event.target.closest("form[data-decision] button[name=decision]");
  if (!button || !matchMedia("(max-width: 759px)").matches) return;
  const form = button.form;
  if (form.dataset.client === button.value) return;
  event.preventDefault();
  choose(form, button.value);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-shortcuts]")) document.getElementById("shortcuts").showModal();
});

const reveal = () => { for (const button of document.querySelectorAll("[data-shortcuts]")) button.hidden = false; };
document.addEventListener("page:shown", reveal);
reveal();
if (/Mac|iPhone|iPad/.test(navigator.platform)) {
  for (const key of document.querySelectorAll("[data-mod]")) key.textContent = "⌘";
}
