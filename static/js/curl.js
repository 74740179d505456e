/**
 * The same request for a terminal or a script. The secret is always the variable `$ZT_TOKEN`, the controller's certificate the file
 * `$ZT_CA`: what is copied can be pasted into a ticket.
 * @typedef {{method: string, path: string, query?: Record<string, any>, body?: any, type?: string, accept?: string}} Call
 */

/** A word of a POSIX shell. @param {string} text */
export function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** @param {Call} call */
function parts(call) {
  const query = Object.entries(call.query || {}).filter(([, v]) => v !== "" && v !== undefined && v !== null).map(([k, v]) => [k, String(v)]);
  return { ...call, query: /** @type {[string, string][]} */ (query), isText: call.type !== undefined && call.type !== "application/json" };
}

/** @param {Call} call */
export function asCurl(call) {
  const { method, path, query, body, type, accept, isText } = parts(call);
  const lines = [`curl --fail-with-body --cacert "$ZT_CA" -H "zt-session: $ZT_TOKEN"`];
  if (query.length) lines[0] += " -G";
  if (method !== "GET" && !(method === "POST" && body !== undefined)) lines[0] += ` -X ${method}`;
  if (accept) lines.push(`-H ${quoted(`accept: ${accept}`)}`);
  if (body !== undefined) lines.push(`-H ${quoted(`content-type: ${type || "application/json"}`)}`);
  for (const [key, value] of query) lines.push(`--data-urlencode ${quoted(`${key}=${value}`)}`);
  if (body !== undefined) lines.push(`--data-binary ${quoted(isText ? String(body) : JSON.stringify(body))}`);
  lines.push(quoted(location.origin + path));
  return lines.join(" \\\n  ");
}

/** @param {Call} call */
export function asPython(call) {
  const { method, path, query, body, type, accept, isText } = parts(call);
  const wanted = accept ? `, "accept": ${JSON.stringify(accept)}` : "";
  const lines = ["import json, os, requests", "", "answer = requests.request(", `    ${JSON.stringify(method)},`, `    ${JSON.stringify(location.origin + path)},`];
  if (query.length) lines.push(`    params=${python(Object.fromEntries(query))},`);
  if (body !== undefined && isText) lines.push(`    data=${JSON.stringify(String(body))},`, `    headers={"zt-session": os.environ["ZT_TOKEN"], "content-type": ${JSON.stringify(type)}${wanted}},`);
  else lines.push(...(body === undefined ? [] : [`    json=${python(body)},`]), `    headers={"zt-session": os.environ["ZT_TOKEN"]${wanted}},`);
  lines.push(`    verify=os.environ["ZT_CA"],`, ")", "answer.raise_for_status()", accept ? "print(answer.text)" : `print(json.dumps(answer.json(), indent=2))`);
  return lines.join("\n");
}

/** A JSON value as Python writes it. @param {any} value @returns {string} */
export function python(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`).join(", ")}}`;
  return JSON.stringify(value);
}

const NOUNS = /** @type {Record<string, string>} */ ({
  identities: "identity", routers: "router", "edge-routers": "router", cas: "ca", attempts: "attempt", audit: "audit",
  certificates: "certificate", "blocked-certificates": "blocked", addresses: "address", "api-tokens": "api-token",
});
const MANY = new Set(["identities", "edge-routers"]);
const CREATED = new Set(["name", "type", "isAdmin", "roleAttributes", "tags", "externalId", "enrollment"]);

/**
 * A line for the command `zitilite`; "" for what it has no words for.
 * @param {Call} call
 */
