"""How the console's files are served: names by content, compression, policy, weight."""

from __future__ import annotations

import gzip
import re

import pytest

from api.console import Bundle
from tests.browser.pages import settled
from tests.controllers import ROOT, Api, Controller

ASSET = re.compile(r'(?:href|src)="(/static/([0-9a-f]{16})/([^"]+))"')


@pytest.fixture
def index(api: Api, controller: Controller) -> str:
    return str(page(api, controller, "/console/overview").text)


def page(api: Api, controller: Controller, path: str, **headers: str):
    return api.http.get(controller.url + path, headers=headers, timeout=10)


def test_every_place_is_the_same_page_and_is_asked_for_again(api: Api, controller: Controller):
    first = page(api, controller, "/console")
    deep = page(api, controller, "/console/identities/abc/edit")
    assert first.status_code == deep.status_code == 200
    assert first.content == deep.content
    assert first.headers["Cache-Control"] == "no-cache"
    assert page(api, controller, "/console", **{"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_files_are_kept_for_a_year_under_their_hash(api: Api, controller: Controller, index: str):
    for path, *_ in ASSET.findall(index):
        answer = page(api, controller, path)
        assert answer.status_code == 200, path
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_an_old_hash_gives_what_there_is_but_is_not_kept(api: Api, controller: Controller):
    for path in ("/static/0123456789abcdef/js/main.js", "/static/js/main.js"):
        answer = page(api, controller, path)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"
    assert page(api, controller, "/static/js/nothing.js").status_code == 404
    assert page(api, controller, "/static/%2e%2e/app.py").status_code == 404


def test_a_process_that_was_asked_for_nothing_yet_has_the_files_too():
    asset, is_current = Bundle(ROOT / "static").asset("js/main.js", "")
    assert asset is not None
    assert not is_current


def test_gzip_is_sent_to_those_who_take_it(api: Api, controller: Controller):
    packed = page(api, controller, "/static/js/main.js", **{"Accept-Encoding": "gzip"})
    plain = page(api, controller, "/static/js/main.js", **{"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


def test_the_policy_lets_nothing_in(api: Api, controller: Controller, index: str):
    policy = page(api, controller, "/console").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|style=|https?://", index)


# 300 bytes a file for its headers. Each address once: what the overview reads again a second later, for the news of
# that second, is no part of the first view.
WEIGHT = (
    "[...new Map(performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
    ".map((e) => [e.name, e])).values()].reduce((sum, e) => sum + e.encodedBodySize + 300, 0)"
)


def test_the_first_view_is_below_70_kilobytes(make_controller, visit):
    """Code and data, from the form to the overview; how many rows other tests left in a log is no part of it."""
    page = visit(make_controller())
    page.locator(".funnel b").first.wait_for()
    settled(page)
    total = page.evaluate(WEIGHT)
    assert 20_000 < total < 70_000, total


def test_the_form_comes_before_the_rest(controller: Controller, browser, index: str):
    """What has to arrive until somebody can sign in: with everything after it held back."""
    named = {name for _, _, name in ASSET.findall(index)}
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    held = re.compile("/static/[0-9a-f]+/(?!" + "|".join(map(re.escape, named)) + ")")
    page.route(held, lambda route: None)
    page.goto(controller.url + "/console")
    page.get_by_role("button", name="Sign in").wait_for()
    total = page.evaluate(WEIGHT)
    context.close()
    assert 5_000 < total < 20_000, total


def test_all_modules_of_the_first_view_are_named_at_once(visit, controller: Controller, index: str):
    """No module waits for another to be read: each static import of the entry stands in the page."""
    named = {name for _, _, name in ASSET.findall(index)}
    assert "js/console.js" not in named
    later = re.search(r'<meta name="later" content="([^"]+)">', index)
    assert later
    assert {"js/console.js", "js/entities.js", "js/views/overview.js"} <= set(later[1].split())
    named |= set(later[1].split())
    page = visit(controller)
    page.locator(".funnel b").first.wait_for()
    loaded = page.evaluate(
        "performance.getEntriesByType('resource').map((e) => e.name).filter((n) => n.endsWith('.js'))"
    )
    assert {re.sub(r"^.*/static/\w+/", "", url) for url in loaded} <= named


def test_descriptions_stay_behind_and_lines_keep_their_numbers(api: Api, controller: Controller):
    sent = page(api, controller, "/static/js/api.js").text
    written = (ROOT / "static/js/api.js").read_text()
    assert "/**\n" not in sent
    assert len(sent.splitlines()) == len(written.splitlines())
    at = next(n for n, line in enumerate(written.splitlines()) if line.startswith("export async function request"))
    assert sent.splitlines()[at] == written.splitlines()[at]


def test_compression_is_worth_it(api: Api, controller: Controller):
    plain = page(api, controller, "/static/js/entities/access.js", **{"Accept-Encoding": "identity"}).content
    assert len(gzip.compress(plain)) < len(plain) / 2
