/**
 * Doing one thing to many items: progress, a result for each, retry of what failed, stop. Actions are pluggable: `registerBulk`.
 *
 * @typedef {object} BulkAction
 * @property {string} id
 * @property {string} label
 * @property {string} [icon]
 * @property {boolean} [danger]
 * @property {(of: Entity) => boolean} [when] for which entities
 * @property {(rows: any[], of: Entity) => Promise<any>} [prepare] asks what is needed; undefined calls it off
 * @property {(row: any, options: any, of: Entity) => Promise<any>} [one] does it to one item
 * @property {(rows: any[], options: any, of: Entity, report: (row: any, error?: any) => void, signal: AbortSignal) => Promise<void>} [many]
 *   does it to all at once and reports each; goes before `one`
 * @typedef {import("../entities.js").Entity} Entity
 */
import { request } from "../api.js";
import { removeRow, saveRow } from "../data.js";
import { h, name, show } from "../dom.js";
import { titleOf } from "../entities.js";
import { icon } from "../icons.js";
import { confirm, openDialog } from "./dialog.js";
import { FIELDS } from "./fields.js";
import { count } from "./parts.js";
import { announce } from "./toast.js";

const AT_ONCE = 4;

/** @type {BulkAction[]} */
const ACTIONS = [
  {
    id: "attributes",
    label: "Attributes",
    icon: "edit",
    when: (of) => of.fields.some((f) => f.name === "roleAttributes"),
    prepare: (rows, of) => askAttributes(rows, of),
    one: (row, { add, remove }, of) => saveRow(of, row.id, { ...always(of, row), roleAttributes: [...new Set([...(row.roleAttributes || []).filter((/** @type {string} */ a) => !remove.includes(a)), ...add])] }),
  },
  {
    id: "tags",
    label: "Tag",
    icon: "edit",
    when: (of) => of.verbs.includes("u") && of.fields.some((f) => f.name === "tags"),
    prepare: () => askTag(),
    one: (row, { key, value, remove }, of) => saveRow(of, row.id, { ...always(of, row), tags: Object.fromEntries(Object.entries({ ...row.tags, [key]: value }).filter(([k]) => !remove || k !== key)) }),
  },
  {
    id: "delete",
    label: "Delete",
    icon: "trash",
    danger: true,
    when: (of) => of.verbs.includes("d"),
    prepare: async (rows, of) => {
      const list = h("ul", { class: "short-list" }, rows.slice(0, 8).map((r) => h("li", {}, name(titleOf(of, r)))), rows.length > 8 ? h("li", { class: "soft" }, `and ${rows.length - 8} more`) : null);
      return (await confirm({ title: `Delete ${count(rows.length, of.one, of.many)}?`, body: [list, h("p", {}, "This cannot be undone.")], yes: `Delete ${rows.length}`, danger: true, typed: rows.length >= 20 ? String(rows.length) : "" })) || undefined;
    },
    one: (row, options, of) => removeRow(of, row.id),
  },
];

/** @param {Entity} of @param {any} row */
const always = (of, row) => Object.fromEntries((of.always || []).map((k) => [k, row[k]]));

/** Add an action for lists; one with the same id is replaced. @param {BulkAction} action */
export function registerBulk(action) {
  const index = ACTIONS.findIndex((a) => a.id === action.id);
  if (index >= 0) ACTIONS[index] = action;
  else ACTIONS.splice(ACTIONS.length - 1, 0, action);
}

/** A registered action, to be built upon. @param {string} id */
export const bulkAction = (id) => /** @type {BulkAction} */ (ACTIONS.find((a) => a.id === id));

/** What can be done to many of these. @param {Entity} of @returns {BulkAction[]} */
export function bulkActions(of) {
  const own = (of.actions || []).map((a) => ({
    id: a.id,
    label: a.label,
    icon: a.icon,
    prepare: async (/** @type {any[]} */ rows) => (await confirm({ title: `${a.label} ${count(rows.length, of.one, of.many)}?`, body: a.ask ? h("p", {}, a.ask(rows[0])) : null, yes: a.label })) || undefined,
    one: (/** @type {any} */ row) => request(a.call(row)),
  }));
  const shared = ACTIONS.filter((a) => !a.when || a.when(of));
  return [...shared.filter((a) => !a.danger), ...own.filter((a) => !shared.some((s) => s.id === a.id)), ...shared.filter((a) => a.danger)];
}

