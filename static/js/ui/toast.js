/**
 * Short messages. Good news goes by itself, bad news stays until it is dismissed, and all of it is kept in a list that opens from
 * the bell.
 * @typedef {{kind: "good" | "bad" | "info", text: string, detail: string, at: string, action?: {label: string, run: () => any}}} Message
 */
import { ApiError } from "../api.js";
import { h, name } from "../dom.js";
import { icon } from "../icons.js";
import { time } from "../time.js";
import { openDialog } from "./dialog.js";
import { empty } from "./parts.js";
import { copyButton } from "./copy.js";

const KEPT = 100;
const SHOWN_MS = 6000;

/** @type {Message[]} */
const history = [];
let unread = 0;
/** @type {Set<(unread: number) => void>} */
const watchers = new Set();
const stack = h("div", { class: "toasts", role: "region", "aria-label": "Messages" });
const polite = h("div", { class: "hidden", role: "status" });
const urgent = h("div", { class: "hidden", role: "alert" });

/** Put the places for messages on the page. @param {Element} parent */
export function installToasts(parent) {
  parent.append(stack, polite, urgent);
}

/** @param {(unread: number) => void} fn */
export function watchUnread(fn) {
  watchers.add(fn);
}

/** @param {number} count */
function setUnread(count) {
  unread = count;
  for (const watcher of watchers) watcher(unread);
}

/** Say something only to screen readers. @param {string} text */
export function announce(text) {
  polite.textContent = "";
  requestAnimationFrame(() => (polite.textContent = text));
}

/** @param {Message["kind"]} kind @param {string} text @param {{detail?: string, action?: Message["action"], ms?: number}} [more] */
function tell(kind, text, { detail = "", action, ms = SHOWN_MS } = {}) {
  const message = { kind, text, detail, at: new Date().toISOString(), action };
  history.unshift(message);
  history.length = Math.min(history.length, KEPT);
  (kind === "bad" ? urgent : polite).textContent = text;
  const card = h("div", { class: `toast ${kind}` }, icon(kind === "bad" ? "warning" : kind === "good" ? "check" : "bell"), h("div", {}, name(text, "toast-text"), detail && detailOf(detail)));
  const close = () => card.remove();
  if (action) card.append(h("button", { type: "button", onclick: () => (close(), action.run()) }, action.label));
  card.append(h("button", { type: "button", class: "quiet icon-only", "aria-label": "Dismiss", onclick: close }, icon("close")));
  stack.append(card);
  if (kind === "bad") setUnread(unread + 1);
  else leaveIn(card, action ? Math.max(ms, 10_000) : ms);
}

/**
 * Something happens soon, unless it is called off. Gives the function that takes the card away.
 * @param {string} text @param {{label: string, run: () => any}} action @param {number} ms how long, drawn as a line that runs out
 */
export function waiting(text, action, ms) {
  polite.textContent = `${text} ${action.label} calls it off.`;
  const rest = h("div", { class: "rest", "aria-hidden": "true" });
  rest.style.setProperty("--ms", `${ms}ms`);
  const card = h("div", { class: "toast info waiting" }, icon("trash"), h("div", {}, name(text, "toast-text")), h("button", { type: "button", onclick: action.run }, action.label), rest);
  stack.append(card);
  return () => card.remove();
}

/** Take a card away after a while in which nobody looked at it. @param {HTMLElement} card @param {number} ms */
function leaveIn(card, ms) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const begin = () => (timer = setTimeout(() => card.remove(), ms));
  for (const event of ["pointerenter", "focusin"]) card.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) card.addEventListener(event, begin);
  begin();
}

/** @param {string} detail */
function detailOf(detail) {
  return h("details", {}, h("summary", {}, "Details"), h("pre", { tabindex: "0" }, detail), copyButton(() => detail));
}

/** @param {string} text @param {{detail?: string, action?: Message["action"], ms?: number}} [more] */
export const good = (text, more) => tell("good", text, more);
/** @param {string} text @param {{detail?: string, action?: Message["action"]}} [more] */
export const info = (text, more) => tell("info", text, more);

/** Say what went wrong. @param {any} error @param {string} [doing] what was being done, as in "Deleting box-1" */
export function bad(error, doing = "") {
  if (error?.name === "AbortError") return;
  tell("bad", doing ? `${doing}: ${error.message}` : error.message, { detail: technical(error) });
}

/** What a support person asks for: code, field, request id. @param {any} error */
export function technical(error) {
  if (!(error instanceof ApiError)) return "";
  const lines = [`${error.status} ${error.code}`, error.title, error.field && `field: ${error.field}`, error.requestId && `request id: ${error.requestId}`, `${error.request.method} ${error.request.path}`];
  return lines.filter(Boolean).join("\n");
}

/** The list behind the bell. */
export function openHistory() {
  setUnread(0);
  openDialog({
    title: "Messages",
    kind: "side",
    body: () =>
      history.length
        ? h("ul", { class: "messages" }, history.map((m) => h("li", { class: m.kind }, icon(m.kind === "bad" ? "warning" : "check"), h("div", {}, name(m.text, "toast-text"), h("small", {}, time(m.at)), m.detail && detailOf(m.detail)))))
        : empty("bell", "Nothing yet", "What this console did, and what went wrong, is kept here until the tab is closed."),
  });
}
