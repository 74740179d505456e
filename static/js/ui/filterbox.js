/** The box that speaks the filter language: completion, chips, a builder for people who do not type, the error under its character. */
import { knownAttributes } from "../data.js";
import { h, name, show, uid } from "../dom.js";
import { chips, expectedAt, literal, problem, problemOf, toFilter, withCondition, without } from "../filter.js";
import { icon } from "../icons.js";
import { inDays } from "../time.js";
import { openDialog } from "./dialog.js";
import { suggest } from "./suggest.js";

/** @typedef {import("../entities.js").Entity} Entity */

const TIMES = /^(createdAt|updatedAt|.*(Expires|Requested|Seen|Activity|Used)At|expiresAt|not(Before|After))$/;
const BOOLEANS = /^(is|require|prompt|allow|has)[A-Z]|^(enabled|disabled|connected|online|noTraversal|mfaComplete|mfaRequired|isSystem)$/;
const SETS = /(Attributes|Roles|configs|permissions|services|identities)$/;

/** A property in words. @param {string} field */
const words = (field) => field.replace(/([A-Z])/g, " $1").toLowerCase();

/** What kind of values a property has, as far as its name tells. @param {string} field @returns {"time" | "bool" | "set" | "text"} */
export function kindOf(field) {
  if (TIMES.test(field)) return "time";
  if (BOOLEANS.test(field)) return "bool";
  return SETS.test(field) ? "set" : "text";
}

/**
 * @param {object} how
 * @param {Entity} how.of @param {string} how.value @param {(typed: string) => void} how.apply
 * @returns {{element: HTMLElement, chips: HTMLElement, input: HTMLInputElement, setFields: (fields: string[]) => void, fail: (error: any) => boolean, set: (typed: string) => void, meant: (typed: string) => string}} `meant`: the filter that a typed text stands for
 */
