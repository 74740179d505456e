/** The recovery kit: one file to keep away from the controller's machine. */
import { fileOf, kitCall } from "../care.js";
import { h } from "../dom.js";
import { copyAs } from "./copyas.js";
import { download } from "./drop.js";
import { passphraseForm } from "./passphrase.js";
import { good } from "./toast.js";

/** What it is, and the form that makes one. @param {{id?: string, done?: () => void, kind?: string}} [how] */
export function kitForm({ id = "kit", done = () => {}, kind = "" } = {}) {
  const run = async (/** @type {string} */ passphrase) => {
    download(`zitilite-recovery-kit-${new Date().toISOString().slice(0, 10)}.zip`, await fileOf(kitCall(passphrase)), "application/zip");
    good("The recovery kit is in your downloads. Keep it away from this machine.");
    done();
  };
  return h("div", { class: "stack tight" }, h("p", { class: "soft" }, "One zip: an encrypted backup of everything, the root certificate, and a page that says how the controller is put up again and by which fingerprint it is known."), passphraseForm({ id, yes: "Download the recovery kit", needed: true, kind, run, hint: "Kept nowhere and not in the kit: without it the backup is of no use.", more: copyAs(() => kitCall("PASSPHRASE"), { what: "the recovery kit" }) }));
}
