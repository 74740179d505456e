/**
 * The table of the console: one row an entity of the API. From it come its list, its page, its form, its links and its actions.
 *
 * @typedef {object} Column
 * @property {string} name the property, dots go into objects
 * @property {string} label
 * @property {string} [kind] how it is drawn, a key of `DRAW` in ui/values.js: main, text, state, time, date, attributes, roles, bool,
 *   code, ref, count, json
 * @property {string | false} [sort] the name to sort by, when it is another one, or false when it has no order
 * @property {(row: any) => any} [from] the value, when it is no plain property
 * @property {string} [to] for refs: the entity that is pointed at
 * @property {boolean} [wide] gets what room there is
 *
 * @typedef {object} Field
 * @property {string} name the property in the body, dots go into objects
 * @property {string} label
 * @property {string} kind a key of `FIELDS` in ui/fields.js
 * @property {string} [on] "c", "u" or both (the default): when it can be set
 * @property {boolean} [required]
 * @property {string} [hint]
 * @property {any} [value] what a new one begins with
 * @property {string[] | [string, string][]} [options] of a choice: values, or pairs of value and words
 * @property {string} [to] the entity that a ref or a role names
 * @property {string} [known] the list with known attributes, a path of the management API
 * @property {(row: any) => any} [from] reads the value from a row, when it is no plain property
 * @property {boolean} [more] stands behind "more"
 * @property {(values: any) => boolean} [when] whether it makes sense with the other values
 *
 * @typedef {object} Association
 * @property {string} path below the item
 * @property {string} to an entity
 * @property {string} [label]
 * @property {string} [loses] what happens to them when the item is deleted: "lose access", "are deleted"
 * @property {boolean} [panel] shown by a panel of its own
 *
 * @typedef {object} ItemAction
 * @property {string} id
 * @property {string} label
 * @property {string} [icon]
 * @property {boolean} [danger]
 * @property {(row: any) => boolean} [when]
 * @property {(row: any) => import("./curl.js").Call} call
 * @property {string} done a sentence, after it worked
 * @property {(row: any) => string} [ask] what to ask before
 *
 * @typedef {object} Entity
 * @property {string} key its place in addresses
 * @property {string} path its collection
 * @property {string} base
 * @property {string} one @property {string} many
 * @property {string} place the place of the rail
 * @property {string} icon
 * @property {string} about what it is for, said where there is none
 * @property {string} verbs of l g c u d
 * @property {Column[]} columns
 * @property {Field[]} fields
 * @property {string} [own] a richer list and item for reading, tried first
 * @property {string} [fixed] a condition that the richer list needs to be the same set
 * @property {Association[]} [links]
 * @property {ItemAction[]} [actions]
 * @property {{name: string, filter: string, sort?: string}[]} [views] views that everybody has
 * @property {string} [known] where its attributes are listed
 * @property {string} [sort] how it is sorted at first
 * @property {(row: any) => string} [title]
 * @property {string} [search] the property that plain words are looked for in
 * @property {string[]} [always] properties that every change must send along
 * @property {"PUT"} [saveBy] changes replace the whole
 * @property {string} [savePath] what is put behind the item's path when it is saved or deleted
 * @property {(() => Promise<any>)[]} [panels] modules whose `panel(item, page)` adds a card to its page
 * @property {() => Promise<any>} [creator] a module whose `createView` stands instead of the generic form
 * @property {(row: any) => Promise<string[]>} [consequences] what deleting one does, in sentences
 * @property {boolean} [atOnce] deleting one cuts somebody off, so it does not wait for ten seconds
 * @property {Record<string, string[]>} [values] known values of properties, for completion
 */
import { MANAGEMENT, OWN } from "./api.js";

const NAME = { name: "name", label: "Name", kind: "main", wide: true };
const CREATED = { name: "createdAt", label: "Created", kind: "time" };
const NAME_FIELD = { name: "name", label: "Name", kind: "text", required: true };
const TAGS = { name: "tags", label: "Tags", kind: "tags", more: true, hint: "For your own notes. Nothing in the network looks at them." };
const SEMANTIC = { name: "semantic", label: "Who is meant", kind: "choice", value: "AnyOf", required: true, options: [["AnyOf", "any of the roles is enough"], ["AllOf", "all of the roles are needed"]] };
export const ENROLLMENT_STATES = ["none", "pending", "tokenExpired", "enrolled", "expiring", "expired", "disabled"];
/** @type {Record<string, string>} */
const METHODS = { ott: "with a one-time token", ottca: "with a token and a certificate", updb: "with a password", erott: "as an edge router", trott: "as a transit router" };
const OS = ["Windows", "WindowsServer", "Android", "iOS", "Linux", "macOS"];
const PERMISSIONS = ["auth-policy", "ca", "config", "config-type", "edge-router-policy", "enrollment", "external-jwt-signer", "identity", "ops", "posture-check", "router", "service", "service-edge-router-policy", "service-policy", "terminator"];

