"""Every page, in both themes, on a desk and on a phone: nothing goes wrong or is cut off, everybody can use it."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.pages import DESKTOP, PHONE, TABLET, Watched, go, settled, sign_in
from tests.controllers import ROOT

ENTITY_KEYS = [
    key
    for file in sorted((ROOT / "static/js/entities").glob("*.js"))
    for key in re.findall(r'^    key: "([\w-]+)"', file.read_text(), re.MULTILINE)
]
PLAIN = (
    "/overview",
    "/about",
    "/nowhere/at/all",
    "/own-certificates",
    "/checks",
    "/settings",
    "/identities/import",
    "/enroll",
    "/enroll?method=ottca",
    "/enroll?method=ca",
    "/enroll?kind=router",
)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SERIOUS = ("serious", "critical")


def paths(made) -> list[str]:
    """All addresses: each entity's list, form, item, JSON and edit page, where there is one."""
    found = [*PLAIN, *(f"/{key}" for key in ENTITY_KEYS)]
    for key, ids in made.ids.items():
        found += [f"/{key}/{ids[0]}", f"/{key}/{ids[0]}?tab=json"]
        if key != "revocations":
            found += [f"/{key}/{ids[0]}/edit", f"/{key}/new"]
    found += [f"/cas/{ca}/setup?step={step}" for ca in made.ids["cas"] for step in (2, 3, 4)]
    found += [f"/cas/{ca}" for ca in made.ids["cas"]]
    found.append(f"/identities/{made.ids['identities'][-5]}")
    # Waiting, ended, joined; a hostile name; a router; an authority that may not.
    found += [f"/enroll/identities/{made.ids['identities'][n]}" for n in (4, 9, 0, -5)]
    found += [f"/enroll/edge-routers/{made.first('edge-routers')}", f"/enroll/cas/{made.first('cas')}"]
    return found


@pytest.fixture(params=[DESKTOP, PHONE], ids=lambda viewport: str(viewport["width"]))
def signed_in(request: pytest.FixtureRequest, browser: Browser, network, watched: Watched):
    """A page that is signed in, in one width."""
    context = browser.new_context(ignore_https_errors=True, viewport=request.param, reduced_motion="reduce")
    page = context.new_page()
    watched.attach(page)
    page.goto(network.url + "/console/about")
    sign_in(page, network.admin_user, network.admin_password)
    settled(page)
    yield page
    context.close()


TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return "";
  const isOut = (e) => e.getBoundingClientRect().right > root.clientWidth + 1;
  const out = [...document.querySelectorAll("main *")].filter(isOut).slice(0, 3).map((e) => e.outerHTML.slice(0, 120));
  return `${root.scrollWidth} > ${root.clientWidth}: ${out.join(" | ")}`;
}"""
AXE = """axe.run(document, { resultTypes: ["violations"] }).then((found) => JSON.stringify(found.violations.map((v) =>
  [v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + (n.any[0]?.message || ""))])))"""


def too_wide(page: Page) -> str:
    """What sticks out to the side of the window, if anything does."""
    return str(page.evaluate(TOO_WIDE))


class Axe:
    """Looks through a page with axe-core, in a world of its own, where the page's policy does not hold it back."""

    def __init__(self, page: Page, source: str) -> None:
        self._session = page.context.new_cdp_session(page)
        frame = self._session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = self._session.send("Page.createIsolatedWorld", {"frameId": frame})
        self._options = {"contextId": world["executionContextId"], "awaitPromise": True, "returnByValue": True}
        self._evaluate(source + ";0")

    def _evaluate(self, expression: str) -> Any:
        answer = self._session.send("Runtime.evaluate", {"expression": expression, **self._options})
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def serious(self) -> list[str]:
        """What it finds on the page as it is now. The console's pages are one document, in which the world stays."""
        return [str(found) for found in json.loads(self._evaluate(AXE)) if found[0] in SERIOUS]


@pytest.mark.timeout(420)
def test_every_page_is_sound(signed_in: Page, made, axe: str, watched: Watched):
    eye, problems = Axe(signed_in, axe), []
    for path in paths(made):
        go(signed_in, path)
        for theme in THEMES:
            signed_in.emulate_media(color_scheme=theme)
            problems += [f"{theme} {path}: {one}" for one in (too_wide(signed_in), *eye.serious()) if one]
        problems += [f"{path}: {one}" for one in watched.problems]
        watched.problems.clear()
        assert signed_in.title() != "broken", path
    assert not problems, "\n".join(problems)


def test_nothing_sticks_out_between_desk_and_phone(visit, network, made):
    page = visit(network, "/overview", viewport=TABLET)
    settled(page)
    problems = []
    for width in (768, 901, 1024):
        page.set_viewport_size({"width": width, "height": 800})
        for path in ("/overview", "/identities", "/service-policies", "/certificates", "/cas"):
            go(page, path)
            problems += [f"{width} {path}: {found}" for found in [too_wide(page)] if found]
    assert not problems, "\n".join(problems)
