/**
 * The list of any entity. What it shows is in its address: filter, sort, page size, offset.
 * @typedef {import("../entities.js").Entity} Entity
 */
import { behind, listCall, listRows, removeCall } from "../data.js";
import { debounced, h, show } from "../dom.js";
import { toFilter } from "../filter.js";
import { icon } from "../icons.js";
import { listen } from "../live.js";
import { capital, listTitle, placeTabs } from "../places.js";
import { isGoing, keep, watchRemovals } from "../removing.js";
import { go, href } from "../router.js";
import { inDays } from "../time.js";
import { dropView, recall, remember, saveView, savedViews } from "../store.js";
import { removeItem, runAction } from "../actions.js";
import { bulkActions, runBulk } from "../ui/bulk.js";
import { copyAs, copyItems } from "../ui/copyas.js";
import { openDialog } from "../ui/dialog.js";
import { exportMenu } from "../ui/export.js";
import { filterBox } from "../ui/filterbox.js";
import { menuButton } from "../ui/menu.js";
import { bones, count, empty, failed, pageHead } from "../ui/parts.js";
import { rowTable } from "../ui/table.js";
import { announce, bad, good } from "../ui/toast.js";
import { tokenItems } from "../ui/tokenacts.js";
import "../ui/tokenbulk.js";

const SIZES = [25, 50, 100, 500];

