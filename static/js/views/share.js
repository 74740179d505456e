/** What a share link shows to whoever holds the device: the code, the file, the steps. Nothing else of the console. */
import { OWN, ApiError, reach } from "../api.js";
import { h, name, show } from "../dom.js";
import { icon } from "../icons.js";
import { span } from "../time.js";
import { download, svgAddress } from "../tokens.js";
import { copyButton } from "../ui/copy.js";
import { bones, failed } from "../ui/parts.js";
import { picture } from "../ui/qr.js";
import { recipeTabs } from "../ui/recipes.js";

/** @param {HTMLElement} place */
export async function sharePage(place) {
  document.title = "Join · Zitilite";
  const main = h("main", { class: "visitor", id: "main" }, bones(6));
  show(place, main);
  const secret = location.hash.slice(1);
  async function load() {
    try {
      const call = { method: "POST", path: `${OWN}/shares/open`, body: { secret } };
      const response = await reach(call);
      const body = await response.json().catch(() => null);
      if (response.status === 404) return show(main, gone());
      if (!response.ok) throw new ApiError(response.status, body, call);
      show(main, draw(body.data, load));
    } catch (error) {
      show(main, failed(error, load, "The page could not be loaded"));
    }
  }
  addEventListener("hashchange", () => location.reload());
  await load();
}

const gone = () => h("div", { class: "visitor-over" }, h("h1", {}, "This link does not work any more"), h("p", {}, "It was used, it was replaced, its time is over, or it was cut off. Ask whoever sent it for a new one."));

/** @param {any} d @param {() => void} again */
function draw(d, again) {
  const clock = h("span", { class: "clock", role: "timer" });
  const end = Date.parse(d.expiresAt);
  const timer = setInterval(tick, 1000);
  function tick() {
    const left = (end - Date.now()) / 1000;
    clock.textContent = left > 0 ? `The link works for ${left < 120 ? `${Math.ceil(left)} s` : span(left)}.` : "";
    if (left > 0) return;
    clearInterval(timer);
    again();
  }
  tick();
  const stem = d.file.replace(/\.jwt$/, "");
  const isPhone = /Android|iPhone|iPad/.test(navigator.userAgent);
  return h(
    "div",
    { class: "stack" },
    h("div", { class: "brand" }, h("img", { src: new URL("../../icon.svg", import.meta.url).pathname, alt: "", width: 32, height: 32 }), h("span", {}, new URL(d.controller).host)),
    h("h1", {}, "Join as ", name(d.name)),
    h("p", { class: "soft" }, "This token lets one device join, once. ", clock),
    h(
      "div",
      { class: "token-page" },
      h("section", { class: "card token-card", "aria-label": "The token" }, h("div", { class: "card-body" }, isPhone ? null : picture(svgAddress(d.svg), d.name), h("div", { class: "token-tools" }, h("button", { type: "button", class: "primary", onclick: () => download(d.jwt, d.file) }, icon("download"), "Download the token"), copyButton(() => d.jwt, "Copy token")), isPhone ? picture(svgAddress(d.svg), d.name) : null)),
      h("section", { class: "card" }, h("header", {}, h("h2", {}, "What to do")), h("div", { class: "card-body" }, recipeTabs({ method: d.method, file: stem, jwt: d.jwt, iss: d.controller, username: d.username }, { own: true }))),
    ),
  );
}
