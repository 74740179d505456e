/** How long a token may live: the usual spans, or a date. */
import { h } from "../dom.js";
import { recall, remember } from "../store.js";

/** @type {[number, string][]} */
const SPANS = [[60, "1 hour"], [180, "3 hours"], [1440, "1 day"], [10_080, "7 days"]];

/** @param {Date} d */
const local = (d) => new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/**
 * A choice of how long. `read` gives an ISO time and throws an Error with a sentence when it cannot be used.
 * @param {() => void} [changed] @param {string} [legend]
 */
export function expiryField(changed = () => {}, legend = "The token works for") {
  const last = recall("tokenMinutes", 180);
  const custom = h("input", { type: "datetime-local", class: "short", "aria-label": "Until", value: local(new Date(Date.now() + 2 * 86_400_000)), hidden: true, oninput: changed });
  const group = `expiry-${Math.random().toString(36).slice(2)}`;
  const note = h("p", { class: "field-note", role: "alert" });
  const options = [...SPANS, /** @type {[number, string]} */ ([0, "until …"])].map(([minutes, words]) => h("label", { class: "pick" }, h("input", { type: "radio", name: group, value: String(minutes), checked: minutes === last, onchange: turn }), h("span", {}, words)));
  const chosen = () => Number(element.querySelector("input[type=radio]:checked")?.value ?? 180);
  function turn() {
    custom.hidden = chosen() !== 0;
    changed();
  }
  const element = h("fieldset", { class: "field" }, h("legend", {}, legend), h("div", { class: "picks" }, options), custom, note);
  if (!element.querySelector("input[type=radio]:checked")) element.querySelectorAll("input[type=radio]")[1].checked = true;
  /** @returns {string} */
  function read() {
    note.textContent = "";
    const minutes = chosen();
    if (minutes) {
      remember("tokenMinutes", minutes);
      return new Date(Date.now() + minutes * 60_000).toISOString();
    }
    const at = new Date(custom.value).getTime();
    if (!custom.value || at <= Date.now() + 30_000) {
      note.textContent = "Choose a time that lies ahead.";
      custom.focus();
      throw Object.assign(new Error(note.textContent), { shown: true });
    }
    return new Date(at).toISOString();
  }
  return { element, read };
}
