// "Verify in this browser": the bytes on the page, to the root, to a signature, to each value. The
// steps are ticked one after another, and the first that fails is named with what was compared.
import { bytesOf, checkSignature, commitmentOf, fromHex, leafHash, readCheckpoint, readKey, readNote, rootFrom, toHex } from "./merkle.js";
import { listen, pinned, sayHow, showTrust } from "./trust.js";

const MARKS = { pending: "st-pending", running: "st-running", held: "st-approved", failed: "st-failed", open: "st-skipped" };
const data = () => JSON.parse(document.getElementById("proof-data").textContent);
let isRunning = false;

class Failed extends Error {}

const short = (hex) => `${hex.slice(0, 16)}…`;

function expect(what, found, expected) {
  if (found !== expected) throw new Failed(`${what}: expected ${expected}, found ${found}`);
}

// What stands on the page as text is compared as a value; a text that was cut is not all there.
function expectShown(part, what, value) {
  const shown = part?.querySelector("pre");
  if (!shown || part.dataset.cut !== undefined) return;
  expect(`What the page shows of ${what}`, JSON.stringify(JSON.parse(shown.textContent)), JSON.stringify(value));
}

function mark(name, state, said) {
  const item = document.getElementById(`check-${name}`);
  const use = item.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${MARKS[state]}`));
  item.querySelector("svg").setAttribute("class", `mark s-${{ held: "approved", open: "skipped" }[state] ?? state}`);
  item.dataset.state = state;
  if (said !== undefined) item.querySelector("[data-said]").textContent = said;
}

// Each gives what to say when it holds; `open` when it could not be decided here.
const CHECKS = {
  async bytes(seen) {
    seen.body = bytesOf(document.getElementById("body-text").textContent);
    seen.leaf = await leafHash(seen.body);
    expect("The hash of these bytes", toHex(seen.leaf), document.getElementById("leaf").textContent.trim());
    seen.entry = JSON.parse(new TextDecoder().decode(seen.body));
    for (const place of document.querySelectorAll("[data-field]")) expect(`What the page says of “${place.dataset.field}”`, place.textContent, String(seen.entry[place.dataset.field]));
    expectShown(document.querySelector("[data-member]"), "the data", seen.entry.data);
    return `SHA-256 over ${seen.body.length} bytes is ${short(toHex(seen.leaf))}, and they say what the page says.`;
  },
  async path(seen) {
    const { index, size, path, note } = seen.data;
    seen.note = readNote(note);
    seen.head = readCheckpoint(seen.note.text);
    expect("The tree head's size", String(seen.head.size), String(size));
    const root = await rootFrom({ leaf: seen.leaf, index, size, path: path.map(fromHex) });
    expect("The root the path leads to", toHex(root), toHex(seen.head.root));
    return `Leaf ${index} leads by ${path.length} hashes to the root ${short(toHex(root))} of ${size} entries.`;
  },
  async signature(seen) {
    const pin = pinned();
    if (!pin) return { open: "Not checked: you trust no key yet. The keys this server names prove nothing by themselves." };
    const key = await readKey(pin.line);
    const line = seen.note.signatures.find((item) => item.name === key.name && item.keyId === key.keyId);
    if (!line) throw new Failed(`The key you trust, ${key.name} ${key.keyId}, did not sign this; it is signed by ${seen.note.signatures.map((item) => `${item.name} ${item.keyId}`).join(", ")}`);
    const holds = await checkSignature({ key, text: seen.note.text, signature: line.signature });
    if (holds === null) return { open: "Not checked: this browser does not know Ed25519. Use a newer one, or countersign verify." };
    if (!holds) throw new Failed(`The signature of ${key.name} ${key.keyId} does not hold for this tree head`);
    return `Signed by ${key.name}, id ${key.keyId}, fingerprint ${key.print}: ${sayHow(pin)}.`;
  },
  async values(seen) {
    const { stream, seq, source } = seen.entry;
    const committed = { ...seen.entry.payloads, ...(source ? { source } : {}) };
    for (const { name, salt, value } of seen.data.openings) {
      const found = toHex(await commitmentOf({ stream, seq, name, value, salt }));
      expect(`The commitment to “${name}”`, found, committed[name] ?? "none");
      expectShown(document.querySelector(`[data-payload="${CSS.escape(name)}"]`), `“${name}”`, JSON.parse(value));
    }
    const hidden = Object.keys(committed).length - seen.data.openings.length;
    const opened = seen.data.openings.length;
    if (!opened && !hidden) return "The entry commits to no values.";
    return `${opened} of ${opened + hidden} open to what the entry commits to.${hidden ? ` The others are erased or not for you to see.` : ""}`;
  },
};

async function verify() {
  if (isRunning) return;
  isRunning = true;
  const names = Object.keys(CHECKS);
  const seen = {};
  let failed = "", open = "";
  for (const name of names) mark(name, "pending", "");
  tell("", "", "");
  try {
    if (!globalThis.crypto?.subtle) { failed = "This browser gives pages no cryptography unless they come over HTTPS."; return; }
    seen.data = data();
    for (const name of names) {
      mark(name, "running");
      try {
        const said = await CHECKS[name](seen);
        if (said.open) { mark(name, "open", said.open); open ||= said.open; } else mark(name, "held", said);
      } catch (error) {
        failed = `${error.message}.`;
        mark(name, "failed", failed);
        break;
      }
    }
  } catch (error) { failed = `The proof cannot be read: ${error.message}.`; }
  finally {
    isRunning = false;
    if (failed) tell("failed", "This does not verify", failed);
    else if (open) tell("waiting", "It is in the tree; who signed that was not checked", open);
    else tell("approved", "It verifies", pinned().how === "pasted" ? "The entry is in the log as it stands here, under a signature of the key you trust." : "The entry is in the log as it stands here, under a signature of the key this browser remembers. Only this server named that key: compare its fingerprint with one you got elsewhere.");
  }
}

function tell(status, title, text) {
  const note = document.getElementById("verify-note");
  note.hidden = !status;
  note.className = `note s-${status}`;
  note.querySelector("b").textContent = title;
  note.querySelector("p").textContent = text;
  document.getElementById("verify-result").textContent = title;
  document.getElementById("verify").dataset.result = status;
}

const named = () => data().keys;
document.addEventListener("click", (event) => { if (event.target.closest("[data-verify]")) verify(); });
listen(named, () => { if (document.getElementById("verify").dataset.result) verify(); });
showTrust(named());
