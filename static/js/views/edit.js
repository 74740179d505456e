/**
 * Make or change any item: form or JSON, the difference before it is saved, whose change it was when somebody was faster.
 * @typedef {import("../entities.js").Entity} Entity
 */
import { ApiError } from "../api.js";
import { getRow, lastChange, saveCall, saveRow } from "../data.js";
import { h, show } from "../dom.js";
import { titleOf } from "../entities.js";
import { icon } from "../icons.js";
import { listTitle } from "../places.js";
import { go, href } from "../router.js";
import { relative } from "../time.js";
import { hasTokens } from "../tokens.js";
import { code } from "../ui/copy.js";
import { copyAs } from "../ui/copyas.js";
import { openDialog } from "../ui/dialog.js";
import { differences, entityForm, same, valuesOf } from "../ui/form.js";
import { bones, failed, link, pageHead } from "../ui/parts.js";
import { bad, good } from "../ui/toast.js";

/** @param {import("../router.js").Page} page */
export async function editView(page) {
  /** @type {Entity} */
  const of = page.given.entity;
  const { id = "" } = page.params;
  if (!id && of.creator) return (await of.creator()).createView(page);
  const place = h("div", {}, bones(8));
  async function load() {
    try {
      const { row, etag } = id ? await getRow(of, id) : { row: null, etag: "" };
      if (page.isOpen) show(place, draw(page, of, row, etag));
      requestAnimationFrame(() => place.querySelector("input, select, textarea")?.focus());
    } catch (error) {
      show(place, failed(error, load, `This ${of.one} could not be loaded`));
    }
  }
  load();
  return place;
}

/** @param {import("../router.js").Page} page @param {Entity} of @param {any} row null for a new one @param {string} etag */
function draw(page, of, row, etag) {
  const title = row ? titleOf(of, row) : `New ${of.one}`;
  const back = row ? `/${of.key}/${encodeURIComponent(row.id)}` : `/${of.key}`;
  page.setTitle(row ? `Edit ${title}` : title);
  let before = valuesOf(of, row);
  let isTouched = false;
  const form = entityForm(of, row, () => (isTouched = true));
  const save = h("button", { class: "primary" }, row ? "Save …" : `Create this ${of.one}`);
  const body = () => (row ? changesOf(of, before, form.read() || before) : form.read() || {});
  page.guard(() => isTouched);

  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    const after = form.read();
    if (!after) return;
    if (!row) return create(after);
    const found = differences(before, after);
    if (!found.length) return leave("Nothing was changed");
    if (await confirmDifference(of, row, found)) await send(changesOf(of, before, after), etag);
  }
  async function create(/** @type {any} */ after) {
    await busy(async () => {
      const { data } = await saveRow(of, "", after);
      isTouched = false;
      good(`${after.name || capitalOne(of)} is created`);
      if (data.token) await showOnce(of, data.token);
      // Whoever made something that waits for a device wants its token next.
      const waits = hasTokens(of.key) && (of.key !== "identities" || Object.keys(after.enrollment || {}).length > 0);
      await go(`${waits ? "/enroll" : ""}/${of.key}/${encodeURIComponent(data.id)}`, {}, { sure: true });
    });
  }
  /** @param {any} changes @param {string} version */
  async function send(changes, version) {
    await busy(async () => {
      try {
        const { etag: now } = await saveRow(of, row.id, changes, of.savePath ? "" : version);
        leave(`${title} is saved`, of.saveBy ? undefined : { label: "Undo", run: () => undo(changes, now) });
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 412) throw error;
        await meet(changes);
      }
    });
  }
  /** Somebody was faster: show both, merge, and try again. @param {any} mine */
  async function meet(mine) {
    const now = await getRow(of, row.id);
    const theirs = valuesOf(of, now.row);
    const who = await lastChange(of, row.id);
    const chosen = await askMerge(of, before, mine, theirs, who);
    if (!chosen) return;
    before = theirs;
    etag = now.etag;
    const left = differences(theirs, { ...theirs, ...chosen });
    if (!left.length) leave("Theirs was kept");
    else await send(changesOf(of, theirs, { ...theirs, ...chosen }), now.etag);
  }
  /** @param {any} changes @param {string} version */
  async function undo(changes, version) {
    const old = Object.fromEntries(Object.keys(changes).map((k) => [k, /** @type {any} */ (before)[k]]));
    try {
      await saveRow(of, row.id, old, version);
      good(`${title} is as it was`);
      await go(back, {}, { replace: true });
    } catch (error) {
      bad(error, "Undo");
    }
  }
  /** @param {string} words @param {any} [action] */
  function leave(words, action) {
    isTouched = false;
    good(words, { action });
    go(back, {}, { sure: true });
  }
  /** @param {() => Promise<void>} work */
  async function busy(work) {
    save.disabled = true;
    try {
      await work();
    } catch (error) {
      form.fail(error);
    } finally {
      save.disabled = false;
    }
  }
  page.offer({ id: "save", label: "Save", key: "Ctrl+Enter", icon: "check", run: () => element.requestSubmit() });
  const element = h(
    "form",
    { class: "edit", novalidate: true, onsubmit: submit },
    pageHead({ above: h("nav", { class: "crumbs", "aria-label": "Where this is" }, link(href(back), icon("left"), row ? title : listTitle(of))), title, actions: [modes(form), copyAs(() => saveCall(of, row?.id || "", body()), { what: "this change" })] }),
    row ? null : h("p", { class: "lead" }, of.about),
    form.element,
    h("footer", { class: "form-foot" }, save, h("a", { class: "button quiet", href: href(back) }, "Cancel")),
  );
  return element;
}

