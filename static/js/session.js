/**
 * Who is signed in. The token is in memory and in this tab's sessionStorage, so that a reload does not ask again; it ends with
 * the tab. A new tab asks the other tabs of this console for it. It is never in localStorage, in an address, or on the screen.
 */

const KEY = "zitilite.session";
/** @typedef {{token: string, identity: {id: string, name: string}, user: string, isAdmin?: boolean}} Session */

/** @type {Session | null} */
let current = read();
/** @type {Set<(session: Session | null) => void>} */
const watchers = new Set();
const tabs = new BroadcastChannel("zitilite.session");

/** @returns {Session | null} */
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) || "null");
  } catch {
    return null;
  }
}

/** @param {Session | null} session */
function keep(session) {
  current = session;
  if (session) sessionStorage.setItem(KEY, JSON.stringify(session));
  else sessionStorage.removeItem(KEY);
  for (const watcher of watchers) watcher(session);
}

tabs.onmessage = (/** @type {MessageEvent} */ { data }) => {
  if (data.ask && current) tabs.postMessage({ session: current });
  if (data.session && (!current || current.identity.id === data.session.identity.id)) keep(data.session);
  if (data.ended && current) keep(null);
};

export function session() {
  return current;
}

/** Take a new session over, in this tab and in the others. @param {Session} session */
export function begin(session) {
  keep(session);
  tabs.postMessage({ session });
}

/** Forget the session, in all tabs. */
export function end() {
  keep(null);
  tabs.postMessage({ ended: true });
}

/** Be told when somebody signs in or out. @param {(session: Session | null) => void} fn */
export function watchSession(fn) {
  watchers.add(fn);
}

/** The session of another tab, if one answers at once. @returns {Promise<Session | null>} */
export function fromOtherTab() {
  if (current) return Promise.resolve(current);
  return new Promise((resolve) => {
    const done = () => resolve(current);
    watchers.add(function once() {
      watchers.delete(once);
      done();
    });
    tabs.postMessage({ ask: true });
    setTimeout(done, 120);
  });
}
