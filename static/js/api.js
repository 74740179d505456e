const BASE = "/edge/management/v1";
/** The session's token lives here only: closing or reloading the page forgets it. */
let token = "";

/** An answer that is an error: `code` and `status` are the API's, the message is for people. */
export class ApiError extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    const error = (body && body.error) || {};
    const cause = error.cause || {};
    super(cause.reason || cause.message || error.message || `The controller answered ${status}.`);
    this.status = status;
    this.code = error.code || "";
  }
}

/**
 * Call the management API.
 * @param {string} method
 * @param {string} path below the base path
 * @param {unknown} [body]
 * @returns {Promise<any>} the whole answer: data and meta
 */
export async function call(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (token) headers["zt-session"] = token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(BASE + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("The controller cannot be reached.");
  }
  const text = await response.text();
  const answer = text ? JSON.parse(text) : {};
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}

/** @param {string} username @param {string} password */
export async function login(username, password) {
  const { data } = await call("POST", "/authenticate?method=password", { username, password });
  token = data.token;
  return data;
}

export async function logout() {
  try {
    await call("DELETE", "/current-api-session");
  } finally {
    token = "";
  }
}

export function forget() {
  token = "";
}

/**
 * One page of a collection.
 * @param {string} path @param {{filter?: string, limit?: number, offset?: number}} query
 */
export function list(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined);
  return call("GET", `${path}?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}`);
}
