"""API tokens: what each scope opens, what ends a token, and that no secret leaks through a narrow one."""

from __future__ import annotations

import re

import pytest

from app import operations
from tests.certificates import CA
from tests.controllers import CLIENT, MANAGEMENT, Api, Controller
from tests.flows import (
    identity_body,
    import_ca,
    in_the_past,
    pending,
    sql,
    text_time,
    unique,
    wait_until,
    with_password,
)
from wire.resource import FABRIC, OWN, Action

REFUSED = "insufficient_scope"
READS = [
    (a, base)
    for a in operations()
    for base in a.bases
    if a.method == "GET" and a.permission not in {"public", "partial"} and base in (MANAGEMENT, FABRIC, OWN)
]
WRITES = [
    (a, base)
    for a in operations()
    for base in a.bases
    if a.method != "GET" and a.permission != "public" and base in (MANAGEMENT, CLIENT, FABRIC, OWN)
]


def make(api: Api, scope: str, **more) -> tuple[str, str]:
    """Make a token; gives its id and its text."""
    made = api.on(OWN).post("/api-tokens", {"name": unique("token"), "scope": scope, **more}).ok(201)
    return made["id"], made["token"]


def bearer(controller: Controller, token: str, base: str = MANAGEMENT) -> Api:
    """A client that has nothing but a token."""
    client = controller.api().on(base)
    client.http.headers["Authorization"] = f"Bearer {token}"
    return client


def named(case) -> str:
    action, base = case
    return f"{action.method} {base}{action.path}"


def asked(client: Api, action: Action, base: str):
    return client.on(base).call(action.method, re.sub(r"\{\w+\}", "nosuch", action.path))


@pytest.fixture(scope="module")
def clients(controller, administrator):
    """A client for each scope, owned by the administrator."""
    return {s: bearer(controller, make(administrator.on(MANAGEMENT), s)[1]) for s in ("read", "enroll", "admin")}


# --- what a token is


def test_shown_once_and_kept_as_a_hash(controller, api):
    key, token = make(api, "admin")
    assert re.fullmatch(r"zl_[0-9A-Za-z]{49}", token)
    shown = api.on(OWN).get(f"/api-tokens/{key}").ok()
    assert token not in str(shown)
    assert token not in str(api.on(OWN).every("/api-tokens"))
    assert token.startswith(shown["prefix"])
    assert len(shown["prefix"]) == 9
    (row,) = sql(controller, "SELECT * FROM api_token WHERE id = ?", key)
    assert token not in str(row)


def test_it_stands_for_its_owner(controller, api):
    key, token = make(api, "admin")
    client = bearer(controller, token)
    assert client.get("/current-identity").ok()["name"] == controller.admin_user
    created = client.create("/identities", identity_body())
    assert api.detail("/identities", created)["id"] == created
    session = client.get("/current-api-session").ok()
    assert (session["id"], session["token"]) == (key, "")
    assert session["authenticatorId"] == f"apiTokenId:{key}"
    assert client.on(CLIENT).get("/current-identity").ok()["name"] == controller.admin_user
    assert client.delete("/current-api-session").code == "BAD_REQUEST"
    assert client.get("/current-identity").status == 200


def test_what_needs_a_session_says_so(clients):
    answer = clients["admin"].on(CLIENT).get("/current-api-session/certificates")
    assert answer.status == 401
    assert "needs a session" in answer.error["cause"]["message"]


def test_use_is_noted_once_a_minute(controller, api):
    key, token = make(api, "read")
    client = bearer(controller, token)
    assert api.on(OWN).detail("/api-tokens", key)["lastUsedAt"] is None
    client.get("/current-identity").ok()
    first = api.on(OWN).detail("/api-tokens", key)
    assert first["lastUsedAt"]
    assert first["lastUsedFrom"] == "127.0.0.1"
    client.get("/current-identity").ok()
    assert api.on(OWN).detail("/api-tokens", key)["lastUsedAt"] == first["lastUsedAt"]
    sql(controller, "UPDATE api_token SET last_used_at = last_used_at - 61000 WHERE id = ?", key)
    before = api.on(OWN).detail("/api-tokens", key)["lastUsedAt"]
    client.get("/current-identity").ok()
    assert api.on(OWN).detail("/api-tokens", key)["lastUsedAt"] > before


# --- what ends it


def test_delete_ends_it_at_once(controller, api):
    key, token = make(api, "admin")
    client = bearer(controller, token)
    assert client.get("/identities").status == 200
    api.on(OWN).delete(f"/api-tokens/{key}").ok()
    answer = client.get("/identities")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_expiry_ends_it(controller, api):
    key, token = make(api, "admin", expiresAt=text_time(hours=1))
    sql(controller, "UPDATE api_token SET expires_at = ? WHERE id = ?", in_the_past(), key)
    answer = bearer(controller, token).get("/identities")
    assert answer.status == 401
    assert "expired at" in answer.headers["WWW-Authenticate"]
    assert api.on(OWN).detail("/api-tokens", key)["state"] == "expired"


