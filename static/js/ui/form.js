/**
 * The form of an entity: fields or JSON of the same values, errors beside the field they are about.
 * @typedef {import("../entities.js").Field} Field
 * @typedef {import("../entities.js").Entity} Entity
 */
import { ApiError } from "../api.js";
import { h, show, uid } from "../dom.js";
import { at, putAt } from "../entities.js";
import { FIELDS, parseJson } from "./fields.js";
import { technical } from "./toast.js";
import { copyButton } from "./copy.js";

/** The fields that can be set now. @param {Entity} of @param {boolean} isNew */
export const fieldsOf = (of, isNew) => of.fields.filter((f) => (f.on || "cu").includes(isNew ? "c" : "u"));

/** The values of an item as its form has them. @param {Entity} of @param {any} row null for a new one */
export function valuesOf(of, row) {
  const values = {};
  for (const f of fieldsOf(of, !row)) {
    const value = row ? (f.from ? f.from(row) : at(row, f.name)) : f.value;
    putAt(values, f.name, value ?? emptyOf(f));
  }
  for (const key of (row && of.always) || []) putAt(values, key, row[key]);
  return values;
}

/** @param {Field} f */
function emptyOf(f) {
  if (f.value !== undefined) return f.value;
  return { switch: false, attributes: [], roles: [], strings: [], refs: [], tags: {}, number: 0, text: "", ref: "", pem: "" }[f.kind];
}

/**
 * @param {Entity} of @param {any} row null for a new one @param {() => void} changed
 * @returns {{element: HTMLElement, read: () => any, fail: (error: any) => void, isValid: () => boolean, mode: (wanted: "form" | "json") => boolean}}
 *   `read` gives the values and throws when one cannot be used; `fail` puts what the controller said where it belongs
 */
export function entityForm(of, row, changed) {
  const values = valuesOf(of, row);
  const place = h("div");
  const problem = h("div", { class: "form-problem", role: "alert" });
  /** @type {"form" | "json"} */
  let mode = "form";
  let view = asFields(of, !row, values, changed);
  show(place, view.element);

  /** @param {"form" | "json"} wanted @returns {boolean} whether it could be changed */
  function turn(wanted) {
    if (wanted === mode) return true;
    const now = readAll();
    if (now === null) return false;
    mode = wanted;
    view = mode === "json" ? asJson(now, changed) : asFields(of, !row, now, changed);
    show(place, view.element);
    return true;
  }
  /** @returns {any} null when something is wrong, which is then shown */
  function readAll() {
    show(problem);
    try {
      return view.read();
    } catch (error) {
      fail(error);
      return null;
    }
  }
  /** @param {any} error */
  function fail(error) {
    if (error.shown || view.fail(error)) return;
    const detail = technical(error);
    show(problem, h("p", {}, error.message), detail && h("details", {}, h("summary", {}, "Details"), h("pre", { tabindex: "0" }, detail), copyButton(() => detail)));
    problem.scrollIntoView({ block: "nearest" });
  }
  return { element: h("div", { class: "stack" }, problem, place), read: readAll, fail, isValid: () => true, mode: turn };
}

class Shown extends Error {
  shown = true;
}

/** @param {Entity} of @param {boolean} isNew @param {any} values @param {() => void} changed */
function asFields(of, isNew, values, changed) {
  /** @type {{f: Field, made: import("./fields.js").Made, line: HTMLElement, note: HTMLElement}[]} */
  const lines = fieldsOf(of, isNew).map((f) => line(f, at(values, f.name), () => (sift(), changed())));
  const few = lines.filter((l) => !l.f.more);
  const more = lines.filter((l) => l.f.more);
  const isOpen = more.some(({ f }) => JSON.stringify(at(values, f.name)) !== JSON.stringify(emptyOf(f)));
  const rest = more.length ? h("details", { class: "more-fields", open: isOpen && !isNew }, h("summary", {}, "More"), h("div", { class: "fields" }, more.map((l) => l.line))) : null;
  const isShown = (/** @type {Field} */ f) => !f.when || f.when(tryRead());

  function tryRead() {
    const now = structuredClone(values);
    for (const { f, made } of lines) {
      try {
        putAt(now, f.name, made.read());
      } catch {
        // Not a value yet; what depends on it looks at the old one.
      }
    }
    return now;
  }
  function sift() {
    for (const { f, line: element } of lines) element.hidden = !isShown(f);
  }
  /** @param {Field} f @param {string} text */
  function mark(f, text) {
    const found = /** @type {any} */ (lines.find((l) => l.f === f));
    found.note.textContent = text;
    const target = found.made.focusOn || found.made.element;
    if (text) target.setAttribute("aria-invalid", "true");
    else target.removeAttribute("aria-invalid");
    if (text && f.more && rest) rest.open = true;
    return target;
  }
  function read() {
    const now = {};
    /** @type {HTMLElement | null} */
    let wrong = null;
    for (const { f, made } of lines) {
      mark(f, "");
      if (!isShown(f)) continue;
      try {
        const value = made.read();
        if (f.required && (value === "" || value === undefined)) throw new Error("This is needed.");
        if (value !== undefined && !(isNew && value === "")) putAt(now, f.name, value);
      } catch (error) {
        const target = mark(f, /** @type {Error} */ (error).message);
        wrong = wrong || target;
      }
    }
    if (wrong) {
      wrong.focus();
      throw new Shown();
    }
    for (const key of (!isNew && of.always) || []) putAt(now, key, at(values, key));
    return now;
  }
  /** @param {any} error */
  function fail(error) {
    if (!(error instanceof ApiError) || !error.field) return false;
    const found = lines.find(({ f }) => f.name === error.field) || lines.find(({ f }) => error.field.startsWith(`${f.name}.`) || error.field.startsWith(`${f.name}[`));
    if (!found) return false;
    mark(found.f, error.message).focus();
    found.note.append(" ", h("small", {}, `${error.code} · request id ${error.requestId}`));
    return true;
  }
  sift();
  return { element: h("div", { class: "stack" }, h("div", { class: "fields" }, few.map((l) => l.line)), rest), read, fail };
}

