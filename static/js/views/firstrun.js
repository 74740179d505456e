/**
 * The first run: choose the administrator's name and password, keys and lifetimes, see which addresses work, take the root certificate
 * and a recovery kit along. Signed in, a reload goes on where it was: the step is behind the #, where the code was before.
 */
import { ApiError, OWN, get, post, reach, request } from "../api.js";
import { CA_KEYS, rolloverCall, settingCall, settings } from "../care.js";
import { sha256Of } from "../certs.js";
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { begin, session } from "../session.js";
import { download } from "../tokens.js";
import { code } from "../ui/copy.js";
import { kitForm } from "../ui/kit.js";
import { bones, failed, pending, stateMark } from "../ui/parts.js";
import { command } from "../ui/recipes.js";

/** @param {HTMLElement} place */
export async function firstRunPage(place) {
  document.title = "First run · Zitilite";
  const main = h("main", { class: "visitor first-run", id: "main" }, bones(6));
  show(place, main);
  addEventListener("hashchange", () => location.reload());
  const step = AFTER[location.hash];
  if (step && session()) return step(main);
  async function load() {
    try {
      const call = { method: "GET", path: `${OWN}/first-run` };
      const response = await reach(call);
      const body = await response.json().catch(() => null);
      if (!response.ok) throw new ApiError(response.status, body, call);
      show(main, body.data.open && location.hash.length > 1 ? choose(main) : closed(body.data.open));
    } catch (error) {
      show(main, failed(error, load, "The page could not be loaded"));
    }
  }
  await load();
}

const brand = () => h("div", { class: "brand" }, h("img", { src: new URL("../../icon.svg", import.meta.url).pathname, alt: "", width: 32, height: 32 }), h("span", {}, "Zitilite"));

/** @param {boolean} isOpen */
const closed = (isOpen) => h("div", { class: "stack" }, brand(), h("h1", {}, isOpen ? "The link is not complete" : "The first run is over"), h("p", {}, isOpen ? "Open the whole link that the controller printed at its first start, with everything behind the #." : "The link was used, somebody has signed in, or a day has passed."), h("div", { class: "actions" }, h("a", { class: "button primary", href: "/console/overview" }, "Sign in")), h("p", { class: "soft" }, "Nobody knows the password? On the controller's machine:"), command("zitilite admin reset-password"));

/** @param {number} at @param {string[]} labels */
const rail = (at, labels) => h("ol", { class: "step-rail" }, labels.map((label, i) => h("li", { "aria-current": i === at ? "step" : undefined, class: i < at ? "done" : "" }, label)));
const STEPS = ["Administrator", "Keys and lifetimes", "Addresses and trust"];
/** The steps after the first. @type {Record<string, (main: HTMLElement) => void>} */
const AFTER = { "#keys": (main) => go(main, "#keys", keys(main)), "#trust": (main) => go(main, "#trust", trust()) };

/** @param {HTMLElement} main @param {string} hash @param {HTMLElement} element */
function go(main, hash, element) {
  history.replaceState({}, "", location.pathname + hash);
  show(main, element);
  main.querySelector("h1")?.focus();
}

