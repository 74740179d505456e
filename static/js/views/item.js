/**
 * The page of any item: what it is, what hangs on it, all of it as JSON, what happened to it.
 * @typedef {import("../entities.js").Entity} Entity
 */
import { removeItem, runAction } from "../actions.js";
import { OWN, maybe } from "../api.js";
import { associated, getRow, itemCall } from "../data.js";
import { h, hasOpenMenu, inUse, redraw, show } from "../dom.js";
import { at, entity, titleOf } from "../entities.js";
import { changedWords } from "../entities/shared.js";
import { icon } from "../icons.js";
import { listen } from "../live.js";
import { listTitle } from "../places.js";
import { isGoing, keep, watchRemovals } from "../removing.js";
import { go, href } from "../router.js";
import { time } from "../time.js";
import { code, copyButton } from "../ui/copy.js";
import { copyAs } from "../ui/copyas.js";
import { menuButton } from "../ui/menu.js";
import { attributes, bones, card, empty, facts, failed, link, pageHead, pending, stateMark, tabs } from "../ui/parts.js";
import { tokenItems } from "../ui/tokenacts.js";
import { cell, plain, reference, roleChips } from "../ui/values.js";

/** Shown elsewhere on the page, or of no use to a person. */
const HIDDEN = new Set(["_links", "id", "name", "tags", "createdAt", "updatedAt", "roleAttributes", "enrollmentState", "validUntil", "typeId", "authPolicyId", "authenticators", "enrollment", "enrollmentJwt", "enrollmentToken", "enrollmentCreatedAt", "postureQueries", "jwt", "token"]);

/** @param {import("../router.js").Page} page */
export function itemView(page) {
  /** @type {Entity} */
  const of = page.given.entity;
  const { id } = page.params;
  const tab = page.query.get("tab") || "overview";
  const place = h("div", { "aria-busy": "true" }, bones(8));

  let shown = "";
  let isStale = true;
  let turn = 0;

  async function load() {
    isStale = true;
    try {
      await look();
    } catch (error) {
      if (page.isOpen) show(place, /** @type {any} */ (error).status === 404 ? gone(of) : failed(error, load, `This ${of.one} could not be loaded`));
    }
    place.setAttribute("aria-busy", "false");
  }
  async function look(quiet = false) {
    turn += 1;
    const mine = turn;
    const { row, etag } = await getRow(of, id, { quiet });
    if (!page.isOpen || mine !== turn || (!isStale && etag === shown)) return;
    if (quiet ? inUse(place) : hasOpenMenu(place)) return later();
    shown = etag;
    isStale = false;
    redraw(place, draw(page, of, row, etag, tab, load));
  }
  /** Look without being asked; an open menu or a field is not taken away from under somebody's hand. */
  function later() {
    if (!page.isOpen) return;
    if (inUse(place) || place.getAttribute("aria-busy") === "true") setTimeout(later, 500);
    else look(true).catch((error) => error.status === 404 && page.isOpen && show(place, gone(of)));
  }
  page.onLeave(listen((news) => {
    const isIt = news.topic === "changes" && news.data?.id === id;
    if (isIt && news.data.verb === "delete") return show(place, gone(of));
    isStale ||= isIt;
    if (isIt || news.topic === "poll") later();
  }));
  page.onLeave(watchRemovals(() => page.isOpen && load()));
  load();
  return place;
}

/** @param {Entity} of */
const gone = (of) => empty(of.icon, `There is no such ${of.one}`, "It may have been deleted.", h("a", { class: "button", href: href(`/${of.key}`) }, `All ${of.many}`));

