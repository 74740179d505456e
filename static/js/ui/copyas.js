import { asCli, asCurl, asPython } from "../curl.js";
import { h } from "../dom.js";
import { icon } from "../icons.js";
import { toClipboard } from "./copy.js";
import { menuButton } from "./menu.js";
import { good } from "./toast.js";

/**
 * Every action has its line for a terminal: a menu beside the action.
 * @param {() => import("../curl.js").Call} call the request, as it would be sent now
 * @param {{label?: string, what?: string, class?: string}} [more] `what` the action is, for screen readers
 */
export function copyAs(call, { label = "", what = "this", class: className = label ? "quiet" : "quiet icon-only" } = {}) {
  return menuButton({
    label: [icon("code"), label ? h("span", {}, label) : null],
    aria: label ? undefined : `Copy ${what} as a command`,
    class: className,
    items: () => copyItems(call),
  });
}

/** The same as items for another menu. @param {() => import("../curl.js").Call} call */
export function copyItems(call) {
  /** @param {string} text @param {string} as */
  const put = async (text, as) => {
    await toClipboard(text);
    good(`Copied as ${as}. Set ZT_TOKEN to a session token before you run it.`);
  };
  const cli = asCli(call());
  return [
    { label: "Copy as curl", icon: "code", run: () => put(asCurl(call()), "curl") },
    cli ? { label: "Copy as zitilite", icon: "code", run: () => put(cli, "a command line") } : null,
    { label: "Copy as Python", icon: "code", run: () => put(asPython(call()), "Python") },
  ];
}
