/** What a device or router signs in with, on its page: every certificate and password, and what can be done about it. */
import { MANAGEMENT, OWN, maybe, request } from "../api.js";
import { inPairs, sha256Of, shareOver } from "../certs.js";
import { h, show } from "../dom.js";
import { href, open } from "../router.js";
import { day, isNever, relative, time } from "../time.js";
import { code } from "../ui/copy.js";
import { copyAs } from "../ui/copyas.js";
import { openDialog } from "../ui/dialog.js";
import { card, count, facts, stateMark } from "../ui/parts.js";
import { bad, good } from "../ui/toast.js";
import { askExpiry, reissue } from "../ui/tokenacts.js";
import { keysOf } from "./enrolled.js";

/** @typedef {import("../curl.js").Call} Call */

/** @param {any} row @param {import("../router.js").Page} page */
export async function panel(row, page) {
  const kind = page.given.entity.key;
  const body = h("div", { class: "stack" });

  async function load() {
    const side = kind === "identities" ? "identityId" : "routerId";
    const asked = (/** @type {string} */ more, limit = 100) => maybe(`${OWN}/attempts`, { filter: `${side} = ${JSON.stringify(row.id)} and ${more} sort by createdAt desc`, limit }, { quiet: true }).then((a) => ({ rows: a?.data || [], total: a?.meta.pagination?.totalCount || 0 }), () => ({ rows: [], total: 0 }));
    const [keys, { rows: uses }, extensions] = await Promise.all([keysOf(kind, row.id, row), asked('outcome = "ok" and kind = "login"'), asked('kind = "extend"', 500)]);
    if (!page.isOpen) return;
    if (!keys.length) return show(body, h("p", { class: "soft" }, "None: it has not joined yet."));
    show(body, keys.map((key) => one(kind, row, key, uses, load)), history(side, row, extensions));
  }
  await load();
  return card("Keys", body);
}

/** @param {string} kind @param {any} row @param {any} key @param {any[]} uses @param {() => any} again */
function one(kind, row, key, uses, again) {
  return key.method === "updb" ? password(row, key, uses) : certificate(kind, row, key, uses, again);
}

/** @param {string} label @param {() => any} run @param {string} [kind] */
const button = (label, run, kind = "") => h("button", { type: "button", class: `small ${kind}`, onclick: run }, label);

/** @param {Call} call @param {string} doing @param {string} done @param {() => any} again */
async function perform(call, doing, done, again) {
  try {
    await request(call);
  } catch (error) {
    return bad(error, doing);
  }
  good(done);
  return again();
}

/** @param {any} row @param {any} key @param {any[]} uses */
function password(row, key, uses) {
  const last = uses.find((u) => u.method === "password");
  return h("div", { class: "key" }, h("h3", {}, "Password"), facts([["User name", code(key.username || "", "Copy the user name")], ["Last use", time(last?.createdAt, "not in the log")], ["Made", time(key.createdAt)]]), h("div", { class: "actions" }, button("Re-enroll …", () => reEnroll(row, key), "danger-quiet")));
}

/** @param {string} kind @param {any} row @param {any} key @param {any[]} uses @param {() => any} again */
function certificate(kind, row, key, uses, again) {
  const sha256 = h("span", {}, "…");
  if (key.certPem) sha256Of(key.certPem).then((text) => show(sha256, code(text, "Copy the SHA-256 fingerprint")));
  else show(sha256, "–");
  const mine = uses.filter((u) => u.fingerprint === key.fingerprint);
  const asked = key.isExtendRequested ? stateMark("pending", key.isKeyRollRequested ? "asked for a new key" : "asked to extend") : null;
  const ask = (/** @type {boolean} */ rollKeys) => /** @type {Call} */ ({ method: "POST", path: `${MANAGEMENT}/authenticators/${encodeURIComponent(key.id)}/request-extend`, body: { rollKeys } });
  const tools = key.isRouter
    ? [button("Re-enroll …", async () => (await reissue(kind, row.id, row.name, true)) && open(), "danger-quiet")]
    : [
        button("Ask to extend", () => perform(ask(false), "Asking", `${row.name} is asked to extend its certificate when it next signs in`, again)),
        button("Ask for a new key", () => perform(ask(true), "Asking", `${row.name} is asked for a new key when it next signs in`, again)),
        copyAs(() => ask(false), { what: "the question", class: "quiet icon-only small" }),
        button("Re-enroll …", () => reEnroll(row, key), "danger-quiet"),
      ];
  return h(
    "div",
    { class: "key" },
    h("div", { class: "actions" }, h("h3", {}, "Certificate"), key.state ? stateMark(key.state) : null, asked),
    validity(key),
    facts([
      ["Subject", h("bdi", {}, key.subject || "–")],
      ["Issuer", h("bdi", {}, key.issuer || "–")],
      ["Serial number", key.serial ? code(key.serial, "Copy the serial number") : "–"],
      ["SHA-256", sha256],
      ["SHA-1", key.fingerprint ? code(inPairs(key.fingerprint), "Copy the SHA-1 fingerprint") : "–"],
      ["Last use", time(mine[0]?.createdAt, "not in the log")],
    ]),
    h("div", { class: "actions" }, tools, key.state === "blocked" ? null : button("Block this certificate …", () => block(row, key, again), "danger-quiet")),
  );
}

