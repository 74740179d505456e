import { ApiError, list } from "../api.js";
import { h, show } from "../dom.js";

const PAGE = 20;

/** In a word: can this identity log in, or is its enrollment still open. @param {any} identity */
function state(identity) {
  if (identity.disabled) return ["warn", "disabled"];
  const methods = Object.keys(identity.authenticators);
  if (methods.length) return ["good", `enrolled (${methods.join(", ")})`];
  const pending = Object.entries(identity.enrollment);
  if (!pending.length) return ["muted", "no enrollment"];
  const [method, enrollment] = pending[0];
  const open = new Date(enrollment.expiresAt) > new Date();
  return open ? ["warn", `waiting (${method}) until ${new Date(enrollment.expiresAt).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`] : ["error", `token expired (${method})`];
}

/** @param {any} identity */
function row(identity) {
  const [kind, words] = state(identity);
  return h(
    "tr",
    {},
    h("td", { data: { label: "Name" } }, h("span", { dir: "auto" }, identity.name)),
    h("td", { data: { label: "State" } }, h("span", { className: kind }, words)),
    h("td", { data: { label: "Attributes" } }, identity.roleAttributes.map((/** @type {string} */ a) => `#${a}`).join(" ") || "–"),
    h("td", { data: { label: "Role" } }, identity.isAdmin ? "administrator" : "–"),
    h("td", { data: { label: "Id" } }, h("code", {}, identity.id)),
  );
}

/** A filter typed by hand goes through as it is; plain words look into the name. @param {string} typed */
function filterOf(typed) {
  const text = typed.trim();
  if (!text) return "";
  return /["=<>()]|\b(true|false|contains|sort by|limit|in)\b/i.test(text) ? text : `name icontains ${JSON.stringify(text)}`;
}

/** The list of identities, filtered and paged. @param {() => void} expired called when the session ended */
export function identitiesView(expired) {
  let offset = 0;
  const note = h("p", { className: "note", role: "status" });
  const caption = h("caption");
  const body = h("tbody");
  const box = /** @type {HTMLInputElement} */ (h("input", { type: "search", placeholder: "a name, or a filter such as isAdmin = true" }));
  const back = h("button", { type: "button", onclick: () => load(offset - PAGE) }, "Previous");
  const next = h("button", { type: "button", onclick: () => load(offset + PAGE) }, "Next");

  /** @param {number} from */
  async function load(from) {
    note.className = "note";
    note.textContent = "Loading …";
    try {
      const { data, meta } = await list("/identities", { filter: filterOf(box.value), limit: PAGE, offset: Math.max(from, 0) });
      const { totalCount } = meta.pagination;
      offset = meta.pagination.offset;
      show(body, ...data.map(row));
      caption.textContent = totalCount ? `${offset + 1} to ${offset + data.length} of ${totalCount}` : "No identity matches.";
      back.toggleAttribute("disabled", offset === 0);
      next.toggleAttribute("disabled", offset + data.length >= totalCount);
      note.textContent = "";
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return expired();
      note.className = "note error";
      note.textContent = error.message;
    }
  }
  /** @param {SubmitEvent} event */
  function search(event) {
    event.preventDefault();
    load(0);
  }
  load(0);
  const heads = ["Name", "State", "Attributes", "Role", "Id"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "section",
    {},
    h("h2", {}, "Identities"),
    h("form", { className: "bar", role: "search", onsubmit: search }, h("label", {}, "Filter", box), h("button", {}, "Apply"), back, next),
    note,
    h("div", { className: "table" }, h("table", {}, caption, h("thead", {}, h("tr", {}, ...heads)), body)),
  );
}
