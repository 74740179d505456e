/** The frame around every page: rail, top bar, bottom bar on a phone, the banner when the controller cannot be reached. */
import { CLIENT_VERSION, SLOW_MS, Unreachable, signOut } from "./api.js";
import { h, show } from "./dom.js";
import { look, watchHealth } from "./health.js";
import { icon } from "./icons.js";
import { offer } from "./keys.js";
import { listen, watchLine } from "./live.js";
import { PLACES, pagesOf } from "./places.js";
import { currentPage, go, href, open } from "./router.js";
import { session } from "./session.js";
import { allSheets } from "./sheets.js";
import { setTheme, theme } from "./store.js";
import { confirm, openDialog } from "./ui/dialog.js";
import { menuButton } from "./ui/menu.js";
import { bones, failed, stateMark } from "./ui/parts.js";
import { announce, openHistory, watchUnread } from "./ui/toast.js";

const BOTTOM = ["overview", "devices", "authorities", "enrollments"];
const LINE = { live: ["active", "live", "Changes are shown as they happen"], polling: ["pending", "polling", "Looking for changes every 15 seconds"], paused: ["disabled", "paused", "Paused while the tab is hidden"], off: ["disabled", "off", "Not connected"] };
const HEALTH_MS = 120_000;

const openPalette = () => import("./ui/palette.js").then((m) => m.openPalette());
const openKeys = () => import("./ui/palette.js").then((m) => m.openKeys());
const main = h("main", { id: "main", tabindex: "-1" });
const banner = h("div", { class: "banner", role: "alert", hidden: true });
/** @type {HTMLAnchorElement[]} */
const links = [];

/** Build the frame. @returns {HTMLElement} */
export function shell() {
  const rail = h("nav", { class: "rail", "aria-label": "Places" }, brand(), h("ul", {}, PLACES.map((p) => h("li", {}, placeLink(p)))));
  offerEverywhere();
  setInterval(() => document.hidden || look(), HEALTH_MS);
  listen((news) => news.topic === "changes" && lookSoon());
  return h("div", { class: "frame" }, h("a", { href: "#main", class: "skip", onclick: skip }, "To the content"), rail, h("div", { class: "body" }, topBar(), banner, main), bottomBar(), primary("float"));
}

let soon = 0;
function lookSoon() {
  clearTimeout(soon);
  soon = setTimeout(() => look(), 3000);
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  main.focus();
}

function brand() {
  return h("a", { class: "brand", href: href("/overview") }, h("img", { src: new URL("../icon.svg", import.meta.url).pathname, alt: "", width: 24, height: 24 }), h("span", {}, "Zitilite"));
}

/** @param {import("./places.js").Place} p */
function placeLink(p) {
  const link = h("a", { href: href(p.first), data: { place: p.key } }, icon(p.icon), h("span", {}, p.label));
  links.push(link);
  return link;
}

/** The primary action of the whole console. @param {string} kind */
const primary = (kind) => h("a", { class: `button primary enroll ${kind}`, href: href(enrollPath) }, icon("plus"), h("span", {}, "Enroll a device"));
/** Where "Enroll a device" goes. */
export const enrollPath = "/enroll";

function topBar() {
  const health = h("a", { class: "health", href: href("/checks") });
  watchHealth((found) => {
    const bad = found?.filter((f) => f.level === "bad").length || 0;
    const state = !found ? "none" : bad ? "refused" : found.length ? "warning" : "ok";
    const words = found === undefined ? "looking …" : !found ? "health unknown" : found.length ? `${found.length} to look at` : "all well";
    show(health, stateMark(state, words));
  });
  const line = h("span", { class: "line" });
  watchLine((state) => {
    const [mark, words, title] = LINE[state];
    show(line, stateMark(mark, words));
    line.title = title;
  });
  const search = h("button", { type: "button", class: "search-button", onclick: openPalette }, icon("search"), h("span", {}, "Do or find"), h("kbd", { "aria-hidden": "true" }, "Ctrl K"));
  return h("header", { class: "top" }, h("span", { class: "only-small" }, brand()), h("span", { class: "host", title: location.host }, location.host), health, line, h("span", { class: "gap" }), search, primary("in-bar"), bell(), themeMenu(), account());
}

function bell() {
  const number = h("span", { class: "badge", hidden: true });
  const button = h("button", { type: "button", class: "quiet icon-only", "aria-label": "Messages", onclick: openHistory }, icon("bell"), number);
  watchUnread((count) => {
    number.hidden = !count;
    number.textContent = String(count);
    button.setAttribute("aria-label", count ? `Messages, ${count} new` : "Messages");
  });
  return button;
}

function themeMenu() {
  const items = () => /** @type {["system" | "light" | "dark", string, string][]} */ ([["system", "As the system", "half"], ["light", "Light", "sun"], ["dark", "Dark", "moon"]]).map(([value, label, sign]) => ({ label, icon: sign, checked: theme() === value, run: () => setTheme(value) }));
  return menuButton({ label: icon("half"), aria: "Light or dark", class: "quiet icon-only theme-button", items });
}

function account() {
  return menuButton({
    label: icon("person"),
    aria: "Account",
    class: "quiet icon-only",
    items: () => [
      { label: session()?.identity.name || "", icon: "person", href: href(`/identities/${session()?.identity.id}`) },
      { label: "Messages", icon: "bell", run: openHistory },
      { label: "Light or dark", icon: "half", href: href("/about") },
      { label: "Keys", icon: "help", run: openKeys },
      { label: "Sign out", icon: "signin", run: leaveForGood },
    ],
  });
}

