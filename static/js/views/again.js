import { h } from "../dom.js";
import { icon } from "../icons.js";
import { session } from "../session.js";
import { openDialog } from "../ui/dialog.js";
import { signInForm } from "./login.js";

/** Ask again in place: what was being done goes on afterwards. @returns {Promise<boolean>} whether somebody signed in */
export async function askAgain() {
  const held = session();
  const answer = await openDialog({
    title: "Your session ended",
    kind: "narrow",
    body: (close) => h("div", { class: "stack" }, h("p", { class: "with-icon" }, icon("signin"), "Sign in again to go on. Nothing you typed is lost."), signInForm(() => close(true), { user: held?.user || "" })),
  });
  return answer === true;
}
