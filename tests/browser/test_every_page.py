"""Every page, in both themes, on a desk and on a phone: nothing goes wrong or is cut off, everybody can use it."""

from __future__ import annotations

import json
import re

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


@pytest.fixture(
    params=[("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE), ("dark", PHONE)],
    ids=lambda p: f"{p[0]}-{p[1]['width']}",
)
def signed_in(request: pytest.FixtureRequest, browser: Browser, network, watched: Watched):
    """A page that is signed in, in one theme and width."""
    theme, viewport = request.param
    context = browser.new_context(
        ignore_https_errors=True, color_scheme=theme, viewport=viewport, reduced_motion="reduce"
    )
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


@pytest.mark.timeout(420)
def test_every_page_is_sound(signed_in: Page, made, axe: str, watched: Watched):
    problems = []
    for path in paths(made):
        go(signed_in, path)
        problems += [f"{path}: {one}" for one in (too_wide(signed_in), *serious(signed_in, axe)) if one]
        problems += [f"{path}: {one}" for one in watched.problems]
        watched.problems.clear()
        assert signed_in.title() != "broken", path
    assert not problems, "\n".join(problems)


def serious(page: Page, source: str) -> list[str]:
    """What axe-core finds. It runs in a world of its own, where the page's policy does not hold it back."""
    session = page.context.new_cdp_session(page)
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = session.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]
    session.send("Runtime.evaluate", {"expression": source, "contextId": world})
    answer = session.send(
        "Runtime.evaluate", {"expression": AXE, "contextId": world, "awaitPromise": True, "returnByValue": True}
    )
    session.detach()
    assert "exceptionDetails" not in answer, answer
    return [str(found) for found in json.loads(answer["result"]["value"]) if found[0] in SERIOUS]


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
