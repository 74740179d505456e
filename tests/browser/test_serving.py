"""How the console's files are served: names by content, compression, policy, weight."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.browser.pages import settled
from tests.controllers import Api, Controller

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


def test_the_first_view_is_below_100_kilobytes(make_controller, visit):
    """Code and data, from the form to the overview; how many rows other tests left in a log is no part of it."""
    page = visit(make_controller())
    page.locator(".funnel b").first.wait_for()
    settled(page)
    # 300 bytes a file for its headers.
    total = page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".reduce((sum, e) => sum + e.encodedBodySize + 300, 0)"
    )
    assert 20_000 < total < 100_000, total


def test_all_modules_of_the_first_view_are_named_at_once(visit, controller: Controller, index: str):
    """No module waits for another to be read: each static import of the entry stands in the page."""
    named = {name for _, _, name in ASSET.findall(index)}
    page = visit(controller, signed_in=False)
    loaded = page.evaluate(
        "performance.getEntriesByType('resource').map((e) => e.name).filter((n) => n.endsWith('.js'))"
    )
    assert {re.sub(r"^.*/static/\w+/", "", url) for url in loaded} <= named


def test_compression_is_worth_it(api: Api, controller: Controller):
    plain = page(api, controller, "/static/js/entities.js", **{"Accept-Encoding": "identity"}).content
    assert len(gzip.compress(plain)) < len(plain) / 2
