"""Gzip of answers: ours, and those that the console asks for; never where the original sends plain ones."""

from __future__ import annotations

import gzip

import pytest

from tests.controllers import Api
from tests.flows import unique

GZIP = {"Accept-Encoding": "gzip"}
OURS, ORIGINAL = "/zitilite/v1/swagger.json", "/edge/management/v1/config-types"


def raw(api: Api, path: str, **headers: str):
    """The answer as it goes over the wire."""
    answer = api.http.get(api.url + path, headers=headers, timeout=20, stream=True)
    return answer, answer.raw.read(decode_content=False)


def test_our_answers_are_gzipped_for_those_who_take_it(api: Api):
    answer, body = raw(api, OURS, **GZIP)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) == len(body)
    plain, text = raw(api, OURS, **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(body) == text
    assert len(body) < len(text) / 2
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert "Accept-Encoding" in plain.headers["Vary"]


@pytest.mark.parametrize("path", [ORIGINAL, "/edge/client/v1/version", "/edge/management/v1/services"])
def test_answers_of_the_original_stay_as_they_are(api: Api, path: str):
    answer, body = raw(api, path, **GZIP)
    assert "Content-Encoding" not in answer.headers
    assert "Vary" not in answer.headers
    assert body.startswith(b"{")


def test_the_console_may_ask_for_it_there_too(api: Api):
    answer, body = raw(api, ORIGINAL, **GZIP, **{"Zitilite-Compress": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).startswith(b'{"data":')


def test_small_answers_and_items_with_a_version_are_not_touched(api: Api):
    small, _ = raw(api, "/zitilite/v1/first-run", **GZIP)
    assert "Content-Encoding" not in small.headers
    key = api.create("/services", {"name": unique("gz"), "encryptionRequired": True, "tags": {"note": "x" * 2000}})
    item, body = raw(api, f"/edge/management/v1/services/{key}", **GZIP, **{"Zitilite-Compress": "gzip"})
    assert "ETag" in item.headers
    assert "Content-Encoding" not in item.headers
    assert body.startswith(b"{")
