// The ledger's own arithmetic, for checks in a browser: hashes, paths, notes, keys, commitments.
// Nothing here asks a server. Sources: RFC 9162 §2.1; C2SP signed-note and tlog-checkpoint.

const encoder = new TextEncoder();
const ED25519 = 1;
const COMMITMENT_PREFIX = "countersign/commit/v1\n";

export const bytesOf = (text) => encoder.encode(text);
export const toHex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export function fromHex(text) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new Error(`“${text.slice(0, 20)}” is not written in hex`);
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function fromBase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4) throw new Error("not base64");
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function join(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let place = 0;
  for (const part of parts) { whole.set(part, place); place += part.length; }
  return whole;
}

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
export const leafHash = (body) => sha256(join(Uint8Array.of(0), body));
export const nodeHash = (left, right) => sha256(join(Uint8Array.of(1), left, right));

// RFC 9162 §2.1.3.2. Numbers stay below 2^53, so they are divided and not shifted.
export async function rootFrom({ leaf, index, size, path }) {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size)) throw new Error(`there is no leaf ${index} in a tree of ${size}`);
  let place = index, last = size - 1, node = leaf;
  for (const sibling of path) {
    if (sibling.length !== 32) throw new Error("a hash has 32 bytes");
    if (last === 0) throw new Error("the path is longer than the tree is high");
    if (place % 2 || place === last) {
      node = await nodeHash(sibling, node);
      while (place % 2 === 0 && place) { place /= 2; last = Math.floor(last / 2); }
    } else node = await nodeHash(node, sibling);
    place = Math.floor(place / 2); last = Math.floor(last / 2);
  }
  if (last) throw new Error("the path ends before the root");
  return node;
}

// RFC 9162 §2.1.4.2: the roots of the earlier and of the later tree that a path leads to.
export async function rootsFrom({ first, firstRoot, second, path }) {
  if (first === second || first === 0) {
    if (path.length) throw new Error("there is nothing to show, and so no path");
    return { older: first ? firstRoot : await sha256(new Uint8Array()), newer: first === second ? firstRoot : null };
  }
  const isPower = Number.isInteger(Math.log2(first));
  const hashes = isPower ? [firstRoot, ...path] : [...path];
  if (!hashes.length) throw new Error("the path is empty");
  let place = first - 1, last = second - 1;
  while (place % 2) { place = Math.floor(place / 2); last = Math.floor(last / 2); }
  let older = hashes[0], newer = hashes[0];
  for (const sibling of hashes.slice(1)) {
    if (last === 0) throw new Error("the path is longer than the tree is high");
    if (place % 2 || place === last) {
      older = await nodeHash(sibling, older);
      newer = await nodeHash(sibling, newer);
      while (place % 2 === 0 && place) { place /= 2; last = Math.floor(last / 2); }
    } else newer = await nodeHash(newer, sibling);
    place = Math.floor(place / 2); last = Math.floor(last / 2);
  }
  if (last) throw new Error("the path ends before the root");
  return { older, newer };
}

export function readNote(note) {
  const gap = note.lastIndexOf("\n\n");
  if (gap < 0 || !note.endsWith("\n")) throw new Error("this is not a signed note");
  const text = note.slice(0, gap + 1);
  const signatures = note.slice(gap + 2, -1).split("\n").map((line) => {
    const match = /^— (\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
    if (!match) throw new Error("a signature line is malformed");
    const blob = fromBase64(match[2]);
    return { name: match[1], keyId: toHex(blob.slice(0, 4)), signature: blob.slice(4) };
  });
  return { text, signatures };
}

export function readCheckpoint(text) {
  const [origin, size, root] = text.split("\n");
  if (!origin || !/^(?:0|[1-9][0-9]*)$/.test(size ?? "") || !Number.isSafeInteger(Number(size))) throw new Error("the tree head says no size");
  const bytes = fromBase64(root ?? "");
  if (bytes.length !== 32) throw new Error("the tree head has no root");
  return { origin, size: Number(size), root: bytes };
}

export async function readKey(line) {
  const match = /^([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(line.trim());
  if (!match) throw new Error("This is no key. It is one line: name+id+key.");
  const [, name, keyId, encoded] = match;
  let blob;
  try { blob = fromBase64(encoded); } catch { throw new Error("The key's last part is not base64."); }
  if (blob[0] !== ED25519 || blob.length !== 33) throw new Error("This key is of a kind that a log does not sign with.");
  const own = toHex((await sha256(join(bytesOf(`${name}\n`), blob))).slice(0, 4));
  if (own !== keyId) throw new Error(`The key's id is ${own}, not ${keyId}: a character of it is wrong.`);
  const publicKey = blob.slice(1);
  const print = toHex(await sha256(publicKey)).match(/.{4}/g).slice(0, 8).join(" ");
  return { line: line.trim(), name, keyId, publicKey, print };
}

// true, false, or null where the browser does not know Ed25519.
export async function checkSignature({ key, text, signature }) {
  let known;
  try { known = await crypto.subtle.importKey("raw", key.publicKey, { name: "Ed25519" }, false, ["verify"]); }
  catch (error) { if (error.name === "NotSupportedError") return null; throw error; }
  return crypto.subtle.verify({ name: "Ed25519" }, known, signature, bytesOf(text));
}

// `value` is the canonical text that was committed to; stream and number come from the entry's bytes.
export const commitmentOf = ({ stream, seq, name, value, salt }) => sha256(join(bytesOf(COMMITMENT_PREFIX), fromHex(salt), bytesOf(`["${stream}",${seq},"${name}",${value}]`)));
