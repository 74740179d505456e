/** What several rows of the table have in common. */

export const NAME = { name: "name", label: "Name", kind: "main", wide: true };
export const CREATED = { name: "createdAt", label: "Created", kind: "time" };
export const NAME_FIELD = { name: "name", label: "Name", kind: "text", required: true };
export const TAGS = { name: "tags", label: "Tags", kind: "tags", more: true, hint: "For your own notes. Nothing in the network looks at them." };
export const SEMANTIC = { name: "semantic", label: "Who is meant", kind: "choice", value: "AnyOf", required: true, options: [["AnyOf", "any of the roles is enough"], ["AllOf", "all of the roles are needed"]] };
export const ENROLLMENT_STATES = ["none", "pending", "tokenExpired", "enrolled", "expiring", "expired", "disabled"];
/** @type {Record<string, string>} */
export const METHODS = { ott: "with a one-time token", ottca: "with a token and a certificate", updb: "with a password", erott: "as an edge router", trott: "as a transit router" };
export const OS = ["Windows", "WindowsServer", "Android", "iOS", "Linux", "macOS"];
export const PERMISSIONS = ["auth-policy", "ca", "config", "config-type", "edge-router-policy", "enrollment", "external-jwt-signer", "identity", "ops", "posture-check", "router", "service", "service-edge-router-policy", "service-policy", "terminator"];

/** @param {string} name @param {string} label @param {string} to @param {string} known */
export const roles = (name, label, to, known) => ({ name, label, kind: "roles", to, known, hint: "#attribute, @name, or #all" });
/** @param {string} name @param {string} label */
export const roleColumn = (name, label) => ({ name, label, kind: "roles", sort: /** @type {false} */ (false) });

/** What a line of the audit log changed, in words; that the row was written is no news. @param {{changed?: string[]}} line */
export function changedWords({ changed = [] }) {
  return changed.filter((column) => column !== "updated_at").map((column) => column.replaceAll("_", " ")).join(", ");
}
