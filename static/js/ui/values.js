/** How values look: one function a kind of column. */
import { h, name } from "../dom.js";
import { at, entity } from "../entities.js";
import { href } from "../router.js";
import { date, isNever, relative, time } from "../time.js";
import { code } from "./copy.js";
import { attributes, chip, stateMark } from "./parts.js";

/**
 * @typedef {import("../entities.js").Column} Column
 * @typedef {import("../entities.js").Entity} Entity
 * @type {Record<string, (value: any, column: Column, of: Entity, row: any) => import("../dom.js").Child>}
 */
const DRAW = {
  main: (v, c, of, row) => h("a", { class: "main-link", href: href(`/${of.key}/${encodeURIComponent(row.id)}`) }, name(isEmpty(v) ? row.id : v)),
  text: (v) => (isEmpty(v) ? none() : h("bdi", { title: String(v) }, String(v))),
  state: (v) => (isEmpty(v) ? none() : stateMark(String(v))),
  time: (v) => time(v),
  date: (v) => date(v),
  until: (v) => (isEmpty(v) ? none() : h("span", { class: "until" }, v.what === "token" ? h("span", { class: "soft" }, isPast(v.at) ? "token ended " : "token ") : null, v.what === "token" ? time(v.at) : date(v.at))),
  attributes: (v, c, of) => attributes(v, (one) => href(`/${of.key}`, { filter: `anyOf(${c.name}) = ${JSON.stringify(one)}` }), 4),
  roles: (v, c, of, row) => roleChips(v, row[`${c.name}Display`], 3),
  bool: (v) => h("span", { class: v ? "yes" : "none" }, v ? "yes" : "no"),
  code: (v) => (isEmpty(v) ? none() : code(v)),
  ref: (v, c) => (isEmpty(v) ? none() : reference(v, c.to || "")),
  count: (v) => h("span", { class: "number" }, isEmpty(v) ? "–" : Number(v).toLocaleString("en")),
  json: (v) => (isEmpty(v) ? none() : h("code", { class: "inline-json", title: JSON.stringify(v, null, 1).slice(0, 2000) }, JSON.stringify(v).slice(0, 300))),
};

/** @param {any} value */
const isEmpty = (value) => value === null || value === undefined || value === "";
/** @param {string} iso */
const isPast = (iso) => Date.parse(iso) < Date.now();
const none = () => h("span", { class: "none" }, "–");

/** The cell of a column. @param {Entity} of @param {Column} column @param {any} row */
export function cell(of, column, row) {
  const value = column.from ? column.from(row) : at(row, column.name);
  return (DRAW[column.kind || "text"] || DRAW.text)(value, column, of, row);
}

/** A link to another item: `{id, name}`, or an id. @param {any} value @param {string} to */
export function reference(value, to) {
  const id = typeof value === "string" ? value : value.id;
  const words = typeof value === "string" ? value : value.name || value.id;
  return h("a", { href: href(`/${to}/${encodeURIComponent(id)}`) }, name(words));
}

/** The roles of a policy, with names instead of ids. @param {string[] | null} values @param {{name: string, role: string}[] | null} shown @param {number} [most] */
export function roleChips(values, shown, most = 99) {
  const words = new Map((shown || []).map((d) => [d.role, d.name]));
  const all = values || [];
  if (!all.length) return h("span", { class: "none" }, "nobody");
  return h("span", { class: "chips" }, all.slice(0, most).map((v) => chip(words.get(v) || v)), all.length > most ? h("span", { class: "more" }, `+${all.length - most}`) : null);
}

/** A value of any sort, for pages that show all of an item. @param {any} value @param {string} [label] */
export function plain(value, label = "") {
  if (isEmpty(value) || (Array.isArray(value) && !value.length)) return none();
  if (typeof value === "boolean") return DRAW.bool(value, /** @type {any} */ ({}), /** @type {any} */ ({}), {});
  if (typeof value === "number") return value.toLocaleString("en");
  if (Array.isArray(value) && value.every((v) => typeof v === "string")) return h("span", { class: "chips" }, value.map((v) => h("span", { class: "chip", dir: "auto" }, v)));
  if (typeof value === "object") return h("pre", { class: "small-json", tabindex: "0", "aria-label": label }, JSON.stringify(value, null, 2));
  if (/^\d{4}-\d\d-\d\dT/.test(value)) return isNever(value) ? none() : h("span", {}, date(value), h("span", { class: "soft" }, ` ${relative(value)}`));
  if (value.startsWith("-----BEGIN")) return h("details", {}, h("summary", {}, "PEM"), h("pre", { class: "small-json", tabindex: "0" }, value));
  return h("bdi", {}, value);
}

/** Whether an entity has a page of its own here. @param {string} key */
export function hasPage(key) {
  try {
    return Boolean(entity(key));
  } catch {
    return false;
  }
}
