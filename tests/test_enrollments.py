"""Enrollments as the management API sees them: making, refreshing, deleting, and the JWTs that carry them."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.certificates import CA, csr
from tests.controllers import CLIENT, Api
from tests.flows import (
    PEM,
    certified,
    enroll,
    identity_body,
    import_ca,
    in_the_past,
    pending,
    public_pem,
    served_certificate,
    sql,
    text_time,
    unique,
    with_password,
)

METHODS = ["ott", "ottca", "updb"]
LIFE = 180 * 60


def claims_of(token: str, certificate: x509.Certificate, audience: str = "") -> dict[str, object]:
    """The claims of a token that the served certificate's key verifies."""
    claims = jwt.decode(token, public_pem(certificate), algorithms=["RS256"], audience=audience)
    assert isinstance(claims, dict)
    return claims


@pytest.fixture
def ca(api) -> str:
    return import_ca(api, CA.root(unique("root")))


def value_for(method: str, ca: str):
    """What a create of an identity asks for this method with."""
    return {"ott": True, "ottca": ca, "updb": unique("user")}[method]


def body_for(method: str, identity: str, ca: str, **more):
    """What POST /enrollments takes for this method."""
    body = {"method": method, "identityId": identity, "expiresAt": text_time(minutes=30)}
    return body | {"ott": {}, "ottca": {"caId": ca}, "updb": {"username": unique("user")}}[method] | more


# --- the JWT


@pytest.mark.parametrize("method", METHODS)
def test_jwt_of_an_identity(api, ca, method):
    """Claims, header and signature are what enrolling clients check against the certificate they are served."""
    before = int(time.time())
    key, found = pending(api, method, value_for(method, ca))
    served = served_certificate(api)
    header = jwt.get_unverified_header(found["jwt"])
    assert header == {"alg": "RS256", "typ": "JWT", "kid": served.fingerprint(hashes.SHA1()).hex()}
    claims = claims_of(found["jwt"], served)
    end = claims.pop("exp")
    assert isinstance(end, int)
    assert before + LIFE <= end <= time.time() + LIFE
    expected = {"iss": api.url, "sub": key, "aud": [""], "em": method, "jti": found["token"], "ctrls": None}
    assert claims == expected
    shown = api.detail("/enrollments", found["id"])
    assert shown["jwt"] == found["jwt"]
    assert shown["token"] == found["token"]
    assert shown["expiresAt"] == found["expiresAt"]
    assert found["expiresAt"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(end)))


@pytest.mark.parametrize(("path", "method"), [("edge-routers", "erott"), ("transit-routers", "trott")])
def test_jwt_of_a_router(api, path, method):
    """A router's token has the same shape, and the expiry field is the JWT's."""
    key = api.create(f"/{path}", {"name": unique("router")})
    shown = api.detail(f"/{path}", key)
    claims = claims_of(shown["enrollmentJwt"], served_certificate(api))
    end = claims.pop("exp")
    assert isinstance(end, int)
    assert shown["enrollmentExpiresAt"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(end)))
    expected = {"iss": api.url, "sub": key, "aud": [""], "em": method, "ctrls": None}
    assert claims == {**expected, "jti": shown["enrollmentToken"]}


def test_jwt_of_the_network(api):
    """The network's token names the controller for clients that only want to know whom to trust."""
    (entry,) = api.on(CLIENT).get("/network-jwts").ok()
    claims = claims_of(entry["token"], served_certificate(api), "openziti-enroller")
    assert claims.pop("jti")
    assert claims == {
        "iss": f"{api.url}/",
        "sub": f"{api.url}/",
        "aud": ["openziti-enroller"],
        "em": "network",
        "ctrls": None,
    }


def test_forged_jwt_is_useless(api):
    """Only the token inside counts on the server, and a changed JWT no longer fits the served key."""
    _, found = pending(api, "ott")
    head, body, signature = found["jwt"].split(".")
    claims = json.loads(urlsafe_b64decode(body + "=="))
    other = jwt.encode({**claims, "sub": "other"}, "x" * 32, algorithm="HS256").split(".")[1]
    with pytest.raises(jwt.InvalidSignatureError):
        claims_of(f"{head}.{other}.{signature}", served_certificate(api))


# --- making


