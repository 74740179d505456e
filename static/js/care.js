/** What the pages of care ask the controller: addresses, own certificates, backups, checks, many devices at once. */
import { OWN, del, get, post, reach, request } from "./api.js";

/** All rows of a collection of ours. @param {string} path @param {string} [filter] @returns {Promise<any[]>} */
async function all(path, filter = "") {
  const found = [];
  for (;;) {
    const { data, meta } = await get(`${OWN}/${path}`, { limit: 500, offset: found.length || "", filter });
    found.push(...data);
    if (!data.length || found.length >= (meta.pagination?.totalCount ?? 0)) return found;
  }
}

// --- addresses

export const addresses = () => all("addresses");
/** @param {any} body */
export const addAddressCall = (body) => ({ method: "POST", path: `${OWN}/addresses`, body });
/** @param {string} id @param {any} body */
export const changeAddressCall = (id, body) => ({ method: "PATCH", path: `${OWN}/addresses/${id}`, body });
/** @param {string} id */
export const removeAddressCall = (id) => ({ method: "DELETE", path: `${OWN}/addresses/${id}` });
/** @param {string} id */
export const lookAtAddress = async (id) => (await post(`${OWN}/addresses/${id}/check`)).data;

// --- our own certificates

export const ownCertificates = () => all("certificates", 'kind = "root" or kind = "cross" or kind = "intermediate" or kind = "server" sort by notAfter');
/** @param {"root" | "intermediate"} what @param {string} [key] of the new ones @param {boolean} [startOver] forget the old ones */
export const rolloverCall = (what, key = "", startOver = false) => ({ method: "POST", path: `${OWN}/certificates/rollover`, body: { what, ...(key ? { key } : {}), ...(startOver ? { startOver } : {}) } });
/** Kinds of keys for our CAs, with what speaks for each. */
export const CA_KEYS = /** @type {[string, string][]} */ ([["P-256", "P-256: small and fast, understood everywhere"], ["P-384", "P-384: asked for by some rules"], ["RSA-3072", "RSA 3072: for devices that know no curves"], ["RSA-4096", "RSA 4096: the same, larger and slower"]]);

// --- settings

export const settings = () => all("settings");
/** @param {string} name @param {string} value */
export const settingCall = (name, value) => ({ method: "PATCH", path: `${OWN}/settings/${name}`, body: { value } });
/** @param {string} name */
export const resetSettingCall = (name) => ({ method: "DELETE", path: `${OWN}/settings/${name}` });

// --- the recovery kit

/** @param {string} passphrase */
export const kitCall = (passphrase) => ({ method: "POST", path: `${OWN}/recovery-kit`, body: { passphrase }, accept: "application/zip" });

// --- backups

export const backups = () => all("backups");
/** @param {string} passphrase */
export const backUp = async (passphrase) => (await post(`${OWN}/backups`, passphrase ? { passphrase } : {})).data;
/** @param {string} id @param {string} passphrase */
export const checkBackup = async (id, passphrase) => (await post(`${OWN}/backups/${id}/check`, passphrase ? { passphrase } : {})).data;
/** @param {string} id */
export const dropBackup = (id) => del(`${OWN}/backups/${id}`);
/** @param {string} id */
export const backupCall = (id) => ({ method: "GET", path: `${OWN}/backups/${id}/content`, accept: "application/octet-stream" });
/** The call that makes one, for scripts: the passphrase is a variable. */
export const backUpCall = () => ({ method: "POST", path: `${OWN}/backups`, body: {} });

// --- health

/** @returns {Promise<{rows: any[], states: Record<string, number>}>} */
export async function checks() {
  const { data, meta } = await get(`${OWN}/checks`);
  return { rows: data, states: meta.states || {} };
}

// --- many devices at once

/** @param {string} text CSV with its first line @param {{dryRun: boolean, firstRow: number}} how */
export const bulkCall = (text, { dryRun, firstRow }) => ({ method: "POST", path: `${OWN}/bulk`, query: { entity: "identities", dryRun: String(dryRun), onError: "skip", firstRow }, body: text, type: "text/csv" });
/** @param {string} text @param {{dryRun: boolean, firstRow: number}} how @param {AbortSignal} [signal] */
export const sendRows = async (text, how, signal) => (await request({ ...bulkCall(text, how), signal })).data;
/** @param {string[]} ids @param {"zip" | "csv" | "sheet"} format */
export const tokensCall = (ids, format) => ({ method: "POST", path: `${OWN}/tokens/export`, body: { entity: "identities", ids, format }, accept: { zip: "application/zip", csv: "text/csv", sheet: "text/html" }[format] });

/** A file that the controller makes. @param {import("./api.js").Call} call @returns {Promise<Blob>} */
export async function fileOf(call) {
  const response = await reach(call);
  if (response.ok) return response.blob();
  // Asked again as usual: a session that has ended is opened anew, an error becomes a sentence.
  await request({ ...call, accept: "application/json" });
  return (await reach(call)).blob();
}
