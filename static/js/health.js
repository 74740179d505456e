/**
 * What needs a look, in words: what the controller finds when it looks at itself, as `zitilite doctor` does. One list for the dot in the
 * top bar, for the overview and for the page Health, so that their numbers agree.
 * @typedef {{id: string, title: string, text: string, advice: string, level: "bad" | "warn", href: string, link: string}} Finding
 */
import { OWN, maybe } from "./api.js";
import { entityOf } from "./entities.js";
import { href } from "./router.js";

/** @typedef {Finding[] | null | undefined} Found undefined while nothing is known, null where the controller does not look after itself */
/** @type {Set<(found: Found) => void>} */
const watchers = new Set();
/** @type {Found} */
let held;

/** Be told; gives the function that ends it. @param {(found: Found) => void} fn */
export function watchHealth(fn) {
  watchers.add(fn);
  fn(held);
  return () => watchers.delete(fn);
}

/** Ask again. */
export async function look() {
  try {
    take((await maybe(`${OWN}/checks`, {}, { quiet: true }))?.data ?? null);
  } catch {
    // The line says so by itself.
  }
}

/** What somebody has asked for already. @param {any[] | null} checks */
export function take(checks) {
  held = checks && checks.filter((c) => c.state !== "ok").map(finding);
  for (const watcher of watchers) watcher(held);
}

/** @param {any} c @returns {Finding} */
const finding = (c) => ({ id: c.id, title: c.title, text: c.detail || "", advice: c.advice || "", level: c.state === "warn" ? "warn" : "bad", ...pageOf(c) });

/** Where the thing that a check is about is looked after. @param {any} c */
function pageOf(c) {
  if (c.id === "tokens") return { href: href("/identities", { filter: 'enrollmentState = "tokenExpired"' }), link: "Show them" };
  const [path, query] = String(c.about || "").split("?");
  const [collection, id] = path.split("/");
  const of = collection ? entityOf(collection) : undefined;
  if (!of) return { href: href("/checks"), link: "Health" };
  if (["addresses", "backups"].includes(of.key)) return { href: href(`/${of.key}`), link: "Open" };
  return { href: href(id ? `/${of.key}/${id}` : `/${of.key}`, query ? { filter: query.replace(/^filter=/, "") } : {}), link: id ? "Open it" : "Show them" };
}
