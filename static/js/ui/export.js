/** A log as a file, as the controller writes it: all that fits the filter, the oldest first, as CSV or as JSON lines. */
import { fileOf } from "../care.js";
import { exportCall } from "../data.js";
import { icon } from "../icons.js";
import { copyItems } from "./copyas.js";
import { download } from "./drop.js";
import { menuButton } from "./menu.js";
import { bad, good } from "./toast.js";

/** @param {import("../entities.js").Entity} of @param {() => import("../data.js").Wanted} wanted */
export function exportMenu(of, wanted) {
  const items = () => [
    { label: "As CSV, for a spreadsheet", icon: "download", run: () => save(of, wanted(), "csv") },
    { label: "As JSON lines", icon: "download", run: () => save(of, wanted(), "jsonl") },
    ...copyItems(() => exportCall(of, wanted(), "csv")),
  ];
  return menuButton({ label: icon("download"), aria: `Download these ${of.many}`, class: "quiet icon-only", items });
}

/** @param {import("../entities.js").Entity} of @param {import("../data.js").Wanted} wanted @param {"csv" | "jsonl"} form */
async function save(of, wanted, form) {
  const file = `${of.key}-${new Date().toISOString().slice(0, 16).replace(/[-:]/g, "").replace("T", "-")}.${form}`;
  try {
    download(file, await fileOf(exportCall(of, wanted, form)), form === "csv" ? "text/csv" : "application/x-ndjson");
    good(`${file} is in your downloads`);
  } catch (error) {
    bad(error, "The download");
  }
}
