/**
 * What there is to say and to ask about imported authorities: certificates as people bring them, names that a CA gives, commands that
 * prove control, the numbers behind "switch off" and "delete".
 */
import { MANAGEMENT, OWN, get, post, put, request } from "./api.js";
import { quoted } from "./curl.js";
import { count } from "./ui/parts.js";

/**
 * @typedef {{subject: string, commonName: string, issuer: string, serial: string, isCa: boolean, pathLength: number | null, keyKind: string,
 *   signatureHash: string, notBefore: string, notAfter: string, sha1: string, sha256: string, selfSigned: boolean, isIssuing: boolean,
 *   importedAs: {id: string, name: string} | null, warnings: string[], pem: string}} Decoded
 * @typedef {{caId: string, identities: number, able: number, canConnect: number, onlyWayIn: number, sessions: number, pendingTokens: number,
 *   newest: {id: string, name: string, createdAt: string}[], crl: any}} People
 */

// --- certificates as people bring them

const BLOCK = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE|PKCS7|CMS)-----[^-]*-----END \1-----/g;
const KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/;

/**
 * What of a file or a paste goes to the controller: certificates and nothing else. Private keys stay in the browser.
 * @param {Uint8Array} bytes @returns {{content: string, hadKey: boolean}} @throws {Error} with a sentence, where nothing may be sent
 */
export function certificateContent(bytes) {
  const isWide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  const text = new TextDecoder(isWide ? (bytes[0] === 0xff ? "utf-16le" : "utf-16be") : "utf-8").decode(bytes);
  if (text.includes("-----BEGIN ")) {
    const hadKey = KEY.test(text);
    const blocks = text.match(BLOCK) || [];
    if (!blocks.length && hadKey) throw new Error("This is a private key. It was not sent anywhere; bring the certificate, which is another file.");
    return { content: blocks.length ? blocks.join("\n") : text, hadKey };
  }
  if (bytes[0] === 0x30) {
    if (holdsKey(bytes)) throw new Error("This file holds a private key (PKCS#12 or DER). It was not sent anywhere; export the certificate alone.");
    return { content: base64(bytes), hadKey: false };
  }
  return { content: text, hadKey: false };
}