/** @param {string} name @param {string} label @param {string} to @param {string} known */
const roles = (name, label, to, known) => ({ name, label, kind: "roles", to, known, hint: "#attribute, @name, or #all" });
/** @param {string} name @param {string} label */
const roleColumn = (name, label) => ({ name, label, kind: "roles", sort: /** @type {false} */ (false) });

/** @type {Partial<Entity>[]} */
const DEVICES = [
  {
    key: "identities",
    one: "device",
    many: "devices",
    place: "devices",
    icon: "device",
    own: `${OWN}/identities`,
    about: "A device, a person or a program that may take part in the network. Each gets a token once, and with it a certificate of its own.",
    known: "/identity-role-attributes",
    panels: [() => import("./views/tokenpanel.js"), () => import("./views/keypanel.js")],
    columns: [
      NAME,
      { name: "enrollmentState", label: "State", kind: "state" },
      { name: "roleAttributes", label: "Attributes", kind: "attributes", sort: false },
      { name: "validUntil", label: "Valid until", kind: "until", sort: "certificateExpiresAt" },
      { name: "lastSeenAt", label: "Last seen", kind: "time" },
    ],
    fields: [
      { ...NAME_FIELD, hint: "Shown everywhere, and unique." },
      { name: "roleAttributes", label: "Attributes", kind: "attributes", known: "/identity-role-attributes", hint: "Policies speak of devices by these." },
      { name: "enrollment", label: "How it joins", kind: "enrollment", on: "c", value: { ott: true } },
      { name: "type", label: "Type", kind: "choice", options: ["Device", "User", "Service", "Default"], value: "Device", required: true, from: (r) => r.typeId || r.type?.name || r.type, more: true },
      { name: "isAdmin", label: "Administrator", kind: "switch", required: true, hint: "May change everything here.", more: true },
      { name: "authPolicyId", label: "Sign-in policy", kind: "ref", to: "auth-policies", more: true },
      { name: "externalId", label: "External id", kind: "text", more: true, hint: "The name by which another authority vouches for it." },
      { name: "permissions", label: "Permissions", kind: "strings", options: ["admin_readonly", ...PERMISSIONS], more: true },
      { name: "defaultHostingCost", label: "Hosting cost", kind: "number", value: 0, more: true },
      { name: "defaultHostingPrecedence", label: "Hosting precedence", kind: "choice", options: ["default", "required", "failed"], value: "default", more: true },
      { name: "appData", label: "Application data", kind: "json", more: true },
      TAGS,
    ],
    links: [
      { path: "services", to: "services", label: "Services it can use", loses: "lose a user" },
      { path: "service-policies", to: "service-policies", label: "Service policies", loses: "no longer reach it" },
      { path: "edge-routers", to: "edge-routers", label: "Routers it may use" },
      { path: "edge-router-policies", to: "edge-router-policies", label: "Router policies" },
      { path: "authenticators", to: "authenticators", label: "Keys", loses: "are deleted", panel: true },
      { path: "enrollments", to: "enrollments", label: "Pending tokens", loses: "stop working", panel: true },
    ],
    actions: [
      { id: "enable", label: "Enable", icon: "check", when: (r) => r.disabled, call: (r) => ({ method: "POST", path: `${MANAGEMENT}/identities/${r.id}/enable` }), done: "is enabled" },
      {
        id: "disable",
        label: "Disable",
        icon: "close",
        when: (r) => !r.disabled,
        ask: () => "It cannot sign in any more and its sessions end at once, until somebody enables it again.",
        call: (r) => ({ method: "POST", path: `${MANAGEMENT}/identities/${r.id}/disable`, body: { durationMinutes: 0 } }),
        done: "is disabled",
      },
    ],
    views: [
      { name: "Waiting", filter: 'enrollmentState = "pending"', sort: "tokenExpiresAt" },
      { name: "Token expired", filter: 'enrollmentState = "tokenExpired"' },
      { name: "Expires in 30 days", filter: "certificateExpiresAt < {in30days}", sort: "certificateExpiresAt" },
      { name: "Never connected", filter: "lastSeenAt = null" },
      { name: "No attributes", filter: "isEmpty(roleAttributes)" },
      { name: "Disabled", filter: 'enrollmentState = "disabled"' },
      { name: "Administrators", filter: "isAdmin = true" },
    ],
    values: { enrollmentState: ENROLLMENT_STATES, type: ["Device", "User", "Service", "Router", "Default"] },
  },
  {
    key: "edge-routers",
    one: "edge router",
    many: "edge routers",
    place: "routers",
    icon: "router",
    own: `${OWN}/routers`,
    fixed: 'kind = "edge"',
    about: "A router that devices connect to. It carries their traffic and joins by a token of its own.",
    known: "/edge-router-role-attributes",
    panels: [() => import("./views/tokenpanel.js"), () => import("./views/keypanel.js")],
    columns: [
      NAME,
      { name: "enrollmentState", label: "State", kind: "state" },
      { name: "roleAttributes", label: "Attributes", kind: "attributes", sort: false },
      { name: "validUntil", label: "Valid until", kind: "until", sort: "certificateExpiresAt" },
      { name: "isTunnelerEnabled", label: "Tunneler", kind: "bool" },
      CREATED,
    ],
    fields: [
      NAME_FIELD,
      { name: "roleAttributes", label: "Attributes", kind: "attributes", known: "/edge-router-role-attributes" },
      { name: "isTunnelerEnabled", label: "With a tunneler", kind: "switch", hint: "It can host and reach services itself, as a device of the same name." },
      { name: "cost", label: "Cost", kind: "number", value: 0, more: true },
      { name: "noTraversal", label: "Not for traffic of others", kind: "switch", more: true },
      { name: "disabled", label: "Disabled", kind: "switch", more: true },
      { name: "appData", label: "Application data", kind: "json", more: true },
      TAGS,
    ],
    links: [
      { path: "identities", to: "identities", label: "Devices that may use it", loses: "lose this router" },
      { path: "services", to: "services", label: "Services over it", loses: "lose this router" },
      { path: "edge-router-policies", to: "edge-router-policies", label: "Router policies" },
      { path: "service-edge-router-policies", to: "service-edge-router-policies", label: "Service router policies" },
    ],
    views: [{ name: "Waiting", filter: "isVerified = false" }, { name: "Enrolled", filter: "isVerified = true" }],
    values: { enrollmentState: ENROLLMENT_STATES },
  },
  {
    key: "transit-routers",
    one: "transit router",
    many: "transit routers",
    place: "routers",
    icon: "router",
    about: "A router inside the network, which devices do not see.",
    panels: [() => import("./views/tokenpanel.js")],
    columns: [NAME, { name: "isVerified", label: "State", kind: "state", from: (r) => (r.isVerified ? "enrolled" : "pending") }, { name: "cost", label: "Cost", kind: "count" }, { name: "noTraversal", label: "No traversal", kind: "bool" }, CREATED],
    fields: [
      NAME_FIELD,
      { name: "cost", label: "Cost", kind: "number", value: 0 },
      { name: "noTraversal", label: "Not for traffic of others", kind: "switch" },
      { name: "disabled", label: "Disabled", kind: "switch" },
      TAGS,
    ],
  },
];