/** @param {import("../router.js").Page} page @param {Entity} of @param {any} row @param {string} etag @param {string} tab @param {() => void} load */
function draw(page, of, row, etag, tab, load) {
  const title = titleOf(of, row);
  page.setTitle(title);
  page.commands.length = 0;
  const path = `/${of.key}/${encodeURIComponent(row.id)}`;
  const actions = (of.actions || []).filter((a) => !a.when || a.when(row));
  const act = async (/** @type {any} */ a) => (await runAction(of, a, row)) && load();
  const remove = async () => (await removeItem(of, row)) && go(`/${of.key}`);
  const edit = of.verbs.includes("u") ? h("a", { class: "button", href: href(`${path}/edit`) }, icon("edit"), "Edit") : null;
  const more = menuButton({
    label: icon("more"),
    aria: "More actions",
    class: "quiet icon-only",
    items: async () => [...(await tokenItems(of, row, load)), ...actions.map((a) => ({ label: a.label, icon: a.icon, danger: a.danger, run: () => act(a) })), of.verbs.includes("d") ? { label: "Delete …", icon: "trash", danger: true, run: remove } : null],
  });
  if (of.verbs.includes("u")) page.offer({ id: "edit", label: `Edit ${title}`, key: "e", icon: "edit", run: () => go(`${path}/edit`) });
  if (of.verbs.includes("d")) page.offer({ id: "delete", label: `Delete ${title} …`, icon: "trash", run: remove });
  for (const a of actions) page.offer({ id: a.id, label: `${a.label} ${title}`, icon: a.icon, run: () => act(a) });
  const stateColumn = of.columns.find((c) => c.kind === "state");
  const names = ["overview", "json", ...(hasActivity(of) ? ["activity"] : [])];
  const labels = /** @type {Record<string, string>} */ ({ overview: "Overview", json: "JSON", activity: "Activity" });
  return [
    isGoing(of, row.id) ? h("div", { class: "going-note", role: "status" }, icon("trash"), h("span", {}, `This ${of.one} is deleted in a few seconds.`), h("button", { type: "button", onclick: () => keep(of, row.id) }, "Keep it")) : null,
    pageHead({
      above: h("nav", { class: "crumbs", "aria-label": "Where this is" }, link(href(`/${of.key}`), icon("left"), listTitle(of))),
      title,
      sub: stateColumn ? cell(of, stateColumn, row) : null,
      actions: [copyAs(() => itemCall(of, row.id), { what: `this ${of.one}` }), edit, actions.length || of.verbs.includes("d") ? more : null],
    }),
    tabs(names.map((n) => ({ label: labels[n], href: href(path, { tab: n === "overview" ? "" : n }), current: n === tab })), "Parts of this page"),
    tab === "json" ? asJson(of, row) : tab === "activity" ? activity(of, row) : overview(page, of, row),
  ];
}

/** @param {Entity} of */
const hasActivity = (of) => !["attempts", "audit"].includes(of.key);

/** @param {import("../router.js").Page} page @param {Entity} of @param {any} row */
function overview(page, of, row) {
  const panels = (of.panels || []).map((load) => pending(async () => (await load()).panel(row, page), (element) => element, { lines: 3 }));
  return h("div", { class: "columns" }, h("div", { class: "stack" }, panels, card("What it is", about(of, row)), Object.keys(row.tags || {}).length ? card("Tags", facts(Object.entries(row.tags).map(([k, v]) => [k, plain(v, k)]))) : null), h("div", { class: "stack" }, (of.links || []).filter((l) => !l.panel).map((l) => association(of, row, l))));
}

/** @param {Entity} of @param {any} row */
function about(of, row) {
  /** @type {[string, import("../dom.js").Child][]} */
  const pairs = [["Id", code(row.id, "Copy the id")]];
  if ("roleAttributes" in row) pairs.push(["Attributes", attributes(row.roleAttributes, (a) => href(`/${of.key}`, { filter: `anyOf(roleAttributes) = ${JSON.stringify(a)}` }))]);
  if (row.validUntil) pairs.push(["Valid until", cell(of, { name: "validUntil", label: "", kind: "until" }, row)]);
  for (const [key, value] of Object.entries(row)) {
    if (HIDDEN.has(key) || key.endsWith("Display") || key.endsWith("ExpiresAt") || isNothing(of, key, value, row)) continue;
    const inner = of.fields.filter((f) => f.name.startsWith(`${key}.`));
    if (!inner.length) pairs.push([label(of, key), drawn(of, key, value, row)]);
    for (const f of inner) {
      const found = at(row, f.name);
      if (f.more && !found) continue;
      pairs.push([f.label, f.kind === "refs" && found?.length ? found.map((/** @type {any} */ one) => reference(one, f.to || "")) : f.kind === "ref" && found ? reference(found, f.to || "") : plain(found, f.label)]);
    }
  }
  pairs.push(["Created", time(row.createdAt)], ["Changed", time(row.updatedAt)]);
  return facts(pairs);
}

/** Whether there is nothing to show: empty, or a "no" that nobody would ask for. @param {Entity} of @param {string} key @param {any} value @param {any} row */
function isNothing(of, key, value, row) {
  if (key === "lastSeenAt") return false;
  if (of.links?.some((l) => l.path === key)) return true;
  if (of.columns.some((c) => c.kind === "state" && c.name === key)) return true;
  // The same thing stands beside it, with its name.
  if (key.endsWith("Id") && row[key.slice(0, -2)]?.entity) return true;
  if (value === false) return ![...of.fields, ...of.columns].some((f) => f.name === key && !(/** @type {any} */ (f).more));
  return value === null || value === "" || (typeof value === "object" && Object.values(value).every((v) => v === "" || v === null));
}

