/** The controller's own certificates: how long they last, and how they are replaced while everybody goes on. */
import { request } from "../api.js";
import { CA_KEYS, ownCertificates, rolloverCall } from "../care.js";
import { h, name } from "../dom.js";
import { placeTabs } from "../places.js";
import { href, open } from "../router.js";
import { date } from "../time.js";
import { code } from "../ui/copy.js";
import { copyAs } from "../ui/copyas.js";
import { confirm } from "../ui/dialog.js";
import { card, facts, pageHead, pending, stateMark } from "../ui/parts.js";
import { bad, good } from "../ui/toast.js";

const KINDS = /** @type {Record<string, [string, string]>} */ ({
  root: ["Root", "Devices trust it. It signs the intermediate and nothing else."],
  intermediate: ["Intermediate", "It issues the certificates of devices, routers and of this server."],
  cross: ["Bridge between two roots", "The new root, signed by the old one, for devices that know only that."],
  server: ["Server", "What clients see when they connect. It is renewed by itself, at the latest after two thirds of its life, and when an address is added."],
});
const ROLL = /** @type {Record<"root" | "intermediate", string[]>} */ ({
  intermediate: ["A new intermediate is made and issues from now on.", "Certificates of the old one stay good until they end; nobody has to enroll again.", "The server's certificate is renewed, without a break."],
  root: ["A new root and a new intermediate are made.", "Devices hear of the new root with their next renewal and then trust both.", "The old root stays in the bundle until it ends: nobody is cut off.", "Who keeps a copy of the root (a fleet's image, a mobile profile) should get the new bundle."],
});

/** @param {import("../router.js").Page} page */
export function ownCertificatesView(page) {
  const draw = (/** @type {any[]} */ rows) => [...sorted(rows, true), ...old(sorted(rows, false))];
  const sorted = (/** @type {any[]} */ rows, /** @type {boolean} */ isCurrent) => rows.filter((r) => r.isCurrent === isCurrent).sort((a, b) => Object.keys(KINDS).indexOf(a.kind) - Object.keys(KINDS).indexOf(b.kind)).map(one);
  const old = (/** @type {any[]} */ cards) => (cards.length ? [h("details", {}, h("summary", {}, `Replaced, and good until they end (${cards.length})`), h("div", { class: "stack" }, cards))] : []);
  return h("div", {}, placeTabs("authorities", "/own-certificates"), pageHead({ title: "Our own certificates" }), h("p", { class: "lead" }, "This controller is an authority itself: a root, an intermediate that issues, and the server's certificate."), pending(ownCertificates, (rows) => h("div", { class: "stack" }, draw(rows)), { lines: 8 }));
}

/** @param {any} row */
function one(row) {
  const [title, about] = KINDS[row.kind];
  const what = row.isCurrent && (row.kind === "root" || row.kind === "intermediate") ? /** @type {"root" | "intermediate"} */ (row.kind) : null;
  const button = what ? h("button", { type: "button", onclick: () => replace(what) }, `Replace the ${what} …`) : null;
  return card(title, h("div", { class: "stack tight" }, h("p", { class: "soft" }, about), facts([
    ["Subject", h("a", { href: href(`/certificates/${encodeURIComponent(row.id)}`) }, name(row.subject))],
    ["Valid", h("span", {}, date(row.notBefore), " to ", date(row.notAfter), h("span", { class: "soft" }, ` ${row.daysLeft.toLocaleString("en")} days left`))],
    ["State", stateMark(row.state)],
    ["SHA-1", code(row.fingerprint, "Copy the fingerprint")],
  ]), button ? h("div", { class: "actions" }, button, copyAs(() => rolloverCall(/** @type {any} */ (what)), { what: `replacing the ${what}` })) : null));
}

/** @param {"root" | "intermediate"} what */
async function replace(what) {
  const key = h("select", { id: "new-key" }, h("option", { value: "" }, "as the setting says"), CA_KEYS.map(([value, words]) => h("option", { value }, words)));
  const body = h("div", { class: "stack tight" }, h("ul", { class: "consequences" }, ROLL[what].map((l) => h("li", {}, l))), h("p", { class: "soft" }, "It cannot be taken back; the old one is no longer used for issuing."), h("div", { class: "field" }, h("label", { for: "new-key" }, "New key"), key));
  if (!(await confirm({ title: `Replace the ${what}?`, body, yes: `Replace the ${what}`, typed: what === "root" ? "root" : "" }))) return;
  try {
    await request(rolloverCall(what, key.value));
    good(`The ${what} is a new one`);
    await open();
  } catch (error) {
    bad(error, `Replacing the ${what}`);
  }
}