/** @type {Partial<Entity>[]} */
const AUTHORITIES = [
  {
    key: "cas",
    one: "certificate authority",
    many: "certificate authorities",
    place: "authorities",
    icon: "authority",
    about: "Your own certificate authority. Once you have proved that it is yours, devices with a certificate from it can join and connect.",
    columns: [
      NAME,
      { name: "isVerified", label: "State", kind: "state", from: (r) => (r.isVerified ? "verified" : "unverified") },
      { name: "isAutoCaEnrollmentEnabled", label: "Join by themselves", kind: "bool" },
      { name: "isOttCaEnrollmentEnabled", label: "Join with a token", kind: "bool" },
      { name: "isAuthEnabled", label: "Connect", kind: "bool" },
      { name: "identityRoles", label: "Attributes", kind: "attributes", sort: false },
      CREATED,
    ],
    fields: [
      NAME_FIELD,
      { name: "certPem", label: "Certificate", kind: "pem", on: "c", required: true, hint: "PEM. Of a chain, the authority that issues is taken." },
      { name: "isAutoCaEnrollmentEnabled", label: "Devices may join by themselves", kind: "switch", required: true },
      { name: "isOttCaEnrollmentEnabled", label: "Devices may join with a token", kind: "switch", value: true, required: true },
      { name: "isAuthEnabled", label: "Devices may connect", kind: "switch", value: true, required: true },
      { name: "identityRoles", label: "Attributes of new devices", kind: "attributes", known: "/identity-role-attributes", required: true },
      { name: "identityNameFormat", label: "Names of new devices", kind: "text", value: "[caName]-[commonName]", required: true },
      { name: "externalIdClaim", label: "External id claim", kind: "json", more: true },
      TAGS,
    ],
    creator: () => import("./views/authority-import.js"),
    panels: [() => import("./views/authority-panel.js")],
    consequences: async (row) => (await import("./authorities.js")).whatDeletingDoes(row),
    views: [{ name: "Not verified", filter: "isVerified = false" }],
  },
  {
    key: "certificates",
    base: OWN,
    verbs: "lg",
    one: "certificate",
    many: "certificates",
    place: "authorities",
    icon: "authority",
    about: "Every certificate that this controller knows: its own, those of imported authorities, of devices and of routers.",
    search: "subject",
    title: (r) => r.name || r.subject,
    columns: [
      { ...NAME, from: (r) => r.name || r.subject, sort: "subject" },
      { name: "kind", label: "Kind" },
      { name: "state", label: "State", kind: "state" },
      { name: "notAfter", label: "Valid until", kind: "date" },
      { name: "issuer", label: "Issuer", wide: true },
    ],
    fields: [],
    sort: "notAfter",
    values: { kind: ["root", "cross", "intermediate", "server", "ca", "identity", "router", "signer"], state: ["ok", "expiring", "expired", "blocked", "revoked"] },
  },
  {
    key: "blocked-certificates",
    base: OWN,
    one: "blocked certificate",
    many: "blocked certificates",
    place: "authorities",
    icon: "close",
    about: "A certificate that must not be accepted any more, though it has not ended.",
    search: "subject",
    title: (r) => r.subject || r.fingerprint || r.serial,
    columns: [
      { ...NAME, name: "subject", label: "Certificate", from: (r) => r.subject || r.fingerprint || r.serial },
      { name: "reason", label: "Reason", wide: true },
      { name: "expiresAt", label: "Would end", kind: "date" },
      CREATED,
    ],
    fields: [
      { name: "certPem", label: "Certificate", kind: "pem", on: "c", hint: "Or name it by its fingerprint, or by issuer and serial number." },
      { name: "fingerprint", label: "Fingerprint", kind: "text", on: "c" },
      { name: "issuer", label: "Issuer", kind: "text", on: "c", more: true },
      { name: "serial", label: "Serial number", kind: "text", on: "c", more: true },
      { name: "reason", label: "Reason", kind: "text" },
      TAGS,
    ],
  },
];

