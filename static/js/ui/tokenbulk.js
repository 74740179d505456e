/** Doing one thing to many devices or routers in few requests (POST /bulk): each row gets its own result, the rest goes on. */
import { ApiError, OWN, reach, request } from "../api.js";
import { h } from "../dom.js";
import { asToken, bulkCall, download, hasTokens, ownerOf, renewCall, revokeCall } from "../tokens.js";
import { bulkAction, each, registerBulk } from "./bulk.js";
import { confirm } from "./dialog.js";
import { count } from "./parts.js";
import { good } from "./toast.js";
import { askExpiry } from "./tokenacts.js";

const CHUNK = 100;
/** @typedef {import("../entities.js").Entity} Entity @typedef {(row: any, error?: any) => void} Report */

/**
 * Send rows in parts, so that there is progress and a way to stop.
 * @param {string} action @param {any} options @param {any[]} rows @param {Entity} of @param {Report} report @param {AbortSignal} signal
 */
async function inParts(action, options, rows, of, report, signal) {
  for (let start = 0; start < rows.length && !signal.aborted; start += CHUNK) {
    const part = rows.slice(start, start + CHUNK);
    try {
      const { data } = await request(bulkCall(action, of.key, part.map((r) => r.id), options));
      data.results.forEach((/** @type {any} */ r) => report(part[r.row - 1], r.ok ? undefined : new Error(r.reason)));
    } catch (error) {
      for (const row of part) report(row, error);
    }
  }
}

/** A built-in action, by /bulk where that can do it. @param {string} id @param {string} action @param {(options: any) => any} body */
function faster(id, action, body) {
  const plain = bulkAction(id);
  registerBulk({
    ...plain,
    many: (rows, options, of, report, signal) => (hasTokens(of.key) ? inParts(action, body(options), rows, of, report, signal) : each(rows, (row) => /** @type {any} */ (plain.one)(row, options, of), report, signal)),
  });
}
faster("attributes", "tag", ({ add, remove }) => ({ roleAttributes: { add, remove } }));
faster("tags", "tag", ({ key, value, remove }) => ({ tags: remove ? { remove: [key] } : { set: { [key]: value } } }));
faster("delete", "delete", () => ({}));

const isToken = (/** @type {Entity} */ of) => of.key === "enrollments";
const joins = (/** @type {Entity} */ of) => hasTokens(of.key);

registerBulk({
  id: "renew",
  label: "Renew tokens",
  icon: "refresh",
  when: (of) => joins(of) || isToken(of),
  prepare: (rows, of) => askExpiry({ title: `Renew the tokens of ${count(rows.length, of.one, of.many)}?`, body: "Each gets a new text and a new time. The old ones stop working at once, also where they were printed or sent.", yes: "Renew" }),
  many: (rows, expiresAt, of, report, signal) => (isToken(of) ? each(rows, (row) => request(renewCall(row.id, expiresAt)), report, signal) : inParts("renew", { expiresAt }, rows, of, report, signal)),
});

registerBulk({
  id: "zip",
  label: "Tokens as zip",
  icon: "download",
  when: (of) => joins(of) || isToken(of),
  many: async (rows, options, of, report) => void (await exported("zip", rows, of, report)),
});

registerBulk({
  id: "sheet",
  label: "QR sheet",
  icon: "enrollment",
  when: (of) => joins(of) || isToken(of),
  many: async (rows, options, of, report) => {
    if (await exported("sheet", rows, of, report)) good("The sheet is downloaded. Open the file in a browser and print it.");
  },
});

for (const [id, label, icon] of /** @type {[string, string, string][]} */ ([["enable", "Enable", "check"], ["disable", "Disable", "close"]])) {
  registerBulk({
    id,
    label,
    icon,
    when: joins,
    prepare: async (rows, of) => (await confirm({ title: `${label} ${count(rows.length, of.one, of.many)}?`, body: h("p", {}, id === "disable" ? "They cannot sign in any more and their sessions end at once, until somebody enables them again." : "They can sign in again."), yes: label })) || undefined,
    many: (rows, options, of, report, signal) => inParts(id, {}, rows, of, report, signal),
  });
}

registerBulk({
  id: "reissue",
  label: "Re-issue",
  icon: "refresh",
  danger: true,
  when: joins,
  prepare: (rows, of) => askExpiry({ title: `Re-issue ${count(rows.length, of.one, of.many)}?`, body: "What they sign in with now ends at once, and so do their sessions. Each has to join again with a new token.", yes: `Re-issue ${rows.length}`, danger: true }),
  many: (rows, expiresAt, of, report, signal) => inParts("reissue", { expiresAt }, rows, of, report, signal),
});

const plainDelete = bulkAction("delete");
registerBulk({
  ...plainDelete,
  id: "revoke",
  label: "Revoke",
  when: isToken,
  many: undefined,
  prepare: async (rows, of) => (await confirm({ title: `Revoke ${count(rows.length, of.one, of.many)}?`, body: h("p", {}, "Nobody can join with them any more."), yes: `Revoke ${rows.length}`, danger: true })) || undefined,
  one: (row) => request(revokeCall(row.id)),
});
registerBulk({ ...plainDelete, when: (of) => !isToken(of) && Boolean(plainDelete.when?.(of)) });

/**
 * Tokens that work, as one file for each kind of owner; rows without one are told so.
 * @param {"zip" | "sheet"} format @param {any[]} rows @param {Entity} of @param {Report} report @returns {Promise<boolean>} whether there was a file
 */
async function exported(format, rows, of, report) {
  /** @type {Map<string, any[]>} */
  const kinds = new Map();
  let isDone = false;
  for (const row of rows) {
    const kind = isToken(of) ? ownerOf(row)?.kind : of.key;
    const until = isToken(of) ? asToken(row).expiresAt : (row.tokenExpiresAt ?? row.enrollmentExpiresAt);
    if (!kind || !until || !(Date.parse(until) > Date.now())) report(row, new Error(until ? "Its token ended, so it is not in the file. Renew it first." : "It has no token, so it is not in the file."));
    else kinds.set(kind, [...(kinds.get(kind) || []), row]);
  }
  for (const [kind, some] of kinds) {
    try {
      const ids = some.map((r) => (isToken(of) ? /** @type {any} */ (ownerOf(r)).id : r.id));
      await fetchFile({ format, entity: kind, ids });
      isDone = true;
      for (const row of some) report(row);
    } catch (error) {
      for (const row of some) report(row, error);
    }
  }
  return isDone;
}

/** @param {{format: string, entity: string, ids: string[]}} body */
async function fetchFile(body) {
  const call = { method: "POST", path: `${OWN}/tokens/export`, body, accept: body.format === "zip" ? "application/zip" : "text/html" };
  const response = await reach(call);
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null), call);
  const stamp = new Date().toISOString().slice(0, 16).replace(/[-:]/g, "").replace("T", "-");
  download(await response.arrayBuffer(), `tokens-${stamp}.${body.format === "zip" ? "zip" : "html"}`, response.headers.get("Content-Type") || "");
}
