/**
 * The page of a token: code, file, commands, clock. It turns green by itself when the device joins and shows what it got.
 * @typedef {import("../tokens.js").Token} Token
 * @typedef {{row: any, tokens: Token[], keys: any[], attempts: any[], reason: string}} Known
 */
import { MANAGEMENT, OWN, get, maybe } from "../api.js";
import { inPairs, sha256Of } from "../certs.js";
import { getRow } from "../data.js";
import { h, name, show } from "../dom.js";
import { entity } from "../entities.js";
import { icon } from "../icons.js";
import { listen } from "../live.js";
import { listTitle } from "../places.js";
import { href } from "../router.js";
import { date, span, time } from "../time.js";
import { METHOD_WORDS, claims, codeCall, fileStem, isUsable, tokensOf } from "../tokens.js";
import { code, copyButton } from "../ui/copy.js";
import { copyAs } from "../ui/copyas.js";
import { qrCode } from "../ui/qr.js";
import { bones, card, empty, facts, failed, link, pageHead, stateMark } from "../ui/parts.js";
import { recipeTabs } from "../ui/recipes.js";
import { shareList } from "../ui/shares.js";
import { announce } from "../ui/toast.js";
import { copyToken, reissue, renew, revoke, save, shareLink } from "../ui/tokenacts.js";

const SIDE = /** @type {Record<string, string>} */ ({ identities: "identityId", "edge-routers": "routerId", "transit-routers": "routerId", cas: "caId" });
const SEEN = 8;

