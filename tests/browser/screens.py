"""Pictures of the console with data that looks real: `python -m tests.browser.screens FOLDER [--all]`.

Without `--all`, the ones for `docs/screens`; with it, every page in both themes and two widths, to look at.
"""

from __future__ import annotations

import sys
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

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
    ("devices", '/identities?limit=25&filter=anyOf(roleAttributes) = "plant-7"', "light", DESKTOP),
    ("devices-dark", '/identities?limit=25&filter=anyOf(roleAttributes) = "plant-7"', "dark", DESKTOP),
    ("devices-phone", '/identities?limit=25&filter=anyOf(roleAttributes) = "plant-7"', "dark", PHONE),
    ("device", "/identities/{identities}", "light", DESKTOP),
    ("device-phone", "/identities/{identities}", "light", PHONE),
    ("service-policy-edit", "/service-policies/{service-policies}/edit", "dark", DESKTOP),
    ("authorities", "/cas", "light", DESKTOP),
)


def completion(page: Page) -> None:
    """The filter box while it is typed in."""
    go(page, "/identities")
    page.get_by_label("Filter devices").press_sequentially('enrollmentState = "')
    expect(page.get_by_role("option").first).to_be_visible()


def palette(page: Page) -> None:
    """Do or find."""
    go(page, "/services")
    page.keyboard.press("Control+K")
    page.get_by_role("combobox", name="Do or find").fill("po")


def difference(page: Page, key: str) -> None:
    """What is about to be saved."""
    go(page, f"/services/{key}/edit")
    page.get_by_label("Attributes", exact=True).fill("line-a")
    page.get_by_label("Attributes", exact=True).press("Enter")
    page.get_by_label("Name", exact=True).fill("erp-2")
    page.get_by_role("button", name="Save …").click()


def deletion(page: Page, key: str) -> None:
    """What goes with it."""
    go(page, f"/services/{key}")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.locator(".consequences")).to_be_visible()


def picture(page: Page, file: Path) -> None:
    """Write what is seen as WebP."""
    session = page.context.new_cdp_session(page)
    answer = session.send("Page.captureScreenshot", {"format": "webp", "quality": 82})
    session.detach()
    file.with_suffix(".webp").write_bytes(b64decode(answer["data"]))


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
    yield from (("overview", "/overview"), ("about", "/about"), ("checks", "/checks"), ("settings", "/settings"))
    yield from (("import", "/identities/import"), ("own-certificates", "/own-certificates"), ("ca-new", "/cas/new"))
    yield from (
        ("enroll", "/enroll"),
        ("enroll-ottca", "/enroll?method=ottca"),
        ("enroll-router", "/enroll?kind=router"),
    )
    yield "token", f"/enroll/identities/{made.ids['identities'][4]}"
    yield "token-joined", f"/enroll/identities/{made.ids['identities'][0]}"
    yield "token-ca", f"/enroll/cas/{made.first('cas')}"
    yield from ((f"ca-step-{n}", f"/cas/{made.ids['cas'][1]}/setup?step={n}") for n in (2, 3))
    yield "ca-step-4", f"/cas/{made.ids['cas'][0]}/setup?step=4"
    yield "identities-waiting", f"/identities/{made.ids['identities'][4]}"
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
                        picture(page, folder / name)
                    if theme == "light" and viewport is DESKTOP:
                        _moments(page, folder, ids["services"])
                    page.context.close()
        finally:
            browser.close()
            server.stop()


def _moments(page: Page, folder: Path, service: str) -> None:
    completion(page)
    picture(page, folder / "filter")
    palette(page)
    picture(page, folder / "palette")
    page.keyboard.press("Escape")
    difference(page, service)
    picture(page, folder / "difference")
    page.keyboard.press("Escape")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    settled(page)
    deletion(page, service)
    picture(page, folder / "deletion")


if __name__ == "__main__":
    flags = [word for word in sys.argv[1:] if word.startswith("-")]
    folders = [word for word in sys.argv[1:] if not word.startswith("-")]
    if len(folders) != 1 or flags not in ([], ["--all"]):
        sys.exit("usage: python -m tests.browser.screens FOLDER [--all]")
    main(Path(folders[0]), all_pages=bool(flags))
