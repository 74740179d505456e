/** The links to one token that still work: how often each was opened, and a way to cut it off. */
import { OWN, del, maybe } from "../api.js";
import { h, show } from "../dom.js";
import { time } from "../time.js";
import { bad, good } from "./toast.js";

/** @param {string} enrollmentId */
export function shareList(enrollmentId) {
  const place = h("div", { class: "share-list" });
  async function load() {
    const found = await maybe(`${OWN}/shares`, { filter: `enrollmentId = ${JSON.stringify(enrollmentId)}`, limit: 50 }, { quiet: true }).catch(() => null);
    const rows = (found?.data || []).filter((/** @type {any} */ s) => s.isUsable);
    show(place, rows.length ? [h("h3", {}, rows.length === 1 ? "A link works" : `${rows.length} links work`), h("ul", {}, rows.map(line))] : null);
  }
  /** @param {any} s */
  function line(s) {
    const end = async () => {
      try {
        await del(`${OWN}/shares/${encodeURIComponent(s.id)}`);
        good("The link is cut off");
      } catch (error) {
        bad(error, "Cutting the link off");
      }
      load();
    };
    return h("li", {}, h("span", {}, "ends ", time(s.expiresAt), h("span", { class: "soft" }, s.openedCount ? `, opened ${s.openedCount === 1 ? "once" : `${s.openedCount} times`}` : ", not opened yet")), h("button", { type: "button", class: "small danger-quiet", onclick: end }, "Cut off"));
  }
  load();
  return { element: place, load };
}
