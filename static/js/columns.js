/**
 * What the columns of somebody's file mean: a guess by their names, changed by hand; and rows of JSON as if they were lines.
 * @typedef {import("./csv.js").Parsed} Parsed
 */
import { csvLines } from "./csv.js";

/** Column, what it is, an example. @type {[string, string, string][]} */
export const COLUMNS = [
  ["name", "needed, and unique", "box-0114"],
  ["roleAttributes", "several with a blank between them", "plant-7 line-a"],
  ["enrollment", "ott, ottca, updb or none", "ott"],
  ["ca", "with ottca: name or id of the authority", "lab"],
  ["username", "with updb", "ada"],
  ["expiresAt", "when the token ends: a day or a time", "2027-01-31"],
  ["type", "Device, User, Service", "Device"],
  ["externalId", "by which another authority knows it", ""],
  ["authPolicy", "name or id", ""],
  ["isAdmin", "true or false", "false"],
  ["tags.NAME", "any tag: one column each", "R7"],
];
export const KNOWN = COLUMNS.map(([key]) => key).filter((key) => !key.startsWith("tags."));

/** Other words for the same, small and without signs. @type {Record<string, string>} */
const ALIASES = {
  device: "name", devicename: "name", hostname: "name", host: "name", identity: "name", identityname: "name", gerat: "name", gerät: "name",
  attributes: "roleAttributes", roles: "roleAttributes", roleattribute: "roleAttributes", groups: "roleAttributes", labels: "roleAttributes",
  method: "enrollment", enrollmentmethod: "enrollment", enrolment: "enrollment", authority: "ca", cert: "ca", user: "username", login: "username",
  expires: "expiresAt", expiry: "expiresAt", validuntil: "expiresAt", until: "expiresAt", kind: "type", external: "externalId", policy: "authPolicy", admin: "isAdmin",
};

/** What a column is taken for; "" when nobody knows. @param {string} column */
export function guess(column) {
  if (/^tags?\./i.test(column)) return `tags.${column.replace(/^tags?\./i, "")}`;
  const word = column.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  return KNOWN.find((k) => k.toLowerCase() === word) || ALIASES[word] || "";
}

/** The first guess for all; a meaning is given once. @param {string[]} header */
export function guesses(header) {
  /** @type {string[]} */
  const found = [];
  for (const column of header) {
    const meaning = guess(column);
    found.push(found.includes(meaning) ? "" : meaning);
  }
  return found;
}

/** The file as the controller understands it. @param {Parsed} parsed @param {string[]} meanings of each column, "" leaves it out @returns {Parsed} */
export function mapped(parsed, meanings) {
  const kept = meanings.map((m, i) => [m, i]).filter(([m]) => m);
  const header = kept.map(([m]) => String(m));
  // Cells beyond the last column stay: the controller says what is wrong with such a line.
  const rows = parsed.rows.map((r) => ({ line: r.line, cells: [...kept.map(([, i]) => r.cells[Number(i)] ?? ""), ...r.cells.slice(parsed.header.length)] }));
  return { header, rows, text: csvLines([header, ...rows.map((r) => r.cells)]) };
}

/** Rows of JSON: an array, an answer of the API, or one object a line. null when it is none. @param {string} text @returns {Parsed | null} */
export function fromJson(text) {
  const whole = text.trim();
  if (!/^[[{]/.test(whole)) return null;
  /** @type {any[]} */
  let items;
  try {
    const found = JSON.parse(whole);
    items = Array.isArray(found) ? found : Array.isArray(found.data) ? found.data : [found];
  } catch {
    items = whole.split(/\r?\n/).filter((l) => l.trim()).map((line, i) => parseLine(line, i + 1));
  }
  if (!items.every((i) => i && typeof i === "object" && !Array.isArray(i))) throw new Error("JSON has to be a list of objects, one for each device.");
  const flat = items.map(flattened);
  const header = [...new Set(flat.flatMap((f) => Object.keys(f)))];
  const rows = flat.map((f, i) => ({ line: i + 1, cells: header.map((c) => f[c] ?? "") }));
  return { header, rows, text: csvLines([header, ...rows.map((r) => r.cells)]) };
}

/** @param {string} line @param {number} number */
function parseLine(line, number) {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`Line ${number} is no JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {any} item @returns {Record<string, string>} */
function flattened(item) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const [key, value] of Object.entries(item)) {
    if (value === null || value === undefined) continue;
    if (Array.isArray(value)) found[key] = value.join(" ");
    else if (key === "enrollment" && typeof value === "object") Object.assign(found, joining(value));
    else if (key === "tags" && typeof value === "object") for (const [tag, v] of Object.entries(value)) found[`tags.${tag}`] = String(v);
    else if (typeof value !== "object") found[key] = String(value);
  }
  return found;
}

/** How it joins, as the API writes it: {"ott": true}, {"ottca": id}, {"updb": name}. @param {any} enrollment @returns {Record<string, string>} */
function joining(enrollment) {
  if (enrollment.ottca) return { enrollment: "ottca", ca: String(enrollment.ottca) };
  if (enrollment.updb) return { enrollment: "updb", username: String(enrollment.updb) };
  return enrollment.ott ? { enrollment: "ott" } : {};
}
