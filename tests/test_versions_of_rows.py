"""ETag and If-Match: nobody overwrites what somebody else has changed meanwhile (our addition to the API)."""

from __future__ import annotations

import pytest

from tests.controllers import Answer, Api
from tests.flows import unique


def service(api: Api) -> str:
    key = api.create("/services", {"name": unique("s"), "encryptionRequired": True})
    return f"/services/{key}"


def tag(answer: Answer) -> str:
    return answer.headers["ETag"]


def change(api: Api, method: str, path: str, version: str) -> Answer:
    bodies = {"PUT": {"name": unique("s")}, "PATCH": {"tags": {"a": "b"}}, "DELETE": None}
    return api.call(method, path, bodies[method], headers={"If-Match": version})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_change_of_another_version_is_refused(api, method):
    path = service(api)
    old = tag(api.get(path))
    api.patch(path, {"roleAttributes": ["x"]}).ok()
    refused = change(api, method, path, old)
    assert (refused.status, refused.code) == (412, "PRECONDITION_FAILED")
    assert api.get(path).ok()["roleAttributes"] == ["x"]
    change(api, method, path, tag(api.get(path))).ok()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
def test_a_change_of_the_same_version_passes(api, method, form):
    path = service(api)
    change(api, method, path, form.format(tag(api.get(path)))).ok()


def test_a_change_tells_the_new_version(api):
    path = service(api)
    first = tag(api.get(path))
    second = tag(api.patch(path, {"maxIdleTimeMillis": 5}))
    assert second != first
    assert tag(api.get(path)) == second


def test_reading_changes_no_version(api):
    path = service(api)
    assert tag(api.get(path)) == tag(api.get(path))


def test_without_a_version_everything_is_as_ever(api):
    path = service(api)
    api.patch(path, {"tags": {}}).ok()
    assert change(api, "DELETE", "/services/nosuch", '"x"').status == 404


def test_weak_versions_never_match(api):
    path = service(api)
    assert change(api, "PATCH", path, f"W/{tag(api.get(path))}").status == 412


@pytest.mark.parametrize("value", [2**64, -(2**70), 1e300, "\\ud800 half a pair"], ids=str)
def test_what_is_hard_to_write_down_has_a_version_too(api, value):
    """Numbers of more than 64 bits and halves of characters are kept, shown and told apart."""
    path = service(api)
    body = '{"tags": {"a": %s}}' % (f'"{value}"' if isinstance(value, str) else repr(value))
    api.call("PATCH", path, body, headers={"content-type": "application/json"}).ok()
    shown = api.get(path)
    assert tag(shown) == tag(api.get(path))
    if not isinstance(value, str):
        assert shown.ok()["tags"]["a"] == value
