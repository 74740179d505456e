/** The code of a token, as a picture that can be any size. White stays white around it, also in the dark. */
import { h } from "../dom.js";
import { codeAddress } from "../tokens.js";
import { openDialog } from "./dialog.js";
import { pending } from "./parts.js";

/**
 * @param {string} kind @param {string} id @param {import("../tokens.js").Token} token @param {string} whose
 * @param {(fn: () => void) => void} onLeave
 */
export function qrCode(kind, id, token, whose, onLeave) {
  return pending(async () => codeAddress(kind, id, token), (address) => {
    onLeave(() => URL.revokeObjectURL(address));
    return h("button", { type: "button", class: "qr", "aria-label": `QR code of the token of ${whose}. Show it large.`, onclick: () => large(address, whose) }, picture(address, whose));
  }, { lines: 6, what: "The code could not be drawn" });
}

/** @param {string} address @param {string} whose */
export const picture = (address, whose) => h("img", { src: address, class: "qr-image", alt: `QR code of the token of ${whose}`, width: 240, height: 240 });

/** As large as the window lets it be. @param {string} address @param {string} whose */
function large(address, whose) {
  openDialog({ title: whose, kind: "code-dialog", body: () => picture(address, whose) });
}

/** The code of a token in a dialog, from a menu. @param {string} kind @param {string} id @param {import("../tokens.js").Token} token @param {string} whose */
export async function showCode(kind, id, token, whose) {
  const address = await codeAddress(kind, id, token);
  await openDialog({ title: whose, kind: "code-dialog", body: () => h("div", { class: "stack tight" }, picture(address, whose)) });
  URL.revokeObjectURL(address);
}
