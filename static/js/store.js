/** What this browser remembers: theme, page size, saved views. Never a secret: those live in `session.js`. */

const PREFIX = "zitilite.";

/** @template T @param {string} key @param {T} otherwise @returns {T} */
export function recall(key, otherwise) {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** @param {string} key @param {unknown} value undefined forgets it */
export function remember(key, value) {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing loses comfort, not function.
  }
}

/** @typedef {{name: string, query: string}} SavedView `query` is the part of the address after "?" */

/** The views somebody saved for an entity. @param {string} entity @returns {SavedView[]} */
export function savedViews(entity) {
  const found = recall(`views.${entity}`, /** @type {any[]} */ ([]));
  return Array.isArray(found) ? found.filter((v) => v && typeof v.name === "string" && typeof v.query === "string") : [];
}

/** @param {string} entity @param {SavedView} view one of the same name is replaced */
export function saveView(entity, view) {
  remember(`views.${entity}`, [...savedViews(entity).filter((v) => v.name !== view.name), view]);
}

/** @param {string} entity @param {string} name */
export function dropView(entity, name) {
  remember(`views.${entity}`, savedViews(entity).filter((v) => v.name !== name));
}

/** @typedef {"system" | "light" | "dark"} Theme */

/** @returns {Theme} */
export function theme() {
  const found = localStorage.getItem(`${PREFIX}theme`);
  return found === "light" || found === "dark" ? found : "system";
}

/** @param {Theme} wanted */
export function setTheme(wanted) {
  if (wanted === "system") {
    localStorage.removeItem(`${PREFIX}theme`);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(`${PREFIX}theme`, wanted);
    document.documentElement.dataset.theme = wanted;
  }
}
