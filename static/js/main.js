/** Where it begins: sign in, build the frame, show the page of the address. */
import "./pages.js";
import { connect } from "./api.js";
import { show } from "./dom.js";
import { startKeys } from "./keys.js";
import { startLive, stopLive } from "./live.js";
import { href, open, start } from "./router.js";
import { fromOtherTab, session, watchSession } from "./session.js";
import { confirmLeave, line, shell, showPage } from "./shell.js";
import { installToasts } from "./ui/toast.js";
import { askAgain, loginView } from "./views/login.js";

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
let isShown = false;
/** @type {Promise<boolean> | null} */
let asking = null;

/** Several calls may find the session ended at once; it is asked for once. */
function askOnce() {
  asking = asking || askAgain().finally(() => (asking = null));
  return asking;
}

async function enter() {
  if (isShown) return;
  isShown = true;
  if (location.pathname === "/" || location.pathname === "/console") history.replaceState({}, "", href("/overview"));
  show(app, shell());
  await open();
  startLive();
}

function leave() {
  if (!isShown && app.querySelector("form")) return;
  stopLive();
  document.querySelectorAll("dialog").forEach((d) => d.close());
  if (isShown) location.assign(href("/overview"));
  else show(app, loginView(enter));
}

/** Pages for people who have no account here yet: nothing of the console is around them. @type {Record<string, () => Promise<any>>} */
const ALONE = {
  "/console/first-run": async () => (await import("./views/firstrun.js")).firstRunPage(app),
  "/console/share": async () => (await import("./views/share.js")).sharePage(app),
};

async function main() {
  installToasts(document.body);
  const alone = ALONE[location.pathname.replace(/\/$/, "")];
  if (alone) return alone();
  connect({ askAgain: askOnce, line });
  watchSession((now) => (now ? enter() : leave()));
  start({ show: showPage, confirm: confirmLeave });
  startKeys();
  if (session() || (await fromOtherTab())) return enter();
  show(app, loginView(enter));
}
await main();
