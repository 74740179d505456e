/**
 * What is done to one item from several pages: delete with its consequences, actions of its row, undo.
 * @typedef {import("./entities.js").Entity} Entity
 */
import { request } from "./api.js";
import { associated, removeCall } from "./data.js";
import { h } from "./dom.js";
import { entity, titleOf } from "./entities.js";
import { removeNow, removeSoon } from "./removing.js";
import { confirm } from "./ui/dialog.js";
import { copyAs } from "./ui/copyas.js";
import { count, pending } from "./ui/parts.js";
import { bad, good } from "./ui/toast.js";

/** Ask, say what it takes away, delete: in ten seconds, or at once where that matters. @param {Entity} of @param {any} row @returns {Promise<boolean>} whether it goes */
export async function removeItem(of, row) {
  const title = titleOf(of, row);
  const body = h("div", { class: "stack tight" }, consequences(of, row), h("p", { class: "soft" }, of.atOnce ? "It ends at once, and this cannot be undone. " : "For ten seconds it can still be kept. ", copyAs(() => removeCall(of, row.id), { what: "the deletion" })));
  if (!(await confirm({ title: `Delete ${title}?`, body, yes: `Delete this ${of.one}`, danger: true }))) return false;
  if (of.atOnce) return removeNow(of, row.id, title);
  removeSoon(of, row.id, title);
  return true;
}

/** What goes with it, in numbers. @param {Entity} of @param {any} row */
export function consequences(of, row) {
  const nothing = () => h("p", {}, `Nothing else hangs on this ${of.one}.`);
  if (of.consequences) {
    const ask = of.consequences;
    return pending(() => ask(row), (lines) => (lines.length ? h("ul", { class: "consequences" }, lines.map((l) => h("li", {}, l))) : nothing()), { lines: 2, what: "What hangs on it could not be found out" });
  }
  const asked = (of.links || []).filter((l) => l.loses);
  if (!asked.length) return nothing();
  return pending(
    () => Promise.all(asked.map(async (l) => ({ l, total: (await associated(of, row.id, l.path)).total }))),
    (found) => {
      const some = found.filter((f) => f.total);
      if (!some.length) return nothing();
      return h("ul", { class: "consequences" }, some.map(({ l, total }) => h("li", {}, h("b", {}, count(total, entity(l.to).one, entity(l.to).many)), ` ${total === 1 ? ofOne(l.loses || "") : l.loses}`)));
    },
    { lines: 2, what: "What hangs on it could not be found out" },
  );
}

/** What is said of several, said of one. @param {string} words */
const ofOne = (words) => words.replace(/^are\b/, "is").replace(/^(no longer reach|lose|stop|stand)\b/, "$1s").replace("reachs", "reaches");

/** Do an action of the row. @param {Entity} of @param {import("./entities.js").ItemAction} action @param {any} row @returns {Promise<boolean>} */
export async function runAction(of, action, row) {
  const title = titleOf(of, row);
  if (action.ask) {
    const body = h("div", { class: "stack tight" }, h("p", {}, action.ask(row)), h("div", {}, copyAs(() => action.call(row), { what: action.label, label: "Copy as …" })));
    if (!(await confirm({ title: `${action.label} ${title}?`, body, yes: action.label, danger: action.danger }))) return false;
  }
  try {
    await request(action.call(row));
  } catch (error) {
    bad(error, `${action.label} ${title}`);
    return false;
  }
  good(`${title} ${action.done}`);
  return true;
}