/** @type {Partial<Entity>[]} */
const ENROLLMENTS = [
  {
    key: "enrollments",
    atOnce: true,
    verbs: "lgd",
    one: "pending token",
    many: "pending tokens",
    place: "enrollments",
    icon: "enrollment",
    about: "A token that waits for its device. It works once, until its time is over.",
    panels: [() => import("./views/tokenpanel.js")],
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

/** @type {Partial<Entity>[]} */
const ACCESS = [
  {
    key: "services",
    one: "service",
    many: "services",
    place: "access",
    icon: "access",
    about: "Something that can be reached over the network: an address, a port, a program.",
    known: "/service-role-attributes",
    columns: [NAME, { name: "roleAttributes", label: "Attributes", kind: "attributes", sort: false }, { name: "terminatorStrategy", label: "Strategy" }, { name: "encryptionRequired", label: "Encrypted", kind: "bool", sort: false }, CREATED],
    fields: [
      NAME_FIELD,
      { name: "roleAttributes", label: "Attributes", kind: "attributes", known: "/service-role-attributes" },
      { name: "configs", label: "Configs", kind: "refs", to: "configs" },
      { name: "encryptionRequired", label: "Encrypted from end to end", kind: "switch", value: true, required: true, on: "c" },
      { name: "terminatorStrategy", label: "Terminator strategy", kind: "choice", options: ["smartrouting", "weighted", "random", "ha", "sticky"], value: "smartrouting", more: true },
      { name: "maxIdleTimeMillis", label: "Longest silence (ms)", kind: "number", value: 0, hint: "0: as long as it likes", more: true },
      TAGS,
    ],
    links: [
      { path: "identities", to: "identities", label: "Devices that can use it", loses: "lose access" },
      { path: "service-policies", to: "service-policies", label: "Service policies" },
      { path: "service-edge-router-policies", to: "service-edge-router-policies", label: "Router policies" },
      { path: "edge-routers", to: "edge-routers", label: "Routers" },
      { path: "configs", to: "configs", label: "Configs" },
      { path: "terminators", to: "terminators", label: "Terminators", loses: "are deleted" },
    ],
  },
  {
    key: "service-policies",
    one: "service policy",
    many: "service policies",
    place: "access",
    icon: "access",
    about: "Says which devices may reach (dial) or offer (bind) which services.",
    columns: [NAME, { name: "type", label: "Kind" }, roleColumn("identityRoles", "Devices"), roleColumn("serviceRoles", "Services"), { name: "semantic", label: "Meaning" }],
    fields: [
      NAME_FIELD,
      { name: "type", label: "Kind", kind: "choice", options: [["Dial", "devices may reach the services"], ["Bind", "devices may offer the services"]], value: "Dial", required: true },
      roles("identityRoles", "Devices", "identities", "/identity-role-attributes"),
      roles("serviceRoles", "Services", "services", "/service-role-attributes"),
      { ...roles("postureCheckRoles", "Posture checks", "posture-checks", "/posture-check-role-attributes"), more: true },
      SEMANTIC,
      TAGS,
    ],
    links: [
      { path: "identities", to: "identities", label: "Devices", loses: "may lose access" },
      { path: "services", to: "services", label: "Services", loses: "may become unreachable" },
      { path: "posture-checks", to: "posture-checks", label: "Posture checks" },
    ],
    values: { type: ["Dial", "Bind"], semantic: ["AllOf", "AnyOf"] },
  },
  {
    key: "edge-router-policies",
    one: "router policy",
    many: "router policies",
    place: "access",
    icon: "router",
    about: "Says which devices may connect through which routers.",
    columns: [NAME, roleColumn("identityRoles", "Devices"), roleColumn("edgeRouterRoles", "Routers"), { name: "semantic", label: "Meaning" }, CREATED],
    fields: [NAME_FIELD, roles("identityRoles", "Devices", "identities", "/identity-role-attributes"), roles("edgeRouterRoles", "Routers", "edge-routers", "/edge-router-role-attributes"), SEMANTIC, TAGS],
    links: [{ path: "identities", to: "identities", label: "Devices", loses: "may lose their routers" }, { path: "edge-routers", to: "edge-routers", label: "Routers" }],
    values: { semantic: ["AllOf", "AnyOf"] },
  },
  {
    key: "service-edge-router-policies",
    one: "service router policy",
    many: "service router policies",
    place: "access",
    icon: "router",
    about: "Says which services may be carried by which routers.",
    columns: [NAME, roleColumn("serviceRoles", "Services"), roleColumn("edgeRouterRoles", "Routers"), { name: "semantic", label: "Meaning" }, CREATED],
    fields: [NAME_FIELD, roles("serviceRoles", "Services", "services", "/service-role-attributes"), roles("edgeRouterRoles", "Routers", "edge-routers", "/edge-router-role-attributes"), SEMANTIC, TAGS],
    links: [{ path: "services", to: "services", label: "Services", loses: "may lose their routers" }, { path: "edge-routers", to: "edge-routers", label: "Routers" }],
    values: { semantic: ["AllOf", "AnyOf"] },
  },
  {
    key: "configs",
    one: "config",
    many: "configs",
    place: "access",
    icon: "settings",
    about: "How a service is reached or offered: addresses, ports, protocols. Its type says what it has to look like.",
    columns: [NAME, { name: "configType", label: "Type", kind: "ref", to: "config-types", sort: "type" }, { name: "data", label: "Data", kind: "json", wide: true, sort: false }, CREATED],
    fields: [NAME_FIELD, { name: "configTypeId", label: "Type", kind: "ref", to: "config-types", on: "c", required: true }, { name: "data", label: "Data", kind: "json", value: {}, required: true }, TAGS],
    links: [{ path: "services", to: "services", label: "Services that use it", loses: "lose it" }],
  },
  {
    key: "config-types",
    one: "config type",
    many: "config types",
    place: "access",
    icon: "settings",
    about: "The JSON Schema that configs of a kind have to follow.",
    columns: [NAME, { name: "target", label: "For" }, CREATED],
    fields: [NAME_FIELD, { name: "target", label: "For", kind: "choice", options: ["service", "router", "other"], value: "service", on: "c" }, { name: "schema", label: "JSON Schema", kind: "json", value: {} }, TAGS],
    links: [{ path: "configs", to: "configs", label: "Configs", loses: "stand in the way" }],
  },
  {
    key: "posture-checks",
    one: "posture check",
    many: "posture checks",
    place: "access",
    icon: "check",
    about: "Something a device has to be or to have before a policy lets it in: an operating system, a process, a second factor.",
    known: "/posture-check-role-attributes",
    always: ["typeId"],
    columns: [NAME, { name: "typeId", label: "Type" }, { name: "roleAttributes", label: "Attributes", kind: "attributes", sort: false }, CREATED],
    fields: [
      NAME_FIELD,
      { name: "typeId", label: "Type", kind: "choice", on: "c", required: true, value: "OS", options: [["OS", "operating system"], ["DOMAIN", "Windows domain"], ["MAC", "MAC address"], ["PROCESS", "process"], ["PROCESS_MULTI", "several processes"], ["MFA", "second factor"]] },
      { name: "operatingSystems", label: "Operating systems", kind: "json", value: [{ type: "Linux", versions: [] }], when: (v) => v.typeId === "OS", hint: `types: ${OS.join(", ")}` },
      { name: "domains", label: "Domains", kind: "strings", when: (v) => v.typeId === "DOMAIN" },
      { name: "macAddresses", label: "MAC addresses", kind: "strings", when: (v) => v.typeId === "MAC" },
      { name: "process", label: "Process", kind: "json", value: { osType: "Linux", path: "/usr/bin/example", hashes: [] }, when: (v) => v.typeId === "PROCESS" },
      { name: "semantic", label: "Meaning", kind: "choice", options: ["AllOf", "AnyOf"], value: "AllOf", when: (v) => v.typeId === "PROCESS_MULTI" },
      { name: "processes", label: "Processes", kind: "json", value: [{ osType: "Linux", path: "/usr/bin/example", hashes: [] }], when: (v) => v.typeId === "PROCESS_MULTI" },
      { name: "timeoutSeconds", label: "Ask again after (seconds)", kind: "number", value: -1, hint: "-1: never", when: (v) => v.typeId === "MFA" },
      { name: "promptOnWake", label: "Ask after sleep", kind: "switch", when: (v) => v.typeId === "MFA" },
      { name: "promptOnUnlock", label: "Ask after unlocking", kind: "switch", when: (v) => v.typeId === "MFA" },
      { name: "roleAttributes", label: "Attributes", kind: "attributes", known: "/posture-check-role-attributes" },
      TAGS,
    ],
  },
  {
    key: "terminators",
    one: "terminator",
    many: "terminators",
    place: "access",
    icon: "access",
    about: "Where a service comes out: a router and an address behind it. Programs that offer a service make theirs themselves.",
    search: "address",
    title: (r) => r.address || r.id,
    columns: [
      { ...NAME, name: "address", label: "Address" },
      { name: "service", label: "Service", kind: "ref", to: "services", from: (r) => r.service },
      { name: "router", label: "Router", kind: "ref", to: "transit-routers" },
      { name: "binding", label: "Binding" },
      { name: "precedence", label: "Precedence", sort: false },
    ],
    fields: [
      { name: "service", label: "Service", kind: "ref", to: "services", from: (r) => r.serviceId, required: true },
      { name: "router", label: "Router", kind: "ref", to: "transit-routers", from: (r) => r.routerId, required: true },
      { name: "binding", label: "Binding", kind: "choice", options: ["transport", "edge_transport", "udp"], value: "transport", required: true },
      { name: "address", label: "Address", kind: "text", required: true, hint: "e.g. tcp:10.0.3.7:22" },
      { name: "cost", label: "Cost", kind: "number", value: 0, more: true },
      { name: "precedence", label: "Precedence", kind: "choice", options: ["default", "required", "failed"], value: "default", more: true },
      TAGS,
    ],
  },
];

/** @type {Partial<Entity>[]} */
const SIGN_IN = [
  {
    key: "auth-policies",
    one: "sign-in policy",
    many: "sign-in policies",
    place: "sign-in",
    icon: "signin",
    about: "By what a device or a person may sign in: certificate, password, another identity provider; and with which second factor.",
    columns: [
      NAME,
      { name: "primary.cert.allowed", label: "Certificate", kind: "bool" },
      { name: "primary.updb.allowed", label: "Password", kind: "bool" },
      { name: "primary.extJwt.allowed", label: "External", kind: "bool" },
      { name: "secondary.requireTotp", label: "Second factor", kind: "bool" },
      CREATED,
    ],
    fields: [
      NAME_FIELD,
      { name: "primary.cert.allowed", label: "By certificate", kind: "switch", value: true },
      { name: "primary.cert.allowExpiredCerts", label: "Also when it has expired", kind: "switch", value: true },
      { name: "primary.updb.allowed", label: "By password", kind: "switch", value: true },
      { name: "primary.updb.minPasswordLength", label: "Shortest password", kind: "number", value: 8 },
      { name: "primary.updb.maxAttempts", label: "Wrong passwords before it is locked", kind: "number", value: 5, hint: "0: never" },
      { name: "primary.updb.lockoutDurationMinutes", label: "Locked for (minutes)", kind: "number", value: 15, hint: "0: until somebody enables it" },
      { name: "primary.updb.requireMixedCase", label: "Large and small letters", kind: "switch", more: true },
      { name: "primary.updb.requireNumberChar", label: "A digit", kind: "switch", more: true },
      { name: "primary.updb.requireSpecialChar", label: "Another character", kind: "switch", more: true },
      { name: "primary.extJwt.allowed", label: "By an external signer", kind: "switch", value: true },
      { name: "primary.extJwt.allowedSigners", label: "Which signers", kind: "refs", to: "external-jwt-signers", value: [] },
      { name: "secondary.requireTotp", label: "A one-time code as well", kind: "switch" },
      { name: "secondary.requireExtJwtSigner", label: "A token of this signer as well", kind: "ref", to: "external-jwt-signers", more: true },
      TAGS,
    ],
  },
  {
    key: "external-jwt-signers",
    one: "external signer",
    many: "external signers",
    place: "sign-in",
    icon: "signin",
    about: "Another identity provider whose tokens are accepted here.",
    columns: [NAME, { name: "enabled", label: "State", kind: "state", from: (r) => (r.enabled ? "on" : "off") }, { name: "issuer", label: "Issuer", wide: true }, { name: "audience", label: "Audience" }, CREATED],
    fields: [
      NAME_FIELD,
      { name: "issuer", label: "Issuer", kind: "text", required: true },
      { name: "audience", label: "Audience", kind: "text", required: true },
      { name: "jwksEndpoint", label: "Address of its keys (JWKS)", kind: "text", hint: "or one certificate, with its key id" },
      { name: "certPem", label: "Certificate", kind: "pem", more: true },
      { name: "kid", label: "Key id", kind: "text", more: true },
      { name: "enabled", label: "In use", kind: "switch", value: true, required: true },
      { name: "claimsProperty", label: "Claim that names the device", kind: "text", value: "sub" },
      { name: "useExternalId", label: "The claim is an external id", kind: "switch" },
      { name: "externalAuthUrl", label: "Address of its sign-in page", kind: "text", more: true },
      { name: "clientId", label: "Client id", kind: "text", more: true },
      { name: "scopes", label: "Scopes", kind: "strings", more: true },
      { name: "targetToken", label: "Token that is sent", kind: "choice", options: ["ACCESS", "ID"], value: "ACCESS", more: true },
      TAGS,
    ],
  },
  {
    key: "authenticators",
    atOnce: true,
    verbs: "lgd",
    one: "key",
    many: "keys",
    place: "sign-in",
    icon: "signin",
    about: "What a device or a person signs in with: a certificate or a password.",
    search: "id",
    title: (r) => r.identity?.name || r.id,
    columns: [
      { ...NAME, name: "identity", label: "Of", from: (r) => r.identity?.name || r.identityId || r.id },
      { name: "method", label: "Kind" },
      { name: "fingerprint", label: "Fingerprint or user", kind: "code", from: (r) => r.fingerprint || r.username, sort: false },
      { name: "isIssuedByNetwork", label: "From here", kind: "bool" },
      CREATED,
    ],
    fields: [],
    values: { method: ["cert", "updb"] },
  },
  {
    key: "api-sessions",
    atOnce: true,
    verbs: "lgd",
    one: "session",
    many: "sessions",
    place: "sign-in",
    icon: "person",
    about: "Somebody who is signed in right now.",
    search: "id",
    title: (r) => r.identity?.name || r.id,
    columns: [
      { ...NAME, name: "identity", label: "Who", from: (r) => r.identity?.name || r.id },
      { name: "ipAddress", label: "From" },
      { name: "lastActivityAt", label: "Active", kind: "time" },
      { name: "expiresAt", label: "Ends", kind: "time", sort: false },
      { name: "mfaComplete", label: "Second factor", kind: "bool", from: (r) => r.isMfaComplete },
    ],
    fields: [],
    sort: "lastActivityAt desc",
  },
  {
    key: "sessions",
    atOnce: true,
    verbs: "lgd",
    one: "service session",
    many: "service sessions",
    place: "sign-in",
    icon: "access",
    about: "A device that is using a service right now.",
    search: "id",
    columns: [{ ...NAME, name: "service", label: "Service", from: (r) => r.service?.name || r.id }, { name: "identity", label: "Device", kind: "ref", to: "identities", from: (r) => r.apiSession?.identity || r.identity, sort: false }, { name: "type", label: "Kind" }, CREATED],
    fields: [],
  },
  {
    key: "api-tokens",
    atOnce: true,
    base: OWN,
    verbs: "lgcud",
    one: "API token",
    many: "API tokens",
    place: "sign-in",
    icon: "code",
    about: "A key for a script or a pipeline: with a name, a scope and an end. It is shown once.",
    columns: [NAME, { name: "state", label: "State", kind: "state", sort: false }, { name: "scope", label: "Scope" }, { name: "expiresAt", label: "Ends", kind: "time" }, { name: "lastUsedAt", label: "Last used", kind: "time" }, { name: "prefix", label: "Begins with", kind: "code" }],
    fields: [
      NAME_FIELD,
      { name: "scope", label: "Scope", kind: "choice", on: "c", required: true, value: "enroll", options: [["enroll", "enroll devices, and nothing else"], ["read", "read everything but secrets"], ["admin", "everything you may do"]] },
      { name: "expiresAt", label: "Ends", kind: "time", required: true, value: "in 90 days" },
      { name: "identityId", label: "Acts as", kind: "ref", to: "identities", on: "c", hint: "yourself, if empty" },
      TAGS,
    ],
    values: { scope: ["admin", "enroll", "read"] },
  },
  {
    key: "revocations",
    verbs: "lgc",
    one: "revocation",
    many: "revocations",
    place: "sign-in",
    icon: "close",
    about: "A token, a session or a device whose tokens are no longer accepted.",
    search: "id",
    columns: [{ ...NAME, name: "id", label: "What" }, { name: "type", label: "Kind" }, { name: "expiresAt", label: "Kept until", kind: "time" }, CREATED],
    fields: [{ name: "type", label: "Kind", kind: "choice", required: true, value: "IDENTITY", options: [["IDENTITY", "all tokens of a device"], ["API_SESSION", "a session"], ["JTI", "one token, by its id"]] }, { name: "id", label: "Id", kind: "text", required: true }],
  },
];

/** @type {Partial<Entity>[]} */
const ACTIVITY = [
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
      { name: "changed", label: "Properties", sort: false, from: (r) => (r.changed || []).join(", ") },
      { name: "actorName", label: "By" },
      { name: "sourceAddress", label: "From" },
    ],
    fields: [],
  },
];

