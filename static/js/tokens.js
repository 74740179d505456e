/**
 * Enrollment tokens, the same for devices, routers and authorities: finding them, their files and codes, renewing, starting over.
 * @typedef {"identities" | "edge-routers" | "transit-routers" | "cas"} Kind
 * @typedef {object} Token
 * @property {string} id of the enrollment, "" for the reusable one of an authority
 * @property {string} method ott, ottca, updb, erott, trott or ca
 * @property {string} jwt
 * @property {string | null} expiresAt null: it does not end
 * @property {string} [caId] @property {string} [username]
 */
import { MANAGEMENT, OWN, get, post, request } from "./api.js";
import { h } from "./dom.js";

/** The kinds that wait for something to join, and how the API's filter calls them. @type {Record<string, string>} */
const SIDES = { identities: "identity", "edge-routers": "edgeRouter", "transit-routers": "transitRouter" };

/** @type {Record<string, string>} */
export const METHOD_WORDS = { ott: "one-time token", ottca: "token and certificate", updb: "user name and password", erott: "one-time token of a router", trott: "one-time token of a router", ca: "by itself, with a certificate" };

/** Whether items of an entity join by tokens. @param {string} key */
export const hasTokens = (key) => key in SIDES;

/** @param {{expiresAt: string | null} | null | undefined} token */
export const isUsable = (token) => Boolean(token) && (token?.expiresAt === null || Date.parse(token?.expiresAt || "") > Date.now());

/** All tokens of an item, those that work first. @param {string} kind @param {string} id @returns {Promise<Token[]>} */
export async function tokensOf(kind, id) {
  if (kind === "cas") {
    const { text } = await get(`${MANAGEMENT}/cas/${encodeURIComponent(id)}/jwt`, {}, { accept: "application/jwt" });
    return [{ id: "", method: "ca", jwt: text, expiresAt: null }];
  }
  const { data } = await get(`${MANAGEMENT}/enrollments`, { filter: `${SIDES[kind]} = ${JSON.stringify(id)}`, limit: 10 });
  return data.map(asToken).sort((/** @type {Token} */ a, /** @type {Token} */ b) => Number(isUsable(b)) - Number(isUsable(a)));
}

/** A row of /enrollments as a token. @param {any} row @returns {Token} */
export const asToken = ({ id, method, jwt, expiresAt, caId, username }) => ({ id, method, jwt, expiresAt, caId, username });

/** What a row of /enrollments is for. @param {any} row @returns {{kind: Kind, id: string, name: string} | null} */
export function ownerOf(row) {
  for (const [kind, key] of Object.entries(SIDES)) if (row[key]) return { kind: /** @type {Kind} */ (kind), id: row[key].id, name: row[key].name };
  return null;
}

/** What the token says in clear text. @param {string} jwt @returns {{iss: string, jti: string, sub: string, exp?: number}} */
export function claims(jwt) {
  const text = jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));
}

/** A name as the stem of a file: what no shell and no file system minds. @param {string} name @param {string} id for when nothing is left */
export function fileStem(name, id) {
  const stem = name.replace(/[^\w.-]+/g, "_").replace(/^[._-]+|[._-]+$/g, "").slice(0, 100);
  return stem || id.replace(/[^\w-]/g, "_");
}

/** The request for the code of a token. @param {string} kind @param {string} id @param {Token} token @param {string} [accept] */
export function codeCall(kind, id, token, accept = "image/svg+xml") {
  const path = token.id ? `${MANAGEMENT}/enrollments/${encodeURIComponent(token.id)}` : `${MANAGEMENT}/${kind}/${encodeURIComponent(id)}${kind === "cas" ? "/jwt" : ""}`;
  return { method: "GET", path, accept };
}

/** The code of a token as an address of an image. The caller ends it by `URL.revokeObjectURL`. @param {string} kind @param {string} id @param {Token} token */
export async function codeAddress(kind, id, token) {
  return svgAddress((await request(codeCall(kind, id, token))).text);
}

/** A drawing as an address; with a viewBox it is sharp at any size. @param {string} svg */
export function svgAddress(svg) {
  const sized = svg.replace(/<svg([^>]*?) width="(\d+)" height="(\d+)"/, '<svg$1 width="$2" height="$3" viewBox="0 0 $2 $3"');
  return URL.createObjectURL(new Blob([sized], { type: "image/svg+xml" }));
}

/** Hand a file to the person. @param {BlobPart} content @param {string} name @param {string} [type] */
export function download(content, name, type = "application/jwt") {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// --- renewing, starting over, taking back

/** When a token made now should end. @param {number} minutes */
export const endsIn = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();

/** @param {string} action @param {string} kind @param {string[]} ids @param {any} [more] */
export const bulkCall = (action, kind, ids, more = {}) => ({ method: "POST", path: `${OWN}/bulk`, body: { action, entity: kind, ids, onError: "skip", ...more } });

/** The same for one, with its error as an error. @param {string} action @param {string} kind @param {string} id @param {any} [more] */
export async function actOn(action, kind, id, more = {}) {
  const { data } = await request(bulkCall(action, kind, [id], more));
  const [result] = data.results;
  if (!result.ok) throw new Error(result.reason);
  return result;
}

/** A new text and time for a token; the old one is void. @param {string} id of the enrollment @param {string} expiresAt */
export const renewCall = (id, expiresAt) => ({ method: "POST", path: `${MANAGEMENT}/enrollments/${encodeURIComponent(id)}/refresh`, body: { expiresAt } });
/** @param {string} id of the enrollment */
export const revokeCall = (id) => ({ method: "DELETE", path: `${MANAGEMENT}/enrollments/${encodeURIComponent(id)}` });

/** Make a link for the person who holds the device. @param {string} enrollmentId @param {number} minutes */
export const share = (enrollmentId, minutes) => post(`${OWN}/shares`, { enrollmentId, minutes });
