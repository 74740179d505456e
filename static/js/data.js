/**
 * Between the wire and the views: rows of an entity, in and out. Views ask here and never build a request themselves; each function
 * that sends has one that gives the same request, for "copy as".
 * @typedef {import("./entities.js").Entity} Entity
 * @typedef {{filter?: string, sort?: string, limit?: number, offset?: number}} Wanted
 * @typedef {{rows: any[], total: number, offset: number, limit: number, fields: string[]}} PageOfRows
 */
import { ApiError, MANAGEMENT, OWN, del, get, maybe, request } from "./api.js";
import { chips, literal } from "./filter.js";
import { at, entity as entityByKey } from "./entities.js";

const noOwn = new Set();

/** The request of a list. @param {Entity} of @param {Wanted} wanted @param {boolean} [plain] the upstream one, though there may be a richer */
export function listCall(of, { filter = "", sort = "", limit = 50, offset = 0 }, plain = noOwn.has(of.key)) {
  const isOwn = Boolean(of.own) && !plain;
  const fixed = isOwn && of.fixed ? of.fixed : "";
  const text = joined(fixed, filter, sort);
  return { method: "GET", path: isOwn ? /** @type {string} */ (of.own) : `${of.base}/${of.path}`, query: { filter: text, limit, offset: offset || "" } };
}

/** The request of a whole log as a file; it has no order and no pages. @param {Entity} of @param {Wanted} wanted @param {"csv" | "jsonl"} format */
export function exportCall(of, { filter = "" }, format) {
  const end = chips(filter).at(-1)?.to ?? 0;
  return { method: "GET", path: `${of.base}/${of.path}/export`, query: { format, filter: filter.slice(0, end).trim() }, accept: format === "csv" ? "text/csv" : "application/x-ndjson" };
}

/** One filter text of a fixed condition, what was typed, and how to sort; a typed "sort by" wins. @param {string} fixed @param {string} filter @param {string} sort */
function joined(fixed, filter, sort) {
  const parts = chips(filter);
  const end = parts.at(-1)?.to ?? 0;
  const [where, tail] = [filter.slice(0, end).trim(), filter.slice(end).trim()];
  const condition = fixed && where ? `${fixed} and (${where})` : fixed || where;
  return [condition, tail || (sort && `sort by ${sort}`)].filter(Boolean).join(" ");
}

/**
 * What is asked for to get the rows behind one, by its values and not by its number, so that rows that come or go meanwhile shift nothing;
 * null where the order is no plain property. The controller puts rows of equal values in the order of their ids, in logs the newest first.
 * @param {Entity} of @param {Wanted} wanted @param {any} last the row @returns {Wanted | null}
 */
export function behind(of, wanted, last) {
  const filter = wanted.filter || "";
  const end = chips(filter).at(-1)?.to ?? 0;
  const [where, tail] = [filter.slice(0, end).trim(), filter.slice(end).trim()];
  const [by, direction = "asc"] = (wanted.sort || "id").split(" ");
  const value = inLanguage(at(last, by));
  if (tail || value === null) return null;
  const id = of.place === "activity" ? `id < ${Number(last.id)}` : `id > ${literal(String(last.id))}`;
  // What has no value stands last in descending order.
  const beyond = direction === "desc" ? `${by} < ${value} or ${by} = null` : `${by} > ${value}`;
  const condition = by === "id" ? id : `(${beyond} or (${by} = ${value} and ${id}))`;
  return { ...wanted, filter: where ? `(${where}) and ${condition}` : condition, offset: 0 };
}

/** A value as the filter language writes it. @param {any} value */
function inLanguage(value) {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return null;
  return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? `datetime(${value})` : literal(value);
}

/** A page of rows. @param {Entity} of @param {Wanted} wanted @param {{signal?: AbortSignal, quiet?: boolean}} [more] @returns {Promise<PageOfRows>} */
export async function listRows(of, wanted, more) {
  try {
    const call = listCall(of, wanted);
    const { data, meta } = await get(call.path, call.query, more);
    const { totalCount, offset, limit } = meta.pagination || { totalCount: data.length, offset: 0, limit: data.length };
    return { rows: data.map((/** @type {any} */ r) => dressed(of, r)), total: totalCount, offset, limit, fields: meta.filterableFields || [] };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404 || !of.own || noOwn.has(of.key)) throw error;
    noOwn.add(of.key);
    return listRows(of, wanted, more);
  }
}

/** What the richer list says by itself, worked out where there is none. @param {Entity} of @param {any} row */
function dressed(of, row) {
  if (!of.own) return row;
  const { state, token, certificate } = "enrollmentState" in row ? { state: row.enrollmentState, token: row.tokenExpiresAt, certificate: row.certificateExpiresAt } : guessed(row);
  return { ...row, enrollmentState: state, tokenExpiresAt: token, certificateExpiresAt: certificate, validUntil: certificate ? { what: "certificate", at: certificate } : token && state !== "enrolled" ? { what: "token", at: token } : null };
}

