/**
 * Making elements. Text becomes text nodes and nothing is ever parsed as HTML, so that a hostile name is only a name.
 * @typedef {Node | string | number | boolean | null | undefined | any[]} Child
 */

const AS_ATTRIBUTES = new Set(["for", "list", "form", "role", "popover", "colspan", "part", "inputmode", "is"]);

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, any>} [props] names starting with "on" are listeners, "data" is a map of data attributes, "class" a class
 *   name; null, undefined and false are left out; what the element has as a property is set as one
 * @param {...Child} children null, undefined and booleans are left out
 * @returns {any} typed loosely: callers know what they asked for
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** @param {any} element @param {string} name @param {any} value */
function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name === "class") element.className = value;
  else if (!name.includes("-") && !AS_ATTRIBUTES.has(name) && name in element) element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** @param {Child[]} children @returns {(Node | string)[]} */
export function nodes(children) {
  return children.flat(Infinity).filter((c) => c !== null && c !== undefined && typeof c !== "boolean").map((c) => (c instanceof Node ? c : String(c)));
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an SVG element; all props are attributes.
 * @param {string} tag @param {Record<string, any>} [props] @param {...Child} children
 */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  element.append(...nodes(children));
  return element;
}

/** Put new children in place of the old ones. @param {Element} parent @param {...Child} children */
export function show(parent, ...children) {
  parent.replaceChildren(...nodes(children));
}

/** @param {Element} place */
export const hasOpenMenu = (place) => place.querySelector(":popover-open") !== null;

/** Whether somebody is in the middle of something there: a menu is open, or a field has the focus. @param {Element} place */
export const inUse = (place) => hasOpenMenu(place) || (place.contains(document.activeElement) && document.activeElement?.matches("input, select, textarea") === true);

/** Put new children in place of the old ones because something became known: what had the focus has it again. @param {Element} parent @param {...Child} children */
export function redraw(parent, ...children) {
  const had = parent.contains(document.activeElement) ? document.activeElement : null;
  const alike = () => [...parent.querySelectorAll(had?.tagName || "a")].filter((e) => called(e) === called(/** @type {Element} */ (had)));
  const number = had ? alike().indexOf(had) : -1;
  show(parent, ...children);
  if (had) /** @type {HTMLElement | undefined} */ (alike()[number])?.focus({ preventScroll: true });
}

/** What an element is called. @param {Element} element */
const called = (element) => element.getAttribute("aria-label") || element.textContent;

/** A name that came from somebody: isolated, so that right-to-left marks in it stop at its end. @param {unknown} text @param {string} [className] */
export function name(text, className = "name") {
  return h("bdi", { class: className, title: String(text) }, String(text));
}

let last = 0;
/** An id for ARIA references. @param {string} [word] */
export function uid(word = "u") {
  last += 1;
  return `${word}-${last}`;
}

/** Wait so long before calling, and only for the last of several calls. @template {any[]} A @param {number} ms @param {(...args: A) => void} fn */
export function debounced(ms, fn) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return /** @param {A} args */ (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => fn(...args), ms);
  };
}