/** @param {Field} f @param {any} value @param {() => void} changed */
function line(f, value, changed) {
  const id = uid("field");
  const note = h("div", { id: `${id}-note`, class: "field-note", role: "alert" });
  const make = FIELDS[f.kind] || FIELDS.text;
  const made = make(f, value, id, () => {
    if (note.textContent) {
      note.textContent = "";
      (made.focusOn || made.element).removeAttribute("aria-invalid");
    }
    changed();
  });
  const target = made.focusOn || made.element;
  target.setAttribute("aria-describedby", `${id}-hint ${id}-note`);
  if (f.required && f.kind !== "switch") target.setAttribute("aria-required", "true");
  const label = h("label", { for: id }, f.label, f.required && !["switch", "choice"].includes(f.kind) ? h("span", { class: "needed" }) : null);
  const hint = h("div", { id: `${id}-hint`, class: "field-hint" }, f.hint || "");
  const inner = f.kind === "switch" ? [h("div", { class: "switch-line" }, made.element, label), hint, note] : [label, made.element, hint, note];
  return { f, made, note, line: h("div", { class: `field${made.wide ? " wide" : ""}` }, inner) };
}

/** @param {any} values @param {() => void} changed */
function asJson(values, changed) {
  const id = uid("json");
  const note = h("div", { id: `${id}-note`, class: "field-note", role: "alert" });
  const text = JSON.stringify(values, null, 2);
  const area = h("textarea", { id, class: "mono", rows: Math.min(30, text.split("\n").length + 2), spellcheck: false, value: text, "aria-describedby": `${id}-note`, oninput: () => ((note.textContent = ""), changed()) });
  return {
    element: h("div", { class: "field wide" }, h("label", { for: id }, "JSON"), area, note),
    read: () => {
      try {
        return parseJson(area.value);
      } catch (error) {
        note.textContent = /** @type {Error} */ (error).message;
        const found = /^Line (\d+)/.exec(note.textContent);
        if (found) selectLine(area, Number(found[1]));
        throw new Shown();
      }
    },
    fail: (/** @type {any} */ error) => {
      note.textContent = error.field ? `${error.field}: ${error.message}` : error.message;
      return true;
    },
  };
}

/** @param {HTMLTextAreaElement} area @param {number} number */
function selectLine(area, number) {
  const lines = area.value.split("\n");
  const from = lines.slice(0, number - 1).join("\n").length + (number > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(from, from + (lines[number - 1] || "").length);
}

/**
 * What differs, property by property.
 * @param {any} before @param {any} after @returns {{name: string, before: any, after: any}[]}
 */
export function differences(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.filter((n) => !same(before[n], after[n])).map((n) => ({ name: n, before: before[n], after: after[n] }));
}

/** Whether two values are the same, however their keys and lists of words are ordered. @param {any} a @param {any} b */
export function same(a, b) {
  return JSON.stringify(ordered(a)) === JSON.stringify(ordered(b));
}

/** @param {any} value @returns {any} */
function ordered(value) {
  if (Array.isArray(value)) return value.every((v) => typeof v === "string") ? [...value].sort() : value.map(ordered);
  if (value && typeof value === "object") return Object.fromEntries(Object.keys(value).sort().map((k) => [k, ordered(value[k])]));
  return value ?? null;
}
