"""Service sessions: who may ask for one, and how those there are can be seen and ended.

No router is ever online here, so none can be made by a request; rows of our own stand in for them.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.controllers import CLIENT, Api
from tests.flows import sql, unique, with_password


class Caller:
    """Somebody who may dial one service, and a session for it."""

    def __init__(self, controller: Any, api: Api) -> None:
        mark = unique("m")
        self.me, user, password = with_password(api, roleAttributes=[mark])
        self.client = controller.api().on(CLIENT).login(user, password)
        self.login = self.client.get("/current-api-session").ok()["id"]
        body = {"name": unique("s"), "encryptionRequired": True, "roleAttributes": [mark]}
        self.service = api.create("/services", body)
        lists = {"identityRoles": [f"#{mark}"], "serviceRoles": [f"#{mark}"]}
        self.policy = api.create(
            "/service-policies", {"name": unique("p"), "type": "Dial", "semantic": "AnyOf", **lists}
        )
        self.session, now = unique("session"), int(time.time() * 1000)
        sql(
            controller,
            "INSERT INTO session(id, created_at, updated_at, tags, is_system, api_session_id, service_id, type) "
            "VALUES (?, ?, ?, '{}', FALSE, ?, ?, 'Dial')",
            *(self.session, now, now, self.login, self.service),
        )


@pytest.fixture
def caller(controller, api) -> Caller:
    return Caller(controller, api)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "Dial"}, 400, "NO_EDGE_ROUTERS_AVAILABLE"),
        ({}, 400, "NO_EDGE_ROUTERS_AVAILABLE"),
        ({"type": "Bind"}, 400, "COULD_NOT_VALIDATE"),
        ({"type": "Invalid"}, 400, "COULD_NOT_VALIDATE"),
        ({"type": "Foo"}, 400, "COULD_NOT_VALIDATE"),
        ({"serviceId": "nosuch"}, 404, "NOT_FOUND"),
        ({"serviceId": None}, 404, "NOT_FOUND"),
    ],
)
def test_asking(caller, body, status, code):
    answer = caller.client.post("/sessions", {"serviceId": caller.service, **body})
    assert (answer.status, answer.code) == (status, code)


def test_a_service_of_others_is_not_there(controller, api, caller):
    """Not allowed is the same as not there."""
    other = Caller(controller, api)
    assert other.client.post("/sessions", {"serviceId": caller.service}).status == 404


def test_the_owner_sees_and_ends_it(controller, api, caller):
    (shown,) = caller.client.get("/sessions").ok()
    assert shown == caller.client.detail("/sessions", caller.session)
    assert (shown["identityId"], shown["apiSessionId"], shown["serviceId"]) == (caller.me, caller.login, caller.service)
    assert [p["id"] for p in shown["servicePolicies"]] == [caller.policy]
    other = Caller(controller, api)
    assert other.client.get(f"/sessions/{caller.session}").status == 404
    assert other.client.delete(f"/sessions/{caller.session}").status == 404
    caller.client.delete(f"/sessions/{caller.session}").ok()
    assert caller.client.get("/sessions").ok() == []


def test_the_administrator_sees_and_ends_it(api, caller):
    by_login = {"filter": f'apiSession="{caller.login}" and service="{caller.service}" and type="Dial"'}
    assert [s["id"] for s in api.get("/sessions", **by_login).ok()] == [caller.session]
    assert api.detail("/sessions", caller.session)["token"] == caller.session
    assert api.get(f"/sessions/{caller.session}/route-path").ok() == {"routePath": []}
    api.delete(f"/sessions/{caller.session}").ok()
    assert api.get(f"/sessions/{caller.session}").status == 404


@pytest.mark.parametrize("path", ["/api-sessions/{login}", "/identities/{me}", "/services/{service}"])
def test_it_ends_with_what_it_rests_on(api, caller, path):
    api.delete(path.format(**vars(caller))).ok()
    assert api.get(f"/sessions/{caller.session}").status == 404
