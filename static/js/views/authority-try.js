/** What would happen to a device's certificate, and the reusable token of an authority. */
import { request } from "../api.js";
import { changeCall, codeOf, decodeFiles, joinCommands, pemOf, tokenCall, tokenOf, tryCall } from "../authorities.js";
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { open } from "../router.js";
import { certificateCard, commandTabs, refusal, warnings } from "../ui/certs.js";
import { copyButton } from "../ui/copy.js";
import { copyAs } from "../ui/copyas.js";
import { download, dropZone, fileName } from "../ui/drop.js";
import { attributes, card, facts, pending, stateMark } from "../ui/parts.js";
import { bad, good } from "../ui/toast.js";

/** Drop a certificate, see what would come of it. */
export function trial() {
  const result = h("div", { class: "stack", "aria-live": "polite" });
  /** @param {{bytes: Uint8Array}[]} files */
  async function take(files) {
    try {
      const { certificates, notes } = await decodeFiles(files);
      const { data } = await request(tryCall(pemOf(certificates)));
      show(result, warnings(notes.filter((n) => !n.startsWith("none of these is a CA"))), verdict(data), h("details", {}, h("summary", {}, "The certificate"), certificates.map((c) => certificateCard({ ...c, warnings: c.warnings.filter((w) => !w.startsWith("it is not a CA")) }))), h("div", {}, copyAs(() => tryCall(pemOf(certificates)), { label: "Copy as …", what: "the trial" })));
    } catch (error) {
      show(result, refusal(error));
    }
  }
  return h("div", { class: "stack" }, dropZone({ label: "the certificate of a device", hint: "The certificate alone, or with the intermediates that the device would send.", accept: ".pem,.crt,.cer,.der,.p7b", take }), result);
}

/** @param {any} found the answer of the dry run */
function verdict(found) {
  const head = found.accepted ? stateMark("ok", "It would be accepted") : stateMark("refused", "It would be refused");
  const others = found.cas.filter((/** @type {any} */ c) => c.id !== found.ca?.id || !found.accepted);
  return h(
    "div",
    { class: "verdict", data: { accepted: String(found.accepted) } },
    h("p", {}, h("b", {}, head)),
    h("p", {}, h("bdi", {}, sentence(found.reason))),
    found.error ? h("small", {}, `The device would be told: ${found.error.status} ${found.error.code}`) : null,
    found.accepted
      ? facts([
          ["Authority", found.ca ? name(found.ca.name) : "none"],
          ["Name", name(found.identity.name)],
          ["Attributes", attributes(found.identity.roleAttributes)],
          ["External id", found.identity.externalId ? h("bdi", {}, found.identity.externalId) : "none"],
          ["Could connect", found.canConnect ? h("span", {}, found.canConnect.allowed ? "yes" : "no", h("span", { class: "soft" }, `: ${found.canConnect.reason}`)) : "–"],
        ])
      : null,
    found.notes.length ? warnings(found.notes) : null,
    others.length ? h("details", {}, h("summary", {}, "What each authority says"), h("ul", { class: "short-list" }, others.map((/** @type {any} */ c) => h("li", {}, h("bdi", {}, c.name), ": ", h("bdi", {}, c.reason))))) : null,
  );
}

/** @param {string} text */
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "");

/** The token with which any device of this authority joins by itself. @param {any} row */
export function tokenCard(row) {
  if (!row.isVerified) return null;
  if (!row.isAutoCaEnrollmentEnabled) {
    const turnOn = h("button", { type: "button", onclick: allow }, "Let devices join by themselves");
    async function allow() {
      turnOn.disabled = true;
      try {
        await request(changeCall(row.id, { isAutoCaEnrollmentEnabled: true }));
        good(`Devices of ${row.name} may join by themselves`);
        await open();
      } catch (error) {
        bad(error, "Switching it on");
        turnOn.disabled = false;
      }
    }
    return card("One token for all of them", h("div", { class: "stack tight" }, h("p", {}, "There is one where devices may join by themselves, which is off."), h("div", {}, turnOn)));
  }
  const file = fileName(`${row.name}.jwt`);
  const load = async () => ({ token: await tokenOf(row.id), svg: await codeOf(row.id) });
  return card(
    "One token for all of them",
    pending(load, ({ token, svg }) => {
      const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      const image = h("img", { class: "authority-qr", src: url, alt: `QR code of the token of ${row.name}`, onload: () => URL.revokeObjectURL(url) });
      return h(
        "div",
        { class: "reusable" },
        image,
        h(
          "div",
          { class: "stack tight" },
          h("p", {}, "It works as often as you like and opens nothing by itself: what counts is the device's certificate."),
          h("div", { class: "actions" }, h("button", { type: "button", onclick: () => download(file, token, "application/jwt") }, icon("download"), `Download ${file}`), copyButton(() => token, "Copy the token"), copyAs(() => tokenCall(row.id), { what: "fetching the token" })),
          commandTabs(joinCommands(file, location.origin), "How a device joins"),
        ),
      );
    }),
  );
}
