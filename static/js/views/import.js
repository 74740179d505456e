/** Many devices from a CSV file: what is in it, what would come of it, then for real, with the tokens at the end. */
import { bulkCall, fileOf, sendRows, tokensCall } from "../care.js";
import { csvLines, resultFile, rowsOf } from "../csv.js";
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { placeTabs } from "../places.js";
import { href } from "../router.js";
import { refusal } from "../ui/certs.js";
import { copyAs } from "../ui/copyas.js";
import { download, dropZone, fileName } from "../ui/drop.js";
import { card, count, pageHead, stateMark } from "../ui/parts.js";
import { announce, bad } from "../ui/toast.js";

const PIECE = 50;
const SHOWN = 8;
const COLUMNS = [
  ["name", "needed, and unique", "box-0114"],
  ["roleAttributes", "several with a blank between them", "plant-7 line-a"],
  ["enrollment", "ott, ottca, updb or none", "ott"],
  ["ca", "with ottca: name or id of the authority", "lab"],
  ["username", "with updb", "ada"],
  ["expiresAt", "when the token ends: a day or a time", "2027-01-31"],
  ["type", "Device, User, Service", "Device"],
  ["externalId", "by which another authority knows it", ""],
  ["authPolicy", "name or id", ""],
  ["isAdmin", "true or false", "false"],
  ["tags.NAME", "any tag: one column each", "R7"],
];
const EXAMPLE = "name,roleAttributes,enrollment,expiresAt\nbox-0001,plant-7 line-a,ott,\nbox-0002,plant-7 line-b,ott,\n";

/** @param {import("../router.js").Page} page */
export function importView(page) {
  const place = h("div", { class: "stack" });
  let isRunning = false;
  page.guard(() => isRunning);
  const begin = () => show(place, dropZone({ label: "a CSV file", hint: "The first line names the columns. Comma, semicolon or tab; UTF-8, or as a spreadsheet saves it.", accept: ".csv,.txt,.tsv", take: ([file]) => look(file) }), help());

  /** @param {{name: string, bytes: Uint8Array}} file */
  async function look(file) {
    const parsed = rowsOf(file.bytes);
    if (!parsed.rows.length) return show(place, refusal(new Error("There is no line with data in it.")), again());
    show(place, summary(file, parsed), preview(parsed), again());
    const work = h("div", { class: "stack" });
    place.insertBefore(work, place.lastChild);
    await run(work, file, parsed, true);
  }
  const again = () => h("div", {}, h("button", { type: "button", class: "quiet", onclick: () => !isRunning && begin() }, "Another file"));

  /** @param {HTMLElement} work @param {any} file @param {import("../csv.js").Parsed} parsed @param {boolean} dryRun @param {any[]} [before] results that stand */
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

  /** @param {HTMLElement} work @param {any} file @param {import("../csv.js").Parsed} parsed @param {any[]} results @param {any[]} left */
  function foreseen(work, file, parsed, results, left) {
    const refused = results.filter((r) => !r.ok);
    const good = results.length - refused.length;
    const start = h("button", { type: "button", class: "primary", disabled: !good || left.length, onclick: () => run(work, file, { ...parsed, rows: results.filter((r) => r.ok).map((r) => r.source) }, false) }, good ? `Import ${count(good, "device")}` : "Nothing to import");
    const words = left.length ? "The trial was stopped." : refused.length ? `${count(good, "line")} would be imported, ${refused.length} would be refused:` : `All ${count(good, "line")} would be imported.`;
    return card("What would come of it", h("div", { class: "stack tight" }, h("p", { role: "status" }, words), refusals(refused), h("div", { class: "actions" }, start, refused.length ? h("button", { type: "button", onclick: () => download(`refused-${fileName(file.name || "rows.csv")}`, csvLines([[...parsed.header, "reason"], ...refused.map((r) => [...r.source.cells, r.reason])]), "text/csv") }, icon("download"), "The refused lines") : null, copyAs(() => bulkCall(parsed.text, { dryRun: false, firstRow: 1 }), { what: "the import" }))));
  }

  /** @param {HTMLElement} work @param {any} file @param {import("../csv.js").Parsed} parsed @param {any[]} results @param {any[]} left */
  function finished(work, file, parsed, results, left) {
    const refused = results.filter((r) => !r.ok);
    const made = results.filter((r) => r.ok);
    const waiting = made.filter((r) => r.enrollments?.length);
    const todo = [...refused.map((r) => r.source), ...left];
    const more = todo.length ? h("button", { type: "button", onclick: () => run(work, file, { ...parsed, rows: todo }, false, made) }, icon("refresh"), left.length ? `Go on with ${todo.length}` : `Try the ${todo.length} again`) : null;
    const ids = waiting.map((r) => r.id);
    const files = waiting.length
      ? [
          h("button", { type: "button", class: "primary", onclick: () => download(`result-${fileName(file.name || "rows.csv")}`, resultFile(results), "text/csv") }, icon("download"), "Result with tokens (CSV)"),
          h("button", { type: "button", onclick: () => fetched(ids, "zip", "tokens.zip") }, icon("download"), "Tokens (zip)"),
          h("button", { type: "button", onclick: () => fetched(ids, "sheet", "tokens.html") }, icon("download"), "QR sheet to print"),
        ]
      : null;
    return card(left.length ? "Not finished" : "Done", h("div", { class: "stack tight" }, h("p", { role: "status" }, stateMark(refused.length || left.length ? "warning" : "ok", `${count(made.length, "device")} imported${refused.length ? `, ${refused.length} refused` : ""}${left.length ? `, ${left.length} left` : ""}`)), refusals(refused), h("div", { class: "actions" }, files, more, h("a", { class: "button", href: href("/identities") }, "To the devices")), waiting.length ? h("small", {}, "Each token lets one device in. Keep the files where your secrets are.") : null));
  }
  begin();
  return h("div", {}, placeTabs("devices", "/identities/import"), pageHead({ title: "Import from CSV", sub: h("span", { class: "soft" }, "many devices at once") }), place);
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
