/** Everything that can be done, by typing: pages, actions of this page, items by their name. And the list of all keys. */
import { findByName } from "../data.js";
import { debounced, h, show, uid } from "../dom.js";
import { entity } from "../entities.js";
import { icon } from "../icons.js";
import { allCommands, setSingleKeys, singleKeys } from "../keys.js";
import { go } from "../router.js";
import { openDialog } from "./dialog.js";

const SEARCHED = ["identities", "services", "edge-routers", "cas"];

/** @typedef {{label: string, note: string, icon: string, run: () => any}} Entry */

/** How well a text fits what was typed: the words in it, in order of typing; 0 does not. @param {string} text @param {string} typed */
function fit(text, typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const inside = text.toLowerCase();
  if (!words.every((w) => inside.includes(w))) return 0;
  return words.length && inside.startsWith(words[0]) ? 2 : 1;
}

export function openPalette() {
  openDialog({ title: "Do or find", kind: "palette", bare: true, body: (close) => palette(close) });
}

/** @param {() => void} close */
function palette(close) {
  const id = uid("palette");
  const input = h("input", { autofocus: true, autocomplete: "off", placeholder: "What do you want to do, or find?", role: "combobox", "aria-label": "Do or find", "aria-expanded": "true", "aria-controls": id, "aria-autocomplete": "list" });
  const list = h("div", { id, role: "listbox", "aria-label": "What fits", class: "palette-list" });
  /** @type {Entry[]} */
  let entries = [];
  let chosen = 0;
  const commands = allCommands().map((c) => ({ label: c.label, note: c.key || "", icon: c.icon || "right", run: c.run }));

  /** @param {Entry[]} found */
  function draw(found) {
    entries = found;
    show(list, found.map((e, i) => h("div", { id: `${id}-${i}`, role: "option", class: "item", "aria-selected": "false", onclick: () => take(i) }, icon(e.icon), h("bdi", {}, e.label), e.note ? h("kbd", {}, e.note) : null)), found.length ? null : h("p", { class: "soft pad" }, "Nothing fits."));
    choose(0);
  }
  /** @param {number} index */
  function choose(index) {
    list.children[chosen]?.setAttribute("aria-selected", "false");
    chosen = entries.length ? (index + entries.length) % entries.length : 0;
    const option = list.children[chosen];
    if (!entries.length) return input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  }
  /** @param {number} index */
  function take(index) {
    const entry = entries[index];
    if (!entry) return;
    close();
    entry.run();
  }
  function fitting() {
    const typed = input.value.trim();
    return commands.map((c) => ({ c, score: fit(c.label, typed) })).filter((f) => f.score).sort((a, b) => b.score - a.score).map((f) => f.c).slice(0, typed ? 12 : 40);
  }
  const search = debounced(180, async () => {
    const typed = input.value.trim();
    if (typed.length < 2) return;
    const found = (await Promise.all(SEARCHED.map((key) => findByName(key, typed, 4).then((items) => items.map((item) => ({ label: item.name, note: entity(key).one, icon: entity(key).icon, run: () => go(`/${key}/${encodeURIComponent(item.id)}`) }))).catch(() => [])))).flat();
    if (input.value.trim() === typed && found.length) draw([...fitting(), ...found]);
  });
  input.addEventListener("input", () => (draw(fitting()), search()));
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) (event.preventDefault(), choose(chosen + step));
    if (event.key === "Enter") (event.preventDefault(), take(chosen));
  });
  draw(fitting());
  return h("div", {}, h("div", { class: "palette-head" }, icon("search"), input), list);
}

/** All keys that work here. */
export function openKeys() {
  const found = allCommands().filter((c) => c.key);
  openDialog({
    title: "Keys",
    body: () =>
      h(
        "div",
        { class: "stack" },
        h("dl", { class: "keys" }, found.map((c) => h("div", {}, h("dt", {}, c.key?.split(" ").map((k) => h("kbd", {}, k))), h("dd", {}, c.label)))),
        h("div", { class: "switch-line" }, h("input", { id: "keys-single", type: "checkbox", class: "switch", role: "switch", checked: singleKeys(), onchange: (/** @type {any} */ e) => setSingleKeys(e.target.checked) }), h("label", { for: "keys-single" }, "Single keys are shortcuts")),
      ),
  });
}
