"""A share link: one page for whoever holds the device, until the token is used."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.demo import HOSTILE
from tests.browser.pages import DESKTOP, PHONE, Watched
from tests.browser.test_enroll import decoded
from tests.browser.test_every_page import Axe, too_wide
from tests.controllers import Api, Controller
from tests.flows import in_the_past, pending, sql
from tests.real.clients import real_enroll
from wire.resource import OWN


def link(api: Api, enrollment: str) -> str:
    made = api.on(OWN).post("/shares", {"enrollmentId": enrollment}).ok(201)
    return str(made["url"]).removeprefix(f"{api.url}/console")


@pytest.mark.parametrize(
    "options", [{"viewport": DESKTOP}, {"viewport": PHONE, "color_scheme": "dark"}], ids=["desk", "dark phone"]
)
def test_a_link_is_used_and_then_dead(
    visit, controller: Controller, api: Api, axe: str, watched: Watched, tmp_path: Path, options
):
    watched.allowed.add(404)
    _, e = pending(api, "ott")
    path = link(api, e["id"])
    page = visit(controller, path, signed_in=False, **options)
    expect(page.locator(".clock")).to_contain_text("The link works for")
    expect(page.locator(".rail, .top, nav")).to_have_count(0)
    assert decoded(page.locator(".qr-image")) == e["jwt"]
    assert not [p for p in (too_wide(page), *Axe(page, axe).serious()) if p]
    with page.expect_download() as got:
        page.get_by_role("button", name="Download the token").click()
    got.value.save_as(tmp_path / "box.jwt")
    real_enroll(tmp_path / "box.jwt")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("This link does not work any more")
    assert not [p for p in (too_wide(page), *Axe(page, axe).serious()) if p]


def test_the_console_makes_one_and_cuts_it_off(visit, controller: Controller, api: Api, watched: Watched):
    watched.allowed.add(404)
    key, _ = pending(api, "ott")
    page = visit(controller, f"/enroll/identities/{key}")
    page.get_by_role("button", name="Share link").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("The link works for").select_option("15 minutes")
    dialog.get_by_role("button", name="Make the link").click()
    url = dialog.locator(".secret code").inner_text()
    other = visit(controller, url.removeprefix(f"{controller.url}/console"), signed_in=False)
    expect(other.locator(".qr-image")).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator(".share-list")).to_contain_text("opened once")
    page.get_by_role("button", name="Cut off").click()
    expect(page.locator(".share-list li")).to_have_count(0)
    other.reload()
    expect(other.get_by_role("heading", level=1)).to_have_text("This link does not work any more")


def test_hostile_names_are_only_names(visit, controller: Controller, api: Api):
    name = HOSTILE[0] + HOSTILE[1]
    body = {"name": name, "type": "Device", "isAdmin": False, "enrollment": {"ott": True}}
    e = api.detail("/identities", api.create("/identities", body))["enrollment"]["ott"]
    page = visit(controller, link(api, e["id"]), signed_in=False)
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE[0])
    assert page.title() == "Join · Zitilite"


def test_the_page_of_an_ended_token_shows_nothing_to_use(visit, controller: Controller, api: Api):
    key, e = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE identity_id = ?", in_the_past(), key)
    page = visit(controller, f"/enrollments/{e['id']}")
    expect(page.locator(".token-list")).to_contain_text("token expired")
    expect(page.locator("main")).not_to_contain_text(e["token"])
    expect(page.locator(".token-list").get_by_role("button")).to_have_text(["Renew …", "Revoke …"])
