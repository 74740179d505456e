import { h, show } from "../dom.js";
import { icon } from "../icons.js";

/**
 * A button that copies. It says so in its own place.
 * @param {() => string | Promise<string>} text @param {string} [label] without one, only the icon is shown @param {string} [what] for screen readers: "Copy the id"
 */
export function copyButton(text, label = "Copy", what = "") {
  const words = h("span", {}, label);
  const sign = h("span", { class: "sign" }, icon("copy"));
  const button = h("button", { type: "button", class: label ? "small" : "quiet icon-only small", "aria-label": what || undefined, onclick: copy }, sign, label ? words : null);
  async function copy() {
    await toClipboard(await text());
    show(sign, icon("check"));
    words.textContent = label ? "Copied" : "";
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      show(sign, icon("copy"));
      words.textContent = label;
      if (what) button.setAttribute("aria-label", what);
      else button.removeAttribute("aria-label");
    }, 1600);
  }
  return button;
}

/** @param {string} text */
export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No permission: an old way that needs none.
    const box = h("textarea", { class: "hidden", value: text, "aria-hidden": "true" });
    (document.querySelector("dialog[open]") || document.body).append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
}

/** A text that can be copied: ids, fingerprints, addresses. @param {unknown} text @param {string} [what] */
export function code(text, what = "Copy") {
  return h("span", { class: "code" }, h("code", { dir: "auto" }, String(text)), copyButton(() => String(text), "", what));
}