/** @type {Partial<Entity>[]} */
const SETTINGS = [
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

/** @type {Entity[]} */
export const ENTITIES = [...DEVICES, ...AUTHORITIES, ...ENROLLMENTS, ...ACCESS, ...SIGN_IN, ...ACTIVITY, ...SETTINGS].map((row) => /** @type {Entity} */ ({ base: MANAGEMENT, path: row.key, verbs: "lgcud", links: [], actions: [], views: [], panels: [], sort: row.columns?.includes(NAME) ? "name" : "", ...row }));

const BY_KEY = new Map(ENTITIES.map((e) => [e.key, e]));

/** @param {string} key @returns {Entity} */
export function entity(key) {
  const found = BY_KEY.get(key);
  if (!found) throw new Error(`there is no entity ${key}`);
  return found;
}

/** The collection of the API that a name in the audit log, an event or a link stands for. @param {string} path @returns {Entity | undefined} */
export const entityOf = (path) => BY_KEY.get(path === "routers" ? "edge-routers" : path);

/** A value by its path: "primary.cert.allowed". @param {any} row @param {string} path */
export function at(row, path) {
  return path.split(".").reduce((value, part) => (value === null || value === undefined ? undefined : value[part]), row);
}

/** Put a value at its path, making the objects on the way. @param {any} target @param {string} path @param {any} value */
export function putAt(target, path, value) {
  const parts = path.split(".");
  const last = /** @type {string} */ (parts.pop());
  let inner = target;
  for (const part of parts) inner = inner[part] = { ...inner[part] };
  inner[last] = value;
}

/** How an item is called. @param {Entity} of @param {any} row */
export const titleOf = (of, row) => String((of.title ? of.title(row) : row.name) || row.id);
