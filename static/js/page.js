// Fetching a page and morphing it in, so that focus, scroll, zoom and half-written text stay.
// `show` goes somewhere, `refresh` asks for the same page again, `submit` sends a form.
// The server always answers with whole pages; only the element #page is taken from them.

const UNKNOWN = "It is not known whether this was recorded. Look again before you send it a second time.";
const TIMEOUT_MS = 30_000;
const drafts = new Map(); // form id → what was typed there, until it is sent

export const page = () => document.getElementById("page");

export async function show(url, { push = true } = {}) {
  const answer = await ask(url);
  if (!answer?.document) { location.assign(url); return; }
  keepDrafts();
  if (push) history.pushState(null, "", answer.url);
  put(answer.document, { isNew: true });
  giveDraftsBack();
  moveFocus();
}

let refreshing = null;
export function refresh() {
  refreshing ??= again().finally(() => { refreshing = null; });
  return refreshing;
}

async function again() {
  const url = location.href;
  const answer = await ask(url);
  // Somebody may have gone elsewhere meanwhile; and a lost session must not take typed text away.
  if (!answer?.document || location.href !== url || answer.status === 401) return answer?.status ?? 0;
  put(answer.document, { isNew: false });
  return answer.status;
}

// Returns null when nothing came back; `document` is null when what came back is no page of ours.
async function ask(url, options = {}) {
  try {
    const response = await fetch(url, {
      credentials: "same-origin", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(TIMEOUT_MS), ...options,
    });
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    const isPage = parsed.getElementById("page") !== null;
    return { document: isPage ? parsed : null, status: response.status, url: response.url };
  } catch { return null; }
}

function put(next, { isNew }) {
  const held = isNew ? new Set() : holdTouched(next);
  holdFeed(next, held, isNew);
  Idiomorph.morph(page(), next.getElementById("page"), {
    morphStyle: "outerHTML",
    callbacks: {
      beforeNodeMorphed: (old) => !held.has(old) && !old.matches?.("[data-own]"),
      beforeAttributeUpdated: (name) => !(name === "style" || name === "open" || name === "data-client" || name === "data-touched"),
    },
  });
  document.title = next.title;
  for (const link of next.head.querySelectorAll("link[rel=stylesheet]")) {
    if (!document.head.querySelector(`link[href="${CSS.escape(link.getAttribute("href"))}"]`)) document.head.append(document.importNode(link));
  }
  document.dispatchEvent(new CustomEvent("page:shown", { detail: { isNew } }));
}

// A touched form is never changed. If what it is about has changed, its region says so instead.
function holdTouched(next) {
  const held = new Set();
  for (const form of document.querySelectorAll("form[data-touched]")) {
    const twin = next.getElementById(form.id);
    if (twin && twin.dataset.version === form.dataset.version) { held.add(form); continue; }
    held.add(form.closest("[data-keep]") ?? form);
    form.querySelector("[data-stale]")?.removeAttribute("hidden");
  }
  return held;
}

// New rows do not push away what is being read: they are announced, and come on asking.
function holdFeed(next, held, isNew) {
  const feed = document.querySelector("[data-feed]");
  const twin = feed && next.getElementById(feed.id);
  if (!twin || isNew) return;
  const known = new Set([...feed.querySelectorAll("[data-row]")].map((row) => row.id));
  const fresh = [...twin.querySelectorAll("[data-row]")].filter((row) => !known.has(row.id));
  if (!fresh.length || feed.dataset.feed !== twin.dataset.feed) return;
  announce(fresh.length === 1 ? "1 new" : `${fresh.length} new`);
  const news = document.getElementById("feed-news");
  const isBusy = feed.scrollTop > 40 || feed.contains(document.activeElement);
  if (isBusy && news) {
    held.add(feed);
    news.textContent = `${fresh.length} new`;
    news.hidden = false;
    return;
  }
  for (const row of fresh) row.classList.add("new-row");
}

let announcedAt = 0;
function announce(text) {
  if (performance.now() - announcedAt < 10_000 && announcedAt) return;
  announcedAt = performance.now();
  document.getElementById("announcer").textContent = text;
}

