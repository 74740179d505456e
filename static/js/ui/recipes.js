/** Ready commands as tabs: one is shown, all can be reached by keyboard. */
import { h, show, uid } from "../dom.js";
import { recipes } from "../ready.js";
import { recall, remember } from "../store.js";
import { copyButton } from "./copy.js";

/** The tab that fits the system of whoever looks. @param {string[]} ids */
function usual(ids) {
  const agent = navigator.userAgent;
  const wanted = /Android|iPhone|iPad/.test(agent) ? "mobile" : /Windows/.test(agent) ? "windows" : /Linux/.test(agent) ? "tunnel" : "cli";
  return ids.includes(wanted) ? wanted : ids[0];
}

/** @param {import("../ready.js").Given} given @param {{own?: boolean}} [how] own: begin with what fits this very system, for visitors */
export function recipeTabs(given, { own = false } = {}) {
  const all = recipes(given);
  const ids = all.map((r) => r.id);
  const last = own ? "" : recall("recipe", "");
  let current = ids.includes(last) ? last : own ? usual(ids) : ids[0];
  const panelId = uid("recipe");
  const panel = h("div", { id: panelId, role: "tabpanel", class: "recipe", tabindex: "0" });
  const tabs = all.map((r) => h("button", { type: "button", role: "tab", id: uid("tab"), "aria-controls": panelId, onclick: () => pick(r.id) }, r.label));
  const bar = h("div", { class: "recipe-tabs", role: "tablist", "aria-label": "Ready commands", onkeydown: keys }, tabs);

  /** @param {string} id @param {boolean} [focus] */
  function pick(id, focus = false) {
    current = id;
    if (!own) remember("recipe", id);
    all.forEach((r, i) => {
      tabs[i].setAttribute("aria-selected", String(r.id === id));
      tabs[i].tabIndex = r.id === id ? 0 : -1;
      if (r.id === id && focus) tabs[i].focus();
      if (r.id === id) panel.setAttribute("aria-labelledby", tabs[i].id);
    });
    const recipe = /** @type {import("../ready.js").Recipe} */ (all.find((r) => r.id === id));
    show(panel, h("ol", { class: "steps" }, recipe.steps.map((s) => h("li", {}, h("p", {}, s.text), s.code ? command(s.code) : null))));
  }
  /** @param {KeyboardEvent} event */
  function keys(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    pick(ids[(ids.indexOf(current) + by + ids.length) % ids.length], true);
  }
  pick(current);
  return h("div", {}, bar, panel);
}

/** A command with its copy button. @param {string} text */
export const command = (text) => h("div", { class: "command" }, h("pre", { tabindex: "0", "aria-label": "Command" }, text), copyButton(() => text, "Copy", "Copy this command"));