/** @param {import("../router.js").Page} page */
export function enrolledView(page) {
  const { kind, id } = page.params;
  if (!(kind in SIDE)) return empty("enrollment", "No such page", "Nothing of this kind joins by a token.");
  const of = entity(kind);
  const place = h("div", { "aria-busy": "true" }, bones(8));
  const log = h("div", { class: "attempt-place" });
  const began = Date.now();
  let shown = "";
  let wasWaiting = false;
  let chosen = "";

  async function load(quiet = false) {
    try {
      const known = await look(kind, id);
      if (page.isOpen) draw(known);
    } catch (error) {
      if (!page.isOpen || (quiet && shown)) return;
      show(place, /** @type {any} */ (error).status === 404 ? empty(of.icon, `There is no such ${of.one}`, "It may have been deleted.", h("a", { class: "button", href: href(`/${kind}`) }, `All ${of.many}`)) : failed(error, () => load(), `This ${of.one} could not be loaded`));
    }
    place.setAttribute("aria-busy", "false");
  }
  /** Drawn anew only when something is different, so that nobody loses a focus. @param {Known} known */
  function draw(known) {
    showAttempts(known);
    const { row, tokens, keys } = known;
    const isIn = keys.length > 0;
    const now = JSON.stringify([row.name, row.enrollmentState, row.disabled, tokens.map((t) => [t.id, t.jwt, isUsable(t)]), keys.map((k) => k.id), chosen, known.reason]);
    if (now === shown) return;
    shown = now;
    const whose = String(row.name || row.id);
    page.setTitle(`Token of ${whose}`);
    const token = tokens.find((t) => t.id === chosen) || tokens[0];
    if (wasWaiting && isIn && !tokens.length) announce(`${whose} has joined`);
    wasWaiting = tokens.length > 0;
    page.commands.length = 0;
    const back = kind === "identities" ? "Devices" : listTitle(of);
    const state = kind === "cas" ? (known.reason ? stateMark("off", "cannot be used now") : stateMark("on", "works for many")) : row.disabled ? stateMark("disabled") : tokens.length ? stateMark(isUsable(token) ? "pending" : "tokenExpired") : stateMark(isIn ? "enrolled" : "none");
    show(
      place,
      pageHead({
        above: h("nav", { class: "crumbs", "aria-label": "Where this is" }, link(href(`/${kind}`), icon("left"), back)),
        title: whose,
        sub: [state, token?.expiresAt ? clock(token, () => load(true)) : null],
        actions: [token ? copyAs(() => codeCall(kind, id, token, "application/jwt"), { what: "how to fetch this token" }) : null, ...actions(token, isIn, whose), h("a", { class: "button", href: href(`/${kind}/${encodeURIComponent(id)}`) }, icon(of.icon), kind === "cas" ? "Its page" : kind === "identities" ? "Device page" : "Router page")],
      }),
      tokens.length > 1 ? which(tokens, token) : null,
      body(known, token, isIn, whose),
    );
  }
  /** @param {Token[]} tokens @param {Token} token */
  const which = (tokens, token) => h("div", { class: "segments", role: "group", "aria-label": "Which token" }, tokens.map((t) => h("button", { type: "button", "aria-pressed": String(t === token), onclick: () => ((chosen = t.id), load()) }, METHOD_WORDS[t.method])));

  /** @param {Token | undefined} token @param {boolean} isIn @param {string} whose */
  function actions(token, isIn, whose) {
    if (kind === "cas") return [];
    const then = async (/** @type {Promise<boolean>} */ done) => (await done) && load();
    const act = {
      renew: { id: "renew", label: "Renew …", key: "r", icon: "refresh", run: () => token && then(renew(token, whose)) },
      revoke: { id: "revoke", label: "Revoke …", icon: "close", run: () => token && then(revoke(token, whose)) },
      reissue: { id: "reissue", label: isIn ? "Re-issue …" : "Make a token …", icon: "refresh", run: () => then(reissue(kind, id, whose, isIn)) },
    };
    const some = token ? [act.renew, act.revoke, ...(isIn ? [act.reissue] : [])] : [act.reissue];
    page.offer(...some);
    return some.map((a) => h("button", { type: "button", class: a.id === "revoke" ? "danger-quiet" : "", onclick: a.run }, a.label));
  }
  /** @param {Known} known @param {Token | undefined} token @param {boolean} isIn @param {string} whose */
  function body({ row, keys, attempts, reason }, token, isIn, whose) {
    if (reason) return h("div", { class: "token-over" }, icon("warning"), h("div", {}, h("b", {}, "This token cannot be used now."), h("p", {}, reason)), h("a", { class: "button", href: href(`/cas/${encodeURIComponent(id)}`) }, "Go to the authority"));
    const got = keys.map((k) => keyCard(k, attempts, row));
    if (!token) return h("div", { class: "stack" }, isIn ? [h("p", { class: "joined", role: "status" }, icon("check"), h("span", {}, name(whose, "quoted"), " has joined.")), got, h("div", { class: "actions" }, h("a", { class: "button primary", href: href("/enroll", { kind: kind === "identities" ? "" : "router" }) }, icon("plus"), "Enroll another"))] : empty("enrollment", "It has no token", "Nobody can join with it now. Make a token to let it in.", h("button", { type: "button", class: "primary", onclick: async () => (await reissue(kind, id, whose, false)) && load() }, "Make a token")), log);
    if (!isUsable(token)) return h("div", { class: "stack" }, h("div", { class: "token-over" }, icon("warning"), h("div", {}, h("b", {}, "The token ended "), time(token.expiresAt), h("p", {}, "It was not used and cannot be used any more, so neither code nor file is shown.")), h("button", { type: "button", class: "primary", onclick: async () => (await renew(token, whose)) && load() }, "Renew it")), got, log);
    return h("div", { class: "token-page" }, tokenCard(token, whose), h("div", { class: "stack" }, stepsCard(token, whose), got.length ? got : null, log));
  }
  /** @param {Token} token @param {string} whose */
  function tokenCard(token, whose) {
    page.offer({ id: "copy-token", label: "Copy the token", key: "y", icon: "copy", run: () => copyToken(token, whose) }, { id: "save-token", label: "Download the token", key: "d", icon: "download", run: () => save(token, whose, id) });
    const links = token.id ? shareList(token.id) : null;
    const tools = h("div", { class: "token-tools" }, h("button", { type: "button", class: "primary", onclick: () => save(token, whose, id) }, icon("download"), "Download"), h("span", { class: "beside" }, copyAs(() => ({ method: "GET", path: `${MANAGEMENT}/${kind}/${encodeURIComponent(id)}`, accept: "application/jwt" }), { what: "fetching the token" })), copyButton(() => token.jwt, "Copy token"), token.id ? h("button", { type: "button", onclick: async () => (await shareLink(token, whose), links?.load()) }, icon("person"), "Share link") : null);
    return h("section", { class: "card token-card", "aria-label": "The token" }, h("div", { class: "card-body" }, qrCode(kind, id, token, whose, (fn) => page.onLeave(fn)), tools, h("p", { class: "soft" }, capital(METHOD_WORDS[token.method]), token.expiresAt ? ", works once." : ", works for any number of devices, as long as the authority may let them in."), links?.element));
  }
  /** @param {Token} token @param {string} whose */
  function stepsCard(token, whose) {
    const { iss } = claims(token.jwt);
    return card(kind === "cas" ? "How devices join" : "How it joins", [recipeTabs({ method: token.method, file: fileStem(whose, id), jwt: token.jwt, iss, username: token.username }), h("p", { class: "soft waits" }, kind === "cas" ? "Who joins appears below by itself." : "This page turns green by itself.")]);
  }
  /** @param {Known} known */
  function showAttempts({ attempts }) {
    const fresh = attempts.filter((a) => a.outcome !== "ok" || kind === "cas");
    if (!attempts.length) return show(log);
    const lines = attempts.slice(0, SEEN).map((a) => h("li", { class: Date.parse(a.createdAt) > began ? "fresh" : "" }, time(a.createdAt), stateMark(a.outcome === "ok" ? "passed" : "refused"), h("bdi", {}, a.reason), h("span", { class: "soft" }, a.sourceAddress)));
    show(log, card(fresh.length ? "Attempts to join" : "How it joined", h("ol", { class: "log" }, lines)));
  }
  page.onLeave(
    listen((news) => {
      const d = news.data || {};
      if (news.topic === "attempts" && d[SIDE[kind]] !== id) return;
      if (news.topic === "attempts" && d.outcome !== "ok") announce(`Refused: ${d.reason}`);
      if (news.topic === "changes" && d.id !== id && d.entity !== "enrollments") return;
      load(true);
    }),
  );
  load();
  return place;

  /** @param {Token} token @param {() => void} over */
  function clock(token, over) {
    const element = h("span", { class: "clock", role: "timer", title: token.expiresAt });
    const end = Date.parse(token.expiresAt || "");
    function tick() {
      const left = (end - Date.now()) / 1000;
      if (left > 0) element.textContent = `expires in ${left < 120 ? `${Math.ceil(left)} s` : span(left)}`;
      else element.textContent = "";
      if (left <= 0 || !element.isConnected) clearInterval(timer);
      if (left <= 0 && left > -2) over();
    }
    const timer = setInterval(tick, 1000);
    page.onLeave(() => clearInterval(timer));
    const left = (end - Date.now()) / 1000;
    element.textContent = left > 0 ? `expires in ${left < 120 ? `${Math.ceil(left)} s` : span(left)}` : "";
    return element;
  }
}

