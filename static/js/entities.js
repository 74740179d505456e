/**
 * The table of the console: one row an entity of the API, by subject in `entities/`. From it come its list, its page, its form, its links and its actions.
 *
 * @typedef {object} Column
 * @property {string} name the property, dots go into objects
 * @property {string} label
 * @property {string} [kind] how it is drawn, a key of `DRAW` in ui/values.js: main, text, state, time, date, attributes, roles, bool,
 *   code, ref, count, json
 * @property {string | false} [sort] the name to sort by, when it is another one, or false when it has no order
 * @property {(row: any) => any} [from] the value, when it is no plain property
 * @property {string} [to] for refs: the entity that is pointed at
 * @property {boolean} [wide] gets what room there is
 *
 * @typedef {object} Field
 * @property {string} name the property in the body, dots go into objects
 * @property {string} label
 * @property {string} kind a key of `FIELDS` in ui/fields.js
 * @property {string} [on] "c", "u" or both (the default): when it can be set
 * @property {boolean} [required]
 * @property {string} [hint]
 * @property {any} [value] what a new one begins with
 * @property {string[] | [string, string][]} [options] of a choice: values, or pairs of value and words
 * @property {string} [to] the entity that a ref or a role names
 * @property {string} [known] the list with known attributes, a path of the management API
 * @property {(row: any) => any} [from] reads the value from a row, when it is no plain property
 * @property {boolean} [more] stands behind "more"
 * @property {(values: any) => boolean} [when] whether it makes sense with the other values
 *
 * @typedef {object} Association
 * @property {string} path below the item
 * @property {string} to an entity
 * @property {string} [label]
 * @property {string} [loses] what happens to them when the item is deleted: "lose access", "are deleted"
 * @property {boolean} [panel] shown by a panel of its own
 *
 * @typedef {object} ItemAction
 * @property {string} id
 * @property {string} label
 * @property {string} [icon]
 * @property {boolean} [danger]
 * @property {(row: any) => boolean} [when]
 * @property {(row: any) => import("./curl.js").Call} call
 * @property {string} done a sentence, after it worked
 * @property {(row: any) => string} [ask] what to ask before
 *
 * @typedef {object} Entity
 * @property {string} key its place in addresses
 * @property {string} path its collection
 * @property {string} base
 * @property {string} one @property {string} many
 * @property {string} place the place of the rail
 * @property {string} icon
 * @property {string} about what it is for, said where there is none
 * @property {string} verbs of l g c u d
 * @property {Column[]} columns
 * @property {Field[]} fields
 * @property {string} [own] a richer list and item for reading, tried first
 * @property {string} [fixed] a condition that the richer list needs to be the same set
 * @property {Association[]} [links]
 * @property {ItemAction[]} [actions]
 * @property {{name: string, filter: string, sort?: string}[]} [views] views that everybody has
 * @property {string} [known] where its attributes are listed
 * @property {string} [sort] how it is sorted at first
 * @property {(row: any) => string} [title]
 * @property {string} [search] the property that plain words are looked for in
 * @property {string[]} [always] properties that every change must send along
 * @property {"PUT"} [saveBy] changes replace the whole
 * @property {string} [savePath] what is put behind the item's path when it is saved or deleted
 * @property {(() => Promise<any>)[]} [panels] modules whose `panel(item, page)` adds a card to its page
 * @property {() => Promise<any>} [creator] a module whose `createView` stands instead of the generic form
 * @property {(row: any) => Promise<string[]>} [consequences] what deleting one does, in sentences
 * @property {boolean} [atOnce] deleting one cuts somebody off, so it does not wait for ten seconds
 * @property {Record<string, string[]>} [values] known values of properties, for completion
 */
import { MANAGEMENT } from "./api.js";
import { ACCESS } from "./entities/access.js";
import { ACTIVITY } from "./entities/activity.js";
import { AUTHORITIES } from "./entities/authorities.js";
import { DEVICES } from "./entities/devices.js";
import { ENROLLMENTS } from "./entities/enrollments.js";
import { SETTINGS } from "./entities/settings.js";
import { NAME } from "./entities/shared.js";
import { SIGN_IN } from "./entities/signin.js";

/** @type {Entity[]} */
export const ENTITIES = [...DEVICES, ...AUTHORITIES, ...ENROLLMENTS, ...ACCESS, ...SIGN_IN, ...ACTIVITY, ...SETTINGS].map((row) => /** @type {Entity} */ ({ base: MANAGEMENT, path: row.key, verbs: "lgcud", links: [], actions: [], views: [], panels: [], sort: row.columns?.includes(NAME) ? "name" : "", ...row }));

const BY_KEY = new Map(ENTITIES.map((e) => [e.key, e]));

/** @param {string} key @returns {Entity} */
export function entity(key) {
  const found = BY_KEY.get(key);
  if (!found) throw new Error(`there is no entity ${key}`);
  return found;
}

/** The collection of the API that a name in the audit log, an event or a link stands for. @param {string} path @returns {Entity | undefined} */
export const entityOf = (path) => BY_KEY.get(path === "routers" ? "edge-routers" : path);

/** A value by its path: "primary.cert.allowed". @param {any} row @param {string} path */
export function at(row, path) {
  return path.split(".").reduce((value, part) => (value === null || value === undefined ? undefined : value[part]), row);
}

/** Put a value at its path, making the objects on the way. @param {any} target @param {string} path @param {any} value */
export function putAt(target, path, value) {
  const parts = path.split(".");
  const last = /** @type {string} */ (parts.pop());
  let inner = target;
  for (const part of parts) inner = inner[part] = { ...inner[part] };
  inner[last] = value;
}

/** How an item is called. @param {Entity} of @param {any} row */
export const titleOf = (of, row) => String((of.title ? of.title(row) : row.name) || row.id);
