import { h, show, uid } from "../dom.js";
import { place } from "./menu.js";

/**
 * @typedef {{value: string, label?: string, note?: string, more?: any}} Suggestion
 *
 * Suggestions below an input (WAI-ARIA combobox with a list): arrow keys choose, Enter or Tab takes, Escape closes.
 * @param {HTMLInputElement | HTMLTextAreaElement} input
 * @param {object} how
 * @param {() => Suggestion[] | Promise<Suggestion[]>} how.get what fits what is typed now
 * @param {(chosen: Suggestion) => void} how.pick
 * @param {string} how.label of the list, for screen readers
 * @param {boolean} [how.first] the first one is chosen at once
 * @returns {{element: HTMLElement, refresh: () => void, close: () => void}} `element` belongs beside the input
 */
export function suggest(input, { get, pick, label, first = false }) {
  const id = uid("list");
  const list = h("div", { id, class: "suggestions", role: "listbox", "aria-label": label, popover: "manual" });
  /** @type {Suggestion[]} */
  let items = [];
  let chosen = -1;
  let asked = 0;
  for (const [k, v] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false" })) input.setAttribute(k, v);

  async function refresh() {
    const turn = ++asked;
    const found = await get();
    if (turn !== asked || document.activeElement !== input) return;
    items = found;
    if (!items.length) return close();
    show(list, items.map((s, i) => h("div", { id: `${id}-${i}`, role: "option", class: "item", "aria-selected": "false", onpointerdown: (/** @type {Event} */ e) => (e.preventDefault(), take(i)) }, h("bdi", {}, s.label || s.value), s.note ? h("small", {}, s.note) : null)));
    list.style.minWidth = `${Math.min(input.offsetWidth, 360)}px`;
    if (!list.matches(":popover-open")) list.showPopover();
    place(list, input);
    input.setAttribute("aria-expanded", "true");
    choose(first ? 0 : -1);
  }
  function close() {
    asked += 1;
    items = [];
    choose(-1);
    if (list.matches(":popover-open")) list.hidePopover();
    input.setAttribute("aria-expanded", "false");
  }
  /** @param {number} index */
  function choose(index) {
    list.children[chosen]?.setAttribute("aria-selected", "false");
    chosen = index;
    const option = list.children[chosen];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
  }
  /** @param {number} index */
  function take(index) {
    const item = items[index];
    close();
    if (item) pick(item);
  }
  input.addEventListener("keydown", (/** @type {any} */ event) => {
    if (event.isComposing) return;
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !items.length && !event.shiftKey && input.tagName === "INPUT") {
      event.preventDefault();
      refresh();
    } else if (!items.length) return;
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose((chosen + (event.key === "ArrowDown" ? 1 : items.length - (chosen < 0 ? 0 : 1))) % items.length);
    } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) {
      event.preventDefault();
      event.stopImmediatePropagation();
      take(chosen);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopImmediatePropagation();
      close();
    }
  });
  input.addEventListener("input", refresh);
  input.addEventListener("blur", close);
  return { element: list, refresh, close };
}
