// A list of checks that are ticked one after another, and what came of them. Used by verify.js and
// consistency.js; the list is in the page, with an item `check-<name>` for each.

const MARKS = { pending: "st-pending", running: "st-running", held: "st-approved", failed: "st-failed", open: "st-skipped" };
let isRunning = false;

export class Failed extends Error {}

export const short = (hex) => `${hex.slice(0, 16)}…`;

export function expect(what, found, expected) {
  if (found !== expected) throw new Failed(`${what}: expected ${expected}, found ${found}`);
}

// `checks` give what to say when they hold, `{ open }` when they could not be decided here, or
// `{ none }` where there was nothing to check. Stops at the first that fails. Returns what failed,
// what was left open, and what the checks have seen.
export async function runAll(checks, seen) {
  if (isRunning) return null;
  isRunning = true;
  const names = Object.keys(checks);
  const result = { failed: "", open: "", seen };
  for (const name of names) mark(name, "pending", "");
  tell("", "", "");
  try {
    if (!globalThis.crypto?.subtle) { result.failed = "This browser gives pages no cryptography unless they come over HTTPS."; return result; }
    for (const name of names) {
      mark(name, "running");
      try {
        const said = await checks[name](seen);
        if (said.open) { mark(name, "open", said.open); result.open ||= said.open; }
        else if (said.none) mark(name, "open", said.none);
        else mark(name, "held", said);
      } catch (error) {
        result.failed = `${error.message}.`;
        mark(name, "failed", result.failed);
        break;
      }
    }
    return result;
  } finally { isRunning = false; }
}

function mark(name, state, said) {
  const item = document.getElementById(`check-${name}`);
  const use = item.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${MARKS[state]}`));
  item.querySelector("svg").setAttribute("class", `mark s-${{ held: "approved", open: "skipped" }[state] ?? state}`);
  item.dataset.state = state;
  if (said !== undefined) item.querySelector("[data-said]").textContent = said;
}

export function tell(status, title, text) {
  const note = document.getElementById("verify-note");
  note.hidden = !status;
  note.className = `note s-${status}`;
  note.querySelector("b").textContent = title;
  note.querySelector("p").textContent = text;
  document.getElementById("verify-result").textContent = title;
  document.getElementById("verify").dataset.result = status;
}
