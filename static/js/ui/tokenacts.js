/**
 * What can be done with tokens, the same in rows, on pages and in menus: renew, start over, take back, copy, show the code, download,
 * share. Each gives whether something was changed.
 * @typedef {import("../tokens.js").Token} Token
 */
import { request } from "../api.js";
import { h, name, show } from "../dom.js";
import { go } from "../router.js";
import { time } from "../time.js";
import { METHOD_WORDS, actOn, asToken, bulkCall, download, fileStem, hasTokens, isUsable, ownerOf, renewCall, revokeCall, share, tokensOf } from "../tokens.js";
import { code, copyButton, toClipboard } from "./copy.js";
import { copyAs } from "./copyas.js";
import { confirm, openDialog } from "./dialog.js";
import { expiryField } from "./expiry.js";
import { showCode } from "./qr.js";
import { bad, good } from "./toast.js";

/**
 * Ask how long, with what it means. @param {object} what @param {string} what.title @param {import("../dom.js").Child} what.body
 * @param {string} what.yes @param {(expiresAt: string) => import("../curl.js").Call} [what.call] @param {boolean} [what.danger]
 * @returns {Promise<string | undefined>} when it ends
 */
export function askExpiry({ title, body, yes, call, danger = false }) {
  return openDialog({
    title,
    kind: "narrow",
    body: (close) => {
      const expiry = expiryField(() => {}, "The new token works for");
      const submit = (/** @type {Event} */ event) => {
        event.preventDefault();
        try {
          close(expiry.read());
        } catch {
          // Said beside the field.
        }
      };
      const line = call ? copyAs(() => call(expiry.read()), { what: title, label: "Copy as …" }) : null;
      return h("form", { class: "stack", onsubmit: submit }, h("div", {}, body), expiry.element, h("footer", { class: "actions" }, line, h("span", { class: "gap" }), h("button", { type: "button", onclick: () => close() }, "Cancel"), h("button", { class: danger ? "danger" : "primary", autofocus: true }, yes)));
    },
  });
}

/** @param {() => Promise<any>} work @param {string} doing @param {string} done */
async function attempt(work, doing, done) {
  try {
    await work();
  } catch (error) {
    bad(error, doing);
    return false;
  }
  good(done);
  return true;
}

/** @param {Token} token @param {string} whose @returns {Promise<boolean>} */
export async function renew(token, whose) {
  const expiresAt = await askExpiry({ title: `Renew the token of ${whose}?`, body: "It gets a new text and a new time. The old one stops working at once, also where it was printed or sent.", yes: "Renew", call: (at) => renewCall(token.id, at) });
  return expiresAt ? attempt(() => request(renewCall(token.id, expiresAt)), `Renewing the token of ${whose}`, `${whose} has a new token`) : false;
}

/** A token for something that has none, or whose key is to end. @param {string} kind @param {string} id @param {string} whose @param {boolean} isIn whether it has a key that ends with this @returns {Promise<boolean>} */
export async function reissue(kind, id, whose, isIn) {
  const body = isIn ? "What it signs in with now ends at once, and so do its sessions. It has to join again with the new token." : "It gets one token, with which it can join.";
  const expiresAt = await askExpiry({ title: isIn ? `Re-issue ${whose}?` : `A token for ${whose}?`, body, yes: isIn ? "Re-issue" : "Make the token", danger: isIn, call: (at) => bulkCall("reissue", kind, [id], { expiresAt: at }) });
  return expiresAt ? attempt(() => actOn("reissue", kind, id, { expiresAt }), `Re-issuing ${whose}`, `${whose} has a new token`) : false;
}

/** @param {Token} token @param {string} whose @returns {Promise<boolean>} */
export async function revoke(token, whose) {
  const body = h("div", { class: "stack tight" }, h("p", {}, "Nobody can join with it any more. ", "The device stays in the list, without a way in until it gets a new token."), h("div", {}, copyAs(() => revokeCall(token.id), { what: "the revocation", label: "Copy as …" })));
  if (!(await confirm({ title: `Revoke the token of ${whose}?`, body, yes: "Revoke", danger: true }))) return false;
  return attempt(() => request(revokeCall(token.id)), `Revoking the token of ${whose}`, `The token of ${whose} is revoked`);
}

/** @param {Token} token @param {string} whose @param {string} id */
export const save = (token, whose, id) => download(token.jwt, `${fileStem(whose, id)}.jwt`);

/** @param {Token} token @param {string} whose */
export async function copyToken(token, whose) {
  await toClipboard(token.jwt);
  good(`The token of ${whose} is copied`);
}

const SHARE_SPANS = /** @type {[number, string][]} */ ([[15, "15 minutes"], [60, "1 hour"], [1440, "1 day"]]);

