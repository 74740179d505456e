"""The console in a real browser: sign in, find an identity, notice that the session ended, sign out."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.flows import unique

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: the console is not tried in a browser"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, controller):
    """The console's first page; any error that a script does not catch fails the test."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(controller.url)
    yield page
    context.close()
    assert errors == []


def sign_in(page: Page, user: str, password: str) -> None:
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_wrong_password_is_told(page, controller):
    sign_in(page, controller.admin_user, "wrong-password")
    expect(page.get_by_role("status")).to_contain_text("wrong")
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()


def test_identities_are_listed_and_found(page, controller, api):
    name = unique("console") + " <b>bold</b>"
    api.create("/identities", {"name": name, "type": "Device", "isAdmin": False, "enrollment": {"ott": True}})
    sign_in(page, controller.admin_user, controller.admin_password)
    expect(page.get_by_role("heading", name="Identities")).to_be_visible()
    page.get_by_label("Filter").fill(f'name = "{name}"')
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("caption")).to_have_text("1 to 1 of 1")
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("waiting (ott) until")
    page.get_by_label("Filter").fill("isAdmin = maybe")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("status")).to_have_class(re.compile("error"))


def test_an_ended_session_asks_to_sign_in_again(page, controller, api):
    sign_in(page, controller.admin_user, controller.admin_password)
    expect(page.get_by_role("heading", name="Identities")).to_be_visible()
    newest = api.get("/api-sessions", filter="sort by createdAt desc limit 1").ok()[0]["id"]
    api.delete(f"/api-sessions/{newest}").ok()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("status")).to_contain_text("Your session ended")


def test_signing_out_ends_the_session(page, controller):
    sign_in(page, controller.admin_user, controller.admin_password)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
