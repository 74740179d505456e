import { ApiError, sendCode, signIn } from "../api.js";
import { h, show } from "../dom.js";

/**
 * The form that signs in, with a second step where a one-time code is asked for.
 * @param {() => void} done @param {{user?: string}} [known] who it has to be, when a session is taken up again
 */
export function signInForm(done, { user: fixed = "" } = {}) {
  const note = h("p", { class: "form-note", role: "alert" });
  const user = h("input", { id: "user", name: "username", autocomplete: "username", required: true, value: fixed, readOnly: Boolean(fixed), autofocus: !fixed });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true, autofocus: Boolean(fixed) });
  const codeBox = h("input", { id: "code", name: "code", inputmode: "numeric", autocomplete: "one-time-code" });
  const codeLine = h("div", { class: "field", hidden: true }, h("label", { for: "code" }, "One-time code"), codeBox);
  const button = h("button", { class: "primary" }, "Sign in");
  let isSecond = false;

  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    button.disabled = true;
    show(note);
    const slow = setTimeout(() => show(note, "No answer yet. The line is slow, or the controller does not answer."), 8000);
    try {
      if (isSecond) await sendCode(codeBox.value.trim());
      else if ((await signIn(user.value.trim(), password.value)) === "code") return second();
      done();
    } catch (error) {
      show(note, reason(error));
      (isSecond ? codeBox : password).select();
    } finally {
      clearTimeout(slow);
      button.disabled = false;
    }
  }
  function second() {
    isSecond = true;
    codeLine.hidden = false;
    codeBox.focus();
  }
  return h("form", { class: "stack", onsubmit: submit }, h("div", { class: "field" }, h("label", { for: "user" }, "User name"), user), h("div", { class: "field" }, h("label", { for: "password" }, "Password"), password), codeLine, note, button);
}

/** @param {any} error */
function reason(error) {
  if (error instanceof ApiError && error.code === "INVALID_AUTH") return "The user name or the password is wrong, or the account is locked.";
  return error.message;
}

/** The page for somebody who is not signed in. @param {() => void} done */
export function loginView(done) {
  return h("main", { class: "alone", id: "main" }, h("div", { class: "sign-in" }, h("div", { class: "brand" }, h("img", { src: new URL("../../icon.svg", import.meta.url).pathname, alt: "", width: 32, height: 32 }), h("span", {}, "Zitilite")), h("h1", {}, "Sign in"), signInForm(done), h("p", { class: "soft" }, location.host)));
}
