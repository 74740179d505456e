/** Many devices from a file: what its columns mean, what would come of it, then for real, with the tokens at the end. */
import { bulkCall, fileOf, sendRows, tokensCall } from "../care.js";
import { MANAGEMENT, get } from "../api.js";
import { COLUMNS, KNOWN, fromJson, guesses, mapped } from "../columns.js";
import { csvLines, resultFile, rowsOf } from "../csv.js";
import { h, name, show } from "../dom.js";
import { literal } from "../filter.js";
import { icon } from "../icons.js";
import { placeTabs } from "../places.js";
import { href } from "../router.js";
import { refusal } from "../ui/certs.js";
import { copyAs } from "../ui/copyas.js";
import { download, dropZone, fileName } from "../ui/drop.js";
import { bones, card, count, pageHead, stateMark } from "../ui/parts.js";
import { announce, bad } from "../ui/toast.js";

const PIECE = 50;
const ASKED = 100;
const SHOWN = 8;
const EXAMPLE = "name,roleAttributes,enrollment,expiresAt\nbox-0001,plant-7 line-a,ott,\nbox-0002,plant-7 line-b,ott,\n";

/** @param {import("../router.js").Page} page */
export function importView(page) {
  const place = h("div", { class: "stack" });
  let isRunning = false;
  page.guard(() => isRunning);
  const begin = () => show(place, dropZone({ label: "a CSV or JSON file", hint: "CSV: the first line names the columns; comma, semicolon or tab, as a spreadsheet saves it. JSON: a list of objects, or one a line.", accept: ".csv,.txt,.tsv,.json,.jsonl", take: ([file]) => look(file) }), help());

  /** @param {{name: string, bytes: Uint8Array}} file */
  async function look(file) {
    /** @type {import("../csv.js").Parsed} */
    let parsed;
    try {
      parsed = fromJson(new TextDecoder().decode(file.bytes)) || rowsOf(file.bytes);
    } catch (error) {
      return show(place, refusal(error), again());
    }
    if (!parsed.rows.length) return show(place, refusal(new Error("There is no line with data in it.")), again());
    const work = h("div", { class: "stack" });
    const start = (/** @type {string[]} */ meanings) => compare(work, file, mapped(parsed, meanings));
    const first = guesses(parsed.header);
    const isClear = first.every(Boolean) && first.includes("name");
    show(place, summary(file, parsed), preview(parsed), mapping(parsed, first, isClear, start), work, again());
    if (isClear) await start(first);
  }

  /** Which of them are there already: from an import that was cut off, or made by somebody else. @param {HTMLElement} work @param {any} file @param {import("../csv.js").Parsed} all */
  async function compare(work, file, all) {
    const at = all.header.indexOf("name");
    show(work, bones(2));
    try {
      const known = at < 0 ? new Map() : await devicesNamed(all.rows.map((r) => (r.cells[at] || "").trim()).filter(Boolean));
      const held = all.rows.filter((r) => known.has((r.cells[at] || "").trim())).map((source) => ({ source, name: source.cells[at].trim(), row: known.get(source.cells[at].trim()) }));
      const rows = all.rows.filter((r) => !known.has((r.cells[at] || "").trim()));
      if (!rows.length) return show(work, allThere(file, held));
      await run(work, file, { ...all, rows, text: csvLines([all.header, ...rows.map((r) => r.cells)]), held }, true);
    } catch (error) {
      show(work, refusal(error));
    }
  }
  const again = () => h("div", {}, h("button", { type: "button", class: "quiet", onclick: () => !isRunning && begin() }, "Another file"));

  /** @param {HTMLElement} work @param {any} file @param {Todo} parsed @param {boolean} dryRun @param {any[]} [before] results that stand */
  async function run(work, file, parsed, dryRun, before = []) {
    const stop = new AbortController();
    const bar = h("progress", { max: parsed.rows.length, value: 0, "aria-label": "Progress" });
    const words = h("p", { role: "status" });
    show(work, card(dryRun ? "Trying it, without writing anything" : "Importing", h("div", { class: "stack tight" }, words, bar, h("div", {}, h("button", { type: "button", onclick: () => stop.abort() }, "Stop")))));
    /** @type {any[]} */
    const results = [];
    const tell = () => {
      const refused = results.filter((r) => !r.ok).length;
      bar.value = results.length;
      words.textContent = `${results.length.toLocaleString("en")} of ${parsed.rows.length.toLocaleString("en")}${refused ? `, ${refused} refused` : ""}`;
    };
    isRunning = true;
    let problem = null;
    try {
      // A dry run goes in one piece: only then are two lines of the same name seen.
      const size = dryRun ? 5000 : PIECE;
      for (let at = 0; at < parsed.rows.length && !stop.signal.aborted && page.isOpen; at += size) {
        tell();
        const part = parsed.rows.slice(at, at + size);
        const report = await sendRows(csvLines([parsed.header, ...part.map((r) => r.cells)]), { dryRun, firstRow: at + 1 }, stop.signal);
        results.push(...report.results.map((/** @type {any} */ r) => ({ ...r, source: parsed.rows[r.row - 1] })));
        tell();
      }
    } catch (error) {
      if (/** @type {any} */ (error).name !== "AbortError") problem = error;
    }
    isRunning = false;
    const left = parsed.rows.slice(results.length);
    show(work, problem ? refusal(problem) : null, dryRun ? foreseen(work, file, parsed, results, left) : finished(work, file, parsed, [...before, ...results], left));
    announce(words.textContent || "");
  }

  /** @param {HTMLElement} work @param {any} file @param {Todo} parsed @param {any[]} results @param {any[]} left */
  function foreseen(work, file, parsed, results, left) {
    const refused = results.filter((r) => !r.ok);
    const good = results.length - refused.length;
    const start = h("button", { type: "button", class: "primary", disabled: !good || left.length, onclick: () => run(work, file, { ...parsed, rows: results.filter((r) => r.ok).map((r) => r.source) }, false) }, good ? `Import ${count(good, "device")}` : "Nothing to import");
    const words = left.length ? "The trial was stopped." : refused.length ? `${count(good, "line")} would be imported, ${refused.length} would be refused:` : `All ${count(good, "line")} would be imported.`;
    return card("What would come of it", h("div", { class: "stack tight" }, h("p", { role: "status" }, words), heldBack(parsed.held), refusals(refused), h("div", { class: "actions" }, start, refused.length ? h("button", { type: "button", onclick: () => download(`refused-${fileName(file.name || "rows.csv")}`, csvLines([[...parsed.header, "reason"], ...refused.map((r) => [...r.source.cells, r.reason])]), "text/csv") }, icon("download"), "The refused lines") : null, copyAs(() => bulkCall(parsed.text, { dryRun: false, firstRow: 1 }), { what: "the import" }))));
  }

  /** @param {HTMLElement} work @param {any} file @param {Todo} parsed @param {any[]} results @param {any[]} left */
  function finished(work, file, parsed, results, left) {
    const refused = results.filter((r) => !r.ok);
    const made = results.filter((r) => r.ok);
    const waiting = made.filter((r) => r.enrollments?.length);
    const todo = [...refused.map((r) => r.source), ...left];
    const more = todo.length ? h("button", { type: "button", onclick: () => run(work, file, { ...parsed, rows: todo }, false, made) }, icon("refresh"), left.length ? `Go on with ${todo.length}` : `Try the ${todo.length} again`) : null;
    const ids = [...waiting.map((r) => r.id), ...parsed.held.filter((d) => d.row.enrollment?.ott).map((d) => d.row.id)];
    const files = waiting.length
      ? [
          h("button", { type: "button", class: "primary", onclick: () => download(`result-${fileName(file.name || "rows.csv")}`, resultFile([...results, ...there(parsed.held)]), "text/csv") }, icon("download"), "Result with tokens (CSV)"),
          h("button", { type: "button", onclick: () => fetched(ids, "zip", "tokens.zip") }, icon("download"), "Tokens (zip)"),
          h("button", { type: "button", onclick: () => fetched(ids, "sheet", "tokens.html") }, icon("download"), "QR sheet to print"),
        ]
      : null;
    return card(left.length ? "Not finished" : "Done", h("div", { class: "stack tight" }, h("p", { role: "status" }, stateMark(refused.length || left.length ? "warning" : "ok", `${count(made.length, "device")} imported${refused.length ? `, ${refused.length} refused` : ""}${left.length ? `, ${left.length} left` : ""}`)), refusals(refused), h("div", { class: "actions" }, files, more, h("a", { class: "button", href: href("/identities") }, "To the devices")), waiting.length ? h("small", {}, "Each token lets one device in. Keep the files where your secrets are.") : null));
  }
  begin();
  return h("div", {}, placeTabs("devices", "/identities/import"), pageHead({ title: "Import", sub: h("span", { class: "soft" }, "many devices at once") }), place);
}