async function submit(form, button) {
  if (form.getAttribute("aria-busy") === "true") return;
  const body = new URLSearchParams(new FormData(form, button));
  lock(form, true);
  const answer = await ask(form.action, { method: "POST", body });
  if (!answer?.document) { lock(form, false); tell(form, answer); return; }
  form.removeAttribute("data-touched");
  drafts.delete(form.id);
  if (answer.status < 400) history.pushState(null, "", answer.url);
  put(answer.document, { isNew: true });
  const same = document.getElementById(form.id);
  if (same) { lock(same, false); if (answer.status >= 400) same.dataset.touched = ""; }
  moveFocus();
}

function lock(form, isLocked) {
  if (isLocked) form.setAttribute("aria-busy", "true"); else form.removeAttribute("aria-busy");
  for (const button of form.querySelectorAll("button")) button.disabled = isLocked;
}

// Nothing sensible came back: ask how things stand before offering to send again.
function tell(form, answer) {
  let note = form.querySelector("[data-lost]");
  if (!note) {
    note = document.createElement("div");
    note.className = "note s-failed";
    note.dataset.lost = "";
    note.setAttribute("role", "alert");
    const text = document.createElement("div");
    const retry = document.createElement("button");
    retry.type = "button"; retry.className = "btn"; retry.textContent = "Look again";
    retry.addEventListener("click", () => lookAgain(form, note));
    text.append(document.createElement("b"), document.createElement("p"), retry);
    note.append(text);
    form.prepend(note);
  }
  say(note, answer ? "This went wrong on our side" : "The connection was lost", UNKNOWN);
  form.dataset.touched = "";
}

async function lookAgain(form, note) {
  const answer = await ask(location.href);
  if (!answer?.document) return;
  if (answer.status === 401) { say(note, "You are signed out", "Send again: what you typed is kept while you sign in."); return; }
  const twin = answer.document.getElementById(form.id);
  if (twin && twin.dataset.version === form.dataset.version) {
    say(note, "It was not recorded", "The connection is back. You can send it again.");
    return;
  }
  // It was recorded, or something else happened: the page says what. What was typed stays if there is a place for it.
  keepDrafts();
  form.removeAttribute("data-touched");
  put(answer.document, { isNew: true });
  giveDraftsBack();
  moveFocus();
}

function say(note, title, sentence) {
  note.querySelector("b").textContent = title;
  note.querySelector("p").textContent = sentence;
}

// What is typed into one approval is still there after looking at another.
function keepDrafts() {
  for (const form of document.querySelectorAll("form[data-touched]:not([data-plain])")) {
    const typed = [...form.elements].filter((field) => field.name && field.type !== "hidden" && field.tagName !== "BUTTON");
    drafts.set(form.id, typed.map((field) => [field.name, field.value, field.checked ?? false]));
  }
}

function giveDraftsBack() {
  for (const [id, typed] of drafts) {
    const form = document.getElementById(id);
    if (!form) continue;
    for (const [name, value, isChecked] of typed) {
      const isBox = (field) => ["checkbox", "radio"].includes(field.type);
      for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
        if (!isBox(field)) field.value = value;
        else if (field.value === value) field.checked = isChecked;
      }
    }
    form.dataset.touched = "";
    drafts.delete(id);
  }
}

function moveFocus() {
  const target = page().querySelector("[data-focus]") ?? page().querySelector("h1[tabindex]");
  target?.focus({ preventScroll: false });
  document.querySelector("[data-scroll-top]")?.scrollTo(0, 0);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-nav]");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (link && isPlain && !event.defaultPrevented) { event.preventDefault(); show(link.href); }
  if (event.target.closest("#feed-news")) {
    event.target.closest("#feed-news").hidden = true;
    document.querySelector("[data-feed]").scrollTo(0, 0);
    document.activeElement?.blur();
    refresh();
  }
  const changes = event.target.closest("[data-view-changes]");
  if (changes) { event.preventDefault(); viewChanges(); }
});

// Show what stands now, with what was typed put back where the fields still exist.
const viewChanges = () => show(location.href, { push: false });

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("data-plain")) return;
  event.preventDefault();
  submit(form, event.submitter);
});

document.addEventListener("input", (event) => {
  const form = event.target.closest("form");
  if (form?.method === "post") form.dataset.touched = "";
});

addEventListener("popstate", () => show(location.href, { push: false }));
