/**
 * Where it begins: as little as the sign-in needs. The rest (`console.js`) is fetched while somebody types, so that the form works soon
 * on a slow line too.
 */
import { h, show } from "./dom.js";
import { fromOtherTab, session, watchSession } from "./session.js";
import { later, sheet } from "./sheets.js";
import { loginView } from "./views/login.js";

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
let isEntered = false;

async function enter() {
  if (isEntered) return;
  isEntered = true;
  const slow = setTimeout(() => show(app, waiting("Loading the console …")), 150);
  later();
  try {
    const [{ startConsole }] = await Promise.all([import("./console.js"), sheet("parts"), sheet("overview")]);
    clearTimeout(slow);
    await startConsole(app);
  } catch (error) {
    clearTimeout(slow);
    console.info(error);
    show(app, waiting("The console could not be loaded: the controller cannot be reached.", h("button", { type: "button", class: "primary", onclick: () => location.reload() }, "Try again")));
  }
}

/** @param {string} words @param {...any} more */
const waiting = (words, ...more) => h("main", { class: "alone", id: "main" }, h("div", { class: "stack", role: "status" }, h("p", {}, words), more));

/** Pages for people who have no account here yet: nothing of the console is around them. @type {Record<string, () => Promise<any>>} */
const ALONE = {
  "/console/first-run": async () => (await import("./views/firstrun.js")).firstRunPage(app),
  "/console/share": async () => (await import("./views/share.js")).sharePage(app),
};

async function main() {
  const alone = ALONE[location.pathname.replace(/\/$/, "")];
  if (alone) {
    const [{ installToasts }] = await Promise.all([import("./ui/toast.js"), ...["parts", "overview", "pages", "guided"].map(sheet)]);
    installToasts(document.body);
    return alone();
  }
  watchSession((now) => now && enter());
  if (session() || (await fromOtherTab())) return enter();
  show(app, loginView(enter));
  later();
}
await main();
