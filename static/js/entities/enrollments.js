/** Tokens that wait. */
import { METHODS, NAME } from "./shared.js";

/** @type {Partial<import("../entities.js").Entity>[]} */
export const ENROLLMENTS = [
  {
    key: "enrollments",
    atOnce: true,
    verbs: "lgd",
    one: "pending token",
    many: "pending tokens",
    place: "enrollments",
    icon: "enrollment",
    about: "A token that waits for its device. It works once, until its time is over.",
    panels: [() => import("../views/tokenpanel.js")],
    search: "id",
    title: (r) => r.identity?.name || r.edgeRouter?.name || r.transitRouter?.name || r.id,
    columns: [
      { ...NAME, name: "identity", label: "For", from: (r) => r.identity?.name || r.edgeRouter?.name || r.transitRouter?.name || r.username || r.id, sort: false },
      { name: "expiresAt", label: "State", kind: "state", from: (r) => (Date.parse(r.expiresAt) > Date.now() ? "pending" : "tokenExpired"), sort: false },
      { name: "method", label: "Joins", sort: false, from: (r) => METHODS[r.method] || r.method },
      { name: "expires", label: "Ends", kind: "time", from: (r) => r.expiresAt, sort: false },
    ],
    fields: [],
  },
];