/** @param {import("../router.js").Page} page */
export function listView(page) {
  /** @type {Entity} */
  const of = page.given.entity;
  const wanted = readAddress(page, of);
  /** @type {Map<string, any>} */
  const selected = new Map();
  const place = h("div", { class: "list-place", "aria-busy": "true" }, bones(8));
  const total = h("span", { class: "soft", role: "status" });
  const foot = h("div", { class: "pager" });
  const bar = h("div", { class: "bulk-bar", hidden: true, role: "region", "aria-label": "Selected" });
  const pill = h("button", { type: "button", class: "pill", hidden: true, onclick: () => load() });
  /** @type {ReturnType<typeof rowTable> | null} */
  let table = null;
  let running = new AbortController();
  let known = 0;

  const box = filterBox({ of, value: wanted.filter, apply: (typed) => change({ filter: typed, offset: 0 }) });
  const views = menuButton({ label: [icon("star"), h("span", { class: "wide-only" }, "Views")], aria: "Views", class: "quiet", items: () => viewItems(page, of, wanted, (query) => go(`/${of.key}`, Object.fromEntries(new URLSearchParams(query)))) });
  // What was applied; what is being typed means nothing yet.
  const query = () => ({ ...wanted, filter: box.meant(wanted.filter) });
  const call = () => listCall(of, query());
  const create = of.verbs.includes("c") ? h("a", { class: "button", href: href(`/${of.key}/new`) }, icon("plus"), capital(`new ${of.one}`)) : null;

  /** @param {Partial<typeof wanted>} values */
  function change(values) {
    Object.assign(wanted, values);
    page.setQuery({ filter: wanted.filter, sort: wanted.sort === (of.sort || "") ? "" : wanted.sort, limit: wanted.limit === usualSize() ? "" : wanted.limit, offset: wanted.offset || "" });
    load();
  }
  async function load() {
    running.abort();
    running = new AbortController();
    pill.hidden = true;
    place.setAttribute("aria-busy", "true");
    const slow = setTimeout(() => !table && show(place, bones(8)), 0);
    try {
      const found = await listRows(of, query(), { signal: running.signal });
      if (page.isOpen) draw(found);
    } catch (error) {
      if (page.isOpen) fail(error);
    } finally {
      clearTimeout(slow);
      place.setAttribute("aria-busy", "false");
    }
  }
  /** @param {import("../data.js").PageOfRows} found */
  function draw(found) {
    known = found.total;
    box.setFields(found.fields);
    total.textContent = count(found.total, of.one, of.many);
    if (!found.rows.length) {
      table = null;
      show(place, wanted.filter || wanted.offset ? nothingFits() : nothingYet());
    } else {
      table = makeTable();
      table.fill(found.rows);
      show(place, table.element);
    }
    show(foot, found.total ? pager(found) : null);
    announce(`${found.total} ${of.many}`);
  }
  function makeTable() {
    return rowTable({ of, sort: wanted.sort, onSort: (sort) => change({ sort, offset: 0 }), selected: bulkActions(of).length ? selected : null, onSelect: drawBar, menu: rowMenu });
  }
  /** @param {any} error */
  function fail(error) {
    if (error.name === "AbortError" || box.fail(error)) return;
    table = null;
    total.textContent = "";
    show(foot);
    if (error.status === 404) show(place, empty(of.icon, `No ${of.many} here`, `This controller does not have ${of.many}. A newer one may.`));
    else show(place, failed(error, load, `The ${of.many} could not be loaded`));
  }
  const nothingYet = () => empty(of.icon, `No ${of.many} yet`, of.about, of.verbs.includes("c") ? h("a", { class: "button primary", href: href(`/${of.key}/new`) }, icon("plus"), capital(`new ${of.one}`)) : null);
  const nothingFits = () => empty("filter", "Nothing fits", "No " + of.one + " is like that. The filter is kept, so that it can be changed.", h("button", { type: "button", onclick: () => (box.set(""), change({ filter: "", offset: 0 })) }, "Show all"));

  /** @param {any} row @returns {Promise<import("../ui/menu.js").Item[]>} */
  async function rowMenu(row) {
    if (isGoing(of, row.id)) return [{ label: "Keep it", icon: "refresh", run: () => keep(of, row.id) }];
    return [
      of.verbs.includes("u") ? { label: "Edit", icon: "edit", href: href(`/${of.key}/${encodeURIComponent(row.id)}/edit`) } : null,
      ...(await tokenItems(of, row, load)),
      ...(of.actions || []).filter((a) => !a.when || a.when(row)).map((a) => ({ label: a.label, icon: a.icon, danger: a.danger, run: async () => (await runAction(of, a, row)) && load() })),
      ...(of.verbs.includes("d") ? copyItems(() => removeCall(of, row.id)).slice(0, 1).map((i) => i && { ...i, label: "Copy its deletion as curl" }) : []),
      of.verbs.includes("d") ? { label: "Delete …", icon: "trash", danger: true, run: async () => (await removeItem(of, row)) && load() } : null,
    ];
  }
  function drawBar() {
    bar.hidden = selected.size === 0;
    if (!selected.size) return show(bar);
    const all = table && selected.size >= table.rows().length && selected.size < known ? h("button", { type: "button", class: "linkish", onclick: selectAll }, `Select all ${known.toLocaleString("en")}`) : null;
    const buttons = bulkActions(of).map((a) => h("button", { type: "button", class: a.danger ? "danger-quiet" : "", onclick: () => perform(a) }, icon(a.icon || "more"), a.label));
    show(bar, h("span", { role: "status" }, h("b", {}, selected.size.toLocaleString("en")), " selected"), all, h("span", { class: "actions" }, buttons), h("button", { type: "button", class: "quiet icon-only", "aria-label": "Select none", onclick: unselect }, icon("close")));
  }
  function unselect() {
    selected.clear();
    table?.mark();
    drawBar();
  }
  async function selectAll() {
    for (const button of bar.querySelectorAll("button")) button.disabled = true;
    try {
      for (let offset = 0; offset < known && page.isOpen; offset += 500) {
        const { rows } = await listRows(of, { ...query(), limit: 500, offset });
        for (const row of rows) selected.set(row.id, row);
        if (!rows.length) break;
      }
    } catch (error) {
      bad(error, "Selecting all");
    }
    table?.mark();
    drawBar();
  }
  /** @param {import("../ui/bulk.js").BulkAction} action */
  async function perform(action) {
    if (!(await runBulk(action, [...selected.values()], of))) return;
    if (action.danger) selected.clear();
    await load();
    for (const row of table?.rows() || []) if (selected.has(row.id)) selected.set(row.id, row);
    drawBar();
  }
  /** @param {import("../data.js").PageOfRows} found */
  function pager({ offset, rows, total: all }) {
    const sizes = h("select", { "aria-label": "Rows on a page", onchange: () => resize(Number(sizes.value)) }, [...new Set([...SIZES, wanted.limit])].sort((a, b) => a - b).map((n) => h("option", { value: n, selected: n === wanted.limit }, `${n} rows`)));
    const turn = (/** @type {number} */ to, /** @type {string} */ label, /** @type {string} */ sign, /** @type {boolean} */ isOff) => h("button", { type: "button", class: "icon-only", "aria-label": label, disabled: isOff, onclick: () => change({ offset: to }) }, icon(sign));
    const held = table?.rows().length || rows.length;
    const more = offset + held < all ? h("button", { type: "button", onclick: () => loadMore(all, more) }, "Load more") : null;
    return [h("span", { class: "soft" }, `${(offset + 1).toLocaleString("en")}–${(offset + held).toLocaleString("en")} of ${all.toLocaleString("en")}`), h("span", { class: "actions" }, more, sizes, turn(Math.max(0, offset - wanted.limit), "Previous page", "left", offset === 0), turn(offset + held, "Next page", "right", offset + held >= all))];
  }
  /** Rows behind the last one, below the others. @param {number} all @param {any} button */
  async function loadMore(all, button) {
    const held = table?.rows() || [];
    const now = query();
    button.disabled = true;
    try {
      const found = await listRows(of, behind(of, now, held.at(-1)) || { ...now, offset: wanted.offset + held.length }, { signal: running.signal });
      if (!page.isOpen || !table) return;
      const first = held.length;
      table.add(found.rows);
      const still = wanted.offset + first + found.total;
      show(foot, pager({ rows: held, total: found.offset ? found.total : still, offset: wanted.offset, limit: wanted.limit, fields: [] }));
      announce(`${found.rows.length} more`);
      /** @type {HTMLElement | undefined} */ ([...document.querySelectorAll("table.rows tbody tr")][first]?.querySelector(".main-link"))?.focus({ preventScroll: true });
    } catch (error) {
      fail(error);
    }
  }
  /** @param {number} limit */
  function resize(limit) {
    remember("pageSize", limit);
    change({ limit, offset: Math.floor(wanted.offset / limit) * limit });
  }

  /** Look again without disturbing: rows change in place, new ones wait behind a pill. */
  const refresh = debounced(400, async () => {
    if (!page.isOpen || place.getAttribute("aria-busy") === "true" || document.hidden) return;
    const shown = table?.rows().length || 0;
    const limit = Math.max(wanted.limit, Math.min(shown, 500));
    const found = await listRows(of, { ...query(), limit }, { signal: running.signal, quiet: true }).catch(() => null);
    if (!found || !page.isOpen) return;
    if (!table) return found.rows.length ? draw(found) : undefined;
    const held = new Set(table.rows().map((r) => r.id));
    const fresh = found.rows.filter((r) => !held.has(r.id)).length;
    table.update(found.rows);
    if (held.size <= limit && (found.total <= known - 1 || found.rows.length < held.size)) table.fade(new Set(found.rows.map((r) => r.id)));
    const more = Math.max(fresh && found.total > known ? found.total - known : 0, 0);
    pill.hidden = !fresh;
    show(pill, icon("refresh"), more ? `${more} new` : "The list has changed");
    total.textContent = count(found.total, of.one, of.many);
  });
  page.onLeave(listen((news) => {
    const path = news.data?.entity === "routers" ? "edge-routers" : news.data?.entity;
    if (news.topic === "poll" || path === of.path || news.topic === of.key || (of.key === "audit" && news.topic === "changes")) refresh();
  }));
  page.onLeave(watchRemovals(() => page.isOpen && (table?.mark(), refresh())));
  page.onLeave(() => running.abort());
  offerKeys(page, of, { load, focus: () => box.input.focus(), toggle: (id) => table?.toggle(id) });
  load();

  return h(
    "div",
    { class: "list-page" },
    placeTabs(of.place, `/${of.key}`),
    pageHead({ title: listTitle(of), sub: total, actions: [views, copyAs(call, { what: "this list" }), of.place === "activity" ? exportMenu(of, query) : null, h("button", { type: "button", class: "quiet icon-only", "aria-label": "Look again", onclick: load }, icon("refresh")), create] }),
    h("div", { class: "list-tools" }, box.element, box.chips),
    bar,
    h("div", { class: "pill-place" }, pill),
    place,
    foot,
  );
}

