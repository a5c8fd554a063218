// Which key a person trusts, kept in their browser alone. A key is never trusted because the server
// sent it: somebody pastes one, or says that the one seen first is to be remembered.
import { checkSignature, readKey } from "./merkle.js";
import { Failed } from "./checks.js";

const PLACE = "ledger-key";

export const pinned = () => {
  try { return JSON.parse(localStorage.getItem(PLACE)); } catch { return null; }
};

export function sayHow(pin) {
  const day = pin.at.slice(0, 10);
  return pin.how === "pasted" ? `pasted here on ${day}` : `remembered here on ${day} as this server named it: nobody else vouched for it`;
}

// Checks that the trusted key signed a note. Gives what to say, or `{ open }` if it cannot be said.
export async function checkSigned(note) {
  const held = pinned();
  if (!held) return { open: "Not checked: you trust no key yet. The keys this server names prove nothing by themselves." };
  const key = await readKey(held.line);
  const line = note.signatures.find((item) => item.name === key.name && item.keyId === key.keyId);
  if (!line) throw new Failed(`The key you trust, ${key.name} ${key.keyId}, did not sign this; it is signed by ${note.signatures.map((item) => `${item.name} ${item.keyId}`).join(", ")}`);
  const holds = await checkSignature({ key, text: note.text, signature: line.signature });
  if (holds === null) return { open: "Not checked: this browser does not know Ed25519. Use a newer one, or countersign verify." };
  if (!holds) throw new Failed(`The signature of ${key.name} ${key.keyId} does not hold for this tree head`);
  return `Signed by ${key.name}, id ${key.keyId}, fingerprint ${key.print}: ${sayHow(held)}.`;
}

async function pin(line, how) {
  const key = await readKey(line);
  localStorage.setItem(PLACE, JSON.stringify({ line: key.line, how, at: new Date().toISOString() }));
}

// Fills the part of the page about the key. `named` are the lines the server sends.
export async function showTrust(named) {
  const state = document.getElementById("trust-state");
  if (!state) return;
  const error = document.getElementById("trust-error");
  const held = pinned();
  error.hidden = true;
  document.getElementById("trust-drop").hidden = !held;
  document.getElementById("trust-first").hidden = Boolean(held) || !named.length;
  document.getElementById("trust").open ||= !held;
  if (!held) {
    state.textContent = "None yet, so nobody can say whose signature this is. Get the key's line from whoever runs the log, on another way than this server, and paste it.";
    return;
  }
  try {
    const key = await readKey(held.line);
    state.textContent = `${key.name}, id ${key.keyId}, fingerprint ${key.print}: ${sayHow(held)}.`;
  } catch (problem) { state.textContent = `What is remembered is no key: ${problem.message}`; }
}

export function listen(named, changed) {
  const error = document.getElementById("trust-error");
  const act = async (work) => {
    try { await work(); await showTrust(named()); changed(); }
    catch (problem) { error.textContent = problem.message; error.hidden = false; }
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("#trust-pin")) act(() => pin(document.getElementById("trust-key").value, "pasted"));
    if (event.target.closest("#trust-first")) act(() => pin(named()[0], "seen"));
    if (event.target.closest("#trust-drop")) act(async () => localStorage.removeItem(PLACE));
  });
}