export function filterBox({ of, value, apply }) {
  /** @type {string[]} */
  let fields = [];
  const id = uid("filter");
  const input = h("input", { id, type: "text", class: "mono", value, dir: "ltr", placeholder: `${/^[aeiou]/.test(of.search || "") ? "an" : "a"} ${words(of.search || "name")}, or a filter`, "aria-label": `Filter ${of.many}`, "aria-describedby": `${id}-error`, enterkeyhint: "search" });
  const error = h("div", { id: `${id}-error`, class: "filter-error", role: "status" });
  const chipList = h("div", { class: "filter-chips" });
  const clear = h("button", { type: "button", class: "quiet icon-only", "aria-label": "Clear the filter", hidden: true, onclick: () => (set(""), commit(), input.focus()) }, icon("close"));
  const popup = suggest(input, { label: "Completions", get: () => completions(of, fields, input.value, input.selectionStart ?? 0), pick });
  const build = h("button", { type: "button", class: "quiet", "aria-label": "Add a condition", onclick: builder }, icon("plus"), h("span", { class: "wide-only" }, "Condition"));

  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") (popup.close(), commit());
    if (event.key === "Escape") input.blur();
  });
  input.addEventListener("input", () => (mark(null), (clear.hidden = !input.value)));
  input.addEventListener("scroll", () => error.style.setProperty("--scrolled", `${input.scrollLeft}px`));

  /** @param {import("./suggest.js").Suggestion} chosen */
  function pick({ value: word, more }) {
    const cursor = input.selectionStart ?? input.value.length;
    const { from } = expectedAt(input.value, cursor);
    const before = input.value.slice(0, from);
    const glue = before && !/[\s([]$/.test(before) ? " " : "";
    const after = input.value.slice(cursor).trimStart();
    const end = more === "open" ? "" : " ";
    input.value = before + glue + word + end + after;
    const position = (before + glue + word + end).length;
    input.setSelectionRange(position, position);
    clear.hidden = false;
    mark(null);
    popup.refresh();
  }
  function commit() {
    const wrong = problem(input.value, fields);
    mark(wrong);
    if (!wrong) apply(input.value.trim());
  }
  /** @param {import("../filter.js").Problem | null} wrong */
  function mark(wrong) {
    if (!wrong) {
      input.removeAttribute("aria-invalid");
      return show(error);
    }
    input.setAttribute("aria-invalid", "true");
    error.style.setProperty("--at", String(wrong.at));
    const asName = h("button", { type: "button", class: "linkish", onclick: () => (set(`${of.search || "name"} icontains ${literal(input.value.trim())}`), commit()) }, "look for it as a name");
    show(error, h("span", { class: "caret", "aria-hidden": "true" }, "▲"), h("span", { class: "filter-message" }, wrong.message, ". ", asName));
  }
  /** @param {string} typed */
  function set(typed) {
    input.value = typed;
    clear.hidden = !typed;
    mark(null);
    redraw();
  }
  function redraw() {
    const typed = input.value.trim();
    const all = typed && typed !== toFilter(typed, fields, of.search) ? [{ text: `${of.search || "name"} contains “${typed}”` }] : chips(typed);
    show(chipList, all.map((c, i) => h("span", { class: "chip" }, name(c.text, "chip-word"), h("button", { type: "button", "aria-label": `Remove ${c.text}`, onclick: () => (set(all.length === 1 ? "" : without(typed, i)), commit()) }, icon("close")))));
    chipList.hidden = !all.length;
  }
  async function builder() {
    const condition = await askCondition(of, fields);
    if (!condition) return;
    set(withCondition(input.value, condition, fields));
    commit();
  }
  redraw();
  clear.hidden = !value;
  return {
    element: h("div", { class: "filter", role: "search" }, h("div", { class: "filter-line" }, icon("filter"), input, clear, build), popup.element, error),
    chips: chipList,
    input,
    set,
    setFields: (given) => {
      fields = given;
      redraw();
    },
    fail: (thrown) => {
      if (thrown.code !== "INVALID_FILTER") return false;
      mark(problemOf(thrown.message, input.value) || { at: 0, length: 1, message: thrown.message });
      return true;
    },
    meant: (typed) => toFilter(typed, fields, of.search),
  };
}

/** @param {Entity} of @param {string[]} fields @param {string} typed @param {number} cursor @returns {Promise<import("./suggest.js").Suggestion[]>} */
async function completions(of, fields, typed, cursor) {
  const { word, expected, field } = expectedAt(typed, cursor);
  const isBegun = (/** @type {string} */ text) => text.toLowerCase().startsWith(word.toLowerCase()) && text !== word;
  /** @type {import("./suggest.js").Suggestion[]} */
  const found = [];
  if (expected.includes("field")) {
    const names = fields.filter((f) => f.toLowerCase().includes(word.toLowerCase()) && f !== word);
    found.push(...names.map((f) => (kindOf(f) === "set" ? { value: `anyOf(${f})`, label: f, note: "any of these" } : { value: f, note: { time: "a time", bool: "yes or no", text: "" }[/** @type {"time"} */ (kindOf(f))] })));
    if (word) found.push(...["not", "anyOf(", "isEmpty("].filter(isBegun).map((v) => ({ value: v, more: v.endsWith("(") ? "open" : "" })));
  }
  if (expected.includes("set")) found.push(...fields.filter((f) => kindOf(f) === "set" && isBegun(f)).map((f) => ({ value: f })));
  if (expected.includes("operator")) found.push(...operators(field).filter(([v]) => isBegun(v) || !word).map(([v, note]) => ({ value: v, note })));
  if (expected.includes("value")) found.push(...(await valuesOf(of, field, word)));
  if (expected.includes("logic")) found.push(...["and", "or", "sort by"].filter(isBegun).map((v) => ({ value: v })));
  return found.slice(0, 12);
}

/** @param {string} field @returns {[string, string][]} */
function operators(field) {
  const kind = kindOf(field);
  if (kind === "bool") return [["=", "is"], ["!=", "is not"]];
  if (kind === "time") return [["<", "before"], [">", "after"], ["between", "from, until"], ["=", "is"]];
  return [["=", "is"], ["!=", "is not"], ["contains", "contains"], ["icontains", "contains, in any case"], ["in [", "one of"]];
}

/** @param {Entity} of @param {string} field @param {string} word @returns {Promise<import("./suggest.js").Suggestion[]>} */
async function valuesOf(of, field, word) {
  const typed = word.replace(/^"/, "").toLowerCase();
  const kind = kindOf(field);
  if (kind === "bool") return ["true", "false"].filter((v) => v.startsWith(typed)).map((v) => ({ value: v }));
  if (kind === "time") return [["now", 0], ["in 7 days", 7], ["in 30 days", 30], ["yesterday", -1], ["7 days ago", -7], ["30 days ago", -30]].map(([label, days]) => ({ value: inDays(Number(days)), label: String(label) }));
  const known = of.values?.[field] || (of.known && field === "roleAttributes" ? await knownAttributes(of.known) : []);
  return known.filter((v) => v.toLowerCase().includes(typed)).slice(0, 10).map((v) => ({ value: literal(v), label: v }));
}

/** One condition from three choices, for people who do not type. @param {Entity} of @param {string[]} fields @returns {Promise<string | undefined>} */
function askCondition(of, fields) {
  return openDialog({
    title: "Add a condition",
    kind: "narrow",
    body: (close) => {
      const field = h("select", { id: "condition-field", onchange: redraw }, fields.map((f) => h("option", {}, f)));
      if (fields.includes("name")) field.value = "name";
      const operator = h("select", { id: "condition-operator" });
      const value = h("input", { id: "condition-value", autofocus: true, autocomplete: "off" });
      const popup = suggest(value, { label: "Known values", get: async () => (await valuesOf(of, field.value, value.value)).map((s) => ({ ...s, label: s.label || s.value })), pick: (s) => (value.value = s.value) });
      function redraw() {
        show(operator, operators(field.value).filter(([o]) => o !== "in [" && o !== "between").map(([o, words]) => h("option", { value: o }, words)));
        if (field.value === "name") operator.value = "icontains";
      }
      function submit(/** @type {Event} */ event) {
        event.preventDefault();
        const text = value.value.trim();
        const isLiteral = /^("|datetime\()/.test(text) || (kindOf(field.value) !== "text" && kindOf(field.value) !== "set") || /^null$/.test(text);
        const left = kindOf(field.value) === "set" ? `anyOf(${field.value})` : field.value;
        if (text) close(`${left} ${operator.value} ${isLiteral ? (/^\d{4}-\d\d-\d\d$/.test(text) ? `datetime(${text}T00:00:00Z)` : text) : literal(text.replace(/^#/, ""))}`);
      }
      redraw();
      const line = (/** @type {string} */ label, /** @type {HTMLElement} */ control) => h("div", { class: "field" }, h("label", { for: control.id }, label), control);
      return h("form", { class: "stack", onsubmit: submit }, line("Property", field), line("Comparison", operator), line("Value", value), popup.element, h("footer", { class: "actions" }, h("button", { class: "primary" }, "Add")));
    },
  });
}