@pytest.mark.parametrize("method", METHODS)
def test_create_for_an_identity_that_exists(api, ca, method):
    """An enrollment made later shows on the identity with the chosen end, also in the JWT."""
    identity = api.create("/identities", identity_body())
    end = text_time(minutes=42)
    key = api.create("/enrollments", body_for(method, identity, ca, expiresAt=end))
    shown = api.detail("/enrollments", key)
    assert (shown["method"], shown["identityId"], shown["expiresAt"]) == (method, identity, end)
    assert api.detail("/identities", identity)["enrollment"][method]["token"] == shown["token"]
    claims = claims_of(shown["jwt"], served_certificate(api))
    assert end.startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(claims["exp"])))  # type: ignore[arg-type]
    assert [one["id"] for one in api.get(f"/identities/{identity}/enrollments").ok()] == [key]


def test_end_chosen_with_the_identity(api):
    """A create of an identity may choose when its token ends."""
    end = text_time(days=3)
    key = api.create("/identities", identity_body(enrollment={"ott": True, "expiresAt": end}))
    assert api.detail("/identities", key)["enrollment"]["ott"]["expiresAt"] == end


@pytest.mark.parametrize("method", METHODS)
def test_only_one_pending_of_a_kind(api, ca, method):
    """A second pending enrollment of one method is 409; other methods may wait beside it."""
    identity = api.create("/identities", identity_body())
    for each in METHODS:
        api.create("/enrollments", body_for(each, identity, ca))
    answer = api.post("/enrollments", body_for(method, identity, ca))
    assert (answer.status, answer.code) == (409, "ENROLLMENT_EXISTS")
    assert len(api.get(f"/identities/{identity}/enrollments").ok()) == 3


def test_expired_one_does_not_stand_in_the_way(controller, api):
    """A new token can be made when the old one's time is over."""
    key, found = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), found["id"])
    made = api.create("/enrollments", body_for("ott", key, ""))
    assert made != found["id"]
    assert [one["id"] for one in api.get(f"/identities/{key}/enrollments").ok()] == [made]


WRONG: dict[str, dict[str, Any]] = {
    "no method": {"method": None},
    "unknown method": {"method": "magic"},
    "router's method": {"method": "erott"},
    "no identity": {"identityId": None},
    "unknown identity": {"identityId": "unknown"},
    "no end": {"expiresAt": None},
    "end in the past": {"expiresAt": "2020-01-01T00:00:00Z"},
    "end that is no time": {"expiresAt": "tomorrow"},
    "end that is no day": {"expiresAt": "2099-02-31T00:00:00Z"},
    "end beyond time": {"expiresAt": "9999-12-31T23:59:59-23:59"},
    "year 0": {"expiresAt": "0000-01-01T00:00:00Z"},
    "leap second": {"expiresAt": "2099-12-31T23:59:60Z"},
    "updb without user": {"method": "updb"},
}


@pytest.mark.parametrize("case", WRONG)
def test_create_refuses(api, case):
    """Wrong bodies are 400 and leave nothing pending."""
    identity = api.create("/identities", identity_body())
    answer = api.post("/enrollments", {**body_for("ott", identity, ""), **WRONG[case]})
    assert answer.status == 400, answer.body
    assert api.detail("/identities", identity)["enrollment"] == {}


# --- refreshing and deleting


@pytest.mark.parametrize("method", METHODS)
def test_refresh(api, ca, method):
    """Refreshing keeps the id, and gives a new token and end; the old token is void."""
    _, old = pending(api, method, value_for(method, ca))
    end = text_time(hours=5)
    api.post(f"/enrollments/{old['id']}/refresh", {"expiresAt": end}).ok()
    new = api.detail("/enrollments", old["id"])
    assert new["token"] != old["token"]
    assert new["expiresAt"] == end
    assert claims_of(new["jwt"], served_certificate(api))["jti"] == new["token"]
    assert enroll(api, method, old["token"], {"password": "password"}).code == "INVALID_ENROLLMENT_TOKEN"


def test_refresh_revives_an_expired_one(controller, api):
    """An expired enrollment gets a new life, and its new token enrolls."""
    _, found = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), found["id"])
    api.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=1)}).ok()
    token = api.detail("/enrollments", found["id"])["token"]
    enroll(api, "ott", token, csr()[0], PEM).ok()


