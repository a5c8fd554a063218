// "Verify in this browser": the bytes on the page, to the root, to a signature, to each value. The
// steps are ticked one after another, and the first that fails is named with what was compared.
import { expect, runAll, short, tell } from "./checks.js";
import { bytesOf, commitmentOf, fromHex, leafHash, readCheckpoint, readNote, rootFrom, toHex } from "./merkle.js";
import { checkSigned, listen, pinned, showTrust } from "./trust.js";

const data = () => JSON.parse(document.getElementById("proof-data").textContent);

// What stands on the page as text is compared as a value; a text that was cut is not all there.
function expectShown(part, what, value) {
  const shown = part?.querySelector("pre");
  if (!shown || part.dataset.cut !== undefined) return;
  expect(`What the page shows of ${what}`, JSON.stringify(JSON.parse(shown.textContent)), JSON.stringify(value));
}

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
    seen.data = data();
    const { index, size, path, note } = seen.data;
    seen.note = readNote(note);
    seen.head = readCheckpoint(seen.note.text);
    expect("The tree head's size", String(seen.head.size), String(size));
    const root = await rootFrom({ leaf: seen.leaf, index, size, path: path.map(fromHex) });
    expect("The root the path leads to", toHex(root), toHex(seen.head.root));
    return `Leaf ${index} leads by ${path.length} hashes to the root ${short(toHex(root))} of ${size} entries.`;
  },
  signature: (seen) => checkSigned(seen.note),
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
  const result = await runAll(CHECKS, {});
  if (!result) return;
  if (result.failed) tell("failed", "This does not verify", result.failed);
  else if (result.open) tell("waiting", "It is in the tree; who signed that was not checked", result.open);
  else if (pinned().how === "pasted") tell("approved", "It verifies", "The entry is in the log as it stands here, under a signature of the key you trust.");
  else tell("approved", "It verifies", "The entry is in the log as it stands here, under a signature of the key this browser remembers. Only this server named that key: compare its fingerprint with one you got elsewhere.");
}

const named = () => data().keys;
document.addEventListener("click", (event) => { if (event.target.closest("[data-verify]")) verify(); });
listen(named, () => { if (document.getElementById("verify").dataset.result) verify(); });
showTrust(named());
