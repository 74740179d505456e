import { h, show, uid } from "../dom.js";
import { icon } from "../icons.js";

/**
 * Open a modal dialog. The browser keeps the focus inside and gives it back.
 * @template T
 * @param {object} what
 * @param {string} what.title
 * @param {(close: (value?: T) => void, dialog: HTMLDialogElement) => import("../dom.js").Child} what.body
 * @param {string} [what.kind] a class: "wide", "narrow", "side", "palette"
 * @param {boolean} [what.bare] no heading is shown; the title is still read out
 * @returns {Promise<T | undefined>} what `close` was called with, undefined when it was dismissed
 */
export function openDialog({ title, body, kind = "", bare = false }) {
  return new Promise((resolve) => {
    /** @type {T | undefined} */
    let result;
    const id = uid("dialog");
    const dialog = h("dialog", { class: `dialog ${kind}`, "aria-labelledby": bare ? undefined : id, "aria-label": bare ? title : undefined });
    const close = (/** @type {T} */ value = /** @type {any} */ (undefined)) => {
      result = value;
      dialog.close();
    };
    const head = bare ? null : h("header", {}, h("h2", { id }, title), h("button", { type: "button", class: "quiet icon-only", "aria-label": "Close", onclick: () => close() }, icon("close")));
    show(dialog, head, h("div", { class: "dialog-body" }, body(close, dialog)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    dialog.addEventListener("click", (/** @type {MouseEvent} */ event) => event.target === dialog && isOutside(dialog, event) && close());
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("[autofocus]")?.focus();
  });
}

/** @param {HTMLElement} dialog @param {MouseEvent} event */
function isOutside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

/**
 * Ask before something is done.
 * @param {object} what
 * @param {string} what.title a question
 * @param {import("../dom.js").Child} [what.body] what it will do, in words and numbers
 * @param {string} what.yes the verb on the button
 * @param {string} [what.no]
 * @param {boolean} [what.danger]
 * @param {string} [what.typed] a word that has to be typed first
 * @returns {Promise<boolean>}
 */
export async function confirm({ title, body, yes, no = "Cancel", danger = false, typed = "" }) {
  const answer = await openDialog({
    title,
    kind: "narrow",
    body: (close) => {
      const button = h("button", { class: danger ? "danger" : "primary", disabled: Boolean(typed), autofocus: !typed && !danger }, yes);
      const box = typed && h("label", { class: "field" }, h("span", {}, "Type ", h("b", {}, typed), " to go on"), h("input", { autofocus: true, autocomplete: "off", oninput: (/** @type {any} */ e) => (button.disabled = e.target.value !== typed) }));
      const form = h("form", { class: "stack", onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), close(true)) }, body, box, h("footer", { class: "actions" }, h("button", { type: "button", onclick: () => close(false), autofocus: danger && !typed }, no), button));
      return form;
    },
  });
  return answer === true;
}
