"""The first run in a browser: the printed link, name and password, addresses, the root certificate."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import expect

from tests.browser.pages import DESKTOP, PHONE, Watched
from tests.browser.test_every_page import Axe, too_wide
from tests.controllers import Controller
from wire.resource import OWN


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Controller]:
    """A controller at its first start, with a password of its own making."""
    server = Controller(tmp_path / "fresh")
    server.admin_password = ""
    yield server.start()
    server.stop()


@pytest.mark.parametrize(
    "options", [{"viewport": DESKTOP}, {"viewport": PHONE, "color_scheme": "dark"}], ids=["desk", "dark phone"]
)
def test_from_the_printed_link_to_the_overview(
    fresh: Controller, visit, axe: str, watched: Watched, tmp_path: Path, options
):
    link = fresh.first_run_link()
    page = visit(fresh, link.removeprefix(f"{fresh.url}/console"), signed_in=False, **options)
    expect(page.get_by_role("heading", level=1)).to_have_text("Choose your name and password")
    assert not [p for p in (too_wide(page), *Axe(page, axe).serious()) if p]
    page.get_by_label("User name").fill("grace")
    page.get_by_label("Password", exact=True).fill("a long pass phrase")
    page.get_by_label("The same again").fill("something else")
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_text("The two are not the same.")).to_be_visible()
    page.get_by_label("The same again").fill("a long pass phrase")
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys and lifetimes")
    assert link.rpartition("#")[2] not in page.url
    assert not [p for p in (too_wide(page), *Axe(page, axe).serious()) if p]
    page.get_by_label("Certificates of devices last").select_option("90 days")
    page.get_by_role("button", name="Use these").click()
    expect(page.locator(".address-list")).to_contain_text("is this controller")
    assert not [p for p in (too_wide(page), *Axe(page, axe).serious()) if p]
    with page.expect_download() as got:
        page.get_by_role("button", name="Download zitilite-root.pem").click()
    got.value.save_as(tmp_path / "root.pem")
    assert (tmp_path / "root.pem").read_text().strip() in fresh.ca_pem()
    page.get_by_label("Passphrase", exact=True).fill("correct horse")
    page.get_by_label("Again", exact=True).fill("correct horse")
    with page.expect_download(timeout=90_000) as got:
        page.get_by_role("button", name="Download the recovery kit").click()
    with zipfile.ZipFile(got.value.path()) as kit:
        assert kit.read("root.pem").decode() in fresh.ca_pem()
        assert page.locator(".secret code").inner_text() in re.sub(r"\n\s+", ":", kit.read("README.txt").decode())
    page.get_by_role("link", name="To the overview").click()
    expect(page.locator(".top")).to_be_visible()
    api = fresh.api().login("grace", "a long pass phrase").on(OWN)
    assert api.get("/settings/identity_certificate_days").ok()["value"] == "90"
    again = visit(fresh, link.removeprefix(f"{fresh.url}/console"), signed_in=False)
    expect(again.get_by_role("heading", level=1)).to_have_text("The first run is over")


def test_a_wrong_code_is_said_where_it_is_used(fresh: Controller, visit, watched: Watched):
    watched.allowed.add(401)
    page = visit(fresh, "/first-run#not-the-code", signed_in=False)
    page.get_by_label("Password", exact=True).fill("a long pass phrase")
    page.get_by_label("The same again").fill("a long pass phrase")
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("alert").filter(has_text="9 more tries")).to_be_visible()


def test_without_a_code_nothing_is_asked(fresh: Controller, visit):
    page = visit(fresh, "/first-run", signed_in=False)
    expect(page.get_by_role("heading", level=1)).to_have_text("The link is not complete")


def test_another_kind_of_key_makes_the_certificates_anew(fresh: Controller, visit):
    link = fresh.first_run_link()
    before = fresh.ca_pem()
    page = visit(fresh, link.removeprefix(f"{fresh.url}/console"), signed_in=False)
    page.get_by_label("Password", exact=True).fill("a long pass phrase")
    page.get_by_label("The same again").fill("a long pass phrase")
    page.get_by_role("button", name="Take over").click()
    page.get_by_label("Key of the authority").select_option("P-384")
    page.get_by_role("button", name="Use these").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("How devices reach and trust it")
    after = x509.load_pem_x509_certificates(fresh.ca_pem().encode())
    assert {getattr(c.public_key(), "key_size", 0) for c in after} == {384}
    assert len(after) == 2
    assert after[0].public_bytes(serialization.Encoding.PEM).decode() not in before
    page.reload()
    expect(page.locator(".secret code")).to_be_visible()