def test_owner_disabled_or_deleted_ends_it(controller, api):
    owner = api.create("/identities", identity_body(isAdmin=True))
    key, token = make(api, "admin", identityId=owner)
    client = bearer(controller, token)
    assert client.get("/current-identity").ok()["id"] == owner
    api.post(f"/identities/{owner}/disable", {"durationMinutes": 0})
    assert client.get("/identities").status == 401
    assert api.on(OWN).detail("/api-tokens", key)["state"] == "disabled"
    api.post(f"/identities/{owner}/enable").ok()
    assert client.get("/identities").status == 200
    api.delete(f"/identities/{owner}").ok()
    assert client.get("/identities").status == 401
    assert api.on(OWN).get(f"/api-tokens/{key}").status == 404


@pytest.mark.parametrize("wrong", ["zl_", "zl_short", "zl_" + "a" * 49, "zl_" + "é" * 49])
def test_wrong_tokens_are_refused(controller, wrong):
    client = controller.api()
    client.http.headers["Authorization"] = f"Bearer {wrong}".encode()
    answer = client.get("/identities")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


def test_a_session_wins_over_a_token(api):
    """As today: whoever sends zt-session is that session, whatever else comes along."""
    api.http.headers["Authorization"] = "Bearer zl_nonsense"
    assert api.get("/current-identity").status == 200


# --- the row


def test_bodies_are_checked(api):
    own = api.on(OWN)
    name = unique("token")
    assert own.post("/api-tokens", {"scope": "read"}).error["cause"]["field"] == "name"
    assert own.post("/api-tokens", {"name": name, "scope": "root"}).error["cause"]["field"] == "scope"
    past = own.post("/api-tokens", {"name": name, "scope": "read", "expiresAt": text_time(hours=-1)})
    assert past.error["cause"]["field"] == "expiresAt"
    assert own.post("/api-tokens", {"name": name, "scope": "read", "identityId": "nosuch"}).status == 404
    own.post("/api-tokens", {"name": name, "scope": "read"}).ok(201)
    assert own.post("/api-tokens", {"name": name, "scope": "read"}).error["cause"]["field"] == "name"


def test_name_and_expiry_can_change_and_nothing_else(api):
    own = api.on(OWN)
    key, _ = make(api, "read")
    name, later = unique("renamed"), text_time(days=3)
    own.patch(f"/api-tokens/{key}", {"name": name, "expiresAt": later, "scope": "admin"}).ok()
    shown = own.detail("/api-tokens", key)
    assert (shown["name"], shown["expiresAt"], shown["scope"]) == (name, later, "read")
    assert own.put(f"/api-tokens/{key}", {"name": name}).status == 400
    other, _ = make(api, "read")
    assert own.patch(f"/api-tokens/{other}", {"name": name}).error["cause"]["field"] == "name"


def test_who_may_have_tokens(controller, api):
    """People with permissions make tokens for themselves and see only those; others make none."""
    _, user, password = with_password(api, permissions=["identity"])
    person = controller.api().login(user, password)
    key, token = make(person, "admin")
    assert [t["id"] for t in person.on(OWN).get("/api-tokens").ok()] == [key]
    foreign, _ = make(api, "read")
    assert person.on(OWN).get(f"/api-tokens/{foreign}").status == 404
    assert person.on(OWN).delete(f"/api-tokens/{foreign}").status == 404
    client = bearer(controller, token)
    assert client.get("/identities").status == 200
    assert client.get("/cas").status == 401, "a token does not do more than its owner"
    assert client.post("/identities", identity_body(isAdmin=True)).status == 401
    other = {"name": unique("token"), "scope": "read", "identityId": api.get("/current-identity").ok()["id"]}
    assert person.on(OWN).post("/api-tokens", other).status == 401
    _, user, password = with_password(api)
    nobody = controller.api().login(user, password)
    assert nobody.on(OWN).post("/api-tokens", {"name": unique("token"), "scope": "read"}).status == 401


def test_a_token_makes_none_that_outlives_it(controller, api):
    key, token = make(api, "admin", expiresAt=text_time(hours=1))
    client = bearer(controller, token, OWN)
    made = client.post("/api-tokens", {"name": unique("token"), "scope": "admin"}).ok(201)
    assert made["expiresAt"] == api.on(OWN).detail("/api-tokens", key)["expiresAt"]
    longer = {"name": unique("token"), "scope": "read", "expiresAt": text_time(hours=2)}
    assert client.post("/api-tokens", longer).error["cause"]["field"] == "expiresAt"
    assert client.patch(f"/api-tokens/{key}", {"expiresAt": text_time(hours=2)}).error["cause"]["field"] == "expiresAt"


# --- scope read

DOCUMENTS = {"application/json", "application/x-ndjson", "text/yaml", "text/csv", "text/plain"}


