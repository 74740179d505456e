import { ApiError, login } from "../api.js";
import { h } from "../dom.js";

/**
 * The form that signs in.
 * @param {(session: any) => void} done
 * @param {string} [reason] why it is shown, when a session ended
 */
export function loginView(done, reason = "") {
  const note = h("p", { className: reason ? "note warn" : "note", role: "status" }, reason);
  const user = h("input", { name: "username", autocomplete: "username", required: true, autofocus: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const button = h("button", { className: "primary" }, "Sign in");
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    button.setAttribute("disabled", "");
    note.className = "note";
    note.textContent = "Signing in …";
    try {
      done(await login(/** @type {any} */ (user).value, /** @type {any} */ (password).value));
    } catch (error) {
      note.className = "note error";
      note.textContent = error instanceof ApiError && error.code === "INVALID_AUTH" ? "The user name or the password is wrong, or the account is locked." : error.message;
      button.removeAttribute("disabled");
      password.focus();
    }
  }
  return h(
    "form",
    { className: "card", onsubmit: submit },
    h("h2", {}, "Sign in"),
    h("label", {}, "User name", user),
    h("label", {}, "Password", password),
    button,
    note,
  );
}
