"""Logging in and staying logged in: sessions, what ends them, lockout, who may do what."""

from __future__ import annotations

import pytest

from tests.certificates import self_signed
from tests.controllers import CLIENT, MANAGEMENT, Api
from tests.flows import (
    certified,
    client_with,
    identity_body,
    in_the_past,
    login,
    password_login,
    pending,
    sql,
    text_time,
    unique,
    with_password,
)

BASES = [MANAGEMENT, CLIENT]


@pytest.fixture
def person(controller, api) -> tuple[str, str, str, Api]:
    """An identity with a password: id, user name, password, and a client with a session."""
    key, user, password = with_password(api)
    return key, user, password, controller.api().login(user, password)


def is_in(client: Api) -> bool:
    """Whether the client's session works, on both bases alike."""
    seen = {client.on(base).get("/current-identity").status for base in BASES}
    assert seen in ({200}, {401})
    return seen == {200}


def auth_policy(api: Api, **updb) -> str:
    """A policy whose rules for passwords differ from the default in what is given."""
    body = {
        "name": unique("policy"),
        "primary": {
            "cert": {"allowed": updb.pop("cert", True), "allowExpiredCerts": True},
            "extJwt": {"allowed": False, "allowedSigners": []},
            "updb": {
                "allowed": True,
                "lockoutDurationMinutes": 0,
                "maxAttempts": 0,
                "minPasswordLength": 5,
                "requireMixedCase": False,
                "requireNumberChar": False,
                "requireSpecialChar": False,
                **updb,
            },
        },
        "secondary": {"requireTotp": False},
    }
    return api.create("/auth-policies", body)


# --- logging in


@pytest.mark.parametrize("base", BASES)
def test_password_login(controller, api, base):
    """A password opens a session on either base; headers and body agree, and it lasts half an hour."""
    key, user, password = with_password(api)
    answer = password_login(controller.api().on(base), user, password)
    data = answer.ok()
    assert data["identityId"] == key
    assert answer.headers["zt-session"] == data["token"]
    assert answer.headers["expiration-seconds"] == str(data["expirationSeconds"]) == "1800"
    assert answer.headers["expires-at"][:16] == data["expiresAt"][:16].replace("T", " ")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("base", BASES)
def test_certificate_login(controller, api, tmp_path, base):
    """A certificate opens a session on either base, which then works without presenting it."""
    key, _, client = certified(controller, api, tmp_path)
    data = client.on(base).post("/authenticate", {}, params={"method": "cert"}).ok()
    assert data["identityId"] == key
    bare = controller.api()
    bare.http.headers["zt-session"] = data["token"]
    assert is_in(bare)


def test_login_remembers_what_the_client_is(controller, api, person):
    """Environment and SDK information of a login show on the identity."""
    key, user, password, _ = person
    body = {"username": user, "password": password, "envInfo": {"os": "linux"}, "sdkInfo": {"version": "1.2"}}
    controller.api().post("/authenticate", body, params={"method": "password"}).ok()
    shown = api.detail("/identities", key)
    assert (shown["envInfo"]["os"], shown["sdkInfo"]["version"]) == ("linux", "1.2")
    assert shown["hasApiSession"] is True


