// The log's page, checked in the browser: who signed the newest tree head, and that it contains the
// tree this browser saw when somebody was here last, and any older one. Only paths of hashes are
// asked for; what they prove is computed here.
import { Failed, expect, runAll, short, tell } from "./checks.js";
import { fromHex, readCheckpoint, readNote, rootsFrom, toHex } from "./merkle.js";
import { checkSigned, listen, pinned, showTrust } from "./trust.js";

const PLACE = "ledger-seen";
const data = () => JSON.parse(document.getElementById("log-data").textContent);

function lastSeen() {
  try { return JSON.parse(localStorage.getItem(PLACE)); } catch { return null; }
}

async function expectContained(first, firstRoot, newest) {
  if (first > newest.size) throw new Failed(`The log has ${newest.size} entries, and had ${first}: some are gone`);
  if (first === newest.size) { expect(`The root of ${first} entries`, toHex(newest.root), toHex(firstRoot)); return; }
  const answer = await fetch(`/api/v1/ledger/log/consistency/?first=${first}&second=${newest.size}`, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Failed(`The server gave no proof: it answered ${answer.status}`);
  const proof = await answer.json();
  const roots = await rootsFrom({ first, firstRoot, second: newest.size, path: proof.path.map(fromHex) });
  expect(`The root of the first ${first} entries`, toHex(roots.older), toHex(firstRoot));
  if (roots.newer) expect(`The root of all ${newest.size} entries`, toHex(roots.newer), toHex(newest.root));
}

const CHECKS = {
  async head(seen) {
    seen.data = data();
    seen.note = readNote(seen.data.newest);
    seen.newest = readCheckpoint(seen.note.text);
    seen.signed = await checkSigned(seen.note);
    return seen.signed;
  },
  async seen(seen) {
    const { newest } = seen;
    const before = lastSeen();
    const now = JSON.stringify({ origin: newest.origin, size: newest.size, root: toHex(newest.root), at: new Date().toISOString() });
    if (before?.origin !== newest.origin) {
      localStorage.setItem(PLACE, now);
      seen.isFirst = true;
      // A log that was set back ends, and another begins: that is for somebody to explain.
      if (before) return { open: `This browser knew another log, ${before.origin}: ask why its name changed. It remembers this one from now on.` };
      return { none: `Nothing to compare with: it is the first that this browser sees. ${newest.size} entries are remembered for the next time.` };
    }
    await expectContained(before.size, fromHex(before.root), newest);
    localStorage.setItem(PLACE, now);
    return `The ${before.size} entries of ${before.at.slice(0, 16).replace("T", " ")} UTC are all there, unchanged, among ${newest.size}.`;
  },
  async older(seen) {
    const text = document.getElementById("older-size").value.trim();
    if (!text) return { none: "None was chosen." };
    if (!/^[1-9][0-9]{0,14}$/.test(text)) throw new Failed(`“${text}” is no size`);
    const note = seen.data.notes[text];
    if (!note) throw new Failed(`No tree head of ${text} entries is on this page: take a size from the list below`);
    const older = readCheckpoint(readNote(note).text);
    expect("The older tree head's size", String(older.size), text);
    const signed = await checkSigned(readNote(note));
    await expectContained(older.size, older.root, seen.newest);
    return `The first ${older.size} entries have the root ${short(toHex(older.root))} in both trees.${signed.open ? "" : " The older one is signed by the key you trust, too."}`;
  },
};

async function check() {
  const result = await runAll(CHECKS, {});
  if (!result) return;
  if (result.failed) tell("failed", "This log does not hold together", result.failed);
  else if (result.open) tell("waiting", "Not everything was checked", result.open);
  else {
    const before = result.seen.isFirst ? "Come back to have it compared with what was there today." : "It contains what was there before.";
    if (pinned().how === "pasted") tell("approved", "The log holds", `Its newest tree head is signed by the key you trust. ${before}`);
    else tell("approved", "The log holds", `Its newest tree head is signed by the key this browser remembers. Only this server named that key: compare its fingerprint with one you got elsewhere. ${before}`);
  }
}

const named = () => data().keys;
document.addEventListener("click", (event) => { if (event.target.closest("[data-check-log]")) check(); });
listen(named, () => { if (document.getElementById("verify").dataset.result) check(); });
showTrust(named());
