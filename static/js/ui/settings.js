/** Settings as lines: value, where it comes from, how it is changed. */
import { request } from "../api.js";
import { CA_KEYS, resetSettingCall, settingCall } from "../care.js";
import { h, show } from "../dom.js";
import { icon } from "../icons.js";
import { refusal } from "./certs.js";
import { copyAs } from "./copyas.js";
import { openDialog } from "./dialog.js";
import { bad, good } from "./toast.js";

/** Names for people, and the unit of the value. @type {Record<string, [string, string]>} */
const WORDS = {
  identity_certificate_days: ["Certificates of devices last", "days"],
  router_certificate_days: ["Certificates of routers last", "days"],
  enrollment_minutes: ["Tokens of devices work for", "minutes"],
  router_enrollment_minutes: ["Tokens of routers work for", "minutes"],
  ca_key: ["Key of the next root and intermediate", ""],
  backup_hours: ["Backups by the clock", "hours apart"],
  backup_keep: ["Of those are kept", "the newest"],
  backup_folder: ["Folder for backups", ""],
  backup_passphrase: ["Passphrase of backups", ""],
};

/** @param {string} id */
export const settingName = (id) => (WORDS[id] || [(id[0].toUpperCase() + id.slice(1)).replaceAll("_", " ")])[0];

/** @param {any} s */
function shown(s) {
  if (s.isSecret) return h("span", { class: "soft" }, s.isSet ? "set, not shown" : "not set");
  if (!s.isSet) return h("span", { class: "none" }, "–");
  if (s.id === "backup_hours" && s.value === "0") return "off";
  const unit = WORDS[s.id]?.[1] || "";
  return h("span", {}, h("bdi", {}, s.value), unit ? h("span", { class: "soft" }, ` ${unit}`) : null);
}

/** @param {any} s */
function from(s) {
  if (s.isChosen) return "chosen here";
  if (s.source !== "default") return h("span", {}, "from ", h("code", {}, s.source.replace(/^(flag|variable) /, "")), ", which wins");
  return s.isChangeable ? "the default" : h("span", {}, "the default; changed by ", h("code", {}, s.flag), " or ", h("code", {}, s.variable), " and a start");
}

/** @param {any[]} all @param {() => any} again */
export function settingList(all, again) {
  return h("ul", { class: "setting-list" }, all.filter(Boolean).map((s) => h("li", { data: { setting: s.id } }, h("div", { class: "setting-name" }, h("b", {}, settingName(s.id)), h("small", {}, from(s))), h("div", { class: "setting-value" }, shown(s)), h("div", { class: "actions" }, s.isChangeable ? h("button", { type: "button", class: "small", "aria-label": `Change: ${settingName(s.id)}`, onclick: async () => (await changeSetting(s)) && again() }, icon("edit"), "Change …") : null))));
}

/** Ask for another value. @param {any} s @returns {Promise<boolean>} whether it was changed */
export async function changeSetting(s) {
  const done = await openDialog({
    title: settingName(s.id),
    kind: "narrow",
    body: (close) => {
      const input = s.id === "ca_key" ? h("select", { id: "setting" }, CA_KEYS.map(([key, words]) => h("option", { value: key, selected: key === s.value }, words))) : h("input", { id: "setting", inputmode: "numeric", value: s.value, autofocus: true, "aria-describedby": "setting-words" });
      const problem = h("div");
      const perform = async (/** @type {any} */ call) => {
        try {
          await request(call);
          close(true);
        } catch (error) {
          show(problem, refusal(error));
        }
      };
      const submit = (/** @type {Event} */ event) => (event.preventDefault(), perform(settingCall(s.id, input.value.trim())));
      const back = s.isChosen ? h("button", { type: "button", onclick: () => perform(resetSettingCall(s.id)) }, `Back to ${s.default || "the default"}`) : null;
      return h("form", { class: "stack", onsubmit: submit }, problem, h("div", { class: "field" }, h("label", { for: "setting" }, "Value"), input, h("div", { class: "field-hint", id: "setting-words" }, `${s.meaning}. It holds from now on; what was issued stays as it is.`)), h("footer", { class: "actions" }, copyAs(() => settingCall(s.id, input.value.trim()), { what: "the change", label: "Copy as …" }), h("span", { class: "gap" }), back, h("button", { class: "primary" }, "Change it")));
    },
  }).catch((error) => (bad(error, "The setting"), false));
  if (done) good(`${settingName(s.id)}: changed`);
  return done === true;
}