/** A link for whoever holds the device. @param {Token} token @param {string} whose */
export function shareLink(token, whose) {
  const left = Math.floor((Date.parse(token.expiresAt || "") - Date.now()) / 60_000);
  return openDialog({
    title: `A link for whoever holds ${whose}`,
    kind: "narrow",
    body: (close) => {
      const place = h("div", { class: "stack" });
      const spans = SHARE_SPANS.filter(([m]) => m <= left);
      if (!spans.some(([m]) => m === left) && spans.length < SHARE_SPANS.length && left > 0) spans.push([left, "as long as the token"]);
      const choice = h("select", { id: "share-minutes" }, spans.map(([m, words]) => h("option", { value: m, selected: m === 60 }, words)));
      const make = async (/** @type {Event} */ event) => {
        event.preventDefault();
        try {
          const { data } = await share(token.id, Number(choice.value));
          show(place, made(data, whose, close));
        } catch (error) {
          bad(error, "Making the link");
        }
      };
      show(place, h("form", { class: "stack", onsubmit: make }, h("p", {}, "It opens one page with the code, the file and the steps for their system, and nothing else of the console. It ends when the token is used, renewed or over."), h("div", { class: "field" }, h("label", { for: "share-minutes" }, "The link works for"), choice), h("footer", { class: "actions" }, h("button", { type: "button", onclick: () => close() }, "Cancel"), h("button", { class: "primary", autofocus: true }, "Make the link"))));
      return place;
    },
  });
}

/** @param {{id: string, url: string, expiresAt: string}} link @param {string} whose @param {() => void} close */
function made(link, whose, close) {
  const end = async () => (await attempt(() => request({ method: "DELETE", path: `/zitilite/v1/shares/${encodeURIComponent(link.id)}` }), "Cutting the link off", `The link for ${whose} is cut off`)) && close();
  return [h("p", {}, "Shown only now. Whoever has it can join as ", name(whose, "quoted"), ". It ends ", time(link.expiresAt), "."), h("div", { class: "secret" }, code(link.url, "Copy the link")), h("footer", { class: "actions" }, h("button", { type: "button", class: "danger-quiet", onclick: end }, "Cut it off"), h("span", { class: "gap" }), copyButton(() => link.url, "Copy the link"), h("button", { type: "button", class: "primary", onclick: () => close() }, "Close"))];
}

/**
 * The entries about tokens for the menu of an item, of any entity that has to do with them.
 * @param {import("../entities.js").Entity} of @param {any} row @param {() => any} changed called when something is different now
 * @returns {Promise<import("./menu.js").Item[]>}
 */
export async function tokenItems(of, row, changed) {
  const owner = of.key === "enrollments" ? ownerOf(row) : hasTokens(of.key) || of.key === "cas" ? { kind: of.key, id: row.id, name: row.name } : null;
  if (!owner) return [];
  const { kind, id, name: whose } = owner;
  if (kind === "cas" && !(row.isVerified && row.isAutoCaEnrollmentEnabled)) return [];
  const tokens = of.key === "enrollments" ? [asToken(row)] : await tokensOf(kind, id).catch(() => []);
  const open = { label: "Token page", icon: "enrollment", run: () => go(`/enroll/${kind}/${encodeURIComponent(id)}`) };
  const isIn = of.key !== "enrollments" && (row.isVerified === true || Object.keys(row.authenticators || {}).length > 0 || ["enrolled", "expiring", "expired"].includes(row.enrollmentState));
  const then = async (/** @type {Promise<boolean>} */ done) => (await done) && changed();
  const about = (/** @type {Token} */ token) => {
    const which = tokens.length > 1 ? ` (${METHOD_WORDS[token.method]})` : "";
    const works = isUsable(token);
    return [
      works ? { label: `Show the code${which}`, icon: "enrollment", run: () => showCode(kind, id, token, whose).catch((error) => bad(error, "The code")) } : null,
      works ? { label: `Copy the token${which}`, icon: "copy", run: () => copyToken(token, whose) } : null,
      works ? { label: `Download the token${which}`, icon: "download", run: () => save(token, whose, id) } : null,
      works && token.id ? { label: `Share a link …${which}`, icon: "person", run: () => shareLink(token, whose) } : null,
      token.id ? { label: `Renew the token …${which}`, icon: "refresh", note: works ? "" : "token ended", run: () => then(renew(token, whose)) } : null,
      token.id ? { label: `Revoke the token …${which}`, icon: "close", danger: true, run: () => then(revoke(token, whose)) } : null,
    ];
  };
  const again = of.key === "enrollments" || kind === "cas" || (!isIn && tokens.length) ? null : { label: isIn ? "Re-issue …" : "Make a token …", icon: "refresh", danger: isIn, run: () => then(reissue(kind, id, whose, isIn)) };
  return [open, ...tokens.flatMap(about), again];
}
