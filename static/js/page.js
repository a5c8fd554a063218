// Fetching a page and morphing it in, so that focus, scroll, zoom and half-written text stay.
// `show` goes somewhere, `refresh` asks for the same page again, `submit` sends a form.
// The server always answers with whole pages; only the element #page is taken from them.

const UNKNOWN = "It is not known whether this was recorded. Look again before you send it a second time.";

export const page = () => document.getElementById("page");

export async function show(url, { push = true } = {}) {
  const answer = await ask(url);
  if (!answer) { location.assign(url); return; }
  if (push) history.pushState(null, "", answer.url);
  put(answer.document, { isNew: true });
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
  if (!answer || location.href !== url || answer.status === 401) return answer?.status ?? 0;
  put(answer.document, { isNew: false });
  return answer.status;
}

async function ask(url, options = {}) {
  try {
    const response = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/html" }, ...options });
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    return parsed.getElementById("page") ? { document: parsed, status: response.status, url: response.url } : null;
  } catch { return null; }
}

function put(next, { isNew }) {
  const held = isNew ? new Set() : holdTouched(next);
  holdFeed(next, held, isNew);
  Idiomorph.morph(page(), next.getElementById("page"), {
    morphStyle: "outerHTML",
    callbacks: {
      beforeNodeMorphed: (old) => !held.has(old),
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
  if (!answer) { lock(form, false); tell(form); return; }
  form.removeAttribute("data-touched");
  if (answer.status < 400) history.pushState(null, "", answer.url);
  put(answer.document, { isNew: true });
  const same = document.getElementById(form.id);
  if (same) { lock(same, false); if (answer.status >= 400) same.dataset.touched = ""; }
  moveFocus();
}

function lock(form, isLocked) {
  form.toggleAttribute("aria-busy", isLocked);
  if (isLocked) form.setAttribute("aria-busy", "true");
  for (const button of form.querySelectorAll("button")) button.disabled = isLocked;
}

// The connection broke while sending: ask how things stand before offering to send again.
async function tell(form) {
  let note = form.querySelector("[data-lost]");
  if (!note) {
    note = document.createElement("div");
    note.className = "note s-failed";
    note.dataset.lost = "";
    note.setAttribute("role", "alert");
    const text = document.createElement("div");
    const bold = document.createElement("b");
    const more = document.createElement("p");
    const retry = document.createElement("button");
    retry.type = "button"; retry.className = "btn"; retry.textContent = "Look again";
    text.append(bold, more, retry); note.append(text); form.prepend(note);
    retry.addEventListener("click", () => lookAgain(form, note));
  }
  note.querySelector("b").textContent = "The connection was lost";
  note.querySelector("p").textContent = UNKNOWN;
  form.dataset.touched = "";
}

async function lookAgain(form, note) {
  const status = await refresh();
  if (!status) return;
  if (!form.isConnected) return;
  const isOut = status === 401;
  note.querySelector("b").textContent = isOut ? "You are signed out" : "It was not recorded";
  note.querySelector("p").textContent = isOut
    ? "Send again: what you typed is kept while you sign in."
    : "The connection is back. You can send it again.";
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
  if (changes) { event.preventDefault(); viewChanges(changes.closest("form")); }
});

// Show what stands now, and put what was typed back where the fields still exist.
async function viewChanges(form) {
  const typed = new FormData(form);
  form.removeAttribute("data-touched");
  await show(location.href, { push: false });
  const again = document.getElementById(form.id);
  if (!again) return;
  for (const [name, value] of typed) {
    const field = again.elements[name];
    if (field && "value" in field && !["hidden", "checkbox"].includes(field.type)) field.value = value;
  }
  again.dataset.touched = "";
}

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
