"""A browser, a controller that looks like somebody's network, and pages that fail a test when anything goes wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser import demo
from tests.browser.pages import DESKTOP, Watched, sign_in
from tests.controllers import ROOT, Api, Controller

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 30_000  # ms; an expectation ends as soon as it holds, so that a slow machine only waits longer
AXE_FILES = (os.environ.get("AXE_JS", ""), str(ROOT / "build/npm/node_modules/axe-core/axe.min.js"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder need a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if BROWSER is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium: the console is not tried in a browser"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # Contexts ignore errors of certificates as well, but only after them: a request then begins anew for each
        # handshake that ends so, and on a busy machine a file was given up after 32 (ERR_TOO_MANY_RETRIES). With the
        # flag no handshake ends so.
        args = ["--no-sandbox", "--ignore-certificate-errors"]
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=args)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A controller of its own, with the data of `demo.py`."""
    server = Controller(tmp_path_factory.mktemp("network")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def network_api(network: Controller) -> Api:
    """Its administrator."""
    return network.admin()


@pytest.fixture(scope="session")
def made(network: Controller, network_api: Api, tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    """What is in it."""
    return demo.fill(network, network_api, tmp_path_factory.mktemp("devices"))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which looks for what people with assistive technology would meet."""
    found = next((Path(f) for f in AXE_FILES if f and Path(f).is_file()), None)
    if found is None:
        pytest.skip("no axe-core: npm install --prefix build/npm axe-core@4.14.1")
    return found.read_text()


@pytest.fixture
def watched() -> Iterator[Watched]:
    """What went wrong; at the end it must be nothing."""
    found = Watched()
    yield found
    assert found.problems == []


Opener = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, watched: Watched, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Open a page of a controller: `visit(controller, "/identities", signed_in=..., **options)`."""
    # Set up before, so that controllers end after the pages, which would complain that nobody answers any more.
    request.getfixturevalue("make_controller")
    contexts: list[BrowserContext] = []

    def open_page(controller: Controller, path: str = "", *, signed_in: bool = True, **options: Any) -> Page:
        context = browser.new_context(ignore_https_errors=True, **{"viewport": DESKTOP, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        watched.attach(page)
        page.goto(controller.url + ("/console" + path if path else "/"))
        if signed_in:
            sign_in(page, controller.admin_user, controller.admin_password)
        return page

    yield open_page
    for context in contexts:
        context.close()
