/** What the controller finds when it looks at itself, with what to do about it. */
import { checks } from "../care.js";
import { h, show } from "../dom.js";
import { take, watchHealth } from "../health.js";
import { icon } from "../icons.js";
import { placeTabs } from "../places.js";
import { open } from "../router.js";
import { OWN } from "../api.js";
import { copyAs } from "../ui/copyas.js";
import { card, count, pageHead, pending, stateMark } from "../ui/parts.js";

/** @param {import("../router.js").Page} page */
export function checksView(page) {
  const again = h("button", { type: "button", onclick: open }, icon("refresh"), "Look again");
  const careOf = h("div", {});
  page.onLeave(watchHealth((found) => page.isOpen && found && show(careOf, found.length ? card(`${count(found.length, "thing")} to look at`, toDo(found)) : h("p", { class: "all-good" }, icon("check"), "All is well."))));
  const draw = (/** @type {{rows: any[]}} */ { rows }) => {
    take(rows);
    const care = rows.filter((r) => r.state !== "ok");
    const good = rows.filter((r) => r.state === "ok");
    return h("div", { class: "stack" }, careOf, h("details", { open: !care.length }, h("summary", {}, `${good.length} in order`), card("In order", list(good))));
  };
  return h("div", {}, placeTabs("settings", "/checks"), pageHead({ title: "Health", actions: [again, copyAs(() => ({ method: "GET", path: `${OWN}/checks` }), { what: "the checks" })] }), h("p", { class: "lead" }, "The same as ", h("code", {}, "zitilite doctor"), " finds."), pending(checks, draw, { lines: 8 }));
}

/** @param {any[]} rows */
const list = (rows) => h("ul", { class: "care-list" }, rows.map((r) => h("li", { data: { check: r.id } }, h("div", { class: "head" }, stateMark(r.state), h("b", {}, r.title)), r.detail ? h("p", {}, h("bdi", {}, r.detail)) : null)));

/** @param {import("../health.js").Finding[]} found */
const toDo = (found) => h("ul", { class: "care-list" }, found.map((f) => h("li", { data: { check: f.id } }, h("div", { class: "head" }, stateMark(f.level === "bad" ? "fail" : "warn"), h("b", {}, f.title)), f.text ? h("p", {}, h("bdi", {}, f.text)) : null, f.advice ? h("p", { class: "soft" }, icon("right"), h("bdi", {}, f.advice)) : null, f.link === "Health" ? null : h("div", {}, h("a", { href: f.href }, f.link)))));
