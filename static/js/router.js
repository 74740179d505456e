/**
 * Addresses below `/console/` and the pages they stand for (docs/adr/0011). A page is a row in `pages.js`; its view is a function
 * from a `Page` to an element, or to a promise of one.
 */

export const ROOT = "/console";

/**
 * @typedef {object} Route
 * @property {string} path e.g. "/identities/:id/edit"
 * @property {() => Promise<any>} load imports the module of the view
 * @property {string} view the name of the view function in it
 * @property {Record<string, any>} [with] passed on as `page.given`
 * @property {string} [place] which place of the rail it belongs to
 * @property {string} [title]
 *
 * @typedef {{id: string, label: string, run: () => any, key?: string, icon?: string}} Command something a person can do here
 */

/** What a view gets: where it is, and what it may ask of the frame around it. */
export class Page {
  /** @param {Route} route @param {Record<string, string>} params @param {URLSearchParams} query */
  constructor(route, params, query) {
    this.route = route;
    this.params = params;
    this.query = query;
    this.given = route.with || {};
    /** @type {(() => void)[]} */
    this.leaving = [];
    /** @type {() => boolean} */
    this.isDirty = () => false;
    /** What the palette, the shortcuts and the help offer on this page. @type {Command[]} */
    this.commands = [];
    /** @type {string} */
    this.title = route.title || "";
    this.isOpen = true;
  }

  /** Called when the page is left: end timers and listeners. @param {() => void} fn */
  onLeave(fn) {
    this.leaving.push(fn);
  }

  /** Ask before the page is left while this is true. @param {() => boolean} fn */
  guard(fn) {
    this.isDirty = fn;
  }

  /** Name the page in the tab and for screen readers. @param {string} text */
  setTitle(text) {
    this.title = text;
    document.title = text ? `${text} · Zitilite` : "Zitilite";
  }

  /** Offer something to do. @param {...Command} commands */
  offer(...commands) {
    this.commands.push(...commands);
  }

  /** Change the query in the address without leaving the page. @param {Record<string, any>} values "" and undefined leave one out */
  setQuery(values) {
    for (const [key, value] of Object.entries(values)) {
      if (value === "" || value === undefined || value === null) this.query.delete(key);
      else this.query.set(key, String(value));
    }
    const text = this.query.toString();
    history.replaceState(history.state, "", location.pathname + (text ? `?${text}` : ""));
  }
}

/** @type {{route: Route, pattern: RegExp, names: string[]}[]} */
const routes = [];
/** @type {{show: (page: Page) => Promise<void>, confirm: () => Promise<boolean>}} */
let frame = { show: async () => {}, confirm: async () => true };
/** @type {Page | null} */
let here = null;

/** Make an address known. The first that fits wins. @param {Route} route */
export function addRoute(route) {
  const names = [...route.path.matchAll(/:(\w+)/g)].map((m) => m[1]);
  const pattern = new RegExp(`^${route.path.replace(/:\w+/g, "([^/]+)")}/?$`);
  routes.push({ route, pattern, names });
}

/** The page that is shown. */
export const currentPage = () => here;

/** The address of a page, for links. @param {string} path @param {Record<string, any>} [query] */
export function href(path, query = {}) {
  const given = Object.entries(query).filter(([, v]) => v !== "" && v !== undefined && v !== null);
  return ROOT + path + (given.length ? `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : "");
}

/** Go to a page. @param {string} path below /console @param {Record<string, any>} [query] @param {{replace?: boolean, sure?: boolean}} [how] */
export async function go(path, query = {}, { replace = false, sure = false } = {}) {
  if (!sure && !(await mayLeave())) return;
  const url = href(path, query);
  if (replace) history.replaceState({}, "", url);
  else history.pushState({}, "", url);
  await open();
}

async function mayLeave() {
  return !here || !here.isDirty() || frame.confirm();
}

/** Show the page of the address again, from the beginning. */
export async function open() {
  const path = decodeURI(location.pathname).startsWith(ROOT) ? location.pathname.slice(ROOT.length) || "/" : "/";
  const page = find(path, new URLSearchParams(location.search));
  leave();
  here = page;
  page.setTitle(page.title);
  await frame.show(page);
}

function leave() {
  if (!here) return;
  here.isOpen = false;
  for (const fn of here.leaving.splice(0)) fn();
}

/** @param {string} path @param {URLSearchParams} query */
function find(path, query) {
  for (const { route, pattern, names } of routes) {
    const found = pattern.exec(path);
    if (found) return new Page(route, Object.fromEntries(names.map((n, i) => [n, decodeURIComponent(found[i + 1])])), query);
  }
  const nowhere = { path, load: () => import("./views/nowhere.js"), view: "nowhereView", title: "No such page" };
  return new Page(nowhere, { path }, query);
}

/** Begin: links and the back button change the page. @param {typeof frame} given */
export function start(given) {
  frame = given;
  addEventListener("popstate", async () => {
    if (await mayLeave()) await open();
    else history.forward();
  });
  document.addEventListener("click", (event) => {
    const link = /** @type {Element} */ (event.target).closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (link.origin !== location.origin || !link.pathname.startsWith(`${ROOT}/`) || link.target || link.hasAttribute("download")) return;
    event.preventDefault();
    const target = new URL(link.href);
    go(target.pathname.slice(ROOT.length), Object.fromEntries(target.searchParams));
  });
  addEventListener("beforeunload", (event) => {
    if (here && here.isDirty()) event.preventDefault();
  });
}