/** A certificate begins with a sequence, PKCS#7 with a name; keys and PKCS#12 begin with a version number. @param {Uint8Array} der */
function holdsKey(der) {
  const head = der[1] & 0x80 ? 2 + (der[1] & 0x7f) : 2;
  return der[head] === 0x02;
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** Several files as one content. @param {{bytes: Uint8Array}[]} files */
export async function decodeFiles(files) {
  /** @type {Decoded[]} */
  const certificates = [];
  /** @type {string[]} */
  const notes = [];
  for (const { bytes } of files) {
    const { content, hadKey } = certificateContent(bytes);
    if (hadKey) notes.push("There is a private key in it as well. It stayed in this browser.");
    const { data, meta } = await post(`${OWN}/certificates/decode`, { content });
    certificates.push(...data);
    notes.push(...(meta.notes || []));
  }
  return { certificates, notes };
}

/** @param {Decoded[]} certificates */
export const pemOf = (certificates) => certificates.map((c) => c.pem).join("");

// --- the authority

/** @param {string} id */
const path = (id) => `${MANAGEMENT}/cas/${encodeURIComponent(id)}`;
/** @param {string} id */
const own = (id) => `${OWN}/cas/${encodeURIComponent(id)}`;

/** @param {string} id */
export const loadCa = async (id) => (await get(path(id))).data;
/** @param {any} body */
export const createCall = (body) => ({ method: "POST", path: `${MANAGEMENT}/cas`, body });
/** @param {string} id @param {any} body */
export const changeCall = (id, body) => ({ method: "PATCH", path: path(id), body });
/** @param {string} id @param {string} pem */
export const verifyCall = (id, pem) => ({ method: "POST", path: `${path(id)}/verify`, body: pem, type: "text/plain" });
/** @param {string} pem */
export const tryCall = (pem) => ({ method: "POST", path: `${OWN}/enroll/dry-run`, body: { method: "ca", certificates: pem } });
/** @param {string} id */
export const tokenCall = (id) => ({ method: "GET", path: `${path(id)}/jwt`, accept: "application/jwt" });

/** What verifying with this would find. @param {string} id @param {string} pem */
export const checkProof = async (id, pem) => (await post(`${own(id)}/verify/check`, pem, { type: "text/plain" })).data;
/** @param {string} id @returns {Promise<People>} */
export const peopleOf = async (id) => (await get(`${own(id)}/people`)).data;
/** The reusable token. @param {string} id */
export const tokenOf = async (id) => (await request(tokenCall(id))).text;
/** Its code, as the text of an SVG. @param {string} id */
export const codeOf = async (id) => (await request({ method: "GET", path: path(id), accept: "image/svg+xml" })).text;
/** @param {string} id @param {Uint8Array} bytes */
export const giveCrl = async (id, bytes) => (await put(`${own(id)}/crl`, bytes, { type: "application/pkix-crl" })).data;
/** @param {string} id */
export const forgetCrl = (id) => request({ method: "DELETE", path: `${own(id)}/crl` });
/** @param {any} body */
export const block = async (body) => (await post(`${OWN}/blocked-certificates`, body)).data;

/** What deleting would do, in sentences. @param {any} row @returns {Promise<string[]>} */
export async function whatDeletingDoes(row) {
  const found = await peopleOf(row.id);
  const lines = [];
  if (found.onlyWayIn) lines.push(`${count(found.onlyWayIn, "device")} ${found.onlyWayIn === 1 ? "has" : "have"} no other way in and cannot connect any more. The rows stay.`);
  if (found.identities > found.onlyWayIn) lines.push(`${count(found.identities - found.onlyWayIn, "device")} can still come in another way.`);
  if (found.sessions) lines.push(`${count(found.sessions, "session")} ${found.sessions === 1 ? "ends" : "end"} at once.`);
  if (found.pendingTokens) lines.push(`${count(found.pendingTokens, "pending token")} ${found.pendingTokens === 1 ? "stops" : "stop"} working.`);
  return lines;
}

// --- rules in words

export const SWITCHES = /** @type {const} */ ([
  { name: "isAutoCaEnrollmentEnabled", label: "join by themselves", on: "A device that shows a certificate of this authority becomes a device here, without anybody announcing it.", off: "Nobody joins unannounced." },
  { name: "isOttCaEnrollmentEnabled", label: "join with a token", on: "You announce a device and give it a token; it joins with that and a certificate of this authority.", off: "Tokens of the kind “token and certificate” are refused for this authority." },
  { name: "isAuthEnabled", label: "connect", on: "A device that has joined signs in with its certificate.", off: "Devices of this authority cannot sign in, also those that have joined." },
]);

/** What the choice means, in one sentence. @param {any} rules @param {string} sample the name of a device */
export function inOneSentence(rules, sample) {
  const tags = (rules.identityRoles || []).map((/** @type {string} */ r) => `#${r.replace(/^#/, "")}`).join(" ");
  const joins = [rules.isAutoCaEnrollmentEnabled && `joins by itself as ${sample}${tags ? ` with ${tags}` : ""}`, rules.isOttCaEnrollmentEnabled && (rules.isAutoCaEnrollmentEnabled ? "or with a token, under the name you gave it" : "joins with a token, under the name you gave it")].filter(Boolean).join(", ");
  if (!joins && !rules.isAuthEnabled) return "With all three off, this authority does nothing: nobody joins, nobody connects.";
  if (!joins) return "Nobody new joins; devices that are here already connect with their certificates.";
  return `A device with a certificate of this authority ${joins}, ${rules.isAuthEnabled ? "and may connect at once." : "but cannot connect until you allow it."}`;
}

export const PLACES = /** @type {const} */ ([
  ["caName", "the name of this authority"],
  ["caId", "its id"],
  ["commonName", "the common name in the device's certificate"],
  ["requestedName", "the name the device asks for; its id, if it asks for none"],
  ["identityId", "the id the device gets"],
]);

/** A name by its format, as the controller makes it. @param {string} format @param {Record<string, string>} values */
export function nameBy(format, values) {
  return (format || "[caName]-[commonName]").replace(/\[(caName|caId|commonName|requestedName|identityId)\]/g, (_, key) => values[key]) || values.identityId;
}

/** Whether all devices would want the same name. @param {string} format */
export const isSameForAll = (format) => !/\[(commonName|requestedName|identityId)\]/.test(format || "[commonName]");

/** Words in brackets that are no placeholder: they stay as they are. @param {string} format @returns {string[]} */
export const unknownPlaces = (format) => (format.match(/\[[^\][]*\]/g) || []).filter((p) => !PLACES.some(([key]) => p === `[${key}]`));

// --- proving control

/** @param {string} token @param {{cert: string, key: string}} files @returns {{id: string, label: string, about: string, text: string, result: string}[]} */
export function proofCommands(token, { cert, key }) {
  const [c, k] = [quoted(cert || "ca.pem"), quoted(key || "ca.key")];
  return [
    { id: "openssl", label: "openssl", about: "Where the key of the authority is a file.", result: "proof.pem", text: `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=${token}' -keyout proof.key -out proof.csr\nopenssl x509 -req -in proof.csr -CA ${c} -CAkey ${k} -CAcreateserial -days 1 -out proof.pem` },
    { id: "ziti", label: "ziti pki", about: "Where the authority was made with ziti pki: set --pki-root and --ca-name to yours.", result: "./pki/my-ca/certs/proof.cert", text: `ziti pki create client --pki-root ./pki --ca-name my-ca --client-name ${token} --client-file proof` },
    { id: "step", label: "step", about: "With the step command line, where the key is a file.", result: "proof.pem", text: `step certificate create ${token} proof.pem proof.key --ca ${c} --ca-key ${k} --not-after 24h --no-password --insecure` },
    { id: "vault", label: "Vault", about: "With the PKI engine at pki/ and a role that allows any name (allow_any_name=true, enforce_hostnames=false).", result: "proof.pem", text: `vault write -format=json pki/issue/my-role common_name=${token} ttl=24h \\\n  | python3 -c 'import json, sys; d = json.load(sys.stdin)["data"]; print(d["certificate"], *d.get("ca_chain", []), sep="\\n")' > proof.pem` },
  ];
}

/** How devices join by themselves. @param {string} token the file with the reusable token @param {string} origin */
export function joinCommands(token, origin) {
  return [
    { id: "ziti", label: "ziti", text: `ziti edge enroll --jwt ${quoted(token)} --cert device.pem --key device.key --out device.json` },
    { id: "tunnel", label: "ziti-edge-tunnel", text: `ziti-edge-tunnel enroll --jwt ${quoted(token)} --cert device.pem --key device.key --identity device.json` },
    { id: "curl", label: "curl", text: `curl --cacert controller-ca.pem --cert device.pem --key device.key -X POST ${quoted(`${origin}/edge/client/v1/enroll?method=ca`)}` },
  ];
}
