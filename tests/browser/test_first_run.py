"""The first run in a browser: the printed link, name and password, addresses, the root certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.pages import DESKTOP, PHONE, Watched
from tests.browser.test_every_page import serious, too_wide
from tests.controllers import Controller


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
    assert not [p for p in (too_wide(page), *serious(page, axe)) if p]
    page.get_by_label("User name").fill("grace")
    page.get_by_label("Password", exact=True).fill("a long pass phrase")
    page.get_by_label("The same again").fill("something else")
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_text("The two are not the same.")).to_be_visible()
    page.get_by_label("The same again").fill("a long pass phrase")
    page.get_by_role("button", name="Take over").click()
    expect(page.locator(".address-list")).to_contain_text("is this controller")
    assert "#" not in page.url
    assert not [p for p in (too_wide(page), *serious(page, axe)) if p]
    with page.expect_download() as got:
        page.get_by_role("button", name="Download zitilite-root.pem").click()
    got.value.save_as(tmp_path / "root.pem")
    assert (tmp_path / "root.pem").read_text().strip() in fresh.ca_pem()
    page.get_by_role("link", name="To the overview").click()
    expect(page.locator(".top")).to_be_visible()
    fresh.api().login("grace", "a long pass phrase")
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