/** @typedef {{source: {line: number, cells: string[]}, name: string, row: any}} Held a line whose device is there already */
/** @typedef {import("../csv.js").Parsed & {held: Held[]}} Todo */

/** The devices of these names. @param {string[]} names @returns {Promise<Map<string, any>>} */
async function devicesNamed(names) {
  const found = new Map();
  const unique = [...new Set(names)];
  for (let at = 0; at < unique.length; at += ASKED) {
    const { data } = await get(`${MANAGEMENT}/identities`, { filter: `name in [${unique.slice(at, at + ASKED).map(literal).join(", ")}]`, limit: ASKED });
    for (const row of data) found.set(row.name, row);
  }
  return found;
}

/** Their lines in the file of results, with the token that works. @param {Held[]} held */
const there = (held) => held.map((d) => ({ ok: true, outcome: "there already", id: d.row.id, name: d.name, source: d.source, enrollments: Object.entries(d.row.enrollment || {}).map(([method, e]) => ({ method, token: /** @type {any} */ (e).token, expiresAt: /** @type {any} */ (e).expiresAt })) }));

/** @param {Held[]} held */
function heldBack(held) {
  if (!held.length) return null;
  const list = h("ul", { class: "refused" }, held.slice(0, 200).map((d) => h("li", {}, h("b", {}, `Line ${d.source.line}`), " ", h("a", { href: href(`/identities/${encodeURIComponent(d.row.id)}`) }, name(d.name)))));
  return h("details", {}, h("summary", {}, `${count(held.length, "device")} of these names ${held.length === 1 ? "is" : "are"} there already and ${held.length === 1 ? "is" : "are"} left as ${held.length === 1 ? "it is" : "they are"}`), h("div", { class: "import-rows", role: "region", "aria-label": "There already", tabindex: "0" }, list));
}