const usualSize = () => recall("pageSize", 50);

/** @param {import("../router.js").Page} page @param {Entity} of */
function readAddress(page, of) {
  const number = (/** @type {string} */ name, /** @type {number} */ otherwise) => {
    const found = Number(page.query.get(name));
    return Number.isInteger(found) && found > 0 ? found : otherwise;
  };
  return { filter: page.query.get("filter") || "", sort: page.query.get("sort") ?? (of.sort || ""), limit: Math.min(500, number("limit", usualSize())), offset: number("offset", 0) };
}

/** @param {import("../router.js").Page} page @param {Entity} of @param {{filter: string, sort: string}} wanted @param {(query: string) => void} visit @returns {import("../ui/menu.js").Item[]} */
function viewItems(page, of, wanted, visit) {
  const entry = (/** @type {string} */ label, /** @type {string} */ sign, /** @type {string} */ query) => ({ label, icon: sign, note: howMany(of, query), run: () => visit(query) });
  const given = (of.views || []).map((v) => entry(v.name, "filter", new URLSearchParams({ filter: v.filter.replace("{in30days}", inDays(30)), ...(v.sort ? { sort: v.sort } : {}) }).toString()));
  const own = savedViews(of.key).map((v) => entry(v.name, "star", v.query));
  return [
    { label: `All ${of.many}`, icon: of.icon, run: () => visit("") },
    ...given,
    ...own,
    { label: "Save this view …", icon: "plus", run: () => keepView(of, page) },
    own.length ? { label: "Forget a view …", icon: "trash", run: () => forgetView(of) } : null,
  ];
}

