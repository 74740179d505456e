/** Backups: make one, fetch it, see whether it can be restored, and how. */
import { backUp, backUpCall, backupCall, backups, checkBackup, dropBackup, fileOf, settings } from "../care.js";
import { h, show } from "../dom.js";
import { icon } from "../icons.js";
import { placeTabs } from "../places.js";
import { time } from "../time.js";
import { refusal } from "../ui/certs.js";
import { copyAs } from "../ui/copyas.js";
import { copyButton } from "../ui/copy.js";
import { confirm, openDialog } from "../ui/dialog.js";
import { download } from "../ui/drop.js";
import { bones, card, empty, facts, failed, pageHead, stateMark } from "../ui/parts.js";
import { kitForm } from "../ui/kit.js";
import { passphraseForm } from "../ui/passphrase.js";
import { settingList } from "../ui/settings.js";
import { bad, good } from "../ui/toast.js";

/** @param {import("../router.js").Page} page */
export function backupsView(page) {
  const place = h("div", { "aria-busy": "true" }, bones(6));
  async function load() {
    try {
      const [rows, all] = await Promise.all([backups(), settings()]);
      if (page.isOpen) show(place, h("div", { class: "stack" }, rows.length ? h("ul", { class: "care-list card pad" }, rows.map((r) => line(r, load))) : empty("download", "No backup yet", "One file with the database and all keys, encrypted with a passphrase."), schedule(rows, all, load)));
    } catch (error) {
      if (page.isOpen) show(place, failed(error, load, "The backups could not be loaded"));
    }
    place.setAttribute("aria-busy", "false");
  }
  load();
  return h("div", {}, placeTabs("settings", "/backups"), pageHead({ title: "Backups", actions: h("button", { type: "button", onclick: kit }, icon("download"), "Recovery kit …") }), h("p", { class: "lead" }, "Database and keys in one encrypted file. With it and its passphrase this controller can be put up again anywhere."), h("div", { class: "stack" }, making(load), place, restoring()));
}

const kit = () => openDialog({ title: "Recovery kit", body: (close) => kitForm({ done: () => close(), kind: "primary" }) });

/** What is made by the clock, and by which settings. @param {any[]} rows @param {any[]} all @param {() => Promise<void>} load */
function schedule(rows, all, load) {
  const auto = rows.filter((r) => r.kind === "auto");
  const of = (/** @type {string} */ name) => all.find((s) => s.id === name);
  const passphrase = of("backup_passphrase");
  if (!passphrase) return null;
  const isOn = Number(of("backup_hours").value) > 0;
  const words = auto.length ? ["The last ", time(auto[0].createdAt), `, ${auto.length} kept.`] : isOn ? ["The first one is made within a minute."] : ["Switched off."];
  return card("By the clock", h("div", { class: "stack tight" }, h("p", {}, words), passphrase.isSet ? null : h("p", { class: "with-icon" }, icon("warning"), h("span", {}, "They need a passphrase that the process knows: start it with ", h("code", {}, passphrase.flag), " or ", h("code", {}, passphrase.variable), ".")), settingList(["backup_hours", "backup_keep", "backup_folder", "backup_passphrase"].map(of), load)));
}

/** @param {() => Promise<void>} load */
function making(load) {
  const run = async (/** @type {string} */ passphrase) => {
    await backUp(passphrase);
    good("The backup is made");
    await load();
  };
  return card("Make one", passphraseForm({ id: "passphrase", yes: "Back up now", run, hint: "Kept nowhere: without it the backup is of no use. If left empty, the setting backup_passphrase is taken.", more: copyAs(backUpCall, { what: "making a backup" }) }));
}

/** @param {number} bytes */
const size = (bytes) => (bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`);

/** @param {any} row @param {() => Promise<void>} load */
function line(row, load) {
  const result = h("div", { "aria-live": "polite" });
  async function fetchIt() {
    try {
      download(`zitilite-${row.id}.age`, await fileOf(backupCall(row.id)));
    } catch (error) {
      bad(error, "The backup");
    }
  }
  async function check() {
    const passphrase = await askPassphrase();
    if (passphrase === undefined) return;
    show(result, bones(1));
    try {
      const found = await checkBackup(row.id, passphrase);
      const m = found.manifest || {};
      show(result, found.good ? stateMark("ok", "It can be restored") : stateMark("refused", "It cannot be restored"), found.problems.length ? h("ul", { class: "consequences" }, found.problems.map((/** @type {string} */ p) => h("li", {}, h("bdi", {}, p)))) : null, found.manifest ? facts(/** @type {any[]} */ ([["Devices", m.identities === undefined ? null : Number(m.identities).toLocaleString("en")], ["Addresses", m.addresses?.join(", ")], ["Made by", m.version && `zitilite ${m.version}`]]).filter(([, v]) => v)) : null);
    } catch (error) {
      show(result, refusal(error));
    }
  }
  async function remove() {
    if (!(await confirm({ title: "Delete this backup?", body: h("p", {}, "The file is removed from the controller's folder. A copy that you fetched stays."), yes: "Delete it", danger: true }))) return;
    try {
      await dropBackup(row.id);
      good("The backup is deleted");
    } catch (error) {
      bad(error, "Deleting the backup");
    }
    await load();
  }
  return h("li", { data: { id: row.id } }, h("div", { class: "head" }, h("b", {}, time(row.createdAt)), h("code", {}, row.id), h("span", { class: "soft" }, row.kind === "auto" ? "by the clock" : "by hand", ", ", size(row.size))), h("div", { class: "actions" }, h("button", { type: "button", class: "small", onclick: fetchIt }, icon("download"), "Download"), h("button", { type: "button", class: "small", onclick: check }, icon("check"), "Check …"), h("button", { type: "button", class: "small danger-quiet", onclick: remove }, icon("trash"), "Delete …"), copyAs(() => backupCall(row.id), { what: "fetching it" })), result);
}

/** @returns {Promise<string | undefined>} */
function askPassphrase() {
  return openDialog({
    title: "Check this backup",
    kind: "narrow",
    body: (close) => {
      const input = h("input", { id: "check-passphrase", type: "password", autocomplete: "off", autofocus: true });
      return h("form", { class: "stack", onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), close(input.value)) }, h("p", {}, "It is opened and looked at as a restore would. Nothing is changed."), h("div", { class: "field" }, h("label", { for: "check-passphrase" }, "Its passphrase"), input), h("footer", { class: "actions" }, h("button", { class: "primary" }, "Check it")));
    },
  });
}

function restoring() {
  const text = "zitilite restore --passphrase-file passphrase --data NEW_FOLDER zitilite-BACKUP.age\nzitilite --data NEW_FOLDER";
  return card("To restore one", h("div", { class: "stack tight" }, h("p", {}, "On the machine that takes over, with the controller stopped. The file passphrase holds the passphrase."), h("div", { class: "command" }, h("pre", { tabindex: "0", "aria-label": "How to restore" }, text), copyButton(() => text))));
}
