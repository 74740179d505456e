/** The logs. */
import { OWN } from "../api.js";
import { changedWords } from "./shared.js";

/** @type {Partial<import("../entities.js").Entity>[]} */
export const ACTIVITY = [
  {
    key: "attempts",
    base: OWN,
    verbs: "lg",
    one: "attempt",
    many: "attempts",
    place: "activity",
    icon: "activity",
    about: "Every try to enroll, to renew a certificate, to verify an authority or to sign in, with the reason when it was refused.",
    search: "reason",
    sort: "createdAt desc",
    title: (r) => r.reason || r.id,
    columns: [
      { name: "createdAt", label: "When", kind: "time" },
      { name: "outcome", label: "Outcome", kind: "state", from: (r) => (r.outcome === "ok" ? "passed" : r.outcome) },
      { name: "reason", label: "What happened", kind: "main", wide: true },
      { name: "kind", label: "Kind" },
      { name: "sourceAddress", label: "From" },
    ],
    fields: [],
    views: [{ name: "Refused", filter: 'outcome = "refused"' }, { name: "Enrollments", filter: 'kind = "enroll"' }, { name: "Sign-ins", filter: 'kind = "login"' }],
    values: { outcome: ["ok", "refused"], kind: ["enroll", "extend", "verify", "login"] },
  },
  {
    key: "audit",
    base: OWN,
    verbs: "lg",
    one: "change",
    many: "changes",
    place: "activity",
    icon: "activity",
    about: "What administrators changed, when, from where, and what it was before.",
    search: "entityName",
    sort: "createdAt desc",
    title: (r) => `${r.verb} ${r.entityName || r.entityId || ""}`,
    columns: [
      { name: "createdAt", label: "When", kind: "time" },
      { name: "entityName", label: "What", kind: "main", wide: true, from: (r) => `${r.verb} ${r.entityName || r.entityId || r.entity}` },
      { name: "entity", label: "Of" },
      { name: "changed", label: "Properties", sort: false, from: changedWords },
      { name: "actorName", label: "By" },
      { name: "sourceAddress", label: "From" },
    ],
    fields: [],
  },
];