@pytest.mark.parametrize("case", WRITES, ids=named)
def test_read_changes_nothing(clients, case):
    answer = asked(clients["read"], *case)
    assert answer.status == 401
    assert REFUSED in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("case", READS, ids=named)
def test_read_reads_but_no_secrets(clients, case):
    action, _ = case
    answer = asked(clients["read"], *case)
    if action.secret or not DOCUMENTS.issuperset(action.produces):
        assert answer.status == 401
    else:
        assert REFUSED not in answer.headers.get("WWW-Authenticate", "")


def test_read_gets_no_secret_from_any_list(controller, api, clients):
    """Whatever is listed: tokens, JWTs and sessions of others are left out, and cannot be searched for."""
    _, found = pending(api, "ott")
    api.create("/edge-routers", {"name": unique("router")})
    api.create("/transit-routers", {"name": unique("router")})
    session = controller.admin().http.headers["zt-session"]
    reader = clients["read"]
    for path in ("identities", "enrollments", "edge-routers", "transit-routers", "routers", "api-sessions", "cas"):
        text = str(reader.every(f"/{path}"))
        assert not re.search(r"'(enrollmentJwt|enrollmentToken|jwt|token)': '[^']", text), path
        assert found["token"] not in text
        assert session not in text
    for path in ("enrollments", "api-sessions"):
        answer = reader.get(f"/{path}", filter='token contains "a"')
        assert answer.code == "INVALID_FILTER"
        assert reader.get(f"/{path}", filter="true sort by token").code == "INVALID_FILTER"
        assert api.get(f"/{path}", filter='token contains "a"').status == 200
    assert reader.get("/current-identity/mfa").status == 401


def test_read_leaves_documents_of_ones_own_making_alone(api, clients):
    key = api.create("/identities", identity_body(tags={"token": "mine"}, appData={"jwt": "x"}))
    shown = clients["read"].detail("/identities", key)
    assert (shown["tags"], shown["appData"]) == ({"token": "mine"}, {"jwt": "x"})


# --- scope enroll


def test_enroll_makes_identities_and_tokens(api, clients):
    enroller = clients["enroll"]
    key, found = pending(enroller, "ott")
    assert found["jwt"].count(".") == 2
    enroller.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=9)}).ok()
    assert enroller.detail("/enrollments", found["id"])["expiresAt"] > found["expiresAt"]
    user = {"method": "updb", "identityId": key, "username": unique("user"), "expiresAt": text_time(hours=1)}
    enroller.create("/enrollments", user)
    ca = import_ca(api, CA.root(unique("root")))
    assert enroller.get(f"/cas/{ca}/jwt").status == 200


@pytest.mark.parametrize("more", [{"isAdmin": True}, {"permissions": ["identity"]}])
def test_enroll_touches_nobody_with_power(controller, api, clients, more):
    """Administrators, and those with permissions: not made, not seen, no token made, renewed or shown."""
    enroller = clients["enroll"]
    assert enroller.post("/identities", identity_body(**more)).status == 401
    key, found = pending(api, "ott", **more)
    assert enroller.get(f"/identities/{key}").status == 404
    assert key not in str(enroller.every("/identities"))
    assert enroller.get(f"/identities/{key}/enrollments").ok() == []
    assert enroller.get(f"/enrollments/{found['id']}").status == 404
    assert enroller.get("/enrollments", filter=f'identity="{key}"').ok() == []
    new = {"method": "updb", "identityId": key, "username": unique("user"), "expiresAt": text_time(hours=1)}
    assert enroller.post("/enrollments", new).status == 401
    refresh = enroller.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=1)})
    assert refresh.status == 401
    assert api.detail("/enrollments", found["id"])["token"] == found["token"]


OPEN = {
    "POST /identities",
    "POST /enrollments",
    "POST /enrollments/{id}/refresh",
    "POST /bulk",
    "POST /tokens/export",
}


@pytest.mark.parametrize("case", WRITES, ids=named)
def test_enroll_opens_nothing_else(clients, case):
    action, base = case
    answer = asked(clients["enroll"], *case)
    closed = REFUSED in answer.headers.get("WWW-Authenticate", "")
    assert closed == (f"{action.method} {action.path}" not in OPEN or base == FABRIC)


@pytest.mark.parametrize("case", READS, ids=named)
def test_enroll_reads_only_what_it_needs(clients, case):
    action, base = case
    answer = asked(clients["enroll"], *case)
    first = action.path.split("/")[1]
    needed = first in {"identities", "enrollments", "edge-routers", "transit-routers", "routers", "cas"} | {
        "current-identity",
        "current-api-session",
    }
    if not needed or base == FABRIC:
        assert REFUSED in answer.headers["WWW-Authenticate"]


def test_log_holds_no_token(make_controller):
    server = make_controller("--log-level", "debug")
    _, token = make(server.admin(), "admin")
    bearer(server, token).get("/identities").ok()
    bearer(server, token + "x").get("/identities")
    wait_until(lambda: "identities 401" in server.stderr())
    assert token not in server.stderr()