/** @param {any[]} rows @param {Entity} of @returns {Promise<{add: string[], remove: string[]} | undefined>} */
function askAttributes(rows, of) {
  const held = [...new Set(rows.flatMap((r) => r.roleAttributes || []))].sort();
  return openDialog({
    title: `Attributes of ${count(rows.length, of.one, of.many)}`,
    kind: "narrow",
    body: (close) => {
      const add = FIELDS.attributes({ name: "add", label: "Add", kind: "attributes", known: of.known }, [], "bulk-add", () => {});
      const remove = FIELDS.strings({ name: "remove", label: "Take away", kind: "strings", options: held }, [], "bulk-remove", () => {});
      const form = h("form", { class: "stack", onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), close({ add: add.read(), remove: remove.read().map((/** @type {string} */ v) => v.replace(/^#/, "")) })) }, h("div", { class: "field" }, h("label", { for: "bulk-add" }, "Add"), add.element), h("div", { class: "field" }, h("label", { for: "bulk-remove" }, "Take away"), remove.element), h("footer", { class: "actions" }, h("button", { class: "primary" }, "Apply")));
      return form;
    },
  });
}

/** @returns {Promise<{key: string, value: string, remove: boolean} | undefined>} */
function askTag() {
  return openDialog({
    title: "Tag",
    kind: "narrow",
    body: (close) => {
      const key = h("input", { id: "tag-key", required: true, autofocus: true });
      const value = h("input", { id: "tag-value" });
      const remove = h("input", { id: "tag-remove", type: "checkbox", onchange: () => (value.disabled = remove.checked) });
      return h("form", { class: "stack", onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), close({ key: key.value.trim(), value: value.value, remove: remove.checked })) }, h("div", { class: "field" }, h("label", { for: "tag-key" }, "Name"), key), h("div", { class: "field" }, h("label", { for: "tag-value" }, "Value"), value), h("label", { class: "choice" }, remove, "Take this tag away"), h("footer", { class: "actions" }, h("button", { class: "primary" }, "Apply")));
    },
  });
}

/**
 * Do it: asks, works, shows how far it is and what came of each.
 * @param {BulkAction} action @param {any[]} rows @param {Entity} of @returns {Promise<boolean>} whether anything was done
 */
export async function runBulk(action, rows, of) {
  const options = action.prepare ? await action.prepare(rows, of) : {};
  if (options === undefined) return false;
  await openDialog({ title: `${action.label}: ${count(rows.length, of.one, of.many)}`, body: (close) => work(action, rows, of, options, close) });
  return true;
}

/** @param {BulkAction} action @param {any[]} rows @param {Entity} of @param {any} options @param {() => void} close */
function work(action, rows, of, options, close) {
  const bar = h("progress", { max: rows.length, value: 0, "aria-label": "Progress" });
  const words = h("p", { role: "status" });
  const list = h("ul", { class: "results", tabindex: "0", "aria-label": "Results" });
  const foot = h("footer", { class: "actions" });
  /** @type {AbortController} */
  let stop;

  /** @param {any[]} todo */
  async function run(todo) {
    stop = new AbortController();
    /** @type {any[]} */
    const failed = [];
    let done = 0;
    bar.max = todo.length;
    const report = (/** @type {any} */ row, /** @type {any} */ error) => {
      done += 1;
      if (error) {
        failed.push(row);
        list.append(h("li", { class: "bad" }, icon("warning"), h("span", {}, name(titleOf(of, row)), ": ", error.message)));
      }
      tell(done, todo.length, failed.length);
    };
    tell(0, todo.length, 0);
    show(list);
    show(foot, h("button", { type: "button", onclick: () => stop.abort() }, "Stop"));
    if (action.many) await action.many(todo, options, of, report, stop.signal);
    else await each(todo, (row) => /** @type {any} */ (action.one)(row, options, of), report, stop.signal);
    const left = todo.slice(done);
    show(foot, left.length || failed.length ? h("button", { type: "button", onclick: () => run([...failed, ...left]) }, icon("refresh"), failed.length ? `Try the ${failed.length + left.length} again` : `Go on with ${left.length}`) : null, h("button", { type: "button", class: "primary", onclick: () => close() }, "Close"));
    announce(`${done - failed.length} of ${todo.length} done, ${failed.length} failed`);
  }
  /** @param {number} done @param {number} all @param {number} failed */
  function tell(done, all, failed) {
    bar.value = done;
    words.textContent = `${done} of ${all}${failed ? `, ${failed} failed` : ""}`;
  }
  run(rows);
  return h("div", { class: "stack" }, words, bar, list, foot);
}

/**
 * A few at a time, in order. @param {any[]} rows @param {(row: any) => Promise<any>} one
 * @param {(row: any, error?: any) => void} report @param {AbortSignal} signal
 */
export async function each(rows, one, report, signal) {
  let next = 0;
  async function worker() {
    while (next < rows.length && !signal.aborted) {
      const row = rows[next++];
      await one(row).then(() => report(row), (error) => report(row, error));
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
