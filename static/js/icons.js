import { svg } from "./dom.js";

// Strokes on a 20 × 20 grid, 1.5 wide, drawn for this console.
const PATHS = {
  overview: "M3 10.5 10 4l7 6.5M5 9.5V16h10V9.5",
  device: "M4 5h12v8H4zM7 16h6M10 13v3",
  router: "M3 11h14v5H3zM6 13.5h.01M9 13.5h.01M10 11V7M6.5 6.5a5 5 0 0 1 7 0",
  authority: "M10 3l6 2.5v4.2c0 3.5-2.5 6-6 7.3-3.500-1.300-6-3.800-6-7.300V5.500zM7.500 10l1.800 1.800L12.800 8",
  enrollment: "M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 11h2v2h-2zM14.500 14.500H16V16",
  access: "M6 10a2.500 2.500 0 1 1 0-.01M8.500 10H17M14 10v3M17 10v2",
  signin: "M8 4h8v12H8M3 10h9M9.500 7.500 12 10l-2.500 2.500",
  activity: "M3 10h3l2-5 4 10 2-5h3",
  settings: "M4 6h7M15 6h1M4 14h1M9 14h7M13 4v4M7 12v4",
  more: "M5 9.500a.5.5 0 1 1 0 1 .5.5 0 0 1 0-1zM10 9.500a.5.5 0 1 1 0 1 .5.5 0 0 1 0-1zM15 9.500a.5.5 0 1 1 0 1 .5.5 0 0 1 0-1z",
  plus: "M10 4v12M4 10h12",
  search: "M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4zM13 13l4 4",
  bell: "M6 13V9a4 4 0 0 1 8 0v4l1.500 2h-11zM8.500 17h3",
  sun: "M10 7a3 3 0 1 1 0 6 3 3 0 0 1 0-6M10 3v1M10 16v1M3 10h1M16 10h1M5 5l.7.7M14.300 14.300l.7.7M15 5l-.7.7M5.700 14.300 5 15",
  moon: "M15.500 12A6 6 0 0 1 8 4.500a6 6 0 1 0 7.500 7.500z",
  half: "M10 3.500a6.500 6.500 0 1 1 0 13zM10 3.500a6.500 6.500 0 1 0 0 13",
  person: "M10 4a3 3 0 1 1 0 6 3 3 0 0 1 0-6M4 17c.5-3 3-4.500 6-4.500s5.500 1.500 6 4.500",
  copy: "M7 7h9v9H7zM4 13V4h9",
  edit: "M4 16l.8-3.200L13 4.500l2.500 2.500-8.300 8.200z",
  trash: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.600L14 6",
  close: "M5 5l10 10M15 5 5 15",
  check: "M4 10.500 8 14.500 16 6",
  down: "M6 8l4 4 4-4",
  up: "M6 12l4-4 4 4",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  refresh: "M15.500 8A6 6 0 1 0 16 11M16 4v4h-4",
  warning: "M10 4 17 16H3zM10 8.500v3.500M10 14h.01",
  star: "M10 3.500l2 4.300 4.600.6-3.400 3.200.9 4.700L10 14l-4.100 2.300.9-4.700-3.400-3.200 4.600-.6z",
  help: "M10 3.500a6.500 6.500 0 1 1 0 13 6.500 6.500 0 0 1 0-13M8 8a2 2 0 1 1 2.800 1.900c-.6.3-.8.7-.8 1.300M10 13.500h.01",
  code: "M7 6l-4 4 4 4M13 6l4 4-4 4",
  filter: "M3 5h14M6 10h8M8.500 15h3",
  download: "M10 3v9M6.500 9 10 12.500 13.500 9M4 16h12",
};

/** @typedef {keyof typeof PATHS} IconName */

/** A drawing beside a word, or inside a button that has a label; never read out. @param {IconName | string} icon */
export function icon(icon) {
  const path = svg("path", { d: PATHS[/** @type {IconName} */ (icon)] || PATHS.more });
  return svg("svg", { class: "icon", viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true", focusable: "false" }, path);
}
