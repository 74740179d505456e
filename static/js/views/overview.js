/** The first screen: who is in, who is waiting, what is about to break. */
import { MANAGEMENT, OWN, get, maybe } from "../api.js";
import { debounced, h, redraw, show } from "../dom.js";
import { entityOf } from "../entities.js";
import { changedWords } from "../entities/shared.js";
import { watchHealth } from "../health.js";
import { icon } from "../icons.js";
import { listen } from "../live.js";
import { href } from "../router.js";
import { day, inDays, relative, span, time } from "../time.js";
import { bones, card, empty, failed, pageHead, pending, stateMark } from "../ui/parts.js";

const YEAR = 365 * 86_400_000;

/** @param {import("../router.js").Page} page */
export function overviewView(page) {
  const counts = h("div", { class: "funnel-place" });
  const strip = h("div", {});
  const attention = h("div", {});
  const attempts = h("div", {});
  const changes = h("div", {});

  async function load(quiet = false) {
    try {
      const found = (await maybe(`${OWN}/overview`, {}, { quiet }))?.data ?? null;
      if (!page.isOpen) return;
      redraw(counts, found ? funnel(found) : await plainFunnel());
      redraw(strip, expiry(found));
    } catch (error) {
      if (page.isOpen && !quiet) show(counts, failed(error, () => load(), "The overview could not be loaded"));
    }
  }
  const loadAttempts = () => fill(attempts, "attempts", attemptLine, "Attempts to enroll, to renew or to sign in stand here, with the reason when one was refused.");
  const loadChanges = () => fill(changes, "audit", changeLine, "What administrators change stands here, with who did it.");

  page.onLeave(watchHealth((found) => page.isOpen && redraw(attention, findings(found))));
  const again = debounced(800, () => page.isOpen && (load(true), loadAttempts(), loadChanges()));
  page.onLeave(listen(again));
  show(counts, h("div", { class: "funnel bones-like" }));
  load();
  loadAttempts();
  loadChanges();
  const all = (/** @type {string} */ path) => h("a", { href: href(path), class: "soft-link" }, "all");
  return h(
    "div",
    { class: "overview" },
    pageHead({ title: "Overview" }),
    counts,
    card("The next 12 months", strip, { kind: "flush-top" }),
    h("div", { class: "columns even" }, card("To look at", attention), card("Last attempts", attempts, { actions: all("/attempts") }), card("Last changes", changes, { actions: all("/audit") })),
  );
}

// --- the funnel

/** @param {any} o */
function funnel(o) {
  const { states } = o.identities;
  const state = (/** @type {string} */ name) => ({ filter: `enrollmentState = "${name}"` });
  return steps([
    ["waiting", states.pending, "pending", state("pending")],
    ["token expired", states.tokenExpired, "tokenExpired", state("tokenExpired")],
    ["enrolled", states.enrolled, "enrolled", state("enrolled")],
    ["never connected", o.identities.neverConnected, "none", { filter: "lastSeenAt = null" }],
    ["expiring", states.expiring, "expiring", { filter: `certificateExpiresAt < ${inDays(o.expiringDays || 30)}`, sort: "certificateExpiresAt" }],
    ["expired", states.expired, "expired", state("expired")],
    ["disabled", states.disabled, "disabled", state("disabled")],
  ]);
}

/** Where the controller counts no states: what the upstream lists say. */
async function plainFunnel() {
  const total = async (/** @type {string} */ path, /** @type {string} */ filter = "") => (await get(`${MANAGEMENT}/${path}`, { limit: 1, filter })).meta.pagination.totalCount;
  const [devices, tokens, routers, cas, sessions] = await Promise.all([total("identities"), total("enrollments"), total("edge-routers"), total("cas"), total("api-sessions")]);
  return steps([
    ["devices", devices, "enrolled", {}, "/identities"],
    ["pending tokens", tokens, "pending", {}, "/enrollments"],
    ["edge routers", routers, "enrolled", {}, "/edge-routers"],
    ["authorities", cas, "verified", {}, "/cas"],
    ["signed in", sessions, "active", {}, "/api-sessions"],
  ]);
}

/** @param {[string, number, string, Record<string, string>, string?][]} all */
function steps(all) {
  return h("ul", { class: "funnel" }, all.map(([words, number, state, query, path = "/identities"]) => h("li", {}, h("a", { href: href(path, query), class: number ? "" : "zero" }, h("b", {}, Number(number || 0).toLocaleString("en")), stateMark(state, words)))));
}

// --- what ends when

/** @param {any} o */
function expiry(o) {
  if (!o) return h("p", { class: "soft pad" }, "This controller does not say when certificates end.");
  const now = Date.now();
  const place = (/** @type {string} */ iso) => Math.max(0, Math.min(1, (Date.parse(iso) - now) / YEAR)) * 100;
  const weeks = o.certificatesByWeek || [];
  const most = Math.max(1, ...weeks.map((/** @type {any} */ w) => w.count));
  const heat = weeks.filter((/** @type {any} */ w) => w.count).map((/** @type {any} */ w) => {
    const until = new Date(Date.parse(w.from) + 7 * 86_400_000).toISOString();
    const words = `${w.count} certificate${w.count === 1 ? "" : "s"} of devices and routers end in the week of ${day(w.from)}`;
    const cell = h("a", { class: "heat", title: words, "aria-label": words, href: href("/identities", { filter: `certificateExpiresAt between datetime(${w.from}) and datetime(${until})`, sort: "certificateExpiresAt" }) });
    cell.style.left = `${place(w.from)}%`;
    cell.style.setProperty("--share", String(0.25 + 0.75 * (w.count / most)));
    return cell;
  });
  const months = Array.from({ length: 12 }, (_, i) => monthMark(i + 1, now));
  const marks = (o.authorities || []).filter((/** @type {any} */ a) => Date.parse(a.expiresAt) - now < YEAR).map((/** @type {any} */ a) => {
    const mark = h("span", { class: `mark ${urgency(a.expiresAt)}`, title: `${a.name}: ${relative(a.expiresAt)}` });
    mark.style.left = `${place(a.expiresAt)}%`;
    return mark;
  });
  return h("div", { class: "expiry" }, h("div", { class: "track", role: "group", "aria-label": "Certificates that end in each week" }, heat, marks), h("div", { class: "months", "aria-hidden": "true" }, months), nextOnes(o));
}

