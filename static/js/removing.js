/**
 * Deletions that wait for ten seconds, in which they can be called off. Only then is the request sent, or when the page is left; until
 * then nothing has happened. What cuts somebody off (`atOnce` in its row) does not wait.
 * @typedef {import("./entities.js").Entity} Entity
 */
import { reach } from "./api.js";
import { removeCall, removeRow } from "./data.js";
import { bad, good, waiting } from "./ui/toast.js";

export const WAIT_MS = 10_000;

/** @type {Map<string, {of: Entity, id: string, timer: ReturnType<typeof setTimeout>, close: () => void}>} */
const held = new Map();
/** @type {Set<() => void>} */
const watchers = new Set();

const keyOf = (/** @type {Entity} */ of, /** @type {string} */ id) => `${of.key}/${id}`;
const tell = () => watchers.forEach((fn) => fn());

/** Whether it is about to be deleted. @param {Entity} of @param {string} id */
export const isGoing = (of, id) => held.has(keyOf(of, id));

/** Be told when one begins, is called off or is done; gives the function that ends it. @param {() => void} fn */
export function watchRemovals(fn) {
  watchers.add(fn);
  return () => watchers.delete(fn);
}

/** Delete it in ten seconds. @param {Entity} of @param {string} id @param {string} title */
export function removeSoon(of, id, title) {
  const key = keyOf(of, id);
  if (held.has(key)) return;
  const timer = setTimeout(async () => {
    take(key);
    await removeNow(of, id, title);
    tell();
  }, WAIT_MS);
  const close = waiting(`${title} is deleted in 10 seconds.`, { label: "Keep it", run: () => keep(of, id) }, WAIT_MS);
  held.set(key, { of, id, timer, close });
  tell();
}

/** @param {string} key */
function take(key) {
  const one = held.get(key);
  if (!one) return null;
  clearTimeout(one.timer);
  one.close();
  held.delete(key);
  return one;
}

/** Call it off. @param {Entity} of @param {string} id */
export function keep(of, id) {
  if (take(keyOf(of, id))) tell();
}

/** @param {Entity} of @param {string} id @param {string} title @returns {Promise<boolean>} whether it is gone */
export async function removeNow(of, id, title) {
  try {
    await removeRow(of, id);
  } catch (error) {
    bad(error, `Deleting ${title}`);
    return false;
  }
  good(`${title} is deleted`);
  return true;
}

/** Send what still waits: the page is left, or somebody signs out. */
export function removeAllNow() {
  return Promise.all([...held.keys()].map((key) => {
    const one = take(key);
    return one && reach({ ...removeCall(one.of, one.id), keepalive: true }).catch(() => {});
  }));
}
addEventListener("pagehide", removeAllNow);
