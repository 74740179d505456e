/** What can be said about a certificate in the browser, without reading its inside. */

/** The first block of a PEM text as bytes. @param {string} pem */
function der(pem) {
  const body = /-----BEGIN CERTIFICATE-----([\s\S]*?)-----END/.exec(pem)?.[1] || "";
  return Uint8Array.from(atob(body.replace(/\s/g, "")), (c) => c.charCodeAt(0));
}

/** The SHA-256 fingerprint of the first certificate in a PEM text, in pairs as `openssl x509 -fingerprint` shows it. @param {string} pem */
export async function sha256Of(pem) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", der(pem)));
  return inPairs([...digest].map((b) => b.toString(16).padStart(2, "0")).join(""));
}

/** "ab12" as "AB:12". @param {string} hex */
export const inPairs = (hex) => hex.toUpperCase().match(/../g)?.join(":") || hex;

/** How much of a validity is over, from 0 to 1. @param {string} from @param {string} to */
export function shareOver(from, to) {
  const [begin, end] = [Date.parse(from), Date.parse(to)];
  return Math.min(1, Math.max(0, (Date.now() - begin) / Math.max(1, end - begin)));
}