/** @param {Entity} of */
const capitalOne = (of) => `The ${of.one}`;

/** The switch between form and JSON. @param {ReturnType<typeof entityForm>} form */
function modes(form) {
  const buttons = /** @type {["form" | "json", string][]} */ ([["form", "Form"], ["json", "JSON"]]).map(([mode, label]) => h("button", { type: "button", "aria-pressed": String(mode === "form"), onclick: () => form.mode(mode) && press(mode) }, label));
  const press = (/** @type {string} */ mode) => buttons.forEach((b, i) => b.setAttribute("aria-pressed", String((i === 0) === (mode === "form"))));
  return h("span", { class: "segments", role: "group", "aria-label": "How to edit" }, buttons);
}

/** What has to be sent: the properties that differ; everything where the whole is replaced. @param {Entity} of @param {any} before @param {any} after */
function changesOf(of, before, after) {
  if (of.saveBy) return after;
  const always = Object.fromEntries((of.always || []).map((k) => [k, after[k] ?? before[k]]));
  return { ...always, ...Object.fromEntries(differences(before, after).map((d) => [d.name, d.after ?? null])) };
}

/** @param {any} value */
function text(value) {
  if (value === undefined || value === null || value === "" || (Array.isArray(value) && !value.length)) return "–";
  if (Array.isArray(value) && value.every((v) => typeof v === "string")) return value.join(", ");
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

/** @param {Entity} of @param {any} row @param {{name: string, before: any, after: any}[]} found @returns {Promise<boolean>} */
async function confirmDifference(of, row, found) {
  const lines = found.map((d) => h("tr", {}, h("th", { scope: "row" }, labelOf(of, d.name)), h("td", {}, h("del", { dir: "auto" }, text(d.before))), h("td", {}, h("ins", { dir: "auto" }, text(d.after)))));
  const answer = await openDialog({
    title: `Save ${titleOf(of, row)}?`,
    body: (close) => h("form", { class: "stack", onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), close(true)) }, h("table", { class: "difference" }, h("thead", {}, h("tr", {}, h("th", {}, "Property"), h("th", {}, "Is now"), h("th", {}, "Will be"))), h("tbody", {}, lines)), h("footer", { class: "actions" }, h("button", { type: "button", onclick: () => close(false) }, "Back"), h("button", { class: "primary", autofocus: true }, "Save"))),
  });
  return answer === true;
}

/** @param {Entity} of @param {string} name */
const labelOf = (of, name) => of.fields.find((f) => f.name === name)?.label || name;

/**
 * Both changed it: what only one changed is taken, the rest is asked.
 * @param {Entity} of @param {any} before @param {any} mine @param {any} theirs @param {{by: string, at: string} | null} who
 * @returns {Promise<any>} the properties to save on top of theirs
 */
function askMerge(of, before, mine, theirs, who) {
  const names = Object.keys(mine);
  const both = names.filter((n) => !same(before[n], theirs[n]) && !same(mine[n], theirs[n]));
  const free = Object.fromEntries(names.filter((n) => !both.includes(n)).map((n) => [n, mine[n]]));
  const whose = who ? `${who.by} changed it ${relative(who.at)}, while you were editing.` : "Somebody changed it while you were editing.";
  return openDialog({
    title: "Changed by somebody else",
    body: (close) => {
      const rows = both.map((n) => {
        const option = (/** @type {string} */ value, /** @type {string} */ words, /** @type {any} */ content) => h("label", { class: "choice" }, h("input", { type: "radio", name: n, value, checked: value === "mine" }), h("span", {}, h("b", {}, words), h("span", { class: "value", dir: "auto" }, text(content))));
        return h("fieldset", {}, h("legend", {}, labelOf(of, n)), option("mine", "Mine", mine[n]), option("theirs", "Theirs", theirs[n]));
      });
      const rest = Object.keys(free).filter((n) => !same(free[n], theirs[n]));
      const submit = (/** @type {any} */ event) => {
        event.preventDefault();
        const data = new FormData(event.target);
        close({ ...free, ...Object.fromEntries(both.filter((n) => data.get(n) === "mine").map((n) => [n, mine[n]])) });
      };
      return h("form", { class: "stack", onsubmit: submit }, h("p", {}, whose, " ", both.length ? "Choose whose values to keep." : "Your changes are about other properties, so both can be kept."), rows, rest.length ? h("p", { class: "soft" }, `Kept as yours, because only you changed them: ${rest.map((n) => labelOf(of, n)).join(", ")}.`) : null, h("footer", { class: "actions" }, h("button", { type: "button", onclick: () => close() }, "Back to the form"), h("button", { class: "primary" }, "Save the merged")));
    },
  });
}

/** A secret that is shown only now. @param {Entity} of @param {string} token */
function showOnce(of, token) {
  return openDialog({ title: `Your ${of.one}`, body: (close) => h("div", { class: "stack" }, h("p", {}, "It is shown only now. Keep it where your secrets are."), h("div", { class: "secret" }, code(token, "Copy it")), h("footer", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: () => close() }, "I have it"))) });
}
