/** What the controller finds when it looks at itself, with what to do about it. */
import { checks } from "../care.js";
import { h } from "../dom.js";
import { entityOf } from "../entities.js";
import { icon } from "../icons.js";
import { placeTabs } from "../places.js";
import { href, open } from "../router.js";
import { OWN } from "../api.js";
import { copyAs } from "../ui/copyas.js";
import { card, count, pageHead, pending, stateMark } from "../ui/parts.js";

/** @param {import("../router.js").Page} page */
export function checksView(page) {
  const again = h("button", { type: "button", onclick: open }, icon("refresh"), "Look again");
  const draw = (/** @type {{rows: any[]}} */ { rows }) => {
    const care = rows.filter((r) => r.state !== "ok");
    const good = rows.filter((r) => r.state === "ok");
    return h("div", { class: "stack" }, care.length ? card(`${count(care.length, "thing")} to look at`, list(care)) : h("p", { class: "all-good" }, icon("check"), "All is well."), h("details", { open: !care.length }, h("summary", {}, `${good.length} in order`), card("In order", list(good))));
  };
  return h("div", {}, placeTabs("settings", "/checks"), pageHead({ title: "Health", actions: [again, copyAs(() => ({ method: "GET", path: `${OWN}/checks` }), { what: "the checks" })] }), h("p", { class: "lead" }, "The same as ", h("code", {}, "zitilite doctor"), " finds."), pending(checks, draw, { lines: 8 }));
}

/** @param {any[]} rows */
const list = (rows) => h("ul", { class: "care-list" }, rows.map((r) => h("li", { data: { check: r.id } }, h("div", { class: "head" }, stateMark(r.state), h("b", {}, r.title)), r.detail ? h("p", {}, h("bdi", {}, r.detail)) : null, r.advice && r.state !== "ok" ? h("p", { class: "soft" }, icon("right"), h("bdi", {}, r.advice)) : null, about(r))));

/** @param {any} row */
function about(row) {
  const [collection, id] = (row.about || "").split("/").filter(Boolean).slice(-2);
  const of = collection ? entityOf(collection) : undefined;
  return of && row.state !== "ok" ? h("div", {}, h("a", { href: href(id ? `/${of.key}/${id}` : `/${of.key}`) }, id ? `To the ${of.one}` : `To the ${of.many}`)) : null;
}
