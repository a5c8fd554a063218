// One socket a page. It carries only signals: the page then asks for itself again, by an ordinary
// GET with the ordinary permission checks. Signals may be lost, so after every connect it asks once.
import { page, refresh } from "./page.js";

const MERGE_MS = 80;
const SPREAD_MS = 150; // an inbox has many listeners; they do not all ask in the same moment
const DELAY_FIRST_MS = 500;
const DELAY_MAX_MS = 30_000;
const POLL_MS = 15_000;
const BACKSTOP_MS = 60_000; // a signal may be lost without anybody noticing
const SIGNED_OUT = 4401;
const OK = 200;
const GONE = [401, 403, 404]; // signed out, or no longer for this reader

let socket = null;
let delay = DELAY_FIRST_MS;
let timer = 0;
let subscribed = new Set();
let isDirty = false;
let fetchedAt = Date.now();
let polling = 0;

const topics = () => new Set((page()?.dataset.topics ?? "").split(/\s+/).filter(Boolean));

function connect() {
  if (!topics().size || socket) return;
  try { socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/`); }
  catch { lost(); return; }
  subscribed = new Set();
  socket.addEventListener("open", () => {
    delay = DELAY_FIRST_MS;
    follow();
    say("open");
  });
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    // What happened between the page and the subscription told nobody.
    if (frame.type === "subscribed") soon(MERGE_MS);
    if (frame.type === "signal") soon(frame.topic === "inbox" ? MERGE_MS + Math.random() * SPREAD_MS : MERGE_MS);
  });
  socket.addEventListener("close", (event) => {
    socket = null;
    if (event.code === SIGNED_OUT) { say("off"); return; }
    lost();
  });
}

function follow() {
  const wanted = topics();
  for (const topic of wanted) if (!subscribed.has(topic)) tell({ subscribe: topic });
  for (const topic of subscribed) if (!wanted.has(topic)) tell({ unsubscribe: topic });
  subscribed = wanted;
}

function tell(frame) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

function lost() {
  say("lost");
  setTimeout(connect, delay * (0.75 + Math.random() / 2));
  delay = Math.min(delay * 2, DELAY_MAX_MS);
}

function soon(ms) {
  if (document.hidden) { isDirty = true; return; }
  timer ||= setTimeout(async () => {
    timer = 0;
    const status = await refresh();
    if (status === OK) fetchedAt = Date.now();
    else if (GONE.includes(status)) say("off");
    else soon(POLL_MS);
  }, ms);
}

let state = "";
function say(next) {
  state = next;
  const mark = document.getElementById("live");
  if (!mark || !state) return;
  mark.hidden = false;
  mark.dataset.state = state;
  const at = `${new Date(fetchedAt).toISOString().slice(11, 16)} UTC`;
  const words = { open: "Live", lost: "Reconnecting", off: `Not live since ${at}` }[state];
  if (mark.textContent.trim() === words) return;
  mark.textContent = words;
  document.getElementById("gone").hidden = state !== "off";
  if (state === "off") {
    const link = document.createElement("a");
    link.href = location.href; link.textContent = "Reload";
    mark.append(" ", link);
  }
}

function keepPolling() {
  clearInterval(polling);
  const seconds = Number(page()?.dataset.poll ?? 0);
  polling = setInterval(() => {
    const isDeaf = topics().size && socket?.readyState !== WebSocket.OPEN;
    const isOld = topics().size && Date.now() - fetchedAt > BACKSTOP_MS;
    if (state !== "off" && (seconds || isDeaf || isOld)) soon(0);
  }, (seconds * 1000) || POLL_MS);
}

document.addEventListener("page:shown", ({ detail }) => {
  if (socket) follow(); else connect();
  say(state);
  if (detail.isNew) { fetchedAt = Date.now(); keepPolling(); }
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && isDirty) { isDirty = false; soon(0); }
});
addEventListener("online", () => { if (!socket) { delay = DELAY_FIRST_MS; connect(); } });
connect();
keepPolling();
