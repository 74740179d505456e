/**
 * CSV as people's spreadsheets write it (RFC 4180), in and out.
 * @typedef {{header: string[], rows: {line: number, cells: string[]}[], text: string}} Parsed `line` is the number in the file
 */

/** @param {Uint8Array} bytes @returns {Parsed} */
export function rowsOf(bytes) {
  const wide = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
  let text = new TextDecoder(wide).decode(bytes);
  // A spreadsheet of an older Windows: not UTF-8, so its letters would be lost.
  if (wide === "utf-8" && text.includes("\ufffd")) text = new TextDecoder("windows-1252").decode(bytes);
  const first = text.split("\n", 1)[0];
  const separator = [",", ";", "\t"].reduce((best, c) => (first.split(c).length > first.split(best).length ? c : best));
  const found = [...cellsOf(text, separator)].filter((r) => r.cells.some((c) => c.trim()));
  const [head, ...rows] = found;
  const header = (head?.cells || []).map((c) => c.trim());
  return { header, rows, text: csvLines([header, ...rows.map((r) => r.cells)]) };
}

/** @param {string} text @param {string} separator */
function* cellsOf(text, separator) {
  let [cells, cell, isQuoted, line, start] = [/** @type {string[]} */ ([]), "", false, 1, 1];
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (c === "\n") line += 1;
    if (isQuoted) {
      if (c !== '"') cell += c;
      else if (text[at + 1] === '"') (cell += '"'), (at += 1);
      else isQuoted = false;
    } else if (c === '"' && !cell.trim()) (cell = ""), (isQuoted = true);
    else if (c === separator) cells.push(cell), (cell = "");
    else if (c === "\n") {
      cells.push(cell.replace(/\r$/, ""));
      yield { line: start, cells };
      [cells, cell, start] = [[], "", line];
    } else cell += c;
  }
  if (cell || cells.length) yield { line: start, cells: [...cells, cell] };
}

/** @param {any[][]} rows */
export const csvLines = (rows) => `${rows.map((r) => r.map(cellText).join(",")).join("\r\n")}\r\n`;

/** @param {any} value */
function cellText(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n;\t]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A text that a spreadsheet shows and does not compute. @param {any} value */
export const harmless = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value);

/** What came of an import: one line a row, with its token. @param {any[]} results of POST /bulk, each with its `source` */
export function resultFile(results) {
  const rows = [...results].sort((a, b) => a.source.line - b.source.line).flatMap((r) => (r.enrollments?.length ? r.enrollments : [{}]).map((/** @type {any} */ e) => [r.source.line, r.name, r.id || "", r.outcome || (r.ok ? "imported" : "refused"), e.method || "", e.token || "", e.expiresAt || "", r.reason || ""]));
  return csvLines([["line", "name", "id", "outcome", "method", "token", "expiresAt", "reason"], ...rows.map((r) => r.map(harmless))]);
}