/** What was to be deleted in a moment is deleted before. */
async function leaveForGood() {
  await (await import("./removing.js")).removeAllNow();
  await signOut();
}

function bottomBar() {
  const some = PLACES.filter((p) => BOTTOM.includes(p.key));
  const more = h("button", { type: "button", onclick: openMore }, icon("more"), h("span", {}, "More"));
  return h("nav", { class: "bottom", "aria-label": "Main places" }, some.map(placeLink), more);
}

function openMore() {
  openDialog({ title: "All pages", kind: "sheet", body: (close) => h("div", { class: "all-pages" }, PLACES.map((p) => h("section", {}, h("h3", {}, icon(p.icon), p.label), h("ul", {}, (pagesOf(p.key).length ? pagesOf(p.key) : [{ path: p.first, label: p.label }]).map((one) => h("li", {}, h("a", { href: href(one.path), onclick: () => close() }, one.label))))))) });
}

function offerEverywhere() {
  offer(
    { id: "palette", label: "Do or find", key: "Ctrl+K", icon: "search", run: openPalette },
    { id: "keys", label: "All keys", key: "?", icon: "help", run: openKeys },
    { id: "enroll", label: "Enroll a device", key: "g n", icon: "plus", run: () => go(enrollPath) },
    ...PLACES.map((p) => ({ id: `go-${p.key}`, label: `Go to ${p.label}`, key: p.go && `g ${p.go}`, icon: p.icon, run: () => go(p.first) })),
    ...PLACES.flatMap((p) => pagesOf(p.key).slice(1).map((one) => ({ id: `go${one.path}`, label: `Go to ${one.label}`, icon: p.icon, run: () => go(one.path) }))),
    { id: "light", label: "Theme: light", icon: "sun", run: () => setTheme("light") },
    { id: "dark", label: "Theme: dark", icon: "moon", run: () => setTheme("dark") },
    { id: "system", label: "Theme: as the system", icon: "half", run: () => setTheme("system") },
    { id: "messages", label: "Messages", icon: "bell", run: openHistory },
    { id: "out", label: "Sign out", icon: "signin", run: leaveForGood },
  );
}

/** Show a page in the frame. @param {import("./router.js").Page} page */
export async function showPage(page) {
  document.body.dataset.place = page.route.place || "";
  for (const link of links) {
    if (link.dataset.place === page.route.place) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const holder = h("div", { class: "page" }, bones(8));
  const slow = setTimeout(() => page.isOpen && show(main, holder), main.childElementCount ? 150 : 0);
  const late = setTimeout(() => holder.append(h("p", { class: "soft", role: "status" }, "Still loading. The line is slow, or the controller does not answer.")), SLOW_MS);
  try {
    const [module] = await Promise.all([page.route.load(), page.route.place === "overview" ? null : allSheets()]).catch((error) => {
      throw error instanceof TypeError ? new Unreachable() : error;
    });
    const element = await module[page.route.view](page);
    if (!page.isOpen) return;
    show(main, h("div", { class: "page" }, element));
  } catch (error) {
    if (page.isOpen) show(main, h("div", { class: "page" }, failed(error, open, "This page could not be shown")));
  } finally {
    clearTimeout(slow);
    clearTimeout(late);
  }
  scrollTo(0, 0);
  if (document.activeElement === document.body) main.focus({ preventScroll: true });
  announce(page.title);
}

/** Ask before unsaved changes are dropped. */
export const confirmLeave = () => confirm({ title: "Leave without saving?", body: h("p", {}, "What you changed here is not saved."), yes: "Leave", no: "Stay", danger: true });

let isDown = false;

/** Say whether the controller can be reached; try again until it can. @param {boolean} isUp */
export function line(isUp) {
  if (isUp === !isDown) return;
  isDown = !isUp;
  banner.hidden = isUp;
  if (isUp) return takeUp();
  const retry = h("button", { type: "button", onclick: () => probe() }, "Try now");
  show(banner, icon("warning"), h("span", {}, h("b", {}, "The controller cannot be reached."), " What you see may be old. Trying again by itself. Was its certificate renewed just now? Then reload the page."), retry, h("button", { type: "button", onclick: () => location.reload() }, "Reload"));
  wait(2000);
}

/** Say that an answer is long in coming. @param {boolean} isSlow */
export function slow(isSlow) {
  if (isDown) return;
  banner.hidden = !isSlow;
  if (isSlow) show(banner, icon("activity"), h("span", {}, h("b", {}, "No answer yet."), " The line is slow, or the controller does not answer. Still waiting."));
}

/** Back again: what failed is loaded anew, but a form that is being filled in stays. */
function takeUp() {
  const page = currentPage();
  if (page && !page.isDirty()) open();
  look();
}

/** @param {number} ms */
function wait(ms) {
  setTimeout(async () => isDown && !(await probe()) && wait(Math.min(ms * 1.5, 20_000)), ms);
}

/** @returns {Promise<boolean>} */
async function probe() {
  try {
    await fetch(CLIENT_VERSION, { credentials: "omit" });
    line(true);
    return true;
  } catch {
    return false;
  }
}