/** @param {string} text */
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** Everything that this page shows. @param {string} kind @param {string} id @returns {Promise<Known>} */
async function look(kind, id) {
  const quiet = { quiet: true };
  const filter = `${SIDE[kind]} = ${JSON.stringify(id)} and kind = "enroll" sort by createdAt desc`;
  const attempts = maybe(`${OWN}/attempts`, { filter, limit: 12 }, quiet).then((a) => a?.data || [], () => []);
  const { row } = await getRow(entity(kind), id);
  const reason = kind === "cas" ? whyNot(row) : "";
  const [tokens, keys] = await Promise.all([reason ? [] : tokensOf(kind, id), keysOf(kind, id, row)]);
  return { row, tokens, keys, attempts: await attempts, reason };
}

/** @param {any} ca */
function whyNot(ca) {
  if (!ca.isVerified) return "The authority is not verified: prove first that it is yours.";
  return ca.isAutoCaEnrollmentEnabled ? "" : "The authority may not let devices join by themselves. Switch that on first.";
}

/**
 * What it signs in with, with what stands in the certificates.
 * @param {string} kind @param {string} id @param {any} row @returns {Promise<any[]>}
 */
export async function keysOf(kind, id, row) {
  if (kind === "cas") return [];
  const known = maybe(`${OWN}/certificates`, { filter: `ownerId = ${JSON.stringify(id)}`, limit: 50 }, { quiet: true }).then((a) => a?.data || [], () => []);
  const held = kind === "identities" ? (await get(`${MANAGEMENT}/identities/${encodeURIComponent(id)}/authenticators`, { limit: 50 })).data : row.isVerified && row.fingerprint !== null ? [{ id, method: "cert", certPem: row.certPem, fingerprint: row.fingerprint, createdAt: row.updatedAt, isRouter: true }] : [];
  const facts = await known;
  return held.map((/** @type {any} */ a) => ({ ...facts.find((/** @type {any} */ f) => f.id === a.id || (f.fingerprint && f.fingerprint === a.fingerprint)), ...a }));
}

/** What the device got. @param {any} key @param {any[]} attempts @param {any} row */
function keyCard(key, attempts, row) {
  const how = attempts.find((a) => a.outcome === "ok" && (key.fingerprint ? a.fingerprint === key.fingerprint : true));
  const from = how ? [[ "Enrolled", h("span", {}, time(how.createdAt), " from ", code(how.sourceAddress, "Copy the address")) ]] : [["Enrolled", time(key.createdAt)]];
  if (key.method === "updb") return card("It signs in with a password", facts(/** @type {any} */ ([["User name", code(key.username || key.updbUsername || row.name, "Copy the user name")], ...from])), { kind: "good" });
  const sha256 = h("span", {}, "…");
  if (key.certPem) sha256Of(key.certPem).then((text) => show(sha256, code(text, "Copy the SHA-256 fingerprint")));
  else show(sha256, "–");
  return card("Its certificate", facts(/** @type {any} */ ([
    ["Subject", h("bdi", {}, key.subject || "–")],
    ["Issuer", h("bdi", {}, key.issuer || "–")],
    ["Valid until", date(key.notAfter)],
    ["SHA-256", sha256],
    ["SHA-1", key.fingerprint ? code(inPairs(key.fingerprint), "Copy the SHA-1 fingerprint") : "–"],
    ...from,
  ])), { kind: "good" });
}
