/** A passphrase that is typed twice, and what is made with it. */
import { h, show } from "../dom.js";
import { refusal } from "./certs.js";

/**
 * @param {object} what
 * @param {string} what.id
 * @param {string} what.yes the verb on the button
 * @param {import("../dom.js").Child} what.hint
 * @param {boolean} [what.needed] else it may be left empty
 * @param {(passphrase: string) => Promise<any>} what.run
 * @param {import("../dom.js").Child} [what.more] beside the button
 * @param {string} [what.kind] a class of the button
 */
export function passphraseForm({ id, yes, hint, needed = false, run, more = null, kind = "primary" }) {
  const word = h("input", { id, type: "password", autocomplete: "new-password", "aria-describedby": `${id}-words` });
  const again = h("input", { id: `${id}-again`, type: "password", autocomplete: "new-password" });
  const problem = h("div");
  const button = h("button", { class: kind }, yes);
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    show(problem);
    if (word.value !== again.value) return show(problem, refusal(new Error("The two are not the same.")));
    if ((word.value || needed) && word.value.length < 8) return show(problem, refusal(new Error("A passphrase has at least 8 characters.")));
    button.disabled = true;
    show(problem, h("p", { class: "soft", role: "status" }, "This takes some seconds: a passphrase is made hard to guess."));
    try {
      await run(word.value);
      word.value = again.value = "";
      show(problem);
    } catch (error) {
      show(problem, refusal(error));
    }
    button.disabled = false;
  }
  return h("form", { class: "stack tight", onsubmit: submit }, problem, h("div", { class: "two" }, h("div", { class: "field" }, h("label", { for: id }, "Passphrase"), word), h("div", { class: "field" }, h("label", { for: `${id}-again` }, "Again"), again)), h("small", { id: `${id}-words` }, hint), h("div", { class: "actions" }, button, more));
}
