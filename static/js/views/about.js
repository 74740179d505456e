import { MANAGEMENT, get } from "../api.js";
import { h } from "../dom.js";
import { placeTabs } from "../places.js";
import { code } from "../ui/copy.js";
import { card, facts, pageHead, pending } from "../ui/parts.js";
import { setTheme, theme } from "../store.js";
import { setSingleKeys, singleKeys } from "../keys.js";

/** What this controller is, and how this browser shows it. */
export function aboutView() {
  const load = async () => (await get(`${MANAGEMENT}/version`)).data;
  const draw = (/** @type {any} */ v) => facts([["Version", v.version], ["Revision", v.revision ? code(v.revision) : "–"], ["Built", v.buildDate || "–"], ["Runtime", v.runtimeVersion || "–"], ["Address", code(location.origin)], ["API documents", h("span", { class: "links" }, ["/edge/management/v1/docs", "/edge/client/v1/docs", "/zitilite/v1/swagger.json"].map((p) => h("a", { href: p, target: "_blank", rel: "noreferrer" }, p)))]]);
  const choose = (/** @type {import("../store.js").Theme} */ value, /** @type {string} */ label) => h("label", { class: "choice" }, h("input", { type: "radio", name: "theme", checked: theme() === value, onchange: () => setTheme(value) }), label);
  return h(
    "div",
    {},
    placeTabs("settings", "/about"),
    pageHead({ title: "About" }),
    h("div", { class: "columns" }, card("This controller", pending(load, draw)), card("This browser", h("div", { class: "stack" }, h("fieldset", {}, h("legend", {}, "Light or dark"), choose("system", "as the system"), choose("light", "light"), choose("dark", "dark")), h("div", { class: "switch-line" }, h("input", { type: "checkbox", id: "single-keys", class: "switch", role: "switch", checked: singleKeys(), onchange: (/** @type {any} */ e) => setSingleKeys(e.target.checked) }), h("label", { for: "single-keys" }, "Single keys are shortcuts"))))),
  );
}
