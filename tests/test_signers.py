"""External JWT signers: keys by certificate and by JWKS, logins, second factors, enrollments.

The JWKS come from a small Flask app on loopback, over real HTTP.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import jwt
import pytest
from flask import Flask, Response, redirect
from werkzeug.serving import make_server

from tests.certificates import Issued, csr, new_key, self_signed
from tests.controllers import CLIENT, Answer, Api, Controller
from tests.flows import identity_body, in_the_past, read_chain, unique, wait_until, with_password


class Provider:
    """An identity provider: it signs tokens and publishes its keys."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.requests: list[float] = []
        self.app = Flask("provider")
        self.app.add_url_rule("/jwks", "jwks", self._jwks)
        self.app.add_url_rule("/elsewhere", "elsewhere", lambda: redirect("/jwks"))
        self.app.add_url_rule("/huge", "huge", lambda: Response(b" " * 600_000, content_type="application/json"))
        self.app.add_url_rule("/garbage", "garbage", lambda: "<html>")
        self.server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def _jwks(self) -> Response:
        self.requests.append(time.monotonic())
        keys = [public(key, kid) for kid, key in self.keys.items()]
        return Response(json.dumps({"keys": keys}), content_type="application/json")

    def new_key(self, kind: Any = "P-256") -> str:
        kid = unique("kid")
        self.keys[kid] = new_key(kind)
        return kid

    def token(self, kid: str, **claims: Any) -> str:
        return sign(self.keys[kid], kid, **claims)


ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "RSA-2048": "RS256", "Ed25519": "EdDSA"}


def algorithm_of(key: Any) -> str:
    names = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
    if hasattr(key, "curve"):
        return names[key.curve.name]
    return "RS256" if hasattr(key, "key_size") else "EdDSA"


def public(key: Any, kid: str) -> dict[str, Any]:
    found = jwt.get_algorithm_by_name(algorithm_of(key)).to_jwk(key.public_key(), as_dict=True)
    return {**found, "kid": kid, "use": "sig", "alg": algorithm_of(key)}


def sign(key: Any, kid: str | None, **claims: Any) -> str:
    now = int(time.time())
    headers = {"kid": kid} if kid else {}
    return jwt.encode({"iat": now, "exp": now + 600, **claims}, key, algorithm=algorithm_of(key), headers=headers)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    found = Provider()
    found.thread.start()
    yield found
    found.server.shutdown()
    found.thread.join(10)
    found.server.server_close()


