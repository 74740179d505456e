/**
 * Make an element. Properties are set as properties, text becomes text nodes: nothing is ever parsed as HTML.
 * @param {string} tag
 * @param {Record<string, unknown>} props names starting with "on" are listeners, "data" is a map of data attributes
 * @param {...(Node | string | number | null | undefined)} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "for") element.setAttribute("for", String(value));
    else if (name in element) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * Put new children in place of the old ones.
 * @param {Element} parent
 * @param {...Node} children
 */
export function show(parent, ...children) {
  parent.replaceChildren(...children);
}