/** @param {Entity} of @param {string} key @param {any} value @param {any} row @returns {import("../dom.js").Child} */
function drawn(of, key, value, row) {
  const field = of.fields.find((f) => f.name === key);
  if (field?.kind === "roles") return roleChips(value, row[`${key}Display`]);
  const words = field?.kind === "choice" && field.options?.find((o) => Array.isArray(o) && o[0] === value);
  if (words) return words[1];
  if (field?.kind === "ref" && value) return reference(value, field.to || "");
  if (/fingerprint|serial|Token$/i.test(key) && typeof value === "string" && value) return code(value);
  if (value && typeof value === "object" && value.entity && value.id) return linked(value);
  return plain(value, label(of, key));
}

/** @param {{entity: string, id: string, name?: string}} value */
function linked(value) {
  try {
    return reference(value, entity(value.entity).key);
  } catch {
    return value.name || value.id;
  }
}

/** A name for a property: the form's, or its own with blanks. @param {Entity} of @param {string} key */
function label(of, key) {
  const known = of.fields.find((f) => f.name === key)?.label || of.columns.find((c) => c.name === key)?.label;
  const words = key.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return known || words[0].toUpperCase() + words.slice(1).replace(/\bid\b/g, "id");
}

/** @param {Entity} of @param {any} row @param {import("../entities.js").Association} l */
function association(of, row, l) {
  const target = entity(l.to);
  const number = h("span", { class: "count" });
  const draw = (/** @type {{rows: any[], total: number}} */ { rows, total }) => {
    number.textContent = String(total);
    if (!total) return h("p", { class: "soft" }, "None.");
    const items = rows.map((r) => h("li", {}, h("a", { href: href(`/${target.key}/${encodeURIComponent(r.id)}`) }, h("bdi", {}, titleOf(target, r))), r.isVerified === undefined && r.enrollmentState ? stateMark(r.enrollmentState) : null));
    return [h("ul", { class: "plain-list" }, items), total > rows.length ? h("p", { class: "soft" }, `and ${(total - rows.length).toLocaleString("en")} more`) : null];
  };
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, l.label || listTitle(target), " ", number)), h("div", { class: "card-body" }, pending(() => associated(of, row.id, l.path, 5), draw, { lines: 2 })));
}

/** @param {Entity} of @param {any} row */
function asJson(of, row) {
  const { validUntil, ...shown } = row;
  const text = JSON.stringify(shown, null, 2);
  return card("As the API gives it", h("pre", { class: "json", tabindex: "0", "aria-label": "JSON" }, text), { actions: h("span", { class: "actions" }, copyButton(() => text), copyAs(() => itemCall(of, at(row, "id")), { what: "the request" })) });
}

/** @param {Entity} of @param {any} row */
function activity(of, row) {
  const key = JSON.stringify(row.id);
  const side = /** @type {Record<string, string>} */ ({ identities: "identityId", "edge-routers": "routerId", "transit-routers": "routerId", cas: "caId" })[of.key];
  const load = async () => ({
    attempts: side ? await maybe(`${OWN}/attempts`, { filter: `${side} = ${key} sort by createdAt desc`, limit: 20 }) : null,
    changes: await maybe(`${OWN}/audit`, { filter: `entityId = ${key} sort by createdAt desc`, limit: 20 }),
  });
  return pending(load, ({ attempts, changes }) => {
    const rows = [
      ...(attempts?.data || []).map((/** @type {any} */ a) => ({ at: a.createdAt, mark: stateMark(a.outcome === "ok" ? "passed" : "refused"), words: a.reason, by: a.sourceAddress })),
      ...(changes?.data || []).map((/** @type {any} */ c) => ({ at: c.createdAt, mark: stateMark("on", c.verb), words: changedWords(c), by: [c.actorName, c.sourceAddress].filter(Boolean).join(", ") })),
    ].sort((a, b) => b.at.localeCompare(a.at));
    if (!attempts && !changes) return empty("activity", "No log here", "This controller keeps no log of attempts and changes.");
    if (!rows.length) return empty("activity", "Nothing yet", "What is tried with it, and what is changed about it, will stand here.");
    return h("ol", { class: "log" }, rows.map((r) => h("li", {}, time(r.at), r.mark, h("bdi", {}, r.words), h("span", { class: "soft" }, r.by))));
  });
}