@pytest.fixture(scope="module")
def open_controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A server that fetches keys from private addresses, too; each process that serves keeps them for itself."""
    flags = ("--jwks-private-addresses", "on", "--workers", "1")
    server = Controller(tmp_path_factory.mktemp("signers"), *flags).start()
    yield server
    server.stop()


@pytest.fixture
def admin(open_controller: Controller) -> Api:
    return open_controller.admin()


def signer_body(**more: Any) -> dict[str, Any]:
    name = unique("signer")
    return {"name": name, "issuer": f"https://{name}.example", "audience": "ziti", "enabled": True, **more}


def by_jwks(api: Api, provider: Provider, path: str = "/jwks", **more: Any) -> dict[str, Any]:
    """Make a signer with a JWKS endpoint; gives its body and id."""
    # Keys are kept per URL and fetched at most once a second, so each signer gets a URL of its own.
    body = signer_body(jwksEndpoint=f"{provider.url}{path}?for={unique()}", **more)
    return {**body, "id": api.create("/external-jwt-signers", body)}


def by_certificate(api: Api, issued: Issued, **more: Any) -> dict[str, Any]:
    body = signer_body(certPem=issued.pem, **more)
    return {**body, "id": api.create("/external-jwt-signers", body)}


def log_in(api: Api, token: str | None) -> Answer:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return api.on(CLIENT).post("/authenticate", {}, params={"method": "ext-jwt"}, headers=headers)


def claims_of(signer: dict[str, Any], subject: str, **more: Any) -> dict[str, Any]:
    return {"iss": signer["issuer"], "aud": signer["audience"], "sub": subject, **more}


def with_external_id(api: Api, **more: Any) -> tuple[str, str]:
    external = unique("external")
    return api.create("/identities", identity_body(externalId=external, **more)), external


# --- the row


def test_clients_see_what_they_need_to_log_in_and_no_more(admin: Api, open_controller: Controller, provider: Provider):
    shown = by_jwks(admin, provider, clientId="cid", scopes=["b", "a"], externalAuthUrl="https://idp.example")
    hidden = by_jwks(admin, provider, enabled=False)
    page = open_controller.api().on(CLIENT).get("/external-jwt-signers", limit="-1").ok()
    (found,) = [one for one in page if one["id"] == shown["id"]]
    assert (found["clientId"], found["scopes"], found["externalAuthUrl"]) == ("cid", ["a", "b"], "https://idp.example")
    assert not {"certPem", "jwksEndpoint", "issuer", "kid", "enabled"} & found.keys()
    assert hidden["id"] not in [one["id"] for one in page]


@pytest.mark.parametrize("case", ["neither", "both", "garbage", "two", "not-a-url", "file", "no-policy"])
def test_signers_that_cannot_be(admin: Api, case):
    pem = self_signed().pem
    body = {
        "neither": signer_body(),
        "both": signer_body(certPem=pem, jwksEndpoint="https://idp.example/jwks"),
        "garbage": signer_body(certPem="garbage"),
        "two": signer_body(certPem=pem + self_signed("other").pem),
        "not-a-url": signer_body(jwksEndpoint="not a url"),
        "file": signer_body(jwksEndpoint="file:///etc/passwd"),
        "no-policy": signer_body(certPem=pem, enrollAuthPolicyId="nope"),
    }[case]
    answer = admin.post("/external-jwt-signers", body)
    assert answer.status == (404 if case == "no-policy" else 400)
    assert not admin.get("/external-jwt-signers", filter=f'name="{body["name"]}"').ok()


def test_name_issuer_kid_and_certificate_belong_to_one_signer(admin: Api):
    issued = self_signed()
    first = by_certificate(admin, issued, kid=unique("kid"))
    for field, value in (
        ("name", first["name"]),
        ("issuer", first["issuer"]),
        ("kid", first["kid"]),
        ("certPem", issued.pem),
    ):
        answer = admin.post("/external-jwt-signers", {**signer_body(certPem=self_signed().pem), field: value})
        assert answer.error["cause"]["field"] == ("fingerprint" if field == "certPem" else field)


def test_a_signer_that_a_policy_names_stays(admin: Api):
    signer = by_certificate(admin, self_signed())
    default = admin.detail("/auth-policies", "default")
    primary = {**default["primary"], "extJwt": {"allowed": True, "allowedSigners": [signer["id"]]}}
    policy = {"name": unique("policy"), "primary": primary, "secondary": {"requireTotp": False}}
    key = admin.create("/auth-policies", policy)
    assert admin.delete(f"/external-jwt-signers/{signer['id']}").code == "CAN_NOT_DELETE_REFERENCED_ENTITY"
    admin.delete(f"/auth-policies/{key}").ok()
    admin.delete(f"/external-jwt-signers/{signer['id']}").ok()


def test_only_administrators_and_those_with_the_permission(open_controller: Controller, admin: Api):
    key, user, password = with_password(admin)
    plain = open_controller.api().login(user, password)
    assert plain.get("/external-jwt-signers").status == 401
    admin.patch(f"/identities/{key}", {"permissions": ["external-jwt-signer.read"]}).ok()
    plain.get("/external-jwt-signers").ok()
    assert plain.post("/external-jwt-signers", signer_body(certPem=self_signed().pem)).status == 401


# --- logins


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA-2048", "Ed25519"])
def test_a_token_of_a_published_key_logs_in(admin: Api, provider: Provider, kind):
    signer = by_jwks(admin, provider, useExternalId=True)
    key, external = with_external_id(admin)
    session = log_in(admin, provider.token(provider.new_key(kind), **claims_of(signer, external))).ok()
    assert (session["identityId"], session["authenticatorId"]) == (key, f"extJwtId:{signer['id']}")


def test_the_certificate_of_a_signer_verifies_its_tokens(admin: Api):
    issued = self_signed()
    signer = by_certificate(admin, issued, kid=unique("kid"), claimsProperty="/user/id")
    key = admin.create("/identities", identity_body())
    token = sign(issued.key, signer["kid"], **claims_of(signer, "x", user={"id": key}))
    assert log_in(admin, token).ok()["identityId"] == key
    assert log_in(admin, sign(issued.key, "other", **claims_of(signer, "x", user={"id": key}))).status == 401


def other_tokens(provider: Provider, kid: str, good: dict[str, Any]) -> dict[str, str | None]:
    """Tokens that are not good, each for one reason."""
    now, key = int(time.time()), provider.keys[kid]
    head = {"kid": kid}
    return {
        "audience": provider.token(kid, **{**good, "aud": "other"}),
        "no-audience": provider.token(kid, **{k: v for k, v in good.items() if k != "aud"}),
        "issuer": provider.token(kid, **{**good, "iss": "other"}),
        "key": sign(new_key(), kid, **good),
        "kid": sign(key, "unknown", **good),
        "expired": provider.token(kid, **good, exp=now - 60),
        "no-expiry": jwt.encode({**good, "iat": now}, key, "ES256", head),
        "not-yet": provider.token(kid, **good, nbf=now + 60),
        "nobody": provider.token(kid, **{**good, "sub": "nobody"}),
        "number": provider.token(kid, **{**good, "sub": "5"}, who=5),
        "none": jwt.encode({**good, "exp": now + 60}, "", "none", head),
        "hmac": jwt.encode({**good, "exp": now + 60}, public(key, kid)["x"], "HS256", head),
        "absent": None,
        "garbage": "garbage",
    }


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("audience", "invalid"),
        ("no-audience", "invalid"),
        ("issuer", "missing"),
        ("key", "invalid"),
        ("kid", "invalid"),
        ("expired", "expired"),
        ("no-expiry", "invalid"),
        ("not-yet", "invalid"),
        ("nobody", "missing"),
        ("number", "invalid"),
        ("none", "invalid"),
        ("hmac", "invalid"),
        ("absent", "missing"),
        ("garbage", "missing"),
    ],
)
def test_other_tokens_do_not(admin: Api, provider: Provider, case, error):
    more = {"claimsProperty": "who"} if case == "number" else {}
    signer = by_jwks(admin, provider, useExternalId=True, **more)
    _, external = with_external_id(admin)
    token = other_tokens(provider, provider.new_key(), claims_of(signer, external))[case]
    answer = log_in(admin, token)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert f'error="{error}"' in answer.headers["WWW-Authenticate"]
    assert signer["id"] in answer.headers["WWW-Authenticate"]


def test_disabled_signers_and_identities_do_not(admin: Api, provider: Provider):
    signer = by_jwks(admin, provider, useExternalId=True)
    key, external = with_external_id(admin)
    token = provider.token(provider.new_key(), **claims_of(signer, external))
    log_in(admin, token).ok()
    admin.post(f"/identities/{key}/disable", {"durationMinutes": 0}).ok()
    assert log_in(admin, token).status == 401
    admin.post(f"/identities/{key}/enable").ok()
    admin.patch(f"/external-jwt-signers/{signer['id']}", {"enabled": False}).ok()
    assert log_in(admin, token).status == 401


def test_the_policy_says_which_signers_may(admin: Api, provider: Provider):
    good, other = (by_jwks(admin, provider, useExternalId=True) for _ in range(2))
    default = admin.detail("/auth-policies", "default")["primary"]
    primary = {**default, "extJwt": {"allowed": True, "allowedSigners": [good["id"]]}}
    body = {"name": unique("policy"), "primary": primary, "secondary": {"requireTotp": False}}
    policy = admin.create("/auth-policies", body)
    _, external = with_external_id(admin, authPolicyId=policy)
    kid = provider.new_key()
    log_in(admin, provider.token(kid, **claims_of(good, external))).ok()
    assert log_in(admin, provider.token(kid, **claims_of(other, external))).status == 401
    admin.patch(f"/auth-policies/{policy}", {"primary": {"extJwt": {"allowed": False}}}).ok()
    assert log_in(admin, provider.token(kid, **claims_of(good, external))).status == 401


def test_an_external_token_is_no_session(admin: Api, provider: Provider):
    signer = by_jwks(admin, provider, useExternalId=True)
    _, external = with_external_id(admin)
    token = provider.token(provider.new_key(), **claims_of(signer, external))
    client = admin.on(CLIENT)
    del client.http.headers["zt-session"]
    assert client.call("GET", "/current-identity", headers={"Authorization": f"Bearer {token}"}).status == 401


def test_a_signer_as_second_factor_goes_with_every_request(open_controller: Controller, admin: Api, provider: Provider):
    signer = by_jwks(admin, provider, useExternalId=True, clientId="cid", externalAuthUrl="https://idp.example")
    default = admin.detail("/auth-policies", "default")["primary"]
    secondary = {"requireTotp": False, "requireExtJwtSigner": signer["id"]}
    policy = admin.create("/auth-policies", {"name": unique("policy"), "primary": default, "secondary": secondary})
    external = unique("external")
    _, user, password = with_password(admin, authPolicyId=policy, externalId=external)
    session = open_controller.api().on(CLIENT).login(user, password)
    (query,) = session.get("/current-api-session").ok()["authQueries"]
    assert (query["typeId"], query["id"], query["httpUrl"]) == ("EXT-JWT", signer["id"], "https://idp.example")
    assert session.get("/services").status == 401
    kid = provider.new_key()
    for subject, status in ((external, 200), ("somebody", 401)):
        token = provider.token(kid, **claims_of(signer, subject))
        answer = session.call("GET", "/services", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == status


# --- fetching keys


def test_a_new_key_is_fetched_when_it_is_first_seen(admin: Api, provider: Provider):
    signer = by_jwks(admin, provider, useExternalId=True)
    _, external = with_external_id(admin)
    claims = claims_of(signer, external)
    log_in(admin, provider.token(provider.new_key(), **claims)).ok()
    token = provider.token(provider.new_key(), **claims)
    wait_until(lambda: log_in(admin, token).status == 200)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_unknown_keys_are_asked_for_at_most_once_a_second(make_controller, provider: Provider, workers):
    """By all processes together, whichever of them gets a token."""
    controller = make_controller("--jwks-private-addresses", "on", "--limit-address", "0", "--workers", workers)
    admin = controller.admin()
    signer = by_jwks(admin, provider, useExternalId=True)
    provider.new_key()
    stranger = new_key()

    def refused(_: int) -> None:
        # On a connection of its own, which any process may get.
        assert log_in(controller.api(), sign(stranger, unique("kid"), **claims_of(signer, "x"))).status == 401

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(refused, range(20)))  # each process has keys by now
        provider.requests.clear()
        while len(provider.requests) < 5:
            list(pool.map(refused, range(20)))
    gaps = [b - a for a, b in pairwise(provider.requests)]
    # What is an answer's way may differ between two of them; the pause is between their beginnings.
    assert sum(gaps) > 0.9 * len(gaps), gaps


@pytest.mark.parametrize("path", ["/elsewhere", "/huge", "/garbage", "/missing"])
def test_answers_that_are_not_taken(admin: Api, provider: Provider, path):
    signer = by_jwks(admin, provider, path, useExternalId=True)
    _, external = with_external_id(admin)
    assert log_in(admin, provider.token(provider.new_key(), **claims_of(signer, external))).status == 401


def test_a_provider_that_never_ends_holds_nobody_up(admin: Api, open_controller: Controller):
    """One byte now and then must not keep a thread: it would take an hour, and the client here waits 20 seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
                while not stop.wait(0.3):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        body = signer_body(jwksEndpoint=f"http://127.0.0.1:{port}/jwks")
        admin.create("/external-jwt-signers", body)
        assert log_in(admin, sign(new_key(), "k", **claims_of(body, "x"))).status == 401
        stop.set()
        thread.join(10)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/j", "https://127.0.0.1:{port}/j", "https://localhost:{port}/j", "https://[::1]:{port}/j"],
)
def test_private_addresses_are_refused_without_the_setting(controller: Controller, api: Api, provider: Provider, url):
    body = signer_body(jwksEndpoint=url.format(port=provider.server.server_port), useExternalId=True)
    api.create("/external-jwt-signers", body)
    _, external = with_external_id(api)
    before = len(provider.requests)
    assert log_in(api, provider.token(provider.new_key(), **claims_of(body, external))).status == 401
    assert len(provider.requests) == before
    assert "jwks_private_addresses" in controller.stderr()


