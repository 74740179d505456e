"""Pictures of the console with data that looks real: `python -m tests.browser.screens FOLDER [--all]`.

Without `--all`, the ones for `docs/screens`; with it, every page in both themes and two widths, to look at.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.browser import demo
from tests.browser.conftest import BROWSER
from tests.browser.pages import DESKTOP, PHONE, go, settled, sign_in
from tests.controllers import Controller

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
# name, path, theme, viewport
CHOSEN = (
    ("overview", "/overview", "light", DESKTOP),
    ("overview-dark", "/overview", "dark", DESKTOP),
    ("overview-phone", "/overview", "light", PHONE),
    ("devices", "/identities?limit=25&sort=name", "light", DESKTOP),
    ("devices-dark", "/identities?limit=25&sort=name", "dark", DESKTOP),
    ("devices-phone", "/identities?limit=25&sort=name", "dark", PHONE),
    ("device", "/identities/{identities}", "light", DESKTOP),
    ("device-phone", "/identities/{identities}", "light", PHONE),
    ("service-policy-edit", "/service-policies/{service-policies}/edit", "dark", DESKTOP),
    ("authorities", "/cas", "light", DESKTOP),
)


def shoot(browser: Browser, server: Controller, theme: Theme, viewport: ViewportSize) -> Page:
    """A page that is signed in."""
    context = browser.new_context(
        ignore_https_errors=True,
        color_scheme=theme,
        viewport=viewport,
        reduced_motion="reduce",
        is_mobile=viewport is PHONE,
    )
    page = context.new_page()
    page.goto(server.url + "/console/about")
    sign_in(page, server.admin_user, server.admin_password)
    settled(page)
    return page


def everything(made: demo.Demo) -> Iterator[tuple[str, str]]:
    """Each page once: name and path."""
    yield from (("overview", "/overview"), ("about", "/about"))
    for key, ids in made.ids.items():
        yield key, f"/{key}"
        yield f"{key}-item", f"/{key}/{ids[0]}"
        if key != "revocations":
            yield f"{key}-edit", f"/{key}/{ids[0]}/edit"
    for key in (
        "api-tokens",
        "attempts",
        "audit",
        "certificates",
        "addresses",
        "backups",
        "enrollments",
        "authenticators",
    ):
        yield key, f"/{key}"


def main(folder: Path, *, all_pages: bool) -> None:
    """Make the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        server = Controller(Path(place)).start()
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            made = demo.fill(server, server.admin(), Path(place))
            ids = {key: found[0] for key, found in made.ids.items()}
            for theme in THEMES:
                for width, viewport in (("", DESKTOP), ("-phone", PHONE)):
                    page = shoot(browser, server, theme, viewport)
                    wanted = (
                        [(f"{name}-{theme}{width}", path) for name, path in everything(made)]
                        if all_pages
                        else [(n, p.format(**ids)) for n, p, t, v in CHOSEN if t == theme and v is viewport]
                    )
                    for name, path in wanted:
                        go(page, path)
                        page.screenshot(path=folder / f"{name}.png")
                    page.context.close()
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), all_pages="--all" in sys.argv)
