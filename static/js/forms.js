// Sending a form without leaving the page, and what to say when no sensible answer comes.
import { arrive, ask, send } from "./page.js";
import { dropDraft, giveDraftsBack, keepDrafts } from "./drafts.js";

const UNKNOWN = "It is not known whether this was recorded. Look again before you send it a second time.";
const SIGNED_OUT = 401;
const REFUSED = 400;

async function submit(form, button) {
  if (form.hasAttribute("aria-busy")) return;
  const body = new URLSearchParams(new FormData(form, button));
  lock(form, true);
  const answer = await send(form.action, body);
  if (!answer?.document) {
    lock(form, false);
    tell(form, answer ? "This went wrong on our side" : "The connection was lost", UNKNOWN, { mayLook: true });
    return;
  }
  if (isRefusalElsewhere(form, answer)) {
    lock(form, false);
    const [title, sentence] = ["h1", ".oops p"].map((part) => answer.document.querySelector(part)?.textContent.trim() ?? "");
    tell(form, title, `${sentence} Nothing was recorded, and what you typed is still here.`);
    return;
  }
  form.removeAttribute("data-touched");
  dropDraft(form);
  arrive(answer, { push: answer.status < REFUSED });
  const same = document.getElementById(form.id);
  if (same) { lock(same, false); if (answer.status >= REFUSED) same.dataset.touched = ""; }
}

// Such as "too many requests": a page of its own, with no place for what was typed.
function isRefusalElsewhere(form, answer) {
  const isShown = answer.document.getElementById(form.id) ?? answer.document.getElementById("problem");
  return answer.status >= REFUSED && answer.status !== SIGNED_OUT && !isShown;
}

function lock(form, isLocked) {
  if (isLocked) form.setAttribute("aria-busy", "true"); else form.removeAttribute("aria-busy");
  for (const button of form.querySelectorAll("button")) button.disabled = isLocked;
}

function tell(form, title, sentence, { mayLook = false } = {}) {
  const note = form.querySelector("[data-lost]") ?? makeNote(form);
  note.querySelector("b").textContent = title;
  note.querySelector("p").textContent = sentence;
  note.querySelector("button").hidden = !mayLook;
  form.dataset.touched = "";
}

function makeNote(form) {
  const note = document.createElement("div");
  const text = document.createElement("div");
  const look = document.createElement("button");
  note.className = "note s-failed";
  note.dataset.lost = "";
  note.setAttribute("role", "alert");
  look.type = "button";
  look.className = "btn";
  look.textContent = "Look again";
  look.addEventListener("click", () => lookAgain(form));
  text.append(document.createElement("b"), document.createElement("p"), look);
  note.append(text);
  form.prepend(note);
  return note;
}

// How things stand decides what is offered: a form of another version, or none, means something happened.
async function lookAgain(form) {
  const answer = await ask(location.href);
  if (!answer?.document) return;
  if (answer.status === SIGNED_OUT) {
    tell(form, "You are signed out", "Send again: what you typed is kept while you sign in.");
    return;
  }
  const twin = answer.document.getElementById(form.id);
  if (twin && twin.dataset.version === form.dataset.version) {
    if (form.dataset.version) tell(form, "Not recorded so far", "The connection is back. You can send it again.", { mayLook: true });
    else tell(form, "The connection is back", "It is not known whether it was recorded. Sending it again cannot do it twice.");
    return;
  }
  keepDrafts();
  form.removeAttribute("data-touched");
  arrive(answer, { push: false });
  giveDraftsBack({ wasAskedToLook: false });
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("data-plain")) return;
  event.preventDefault();
  submit(form, event.submitter);
});

document.addEventListener("input", (event) => {
  const form = event.target.closest("form");
  // A filter that is being chosen is kept too; leaving it costs nothing, so it is marked plain.
  if (form && (form.method === "post" || form.hasAttribute("data-plain"))) form.dataset.touched = "";
});