/** @param {any} row */
function guessed(row) {
  const pending = Object.values(row.enrollment || {}).map((e) => e.expiresAt).filter(Boolean).sort();
  const token = pending.at(-1) || row.enrollmentExpiresAt || null;
  const isIn = row.authenticators ? Object.keys(row.authenticators).length > 0 : row.isVerified;
  const waits = token && Date.parse(token) > Date.now();
  return { state: row.disabled ? "disabled" : isIn ? "enrolled" : waits ? "pending" : token ? "tokenExpired" : "none", token, certificate: null };
}

/** The request of an item. @param {Entity} of @param {string} id */
export const itemCall = (of, id) => ({ method: "GET", path: `${of.base}/${of.path}/${encodeURIComponent(id)}` });

/** One item with its version; with its derived state where the controller knows it. @param {Entity} of @param {string} id @param {{quiet?: boolean}} [more] @returns {Promise<{row: any, etag: string}>} */
export async function getRow(of, id, more = {}) {
  const [{ data, etag }, own] = await Promise.all([get(itemCall(of, id).path, {}, more), of.own && !noOwn.has(of.key) ? maybe(`${of.own}/${encodeURIComponent(id)}`, {}, more) : null]);
  const derived = own ? { enrollmentState: own.data.enrollmentState, tokenExpiresAt: own.data.tokenExpiresAt, certificateExpiresAt: own.data.certificateExpiresAt, lastSeenAt: own.data.lastSeenAt } : {};
  return { row: dressed(of, { ...data, ...derived }), etag };
}

/** The request that makes or changes an item. @param {Entity} of @param {string} id "" for a new one @param {any} body */
export function saveCall(of, id, body) {
  if (!id) return { method: "POST", path: `${of.base}/${of.path}`, body };
  return { method: of.saveBy || "PATCH", path: itemCall(of, id).path + (of.savePath || ""), body };
}

/** Make or change an item. @param {Entity} of @param {string} id @param {any} body @param {string} [etag] refuse when there is another version @returns {Promise<{data: any, etag: string}>} */
export async function saveRow(of, id, body, etag = "") {
  return request({ ...saveCall(of, id, body), headers: etag ? { "If-Match": etag } : {} });
}

/** @param {Entity} of @param {string} id */
export const removeCall = (of, id) => ({ method: "DELETE", path: itemCall(of, id).path + (of.savePath || "") });
/** @param {Entity} of @param {string} id */
export const removeRow = (of, id) => del(removeCall(of, id).path);

/** How many of an association an item has, and the first of them. @param {Entity} of @param {string} id @param {string} path @param {number} [limit] @returns {Promise<{rows: any[], total: number}>} */
export async function associated(of, id, path, limit = 1) {
  const { data, meta } = await get(`${itemCall(of, id).path}/${path}`, { limit });
  return { rows: data, total: meta.pagination?.totalCount ?? data.length };
}

/** Items of an entity whose name has these words. @param {string} key @param {string} words @param {number} [limit] @returns {Promise<{id: string, name: string}[]>} */
export async function findByName(key, words, limit = 8) {
  const of = entityByKey(key);
  const field = of.search || "name";
  const filter = words ? `${field} icontains ${JSON.stringify(words)} sort by ${field}` : `sort by ${field}`;
  const { data } = await get(`${of.base}/${of.path}`, { filter, limit });
  return data.map((/** @type {any} */ r) => ({ id: r.id, name: r.name || (of.title ? of.title(r) : r.id) }));
}

/** The name of one item, its id where it is gone. @param {string} key @param {string} id */
export async function nameOf(key, id) {
  const of = entityByKey(key);
  try {
    const { data } = await get(`${of.base}/${of.path}/${encodeURIComponent(id)}`);
    return String(data.name || id);
  } catch {
    return id;
  }
}

/** @type {Map<string, {at: number, values: Promise<string[]>}>} */
const known = new Map();

/** The attributes in use, kept for a moment. @param {string} path e.g. "/identity-role-attributes" @returns {Promise<string[]>} */
export function knownAttributes(path) {
  const held = known.get(path);
  if (held && Date.now() - held.at < 30_000) return held.values;
  const values = get(MANAGEMENT + path, { limit: 500 }).then((a) => a.data || []).catch(() => []);
  known.set(path, { at: Date.now(), values });
  return values;
}

/** Who changed an item last, if the controller keeps a log of it. @param {Entity} of @param {string} id @returns {Promise<{by: string, at: string} | null>} */
export async function lastChange(of, id) {
  const found = await maybe(`${OWN}/audit`, { filter: `entityId = ${JSON.stringify(id)} and entity = ${JSON.stringify(of.path)} sort by createdAt desc`, limit: 1 }).catch(() => null);
  const row = found?.data?.[0];
  return row ? { by: row.actorName || "somebody", at: row.createdAt } : null;
}