@pytest.mark.parametrize("body", [{}, {"expiresAt": None}, {"expiresAt": "2020-01-01T00:00:00Z"}, {"expiresAt": "x"}])
def test_refresh_refuses(api, body):
    """Without an end that lies ahead nothing changes."""
    _, found = pending(api, "ott")
    assert api.post(f"/enrollments/{found['id']}/refresh", body).status == 400
    assert api.detail("/enrollments", found["id"])["token"] == found["token"]


def test_delete(api):
    """A deleted enrollment is gone from everywhere."""
    key, found = pending(api, "ott")
    api.delete(f"/enrollments/{found['id']}").ok()
    assert api.get(f"/enrollments/{found['id']}").code == "NOT_FOUND"
    assert api.delete(f"/enrollments/{found['id']}").code == "NOT_FOUND"
    assert api.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=1)}).code == "NOT_FOUND"
    assert api.detail("/identities", key)["enrollment"] == {}


def test_no_put_or_patch(api):
    """Enrollments cannot be changed by hand."""
    _, found = pending(api, "ott")
    for verb in ("PUT", "PATCH"):
        assert api.call(verb, f"/enrollments/{found['id']}", {}).code == "METHOD_NOT_ALLOWED"


# --- expiry is the server's business


def router_token(api: Api, path: str) -> str:
    key = api.create(f"/{path}", {"name": unique("router")})
    return str(api.detail(f"/{path}", key)["enrollmentToken"])


@pytest.mark.parametrize("method", [*METHODS, "erott", "trott"])
def test_expiry_in_every_method(controller, api, tmp_path, ca, method):
    """Whatever the method, the server refuses a token whose time is over, with one code."""
    if method in METHODS:
        token = pending(api, method, value_for(method, ca))[1]["token"]
    else:
        token = router_token(api, {"erott": "edge-routers", "trott": "transit-routers"}[method])
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE token = ?", in_the_past(), token)
    _, _, client = certified(controller, api, tmp_path)
    pem, _ = csr()
    body = {"clientCsr": pem, "certCsr": pem, "serverCertCsr": pem, "password": "password"}
    answer = enroll(client, method, token, body)
    assert (answer.status, answer.code) == (400, "ENROLLMENT_EXPIRED")


# --- who may


def test_nobody_without_rights_sees_or_makes_tokens(controller, api):
    """Tokens are for administrators: others are refused, and need no session to be."""
    _, user, password = with_password(api)
    plain = controller.api().login(user, password)
    _, found = pending(api, "ott")
    for client, status in ((plain, 401), (controller.api(), 401)):
        assert client.get("/enrollments").status == status
        assert client.get(f"/enrollments/{found['id']}").status == status
        assert client.post("/enrollments", body_for("ott", "x", "")).status == status
        assert client.delete(f"/enrollments/{found['id']}").status == status
    assert api.detail("/enrollments", found["id"])["token"] == found["token"]


def test_tokens_of_administrators_are_for_administrators(controller, api):
    """With the permission `enrollment` one neither sees, makes nor refreshes a token of an administrator."""
    _, user, password = with_password(api, permissions=["enrollment", "identity"])
    helper = controller.api().login(user, password)
    boss, found = pending(api, "ott", isAdmin=True)
    own, visible = pending(api, "ott")

    assert helper.get(f"/enrollments/{visible['id']}").ok()["token"] == visible["token"]
    assert helper.get(f"/enrollments/{found['id']}").status == 404
    either = f'id in ["{visible["id"]}", "{found["id"]}"]'
    assert [one["id"] for one in helper.get("/enrollments", filter=either).ok()] == [visible["id"]]
    assert len(api.get("/enrollments", filter=either).ok()) == 2
    assert helper.get(f"/identities/{boss}").ok()["enrollment"] == {}
    assert helper.get(f"/identities/{boss}/enrollments").ok() == []
    later = {"expiresAt": text_time(hours=1)}
    assert helper.post(f"/enrollments/{found['id']}/refresh", later).status in (401, 404)
    assert helper.post("/enrollments", body_for("updb", boss, "")).code == "UNAUTHORIZED"
    assert helper.delete(f"/enrollments/{found['id']}").status in (401, 404)
    assert api.detail("/enrollments", found["id"])["token"] == found["token"]
    helper.post(f"/enrollments/{visible['id']}/refresh", later).ok()
    helper.create("/enrollments", body_for("updb", own, ""))
