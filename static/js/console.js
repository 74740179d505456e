/** The console itself, once somebody is signed in: pages, keys, news, and what happens when the session ends. */
import "./pages.js";
import { connect } from "./api.js";
import { show } from "./dom.js";
import { look } from "./health.js";
import { startKeys } from "./keys.js";
import { startLive, stopLive } from "./live.js";
import { href, open, start } from "./router.js";
import { watchSession } from "./session.js";
import { confirmLeave, line, shell, showPage, slow } from "./shell.js";
import { installToasts } from "./ui/toast.js";

/** @type {Promise<boolean> | null} */
let asking = null;

/** Several calls may find the session ended at once; it is asked for once. */
function askOnce() {
  asking = asking || import("./views/again.js").then(({ askAgain }) => askAgain()).finally(() => (asking = null));
  return asking;
}

function leave() {
  stopLive();
  document.querySelectorAll("dialog").forEach((d) => d.close());
  location.assign(href("/overview"));
}

/** @param {HTMLElement} app where it is shown */
export async function startConsole(app) {
  installToasts(document.body);
  connect({ askAgain: askOnce, line, slow });
  watchSession((now) => now || leave());
  start({ show: showPage, confirm: confirmLeave });
  startKeys();
  if (location.pathname === "/" || location.pathname === "/console") history.replaceState({}, "", href("/overview"));
  show(app, shell());
  await open();
  look();
  startLive();
}
