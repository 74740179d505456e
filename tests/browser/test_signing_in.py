"""Signing in and out, and a session that ends in the middle of something."""

from __future__ import annotations

import time

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import go, settled, title
from tests.controllers import Api, Controller
from tests.flows import unique, with_password


def end_newest_session(api: Api) -> None:
    newest = api.get("/api-sessions", filter="sort by createdAt desc limit 1").ok()[0]["id"]
    api.delete(f"/api-sessions/{newest}").ok()


def test_a_wrong_password_is_told(visit, controller: Controller, watched):
    watched.allowed.add(401)
    page: Page = visit(controller, signed_in=False)
    page.get_by_label("User name").fill(controller.admin_user)
    page.get_by_label("Password").fill("wrong-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="wrong")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()


def test_the_root_shows_the_console_and_a_deep_link_is_kept(visit, controller: Controller):
    page = visit(controller)
    expect(page).to_have_url(controller.url + "/console/overview")
    other = visit(controller, "/services?filter=name%20%3D%20%22x%22")
    expect(title(other, "Services")).to_be_visible()
    expect(other.get_by_label("Filter services")).to_have_value('name = "x"')


def test_a_reload_does_not_ask_again_and_nothing_is_in_local_storage(visit, controller: Controller):
    page = visit(controller, "/identities")
    page.reload()
    settled(page)
    expect(title(page, "Devices")).to_be_visible()
    token = page.evaluate("JSON.parse(sessionStorage.getItem('zitilite.session')).token")
    assert token not in page.evaluate("JSON.stringify({...localStorage})")
    assert token not in page.content()


def test_a_second_tab_takes_the_session_over(visit, controller: Controller, watched):
    page = visit(controller, "/identities")
    with page.context.expect_page() as opened:
        page.evaluate("window.open('/console/services', '_blank', 'noopener')")
    second = opened.value
    watched.attach(second)
    expect(title(second, "Services")).to_be_visible()


@pytest.fixture
def secured(controller: Controller, api: Api) -> tuple[str, str, pyotp.TOTP]:
    """An administrator with a second factor: user name, password, and what makes its codes."""
    _, user, password = with_password(api, isAdmin=True)
    own = controller.api().login(user, password)
    own.post("/current-identity/mfa", {}).ok(201)
    totp = pyotp.parse_uri(own.get("/current-identity/mfa").ok()["provisioningUrl"])
    assert isinstance(totp, pyotp.TOTP)
    own.post("/current-identity/mfa/verify", {"code": totp.now()}).ok()
    return user, password, totp


def test_the_second_factor_is_asked_for(visit, controller: Controller, secured, watched):
    """First the password, then the code; a wrong one can be typed again, and the session works."""
    watched.allowed |= {400, 401}
    user, password, totp = secured
    page: Page = visit(controller, "/services", signed_in=False)
    expect(page.get_by_label("One-time code")).to_be_hidden()
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    code = page.get_by_label("One-time code")
    expect(code).to_be_focused()
    near = {totp.at(int(time.time()) + 30 * step) for step in range(-3, 4)}
    code.fill(next(f"{n:06d}" for n in range(10) if f"{n:06d}" not in near))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="code")).to_be_visible()
    code.fill(totp.now())
    page.get_by_role("button", name="Sign in").click()
    expect(title(page, "Services")).to_be_visible()
    page.reload()
    expect(title(page, "Services")).to_be_visible()


def test_a_session_that_ends_in_a_form_is_taken_up_in_place(visit, controller: Controller, api: Api, watched):
    watched.allowed.add(401)
    page = visit(controller, "/identities/new")
    name = unique("kept")
    page.get_by_label("Name").fill(name)
    end_newest_session(api)
    page.get_by_role("button", name="Create this device").click()
    dialog = page.get_by_role("dialog", name="Your session ended")
    expect(dialog.get_by_label("User name")).to_have_value(controller.admin_user)
    dialog.get_by_label("Password").fill(controller.admin_password)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    expect(title(page, name)).to_be_visible()
    assert api.get("/identities", filter=f'name = "{name}"').ok()


def test_signing_in_again_may_be_put_off(visit, controller: Controller, api: Api, watched):
    watched.allowed.add(401)
    page = visit(controller, "/identities")
    settled(page)
    end_newest_session(api)
    page.get_by_role("button", name="Look again").click()
    page.get_by_role("dialog", name="Your session ended").get_by_role("button", name="Close").click()
    expect(page.get_by_role("alert").filter(has_text="signed out")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("dialog", name="Your session ended")).to_be_visible()


def test_signing_out_ends_the_session_in_all_tabs(visit, controller: Controller, watched):
    page = visit(controller, "/identities")
    token = page.evaluate("JSON.parse(sessionStorage.getItem('zitilite.session')).token")
    other = page.context.new_page()
    watched.attach(other)
    other.goto(controller.url + "/console/services")
    expect(title(other, "Services")).to_be_visible()
    page.get_by_role("button", name="Account").click()
    page.get_by_role("menuitem", name="Sign out").click()
    for one in (page, other):
        expect(title(one, "Sign in")).to_be_visible()
    assert controller.api().get("/current-identity", headers={"zt-session": token}).status == 401


def test_a_controller_that_is_away_is_said_so_and_comes_back(visit, make_controller, watched):
    server = make_controller()
    page = visit(server, "/identities")
    expect(page.get_by_text("1 device", exact=True)).to_be_visible()
    server.stop()
    watched.problems.clear()
    page.get_by_role("button", name="Look again").click()
    banner = page.locator(".banner")
    expect(banner).to_be_visible()
    expect(page.get_by_text("could not be loaded")).to_be_visible()
    expect(page.get_by_text("No devices yet")).to_have_count(0)
    server.start()
    expect(banner).to_be_hidden(timeout=30_000)
    expect(page.get_by_text("1 device", exact=True)).to_be_visible()
    page.close()
    cut = ("ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE")  # the last: the stream of events, ended in its middle
    watched.problems[:] = [p for p in watched.problems if not any(one in p for one in cut)]


def test_leaving_a_changed_form_is_asked(visit, controller: Controller):
    page = visit(controller, "/services/new")
    page.get_by_label("Name").fill("half done")
    page.get_by_role("link", name="Devices").first.click()
    dialog = page.get_by_role("dialog", name="Leave without saving?")
    dialog.get_by_role("button", name="Stay").click()
    expect(page.get_by_label("Name")).to_have_value("half done")
    page.get_by_role("link", name="Devices").first.click()
    dialog.get_by_role("button", name="Leave").click()
    expect(title(page, "Devices")).to_be_visible()
    go(page, "/overview")
