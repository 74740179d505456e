/** What stands on the page of an authority: where it stands, what its devices may, who they are, what is blocked. */
import { request } from "../api.js";
import { SWITCHES, block, changeCall, decodeFiles, forgetCrl, giveCrl, inOneSentence, nameBy, peopleOf } from "../authorities.js";
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { href, open } from "../router.js";
import { date, relative, time } from "../time.js";
import { certificateCard, refusal } from "../ui/certs.js";
import { copyAs } from "../ui/copyas.js";
import { confirm } from "../ui/dialog.js";
import { dropZone } from "../ui/drop.js";
import { card, count, facts, pending, stateMark } from "../ui/parts.js";
import { bad, good } from "../ui/toast.js";
import { tokenCard, trial } from "./authority-try.js";

/** @param {any} row */
export async function panel(row) {
  const people = await peopleOf(row.id);
  const left = [standing(row, people), rules(row, people), tokenCard(row), certificate(row)];
  const right = [crowd(row, people), row.isVerified ? card("What would happen to a device", trial()) : null, blocking(row), crl(row, people)];
  return h("div", { class: "authority" }, h("div", { class: "stack" }, left), h("div", { class: "stack" }, right));
}

/** @param {any} row @param {number} step */
const setup = (row, step) => href(`/cas/${encodeURIComponent(row.id)}/setup`, { step });

/** @param {any} row @param {import("../authorities.js").People} people */
function standing(row, people) {
  const sample = nameBy(row.identityNameFormat, { caName: row.name, caId: row.id, commonName: "box7", requestedName: "front door", identityId: "kX2pBv9Qe" });
  if (!row.isVerified) return card("2 of 4 steps are done", h("div", { class: "stack tight" }, h("p", {}, "Nobody can join or connect by it until you prove that it is yours."), h("div", { class: "actions" }, h("a", { class: "button primary", href: setup(row, 3) }, "Prove it"), h("a", { class: "button", href: setup(row, 2) }, "Rules"))), { kind: "todo" });
  return card("Where it stands", h("div", { class: "stack tight" }, h("p", {}, inOneSentence(row, sample)), h("p", { class: "soft" }, people.identities ? `${count(people.identities, "device")} came from it, ${people.canConnect} can connect now.` : "No device came from it yet."), h("div", { class: "actions" }, h("a", { class: "button", href: setup(row, 4) }, "Try it"), h("a", { class: "button", href: setup(row, 2) }, "Change the rules"))));
}

/** @param {any} row @param {import("../authorities.js").People} people */
function rules(row, people) {
  return card("Its devices may", h("div", {}, SWITCHES.map((s) => permit(row, people, s))));
}

/** @param {any} row @param {import("../authorities.js").People} people @param {typeof SWITCHES[number]} s */
function permit(row, people, s) {
  const box = h("input", { id: `p-${s.name}`, type: "checkbox", class: "switch", role: "switch", checked: row[s.name], onchange: change, "aria-describedby": `p-${s.name}-words` });
  async function change() {
    const isOn = box.checked;
    const call = changeCall(row.id, { [s.name]: isOn });
    const body = h("div", { class: "stack tight" }, consequence(people, s.name, isOn), h("div", {}, copyAs(() => call, { label: "Copy as …", what: "this change" })));
    const title = `${isOn ? "Let devices" : "No longer let devices"} ${s.label}?`;
    if (!(await confirm({ title, body, yes: isOn ? "Allow it" : "Turn it off", danger: !isOn }))) {
      box.checked = !isOn;
      return;
    }
    try {
      await request(call);
      good(isOn ? `Devices of ${row.name} may ${s.label}` : `Devices of ${row.name} may no longer ${s.label}`);
      await open();
    } catch (error) {
      box.checked = !isOn;
      bad(error, title);
    }
  }
  return h("div", { class: "permit" }, box, h("div", {}, h("label", { for: `p-${s.name}` }, s.label), h("small", { id: `p-${s.name}-words` }, row[s.name] ? s.on : s.off)));
}

/** @param {import("../authorities.js").People} people @param {string} name @param {boolean} isOn */
function consequence(people, name, isOn) {
  const lines = [];
  if (name === "isAuthEnabled") {
    if (isOn) lines.push(people.able ? `${count(people.able, "device")} can connect again.` : "Nobody has joined by it yet.");
    else lines.push(people.canConnect ? `${count(people.canConnect, "device")} can connect now and then cannot.` : "Nobody connects by it now.", people.sessions ? `${count(people.sessions, "session")} ${people.sessions === 1 ? "ends" : "end"} at once.` : "No session is open.");
  } else if (name === "isOttCaEnrollmentEnabled") {
    lines.push(people.pendingTokens ? `${count(people.pendingTokens, "pending token")} of it ${isOn ? "work again" : "are refused until it is on again"}.` : "No token of it is pending.", "Devices that have joined are not touched.");
  } else lines.push(isOn ? "Every holder of a certificate below it becomes a device here when it asks." : "Devices that have joined are not touched.");
  return h("ul", { class: "consequences" }, lines.map((l) => h("li", {}, l)));
}

