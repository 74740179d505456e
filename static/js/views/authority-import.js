/** The guided import of an authority: bring it, say the rules, prove that it is yours, try it. Each step has an address. */
import { request } from "../api.js";
import { changeCall, checkProof, createCall, decodeFiles, loadCa, pemOf, proofCommands, verifyCall } from "../authorities.js";
import { debounced, h, show } from "../dom.js";
import { icon } from "../icons.js";
import { listen } from "../live.js";
import { go, href, open } from "../router.js";
import { recall, remember } from "../store.js";
import { certificateCard, checklist, commandTabs, refusal, warnings } from "../ui/certs.js";
import { code } from "../ui/copy.js";
import { copyAs } from "../ui/copyas.js";
import { dropZone } from "../ui/drop.js";
import { bones, card, failed, link, pageHead } from "../ui/parts.js";
import { announce, bad, good } from "../ui/toast.js";
import { ruleForm } from "./authority-rules.js";
import { trial, tokenCard } from "./authority-try.js";

const STEPS = ["Bring it", "Rules", "Prove it is yours", "Try it"];
const DRAFT = "authority-draft";

/** A new one: steps 1 and 2. @param {import("../router.js").Page} page */
export function createView(page) {
  const draft = recall(DRAFT, /** @type {any} */ (null));
  const step = page.query.get("step") === "2" && draft?.chosen ? 2 : 1;
  page.setTitle("Import an authority");
  return frame(page, step, null, step === 2 ? rulesOfNew(page, draft) : bring(page, draft));
}

/** One that exists: steps 2, 3 and 4. @param {import("../router.js").Page} page */
export function setupView(page) {
  const place = h("div", { "aria-busy": "true" }, bones(8));
  async function load() {
    try {
      const row = await loadCa(page.params.id);
      const asked = Number(page.query.get("step"));
      const step = asked >= 2 && asked <= 4 ? asked : row.isVerified ? 4 : 3;
      page.setTitle(`${row.name}: ${STEPS[step - 1]}`);
      const body = step === 2 ? rulesOf(page, row) : step === 3 ? prove(page, row) : trying(row);
      if (page.isOpen) show(place, frame(page, step, row, body));
    } catch (error) {
      if (page.isOpen) show(place, failed(error, load, "This authority could not be loaded"));
    }
    place.setAttribute("aria-busy", "false");
  }
  load();
  return place;
}

/** @param {any} row @param {number} step */
const address = (row, step) => (row ? href(`/cas/${encodeURIComponent(row.id)}/setup`, { step }) : href("/cas/new", { step }));

/** @param {import("../router.js").Page} page @param {number} step @param {any} row @param {import("../dom.js").Child} body */
function frame(page, step, row, body) {
  const reached = row ? (row.isVerified ? 4 : 3) : step;
  const isDone = (/** @type {number} */ n) => (row ? n <= 2 || (n === 3 && row.isVerified) : n < step);
  const isOpen = (/** @type {number} */ n) => n !== step && (row ? n >= 2 && n <= Math.max(reached, 3) : n < step);
  const rail = h(
    "ol",
    { class: "stages", "aria-label": `Step ${step} of 4` },
    STEPS.map((words, i) => {
      const n = i + 1;
      const inner = [h("span", { class: "step-sign", "aria-hidden": "true" }, isDone(n) && n !== step ? icon("check") : String(n)), h("span", {}, words), isDone(n) ? h("span", { class: "hidden" }, ", done") : null];
      return h("li", { class: isDone(n) ? "done" : "", "aria-current": n === step ? "step" : undefined }, isOpen(n) ? h("a", { href: address(row, n) }, inner) : h("span", { class: "step-label" }, inner));
    }),
  );
  const back = row ? href(`/cas/${encodeURIComponent(row.id)}`) : href("/cas");
  return h("div", { class: "guided" }, pageHead({ above: h("nav", { class: "crumbs", "aria-label": "Where this is" }, link(back, icon("left"), row ? row.name : "Imported authorities")), title: row ? row.name : "Import an authority", sub: h("span", { class: "soft" }, `Step ${step} of 4`) }), rail, body);
}

// --- 1: bring

