/** A list as a file: all that fits the filter, page by page, as CSV or as JSON lines. */
import { csvLines, harmless } from "../csv.js";
import { listRows } from "../data.js";
import { icon } from "../icons.js";
import { download } from "./drop.js";
import { menuButton } from "./menu.js";
import { count } from "./parts.js";
import { bad, good } from "./toast.js";

const PIECE = 500;
const MOST = 100_000;
const LEFT_OUT = new Set(["_links", "tags", "updatedAt"]);

/** @param {import("../entities.js").Entity} of @param {() => import("../data.js").Wanted} wanted */
export function exportMenu(of, wanted) {
  const items = () => [
    { label: "As CSV, for a spreadsheet", icon: "download", run: () => save(of, wanted(), "csv") },
    { label: "As JSON lines", icon: "download", run: () => save(of, wanted(), "jsonl") },
  ];
  return menuButton({ label: icon("download"), aria: `Download these ${of.many}`, class: "quiet icon-only", items });
}

/** @param {import("../entities.js").Entity} of @param {import("../data.js").Wanted} wanted @param {"csv" | "jsonl"} form */
async function save(of, wanted, form) {
  try {
    const rows = await all(of, wanted);
    const file = `${of.key}-${new Date().toISOString().slice(0, 16).replace(/[-:]/g, "").replace("T", "-")}.${form}`;
    if (form === "csv") download(file, asCsv(rows), "text/csv");
    else download(file, rows.map((r) => `${JSON.stringify(r)}\n`).join(""), "application/jsonl");
    good(`${count(rows.length, of.one, of.many)} are in ${file}`);
  } catch (error) {
    bad(error, "The download");
  }
}

/** @param {import("../entities.js").Entity} of @param {import("../data.js").Wanted} wanted */
async function all(of, wanted) {
  /** @type {Map<string, any>} */
  const found = new Map();
  for (let offset = 0; offset < MOST; offset += PIECE) {
    const { rows, total } = await listRows(of, { ...wanted, limit: PIECE, offset });
    for (const row of rows) found.set(row.id, row);
    if (!rows.length || offset + PIECE >= total) break;
  }
  return [...found.values()];
}

/** @param {any[]} rows */
function asCsv(rows) {
  const names = [...new Set(rows.flatMap((r) => Object.keys(r)))].filter((n) => !LEFT_OUT.has(n));
  return csvLines([names, ...rows.map((r) => names.map((n) => harmless(typeof r[n] === "object" && r[n] !== null ? JSON.stringify(r[n]) : r[n])))]);
}