/** @param {any} row @param {import("../authorities.js").People} people */
function crowd(row, people) {
  if (!people.identities) return card("Who came from it", h("p", { class: "soft" }, "Nobody yet."));
  const all = href("/identities", { filter: `caId = ${JSON.stringify(row.id)}` });
  const lines = people.newest.map((i) => h("li", {}, h("a", { href: href(`/identities/${encodeURIComponent(i.id)}`) }, name(i.name)), time(i.createdAt)));
  const numbers = facts([
    ["Devices", h("a", { href: all }, people.identities.toLocaleString("en"))],
    ["Can connect now", people.canConnect.toLocaleString("en")],
    ["Have no other way in", people.onlyWayIn.toLocaleString("en")],
    ["Open sessions", people.sessions.toLocaleString("en")],
    ["Pending tokens", people.pendingTokens.toLocaleString("en")],
  ]);
  return card("Who came from it", h("div", { class: "stack tight" }, numbers, h("h3", {}, "The newest"), h("ul", { class: "plain-list" }, lines), h("div", {}, h("a", { href: all }, `All ${count(people.identities, "device")}`))));
}

/** @param {any} row */
function certificate(row) {
  const load = () => decodeFiles([{ bytes: new TextEncoder().encode(row.certPem) }]);
  return card("Its certificate", pending(load, ({ certificates }) => certificates.map((c) => certificateCard({ ...c, warnings: c.warnings.filter((w) => !w.startsWith("it is imported")) }))));
}

// --- what is blocked

/** @param {any} row */
function blocking(row) {
  const kind = h("select", { id: "block-kind", onchange: () => (word.placeholder = PLACEHOLDERS[kind.value]) }, [["fingerprint", "fingerprint"], ["serial", "serial number"]].map(([v, words]) => h("option", { value: v }, words)));
  const word = h("input", { id: "block-word", class: "mono", spellcheck: false, autocomplete: "off", placeholder: PLACEHOLDERS.fingerprint });
  const reason = h("input", { id: "block-reason", autocomplete: "off" });
  const problem = h("div");
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    show(problem);
    try {
      const body = { reason: reason.value.trim(), ...(kind.value === "serial" ? { serial: word.value.trim(), issuer: await issuerOf(row) } : { fingerprint: word.value.trim() }) };
      if (!(await confirm({ title: "Block this certificate?", body: h("p", {}, "It is refused from now on, and its sessions end at once."), yes: "Block it", danger: true }))) return;
      await block(body);
      good("The certificate is blocked");
      await open();
    } catch (error) {
      show(problem, refusal(error));
    }
  }
  const field = (/** @type {any} */ input, /** @type {string} */ label) => h("div", { class: "field" }, h("label", { for: input.id }, label), input);
  return card("Block one certificate of it", h("form", { class: "stack tight", onsubmit: submit }, problem, h("div", { class: "two" }, field(kind, "Named by"), field(word, "Which")), field(reason, "Reason"), h("div", { class: "actions" }, h("button", { class: "danger-quiet" }, "Block …"), h("a", { href: href("/blocked-certificates") }, "All that are blocked"))));
}

const PLACEHOLDERS = /** @type {Record<string, string>} */ ({ fingerprint: "SHA-1 or SHA-256, in hexadecimal", serial: "as openssl x509 -serial shows it" });

/** The name that the certificates below it give as their issuer. @param {any} row */
async function issuerOf(row) {
  const { certificates } = await decodeFiles([{ bytes: new TextEncoder().encode(row.certPem) }]);
  return certificates.find((c) => c.isIssuing)?.subject || certificates[0].subject;
}

// --- its revocation list

/** @param {any} row @param {import("../authorities.js").People} people */
function crl(row, people) {
  const problem = h("div", { "aria-live": "polite" });
  /** @param {{bytes: Uint8Array}[]} files */
  async function take([file]) {
    show(problem);
    try {
      const found = await giveCrl(row.id, file.bytes);
      good(`The list is in force: ${count(found.revokedCount, "certificate")} revoked${found.nextUpdate ? `, the next one is due ${relative(found.nextUpdate)}` : ""}`);
      await open();
    } catch (error) {
      show(problem, refusal(error));
    }
  }
  async function forget() {
    if (!(await confirm({ title: "Forget the revocation list?", body: h("p", {}, `What it revoked (${people.crl.revokedCount}) is accepted again.`), yes: "Forget it", danger: true }))) return;
    try {
      await forgetCrl(row.id);
      await open();
    } catch (error) {
      bad(error, "Forgetting the list");
    }
  }
  const inForce = people.crl?.thisUpdate
    ? h("div", { class: "stack tight" }, facts([["In force since", h("span", {}, date(people.crl.thisUpdate), h("span", { class: "soft" }, ` taken ${relative(people.crl.receivedAt)}`))], ["Next one due", people.crl.nextUpdate ? h("span", {}, date(people.crl.nextUpdate), " ", people.crl.isStale ? stateMark("expired", "overdue") : null) : "it does not say"], ["Revoked", people.crl.revokedCount.toLocaleString("en")]]), people.crl.problem ? h("p", {}, stateMark("warning", people.crl.problem)) : null, h("div", {}, h("button", { type: "button", class: "danger-quiet small", onclick: forget }, icon("trash"), "Forget the list")))
    : h("p", { class: "soft" }, "None was given. Certificates that the authority has revoked are still accepted.");
  return card("Revocation list", h("div", { class: "stack" }, inForce, dropZone({ label: "a newer list", hint: "PEM or DER. It must be signed by this authority.", accept: ".crl,.pem,.der", take }), problem));
}

