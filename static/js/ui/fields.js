/**
 * Fields of forms: one function a kind. Each gives what is shown and how to read it; `read` throws an Error with a sentence when the
 * value cannot be used.
 * @typedef {{element: HTMLElement, read: () => any, focusOn?: HTMLElement, wide?: boolean}} Made
 * @typedef {import("../entities.js").Field} Field
 */
import { findByName, knownAttributes, nameOf } from "../data.js";
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { isNever } from "../time.js";
import { suggest } from "./suggest.js";

/** @type {Record<string, (field: Field, value: any, id: string, changed: () => void) => Made>} */
export const FIELDS = {
  text: (f, value, id, changed) => {
    const input = h("input", { id, value: value ?? "", autocomplete: "off", spellcheck: false, dir: "auto", oninput: changed });
    return { element: input, read: () => input.value.trim() };
  },
  number: (f, value, id, changed) => {
    const input = h("input", { id, value: value ?? "", inputmode: "numeric", class: "short", oninput: changed });
    return {
      element: input,
      read: () => {
        if (!/^-?\d*$/.test(input.value.trim())) throw new Error("This has to be a whole number.");
        return input.value.trim() === "" ? 0 : Number(input.value);
      },
    };
  },
  switch: (f, value, id, changed) => {
    const box = h("input", { id, type: "checkbox", class: "switch", role: "switch", checked: Boolean(value), onchange: changed });
    return { element: box, read: () => box.checked };
  },
  choice: (f, value, id, changed) => {
    const pairs = /** @type {[string, string][]} */ ((f.options || []).map((o) => (Array.isArray(o) ? o : [o, o])));
    const known = pairs.some(([v]) => v === value) || value === undefined || value === "";
    const select = h("select", { id, onchange: changed }, (known ? pairs : [...pairs, [value, value]]).map(([v, words]) => h("option", { value: v, selected: v === value }, words)));
    return { element: select, read: () => select.value };
  },
  pem: (f, value, id, changed) => {
    const area = h("textarea", { id, rows: 6, class: "mono", spellcheck: false, value: value ?? "", placeholder: "-----BEGIN CERTIFICATE-----", oninput: changed });
    const file = h("input", { type: "file", class: "hidden", tabindex: "-1", "aria-hidden": "true", accept: ".pem,.crt,.cer,.txt", onchange: async () => file.files[0] && take(await file.files[0].text()) });
    /** @param {string} text */
    function take(text) {
      area.value = text;
      changed();
    }
    area.addEventListener("dragover", (/** @type {Event} */ e) => e.preventDefault());
    area.addEventListener("drop", async (/** @type {any} */ e) => {
      if (!e.dataTransfer.files.length) return;
      e.preventDefault();
      take(await e.dataTransfer.files[0].text());
    });
    const pick = h("button", { type: "button", class: "small", onclick: () => file.click() }, icon("download"), "Choose a file");
    return { element: h("div", { class: "stack tight" }, area, h("div", {}, pick, h("small", { class: "soft" }, " or drop one above"), file)), read: () => area.value.trim(), focusOn: area, wide: true };
  },
  json: (f, value, id, changed) => {
    const area = h("textarea", { id, rows: Math.min(16, Math.max(3, JSON.stringify(value ?? {}, null, 2).split("\n").length + 1)), class: "mono", spellcheck: false, value: value === undefined || value === null ? "" : JSON.stringify(value, null, 2), oninput: changed });
    return { element: area, read: () => (area.value.trim() ? parseJson(area.value) : undefined), wide: true };
  },
  tags: (f, value, id, changed) => tagsField(value || {}, id, changed),
  time: (f, value, id, changed) => {
    const input = h("input", { id, type: "datetime-local", step: 60, class: "short", value: localTime(value), oninput: changed });
    return {
      element: input,
      read: () => {
        if (!input.value) throw new Error("This needs a date and a time.");
        return new Date(input.value).toISOString();
      },
    };
  },
  attributes: (f, value, id, changed) =>
    tokens({ id, changed, values: value || [], clean: (t) => t.replace(/^[#@]+/, "").trim(), show: (v) => `#${v}`, label: f.label, suggest: async (typed) => fitting(await knownAttributes(f.known || ""), typed).map((v) => ({ value: v, label: `#${v}` })) }),
  strings: (f, value, id, changed) => tokens({ id, changed, values: value || [], clean: (t) => t.trim(), label: f.label, suggest: async (typed) => fitting(/** @type {string[]} */ (f.options || []), typed).map((v) => ({ value: v })) }),
  roles: (f, value, id, changed) => {
    const names = new Map();
    const field = tokens({
      id,
      changed,
      values: value || [],
      clean: (t) => (/^[#@]/.test(t.trim()) ? t.trim() : `#${t.trim()}`),
      show: (v) => (v.startsWith("@") ? `@${names.get(v) || v.slice(1)}` : v),
      label: f.label,
      suggest: (typed) => roleSuggestions(f, typed, names),
    });
    for (const v of value || []) if (v.startsWith("@") && v !== "@all") nameOf(f.to || "", v.slice(1)).then((found) => (names.set(v, found), field.redraw()));
    return field;
  },
  refs: (f, value, id, changed) => references(f, value || [], id, changed, Infinity),
  ref: (f, value, id, changed) => {
    const made = references(f, value ? [value] : [], id, changed, 1);
    return { ...made, read: () => made.read()[0] || "" };
  },
  enrollment: (f, value, id, changed) => enrollmentField(id, changed),
};

/** Read JSON, or say in which line it is wrong. @param {string} text */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = String(/** @type {Error} */ (error).message);
    const position = /position (\d+)/.exec(message);
    const line = position ? text.slice(0, Number(position[1])).split("\n").length : /line (\d+)/.exec(message)?.[1];
    const reason = message.replace(/ in JSON.*$/s, "").replace(/,? ?"?\.\.\..*$/s, "");
    throw new Error(line ? `Line ${line}: ${reason}` : `${reason}`);
  }
}

/** What a date field shows of an ISO time; "in 90 days" is counted from now. @param {string | undefined} value */
function localTime(value) {
  const days = /^in (\d+) days$/.exec(value || "");
  if (!days && isNever(value)) return "";
  const d = days ? new Date(Date.now() + Number(days[1]) * 86_400_000) : new Date(/** @type {string} */ (value));
  return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** @param {string[]} all @param {string} typed */
function fitting(all, typed) {
  const word = typed.replace(/^[#@]/, "").toLowerCase();
  return all.filter((v) => v.toLowerCase().includes(word)).slice(0, 10);
}

/** @param {Field} f @param {string} typed @param {Map<string, string>} names */
async function roleSuggestions(f, typed, names) {
  const all = typed.startsWith("@") ? [] : fitting([...new Set(["all", ...(await knownAttributes(f.known || ""))])], typed).map((v) => ({ value: `#${v}` }));
  const items = typed.startsWith("#") ? [] : await findByName(f.to || "", typed.replace(/^@/, ""), 6).catch(() => []);
  for (const item of items) names.set(`@${item.id}`, item.name);
  return [...all, ...items.map((item) => ({ value: `@${item.id}`, label: `@${item.name}` }))];
}

/** @param {Field} f @param {string[]} values @param {string} id @param {() => void} changed @param {number} most */
function references(f, values, id, changed, most) {
  const names = new Map();
  const field = tokens({
    id,
    changed,
    values,
    most,
    clean: (t) => t.trim(),
    show: (v) => names.get(v) || v,
    label: f.label,
    onlySuggested: true,
    suggest: async (typed) => {
      const found = await findByName(f.to || "", typed).catch(() => []);
      for (const item of found) names.set(item.id, item.name);
      return found.map((item) => ({ value: item.id, label: item.name, note: item.id === item.name ? "" : item.id.slice(0, 8) }));
    },
  });
  for (const v of values) nameOf(f.to || "", v).then((found) => (names.set(v, found), field.redraw()));
  return field;
}

/**
 * A field that holds several words, each with a way to take it out.
 * @param {object} how
 * @param {string} how.id @param {() => void} how.changed @param {string[]} how.values @param {(typed: string) => string} how.clean
 * @param {string} how.label @param {(typed: string) => Promise<import("./suggest.js").Suggestion[]>} how.suggest
 * @param {(value: string) => string} [how.show] @param {number} [how.most] @param {boolean} [how.onlySuggested]
 */
export function tokens({ id, changed, values, clean, show: words = (v) => v, label, suggest: ask, most = Infinity, onlySuggested = false }) {
  let held = [...values];
  const input = h("input", { id, class: "bare", dir: "auto", onkeydown: keys, onblur: () => !onlySuggested && add(input.value) });
  const list = h("span", { class: "chips" });
  const box = h("div", { class: "tokens", onclick: (/** @type {any} */ e) => e.target === box && input.focus() }, list, input);
  const popup = suggest(input, { label: `Known: ${label}`, get: async () => (await ask(input.value)).filter((s) => !held.includes(s.value)), pick: (s) => add(s.value, true), first: onlySuggested });
  box.append(popup.element);
  input.addEventListener("focus", () => held.length < most && popup.refresh());

  /** @param {string} typed @param {boolean} [sure] */
  function add(typed, sure = false) {
    const value = sure ? typed : clean(typed);
    input.value = "";
    if (!value || value === "#" || held.includes(value)) return;
    held = most === 1 ? [value] : [...held, value];
    redraw();
    changed();
  }
  /** @param {string} value */
  function drop(value) {
    held = held.filter((v) => v !== value);
    redraw();
    changed();
    input.focus();
  }
  function redraw() {
    show(list, held.map((v) => h("span", { class: "chip" }, name(words(v), "chip-word"), h("button", { type: "button", "aria-label": `Remove ${words(v)}`, onclick: () => drop(v) }, icon("close")))));
  }
  /** @param {KeyboardEvent} event */
  function keys(event) {
    if ((event.key === "Enter" || event.key === ",") && input.value.trim() && !onlySuggested) {
      event.preventDefault();
      add(input.value);
    } else if (event.key === "Backspace" && !input.value && held.length) drop(held[held.length - 1]);
  }
  redraw();
  return { element: box, read: () => held, redraw, focusOn: input };
}

/** @param {Record<string, any>} value @param {string} id @param {() => void} changed @returns {Made} */
function tagsField(value, id, changed) {
  const list = h("div", { class: "stack tight" });
  /** @param {string} key @param {any} content */
  function row(key, content) {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    const line = h("div", { class: "pair" }, h("input", { "aria-label": "Name of the tag", value: key, placeholder: "name", oninput: changed }), h("input", { "aria-label": "Value of the tag", value: text, placeholder: "value", oninput: changed, data: { was: text, kind: typeof content } }), h("button", { type: "button", class: "quiet icon-only", "aria-label": "Remove this tag", onclick: () => (line.remove(), changed()) }, icon("close")));
    return line;
  }
  for (const [k, v] of Object.entries(value)) list.append(row(k, v));
  const more = h("button", { id, type: "button", class: "small", onclick: () => list.append(row("", "")) || list.lastElementChild?.querySelector("input")?.focus() }, icon("plus"), "Add a tag");
  /** A value that was no text and is unchanged stays what it was. @param {HTMLInputElement} input */
  const content = (input) => (input.dataset.kind !== "string" && input.value === input.dataset.was ? JSON.parse(input.value) : input.value);
  const read = () => Object.fromEntries([...list.children].map((line) => [...line.querySelectorAll("input")]).filter(([k]) => k.value.trim()).map(([k, v]) => [k.value.trim(), content(v)]));
  return { element: h("div", { class: "stack tight" }, list, h("div", {}, more)), read, focusOn: more, wide: true };
}

/** How a new device joins: the short form; the guided way is another page. @param {string} id @param {() => void} changed @returns {Made} */
function enrollmentField(id, changed) {
  const select = h("select", { id, onchange: () => (redraw(), changed()) }, [["ott", "with a one-time token"], ["ottca", "with a token and a certificate of a CA"], ["updb", "with a user name and a password"], ["none", "by itself, or later"]].map(([v, words]) => h("option", { value: v }, words)));
  const place = h("div");
  /** @type {Made | null} */
  let inner = null;
  function redraw() {
    const kind = select.value;
    inner = kind === "ottca" ? FIELDS.ref({ name: "ca", label: "Certificate authority", kind: "ref", to: "cas" }, "", `${id}-ca`, changed) : kind === "updb" ? FIELDS.text({ name: "user", label: "User name", kind: "text" }, "", `${id}-user`, changed) : null;
    show(place, inner && h("label", { class: "field", for: inner.focusOn?.id || `${id}-user` }, h("span", {}, kind === "updb" ? "User name" : "Certificate authority"), inner.element));
  }
  return {
    element: h("div", { class: "stack tight" }, select, place),
    focusOn: select,
    read: () => {
      if (select.value === "none") return {};
      if (select.value === "ott") return { ott: true };
      const value = inner?.read();
      if (!value) throw new Error(select.value === "updb" ? "A user name is needed." : "Choose an authority.");
      return { [select.value]: value };
    },
  };
}
