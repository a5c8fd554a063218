// Fetching a page and morphing it in, so that focus, scroll, zoom and half-written text stay.
// `show` goes somewhere, `refresh` asks for the same page again; forms.js sends. The server always
// answers with whole pages; only the element #page is taken from them.
import { giveDraftsBack, keepDrafts } from "./drafts.js";

const TIMEOUT_MS = 30_000;
const KEPT = ["style", "open", "data-client", "data-touched"]; // attributes that are the browser's own
const OK = 200;

// Raised by whatever goes elsewhere: an answer asked for under an older number comes too late.
let turn = 0;
let place = here();
let isSending = false;
let refreshing = null;
let isAskedAgain = false;
let announcedAt = -Infinity;

export const page = () => document.getElementById("page");

export async function show(url, { push = true, wasAskedToLook = false } = {}) {
  if (isSending) return;
  const mine = ++turn;
  const answer = await ask(url);
  if (mine !== turn) return;
  if (!answer?.document) { location.assign(url); return; }
  keepDrafts();
  arrive(answer, { push });
  giveDraftsBack({ wasAskedToLook });
}

// Returns the status of the answer, 0 if none came.
export function refresh() {
  if (refreshing) { isAskedAgain = true; return refreshing; }
  refreshing = again().finally(() => {
    refreshing = null;
    if (isAskedAgain) { isAskedAgain = false; refresh(); }
  });
  return refreshing;
}

async function again() {
  const mine = turn;
  const asked = here();
  const answer = await ask(location.href);
  // Another page was shown while this one was on its way: that one is asked for.
  if (asked !== here()) { isAskedAgain = true; return answer?.status ?? 0; }
  // An error's page would take away what is being read or written.
  if (answer?.document && answer.status === OK && mine === turn && !isSending) put(answer.document, { isNew: false });
  return answer?.status ?? 0;
}

// Sends a form's body: nothing else is shown until the answer is there.
export async function send(url, body) {
  isSending = true;
  turn += 1;
  try { return await ask(url, { method: "POST", body }); } finally { isSending = false; }
}

// Returns null when nothing came back; `document` is null when what came back is no page of ours.
export async function ask(url, options = {}) {
  try {
    const response = await fetch(url, {
      credentials: "same-origin", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(TIMEOUT_MS), ...options,
    });
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    const isPage = parsed.getElementById("page") !== null;
    return { document: isPage ? parsed : null, status: response.status, url: response.url };
  } catch { return null; }
}

// Puts another page in place of this one, and the focus where it begins.
export function arrive(answer, { push }) {
  if (push && answer.url !== location.href) history.pushState(null, "", answer.url);
  place = here();
  put(answer.document, { isNew: true });
  moveFocus();
}

function put(next, { isNew }) {
  const held = isNew ? new Set() : holdForms(next);
  if (!isNew) holdFeed(next, held);
  Idiomorph.morph(page(), next.getElementById("page"), {
    morphStyle: "outerHTML",
    callbacks: {
      beforeNodeMorphed: (old) => !held.has(old) && !old.matches?.("[data-own]"),
      beforeAttributeUpdated: (name) => !KEPT.includes(name),
    },
  });
  document.title = next.title;
  for (const link of next.head.querySelectorAll("link[rel=stylesheet]")) {
    const known = [...document.styleSheets].some((sheet) => sheet.href === link.href);
    if (!known) document.head.append(document.importNode(link));
  }
  for (const script of next.head.querySelectorAll("script[type=module][src]")) {
    const src = script.getAttribute("src");
    if (document.head.querySelector(`script[src="${CSS.escape(src)}"]`)) continue;
    const own = document.createElement("script");
    own.type = "module";
    own.src = src;
    document.head.append(own);
  }
  document.dispatchEvent(new CustomEvent("page:shown", { detail: { isNew } }));
}

// A form somebody has typed into is never changed, and a decision's form never gets another content
// to sign without a word. If what it is about has changed, its region stays and says so.
function holdForms(next) {
  // What the server answered to something sent (a conflict, text given back) stands until one goes on.
  const held = new Set(document.querySelectorAll("[data-said]"));
  for (const form of document.querySelectorAll("form[data-touched], form[data-decision]")) {
    const isTouched = form.hasAttribute("data-touched");
    const twin = next.getElementById(form.id);
    const isSame = twin?.dataset.version === form.dataset.version;
    if (twin && isSame) {
      if (isTouched || form.dataset.client) held.add(form); // what was chosen there stays chosen
    } else if (twin || isTouched) {
      held.add(form.closest("[data-keep]") ?? form);
      tellStale(form, isTouched);
    }
  }
  return held;
}

function tellStale(form, isTouched) {
  const note = form.querySelector("[data-stale]");
  if (!note) return;
  note.hidden = false;
  if (!isTouched) note.querySelector("b").textContent = "This changed since you opened it";
}

// New rows do not push away what is being read: they are announced, and come on asking.
function holdFeed(next, held) {
  const feed = document.querySelector("[data-feed]");
  const twin = feed && next.getElementById(feed.id);
  if (!twin || feed.dataset.feed !== twin.dataset.feed) return;
  const known = new Set([...feed.querySelectorAll("[data-row]")].map((row) => row.id));
  const fresh = [...twin.querySelectorAll("[data-row]")].filter((row) => !known.has(row.id));
  if (!fresh.length) return;
  announce(`${fresh.length} new`);
  const news = document.getElementById("feed-news");
  if (news && (feed.scrollTop > 40 || feed.contains(document.activeElement))) {
    held.add(feed);
    news.textContent = `${fresh.length} new`;
    news.hidden = false;
    return;
  }
  for (const row of fresh) row.classList.add("new-row");
}

function announce(text) {
  if (performance.now() - announcedAt < 10_000) return;
  announcedAt = performance.now();
  document.getElementById("announcer").textContent = text;
}

function moveFocus() {
  document.querySelector("[data-scroll-top]")?.scrollTo(0, 0);
  (page().querySelector("[data-focus]") ?? page().querySelector("h1[tabindex]"))?.focus();
}

function here() { return location.pathname + location.search; }

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-nav]");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (link && isPlain && !event.defaultPrevented) { event.preventDefault(); show(link.href); }
  const news = event.target.closest("#feed-news");
  if (news) {
    news.hidden = true;
    document.querySelector("[data-feed]").scrollTo(0, 0);
    news.blur();
    refresh();
  }
  if (event.target.closest("[data-view-changes]")) {
    event.preventDefault();
    show(location.href, { push: false, wasAskedToLook: true });
  }
});

// A link within the page (#main, #L12) changes only the fragment: the page is the same.
addEventListener("popstate", () => { if (here() !== place) show(location.href, { push: false }); });
