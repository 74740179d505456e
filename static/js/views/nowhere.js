import { h } from "../dom.js";
import { href } from "../router.js";
import { empty } from "../ui/parts.js";

/** An address that stands for nothing. @param {import("../router.js").Page} page */
export function nowhereView(page) {
  return empty("search", "No such page", h("span", {}, "There is nothing at ", h("code", {}, page.params.path), "."), h("a", { class: "button", href: href("/overview") }, "To the overview"));
}