/** @param {any} file @param {Held[]} held */
const allThere = (file, held) => card("Nothing to import", h("div", { class: "stack tight" }, h("p", { role: "status" }, stateMark("ok", `All ${count(held.length, "device")} are there already.`)), h("div", { class: "actions" }, h("button", { type: "button", onclick: () => download(`result-${fileName(file.name || "rows.csv")}`, resultFile(there(held)), "text/csv") }, icon("download"), "Result with tokens (CSV)"), h("a", { class: "button", href: href("/identities") }, "To the devices"))));

/**
 * Which column is what. @param {import("../csv.js").Parsed} parsed @param {string[]} first the guess @param {boolean} isClear
 * @param {(meanings: string[]) => any} use
 */
function mapping(parsed, first, isClear, use) {
  const choices = parsed.header.map((column, i) => {
    const own = `tags.${column.replace(/^tags?\./i, "").replace(/\s+/g, "-")}`;
    const options = [["", "leave it out"], ...KNOWN.map((k) => [k, k]), [own, own]];
    return h("select", { "aria-label": `Column ${column}` }, options.map(([value, words]) => h("option", { value, selected: value === first[i] }, words)));
  });
  const problem = h("p", { class: "field-note", role: "alert" });
  function apply() {
    const meanings = choices.map((c) => c.value);
    const twice = meanings.find((m, i) => m && meanings.indexOf(m) !== i);
    problem.textContent = meanings.includes("name") ? (twice ? `Two columns are taken for ${twice}.` : "") : "One column has to be the name.";
    if (!problem.textContent) use(meanings);
  }
  const rows = parsed.header.map((column, i) => h("tr", {}, h("th", { scope: "row" }, h("bdi", {}, column)), h("td", {}, h("bdi", { class: "soft" }, parsed.rows[0].cells[i] || "–")), h("td", {}, choices[i])));
  const table = h("div", { class: "table-place", role: "region", "aria-label": "What the columns mean", tabindex: "0" }, h("table", { class: "preview mapping" }, h("thead", {}, h("tr", {}, ["In the file", "First line", "Taken for"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)));
  const unknown = first.filter((m) => !m).length;
  const words = isClear ? "All columns are known" : first.includes("name") ? `${count(unknown, "column")} nobody knows: say what ${unknown === 1 ? "it is" : "they are"}` : "Say which column is the name";
  return h("details", { open: !isClear, class: "card pad" }, h("summary", {}, words), h("div", { class: "stack tight" }, table, problem, h("div", {}, h("button", { type: "button", class: isClear ? "" : "primary", onclick: apply }, isClear ? "Use these instead" : "Use these"))));
}

/** @param {string[]} ids @param {"zip" | "sheet"} format @param {string} file */
async function fetched(ids, format, file) {
  try {
    for (let at = 0; at < ids.length; at += 500) {
      const part = ids.slice(at, at + 500);
      const suffix = ids.length > 500 ? `-${at / 500 + 1}` : "";
      download(file.replace(".", `${suffix}.`), await fileOf(tokensCall(part, format)), format === "zip" ? "application/zip" : "text/html");
    }
  } catch (error) {
    bad(error, "The tokens");
  }
}

/** @param {any} file @param {import("../csv.js").Parsed} parsed */
const summary = (file, parsed) => h("p", {}, h("b", {}, name(file.name || "What you dropped")), `: ${count(parsed.rows.length, "line")}, ${count(parsed.header.length, "column")}`);

/** @param {import("../csv.js").Parsed} parsed */
function preview(parsed) {
  const head = h("tr", {}, parsed.header.map((c) => h("th", { scope: "col" }, c)));
  const lines = parsed.rows.slice(0, SHOWN).map((r) => h("tr", {}, parsed.header.map((c, i) => h("td", {}, h("bdi", {}, r.cells[i] ?? "")))));
  const rest = parsed.rows.length - lines.length;
  return h("div", {}, h("div", { class: "table-place", role: "region", "aria-label": "The first lines", tabindex: "0" }, h("table", { class: "preview" }, h("thead", {}, head), h("tbody", {}, lines))), rest > 0 ? h("small", {}, `and ${count(rest, "more line")}`) : null);
}

/** @param {any[]} refused */
function refusals(refused) {
  if (!refused.length) return null;
  return h("div", { class: "import-rows", role: "region", "aria-label": "Refused lines", tabindex: "0" }, h("ul", { class: "refused" }, refused.slice(0, 200).map((r) => h("li", {}, h("b", {}, `Line ${r.source.line}`), " ", h("bdi", {}, r.name), h("span", { class: "reason" }, h("bdi", {}, r.reason))))), refused.length > 200 ? h("small", {}, `and ${refused.length - 200} more, in the file`) : null);
}

function help() {
  const rows = COLUMNS.map(([key, about, sample]) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, key)), h("td", {}, about), h("td", {}, h("code", {}, sample))));
  return card("The columns", h("div", { class: "stack tight" }, h("div", { class: "table-place", role: "region", "aria-label": "Columns", tabindex: "0" }, h("table", { class: "preview" }, h("thead", {}, h("tr", {}, ["Column", "What it is", "Example"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows))), h("div", {}, h("button", { type: "button", onclick: () => download("devices.csv", EXAMPLE, "text/csv") }, icon("download"), "An example file"))));
}
