/**
 * What needs a look, in words: from the overview and from the controller's own checks. One list for the dot in the top bar and for
 * the overview page.
 * @typedef {{text: string, level: "bad" | "warn", href: string, link: string}} Finding
 */
import { OWN, maybe } from "./api.js";
import { entityOf } from "./entities.js";
import { href } from "./router.js";

/** @type {Set<(found: Finding[] | null) => void>} */
const watchers = new Set();
/** @type {Finding[] | null} null while nothing is known */
let held = null;

/** @param {(found: Finding[] | null) => void} fn */
export function watchHealth(fn) {
  watchers.add(fn);
  fn(held);
}

/** Ask again. @param {any} [overview] its answer, when somebody has it already */
export async function look(overview) {
  try {
    const [seen, checks] = await Promise.all([overview === undefined ? maybe(`${OWN}/overview`, {}, { quiet: true }).then((a) => a?.data) : overview, maybe(`${OWN}/checks`, {}, { quiet: true })]);
    held = seen || checks ? [...(seen?.attention || []).map(ofAttention), ...(checks ? ofChecks(checks.data, Boolean(seen)) : [])] : null;
  } catch {
    return;
  }
  for (const watcher of watchers) watcher(held);
}

/** @param {any} a @returns {Finding} */
function ofAttention(a) {
  const level = a.code === "TOKENS_EXPIRED" ? "warn" : "bad";
  if (a.filter) return { text: a.text, level, href: href("/identities", { filter: a.filter }), link: "Show them" };
  if (a.kind === "ca" && a.id) return { text: a.text, level: "warn", href: href(`/cas/${a.id}`), link: "Open it" };
  if (a.kind) return { text: a.text, level, href: href("/certificates"), link: "Certificates" };
  return { text: a.text, level, href: href("/addresses"), link: "Addresses" };
}

/** Where the thing that a check is about is looked after. @param {any} c */
function pageOf(c) {
  const [collection, id] = String(c.about || "").replace(/^.*\/v1\//, "").replace(/^\//, "").split("/");
  const of = collection ? entityOf(collection) : undefined;
  return href(of ? `/${of.key}${id ? `/${id}` : ""}` : "/about");
}

/** What the overview says in its own words. @param {any} c */
const isSaid = (c) => c.id === "tokens" || c.id.startsWith("ca-");

/** @param {any} data @param {boolean} besides whether the overview speaks as well @returns {Finding[]} */
function ofChecks(data, besides) {
  const all = Array.isArray(data) ? data : data?.checks || [];
  return all.filter((/** @type {any} */ c) => c.state && c.state !== "ok" && !(besides && isSaid(c))).map((/** @type {any} */ c) => ({ text: [c.title, [c.detail, c.advice].filter(Boolean).join("; ")].filter(Boolean).join(": "), level: c.state === "warn" ? "warn" : "bad", href: pageOf(c), link: "Look" }));
}
