import { h } from "./dom.js";

const STEPS = /** @type {const} */ ([["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]]);
const NEVER = "0001-01-01T00:00:00.000Z";

/** Whether a time of the API stands for none. @param {string | null | undefined} iso */
export const isNever = (iso) => !iso || iso === NEVER || Number.isNaN(Date.parse(iso));

/** How far away, in the words people use: "in 3 days", "2 minutes ago", "just now". @param {string | number | Date} when @param {number} [now] */
export function relative(when, now = Date.now()) {
  const seconds = (new Date(when).getTime() - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 10) return seconds > 0 ? "in a moment" : "just now";
  return seconds > 0 ? `in ${span(size)}` : `${span(size)} ago`;
}

/** A duration in words, two units where that helps: "2 h 59 min", "12 days". @param {number} seconds */
export function span(seconds) {
  const size = Math.abs(seconds);
  if (size >= 3600 && size < 36 * 3600) {
    const minutes = Math.floor((size % 3600) / 60);
    return `${Math.floor(size / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  if (size < 3600 && size >= 60) return `${Math.floor(size / 60)} min`;
  const [unit, length] = STEPS.find(([, l]) => size >= l * (l === 2_629_800 ? 2 : 1)) || ["second", 1];
  const count = Math.floor(size / length);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** Local date and time with its zone, for people who hover. @param {string | number | Date} when */
export function exact(when) {
  return new Date(when).toLocaleString([], { dateStyle: "full", timeStyle: "long" });
}

/** The date alone, as ISO writes it: 2027-11-22. @param {string | number | Date} when */
export function day(when) {
  const d = new Date(when);
  return `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, "0")}-${String(d.getDate()).padStart(2, "0")}`;
}

/**
 * A time as an element: relative, with the exact ISO time in `datetime` and in the title. Keeps itself up to date.
 * @param {string | null | undefined} iso @param {string} [none] what to say when there is none
 */
export function time(iso, none = "never") {
  if (isNever(iso)) return h("span", { class: "none" }, none);
  const when = /** @type {string} */ (iso);
  return h("time", { datetime: when, title: `${when}\n${exact(when)}` }, relative(when));
}

/** A validity as people plan: the date, with how far it is in the title. @param {string | null | undefined} iso @param {string} [none] */
export function date(iso, none = "–") {
  if (isNever(iso)) return h("span", { class: "none" }, none);
  const when = /** @type {string} */ (iso);
  return h("time", { datetime: when, title: `${when}\n${relative(when)}`, class: "fixed" }, day(when));
}

/** A time of the filter language, so many days from now. @param {number} days */
export const inDays = (days) => `datetime(${new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+Z$/, "Z")})`;

function update() {
  for (const element of document.querySelectorAll("time:not(.fixed)")) {
    const words = relative(/** @type {HTMLTimeElement} */ (element).dateTime);
    if (element.textContent !== words) element.textContent = words;
  }
}
setInterval(() => document.hidden || update(), 10_000);
