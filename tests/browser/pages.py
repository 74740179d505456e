"""Steps on pages of the console, and the eye that sees what goes wrong on them."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, Route, ViewportSize, expect

from tests.flows import wait_until

# Chromium reports every answer from 400 on as an error of the page. What a test provokes is named in `allowed`.
_FAILED_ANSWER = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
TABLET: ViewportSize = {"width": 768, "height": 1024}
PHONE: ViewportSize = {"width": 360, "height": 740}


class Watched:
    """Collects what goes wrong on a page; `allowed` are statuses of answers that the test provokes."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.allowed: set[int] = set()

    def attach(self, page: Page) -> None:
        """Listen to a page."""
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", self._said)

    def _said(self, message: Any) -> None:
        if message.type not in ("error", "warning"):
            return
        failed = _FAILED_ANSWER.match(message.text)
        where = message.location.get("url", "")
        if failed and int(failed[1]) in self.allowed:
            return
        self.problems.append(f"{message.type}: {message.text} {where}")


def title(page: Page, name: str) -> Locator:
    """The heading of the whole page."""
    return page.get_by_role("heading", level=1, name=name, exact=True)


def sign_in(page: Page, user: str, password: str) -> None:
    """Fill in the form and wait for the frame."""
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".top")).to_be_visible()


def go(page: Page, path: str) -> None:
    """Go to a page of the console, as a link does, and wait until nothing on it is loading any more."""
    old = page.locator("#main > .page").element_handle()
    page.evaluate(
        "(path) => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')); }",
        f"/console{path}",
    )
    holds(page, "(old) => !old.isConnected", old)
    settled(page)


def holds(page: Page, expression: str, argument: Any = None) -> None:
    """Wait until something is true on the page. Playwright's own way evaluates text later on, which the CSP forbids."""
    wait_until(lambda: page.evaluate(expression, argument), 30)


def hold_back(page: Page, pattern: str) -> list[Route]:
    """Let no request get through whose address matches; gives the list in which they will be."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(re.compile(pattern), keep)
    return held


def held_back(page: Page, held: list[Route]) -> Route:
    """The first such request, once there is one; only while the page is spoken to one hears of it."""
    wait_until(lambda: page.title() is not None and held, 30)
    return held[0]


def settled(page: Page) -> None:
    """Wait until the page and its parts have loaded."""
    expect(page.locator("#main > .page")).to_be_visible()
    expect(page.locator("#main [aria-busy=true]")).to_have_count(0)
    expect(page.locator("#main .bones")).to_have_count(0)
