/** The rules of an authority in words: who may do what, with which attributes, under which name. */
import { SWITCHES, PLACES, inOneSentence, isSameForAll, nameBy, unknownPlaces } from "../authorities.js";
import { h, name, show } from "../dom.js";
import { stateMark } from "../ui/parts.js";
import { FIELDS } from "../ui/fields.js";
import { refusal } from "../ui/certs.js";

const MATCHERS = /** @type {Record<string, [string, string][]>} */ ({
  COMMON_NAME: [["ALL", "as it is"], ["PREFIX", "if it begins with"], ["SUFFIX", "if it ends with"]],
  SAN_EMAIL: [["ALL", "the first"], ["PREFIX", "the first that begins with"], ["SUFFIX", "the first that ends with"]],
  SAN_URI: [["ALL", "the first"], ["SCHEME", "the first with the scheme"]],
});

/**
 * @param {any} row the values to begin with @param {() => void} changed
 * @returns {{element: HTMLElement, peek: () => any, read: () => any, fail: (error: any) => void}} `read` gives null when something is wrong
 */
export function ruleForm(row, changed) {
  const problem = h("div");
  const sentence = h("p", { class: "sentence", role: "status" });
  const preview = h("div", { class: "stack tight" });
  const touch = () => (draw(), changed());
  const label = h("input", { id: "ca-name", value: row.name, autocomplete: "off", dir: "auto", oninput: touch });
  const format = h("input", { id: "ca-format", class: "mono", value: row.identityNameFormat || "", spellcheck: false, autocomplete: "off", "aria-describedby": "ca-format-words", oninput: touch });
  const boxes = SWITCHES.map((s) => h("input", { id: s.name, type: "checkbox", checked: Boolean(row[s.name]), onchange: touch, "aria-describedby": `${s.name}-words` }));
  const notes = SWITCHES.map((s) => h("small", { id: `${s.name}-words` }));
  const attributes = FIELDS.attributes({ name: "identityRoles", label: "Attributes", kind: "attributes", known: "/identity-role-attributes" }, (row.identityRoles || []).map((/** @type {string} */ r) => r.replace(/^#/, "")), "ca-roles", touch);
  const claim = claimField(row.externalIdClaim, touch);

  const peek = () => ({ name: label.value.trim(), ...Object.fromEntries(SWITCHES.map((s, i) => [s.name, boxes[i].checked])), identityRoles: attributes.read(), identityNameFormat: format.value.trim(), ...(claim.read() || row.externalIdClaim ? { externalIdClaim: claim.read() } : {}) });

  function draw() {
    const now = peek();
    SWITCHES.forEach((s, i) => (notes[i].textContent = boxes[i].checked ? s.on : s.off));
    const values = { caName: now.name || "lab", caId: row.id || "4oZ8aUm1k", commonName: "box7", requestedName: "front door", identityId: "kX2pBv9Qe" };
    const made = nameBy(now.identityNameFormat, values);
    sentence.textContent = inOneSentence(now, made);
    const strange = unknownPlaces(now.identityNameFormat);
    show(
      preview,
      h("p", {}, "A device with the common name ", h("code", {}, "box7"), " becomes ", h("b", { data: { sample: "1" } }, name(made)), "; the next one of that name ", h("b", { data: { sample: "2" } }, name(`${made}000001`)), "."),
      isSameForAll(now.identityNameFormat) ? h("p", {}, stateMark("warning", "Every device would get the same name, and a number. Put [commonName] into it.")) : null,
      strange.length ? h("p", {}, stateMark("warning", `${strange.join(", ")} is no placeholder and stays as it is.`)) : null,
    );
  }
  /** @param {string} key */
  function insert(key) {
    const [from, to] = [format.selectionStart ?? format.value.length, format.selectionEnd ?? format.value.length];
    format.setRangeText(`[${key}]`, from, to, "end");
    format.focus();
    touch();
  }
  function read() {
    show(problem);
    if (label.value.trim()) return peek();
    label.setAttribute("aria-invalid", "true");
    show(problem, refusal(new Error("Give it a name.")));
    label.focus();
    return null;
  }
  draw();
  const element = h(
    "div",
    { class: "stack" },
    problem,
    h("div", { class: "field" }, h("label", { for: "ca-name", class: "needed" }, "Name"), label, h("small", {}, "As it is called here.")),
    h("fieldset", { class: "permits" }, h("legend", {}, "Devices with a certificate of this authority may"), SWITCHES.map((s, i) => h("div", { class: "permit" }, boxes[i], h("div", {}, h("label", { for: s.name }, s.label), notes[i])))),
    sentence,
    h("div", { class: "field" }, h("label", { for: "ca-roles" }, "Attributes of those that join by themselves"), attributes.element),
    h(
      "div",
      { class: "field" },
      h("label", { for: "ca-format" }, "Their names"),
      format,
      h("div", { class: "chips", role: "group", "aria-label": "Put a placeholder into the name" }, PLACES.map(([key, about]) => h("button", { type: "button", class: "small mono", title: about, onclick: () => insert(key) }, `[${key}]`))),
      h("div", { id: "ca-format-words" }, preview),
    ),
    claim.element,
  );
  /** @param {any} error */
  function fail(error) {
    if (error.field === "name") label.setAttribute("aria-invalid", "true");
    show(problem, refusal(error));
    problem.scrollIntoView({ block: "center" });
  }
  return { element, peek, read, fail };
}

/** By what in the certificate another system knows the device. @param {any} given @param {() => void} changed */
function claimField(given, changed) {
  const on = h("input", { id: "claim", type: "checkbox", checked: Boolean(given), onchange: () => redraw() });
  const place = h("div", { class: "stack tight" });
  const now = { location: "COMMON_NAME", matcher: "ALL", matcherCriteria: "", parser: "NONE", parserCriteria: "", index: 0, ...given };
  /** @param {string} id @param {string} label @param {[string, string][]} options @param {"location" | "matcher" | "parser"} key */
  function choice(id, label, options, key) {
    const select = h("select", { id, onchange: () => ((now[key] = select.value), key === "location" && (now.matcher = "ALL"), redraw()) }, options.map(([v, words]) => h("option", { value: v, selected: now[key] === v }, words)));
    return h("div", { class: "field" }, h("label", { for: id }, label), select);
  }
  /** @param {string} id @param {string} label @param {"matcherCriteria" | "parserCriteria" | "index"} key */
  function word(id, label, key) {
    const input = h("input", { id, value: now[key], class: "short", inputmode: key === "index" ? "numeric" : undefined, oninput: () => ((now[key] = key === "index" ? Number(input.value) || 0 : input.value), changed()) });
    return h("div", { class: "field" }, h("label", { for: id }, label), input);
  }
  function redraw() {
    show(
      place,
      on.checked
        ? [
            h("div", { class: "two" }, choice("claim-place", "Where it stands", [["COMMON_NAME", "common name"], ["SAN_URI", "URI among the alternative names"], ["SAN_EMAIL", "mail address among the alternative names"]], "location"), choice("claim-match", "Which", MATCHERS[now.location], "matcher"), now.matcher === "ALL" ? null : word("claim-criteria", now.matcher === "SCHEME" ? "The scheme" : "These characters", "matcherCriteria")),
            h("div", { class: "two" }, choice("claim-parser", "Of it", [["NONE", "all"], ["SPLIT", "one part, split at"]], "parser"), now.parser === "SPLIT" ? [word("claim-split", "Split at", "parserCriteria"), word("claim-index", "Part, from 0", "index")] : null),
            h("small", {}, "A device whose external id is what stands there may connect with a certificate of this authority without having joined. Certificates without it do not join by themselves."),
          ]
        : null,
    );
    changed();
  }
  const element = h("details", { class: "more-fields", open: Boolean(given) }, h("summary", {}, "External id"), h("div", { class: "stack tight" }, h("div", { class: "permit" }, on, h("label", { for: "claim" }, "The certificate holds an id by which devices are known")), place));
  if (given) queueMicrotask(redraw);
  return { element, read: () => (on.checked ? { ...now } : null) };
}
