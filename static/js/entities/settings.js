/** The controller itself. */
import { OWN } from "../api.js";
import { CREATED, NAME, TAGS } from "./shared.js";

/** @type {Partial<import("../entities.js").Entity>[]} */
export const SETTINGS = [
  {
    key: "addresses",
    base: OWN,
    one: "address",
    many: "addresses",
    place: "settings",
    icon: "settings",
    about: "The names by which clients reach this controller. The issuer stands in new tokens; all of them stand in the certificate.",
    search: "address",
    title: (r) => r.address,
    columns: [{ ...NAME, name: "address", label: "Address" }, { name: "isIssuer", label: "Goes into tokens", kind: "bool" }, { name: "isAnnounced", label: "Told to clients", kind: "bool" }, CREATED],
    fields: [
      { name: "address", label: "Address", kind: "text", on: "c", required: true, hint: "host or host:port" },
      { name: "isIssuer", label: "Goes into new tokens", kind: "switch" },
      { name: "isAnnounced", label: "Told to clients", kind: "switch", value: true },
      TAGS,
    ],
    links: [{ path: "identities", to: "identities", label: "Devices that joined by it", loses: "cannot find the controller" }, { path: "routers", to: "transit-routers", label: "Routers that joined by it", loses: "cannot find the controller" }],
  },
  {
    key: "backups",
    base: OWN,
    verbs: "lgcd",
    one: "backup",
    many: "backups",
    place: "settings",
    icon: "download",
    about: "A copy of everything: database and keys.",
    columns: [{ ...NAME, from: (r) => r.name || r.id }, { name: "state", label: "State", kind: "state" }, { name: "size", label: "Size", kind: "count" }, CREATED],
    fields: [{ name: "name", label: "Name", kind: "text" }],
  },
  {
    key: "controller-settings",
    verbs: "lgcud",
    saveBy: "PUT",
    savePath: "/effective",
    one: "OIDC setting",
    many: "OIDC settings",
    place: "settings",
    icon: "settings",
    about: "Where the sign-in by OIDC may send people back to; for all controllers, or for one.",
    search: "id",
    columns: [{ ...NAME, name: "id", label: "For" }, { name: "oidc", label: "Set", kind: "json", wide: true, sort: false }, CREATED],
    fields: [
      { name: "controllerId", label: "For", kind: "text", on: "c", required: true, hint: "global, or the id of a controller" },
      { name: "oidc.redirectUris", label: "Back to, after signing in", kind: "strings" },
      { name: "oidc.postLogoutUris", label: "Back to, after signing out", kind: "strings" },
      TAGS,
    ],
  },
];
