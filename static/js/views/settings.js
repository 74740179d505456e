/** All settings of the controller: what holds, where it comes from, how it is changed. */
import { OWN } from "../api.js";
import { settings } from "../care.js";
import { h, show } from "../dom.js";
import { placeTabs } from "../places.js";
import { copyAs } from "../ui/copyas.js";
import { bones, card, failed, pageHead } from "../ui/parts.js";
import { settingList } from "../ui/settings.js";

/** @param {import("../router.js").Page} page */
export function settingsView(page) {
  const place = h("div", { class: "stack", "aria-busy": "true" }, bones(10));
  async function load() {
    try {
      const all = await settings();
      if (!page.isOpen) return;
      const [here, set, rest] = [all.filter((s) => s.isChangeable), all.filter((s) => !s.isChangeable && s.source !== "default"), all.filter((s) => !s.isChangeable && s.source === "default")];
      show(place, card("Changed here", settingList(here, load)), set.length ? card("Given at the start", settingList(set, load)) : null, h("details", {}, h("summary", {}, `${rest.length} more, at their defaults`), card("At their defaults", settingList(rest, load))));
    } catch (error) {
      if (page.isOpen) show(place, failed(error, load, "The settings could not be loaded"));
    }
    place.setAttribute("aria-busy", "false");
  }
  load();
  return h("div", {}, placeTabs("settings", "/settings"), pageHead({ title: "Lifetimes and limits", actions: copyAs(() => ({ method: "GET", path: `${OWN}/settings`, query: { limit: 500 } }), { what: "the settings" }) }), h("p", { class: "lead" }, "A flag wins over a variable, a variable over the settings file, that over what is chosen here."), place);
}