/** How many a view holds; comes when it is known. @param {Entity} of @param {string} query */
function howMany(of, query) {
  const number = h("span", {});
  const typed = new URLSearchParams(query).get("filter") || "";
  const filter = typed && toFilter(typed, [], of.search || "name");
  listRows(of, { filter, limit: 1 }, { quiet: true }).then((found) => (number.textContent = found.total.toLocaleString("en")), () => {});
  return number;
}

/** @param {Entity} of @param {import("../router.js").Page} page */
async function keepView(of, page) {
  const query = new URLSearchParams(page.query);
  query.delete("offset");
  const name = await openDialog({
    title: "Save this view",
    kind: "narrow",
    body: (close) => {
      const input = h("input", { id: "view-name", required: true, autofocus: true });
      return h("form", { class: "stack", onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), close(input.value.trim())) }, h("div", { class: "field" }, h("label", { for: "view-name" }, "Name"), input, h("div", { class: "field-hint" }, "Kept in this browser. To share it, send the address of this page.")), h("footer", { class: "actions" }, h("button", { class: "primary" }, "Save")));
    },
  });
  if (!name) return;
  saveView(of.key, { name, query: query.toString() });
  good(`The view ${name} is saved`);
}

/** @param {Entity} of */
function forgetView(of) {
  openDialog({
    title: "Saved views",
    kind: "narrow",
    body: (close) => h("ul", { class: "plain-list" }, savedViews(of.key).map((v) => h("li", {}, h("span", {}, v.name), h("button", { type: "button", class: "small", onclick: () => (dropView(of.key, v.name), close()) }, "Forget")))),
  });
}

/** @param {import("../router.js").Page} page @param {Entity} of @param {{load: () => void, focus: () => void, toggle: (id: string) => void}} how */
function offerKeys(page, of, { load, focus, toggle }) {
  const rows = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll("table.rows tbody tr")]);
  const here = () => rows().findIndex((r) => r.contains(document.activeElement));
  const step = (/** @type {number} */ by) => {
    const all = rows();
    const next = all[Math.max(0, Math.min(all.length - 1, here() + by))];
    /** @type {HTMLElement | null | undefined} */ (next?.querySelector(".main-link"))?.focus();
  };
  page.offer(
    { id: "filter", label: "Filter this list", key: "/", icon: "filter", run: focus },
    { id: "reload", label: "Look again", icon: "refresh", run: load },
    { id: "down", label: "Next row", key: "j", run: () => step(1) },
    { id: "up", label: "Previous row", key: "k", run: () => step(-1) },
    { id: "select", label: "Select the row", key: "x", run: () => here() >= 0 && toggle(rows()[here()].dataset.id || "") },
  );
  if (of.verbs.includes("c")) page.offer({ id: "new", label: capital(`new ${of.one}`), key: "n", icon: "plus", run: () => go(`/${of.key}/new`) });
  if (of.verbs.includes("u")) page.offer({ id: "edit-row", label: "Edit the row", key: "e", icon: "edit", run: () => here() >= 0 && go(`/${of.key}/${rows()[here()].dataset.id}/edit`) });
}
