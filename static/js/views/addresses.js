/** The names by which clients reach this controller: what works, what goes into tokens, who still comes by an old one. */
import { request } from "../api.js";
import { addAddressCall, addresses, changeAddressCall, lookAtAddress, removeAddressCall } from "../care.js";
import { h, name, redraw, show } from "../dom.js";
import { icon } from "../icons.js";
import { listen } from "../live.js";
import { placeTabs } from "../places.js";
import { href } from "../router.js";
import { time } from "../time.js";
import { refusal } from "../ui/certs.js";
import { copyAs } from "../ui/copyas.js";
import { confirm } from "../ui/dialog.js";
import { card, count, empty, failed, bones, pageHead, stateMark } from "../ui/parts.js";
import { bad, good } from "../ui/toast.js";

/** @param {import("../router.js").Page} page */
export function addressesView(page) {
  const place = h("div", { "aria-busy": "true" }, bones(6));
  async function load() {
    try {
      const rows = await addresses();
      if (page.isOpen) redraw(place, rows.length ? h("ul", { class: "care-list card pad" }, rows.map((r) => line(r, rows, load))) : empty("settings", "No address", "Clients need one to find this controller."));
    } catch (error) {
      if (page.isOpen) show(place, failed(error, load, "The addresses could not be loaded"));
    }
    place.setAttribute("aria-busy", "false");
  }
  page.onLeave(listen((news) => news.topic === "changes" && news.data?.entity === "addresses" && load()));
  load();
  return h("div", {}, placeTabs("settings", "/addresses"), pageHead({ title: "Addresses" }), h("p", { class: "lead" }, "The primary address stands in new tokens. All of them stand in the server's certificate, so that a client may come by any."), h("div", { class: "stack" }, place, adding(load)));
}

/** @param {any} row @param {any[]} rows @param {() => Promise<void>} load */
function line(row, rows, load) {
  const act = async (/** @type {() => Promise<any>} */ work, /** @type {string} */ done, /** @type {string} */ doing) => {
    try {
      await work();
      if (done) good(done);
    } catch (error) {
      bad(error, doing);
    }
    await load();
  };
  async function makePrimary() {
    const old = rows.find((r) => r.isIssuer);
    const call = changeAddressCall(row.id, { isIssuer: true });
    const body = h("div", { class: "stack tight" }, h("p", {}, `New tokens send their devices to ${row.address}. Devices that came by ${old?.address || "another"} go on using that: keep it until none is left.`), row.answers ? null : h("p", {}, stateMark("warning", "It does not answer from here; clients may see it otherwise.")), h("div", {}, copyAs(() => call, { label: "Copy as …", what: "this change" })));
    if (await confirm({ title: `Make ${row.address} the primary address?`, body, yes: "Make it primary" })) await act(() => request(call), `${row.address} is the primary address`, row.address);
  }
  async function remove() {
    const call = removeAddressCall(row.id);
    const who = row.enrolledCount ? h("p", {}, h("b", {}, count(row.enrolledCount, "device or router", "devices and routers")), " joined by it. What they use may still be this address: then they cannot find the controller any more.") : h("p", {}, "Nobody joined by it.");
    if (await confirm({ title: `Remove ${row.address}?`, body: h("div", { class: "stack tight" }, who, h("p", {}, "It leaves the server's certificate at once."), h("div", {}, copyAs(() => call, { label: "Copy as …", what: "the removal" }))), yes: "Remove it", danger: true })) await act(() => request(call), `${row.address} is removed`, row.address);
  }
  const facts_ = [
    row.checkedAt ? (row.resolves ? stateMark("ok", `resolves to ${row.resolvesTo.slice(0, 2).join(", ")}`) : stateMark("refused", "does not resolve")) : stateMark("none", "not looked at yet"),
    row.checkedAt ? (row.answers ? stateMark("ok", "answers") : stateMark("refused", "does not answer from here")) : null,
    row.servesOurKey === null || row.servesOurKey === undefined ? null : row.servesOurKey ? stateMark("ok", "is this controller") : stateMark("refused", "serves another key"),
    row.certificateCoversIt ? stateMark("ok", "in the certificate") : stateMark("warning", "not in the certificate"),
  ];
  const who = row.enrolledCount ? h("span", {}, row.enrolledIdentities ? h("a", { href: href(`/addresses/${row.id}`) }, count(row.enrolledIdentities, "device")) : null, row.enrolledIdentities && row.enrolledRouters ? " and " : null, row.enrolledRouters ? count(row.enrolledRouters, "router") : null, " joined by it") : h("span", { class: "soft" }, "nobody joined by it");
  return h(
    "li",
    {},
    h("div", { class: "head" }, h("a", { href: href(`/addresses/${row.id}`) }, h("b", {}, name(row.address))), row.isIssuer ? h("span", { class: "chip" }, "primary") : null, row.isAnnounced ? null : h("span", { class: "chip" }, "not told to clients")),
    h("div", { class: "head" }, facts_),
    row.problem && row.checkedAt ? h("p", { class: "soft" }, h("bdi", {}, row.problem)) : null,
    h("div", { class: "head" }, who, row.checkedAt ? h("small", {}, "looked at ", time(row.checkedAt)) : null, h("span", { class: "gap" }), h("button", { type: "button", class: "small", onclick: () => act(() => lookAtAddress(row.id), "", row.address) }, "Look now"), row.isIssuer ? null : h("button", { type: "button", class: "small", onclick: makePrimary }, "Make primary …"), row.isIssuer ? null : h("button", { type: "button", class: "small danger-quiet", "aria-label": `Remove ${row.address}`, onclick: remove }, "Remove …")),
  );
}

/** @param {() => Promise<void>} load */
function adding(load) {
  const input = h("input", { id: "address", class: "mono", autocomplete: "off", spellcheck: false, placeholder: "ziti.example.com:1280" });
  const problem = h("div");
  const call = () => addAddressCall({ address: input.value.trim() });
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    show(problem);
    try {
      const { data } = await request(call());
      good(`${input.value.trim()} is added, and stands in the server's certificate`);
      input.value = "";
      await lookAtAddress(data.id).catch(() => null);
      await load();
    } catch (error) {
      show(problem, refusal(error));
    }
  }
  return card("Another address", h("form", { class: "stack tight", onsubmit: submit }, problem, h("div", { class: "field" }, h("label", { for: "address" }, "Host, or host and port"), input), h("div", { class: "actions" }, h("button", {}, icon("plus"), "Add it"), copyAs(call, { what: "adding it" }))));
}
