/** Another token for a device, of a method that is chosen, beside what it signs in with already. */
import { MANAGEMENT, get, request } from "../api.js";
import { h, show } from "../dom.js";
import { METHOD_WORDS } from "../tokens.js";
import { copyAs } from "./copyas.js";
import { openDialog } from "./dialog.js";
import { expiryField } from "./expiry.js";
import { refusal } from "./certs.js";
import { pending } from "./parts.js";
import { good } from "./toast.js";

/** @typedef {"ott" | "ottca" | "updb"} Method */
const ABOUT = /** @type {Record<Method, string>} */ ({ ott: "It makes a key of its own and gets a certificate from here.", ottca: "It brings a certificate of your own authority.", updb: "Somebody sets a password with it." });

/** @param {string} identityId @param {string} whose @param {string[]} taken methods of tokens that work already @returns {Promise<boolean>} whether one was made */
export async function secondToken(identityId, whose, taken) {
  const done = await openDialog({ title: `Another token for ${whose}`, kind: "narrow", body: (close) => form(identityId, whose, taken, close) });
  return done === true;
}

/** @param {string} identityId @param {string} whose @param {string[]} taken @param {(done: boolean) => void} close */
function form(identityId, whose, taken, close) {
  let method = /** @type {Method} */ (["ott", "ottca", "updb"].find((m) => !taken.includes(m)) || "ott");
  const expiry = expiryField();
  const problem = h("div");
  const more = h("div");
  const user = h("input", { id: "second-user", autocomplete: "off", spellcheck: false });
  const ca = h("select", { id: "second-ca" });
  const cas = pending(async () => (await get(`${MANAGEMENT}/cas`, { limit: 500, filter: "isVerified = true and isOttCaEnrollmentEnabled = true sort by name" })).data, (rows) => {
    show(ca, rows.map((/** @type {any} */ c) => h("option", { value: c.id }, c.name)));
    return rows.length ? h("div", { class: "field" }, h("label", { for: "second-ca" }, "Authority"), ca) : h("p", {}, "No authority lets devices join with a token.");
  }, { lines: 1 });
  const draw = () => show(more, method === "updb" ? h("div", { class: "field" }, h("label", { for: "second-user" }, "User name"), user) : method === "ottca" ? cas : null);
  const call = () => ({ method: "POST", path: `${MANAGEMENT}/enrollments`, body: { identityId, method, expiresAt: expiry.read(), ...(method === "ottca" ? { caId: ca.value } : {}), ...(method === "updb" ? { username: user.value.trim() } : {}) } });
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    show(problem);
    try {
      await request(call());
      good(`${whose} has another token`);
      close(true);
    } catch (error) {
      if (!(/** @type {any} */ (error).shown)) show(problem, refusal(error));
    }
  }
  const choices = /** @type {Method[]} */ (["ott", "ottca", "updb"]).map((m) => h("label", { class: taken.includes(m) ? "method off" : "method" }, h("input", { type: "radio", name: "second-method", value: m, checked: m === method, disabled: taken.includes(m), onchange: () => ((method = m), draw()) }), h("span", {}, METHOD_WORDS[m], h("span", { class: "soft" }, taken.includes(m) ? "It has one of these that works." : ABOUT[m]))));
  draw();
  return h("form", { class: "stack", onsubmit: submit }, problem, h("p", {}, "What it signs in with now goes on working. The token adds another way."), h("fieldset", { class: "field" }, h("legend", {}, "How it joins"), h("div", { class: "method-list" }, choices)), more, expiry.element, h("footer", { class: "actions" }, copyAs(call, { what: "the token", label: "Copy as …" }), h("span", { class: "gap" }), h("button", { type: "button", onclick: () => close(false) }, "Cancel"), h("button", { class: "primary", disabled: taken.length > 2 }, "Make the token")));
}