/** @param {import("../router.js").Page} page @param {any} draft */
function bring(page, draft) {
  const found = h("div", { class: "stack", "aria-live": "polite" });
  const area = h("textarea", { id: "paste", rows: 4, class: "mono", spellcheck: false, placeholder: "-----BEGIN CERTIFICATE-----", oninput: debounced(300, () => area.value.trim() && take([{ name: "", bytes: new TextEncoder().encode(area.value) }])) });
  let number = 0;
  /** @param {{name: string, bytes: Uint8Array}[]} files */
  async function take(files) {
    const mine = ++number;
    try {
      const answer = await decodeFiles(files);
      if (mine === number) seen(answer.certificates, answer.notes, files[0].name);
    } catch (error) {
      if (mine === number) show(found, refusal(error));
    }
  }
  /** @param {import("../authorities.js").Decoded[]} certificates @param {string[]} notes @param {string} file */
  function seen(certificates, notes, file) {
    const issuing = certificates.find((c) => c.isIssuing);
    let chosen = issuing;
    const button = h("button", { type: "button", class: "primary", onclick: next }, "Go on to the rules");
    const note = h("p", { class: "soft" });
    const several = certificates.filter((c) => c.isCa).length > 1;
    function judge() {
      const why = !chosen ? "None of these is an authority, so there is nothing to import." : chosen.importedAs ? null : Date.parse(chosen.notAfter) < Date.now() ? "It has expired: nobody could join or connect with a certificate below it." : "";
      button.disabled = why !== "";
      if (chosen?.importedAs) show(note, "This one is here already: ", link(href(`/cas/${encodeURIComponent(chosen.importedAs.id)}`), chosen.importedAs.name), ".");
      else show(note, why || (several ? "Devices are judged by the one you take. The one that issues their certificates is the narrowest choice." : ""));
    }
    function next() {
      remember(DRAFT, { chosen, file, at: new Date().toISOString() });
      go("/cas/new", { step: 2 });
    }
    const mark = (/** @type {import("../authorities.js").Decoded} */ c) => (!c.isCa ? null : several ? h("label", { class: "choice" }, h("input", { type: "radio", name: "chosen", checked: c === issuing, onchange: () => ((chosen = c), judge()) }), h("span", {}, "import this one")) : h("span", { class: "soft" }, "this one is imported"));
    judge();
    show(found, warnings(notes), h("div", { class: "stack" }, certificates.map((c) => certificateCard(c, mark(c), c === issuing || certificates.length === 1))), note, h("footer", { class: "form-foot" }, button));
    announce(`${certificates.length} certificates were read`);
    button.scrollIntoView({ block: "nearest" });
  }
  if (draft?.chosen) seen([draft.chosen], [], draft.file);
  const old = draft?.chosen ? h("p", { class: "soft" }, "You had begun with this one. Bring another to begin anew.") : null;
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "lead" }, "The certificate of the authority that issues certificates to your devices. Its key stays where it is."),
    dropZone({ label: "the certificate", hint: "PEM, DER, PKCS#7, a chain, a mail with the text in it: anything will do.", accept: ".pem,.crt,.cer,.der,.p7b,.p7c,.txt", take }),
    h("div", { class: "field" }, h("label", { for: "paste" }, "or paste it"), area),
    old,
    found,
  );
}

// --- 2: rules

/** @param {import("../router.js").Page} page @param {any} draft */
function rulesOfNew(page, draft) {
  const { chosen } = draft;
  const given = { name: draft.rules?.name ?? simpleName(chosen.commonName), isAutoCaEnrollmentEnabled: false, isOttCaEnrollmentEnabled: true, isAuthEnabled: true, identityRoles: [], identityNameFormat: "[caName]-[commonName]", externalIdClaim: null, ...draft.rules };
  const form = ruleForm(given, () => remember(DRAFT, { ...draft, rules: form.peek() }));
  const body = () => ({ ...form.peek(), certPem: chosen.pem });
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    const rules = form.read();
    if (!rules) return;
    button.disabled = true;
    try {
      const { data } = await request(createCall({ ...rules, certPem: chosen.pem }));
      remember(DRAFT, undefined);
      remember(`proof-file.${data.id}`, draft.file || undefined);
      await go(`/cas/${encodeURIComponent(data.id)}/setup`, { step: 3 }, { sure: true });
    } catch (error) {
      form.fail(error);
      button.disabled = false;
    }
  }
  const button = h("button", { class: "primary" }, "Import it and go on");
  return h("form", { class: "stack", novalidate: true, onsubmit: submit }, form.element, h("footer", { class: "form-foot" }, button, copyAs(() => createCall(body()), { what: "the import" }), h("a", { class: "button quiet", href: href("/cas/new") }, "Back")));
}

/** A name from a common name. @param {string} text */
const simpleName = (text) => text.trim().toLowerCase().replace(/\b(issuing|intermediate|certificate|authority|ca|root)\b/g, " ").trim().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "my-ca";