# --- enrollment


def enroll(api: Api, token: str | None, body: Any = None, **headers: str) -> Answer:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return api.on(CLIENT).post("/enroll/token", body or {}, headers=headers)


def enrolling(api: Api, provider: Provider, **more: Any) -> dict[str, Any]:
    return by_jwks(
        api,
        provider,
        useExternalId=True,
        **{
            "enrollToCertEnabled": True,
            "enrollToTokenEnabled": True,
            "enrollNameClaimsSelector": "/name",
            "enrollAttributeClaimsSelector": "/realm/roles",
            **more,
        },
    )


def test_a_token_enrolls_to_a_certificate(open_controller: Controller, admin: Api, provider: Provider, tmp_path):
    signer = enrolling(admin, provider)
    subject, name = unique("sub"), unique("name")
    claims = claims_of(signer, subject, name=name, realm={"roles": ["b", "a", "#c", 5, ""]})
    request, key = csr()
    made = enroll(admin, provider.token(provider.new_key(), **claims), {"clientCsr": request}).ok()
    client = open_controller.api(read_chain(made["cert"], key).write(tmp_path)).on(CLIENT)
    client.login_by_certificate()
    me = client.get("/current-identity").ok()
    assert (me["name"], me["externalId"], me["roleAttributes"]) == (name, subject, ["a", "b", "c"])


