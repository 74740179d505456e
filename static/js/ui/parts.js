import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";

/**
 * The states of things: each has a shape and a word beside its colour.
 * @type {Record<string, [shape: string, word: string]>}
 */
const STATES = {
  enrolled: ["dot", "enrolled"],
  pending: ["ring", "waiting"],
  tokenExpired: ["cross", "token expired"],
  expiring: ["triangle", "expiring"],
  expired: ["cross", "expired"],
  disabled: ["dash", "disabled"],
  none: ["empty-ring", "no way in"],
  ok: ["dot", "ok"],
  active: ["dot", "active"],
  passed: ["dot", "passed"],
  refused: ["cross", "refused"],
  blocked: ["cross", "blocked"],
  revoked: ["cross", "revoked"],
  warning: ["triangle", "warning"],
  unverified: ["ring", "2 of 4, to be proved"],
  verified: ["dot", "verified"],
  off: ["dash", "off"],
  on: ["dot", "on"],
  warn: ["triangle", "look at it"],
  fail: ["cross", "broken"],
};

/** A state: shape, word, colour. @param {string} state one of STATES, else it is a word of its own @param {string} [word] instead of the usual one */
export function stateMark(state, word = "") {
  const [shape, usual] = STATES[state] || ["empty-ring", state];
  return h("span", { class: `state ${shape} state-${STATES[state] ? state : "none"}` }, h("span", { class: "shape", "aria-hidden": "true" }), word || usual);
}

/** Where nothing is: what it is for, and what to do first. @param {string} sign @param {string} title @param {import("../dom.js").Child} text @param {...import("../dom.js").Child} actions */
export function empty(sign, title, text, ...actions) {
  return h("div", { class: "empty" }, h("div", { class: "empty-sign" }, icon(sign)), h("h2", {}, title), h("p", {}, text), actions.length ? h("div", { class: "actions" }, actions) : null);
}

/** Something failed to load: never drawn as empty. @param {any} error @param {() => any} again @param {string} [what] */
export function failed(error, again, what = "This could not be loaded") {
  const id = error?.requestId ? h("small", {}, `${error.status} ${error.code} · request id ${error.requestId}`) : null;
  return h("div", { class: "failed", role: "alert" }, h("div", {}, icon("warning"), h("div", {}, h("b", {}, what), h("p", {}, error?.message || String(error)), id)), h("button", { type: "button", onclick: again }, icon("refresh"), "Try again"));
}

/** Bones of the layout that is to come; invisible for the first 150 ms. @param {number} lines */
export function bones(lines = 6) {
  return h("div", { class: "bones", "aria-hidden": "true" }, Array.from({ length: lines }, () => h("div")));
}

/** A link with a class. @param {string} href @param {...import("../dom.js").Child} children */
export function link(href, ...children) {
  return h("a", { href }, children);
}

/** Attributes, as chips that can be clicked. @param {string[] | null | undefined} values @param {(value: string) => string} [address] @param {number} [most] */
export function attributes(values, address, most = 99) {
  const all = values || [];
  if (!all.length) return h("span", { class: "none" }, "–");
  const shown = all.slice(0, most).map((v) => chip(v, address?.(v)));
  return h("span", { class: "chips" }, shown, all.length > most ? h("span", { class: "more", title: all.slice(most).join(" ") }, `+${all.length - most}`) : null);
}

/** One chip. Words get a "#" in front, references and "#all" keep their sign. @param {string} value @param {string} [address] */
export function chip(value, address) {
  const text = /^[#@]/.test(value) ? value : `#${value}`;
  return address ? h("a", { class: "chip", href: address, dir: "auto", title: text }, text) : h("span", { class: "chip", dir: "auto", title: text }, text);
}

/** A card with a heading. @param {string} title @param {import("../dom.js").Child} body @param {{actions?: import("../dom.js").Child, kind?: string, id?: string}} [more] */
export function card(title, body, { actions = null, kind = "" } = {}) {
  return h("section", { class: `card ${kind}` }, h("header", {}, h("h2", {}, title), actions), h("div", { class: "card-body" }, body));
}

/** The head of a page. @param {object} what @param {import("../dom.js").Child} what.title @param {import("../dom.js").Child} [what.sub] @param {import("../dom.js").Child} [what.actions] @param {import("../dom.js").Child} [what.above] */
export function pageHead({ title, sub = null, actions = null, above = null }) {
  return h("div", { class: "page-head" }, above, h("div", { class: "page-title" }, h("h1", { tabindex: "-1" }, typeof title === "string" ? name(title) : title), sub), actions ? h("div", { class: "actions" }, actions) : null);
}

/** Pairs of a name and a value. @param {[string, import("../dom.js").Child][]} pairs */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value))));
}

/**
 * Tabs within a page; the links are real, so that each has an address.
 * @param {{label: string, href: string, current?: boolean, count?: number}[]} items @param {string} label
 */
export function tabs(items, label) {
  const bar = h("nav", { class: "tabs", "aria-label": label }, items.map((t) => h("a", { href: t.href, "aria-current": t.current ? "page" : undefined }, t.label, t.count === undefined ? null : h("span", { class: "count" }, String(t.count)))));
  const current = bar.querySelector("[aria-current]");
  if (current) requestAnimationFrame(() => (bar.scrollLeft = current.offsetLeft - bar.offsetLeft - 24));
  return bar;
}

/**
 * Fill a place when its data comes: bones first, then the result, or what went wrong with a way to try again.
 * @template T
 * @param {() => Promise<T>} load @param {(data: T) => import("../dom.js").Child} draw @param {{lines?: number, what?: string}} [more]
 */
export function pending(load, draw, { lines = 4, what } = {}) {
  const place = h("div", { class: "pending", "aria-busy": "true" });
  async function run() {
    show(place, bones(lines));
    place.setAttribute("aria-busy", "true");
    try {
      show(place, draw(await load()));
    } catch (error) {
      show(place, failed(error, run, what));
    }
    place.setAttribute("aria-busy", "false");
  }
  run();
  return place;
}

/** A number with its word: "1 device", "1,204 devices". @param {number} count @param {string} one @param {string} [many] */
export function count(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