/** @param {number} ahead @param {number} now */
function monthMark(ahead, now) {
  const first = new Date(now);
  first.setDate(1);
  first.setMonth(first.getMonth() + ahead);
  const mark = h("span", {}, first.toLocaleString("en", { month: "short" }));
  mark.style.left = `${((first.getTime() - now) / YEAR) * 100}%`;
  return mark;
}

/** @param {string} iso */
const urgency = (iso) => (Date.parse(iso) <= Date.now() ? "expired" : Date.parse(iso) - Date.now() < 30 * 86_400_000 ? "expiring" : "ok");

/** @param {any} o */
function nextOnes(o) {
  const soon = [...(o.nextExpiries || [])].slice(0, 8);
  if (!soon.length) return h("p", { class: "soft pad" }, "Nothing ends.");
  const words = /** @type {Record<string, string>} */ ({ server: "server", root: "root", intermediate: "intermediate", ca: "CA" });
  return h("ul", { class: "next" }, soon.map((/** @type {any} */ e) => {
    const left = (Date.parse(e.expiresAt) - Date.now()) / 1000;
    const place = { identity: "identities", router: "edge-routers", ca: "cas" }[/** @type {"ca"} */ (e.kind)];
    // Where it can be renewed at once.
    const target = !place ? "/own-certificates" : e.what === "token" ? `/enroll/${place}/${encodeURIComponent(e.id)}` : `/${place}/${encodeURIComponent(e.id)}`;
    const act = e.what === "token" || !place ? "Renew" : e.kind === "ca" ? "Replace" : "Extend";
    const whose = place ? e.name : words[e.kind];
    const label = [words[e.kind] && `${words[e.kind]} `, h("bdi", {}, e.kind === "server" || e.kind === "root" || e.kind === "intermediate" ? "" : e.name)];
    return h("li", {}, stateMark(urgency(e.expiresAt) === "ok" ? "ok" : urgency(e.expiresAt), " "), h("a", { href: href(target), title: e.name }, label), h("span", { class: "soft" }, e.what === "token" ? "token " : "", h("time", { datetime: e.expiresAt, title: e.expiresAt, class: "fixed" }, left <= 0 ? (e.what === "token" ? "ended" : `ended ${span(-left)} ago`) : span(left))), h("a", { class: "button small act", href: href(target), "aria-label": `${act} ${whose}` }, act));
  }));
}

// --- what to look at

/** @param {import("../health.js").Found} found */
function findings(found) {
  if (found === undefined) return bones(3);
  if (!found) return empty("check", "No checks", "This controller does not look after itself.");
  if (!found.length) return h("p", { class: "all-good" }, icon("check"), "Nothing needs you.");
  return h("ul", { class: "findings" }, found.map((f) => h("li", { class: f.level }, stateMark(f.level === "bad" ? "refused" : "warning", " "), h("span", {}, h("bdi", {}, f.title), f.text ? [": ", h("bdi", {}, f.text)] : null), h("a", { href: f.href, class: "button small", "aria-label": `${f.link}: ${f.title}` }, f.link))));
}

// --- the two logs

/** @param {HTMLElement} place @param {string} key @param {(row: any) => HTMLElement} line @param {string} about */
async function fill(place, key, line, about) {
  const load = (quiet = false) => maybe(`${OWN}/${key}`, { filter: "sort by createdAt desc", limit: 20 }, { quiet });
  const draw = (/** @type {any} */ found) => {
    if (!found) return empty("activity", "No log here", "This controller keeps none.");
    if (!found.data.length) return h("p", { class: "soft" }, about);
    // By the keyboard it is scrolled like by the wheel.
    return h("ol", { class: "log small", tabindex: "0", "aria-label": `The last ${found.data.length}` }, found.data.map(line));
  };
  if (!place.childElementCount) return show(place, pending(load, draw, { lines: 5 }));
  const found = await load(true).catch(() => undefined);
  if (found !== undefined) show(place, draw(found));
}

/** @param {any} a */
function attemptLine(a) {
  const isOk = a.outcome === "ok";
  return h("li", {}, time(a.createdAt), stateMark(isOk ? "passed" : "refused", " "), h("a", { href: href(`/attempts/${a.id}`), class: "log-text" }, h("bdi", {}, a.reason)), h("span", { class: "soft" }, a.sourceAddress));
}

/** @param {any} c */
function changeLine(c) {
  const of = entityOf(c.entity);
  const words = [`${c.verb} `, h("bdi", {}, c.entityName || c.entityId || c.entity)];
  const target = of && c.entityId && c.verb !== "delete" ? h("a", { href: href(`/${of.key}/${encodeURIComponent(c.entityId)}`), class: "log-text" }, words) : h("span", { class: "log-text" }, words);
  return h("li", {}, time(c.createdAt), h("span", {}, target, h("span", { class: "soft" }, ` ${changedWords(c)}`)), h("span", { class: "soft" }, c.actorName || ""));
}
