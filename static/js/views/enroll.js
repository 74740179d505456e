/**
 * Enroll a device: who it is, how it joins, how long the token works. It ends on the page of the token.
 * @typedef {{method: string, label: string, about: string}} Method
 */
import { ApiError, MANAGEMENT, get, post } from "../api.js";
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { go, href } from "../router.js";
import { actOn } from "../tokens.js";
import { copyAs } from "../ui/copyas.js";
import { copyButton } from "../ui/copy.js";
import { expiryField } from "../ui/expiry.js";
import { FIELDS } from "../ui/fields.js";
import { link, pageHead, pending } from "../ui/parts.js";
import { technical } from "../ui/toast.js";

/** @type {Method[]} */
const METHODS = [
  { method: "ott", label: "One-time token", about: "The device makes its own key and gets its certificate from this controller. The usual way." },
  { method: "ottca", label: "Token and a certificate of your own", about: "The device has a certificate of your authority already. The token says who it is." },
  { method: "updb", label: "User name and password", about: "For people and programs without a certificate. The token lets them choose the password." },
  { method: "ca", label: "By itself", about: "Any device with a certificate of your authority joins with one token that all of them share. Nothing is made now." },
];

/** @param {import("../router.js").Page} page */
export function enrollView(page) {
  let kind = page.query.get("kind") === "router" ? "edge-routers" : "identities";
  let method = METHODS.some((m) => m.method === page.query.get("method")) ? String(page.query.get("method")) : "ott";
  let ca = page.query.get("ca") || "";
  let isTouched = false;
  const touched = () => (isTouched = true);
  const problem = h("div", { class: "form-problem", role: "alert" });
  const nameNote = h("p", { class: "field-note", id: "name-note" });
  const nameBox = h("input", { id: "name", required: true, autocomplete: "off", spellcheck: false, dir: "auto", maxLength: 300, "aria-describedby": "name-note", autofocus: true, oninput: () => (touched(), nameBox.removeAttribute("aria-invalid"), (nameNote.textContent = ""), follow()) });
  const userNote = h("p", { class: "field-note", id: "user-note" });
  const userBox = h("input", { id: "username", autocomplete: "off", spellcheck: false, dir: "auto", "aria-describedby": "user-note", oninput: () => (userBox.dataset.own = "1") });
  const expiry = expiryField(touched);
  const attributesPlace = h("div", { class: "field" });
  const methodPlace = h("div");
  const namePart = h("div", { class: "fields" }, h("div", { class: "field" }, h("label", { for: "name", class: "needed" }, "Name"), nameBox, nameNote), attributesPlace);
  const caPlace = h("div");
  const button = h("button", { class: "primary" });
  /** @type {import("../ui/fields.js").Made} */
  let attributes;

  /** The user name follows the name until it is changed. */
  function follow() {
    if (!userBox.dataset.own) userBox.value = nameBox.value.trim();
  }
  const isRouter = () => kind === "edge-routers";
  const isReusable = () => !isRouter() && method === "ca";

  function draw() {
    const held = attributes?.read() || [];
    const known = isRouter() ? "/edge-router-role-attributes" : "/identity-role-attributes";
    attributes = FIELDS.attributes({ name: "roleAttributes", label: "Attributes", kind: "attributes", known }, held, "attributes", touched);
    show(attributesPlace, h("label", { for: "attributes" }, "Attributes"), attributes.element, h("div", { class: "field-hint" }, isRouter() ? "Router policies speak of routers by these." : "Policies speak of devices by these."));
    show(methodPlace, isRouter() ? null : h("fieldset", { class: "field" }, h("legend", {}, "How it joins"), h("div", { class: "method-list" }, METHODS.map(methodChoice))));
    drawCa();
    namePart.hidden = isReusable();
    expiry.element.hidden = isReusable();
    nameBox.required = !isReusable();
    show(button, isReusable() ? "Show the token" : isRouter() ? "Make this router's token" : "Make this device's token");
    page.setQuery({ kind: isRouter() ? "router" : "", method: method === "ott" ? "" : method });
  }
  /** @param {Method} m */
  function methodChoice(m) {
    return h("label", { class: "method" }, h("input", { type: "radio", name: "method", value: m.method, checked: m.method === method, onchange: () => ((method = m.method), draw(), element.querySelector(`input[value=${m.method}]`).focus()) }), h("span", {}, h("b", {}, m.label), h("span", { class: "soft" }, m.about)));
  }
  function drawCa() {
    if (isRouter() || method === "ott") return show(caPlace);
    if (method === "updb") {
      follow();
      return show(caPlace, h("div", { class: "field" }, h("label", { for: "username", class: "needed" }, "User name"), userBox, h("div", { class: "field-hint" }, "What is typed to sign in. 4 to 100 characters."), userNote));
    }
    show(caPlace, pending(async () => (await get(`${MANAGEMENT}/cas`, { limit: 500, filter: "sort by name" })).data, authorities, { lines: 2, what: "The authorities could not be loaded" }));
  }
  /** @param {any[]} all */
  function authorities(all) {
    const can = all.filter((c) => !whyNot(c, method));
    if (!can.some((c) => c.id === ca)) ca = can[0]?.id || "";
    if (!all.length) return h("p", {}, "There is no authority of your own here yet. ", link(href("/cas/new"), "Import one"), ".");
    const choices = [...can, ...all.filter((c) => !can.includes(c))].map((c) => {
      const reason = whyNot(c, method);
      return h("label", { class: reason ? "method off" : "method" }, h("input", { type: "radio", name: "ca", value: c.id, disabled: Boolean(reason), checked: c.id === ca, onchange: () => (ca = c.id) }), h("span", {}, name(c.name), reason ? h("span", { class: "soft" }, reason, " ", h("a", { href: href(`/cas/${encodeURIComponent(c.id)}`) }, "Go there")) : null));
    });
    return h("fieldset", { class: "field" }, h("legend", {}, "Authority"), h("div", { class: "method-list" }, choices), can.length ? null : h("p", { class: "field-note", role: "alert" }, "None of them can be used for this now."));
  }

  /** The requests, as they would be sent now. @returns {import("../curl.js").Call} */
  function call() {
    const body = { name: nameBox.value.trim(), roleAttributes: attributes.read() };
    if (isReusable()) return { method: "GET", path: `${MANAGEMENT}/cas/${encodeURIComponent(ca || "CA")}/jwt` };
    if (isRouter()) return { method: "POST", path: `${MANAGEMENT}/edge-routers`, body: { ...body, isTunnelerEnabled: false } };
    const how = method === "ottca" ? { ottca: ca } : method === "updb" ? { updb: userBox.value.trim() } : { ott: true };
    let expiresAt;
    try {
      expiresAt = expiry.read();
    } catch {
      // Said beside its field.
    }
    return { method: "POST", path: `${MANAGEMENT}/identities`, body: { ...body, type: "Device", isAdmin: false, enrollment: { ...how, expiresAt } } };
  }
  /** @param {HTMLElement} box @param {HTMLElement} note @param {string} text */
  function wrong(box, note, text) {
    note.textContent = text;
    box.setAttribute("aria-invalid", "true");
    box.focus();
  }
  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    show(problem);
    if (isReusable()) {
      if (ca) go(`/enroll/cas/${encodeURIComponent(ca)}`, {}, { sure: true });
      return;
    }
    if (!nameBox.value.trim()) return wrong(nameBox, nameNote, "This is needed.");
    if (!isRouter() && method === "ottca" && !ca) return show(problem, h("p", {}, "Choose an authority first."));
    if (!isRouter() && method === "updb" && (userBox.value.trim().length < 4 || userBox.value.trim().length > 100)) return wrong(userBox, userNote, "A user name has 4 to 100 characters.");
    button.disabled = true;
    try {
      const expiresAt = expiry.read();
      const { data } = await post(call().path, call().body);
      isTouched = false;
      // A router's create takes no expiry.
      if (isRouter()) await actOn("renew", kind, data.id, { expiresAt });
      await go(`/enroll/${kind}/${encodeURIComponent(data.id)}`, {}, { sure: true });
    } catch (error) {
      fail(error);
    } finally {
      button.disabled = false;
    }
  }
  /** @param {any} error */
  function fail(error) {
    if (error.shown) return;
    if (error instanceof ApiError && error.field === "name") return wrong(nameBox, nameNote, /duplicate|unique/.test(error.message) ? "This name is taken. Each has one of its own." : error.message);
    if (error instanceof ApiError && /username/.test(error.field)) return wrong(userBox, userNote, error.message);
    const detail = technical(error);
    show(problem, h("p", {}, error.message), detail && h("details", {}, h("summary", {}, "Details"), h("pre", { tabindex: "0" }, detail), copyButton(() => detail)));
    problem.scrollIntoView({ block: "nearest" });
  }
  /** @param {string} wanted @param {string} sign @param {string} label */
  const kindChoice = (wanted, sign, label) => h("label", { class: "pick" }, h("input", { type: "radio", name: "kind", value: wanted, checked: wanted === kind, onchange: () => ((kind = wanted), draw()) }), h("span", {}, icon(sign), label));
  page.guard(() => isTouched && nameBox.value.trim() !== "");
  page.offer({ id: "save", label: "Make the token", key: "Ctrl+Enter", icon: "check", run: () => element.requestSubmit() });
  const element = h(
    "form",
    { class: "edit enroll-form", novalidate: true, onsubmit: submit },
    pageHead({ title: "Enroll a device", actions: [copyAs(call, { what: "this enrollment" })] }),
    problem,
    h("div", { class: "fields" }, h("fieldset", { class: "field" }, h("legend", {}, "What"), h("div", { class: "picks" }, kindChoice("identities", "device", "Device or person"), kindChoice("edge-routers", "router", "Edge router"))), namePart, methodPlace, caPlace, expiry.element),
    h("footer", { class: "form-foot" }, button, h("a", { class: "button quiet", href: href(isRouter() ? "/edge-routers" : "/identities") }, "Cancel"), h("span", { class: "gap" }), h("a", { class: "soft-link", href: href(`/${kind}/new`) }, "All settings")),
  );
  draw();
  requestAnimationFrame(() => !isReusable() && nameBox.focus({ preventScroll: true }));
  return element;
}

/** Why an authority cannot be used for a method, "" when it can. @param {any} ca @param {string} method */
function whyNot(ca, method) {
  if (!ca.isVerified) return "Not verified: prove first that it is yours.";
  if (method === "ottca" && !ca.isOttCaEnrollmentEnabled) return "Joining with a token is switched off.";
  if (method === "ca" && !ca.isAutoCaEnrollmentEnabled) return "Joining by themselves is switched off.";
  return "";
}
