/**
 * The table of a list: sorting, selection, rows that are changed in place. On a phone the same rows are cards, which is why the roles
 * are written out: `display` takes them from the elements.
 * @typedef {import("../entities.js").Entity} Entity
 */
import { h, name, show } from "../dom.js";
import { titleOf } from "../entities.js";
import { icon } from "../icons.js";
import { isGoing } from "../removing.js";
import { menuButton } from "./menu.js";
import { cell } from "./values.js";

/**
 * @param {object} how
 * @param {Entity} how.of
 * @param {string} how.sort "name desc"
 * @param {(sort: string) => void} how.onSort
 * @param {Map<string, any> | null} how.selected rows by id; null where nothing can be selected
 * @param {() => void} [how.onSelect]
 * @param {(row: any) => import("./menu.js").Item[] | Promise<import("./menu.js").Item[]>} how.menu
 * @param {(row: any) => import("../dom.js").Child} [how.extra] a column at the end
 */
export function rowTable({ of, sort, onSort, selected, onSelect = () => {}, menu, extra }) {
  const body = h("tbody", { role: "rowgroup" });
  const everything = selected && h("input", { type: "checkbox", "aria-label": "Select all rows of this page", onchange: () => (pick(rows, everything.checked), onSelect()) });
  /** @type {any[]} */
  let rows = [];
  /** @type {Map<string, HTMLElement>} */
  const lines = new Map();
  let last = -1;
  const heads = h("tr", { role: "row" }, selected && h("th", { class: "check", role: "columnheader" }, everything), of.columns.map((c) => head(c)), h("th", { class: "end", role: "columnheader" }, h("span", { class: "hidden" }, "Actions")));
  const table = h("table", { role: "table", class: "rows" }, h("thead", { role: "rowgroup" }, heads), body);

  /** @param {import("../entities.js").Column} c */
  function head(c) {
    const key = c.sort === undefined ? c.name : c.sort;
    const [by, direction] = sort.split(" ");
    const isSorted = Boolean(key) && key === by;
    const aria = isSorted ? (direction === "desc" ? "descending" : "ascending") : undefined;
    const inner = key ? h("button", { type: "button", onclick: () => onSort(isSorted && direction !== "desc" ? `${key} desc` : String(key)) }, c.label, isSorted ? icon(direction === "desc" ? "down" : "up") : null) : c.label;
    return h("th", { scope: "col", role: "columnheader", "aria-sort": aria, class: `k-${c.kind || "text"}${c.wide ? " wide" : ""}` }, inner);
  }
  /** @param {any} row @param {number} index */
  function line(row, index) {
    const title = titleOf(of, row);
    const box = selected && h("input", { type: "checkbox", "aria-label": `Select ${title}`, checked: selected.has(row.id), onclick: (/** @type {MouseEvent} */ e) => choose(row, index, e) });
    const actions = menuButton({ label: icon("more"), aria: `Actions for ${title}`, class: "quiet icon-only", items: () => menu(row) });
    return h(
      "tr",
      { role: "row", data: { id: row.id }, class: selected?.has(row.id) ? "selected" : "" },
      box && h("td", { role: "cell", class: "check" }, box),
      of.columns.map((c) => h("td", { role: "cell", class: `k-${c.kind || "text"}${c.wide ? " wide" : ""}`, data: { label: c.label } }, cell(of, c, row))),
      h("td", { role: "cell", class: "end" }, extra?.(row), actions),
    );
  }
  /** @param {any} row @param {number} index @param {MouseEvent} event */
  function choose(row, index, event) {
    const isOn = /** @type {HTMLInputElement} */ (event.target).checked;
    const range = event.shiftKey && last >= 0 ? rows.slice(Math.min(last, index), Math.max(last, index) + 1) : [row];
    pick(range, isOn);
    last = index;
    onSelect();
  }
  /** @param {any[]} which @param {boolean} isOn */
  function pick(which, isOn) {
    for (const row of which) isOn ? selected?.set(row.id, row) : selected?.delete(row.id);
    mark();
  }
  function mark() {
    for (const [id, tr] of lines) {
      const isOn = selected?.has(id) || false;
      tr.classList.toggle("selected", isOn);
      tr.classList.toggle("going", isGoing(of, id));
      const box = /** @type {HTMLInputElement | null} */ (tr.querySelector(".check input"));
      if (box) box.checked = isOn;
    }
    const count = rows.filter((r) => selected?.has(r.id)).length;
    if (everything) {
      everything.checked = count > 0 && count === rows.length;
      everything.indeterminate = count > 0 && count < rows.length;
    }
  }
  return {
    element: h("div", { class: "table-place", role: "region", "aria-label": `List of ${of.many}`, tabindex: "0" }, table),
    mark,
    /** Show these rows. @param {any[]} given */
    fill(given) {
      rows = given;
      lines.clear();
      const made = rows.map((row, i) => {
        const tr = line(row, i);
        lines.set(row.id, tr);
        return tr;
      });
      show(body, made);
      mark();
    },
    /** Put more below. @param {any[]} given */
    add(given) {
      const fresh = given.filter((row) => !lines.has(row.id));
      body.append(...fresh.map((row, i) => {
        const tr = line(row, rows.length + i);
        lines.set(row.id, tr);
        return tr;
      }));
      rows = [...rows, ...fresh];
      mark();
    },
    /** Take changes over in place; what changed glows once. @param {any[]} given @returns {number} how many rows changed */
    update(given) {
      let changed = 0;
      for (const row of given) {
        const index = rows.findIndex((r) => r.id === row.id);
        const old = lines.get(row.id);
        if (!old || JSON.stringify(rows[index]) === JSON.stringify(row)) continue;
        const hadFocus = old.contains(document.activeElement);
        const tr = line(row, index);
        tr.classList.add("glow");
        old.replaceWith(tr);
        lines.set(row.id, tr);
        rows[index] = row;
        if (hadFocus) tr.querySelector("a, button, input")?.focus();
        changed += 1;
      }
      mark();
      return changed;
    },
    /** Dim rows that are gone. @param {Set<string>} ids those that still are */
    fade(ids) {
      for (const [id, tr] of lines) tr.classList.toggle("gone", !ids.has(id));
    },
    /** Turn the selection of a row over. @param {string} id */
    toggle(id) {
      const row = rows.find((r) => r.id === id);
      if (row) pick([row], !selected?.has(id));
      onSelect();
    },
    rows: () => rows,
  };
}

/** The name of an item in a sentence. @param {Entity} of @param {any} row */
export const inWords = (of, row) => name(titleOf(of, row), "quoted");