/** @param {HTMLElement} main */
function choose(main) {
  const problem = h("p", { class: "form-note", role: "alert" });
  const field = (/** @type {string} */ id, /** @type {string} */ label, /** @type {any} */ input, /** @type {any} */ note, hint = "") => h("div", { class: "field" }, h("label", { for: id }, label), input, hint ? h("div", { class: "field-hint" }, hint) : null, note);
  const box = (/** @type {string} */ id, /** @type {any} */ more) => [h("input", { id, name: id, required: true, "aria-describedby": `${id}-note`, ...more }), h("p", { class: "field-note", id: `${id}-note` })];
  const [user, userNote] = box("username", { autocomplete: "username", value: "admin", spellcheck: false, autofocus: true });
  const [password, passwordNote] = box("new-password", { type: "password", autocomplete: "new-password" });
  const [again, againNote] = box("again", { type: "password", autocomplete: "new-password" });
  const button = h("button", { class: "primary" }, "Take over this controller");
  const wrong = (/** @type {any} */ input, /** @type {any} */ note, /** @type {string} */ text) => {
    note.textContent = text;
    input.setAttribute("aria-invalid", "true");
    input.focus();
  };
  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    for (const [input, note] of [[user, userNote], [password, passwordNote], [again, againNote]]) {
      input.removeAttribute("aria-invalid");
      note.textContent = "";
    }
    show(problem);
    const username = user.value.trim();
    if (username.length < 4 || username.length > 100) return wrong(user, userNote, "A user name has 4 to 100 characters.");
    if (password.value.length < 8 || password.value.length > 100) return wrong(password, passwordNote, "A password has 8 to 100 characters.");
    if (password.value !== again.value) return wrong(again, againNote, "The two are not the same.");
    button.disabled = true;
    try {
      const call = { method: "POST", path: `${OWN}/first-run`, body: { code: location.hash.slice(1), username, password: password.value } };
      const response = await reach(call);
      const body = await response.json().catch(() => null);
      if (!response.ok) throw new ApiError(response.status, body, call);
      const { token, identity } = body.data;
      begin({ token, identity: { id: identity.id, name: identity.name }, user: username });
      AFTER["#keys"](main);
    } catch (error) {
      const { field: where, message } = /** @type {any} */ (error);
      if (/username/.test(where || "")) wrong(user, userNote, message);
      else if (/password/.test(where || "")) wrong(password, passwordNote, message);
      else show(problem, message);
    } finally {
      button.disabled = false;
    }
  }
  return h("div", { class: "stack" }, brand(), rail(0, STEPS), h("h1", {}, "Choose your name and password"), h("p", { class: "soft" }, "You become the administrator of ", location.host, ". The password that was printed at the start stops working."), h("form", { class: "stack narrow", novalidate: true, onsubmit: submit }, field("username", "User name", user, userNote), field("new-password", "Password", password, passwordNote, "8 to 100 characters. A sentence is better than a riddle."), field("again", "The same again", again, againNote), problem, h("div", {}, button)));
}

const SPANS = /** @type {[number, string][]} */ ([[30, "30 days"], [90, "90 days"], [365, "1 year"], [730, "2 years"], [1825, "5 years"]]);
const CHOICES = /** @type {[string, string, string][]} */ ([
  ["identity_certificate_days", "Certificates of devices last", "Devices renew theirs by themselves while they are in use. A shorter time means that a stolen one ends sooner."],
  ["router_certificate_days", "Certificates of routers last", ""],
  ["ca_key", "Key of the authority", "Another kind makes root, intermediate and server certificate anew, before anybody trusts them. Your browser then warns once more, and the fingerprint that was printed at the start is void."],
]);

/** @param {HTMLElement} main */
function keys(main) {
  const draw = (/** @type {any[]} */ all) => {
    const problem = h("p", { class: "form-note", role: "alert" });
    const button = h("button", { class: "primary" }, "Use these");
    const fields = CHOICES.map(([id, label, hint]) => {
      const s = all.find((one) => one.id === id);
      const options = id === "ca_key" ? CA_KEYS : withOwn(SPANS.map(([days, words]) => [String(days), words]), s.value);
      const select = h("select", { id, disabled: !s.isChangeable, "aria-describedby": `${id}-words` }, options.map(([value, words]) => h("option", { value, selected: value === s.value }, words)));
      return { s, select, element: h("div", { class: "field" }, h("label", { for: id }, label), select, h("div", { class: "field-hint", id: `${id}-words` }, s.isChangeable ? hint : `Given by ${s.source}, and changed there.`)) };
    });
    async function submit(/** @type {Event} */ event) {
      event.preventDefault();
      show(problem);
      button.disabled = true;
      try {
        let isNew = false;
        for (const { s, select } of fields) {
          if (select.value === s.value) continue;
          if (s.id === "ca_key") await request(rolloverCall("root", select.value, true)).then(() => (isNew = true));
          await request(settingCall(s.id, select.value));
        }
        if (!isNew) return AFTER["#trust"](main);
        history.replaceState({}, "", `${location.pathname}#trust`);
        location.reload();
      } catch (error) {
        show(problem, /** @type {any} */ (error).message);
        button.disabled = false;
      }
    }
    return h("form", { class: "stack narrow", onsubmit: submit }, fields.map((f) => f.element), problem, h("div", { class: "actions" }, button, h("button", { type: "button", onclick: () => AFTER["#trust"](main) }, "Leave as it is")));
  };
  return h("div", { class: "stack" }, brand(), rail(1, STEPS), h("h1", { tabindex: "-1" }, "Keys and lifetimes"), h("p", { class: "soft" }, "Good as they are for most. The lifetimes can be changed at any time; the key is easiest to change now, while nobody has a certificate."), pending(settings, draw, { lines: 5, what: "The settings could not be loaded" }));
}

/** The usual ones, and the present one if it is none of them. @param {[string, string][]} options @param {string} value @returns {[string, string][]} */
const withOwn = (options, value) => (options.some(([v]) => v === value) ? options : [[value, `${value} days`], ...options]);

