/**
 * All pages. A new page is a row here: its path, the module that is loaded when it is first visited, the name of its view. A view is
 * a function from a `Page` (router.js) to an element or a promise of one. Paths are tried in this order.
 */
import { ENTITIES } from "./entities.js";
import { addPage, capital, listTitle } from "./places.js";

addPage({ path: "/", place: "overview", view: "overviewView", title: "Overview", load: () => import("./views/overview.js") });
addPage({ path: "/overview", place: "overview", view: "overviewView", title: "Overview", load: () => import("./views/overview.js") });
addPage({ last: true, path: "/about", place: "settings", label: "About", view: "aboutView", title: "About", load: () => import("./views/about.js") });

// Guided pages stand before the generic ones of the same entity.
addPage({ path: "/enroll", place: "enrollments", view: "enrollView", title: "Enroll a device", load: () => import("./views/enroll.js") });
addPage({ path: "/enroll/:kind/:id", place: "enrollments", view: "enrolledView", title: "Token", load: () => import("./views/enrolled.js") });
addPage({ path: "/cas/:id/setup", place: "authorities", view: "setupView", title: "Import an authority", load: () => import("./views/authority-import.js") });
addPage({ path: "/own-certificates", place: "authorities", label: "Our own", view: "ownCertificatesView", title: "Our own certificates", load: () => import("./views/own-certificates.js") });
addPage({ path: "/identities/import", place: "devices", label: "Import", view: "importView", title: "Import", load: () => import("./views/import.js") });
addPage({ path: "/addresses", place: "settings", view: "addressesView", title: "Addresses", load: () => import("./views/addresses.js") });
addPage({ path: "/backups", place: "settings", view: "backupsView", title: "Backups", load: () => import("./views/backups.js") });
addPage({ path: "/settings", place: "settings", label: "Lifetimes and limits", view: "settingsView", title: "Lifetimes and limits", load: () => import("./views/settings.js") });
addPage({ first: true, path: "/checks", place: "settings", label: "Health", view: "checksView", title: "Health", load: () => import("./views/checks.js") });

for (const e of ENTITIES) {
  const common = { place: e.place, with: { entity: e } };
  addPage({ ...common, path: `/${e.key}`, view: "listView", title: listTitle(e), load: () => import("./views/list.js") });
  if (e.verbs.includes("c")) addPage({ ...common, path: `/${e.key}/new`, view: "editView", title: `New ${e.one}`, load: () => import("./views/edit.js") });
  addPage({ ...common, path: `/${e.key}/:id`, view: "itemView", title: capital(e.one), load: () => import("./views/item.js") });
  if (e.verbs.includes("u")) addPage({ ...common, path: `/${e.key}/:id/edit`, view: "editView", title: `Edit ${e.one}`, load: () => import("./views/edit.js") });
}
