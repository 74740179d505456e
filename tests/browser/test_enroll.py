"""Enrolling from the console: the flow, the page of the token, what turns green, many at once."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.demo import HOSTILE
from tests.browser.pages import DESKTOP, PHONE, Watched, go, holds, settled, title
from tests.certificates import CA
from tests.controllers import Api, Controller
from tests.flows import CLIENT, import_ca, in_the_past, pending, sql, unique
from tests.real.clients import real_enroll
from wire.resource import OWN


def decoded(code: Locator) -> str:
    """What a phone would read from the picture as it is drawn."""
    expect(code).to_be_visible()
    holds(code.page, "(e) => e.complete && e.naturalWidth > 0", code.element_handle())
    [found] = zxingcpp.read_barcodes(Image.open(io.BytesIO(code.screenshot())))
    return str(found.text)


def made(api: Api, name: str, path: str = "/identities"):
    [row] = api.get(path, filter=f"name = {json.dumps(name)}").ok()
    return row


def create(page: Page, name: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make this").click()
    expect(title(page, name)).to_be_visible()
    settled(page)


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark", "viewport": PHONE}], ids=["desk", "dark phone"])
def test_a_device_is_enrolled_and_its_page_turns_green(
    visit, controller: Controller, api: Api, tmp_path: Path, options
):
    page = visit(controller, "/overview", **{"viewport": DESKTOP, **options})
    page.locator(".enroll:visible").click()
    name = unique("box")
    page.get_by_label("Attributes", exact=True).fill("plant-7")
    page.get_by_label("Attributes", exact=True).press("Enter")
    page.get_by_label("1 hour").check()
    create(page, name)
    row = made(api, name)
    assert page.url.endswith(f"/console/enroll/identities/{row['id']}")
    token = row["enrollment"]["ott"]
    assert row["roleAttributes"] == ["plant-7"]
    expect(page.locator(".clock")).to_have_text("expires in 59 min")
    assert decoded(page.locator(".qr-image")) == token["jwt"]
    with page.expect_download() as got:
        page.get_by_role("button", name="Download").click()
    assert got.value.suggested_filename == f"{name}.jwt"
    file = tmp_path / "box.jwt"
    got.value.save_as(file)
    assert file.read_text() == token["jwt"]

    real_enroll(file)
    expect(page.get_by_text(f"{name} has joined.")).to_be_visible()
    expect(page.locator(".qr-image")).to_have_count(0)
    [key] = api.get(f"/identities/{row['id']}/authenticators").ok()
    card = page.locator(".card.good")
    expect(card).to_contain_text(key["fingerprint"][:2].upper() + ":")
    expect(card).to_contain_text("127.0.0.1")
    assert card.locator("code").nth(1).inner_text().replace(":", "").lower() == key["fingerprint"]


def test_a_refused_attempt_is_seen_with_its_reason(visit, controller: Controller, api: Api):
    key, e = pending(api, "ott")
    page = visit(controller, f"/enroll/identities/{key}")
    expect(page.locator(".qr-image")).to_be_visible()
    expect(page.locator(".top > .line")).to_contain_text("live")
    answer = (
        controller.api()
        .on(CLIENT)
        .post(
            "/enroll",
            b"no request at all",
            params={"method": "ott", "token": e["token"]},
            headers={"Content-Type": "application/x-pem-file"},
        )
    )
    assert answer.status >= 400
    [attempt] = api.on(OWN).get("/attempts", filter=f'identityId = "{key}" and kind = "enroll"').ok()
    expect(page.locator(".log li")).to_contain_text(attempt["reason"])
    expect(page.locator(".log li")).to_contain_text("refused")
    expect(page.locator(".qr-image")).to_be_visible()


def test_an_expired_token_is_never_drawn_and_can_be_renewed(visit, controller: Controller, api: Api):
    key, _ = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE identity_id = ?", in_the_past(), key)
    page = visit(controller, f"/enroll/identities/{key}")
    expect(page.get_by_text("The token ended")).to_be_visible()
    expect(page.locator(".qr-image")).to_have_count(0)
    expect(page.get_by_role("button", name="Download")).to_have_count(0)
    page.get_by_role("button", name="Renew it").click()
    page.get_by_role("dialog").get_by_role("button", name="Renew").click()
    expect(page.locator(".qr-image")).to_be_visible()
    assert decoded(page.locator(".qr-image")) == api.detail("/identities", key)["enrollment"]["ott"]["jwt"]


def test_the_clock_runs_out_before_the_eyes(visit, controller: Controller, api: Api, watched):
    # A page that opens in the token's last moment may ask for a code that the controller no longer gives.
    watched.allowed.add(409)
    key, _ = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE identity_id = ?", in_the_past() + 5000, key)
    page = visit(controller, f"/enroll/identities/{key}")
    expect(page.get_by_text("The token ended")).to_be_visible()
    expect(page.locator(".qr-image")).to_have_count(0)


def test_revoke_and_make_another(visit, controller: Controller, api: Api):
    key, _ = pending(api, "ott")
    page = visit(controller, f"/enroll/identities/{key}")
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_role("heading", name="It has no token")).to_be_visible()
    assert api.detail("/identities", key)["enrollment"] == {}
    page.locator(".empty").get_by_role("button", name="Make a token").click()
    page.get_by_role("dialog").get_by_role("button", name="Make the token").click()
    expect(page.locator(".qr-image")).to_be_visible()


def test_only_authorities_that_may_are_offered(visit, controller: Controller, api: Api):
    good, off, new = unique("good"), unique("off"), unique("new")
    import_ca(api, CA.root(good), name=good)
    import_ca(api, CA.root(off), name=off, isOttCaEnrollmentEnabled=False)
    import_ca(api, CA.root(new), verified=False, name=new)
    page = visit(controller, "/enroll")
    page.get_by_text("Token and a certificate of your own").click()
    expect(page.locator(".method", has_text=off)).to_contain_text("switched off")
    expect(page.locator(".method", has_text=new)).to_contain_text("Not verified")
    expect(page.get_by_role("radio", name=off)).to_be_disabled()
    page.get_by_role("radio", name=good).check()
    name = unique("box")
    create(page, name)
    assert made(api, name)["enrollment"]["ottca"]["ca"]["name"] == good
    expect(page.locator(".command").first).to_contain_text(f"--cert {name}.crt --key {name}.key")


def test_a_password_and_a_router_and_an_authority(visit, controller: Controller, api: Api):
    page = visit(controller, "/enroll?method=updb")
    name = unique("person")
    create(page, name)
    assert made(api, name)["enrollment"]["updb"]["token"]
    expect(page.get_by_role("tab")).to_have_text(["ziti CLI", "zitilite", "curl"])
    go(page, "/enroll?kind=router")
    name = unique("edge")
    page.get_by_label("7 days").check()
    create(page, name)
    router = made(api, name, "/edge-routers")
    assert decoded(page.locator(".qr-image")) == router["enrollmentJwt"]
    expect(page.locator(".clock")).to_have_text("expires in 6 days")
    ca = import_ca(api, CA.root(unique("auto")), name=unique("auto"), isAutoCaEnrollmentEnabled=True)
    go(page, f"/enroll?method=ca&ca={ca}")
    page.get_by_role("button", name="Show the token").click()
    jwt = api.http.get(f"{api.url}{api.base}/cas/{ca}/jwt", headers={"Accept": "application/jwt"}, timeout=10).text
    assert decoded(page.locator(".qr-image")) == jwt


def test_a_name_that_is_taken_is_said_at_its_field(visit, controller: Controller, api: Api, watched: Watched):
    watched.allowed.add(400)
    name = unique("box")
    api.create("/identities", {"name": name, "type": "Device", "isAdmin": False})
    page = visit(controller, "/enroll")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make this").click()
    expect(page.locator("#name-note")).to_contain_text("taken")
    expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")


def test_hostile_names_are_only_names(visit, controller: Controller, api: Api):
    page = visit(controller, "/enroll")
    for number, hostile in enumerate(HOSTILE):
        name = f"{hostile} {unique()}" if number != 2 else f"{unique()} {hostile}"
        go(page, "/enroll")
        create(page, name)
        file = page.locator(".command pre").first.inner_text().split("--jwt ")[1].split()[0]
        assert set(file) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"), file
        row = api.detail("/identities", page.url.rpartition("/")[2])
        assert row["name"] == name
        assert decoded(page.locator(".qr-image")) == row["enrollment"]["ott"]["jwt"]
        assert page.title() != "broken"


def test_every_command_tab_can_be_reached_and_copied(visit, controller: Controller, api: Api):
    key, _ = pending(api, "ott")
    page = visit(controller, f"/enroll/identities/{key}")
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_count(9)
    tabs.first.focus()
    seen = set()
    for _ in range(9):
        page.keyboard.press("ArrowRight")
        seen.add(page.get_by_role("tabpanel").inner_text())
    assert len(seen) == 9


# --- many


def select(page: Page, names: list[str]) -> None:
    for name in names:
        page.get_by_label(f"Select {name}", exact=True).check()


def bulk(page: Page, action: str) -> Locator:
    page.locator(".bulk-bar").get_by_role("button", name=action, exact=True).click()
    return page.get_by_role("dialog")


def three(api: Api) -> tuple[str, list[str], list[str]]:
    """A filter, names and ids of three waiting devices."""
    tag = unique("many")
    names = [f"{tag}-{n}" for n in range(3)]
    keys = [
        api.create(
            "/identities",
            {"name": n, "type": "Device", "isAdmin": False, "roleAttributes": [tag], "enrollment": {"ott": True}},
        )
        for n in names
    ]
    return f'anyOf(roleAttributes) = "{tag}"', names, keys


def token(api: Api, key: str) -> str:
    return str(api.detail("/identities", key)["enrollment"]["ott"]["token"])


def test_tokens_of_many_are_renewed_and_the_failed_are_said(visit, controller: Controller, api: Api):
    query, names, keys = three(api)
    before = [token(api, key) for key in keys[:2]]
    [e] = api.get("/enrollments", filter=f'identity = "{keys[2]}"').ok()
    api.delete(f"/enrollments/{e['id']}").ok()
    page = visit(controller, "/overview")
    go(page, f"/identities?filter={query}")
    select(page, names)
    bulk(page, "Renew tokens").get_by_role("button", name="Renew", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_have_text("3 of 3, 1 failed")
    expect(dialog.locator(".results .bad")).to_contain_text([names[2]])
    assert all(token(api, key) != old for key, old in zip(keys, before, strict=False))
    [again] = [
        api.create("/enrollments", {"method": "ott", "identityId": keys[2], "expiresAt": "2099-01-01T00:00:00Z"})
    ]
    dialog.get_by_role("button", name="Try the 1 again").click()
    expect(dialog.get_by_role("status")).to_have_text("1 of 1")
    assert again


def test_tokens_of_many_as_zip_and_as_sheet(visit, controller: Controller, api: Api, tmp_path: Path):
    query, names, keys = three(api)
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE identity_id = ?", in_the_past(), keys[2])
    page = visit(controller, "/overview")
    go(page, f"/identities?filter={query}")
    select(page, names)
    with page.expect_download() as got:
        bulk(page, "Tokens as zip")
    got.value.save_as(tmp_path / "tokens.zip")
    with zipfile.ZipFile(tmp_path / "tokens.zip") as archive:
        assert {f"{names[0]}.jwt", f"{names[1]}.jwt"} <= set(archive.namelist())
    expect(page.get_by_role("dialog")).to_contain_text("Its token ended")
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    with page.expect_download() as got:
        bulk(page, "QR sheet")
    assert got.value.suggested_filename.endswith(".html")


def test_many_are_tagged_disabled_and_deleted(visit, controller: Controller, api: Api):
    query, names, keys = three(api)
    page = visit(controller, "/overview")
    go(page, f"/identities?filter={query}")
    select(page, names)
    dialog = bulk(page, "Tag")
    dialog.get_by_label("Name").fill("rack")
    dialog.get_by_label("Value").fill("R1")
    dialog.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("3 of 3")
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    assert [api.detail("/identities", key)["tags"] for key in keys] == [{"rack": "R1"}] * 3
    bulk(page, "Disable").get_by_role("button", name="Disable").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("3 of 3")
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    assert all(api.detail("/identities", key)["disabled"] for key in keys)
    bulk(page, "Delete").get_by_role("button", name="Delete 3").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("3 of 3")
    assert api.get("/identities", filter=query).ok() == []


def test_a_row_has_the_same_actions(visit, controller: Controller, api: Api):
    query, names, keys = three(api)
    page = visit(controller, "/overview")
    go(page, f"/identities?filter={query}")
    page.get_by_role("button", name=f"Actions for {names[0]}").click()
    wanted = [
        "Token page",
        "Show the code",
        "Copy the token",
        "Download the token",
        "Share a link …",
        "Renew the token …",
        "Revoke the token …",
    ]
    for label in wanted:
        expect(page.get_by_role("menuitem", name=label, exact=True)).to_be_visible()
    page.get_by_role("menuitem", name="Show the code").click()
    assert (
        decoded(page.get_by_role("dialog").locator("img"))
        == api.detail("/identities", keys[0])["enrollment"]["ott"]["jwt"]
    )


@pytest.mark.parametrize(("form", "program"), [("curl", ["bash", "-c"]), ("Python", [sys.executable, "-c"])])
def test_the_lines_that_fetch_the_token_do(visit, controller: Controller, api: Api, tmp_path: Path, form, program):
    key, e = pending(api, "ott")
    page = visit(controller, f"/enroll/identities/{key}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy fetching the token as a command").click()
    page.get_by_role("menuitem", name=f"Copy as {form}").click()
    expect(page.locator(".toast")).to_contain_text(f"Copied as {form}")
    lines = page.evaluate("navigator.clipboard.readText()")
    token = str(api.http.headers["zt-session"])
    assert token not in lines
    env = {**os.environ, "ZT_TOKEN": token, "ZT_CA": str(controller.ca_file())}
    words = [*program, lines]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == e["jwt"], done.stderr


def test_what_ends_next_has_its_action_beside_it(visit, make_controller):
    server = make_controller()
    key, _ = pending(server.admin(), "ott", name="ends-soon")
    page = visit(server, "/overview")
    page.get_by_role("link", name="Renew ends-soon").click()
    expect(page.get_by_role("button", name="Renew …")).to_be_visible()
    assert page.url.endswith(f"/enroll/identities/{key}")
