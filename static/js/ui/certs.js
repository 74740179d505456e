/** Certificates as cards, and other parts that several pages about authorities share. */
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { date } from "../time.js";
import { code, copyButton } from "./copy.js";
import { facts, stateMark } from "./parts.js";

/** One certificate. @param {import("../authorities.js").Decoded} c @param {import("../dom.js").Child} [mark] @param {boolean} [isOpen] */
export function certificateCard(c, mark = null, isOpen = true) {
  const rows = facts([
    ["Issued by", c.selfSigned ? "itself (a root)" : h("bdi", {}, c.issuer)],
    ["May issue", c.isCa ? (c.pathLength === null ? "certificates and further authorities" : c.pathLength === 0 ? "certificates of devices only" : `certificates, and up to ${c.pathLength} authorities below it`) : "nothing: it is no authority"],
    ["Key", `${c.keyKind}${c.signatureHash ? `, signed with ${c.signatureHash}` : ""}`],
    ["Valid", h("span", {}, date(c.notBefore), " to ", date(c.notAfter))],
    ["Serial", h("code", {}, c.serial)],
    ["SHA-256", code(c.sha256, "Copy the SHA-256 fingerprint")],
    ["SHA-1", code(c.sha1, "Copy the SHA-1 fingerprint")],
  ]);
  return h("article", { class: "certificate" }, h("header", {}, h("h3", {}, name(c.subject || "no subject")), mark), warnings(c.warnings), h("details", { open: isOpen }, h("summary", {}, "What stands in it"), rows));
}

/** @param {string[]} sentences */
export function warnings(sentences) {
  return sentences.length ? h("ul", { class: "warnings" }, sentences.map((w) => h("li", {}, h("span", { class: "state triangle state-warning" }, h("span", { class: "shape", "aria-hidden": "true" }), h("span", { class: "hidden" }, "Warning: ")), h("bdi", {}, w[0].toUpperCase() + w.slice(1))))) : null;
}

/** Steps that passed or not. @param {{title: string, ok: boolean | null, reason?: string | null}[]} steps */
export function checklist(steps) {
  const words = (/** @type {boolean | null} */ ok) => (ok === null ? stateMark("none", "open") : ok ? stateMark("ok") : stateMark("refused", "no"));
  return h("ul", { class: "checklist" }, steps.map((s) => h("li", { data: { ok: String(s.ok) } }, words(s.ok), h("div", {}, h("span", {}, s.title[0].toUpperCase() + s.title.slice(1)), s.reason ? h("p", { class: "reason" }, h("bdi", {}, s.reason)) : null))));
}

/**
 * Commands in tabs.
 * @param {{id: string, label: string, about?: string, text: string, result?: string}[]} all @param {string} label
 */
export function commandTabs(all, label) {
  const place = h("div", { class: "stack tight" });
  const buttons = all.map((one) => h("button", { type: "button", "aria-pressed": "false", onclick: () => pick(one.id) }, one.label));
  /** @param {string} id */
  function pick(id) {
    const one = all.find((o) => o.id === id) || all[0];
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(all[i] === one)));
    show(place, one.about ? h("p", { class: "soft" }, one.about) : null, h("div", { class: "command" }, h("pre", { tabindex: "0", "aria-label": `${one.label}: commands` }, one.text), copyButton(() => one.text)), one.result ? h("p", { class: "soft" }, "The result is ", h("code", {}, one.result), ".") : null);
  }
  pick(all[0].id);
  return h("div", { class: "stack tight" }, h("div", { class: "segments wrap", role: "group", "aria-label": label }, buttons), place);
}

/** Something is wrong with what was brought. @param {any} error */
export const refusal = (error) => h("div", { class: "form-problem with-icon", role: "alert" }, icon("warning"), h("bdi", {}, error.message));
