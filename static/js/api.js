/**
 * The one way to the controller. A call that finds the session ended waits until somebody has signed in again and then goes on, so
 * that no form is lost; a controller that cannot be reached is said so on the screen, and tried again.
 */
import { begin, end, session } from "./session.js";

export const MANAGEMENT = "/edge/management/v1";
export const OWN = "/zitilite/v1";
export const CLIENT_VERSION = "/edge/client/v1/version";

/** An answer that is an error. `message` is for people; the rest is one click away. */
export class ApiError extends Error {
  /** @param {number} status @param {any} body @param {Call} request */
  constructor(status, body, request) {
    const error = (body && body.error) || {};
    const cause = error.cause && typeof error.cause === "object" ? error.cause : {};
    const inner = cause.reason || cause.message || (typeof error.cause === "string" ? error.cause : "");
    super(inner || error.message || `The controller answered ${status}.`);
    this.status = status;
    /** @type {string} */
    this.code = error.code || "";
    /** @type {string} */
    this.title = error.message || "";
    /** The property that is wrong, "" if none is named. @type {string} */
    this.field = cause.field || "";
    /** @type {string} */
    this.requestId = error.requestId || "";
    this.request = request;
  }
}

/** The controller did not answer. */
export class Unreachable extends Error {
  constructor() {
    super("The controller cannot be reached.");
  }
}

/** Signing in again was given up. */
export class SignedOut extends Error {
  constructor() {
    super("You are signed out.");
  }
}

/**
 * @typedef {{method: string, path: string, query?: Record<string, any>, body?: any, headers?: Record<string, string>, type?: string, accept?: string, signal?: AbortSignal, quiet?: boolean, keepalive?: boolean}} Call
 *   `quiet`: nobody asked for it, so nobody is asked to sign in for it; `path` from the root; `body` is sent as JSON unless `type` says otherwise
 * @typedef {{data: any, meta: any, status: number, etag: string, text: string}} Answer
 */

/** After so long somebody is told that an answer is still missing. */
export const SLOW_MS = 8000;

/** @type {{askAgain: () => Promise<boolean>, line: (up: boolean) => void, slow: (isSlow: boolean) => void}} */
const hooks = { askAgain: () => Promise.resolve(false), line: () => {}, slow: () => {} };
/** Calls that have waited too long. */
let waiting = 0;

/** Say how to ask for the password in place, and whom to tell whether the controller answers. @param {Partial<typeof hooks>} given */
export function connect(given) {
  Object.assign(hooks, given);
}

/** The address of a request. @param {{path: string, query?: Record<string, any>}} request */
export function address({ path, query }) {
  const given = Object.entries(query || {}).filter(([, v]) => v !== "" && v !== undefined && v !== null);
  return given.length ? `${path}?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : path;
}

/** @param {Call} request */
function send(request) {
  const { method, body, headers = {}, type = "application/json", accept = "application/json", signal, keepalive } = request;
  const held = session();
  /** @type {Record<string, string>} */
  const all = { Accept: accept, "Zitilite-Compress": "gzip", ...headers };
  if (held && !all["zt-session"]) all["zt-session"] = held.token;
  if (body !== undefined) all["Content-Type"] = type;
  const content = body === undefined || type !== "application/json" ? body : JSON.stringify(body);
  return fetch(address(request), { method, headers: all, body: content, signal, keepalive, credentials: "omit" });
}

/** Send, and say whether the controller could be reached. @param {Call} request */
export async function reach(request) {
  let isLate = false;
  const timer = setTimeout(() => ((isLate = true), (waiting += 1), hooks.slow(true)), SLOW_MS);
  try {
    const response = await send(request);
    hooks.line(true);
    if (request.method !== "GET") outdate();
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    hooks.line(false);
    throw new Unreachable();
  } finally {
    clearTimeout(timer);
    if (isLate) (waiting -= 1) || hooks.slow(false);
  }
}

/**
 * Send a request and read the answer.
 * @param {Call} call @returns {Promise<Answer>}
 * @throws {ApiError | Unreachable | SignedOut}
 */
export async function request(call) {
  const response = await reach(call);
  const text = await response.text();
  const parsed = parse(text);
  if (response.status === 401 && !call.path.includes("/authenticate") && !(await isSignedIn())) {
    if (call.quiet || !(await hooks.askAgain())) throw new SignedOut();
    return request(call);
  }
  if (!response.ok) throw new ApiError(response.status, parsed, call);
  return { data: parsed?.data, meta: parsed?.meta || {}, status: response.status, etag: response.headers.get("ETag") || "", text };
}

/** Whether a 401 was about a permission: the session itself still lives. */
async function isSignedIn() {
  return session() !== null && (await reach({ method: "GET", path: `${MANAGEMENT}/current-api-session` })).ok;
}

/** @param {string} text @returns {any} */
function parse(text) {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} path @param {Record<string, any>} [query] @param {Partial<Call>} [more] */
export const get = (path, query, more) => request({ method: "GET", path, query, ...more });
/** @param {string} path @param {any} [body] @param {Partial<Call>} [more] */
export const post = (path, body, more) => request({ method: "POST", path, body, ...more });
/** @param {string} path @param {any} body @param {Partial<Call>} [more] */
export const patch = (path, body, more) => request({ method: "PATCH", path, body, ...more });
/** @param {string} path @param {any} body @param {Partial<Call>} [more] */
export const put = (path, body, more) => request({ method: "PUT", path, body, ...more });
/** @param {string} path @param {Partial<Call>} [more] */
export const del = (path, more) => request({ method: "DELETE", path, ...more });

const missing = new Set();
/** Answers on their way: whoever asks the same meanwhile gets the same. @type {Map<string, Promise<Answer>>} */
const onTheWay = new Map();

/** Something has changed: who asks from now on is not given what was on its way before. */
export const outdate = () => onTheWay.clear();

/**
 * GET what this controller may not have: null when it has not, and then it is not asked for again.
 * @param {string} path @param {Record<string, any>} [query] @param {Partial<Call>} [more] @returns {Promise<Answer | null>}
 */
export async function maybe(path, query, more) {
  if (missing.has(path)) return null;
  const key = `${path} ${JSON.stringify(query)}`;
  try {
    const answer = onTheWay.get(key) || get(path, query, more);
    onTheWay.set(key, answer);
    return await answer.finally(() => onTheWay.get(key) === answer && onTheWay.delete(key));
  } catch (error) {
    if (!(error instanceof ApiError) || (error.status !== 404 && error.status !== 405)) throw error;
    missing.add(path);
    return null;
  }
}

/** Signed in by password, while the second factor is missing. @type {import("./session.js").Session | null} */
let partial = null;

/**
 * Sign in. Gives "code" when the second factor is asked for, and "" when all is done.
 * @param {string} user @param {string} password @returns {Promise<"" | "code">}
 */
export async function signIn(user, password) {
  const { data } = await post(`${MANAGEMENT}/authenticate`, { username: user, password }, { query: { method: "password" } });
  partial = { token: data.token, identity: { id: data.identity.id, name: data.identity.name }, user };
  if ((data.authQueries || []).length) return "code";
  begin(partial);
  return "";
}

/** The second factor. @param {string} code */
export async function sendCode(code) {
  const held = /** @type {import("./session.js").Session} */ (partial);
  await post(`${MANAGEMENT}/authenticate/mfa`, { code }, { headers: { "zt-session": held.token } });
  begin(held);
}

export async function signOut() {
  try {
    await send({ method: "DELETE", path: `${MANAGEMENT}/current-api-session` });
  } catch {
    // The session then ends by itself.
  }
  end();
}