function trust() {
  return h(
    "div",
    { class: "stack" },
    brand(),
    rail(2, STEPS),
    h("h1", { tabindex: "-1" }, "How devices reach and trust it"),
    h("section", { class: "card" }, h("header", {}, h("h2", {}, "Addresses")), h("div", { class: "card-body" }, h("p", { class: "soft" }, "Tokens name the first one: devices have to reach the controller by it."), pending(lookAtAll, addresses, { lines: 2, what: "The addresses could not be looked at" }))),
    h("section", { class: "card" }, h("header", {}, h("h2", {}, "Root certificate")), h("div", { class: "card-body" }, h("p", { class: "soft" }, "Install it where this console is used, and the browser warns no more. Devices need it only for curl: their token brings it."), pending(root, rootCard, { lines: 3, what: "The root certificate could not be loaded" }))),
    h("section", { class: "card" }, h("header", {}, h("h2", {}, "Recovery kit")), h("div", { class: "card-body" }, kitForm())),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: "/console/enroll" }, icon("plus"), "Enroll the first device"), h("a", { class: "button", href: "/console/overview" }, "To the overview")),
  );
}

/** Each address, looked at now. */
async function lookAtAll() {
  const { data } = await get(`${OWN}/addresses`, { limit: 100 });
  return Promise.all(data.map(async (/** @type {any} */ a) => ({ ...a, ...(await post(`${OWN}/addresses/${encodeURIComponent(a.id)}/check`)).data })));
}

/** @param {any[]} all */
function addresses(all) {
  const list = h("ul", { class: "address-list" }, all.map((a) => h("li", {}, h("div", {}, h("b", { class: "mono" }, a.address), a.isIssuer ? h("span", { class: "soft" }, "in tokens") : null), h("div", {}, stateMark(a.resolves ? "ok" : "refused", a.resolves ? `resolves to ${a.resolvesTo.join(", ")}` : "does not resolve"), stateMark(a.answers ? "ok" : "warning", a.answers ? "answers" : "does not answer from here"), a.servesOurKey === null ? null : stateMark(a.servesOurKey ? "ok" : "refused", a.servesOurKey ? "is this controller" : "is somebody else")), a.problem ? h("p", { class: "field-note" }, a.problem) : null)));
  const here = location.host;
  const isMissing = !all.some((a) => a.address === here || a.address === `${here}:443`);
  const note = h("p", { class: "field-note", role: "status" });
  async function add() {
    try {
      await post(`${OWN}/addresses`, { address: here.includes(":") ? here : `${here}:443` });
      show(list.parentElement, addresses(await lookAtAll()));
    } catch (error) {
      show(note, /** @type {any} */ (error).message);
    }
  }
  return h("div", { class: "stack tight" }, list, isMissing ? h("div", { class: "actions" }, h("span", {}, "You came by ", h("b", { class: "mono" }, here), ", which is not among them."), h("button", { type: "button", class: "small", onclick: add }, "Add it")) : null, note, h("p", { class: "soft" }, "More can be added later, under Settings, Addresses."));
}

async function root() {
  const { data } = await get(`${OWN}/certificates`, { filter: 'kind = "root" and isCurrent = true', limit: 1 });
  const { data: one } = await get(`${OWN}/certificates/${encodeURIComponent(data[0].id)}`);
  return { ...one, sha256: one.sha256 || (one.pem ? await sha256Of(one.pem) : "") };
}

const INSTALL = /** @type {[string, string][]} */ ([
  ["Debian, Ubuntu", "sudo cp zitilite-root.pem /usr/local/share/ca-certificates/zitilite-root.crt\nsudo update-ca-certificates"],
  ["Fedora, RHEL", "sudo cp zitilite-root.pem /etc/pki/ca-trust/source/anchors/\nsudo update-ca-trust"],
  ["macOS", "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain zitilite-root.pem"],
  ["Windows", "certutil -addstore -f Root zitilite-root.pem"],
]);

/** @param {any} r */
function rootCard(r) {
  return h("div", { class: "stack tight" }, h("div", {}, name(r.subject)), h("div", { class: "secret" }, h("div", { class: "soft" }, "SHA-256"), code(r.sha256, "Copy the fingerprint")), h("p", { class: "soft" }, "Compare it with the line “root CA” that the controller printed."), r.pem ? h("div", {}, h("button", { type: "button", onclick: () => download(r.pem, "zitilite-root.pem", "application/x-pem-file") }, icon("download"), "Download zitilite-root.pem")) : null, INSTALL.map(([os, text]) => h("details", {}, h("summary", {}, os), command(text))));
}
