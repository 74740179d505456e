import { forget, logout } from "./api.js";
import { h, show } from "./dom.js";
import { identitiesView } from "./views/identities.js";
import { loginView } from "./views/login.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const nav = /** @type {HTMLElement} */ (document.getElementById("nav"));

/** @param {string} [reason] */
function start(reason) {
  forget();
  show(nav);
  show(main, loginView(signedIn, reason));
}

/** @param {any} session */
function signedIn(session) {
  const leave = h("button", { type: "button", onclick: () => logout().catch(() => {}).then(() => start()) }, "Sign out");
  show(nav, h("span", {}, session.identity.name), leave);
  show(main, identitiesView(() => start("Your session ended. Sign in again.")));
}

start();
