import { h, uid } from "../dom.js";
import { icon } from "../icons.js";

/**
 * @typedef {{label: string, run?: () => any, href?: string, icon?: string, danger?: boolean, checked?: boolean, note?: import("../dom.js").Child} | null | false | undefined} Item
 *   null and false are left out
 */

/**
 * A button with a menu: opens below it, closes by Escape or a click elsewhere, arrow keys walk through it.
 * @param {object} what
 * @param {import("../dom.js").Child} what.label what is on the button
 * @param {() => Item[] | Promise<Item[]>} what.items asked for each time it opens
 * @param {string} [what.aria] its name, when the label is only an icon
 * @param {string} [what.class]
 */
export function menuButton({ label, items, aria, class: className = "" }) {
  const id = uid("menu");
  const list = h("div", { id, class: "menu", role: "menu", popover: "auto" });
  const button = h("button", { type: "button", class: className, "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": aria, onkeydown: keys }, label);
  button.popoverTargetElement = list;
  async function fill() {
    list.replaceChildren(...(await items()).filter(Boolean).map((item) => entry(/** @type {any} */ (item), list)));
    place(list, button);
    list.querySelector("[role^=menuitem]")?.focus();
  }
  /** @param {KeyboardEvent} event */
  function keys(event) {
    if (event.key !== "ArrowDown" || list.matches(":popover-open")) return;
    event.preventDefault();
    list.showPopover();
  }
  list.addEventListener("toggle", (/** @type {any} */ event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "open") fill();
    else if (list.contains(document.activeElement)) button.focus();
  });
  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => walk(event, list));
  return h("span", { class: "menu-place" }, button, list);
}

/** @param {NonNullable<Exclude<Item, false>>} item @param {any} list */
function entry(item, list) {
  const inner = [item.icon ? icon(item.icon) : h("span", { class: "icon" }), h("span", {}, item.label), item.note ? h("small", {}, item.note) : null];
  const role = item.checked === undefined ? "menuitem" : "menuitemradio";
  const props = { role, tabindex: "-1", class: item.danger ? "item danger" : "item", "aria-checked": item.checked === undefined ? undefined : String(item.checked) };
  const done = () => list.hidePopover();
  if (item.href) return h("a", { ...props, href: item.href, onclick: done }, inner);
  return h("button", { ...props, type: "button", onclick: () => (done(), item.run?.()) }, inner);
}

/** Put something that floats below a button, inside the window. @param {HTMLElement} floating @param {HTMLElement} anchor */
export function place(floating, anchor) {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = floating;
  const below = at.bottom + 4 + height <= innerHeight || at.top < height + 8;
  floating.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  floating.style.top = `${below ? at.bottom + 4 : at.top - height - 4}px`;
}

/** @param {KeyboardEvent} event @param {HTMLElement} list */
function walk(event, list) {
  const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role^=menuitem]")]);
  const here = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const steps = /** @type {Record<string, number>} */ ({ ArrowDown: here + 1, ArrowUp: here - 1 + all.length, Home: 0, End: all.length - 1 });
  if (event.key === "Tab") return /** @type {any} */ (list).hidePopover();
  if (!(event.key in steps)) {
    const found = event.key.length === 1 && all.find((item) => item.textContent?.trim().toLowerCase().startsWith(event.key.toLowerCase()));
    if (found) found.focus();
    return;
  }
  event.preventDefault();
  all[steps[event.key] % all.length]?.focus();
}
