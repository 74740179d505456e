/** What is fetched after the first thing is on the screen: styles of pages, and the modules that come next. */

const STATIC = new URL("../", import.meta.url).pathname;
/** @type {Map<string, Promise<void>>} */
const held = new Map();

/** Add a style sheet; resolves when it is in force. @param {string} name of a file in css/ @returns {Promise<void>} */
export function sheet(name) {
  const known = held.get(name);
  if (known) return known;
  const coming = new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.addEventListener("load", () => resolve(undefined));
    link.addEventListener("error", () => {
      held.delete(name);
      link.remove();
      reject(new Error("The controller cannot be reached."));
    });
    link.href = `${STATIC}css/${name}.css`;
    document.head.append(link);
  });
  held.set(name, /** @type {Promise<void>} */ (coming));
  return /** @type {Promise<void>} */ (coming);
}

/** The styles of all pages but the first. */
export const allSheets = () => Promise.all(["parts", "overview", "pages", "guided"].map(sheet));

let isAsked = false;

/** Fetch the modules of the console, which the page names; a module that is imported later is then there already. */
export function later() {
  if (isAsked) return;
  isAsked = true;
  const names = document.querySelector('meta[name="later"]')?.getAttribute("content") || "";
  for (const name of names.split(" ").filter(Boolean)) {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = STATIC + name;
    document.head.append(link);
  }
}
