/** A place for files: drop, choose, or press. What is dropped is read here, and where it goes is the caller's affair. */
import { h, uid } from "../dom.js";
import { icon } from "../icons.js";

/**
 * @param {object} how
 * @param {string} how.label what to bring: "the certificate of your authority"
 * @param {string} [how.hint] which kinds are fine
 * @param {string} [how.accept] endings, for the chooser only
 * @param {(files: {name: string, bytes: Uint8Array}[]) => any} how.take
 */
export function dropZone({ label, hint = "", accept = "", take }) {
  const id = uid("drop");
  const file = h("input", { type: "file", class: "hidden", multiple: true, tabindex: "-1", "aria-hidden": "true", accept, onchange: () => read(file.files) });
  const button = h("button", { type: "button", "aria-describedby": id, onclick: () => file.click() }, icon("download"), "Choose a file");
  const zone = h("div", { class: "drop", role: "group", "aria-label": label }, h("p", {}, h("b", {}, `Drop ${label} here`)), hint ? h("p", { class: "soft", id }, hint) : null, h("div", {}, button), file);
  /** @param {any} list */
  async function read(list) {
    const found = await Promise.all([...list].map(async (f) => ({ name: f.name, bytes: new Uint8Array(await f.arrayBuffer()) })));
    file.value = "";
    if (found.length) await take(found);
  }
  /** @param {boolean} is */
  const over = (is) => zone.classList.toggle("over", is);
  zone.addEventListener("dragover", (/** @type {Event} */ e) => (e.preventDefault(), over(true)));
  zone.addEventListener("dragleave", () => over(false));
  zone.addEventListener("drop", (/** @type {any} */ e) => {
    e.preventDefault();
    over(false);
    const text = e.dataTransfer.getData("text/plain");
    if (e.dataTransfer.files.length) read(e.dataTransfer.files);
    else if (text) take([{ name: "", bytes: new TextEncoder().encode(text) }]);
  });
  return zone;
}

/** Hand a file to the person. @param {string} name @param {BlobPart} content @param {string} [type] */
export function download(name, content, type = "application/octet-stream") {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: fileName(name), class: "hidden" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A name that every system takes for a file. @param {string} text */
export function fileName(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f<>:"/\\|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, "_").replace(/^[. ]+|[. ]+$/g, "").slice(0, 120) || "file";
}
