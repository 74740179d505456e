"""The pages that keep a controller in service, used as an administrator would, and checked from outside."""

from __future__ import annotations

import csv
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.demo import HOSTILE
from tests.browser.pages import go, settled, sign_in
from tests.controllers import Api, Controller
from tests.flows import PEM, by_name, enroll, enroll_ott, pending, unique, wait_until

OWN = "/zitilite/v1"


def take_file(page: Page, path: Path) -> None:
    """Choose a file, as the button below "drop here" does."""
    page.locator("main input[type=file]").first.set_input_files(path)


# --- CSV


def rows(count: int, bad: dict[int, str], word: str) -> str:
    """A file of so many lines; `bad` says what stands in some of them, by line."""
    lines = ["name,roleAttributes,enrollment,expiresAt"]
    lines += [bad.get(n, f"{word}-{n:04d},csv-{word} line-a,ott,") for n in range(2, count + 2)]
    return "\r\n".join(lines) + "\r\n"


def table(path: Path) -> list[dict[str, str]]:
    """A CSV file as rows."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_five_hundred_rows_with_three_bad_ones(visit, controller: Controller, api: Api, tmp_path: Path):
    word = unique("csv")
    taken = f"{word}-taken"
    api.create("/identities", {"name": taken, "type": "Device", "isAdmin": False})
    bad = {
        7: f"{word}-0008,a,ott,",
        9: f"{taken},a,ott,",
        250: f"{word}-x,a,ott,tomorrow",
        501: f"{word}-y,a,carrier pigeon,",
    }
    path = tmp_path / "devices.csv"
    path.write_text(rows(500, bad, word))
    page: Page = visit(controller, "/identities/import")
    take_file(page, path)
    expect(page.get_by_text("496 lines would be imported, 3 would be refused")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("1 device of these names is there already and is left as it is")).to_be_visible()
    refused = page.get_by_role("region", name="Refused lines")
    for line in (8, 250, 501):
        expect(refused).to_contain_text(f"Line {line}")
    expect(refused).to_contain_text("'tomorrow' is neither a date")
    assert (
        api.get("/identities", filter=f'name contains "{word}"', limit=1).body["meta"]["pagination"]["totalCount"] == 1
    )
    with page.expect_download() as waited:
        page.get_by_role("button", name="The refused lines").click()
    again = table(Path(waited.value.path()))
    assert [r["name"] for r in again] == [f"{word}-0008", f"{word}-x", f"{word}-y"]
    page.get_by_role("button", name="Import 496 devices").click()
    expect(page.get_by_text("496 devices imported")).to_be_visible(timeout=60_000)
    with page.expect_download() as waited:
        page.get_by_role("button", name="Result with tokens").click()
    result = table(Path(waited.value.path()))
    assert len(result) == 497
    assert {r["line"] for r in result}.isdisjoint({"8", "250", "501"})
    assert [(r["line"], r["name"]) for r in result if r["outcome"] == "there already"] == [("9", taken)]
    last = result[-1]
    assert last["expiresAt"] > "2026"
    enroll_ott(controller, last["token"], tmp_path)
    assert by_name(api, "/identities", last["name"])[0]["authenticators"]["cert"]["fingerprint"]
    with page.expect_download() as waited:
        page.get_by_role("button", name="Tokens (zip)").click()
    with zipfile.ZipFile(waited.value.path()) as archive:
        assert sum(name.endswith(".jwt") for name in archive.namelist()) == 495


def test_an_import_that_was_cut_off_is_taken_up(visit, controller: Controller, tmp_path: Path, watched):
    """The same file again: what is there is left as it is, the result names all with their tokens."""
    word = unique("again")
    path = tmp_path / "devices.csv"
    path.write_text(rows(120, {}, word))
    page: Page = visit(controller, "/identities/import")
    take_file(page, path)
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if "/bulk" in r.url and "dryRun=false" in r.url else None)

    def stop_at_the_second(route: Route) -> None:
        route.continue_() if len(sent) < 2 else route.abort()

    page.route("**/zitilite/v1/bulk**", stop_at_the_second)
    page.get_by_role("button", name="Import 120 devices").click()
    expect(page.get_by_text("50 devices imported, 70 left")).to_be_visible()
    page.goto("about:blank")
    watched.problems[:] = [p for p in watched.problems if "net::ERR_FAILED" not in p]
    page = visit(controller, "/identities/import")
    take_file(page, path)
    expect(page.get_by_text("50 devices of these names are there already and are left as they are")).to_be_visible()
    page.get_by_role("button", name="Import 70 devices").click()
    expect(page.get_by_text("70 devices imported")).to_be_visible()
    with page.expect_download() as waited:
        page.get_by_role("button", name="Result with tokens").click()
    result = table(Path(waited.value.path()))
    assert [r["outcome"] for r in result] == ["there already"] * 50 + ["imported"] * 70
    assert all(r["token"] and r["expiresAt"] for r in result)
    page.goto("about:blank")
    page = visit(controller, "/identities/import")
    take_file(page, path)
    expect(page.get_by_text("All 120 devices are there already.")).to_be_visible()


def test_columns_of_other_names_are_taken_for_what_one_says(visit, controller: Controller, api: Api, tmp_path: Path):
    word = unique("map")
    path = tmp_path / "inventory.csv"
    path.write_text(f"Asset no;Host name;Groups;Rack\r\n17;{word};one two;R7\r\n")
    page: Page = visit(controller, "/identities/import")
    take_file(page, path)
    expect(page.get_by_label("Column Host name")).to_have_value("name")
    expect(page.get_by_label("Column Groups")).to_have_value("roleAttributes")
    expect(page.get_by_label("Column Asset no")).to_have_value("")
    page.get_by_label("Column Rack").select_option("tags.Rack")
    page.get_by_label("Column Asset no").select_option("name")
    page.get_by_role("button", name="Use these").click()
    expect(page.get_by_text("Two columns are taken for name.")).to_be_visible()
    page.get_by_label("Column Asset no").select_option("externalId")
    page.get_by_role("button", name="Use these").click()
    page.get_by_role("button", name="Import 1 device").click()
    expect(page.get_by_text("1 device imported")).to_be_visible()
    [made] = by_name(api, "/identities", word)
    assert made["roleAttributes"] == ["one", "two"]
    assert made["tags"] == {"Rack": "R7"}
    assert made["externalId"] == "17"


@pytest.mark.parametrize("form", ["list", "lines", "answer"])
def test_json_is_imported_as_well(visit, controller: Controller, api: Api, tmp_path: Path, form: str):
    word = unique("json")
    items = [
        {"name": f"{word}-1", "roleAttributes": ["a", "b"], "enrollment": {"ott": True}, "tags": {"room": "7"}},
        {"name": f"{word}-2", "isAdmin": False, "enrollment": {"updb": f"{word}-user"}},
    ]
    path = tmp_path / "devices.json"
    text = {
        "list": json.dumps(items),
        "lines": "\n".join(map(json.dumps, items)),
        "answer": json.dumps({"data": items}),
    }
    path.write_text(text[form])
    page: Page = visit(controller, "/identities/import")
    take_file(page, path)
    page.get_by_role("button", name="Import 2 devices").click()
    expect(page.get_by_text("2 devices imported")).to_be_visible()
    [first], [second] = by_name(api, "/identities", f"{word}-1"), by_name(api, "/identities", f"{word}-2")
    assert (first["roleAttributes"], first["tags"]) == (["a", "b"], {"room": "7"})
    assert second["enrollment"]["updb"]["token"]
    path.write_text('[{"name": "x"},\n 7]')
    page.get_by_role("button", name="Another file").click()
    take_file(page, path)
    expect(page.get_by_text("JSON has to be a list of objects")).to_be_visible()


def test_hostile_cells_are_only_text(visit, controller: Controller, tmp_path: Path):
    """Neither in the preview, nor in the choice of columns, nor in a refusal."""
    path = tmp_path / "hostile.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows([["name", "nonsense <i>"], *([h, "x"] for h in HOSTILE)])
    page: Page = visit(controller, "/identities/import")
    take_file(page, path)
    expect(page.get_by_role("region", name="The first lines")).to_contain_text(HOSTILE[0])
    expect(page.get_by_role("region", name="What the columns mean")).to_contain_text("nonsense <i>")
    page.get_by_role("button", name="Use these").click()
    expect(page.get_by_text("What would come of it")).to_be_visible()
    assert page.locator("main img, main script, main i").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


# --- API tokens


def test_an_api_token_is_made_and_used(visit, controller: Controller, api: Api):
    """Shown once, works with curl within its scope, and no longer once it is deleted."""
    page: Page = visit(controller, "/api-tokens/new")
    name = unique("pipeline")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Scope").select_option("read")
    page.get_by_role("button", name="Create this API token").click()
    dialog = page.get_by_role("dialog", name="Your API token")
    expect(dialog).to_contain_text("only now")
    token = dialog.locator("code").inner_text()
    dialog.get_by_role("button", name="I have it").click()
    assert curl(controller, token, "/edge/management/v1/identities?limit=1") == 200
    assert curl(controller, token, "/edge/management/v1/services", "-d", "{}") in (401, 403)
    settled(page)
    assert token not in page.content()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete this API token").click()
    expect(page.locator(".toast").last).to_contain_text("is deleted")
    assert curl(controller, token, "/edge/management/v1/identities?limit=1") == 401
    assert api.on(OWN).get("/api-tokens", filter=f'name = "{name}"').ok() == []


def curl(controller: Controller, token: str, path: str, *more: str) -> int:
    """The status that curl gets with an API token."""
    words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", str(controller.ca_file())]
    words += ["-H", f"Authorization: Bearer {token}", "-H", "content-type: application/json", *more]
    done = subprocess.run([*words, controller.url + path], capture_output=True, text=True, timeout=30, check=True)
    return int(done.stdout)


# --- backups


def test_a_backup_is_made_checked_fetched_and_deleted(visit, controller: Controller, api: Api):
    page: Page = visit(controller, "/backups")
    page.get_by_label("Passphrase", exact=True).fill("correct horse")
    page.get_by_label("Again").fill("battery staple")
    page.get_by_role("button", name="Back up now").click()
    expect(page.get_by_role("alert").filter(has_text="not the same")).to_be_visible()
    page.get_by_label("Again").fill("correct horse")
    page.get_by_role("button", name="Back up now").click()
    expect(page.locator(".care-list li")).to_have_count(1)
    check_backup(page, "correct horse")
    expect(page.get_by_text("It can be restored")).to_be_visible(timeout=30_000)
    check_backup(page, "wrong horse")
    expect(page.get_by_text("It cannot be restored")).to_be_visible(timeout=30_000)
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download", exact=True).click()
    assert Path(waited.value.path()).read_bytes().startswith(b"age-encryption.org/")
    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("No backup yet")).to_be_visible()
    assert api.on(OWN).get("/backups").ok() == []


def check_backup(page: Page, passphrase: str) -> None:
    page.get_by_role("button", name="Check …").click()
    page.get_by_label("Its passphrase").fill(passphrase)
    page.get_by_role("dialog").get_by_role("button", name="Check it").click()


def test_the_clock_of_backups_is_set_and_says_what_it_needs(visit, make_controller, watched):
    """Without a passphrase of the process it is refused with what to give; with one a backup is there at once."""
    watched.allowed.add(400)
    page: Page = visit(make_controller(), "/backups")
    expect(page.get_by_text("They need a passphrase")).to_contain_text("ZITILITE_BACKUP_PASSPHRASE")
    server = make_controller("--backup-passphrase", "correct horse", "--backup-keep", "3")
    page = visit(server, "/backups")
    expect(page.locator("[data-setting=backup_keep]")).to_contain_text("from --backup-keep")
    expect(page.locator("[data-setting=backup_passphrase]")).to_contain_text("set, not shown")
    page.get_by_role("button", name="Change: Backups by the clock").click()
    dialog = page.get_by_role("dialog", name="Backups by the clock")
    dialog.get_by_label("Value").fill("often")
    dialog.get_by_role("button", name="Change it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is no number")
    dialog.get_by_label("Value").fill("24")
    dialog.get_by_role("button", name="Change it").click()
    expect(page.locator("[data-setting=backup_hours]")).to_contain_text("chosen here")
    api = server.admin().on(OWN)
    wait_until(lambda: api.get("/backups").ok(), 90)
    page.reload()
    expect(page.locator(".care-list li")).to_contain_text("by the clock")


def test_a_lifetime_is_changed_and_goes_back(visit, controller: Controller, api: Api):
    page: Page = visit(controller, "/settings")
    line = page.locator("[data-setting=router_certificate_days]")
    expect(line).to_contain_text("365 days")
    line.get_by_role("button").click()
    page.get_by_label("Value").fill("90")
    page.get_by_role("dialog").get_by_role("button", name="Change it").click()
    expect(line).to_contain_text("90 days")
    assert api.on(OWN).get("/settings/router_certificate_days").ok()["value"] == "90"
    line.get_by_role("button").click()
    page.get_by_role("button", name="Back to 365").click()
    expect(line).to_contain_text("365 days")


def test_a_recovery_kit_is_fetched(visit, controller: Controller):
    page: Page = visit(controller, "/backups")
    page.get_by_role("button", name="Recovery kit …").click()
    dialog = page.get_by_role("dialog", name="Recovery kit")
    dialog.get_by_label("Passphrase").fill("correct horse")
    dialog.get_by_label("Again").fill("correct horse")
    with page.expect_download(timeout=90_000) as waited:
        dialog.get_by_role("button", name="Download the recovery kit").click()
    with zipfile.ZipFile(waited.value.path()) as kit:
        assert sorted(kit.namelist()) == ["README.txt", "backup.age", "root.pem"]


# --- addresses, certificates, health, audit


def test_addresses_are_added_made_primary_and_removed(visit, make_controller):
    server = make_controller()
    api = server.admin().on(OWN)
    page: Page = visit(server, "/addresses")
    page.get_by_label("Host, or host and port").fill(f"localhost:{server.port}")
    first = page.locator(".care-list li", has_text="primary")
    expect(first).to_be_visible()
    page.get_by_label("Host, or host and port").fill("elsewhere.invalid:1280")
    page.get_by_role("button", name="Add it").click()
    added = page.locator(".care-list li", has_text="elsewhere.invalid:1280")
    expect(added).to_contain_text("does not resolve")
    expect(added).to_contain_text("in the certificate")
    added.get_by_role("button", name="Make primary …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("go on using that")
    dialog.get_by_role("button", name="Make it primary").click()
    expect(added.locator(".chip")).to_have_text("primary")
    issuers = [a["address"] for a in api.get("/addresses").ok() if a["isIssuer"]]
    assert issuers == ["elsewhere.invalid:1280"]
    others = page.locator(".care-list li", has=page.get_by_role("button", name="Make primary …"))
    others.first.get_by_role("button", name="Make primary …").click()
    page.get_by_role("dialog").get_by_role("button", name="Make it primary").click()
    added.get_by_role("button", name="Remove elsewhere").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(added).to_have_count(0)


def test_the_intermediate_is_replaced_with_words_before(visit, make_controller):
    server = make_controller()
    page: Page = visit(server, "/own-certificates")
    before = {
        c["fingerprint"] for c in server.admin().on(OWN).get("/certificates", filter='kind = "intermediate"').ok()
    }
    page.get_by_role("button", name="Replace the intermediate …").click()
    dialog = page.get_by_role("dialog", name="Replace the intermediate?")
    expect(dialog).to_contain_text("nobody has to enroll again")
    dialog.get_by_role("button", name="Replace the intermediate").click()
    expect(page.locator(".toast").last).to_contain_text("is a new one")
    after = {c["fingerprint"] for c in server.admin().on(OWN).get("/certificates", filter='kind = "intermediate"').ok()}
    assert len(after - before) == 1
    settled(page)
    page.get_by_role("button", name="Replace the root …").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Replace the root")).to_be_disabled()


def test_health_is_that_of_the_doctor_and_all_numbers_agree(visit, network: Controller, network_api: Api, made):
    """The dot, the overview and the page Health show the same findings."""
    ca = made.ids["cas"][0]
    network_api.patch(f"/cas/{ca}", {"isAuthEnabled": False}).ok()
    page: Page = visit(network, "/checks")
    settled(page)
    found = network_api.on(OWN).get("/checks").ok()
    for check in found:
        expect(page.locator(f"[data-check='{check['id']}']")).to_contain_text(check["title"])
    bad = [c for c in found if c["state"] != "ok"]
    assert f"ca-{ca}" in {c["id"] for c in bad}
    expect(page.get_by_role("heading", name=f"{len(bad)} things to look at")).to_be_visible()
    expect(page.locator(".top .health")).to_have_text(f"{len(bad)} to look at")
    page.locator(".top .health").click()
    go(page, "/overview")
    expect(page.locator(".findings li")).to_have_count(len(bad))
    expect(page.locator(".findings")).to_contain_text("its connections are off")
    network_api.patch(f"/cas/{ca}", {"isAuthEnabled": True}).ok()
    expect(page.locator(".findings li")).to_have_count(len(bad) - 1, timeout=30_000)
    expect(page.locator(".top .health")).to_have_text(f"{len(bad) - 1} to look at")


@pytest.mark.parametrize("form", ["CSV", "JSON lines"])
def test_the_audit_log_is_filtered_live_and_downloaded(visit, controller: Controller, api: Api, form: str):
    name = unique("audited")
    page: Page = visit(controller, f'/audit?filter=entityName = "{name}"')
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    api.create("/services", {"name": name, "encryptionRequired": True})
    expect(page.locator("table.rows")).to_contain_text(name, timeout=20_000)
    page.get_by_role("button", name="Download these changes").click()
    with page.expect_download() as waited, page.expect_request("**/zitilite/v1/audit/export**") as asked:
        page.get_by_role("menuitem", name=f"As {form}").click()
    assert f"format={'csv' if form == 'CSV' else 'jsonl'}" in asked.value.url
    text = Path(waited.value.path()).read_text()
    found: list[Any] = (
        list(csv.DictReader(text.splitlines())) if form == "CSV" else [json.loads(line) for line in text.splitlines()]
    )
    assert [r["entityName"] for r in found] == [name]


def test_what_a_change_changed_is_said_in_words(visit, controller: Controller, api: Api):
    name = unique("worded")
    key = api.create("/identities", {"name": name, "type": "Device", "isAdmin": False})
    api.patch(f"/identities/{key}", {"roleAttributes": ["plant"]}).ok()
    page: Page = visit(controller, f'/audit?filter=entityName = "{name}"')
    changed = page.locator("table.rows tbody tr").filter(has_text=f"update {name}")
    expect(changed).to_contain_text("role attributes")
    expect(changed).not_to_contain_text("updated")
    go(page, "/overview")
    line = page.locator("li").filter(has_text=f"update {name}")
    expect(line).to_contain_text("role attributes")
    expect(line).not_to_contain_text("updated")


def test_what_changes_before_news_arrive_is_seen(visit, controller: Controller, api: Api):
    """A list is older than the stream of events that keeps it up to date: what happens in between is not lost."""
    name = unique("between")
    page: Page = visit(controller, f'/audit?filter=entityName = "{name}"', signed_in=False)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/zitilite/v1/events**", hold)
    with page.expect_request("**/zitilite/v1/events**"):
        sign_in(page, controller.admin_user, controller.admin_password)
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    api.create("/services", {"name": name, "encryptionRequired": True})
    for route in held:
        route.continue_()
    expect(page.locator("table.rows")).to_contain_text(name)


def test_attempts_appear_while_one_looks(visit, controller: Controller, api: Api):
    key, e = pending(api, "ott")
    of_it = f'identityId = "{key}" and kind = "enroll"'

    def refused() -> None:
        assert enroll(controller.api(), "ott", e["token"], b"no request at all", PEM).status >= 400

    refused()
    page: Page = visit(controller, f"/attempts?filter={of_it} sort by createdAt desc")
    rows = page.locator("table.rows tbody tr")
    expect(rows).to_have_count(1)
    refused()
    # A row under the eyes does not jump away: a newer one is announced, or there if the list was just being fetched.
    expect(page.locator(".pill").or_(rows.nth(1)).first).to_be_visible()
    go(page, f"/attempts?filter={of_it}")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("refused")
