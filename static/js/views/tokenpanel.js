/** The pending tokens of a device or router, on its page; on the page of a token, that one. */
import { h, redraw } from "../dom.js";
import { listen } from "../live.js";
import { href } from "../router.js";
import { time } from "../time.js";
import { METHOD_WORDS, isUsable, ownerOf, tokensOf } from "../tokens.js";
import { card, stateMark } from "../ui/parts.js";
import { secondToken } from "../ui/secondtoken.js";
import { copyToken, reissue, renew, revoke, save } from "../ui/tokenacts.js";

/** @param {any} row @param {import("../router.js").Page} page */
export async function panel(row, page) {
  const isToken = page.given.entity.key === "enrollments";
  const owner = isToken ? ownerOf(row) : { kind: page.given.entity.key, id: row.id, name: row.name };
  if (!owner) return null;
  const { kind, id, name } = owner;
  const body = h("div", {});
  const isIn = row.isVerified === true || Object.keys(row.authenticators || {}).length > 0;
  const address = href(`/enroll/${kind}/${encodeURIComponent(id)}`);

  async function load() {
    const tokens = (await tokensOf(kind, id)).filter((t) => !isToken || t.id === row.id);
    if (!page.isOpen) return;
    const taken = tokens.filter(isUsable).map((t) => t.method);
    const another = kind === "identities" && !isToken && (tokens.length || isIn) ? h("div", { class: "actions" }, button("Another token …", () => then(secondToken(id, name, taken)))) : null;
    redraw(body, h("div", { class: "stack tight" }, tokens.length ? h("ul", { class: "token-list" }, tokens.map(line)) : none(), another));
  }
  const then = async (/** @type {Promise<boolean>} */ done) => (await done) && load();
  const button = (/** @type {string} */ label, /** @type {() => any} */ run, kind = "") => h("button", { type: "button", class: `small ${kind}`, onclick: run }, label);

  /** @param {import("../tokens.js").Token} token */
  function line(token) {
    const works = isUsable(token);
    return h("li", {}, h("div", {}, stateMark(works ? "pending" : "tokenExpired"), h("span", {}, METHOD_WORDS[token.method], h("span", { class: "soft" }, works ? ", expires " : ", ended ", time(token.expiresAt)))), h("div", { class: "actions" }, works ? [h("a", { class: "button small", href: address }, "Show the code"), button("Copy", () => copyToken(token, name)), button("Download", () => save(token, name, id))] : null, button("Renew …", () => then(renew(token, name))), button("Revoke …", () => then(revoke(token, name)), "danger-quiet")));
  }
  function none() {
    if (isToken) return h("p", { class: "soft" }, "It was used, replaced or revoked.");
    if (isIn) return h("p", { class: "soft" }, "None.");
    return h("div", { class: "actions" }, h("p", { class: "soft" }, "None: nobody can join as it now."), h("button", { type: "button", class: "primary", onclick: () => then(reissue(kind, id, name, false)) }, "Make a token …"));
  }
  page.onLeave(listen((news) => page.isOpen && (news.topic === "poll" || ["enrollments", "authenticators"].includes(news.data?.entity) || news.data?.identityId === id || news.data?.routerId === id) && load().catch(() => {})));
  await load();
  return card(isToken ? "The token" : "Tokens", body);
}
