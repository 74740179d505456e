"""Share links: one token for one person, until it is used, replaced, over or cut off."""

from __future__ import annotations

import pytest

from tests.controllers import Answer, Api, Controller
from tests.flows import enroll_ott, in_the_past, pending, sql, text_time, unique, with_password
from wire.resource import OWN


def make(api: Api, enrollment: str, **more) -> tuple[str, str]:
    """Make a link; gives its id and its secret."""
    made = api.on(OWN).post("/shares", {"enrollmentId": enrollment, **more}).ok(201)
    return made["id"], made["url"].rpartition("#")[2]


def open_link(controller: Controller, secret: str) -> Answer:
    return controller.api().on(OWN).post("/shares/open", {"secret": secret})


@pytest.fixture
def shared(api: Api) -> tuple[str, str, str]:
    """A pending enrollment and its link: identity id, enrollment id, secret."""
    key, e = pending(api, "ott")
    return key, e["id"], make(api, e["id"])[1]


def test_whoever_has_the_link_gets_the_token(controller: Controller, api: Api):
    key, e = pending(api, "ott")
    made = api.on(OWN).post("/shares", {"enrollmentId": e["id"], "minutes": 30}).ok(201)
    assert made["url"].startswith(f"{controller.url}/console/share#")
    answer = open_link(controller, made["url"].rpartition("#")[2])
    found = answer.ok()
    assert found["jwt"] == e["jwt"]
    assert (found["method"], found["controller"]) == ("ott", controller.url)
    assert found["expiresAt"] == made["expiresAt"]
    assert found["svg"].lstrip().startswith("<?xml")
    assert answer.headers["Cache-Control"] == "no-store"
    [row] = api.on(OWN).get("/shares", filter=f'enrollmentId = "{e["id"]}"').ok()
    assert (row["openedCount"], row["openedFrom"], row["isUsable"]) == (1, "127.0.0.1", True)
    assert "hash" not in str(row).lower()
    assert api.detail("/identities", key)["name"] == found["name"]


def is_dead(controller: Controller, secret: str) -> bool:
    answer = open_link(controller, secret)
    nothing = open_link(controller, "x" * 43)
    assert answer.status in (200, 404)
    if answer.status == 404:
        same = [{k: v for k, v in a.error.items() if k != "requestId"} for a in (answer, nothing)]
        assert same[0] == same[1]
    return answer.status == 404


def test_it_ends_when_the_token_is_used(controller: Controller, api: Api, shared, tmp_path):
    assert not is_dead(controller, shared[2])
    enroll_ott(controller, api.detail("/identities", shared[0])["enrollment"]["ott"]["token"], tmp_path)
    assert is_dead(controller, shared[2])


def test_it_ends_when_the_token_is_renewed(controller: Controller, api: Api, shared):
    api.post(f"/enrollments/{shared[1]}/refresh", {"expiresAt": text_time(hours=1)}).ok()
    assert is_dead(controller, shared[2])
    [row] = api.on(OWN).get("/shares", filter=f'enrollmentId = "{shared[1]}"').ok()
    assert row["isUsable"] is False


def test_it_ends_with_the_token(controller: Controller, shared):
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), shared[1])
    assert is_dead(controller, shared[2])


def test_it_ends_by_itself(controller: Controller, shared):
    sql(controller, "UPDATE share SET expires_at = ? WHERE enrollment_id = ?", in_the_past(), shared[1])
    assert is_dead(controller, shared[2])


def test_it_can_be_cut_off(controller: Controller, api: Api):
    _, e = pending(api, "ott")
    key, secret = make(api, e["id"])
    api.on(OWN).delete(f"/shares/{key}").ok()
    assert is_dead(controller, secret)


def test_it_cannot_outlive_its_token(api: Api):
    _, e = pending(api, "ott")
    for minutes in (0, -1, 100_000, 2**62):
        answer = api.on(OWN).post("/shares", {"enrollmentId": e["id"], "minutes": minutes})
        assert answer.status == 400
        assert answer.error["cause"]["field"] == "minutes"
    assert api.on(OWN).post("/shares", {"enrollmentId": "nobody"}).status == 404


def test_an_expired_token_is_not_shared(controller: Controller, api: Api):
    _, e = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), e["id"])
    answer = api.on(OWN).post("/shares", {"enrollmentId": e["id"]})
    assert answer.status == 400
    assert "expired" in answer.error["cause"]["reason"]


def test_routers_and_passwords_can_be_shared_too(controller: Controller, api: Api):
    _, e = pending(api, "updb", unique("user"))
    assert open_link(controller, make(api, e["id"])[1]).ok()["username"]
    key = api.create("/edge-routers", {"name": unique("router")})
    [e] = api.get("/enrollments", filter=f'edgeRouter = "{key}"').ok()
    assert open_link(controller, make(api, e["id"])[1]).ok()["method"] == "erott"


@pytest.mark.parametrize("scope", ["read", "enroll"])
def test_a_narrow_api_token_makes_none(controller: Controller, api: Api, scope: str):
    _, e = pending(api, "ott")
    token = api.on(OWN).post("/api-tokens", {"name": unique("token"), "scope": scope}).ok(201)["token"]
    client = controller.api().on(OWN)
    client.http.headers["Authorization"] = f"Bearer {token}"
    assert client.post("/shares", {"enrollmentId": e["id"]}).status == 401


def test_only_an_administrator_shares_the_token_of_an_administrator(controller: Controller, api: Api):
    _, e = pending(api, "ott", isAdmin=True)
    _, user, password = with_password(api, permissions=["enrollment"])
    helper = controller.api().login(user, password).on(OWN)
    assert helper.post("/shares", {"enrollmentId": e["id"]}).status == 401
    make(api, e["id"])
    assert helper.get("/shares", filter=f'enrollmentId = "{e["id"]}"').ok() == []


def test_making_and_cutting_off_is_in_the_audit_log_without_the_secret(api: Api):
    _, e = pending(api, "ott")
    key, secret = make(api, e["id"])
    api.on(OWN).delete(f"/shares/{key}").ok()
    rows = api.on(OWN).get("/audit", filter=f'entity = "shares" and entityId = "{key}"').ok()
    assert sorted(r["verb"] for r in rows) == ["create", "delete"]
    assert secret not in str(rows)