FAILURES = {
    "wrong password": lambda user, password: (user, password + "x"),
    "other case": lambda user, password: (user.upper(), password),
    "unknown user": lambda user, password: ("nobody-here", password),
    "blank added": lambda user, password: (user + " ", password),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failed_login_tells_nothing(controller, person, case):
    """Every failure looks the same, so that nobody learns which part was wrong."""
    _, user, password, _ = person
    answer = password_login(controller.api(), *FAILURES[case](user, password))
    assert (answer.status, answer.code) == (401, "INVALID_AUTH")
    assert "cause" not in answer.error


def test_failed_certificate_logins(controller, api, tmp_path):
    """No certificate, and one that nobody issued, are refused in HTTP, not by TLS."""
    stranger = client_with(controller, self_signed("x"), tmp_path)
    for client in (controller.api(), stranger):
        answer = login(client)
        assert (answer.status, answer.code) == (401, "INVALID_AUTH")


@pytest.mark.parametrize(
    ("method", "status"), [(None, 602), ("", 602), ("foo", 606), ("Password", 606), ("password", 400)]
)
def test_login_method(controller, method, status):
    """The method is required, spelled exactly, and needs its fields."""
    params = {} if method is None else {"method": method}
    assert controller.api().post("/authenticate", {}, params=params).status == status


# --- the session


@pytest.mark.parametrize("token", ["", "x", "00000000-0000-4000-8000-000000000000", "' OR ''='"])
def test_bad_session_token(controller, token):
    """What is no session is 401, with the challenge that clients read."""
    client = controller.api()
    client.http.headers["zt-session"] = token
    answer = client.get("/identities")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert 'zt-session realm="zt-session"' in answer.headers["www-authenticate"]


def test_session_ends_by_itself(controller, person):
    """A session whose time is over is no session; requests do not prolong one."""
    *_, client = person
    end = client.get("/current-api-session").ok()["expiresAt"]
    client.get("/current-identity").ok()
    assert client.get("/current-api-session").ok()["expiresAt"] == end
    token = client.http.headers["zt-session"]
    sql(controller, "UPDATE api_session SET expires_at = ? WHERE token = ?", in_the_past(), token)
    assert not is_in(client)


def test_expired_sessions_are_not_listed(controller, api, person):
    """The list of sessions holds live ones only."""
    *_, client = person
    key = client.get("/current-api-session").ok()["id"]
    api.get(f"/api-sessions/{key}").ok()
    sql(controller, "UPDATE api_session SET expires_at = ? WHERE id = ?", in_the_past(), key)
    assert api.get(f"/api-sessions/{key}").status == 404
    assert api.get("/api-sessions", filter=f'id="{key}"').ok() == []


def test_session_minutes_are_obeyed(make_controller):
    """The configured life of a session is what a login gets."""
    api = make_controller("--session-minutes", "7").admin()
    assert api.get("/current-api-session").ok()["expirationSeconds"] == 420


@pytest.mark.parametrize("base", BASES)
def test_logout(person, base):
    """After logging out the token is void on both bases."""
    *_, client = person
    client.on(base).delete("/current-api-session").ok()
    assert not is_in(client)


def test_sessions_survive_a_restart(make_controller):
    """Sessions are rows: a restart logs nobody out."""
    server = make_controller()
    api = server.admin()
    server.restart()
    assert is_in(api)


# --- what ends sessions at once


def authenticator_of(api: Api, key: str) -> str:
    """The id of the identity's only authenticator."""
    (found,) = api.get(f"/identities/{key}/authenticators").ok()
    return str(found["id"])


def session_of(api: Api, key: str) -> str:
    """The id of the identity's only session."""
    (found,) = api.get("/api-sessions", filter=f'identity="{key}"').ok()
    return str(found["id"])


ENDINGS = {
    "disable": lambda api, key: api.post(f"/identities/{key}/disable", {"durationMinutes": 0}),
    "disable for a while": lambda api, key: api.post(f"/identities/{key}/disable", {"durationMinutes": 5}),
    "delete": lambda api, key: api.delete(f"/identities/{key}"),
    "authenticator removed": lambda api, key: api.delete(f"/authenticators/{authenticator_of(api, key)}"),
    "session removed": lambda api, key: api.delete(f"/api-sessions/{session_of(api, key)}"),
}


@pytest.mark.parametrize("case", ENDINGS)
@pytest.mark.parametrize("kind", ["password", "certificate"])
def test_sessions_end_at_once(controller, api, tmp_path, kind, case):
    """The next request after the change is refused; where the login itself was taken away, so is a new login."""
    if kind == "password":
        key, user, password = with_password(api)
        client = controller.api().login(user, password)
        again = lambda: password_login(client, user, password)  # noqa: E731
    else:
        key, _, client = certified(controller, api, tmp_path)
        client.login_by_certificate()
        again = lambda: login(client)  # noqa: E731
    assert is_in(client)
    assert ENDINGS[case](api, key).status == 200
    assert not is_in(client)
    assert again().status == (200 if case == "session removed" else 401)


def test_enable_lets_in_again(controller, api, person):
    """Enabling ends a disablement; the old session stays dead, a new login works."""
    key, user, password, client = person
    api.post(f"/identities/{key}/disable", {"durationMinutes": 0}).ok()
    assert api.detail("/identities", key)["disabled"] is True
    api.post(f"/identities/{key}/enable").ok()
    assert api.detail("/identities", key)["disabled"] is False
    assert not is_in(client)
    password_login(controller.api(), user, password).ok()


def test_disablement_for_a_while_ends_by_itself(controller, api, person):
    """When the time of a disablement is over, the identity is enabled without anybody doing anything."""
    key, user, password, _ = person
    api.post(f"/identities/{key}/disable", {"durationMinutes": 5}).ok()
    assert "disabledUntil" in api.detail("/identities", key)
    sql(controller, "UPDATE identity SET disabled_until = ? WHERE id = ?", in_the_past(), key)
    assert api.detail("/identities", key)["disabled"] is False
    password_login(controller.api(), user, password).ok()


# --- lockout


def test_only_failures_count(controller, api):
    """Good logins never lock anybody out, and each one forgets the failures before it."""
    key, user, password = with_password(api, authPolicyId=auth_policy(api, maxAttempts=3))
    client = controller.api()
    for _ in range(5):
        password_login(client, user, password).ok()
    for _ in range(3):
        for _ in range(2):
            assert password_login(client, user, "wrong-password").status == 401
        password_login(client, user, password).ok()
    assert api.detail("/identities", key)["disabled"] is False


@pytest.mark.parametrize("minutes", [0, 5])
def test_lockout(controller, api, minutes):
    """Enough failures lock the identity: visible, sessions cut, the right password refused, until it is lifted."""
    policy = auth_policy(api, maxAttempts=3, lockoutDurationMinutes=minutes)
    key, user, password = with_password(api, authPolicyId=policy)
    client = controller.api()
    inside = controller.api().login(user, password)
    for _ in range(2):
        password_login(client, user, "wrong-password")
    assert is_in(inside)
    password_login(client, user, "wrong-password")
    assert password_login(client, user, password).code == "INVALID_AUTH"
    assert not is_in(inside)
    shown = api.detail("/identities", key)
    assert shown["disabled"] is True
    assert ("disabledUntil" in shown) is bool(minutes)
    if minutes:
        sql(controller, "UPDATE identity SET disabled_until = ? WHERE id = ?", in_the_past(), key)
    else:
        api.post(f"/identities/{key}/enable").ok()
    password_login(client, user, password).ok()


def test_failures_of_one_lock_nobody_else(controller, api, person):
    """Failures for unknown names, and for one person, leave others alone."""
    _, user, password, _ = person
    policy = auth_policy(api, maxAttempts=1)
    _, victim, _ = with_password(api, authPolicyId=policy)
    client = controller.api()
    for name in (victim, "nobody-at-all", "nobody-at-all"):
        password_login(client, name, "wrong-password")
    password_login(client, user, password).ok()


def test_policy_decides_how_to_log_in(controller, api, tmp_path):
    """A policy that forbids passwords or certificates is obeyed."""
    _, user, password = with_password(api, authPolicyId=auth_policy(api, allowed=False))
    assert password_login(controller.api(), user, password).code == "INVALID_AUTH"
    _, _, client = certified(controller, api, tmp_path, authPolicyId=auth_policy(api, cert=False))
    assert login(client).code == "INVALID_AUTH"


# --- who may do what


OPEN = ["/current-identity", "/current-api-session", "/identity-types", "/version", "/network-jwts"]
CLOSED = ["/identities", "/cas", "/edge-routers", "/api-sessions", "/summary", "/auth-policies", "/authenticators"]


def test_non_admin(person):
    """A plain identity sees itself and nothing else; refusals are 401 without a challenge."""
    *_, client = person
    for path in OPEN:
        client.get(path).ok()
    for path in CLOSED:
        answer = client.get(path)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert "www-authenticate" not in answer.headers


def test_non_admin_writes_nothing(api, person):
    """A good body of a non-admin is refused, a bad one is told to be bad; nothing is made."""
    key, *_, client = person
    body = identity_body(isAdmin=True)
    assert client.post("/identities", body).code == "UNAUTHORIZED"
    assert client.post("/identities", {"name": 5}).status == 400
    assert client.patch(f"/identities/{key}", {"isAdmin": True}).code == "UNAUTHORIZED"
    assert api.get("/identities", filter=f'name="{body["name"]}"').ok() == []
    assert api.detail("/identities", key)["isAdmin"] is False


def test_permissions_open_their_part_only(controller, api):
    """`service.read` reads services and no more; `admin_readonly` reads and does not write."""
    _, user, password = with_password(api, permissions=["service.read"])
    client = controller.api().login(user, password)
    client.get("/services").ok()
    assert client.post("/services", {"name": unique("s"), "encryptionRequired": True}).code == "UNAUTHORIZED"
    assert client.get("/identities").code == "UNAUTHORIZED"
    _, user, password = with_password(api, permissions=["admin_readonly"])
    client = controller.api().login(user, password)
    client.get("/identities").ok()
    assert client.post("/identities", identity_body()).code == "UNAUTHORIZED"


CLIMBS = {
    "enrollment for an admin": lambda c, boss: c.post(
        "/enrollments", {"method": "ott", "identityId": boss, "expiresAt": text_time(hours=1)}
    ),
    "password for an admin": lambda c, boss: c.post(
        "/authenticators", {"method": "updb", "identityId": boss, "username": unique("u"), "password": "password"}
    ),
    "new admin": lambda c, boss: c.post("/identities", identity_body(isAdmin=True)),
    "new identity with permissions": lambda c, boss: c.post("/identities", identity_body(permissions=["identity"])),
    "admin made plain": lambda c, boss: c.patch(f"/identities/{boss}", {"isAdmin": False}),
    "admin disabled": lambda c, boss: c.post(f"/identities/{boss}/disable", {"durationMinutes": 0}),
    "admin deleted": lambda c, boss: c.delete(f"/identities/{boss}"),
}


@pytest.mark.parametrize("case", CLIMBS)
def test_nobody_climbs(controller, api, case):
    """With every permission there is, a non-admin neither becomes, makes nor takes over an administrator."""
    _, user, password = with_password(api, permissions=["identity", "enrollment", "ca", "auth-policy", "ops"])
    helper = controller.api().login(user, password)
    boss, _ = pending(api, "updb", unique("boss"), isAdmin=True)
    before = api.detail("/identities", boss)
    assert CLIMBS[case](helper, boss).code == "UNAUTHORIZED"
    after = api.detail("/identities", boss)
    assert {k: v for k, v in after.items() if k != "updatedAt"} == {k: v for k, v in before.items() if k != "updatedAt"}


def test_own_permissions_cannot_be_raised(controller, api):
    """A helper with the permission `identity` cannot give himself more."""
    key, user, password = with_password(api, permissions=["identity"])
    helper = controller.api().login(user, password)
    for change in ({"isAdmin": True}, {"permissions": ["identity", "ca"]}):
        assert helper.patch(f"/identities/{key}", change).code == "UNAUTHORIZED"
    shown = api.detail("/identities", key)
    assert (shown["isAdmin"], shown["permissions"]) == (False, ["identity"])


def test_take_over_of_an_admins_authenticator_is_refused(controller, api):
    """A helper can neither set, re-enroll nor delete the password of an administrator."""
    boss, boss_user, boss_password = with_password(api, isAdmin=True)
    key = api.detail("/identities", boss)["authenticators"]["updb"]["id"]
    _, user, password = with_password(api, permissions=["identity", "enrollment"])
    helper = controller.api().login(user, password)
    change = {"username": unique("u"), "password": "mine now"}
    for answer in (
        helper.put(f"/authenticators/{key}", change),
        helper.patch(f"/authenticators/{key}", change),
        helper.post(f"/authenticators/{key}/re-enroll", {"expiresAt": text_time(hours=1)}),
        helper.delete(f"/authenticators/{key}"),
    ):
        assert answer.code == "UNAUTHORIZED"
    password_login(controller.api(), boss_user, boss_password).ok()


def test_default_admin_stays(api):
    """The first administrator can be deleted by nobody."""
    me = api.get("/current-identity").ok()["id"]
    assert api.delete(f"/identities/{me}").code == "ENTITY_CAN_NOT_BE_DELETED"
    api.get("/current-identity").ok()