def test_a_token_enrolls_to_a_token(admin: Api, provider: Provider):
    signer = enrolling(admin, provider)
    claims = claims_of(signer, unique("sub"), name=unique("name"), realm={"roles": "a"})
    token = provider.token(provider.new_key(), **claims)
    made = enroll(admin, token, **{"ziti-token-issuer-id": signer["id"]}).ok()
    assert "cert" not in made
    session = log_in(admin, token).ok()
    assert admin.detail("/identities", session["identityId"])["roleAttributes"] == ["a"]
    again = enroll(admin, token)
    assert (again.status, again.code) == (409, "ENROLLMENT_IDENTITY_ALREADY_ENROLLED")


def test_a_taken_name_gets_a_number(admin: Api, provider: Provider):
    signer = enrolling(admin, provider)
    name, kid = unique("name"), provider.new_key()
    for _ in range(3):
        enroll(admin, provider.token(kid, **claims_of(signer, unique("sub"), name=name))).ok()
    names = [one["name"] for one in admin.get("/identities", filter=f'name contains "{name}"').ok()]
    assert sorted(names) == [name, f"{name}000001", f"{name}000002"]


@pytest.mark.parametrize("case", ["no-name", "cert-off", "token-off", "bad-csr", "other-signer", "expired", "policy"])
def test_enrollments_that_are_refused(admin: Api, provider: Provider, case):
    default = admin.detail("/auth-policies", "default")["primary"]
    closed = {**default, "extJwt": {"allowed": False, "allowedSigners": []}}
    policy = {"name": unique("policy"), "primary": closed, "secondary": {"requireTotp": False}}
    more: dict[str, dict[str, Any]] = {
        "cert-off": {"enrollToCertEnabled": False},
        "token-off": {"enrollToTokenEnabled": False},
        "policy": {"enrollAuthPolicyId": admin.create("/auth-policies", policy)},
    }
    signer = enrolling(admin, provider, **more.get(case, {}))
    claims = claims_of(signer, unique("sub"), name=unique("name"))
    if case == "no-name":
        del claims["name"]
    if case == "expired":
        claims["exp"] = in_the_past() // 1000 - 60
    body = {"cert-off": {"clientCsr": csr()[0]}, "bad-csr": {"clientCsr": "garbage"}}.get(case)
    headers = {"ziti-token-issuer-id": "other"} if case == "other-signer" else {}
    answer = enroll(admin, provider.token(provider.new_key(), **claims), body, **headers)
    codes = {
        "bad-csr": "COULD_NOT_PROCESS_CSR",
        **dict.fromkeys(("cert-off", "token-off", "policy"), "INVALID_ENROLLMENT_NOT_ALLOWED"),
    }
    assert answer.code == codes.get(case, "INVALID_ENROLLMENT_TOKEN")
    assert not admin.get("/identities", filter=f'externalId="{claims["sub"]}"').ok()


def test_without_a_token_nobody_enrolls(admin: Api):
    assert enroll(admin, None).status == 602