export function asCli(call) {
  const { method, path, query, body, accept } = parts(call);
  const [collection, key, more] = path.replace(/^\/(edge\/management|zitilite)\/v1\//, "").split("/");
  const noun = NOUNS[collection];
  const filter = query.find(([k]) => k === "filter")?.[1];
  const words = accept ? handedOut(noun, key, more, accept, query) : single(method, collection, key, body) || (noun && !more ? verb(method, noun, key, filter, body) : "");
  return words && `ZITILITE_URL=${quoted(location.origin)} ZITILITE_TRUST="$ZT_CA" ZITILITE_TOKEN="$ZT_TOKEN" \\\n  zitilite ${words}`;
}

/** A token by itself. @param {string | undefined} noun @param {string} key @param {string | undefined} more @param {string} accept @param {[string, string][]} query */
function handedOut(noun, key, more, accept, query) {
  const asked = query.find(([k]) => k === "method")?.[1];
  const which = asked && noun === "identity" ? ` --method ${asked}` : "";
  return noun && key && more === (noun === "ca" ? "jwt" : undefined) && accept === "application/jwt" ? `${noun} token ${quoted(key)}${which}` : "";
}

/** What is no list, item or deletion. @param {string} method @param {string} collection @param {string} key @param {any} body */
function single(method, collection, key, body) {
  if (method === "GET" && collection === "checks") return "doctor";
  if (method !== "POST") return "";
  if (collection === "backups" && !key) return "backup";
  if (collection === "certificates" && key === "rollover" && !body.startOver) return `certificate rollover ${body.what}${body.key ? ` --key ${body.key}` : ""}`;
  return collection === "bulk" ? many(body) : "";
}

/** A change of many. @param {any} body @returns {string} "" where the command cannot say all of it */
function many(body) {
  const entity = body.entity || "identities";
  if (!MANY.has(entity) || body.action === "create") return "";
  const words = [NOUNS[entity], body.action, ...(body.ids || body.names || []).map(quoted)];
  if (body.filter) words.push("--filter", quoted(body.filter));
  if (body.filter && body.action === "delete") words.push("--yes");
  for (const one of body.roleAttributes?.add || []) words.push("--add", quoted(one));
  for (const one of body.roleAttributes?.remove || []) words.push("--remove", quoted(one));
  for (const [k, v] of Object.entries(body.tags?.set || {})) words.push("--set", quoted(`${k}=${v}`));
  for (const one of body.tags?.remove || []) words.push("--unset", quoted(one));
  if (body.expiresAt) words.push("--expires", quoted(body.expiresAt));
  if (body.durationMinutes) words.push(body.action === "disable" ? "--for" : "--expires", `${body.durationMinutes}m`);
  if (body.dryRun) words.push("--dry-run");
  if (body.onError === "skip") words.push("--skip");
  return words.join(" ");
}

/** @param {string} method @param {string} noun @param {string} key @param {string | undefined} filter @param {any} body */
function verb(method, noun, key, filter, body) {
  if (method === "GET") return key ? `${noun} get ${quoted(key)}` : `${noun} list${filter ? ` ${quoted(filter)}` : ""}`;
  if (method === "DELETE") return `${noun} delete ${quoted(key)}`;
  return method === "POST" && noun === "identity" && !key ? created(body) : "";
}

/** @param {any} body @returns {string} "" where the command cannot say all of it */
function created(body) {
  const { ott, ottca, updb, expiresAt } = body.enrollment || {};
  if (Object.keys(body).some((k) => !CREATED.has(k) && body[k] && Object.keys(body[k]).length)) return "";
  const words = ["identity create", quoted(body.name || "NAME")];
  for (const one of body.roleAttributes || []) words.push("-a", quoted(one));
  for (const [k, v] of Object.entries(body.tags || {})) words.push("--tag", quoted(`${k}=${v}`));
  if (body.isAdmin) words.push("--admin");
  if (body.externalId) words.push("--external-id", quoted(body.externalId));
  if (ottca) words.push("--method ottca --ca", quoted(ottca));
  else if (updb) words.push("--method updb --username", quoted(updb));
  else if (!ott) words.push("--method none");
  if (expiresAt) words.push("--expires", quoted(expiresAt));
  return words.join(" ");
}
