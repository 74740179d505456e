"""A line of 50 kbit/s, and a controller that does not answer: said in words, and usable as soon as it can be."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.pages import DESKTOP, Watched, held_back, hold_back, holds, settled, sign_in, title
from tests.controllers import Controller

SLOW = 50_000 / 8  # bytes a second
ARRIVES = 6.0  # seconds that this line takes for what the form needs; the whole of it would take ten


@pytest.fixture
def slow_page(browser: Browser) -> Iterator[Page]:
    """A page on a line of 50 kbit/s with 200 ms there and back."""
    context = browser.new_context(ignore_https_errors=True, viewport=DESKTOP)
    page = context.new_page()
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    line.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 200, "downloadThroughput": SLOW, "uploadThroughput": SLOW},
    )
    yield page
    context.close()


def without_line_errors(watched: Watched) -> None:
    """What the browser says by itself about a line that was cut."""
    watched.problems[:] = [p for p in watched.problems if "net::ERR_" not in p]


@pytest.mark.timeout(180)
def test_the_form_is_there_long_before_the_rest(slow_page: Page, controller: Controller):
    first = hold_back(slow_page, r"/js/main\.js")
    rest = hold_back(slow_page, r"/js/entities\.js")
    slow_page.goto(controller.url + "/console/about", wait_until="commit")
    expect(slow_page.get_by_text("Loading …")).to_be_visible()
    held_back(slow_page, first).continue_()
    expect(slow_page.get_by_role("button", name="Sign in")).to_be_visible()
    entries = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
    arrived = slow_page.evaluate(f"{entries}.reduce((sum, e) => sum + e.transferSize, 0)")
    assert 1000 < arrived < ARRIVES * SLOW
    slow_page.get_by_label("User name").fill(controller.admin_user)
    slow_page.get_by_label("Password").fill(controller.admin_password)
    slow_page.get_by_role("button", name="Sign in").click()
    expect(slow_page.get_by_text("Loading the console …")).to_be_visible()
    held_back(slow_page, rest).continue_()
    expect(title(slow_page, "About")).to_be_visible(timeout=60_000)


def test_a_controller_that_is_gone_is_said_so_on_the_form(visit, make_controller, watched: Watched):
    server = make_controller()
    page = visit(server, "/overview", signed_in=False)
    page.get_by_label("User name").fill(server.admin_user)
    page.get_by_label("Password").fill(server.admin_password)
    holds(page, "performance.getEntriesByType('resource').some((e) => e.name.endsWith('overview.js'))")
    server.stop()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="The controller cannot be reached.")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()
    server.start()
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".top")).to_be_visible()
    page.close()
    without_line_errors(watched)


def test_code_that_does_not_arrive_is_said_so_with_a_way_on(visit, controller: Controller, watched: Watched):
    page = visit(controller, "/services", signed_in=False)
    page.context.route(re.compile(r"/js/(console|shell)\.js"), lambda route: route.abort())
    page.reload()
    page.get_by_label("User name").fill(controller.admin_user)
    page.get_by_label("Password").fill(controller.admin_password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The console could not be loaded: the controller cannot be reached.")).to_be_visible()
    page.context.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(title(page, "Services")).to_be_visible()
    without_line_errors(watched)


def test_a_first_page_whose_code_is_missing_says_so(browser: Browser, controller: Controller):
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.route(re.compile(r"/js/session\.js"), lambda route: route.abort())
    page.goto(controller.url + "/console")
    expect(page.get_by_text("The console could not be loaded: the controller cannot be reached.")).to_be_visible()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(title(page, "Sign in")).to_be_visible()
    context.close()


def test_a_page_whose_code_does_not_arrive_can_be_tried_again(visit, controller: Controller, watched: Watched):
    page = visit(controller, "/services")
    settled(page)
    page.context.route(re.compile(r"/js/views/backups\.js"), lambda route: route.abort())
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_role("navigation", name="Settings").get_by_role("link", name="Backups").click()
    expect(page.get_by_text("The controller cannot be reached.").first).to_be_visible()
    page.context.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(title(page, "Backups")).to_be_visible()
    without_line_errors(watched)


def test_an_answer_that_is_long_in_coming_is_told(visit, make_controller):
    server = make_controller("--workers", "1")
    page = visit(server, "/identities")
    settled(page)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        page.get_by_role("button", name="Look again").click()
        expect(page.locator(".banner")).to_contain_text("No answer yet.")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    expect(page.locator(".banner")).to_be_hidden()
    expect(page.get_by_text("1 device", exact=True)).to_be_visible()


def test_signing_in_again_after_a_reload_needs_no_form(visit, controller: Controller):
    page = visit(controller, "/services", signed_in=False)
    sign_in(page, controller.admin_user, controller.admin_password)
    page.reload()
    expect(title(page, "Services")).to_be_visible()
