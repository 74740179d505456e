/**
 * Keys. Single keys work only outside of fields and can be switched off (WCAG 2.1.4); combinations always work. What a page offers
 * is in `page.commands`; what is always there, in `globals`.
 */
import { currentPage } from "./router.js";
import { recall, remember } from "./store.js";

/** @typedef {import("./router.js").Command} Command */

/** @type {Command[]} */
const globals = [];
let prefix = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Offer something everywhere. @param {...Command} commands `key` e.g. "?", "g d", "Ctrl+K" */
export function offer(...commands) {
  globals.push(...commands);
}

/** Everything that can be done right now. @returns {Command[]} */
export const allCommands = () => [...(currentPage()?.commands || []), ...globals];

export const singleKeys = () => recall("singleKeys", true);
/** @param {boolean} on */
export const setSingleKeys = (on) => remember("singleKeys", on);

/** @param {Element | null} element */
function isField(element) {
  return element instanceof HTMLElement && (element.isContentEditable || /^(input|textarea|select)$/i.test(element.tagName)) && !["checkbox", "radio", "button"].includes(/** @type {any} */ (element).type);
}

/** @param {KeyboardEvent} event */
function combination(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  parts.push(event.key.length === 1 && parts.length ? event.key.toUpperCase() : event.key);
  return parts.join("+");
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.defaultPrevented || event.isComposing) return;
  const key = combination(event);
  const isSingle = !key.includes("Ctrl+") && !key.includes("Alt+");
  if (isSingle && (isField(document.activeElement) || !singleKeys() || document.querySelector("dialog[open]"))) return;
  const typed = isSingle && prefix ? `${prefix} ${key}` : key;
  clearTimeout(timer);
  prefix = "";
  const command = allCommands().find((c) => c.key === typed);
  if (command) {
    event.preventDefault();
    command.run();
  } else if (isSingle && allCommands().some((c) => c.key?.startsWith(`${key} `))) {
    prefix = key;
    timer = setTimeout(() => (prefix = ""), 1200);
  }
}

export function startKeys() {
  document.addEventListener("keydown", pressed);
}