/** Every try to extend, as far as the log goes back. @param {string} side @param {any} row @param {{rows: any[], total: number}} found */
function history(side, row, { rows, total }) {
  const all = href("/attempts", { filter: `${side} = ${JSON.stringify(row.id)} and kind = "extend"` });
  if (!rows.length) return h("p", { class: "soft" }, "Not extended yet, as far as the log goes back.");
  const good = rows.filter((r) => r.outcome === "ok").length;
  const words = `Extensions: ${count(good, "time")}${rows.length > good ? `, ${rows.length - good} refused` : ""}`;
  return h("details", { class: "extensions" }, h("summary", {}, words), h("ol", { class: "log" }, rows.map((r) => h("li", {}, time(r.createdAt), stateMark(r.outcome === "ok" ? "passed" : "refused"), h("a", { href: href(`/attempts/${r.id}`), class: "log-text" }, h("bdi", {}, r.reason)), h("span", { class: "soft" }, r.sourceAddress)))), total > rows.length ? h("a", { href: all }, `All ${total.toLocaleString("en")}`) : null);
}

/** How much of its time is over. @param {any} key */
function validity(key) {
  if (isNever(key.notAfter)) return null;
  const over = shareOver(key.notBefore, key.notAfter);
  const bar = h("div", { class: `validity ${key.state || ""}`, role: "img", "aria-label": `${Math.round(over * 100)} % of its validity is over` }, h("div", {}));
  bar.firstElementChild.style.setProperty("inline-size", `${over * 100}%`);
  return h("div", { class: "validity-line" }, h("span", {}, day(key.notBefore)), bar, h("span", { title: key.notAfter }, day(key.notAfter), h("span", { class: "soft" }, ` ${relative(key.notAfter)}`)));
}

/** @param {any} row @param {any} key */
async function reEnroll(row, key) {
  const path = `${MANAGEMENT}/authenticators/${encodeURIComponent(key.id)}/re-enroll`;
  const call = (/** @type {string} */ expiresAt) => /** @type {Call} */ ({ method: "POST", path, body: { expiresAt } });
  const expiresAt = await askExpiry({ title: `Re-enroll ${row.name}?`, body: "This key ends at once, and so do its sessions. A token takes its place, with which it joins again.", yes: "Re-enroll", danger: true, call });
  if (expiresAt) await perform(call(expiresAt), "Re-enrolling", `${row.name} has a token now`, open);
}

/** @param {any} row @param {any} key @param {() => any} again */
async function block(row, key, again) {
  const call = (/** @type {string} */ reason) => /** @type {Call} */ ({ method: "POST", path: `${OWN}/blocked-certificates`, body: { fingerprint: key.fingerprint, reason } });
  const reason = await openDialog({
    title: "Block this certificate?",
    kind: "narrow",
    body: (close) => {
      const input = h("input", { id: "block-reason", autofocus: true, placeholder: "lost, stolen, replaced …" });
      return h("form", { class: "stack", onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), close({ text: input.value.trim() })) }, h("p", {}, "From now on it is refused everywhere: to sign in, to join and to extend. Its sessions end at once. It stays blocked until the block is deleted."), h("div", { class: "field" }, h("label", { for: "block-reason" }, "Reason"), input), h("footer", { class: "actions" }, copyAs(() => call(input.value.trim()), { what: "the block", label: "Copy as …" }), h("span", { class: "gap" }), h("button", { type: "button", onclick: () => close() }, "Cancel"), h("button", { class: "danger" }, "Block it")));
    },
  });
  if (reason) await perform(call(/** @type {any} */ (reason).text), "Blocking", "The certificate is blocked", again);
}