/** @param {import("../router.js").Page} page @param {any} row */
function rulesOf(page, row) {
  let isTouched = false;
  page.guard(() => isTouched);
  const form = ruleForm(row, () => (isTouched = true));
  const button = h("button", { class: "primary" }, "Save the rules");
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    const rules = form.read();
    if (!rules) return;
    button.disabled = true;
    try {
      await request(changeCall(row.id, rules));
      isTouched = false;
      good(`The rules of ${row.name} are saved`);
      await go(row.isVerified ? `/cas/${encodeURIComponent(row.id)}` : `/cas/${encodeURIComponent(row.id)}/setup`, row.isVerified ? {} : { step: 3 }, { sure: true });
    } catch (error) {
      form.fail(error);
      button.disabled = false;
    }
  }
  return h("form", { class: "stack", novalidate: true, onsubmit: submit }, form.element, h("footer", { class: "form-foot" }, button, copyAs(() => changeCall(row.id, form.peek()), { what: "this change" })));
}

// --- 3: prove

/** @param {import("../router.js").Page} page @param {any} row */
function prove(page, row) {
  const next = h("a", { class: "button primary", href: address(row, 4) }, "Go on and try it");
  if (row.isVerified) return h("div", { class: "stack" }, h("p", { class: "all-good" }, icon("check"), "It is proved: this authority is yours."), h("div", {}, next));
  page.onLeave(listen((news) => news.topic === "changes" && news.data?.id === row.id && news.data?.verb !== "delete" && open()));
  const files = { cert: recall(`proof-file.${row.id}`, "") || "ca.pem", key: "ca.key" };
  const commands = h("div", {}, commandTabs(proofCommands(row.verificationToken, files), "How your authority is run"));
  const field = (/** @type {"cert" | "key"} */ which, /** @type {string} */ label) => {
    const input = h("input", { id: `file-${which}`, class: "mono", value: files[which], spellcheck: false, oninput: () => ((files[which] = input.value.trim()), show(commands, commandTabs(proofCommands(row.verificationToken, files), "How your authority is run"))) });
    return h("div", { class: "field" }, h("label", { for: `file-${which}` }, label), input);
  };
  const result = h("div", { class: "stack", "aria-live": "polite" });
  /** @param {{bytes: Uint8Array}[]} dropped */
  async function take(dropped) {
    try {
      const { certificates } = await decodeFiles(dropped);
      judged(pemOf(certificates), await checkProof(row.id, pemOf(certificates)));
    } catch (error) {
      show(result, checklist([{ title: "it is a certificate", ok: false, reason: /** @type {Error} */ (error).message }]));
    }
  }
  /** @param {string} pem @param {any} found */
  function judged(pem, found) {
    const button = h("button", { type: "button", class: "primary", disabled: !found.accepted, onclick: verify }, "Verify");
    async function verify() {
      button.disabled = true;
      try {
        await request(verifyCall(row.id, pem));
        good(`${row.name} is verified`);
        await go(`/cas/${encodeURIComponent(row.id)}/setup`, { step: 4 }, { sure: true });
      } catch (error) {
        bad(error, "Verifying");
        button.disabled = false;
      }
    }
    const whose = found.subject === null ? null : h("p", { class: "soft" }, "Brought: ", h("bdi", {}, found.subject), ", issued by ", h("bdi", {}, found.issuer));
    show(result, whose, checklist(found.steps), h("footer", { class: "form-foot" }, button, copyAs(() => verifyCall(row.id, pem), { what: "the verification" })));
    announce(found.accepted ? "All is well. It can be verified." : "It would be refused.");
  }
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "lead" }, "Issue one certificate with your authority, with the word below as its common name. Only who has its key can do that."),
    card("The word", h("p", {}, code(row.verificationToken, "Copy the verification token"))),
    card("Issue it", h("div", { class: "stack" }, h("div", { class: "two" }, field("cert", "Your authority's certificate"), field("key", "Its key")), commands)),
    card("Bring the result", h("div", { class: "stack" }, dropZone({ label: "the certificate that came of it", hint: "If an intermediate issued it, bring that along, in any order.", accept: ".pem,.crt,.cer,.der,.p7b,.cert", take }), result)),
  );
}

// --- 4: try

/** @param {any} row */
function trying(row) {
  if (!row.isVerified) return h("div", { class: "stack" }, h("p", {}, "First it has to be proved that this authority is yours."), h("div", {}, h("a", { class: "button primary", href: address(row, 3) }, "Prove it")));
  const foot = h("footer", { class: "form-foot still" }, h("a", { class: "button primary", href: href(`/cas/${encodeURIComponent(row.id)}`) }, "Done: to its page"), row.isOttCaEnrollmentEnabled ? h("a", { class: "button", href: href("/identities/new") }, "Announce a device") : null);
  return h("div", { class: "stack" }, h("p", { class: "lead" }, "See what would happen to a device, before any comes. Nothing is made by looking."), card("A device's certificate", trial()), tokenCard(row), foot);
}
