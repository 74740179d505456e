/**
 * The places of the rail and what each holds. A place shows its pages as tabs. Entities join by their `place`; other pages by
 * `addPage`.
 * @typedef {{key: string, label: string, icon: string, first: string, go?: string}} Place `go`: the key after "g"
 * @typedef {{path: string, label: string}} PlacePage
 */
import { ENTITIES } from "./entities.js";
import { addRoute, href } from "./router.js";
import { tabs } from "./ui/parts.js";

/** @type {Place[]} */
export const PLACES = [
  { key: "overview", label: "Overview", icon: "overview", first: "/overview", go: "o" },
  { key: "devices", label: "Devices", icon: "device", first: "/identities", go: "d" },
  { key: "routers", label: "Routers", icon: "router", first: "/edge-routers", go: "r" },
  { key: "authorities", label: "Authorities", icon: "authority", first: "/cas", go: "a" },
  { key: "enrollments", label: "Enrollments", icon: "enrollment", first: "/enrollments", go: "e" },
  { key: "access", label: "Access", icon: "access", first: "/services", go: "s" },
  { key: "sign-in", label: "Sign-in", icon: "signin", first: "/auth-policies", go: "p" },
  { key: "activity", label: "Activity", icon: "activity", first: "/attempts", go: "l" },
  { key: "settings", label: "Settings", icon: "settings", first: "/checks", go: "," },
];

/** Tabs are short. @type {Record<string, string>} */
const SHORT = {
  identities: "Devices",
  cas: "Imported authorities",
  enrollments: "Pending tokens",
  "edge-router-policies": "Router policies",
  "service-edge-router-policies": "Service router policies",
  "controller-settings": "OIDC",
  audit: "Audit",
};

/** @param {string} text */
export const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** @type {Map<string, PlacePage[]>} */
const pages = new Map(PLACES.map((p) => [p.key, []]));
for (const e of ENTITIES) pages.get(e.place)?.push({ path: `/${e.key}`, label: SHORT[e.key] || capital(e.many) });

/** The pages of a place. @param {string} place */
export const pagesOf = (place) => pages.get(place) || [];

/** How the list of an entity is called. @param {import("./entities.js").Entity} of */
export const listTitle = (of) => SHORT[of.key] || capital(of.many);

/**
 * Add a page that is no entity. With a label it becomes a tab of its place.
 * @param {import("./router.js").Route & {label?: string, first?: boolean, last?: boolean}} route
 */
export function addPage(route) {
  addRoute(route);
  if (!route.label || !route.place) return;
  const list = pagesOf(route.place);
  if (route.last) return void queueMicrotask(() => list.push({ path: route.path, label: /** @type {string} */ (route.label) }));
  if (route.first) list.unshift({ path: route.path, label: route.label });
  else list.push({ path: route.path, label: route.label });
}

/** The tabs of a place, with the current one marked. @param {string} place @param {string} current its path */
export function placeTabs(place, current) {
  const list = pagesOf(place);
  if (list.length < 2) return null;
  const label = PLACES.find((p) => p.key === place)?.label || "";
  return tabs(list.map((p) => ({ label: p.label, href: href(p.path), current: p.path === current })), label);
}
