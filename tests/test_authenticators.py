"""Authenticators: lists, changes, and how an identity renews its certificate."""

from __future__ import annotations

from typing import Any

import pytest

from tests.certificates import CA, csr
from tests.controllers import CLIENT, MANAGEMENT, Answer, Api
from tests.flows import (
    PEM,
    certified,
    client_with,
    enroll,
    identity_body,
    import_ca,
    login,
    password_login,
    read_chain,
    text_time,
    unique,
    with_password,
)

OWN = "/current-identity/authenticators"


@pytest.fixture
def device(controller, api, tmp_path):
    """An enrolled identity: its id, certificate, and a client with a session by that certificate."""
    key, issued, client = certified(controller, api, tmp_path)
    return key, issued, client.on(CLIENT).login_by_certificate()


def certificate_of(api: Api, identity: str) -> str:
    """The id of the identity's certificate authenticator."""
    return str(api.detail("/identities", identity)["authenticators"]["cert"]["id"])


def extend(client: Api, authenticator: str, **request) -> tuple[Answer, object]:
    """Ask for a new certificate; gives the answer and the new key."""
    pem, private = csr(**request)
    return client.post(f"{OWN}/{authenticator}/extend", {"clientCertCsr": pem}), private


def confirm(client: Api, key: str, pem: str) -> Answer:
    return client.post(f"{OWN}/{key}/extend-verify", {"clientCert": pem})


# --- renewing


@pytest.mark.parametrize("base", [CLIENT, MANAGEMENT])
def test_extend_and_verify(controller, api, device, tmp_path, base):
    """The old certificate works until the new one is verified, then only the new one; the session goes on."""
    identity, old, client = device
    client = client.on(base)
    key = certificate_of(api, identity)
    answer, private = extend(client, key)
    data = answer.ok()
    assert data["ca"].strip().startswith("-----BEGIN CERTIFICATE-----")
    new = read_chain(data["clientCert"], private)
    fresh = client_with(controller, new, tmp_path)
    assert login(fresh).code == "INVALID_AUTH"
    login(client).ok()
    assert api.detail("/authenticators", key)["fingerprint"] == old.fingerprint

    confirm(client, key, new.chain_pem).ok()
    assert login(fresh).ok()["identityId"] == identity
    assert login(client).code == "INVALID_AUTH"
    client.get("/current-identity").ok()
    shown = api.detail("/authenticators", key)
    assert shown["fingerprint"] == new.fingerprint
    assert confirm(fresh.login_by_certificate(), key, new.pem).code == "CAN_NOT_UPDATE_AUTHENTICATOR"


def test_extend_with_the_same_key(controller, api, device, tmp_path):
    """A certificate may be renewed for the same key."""
    identity, old, client = device
    key = certificate_of(api, identity)
    answer, _ = extend(client, key, key=old.key)
    new = read_chain(answer.ok()["clientCert"], old.key)
    confirm(client, key, new.pem).ok()
    assert login(client_with(controller, new, tmp_path)).ok()["identityId"] == identity


def test_second_extend_replaces_the_first(controller, api, device, tmp_path):
    """Asking twice leaves one waiting certificate: the later one."""
    identity, _, client = device
    key = certificate_of(api, identity)
    first, _ = extend(client, key)
    second, private = extend(client, key)
    assert confirm(client, key, first.ok()["clientCert"]).code == "INVALID_CLIENT_CERT"
    confirm(client, key, second.ok()["clientCert"]).ok()
    login(client_with(controller, read_chain(second.data["clientCert"], private), tmp_path)).ok()


@pytest.mark.parametrize("roll", [True, False])
def test_request_extend_reaches_the_client(api, device, roll):
    """What an administrator asks for shows in the client's session, and ends when it is done."""
    identity, old, client = device
    key = certificate_of(api, identity)
    before = client.get("/current-api-session").ok()
    assert before["isCertExtendable"] is True
    assert not before.get("isCertExtendRequested")
    api.post(f"/authenticators/{key}/request-extend", {"rollKeys": roll}).ok()
    asked = client.get("/current-api-session").ok()
    assert asked["isCertExtendRequested"] is True
    assert bool(asked.get("isCertKeyRollRequested")) is roll
    assert api.detail("/authenticators", key)["isExtendRequested"] is True
    answer, _ = extend(client, key, key=None if roll else old.key)
    confirm(client, key, answer.ok()["clientCert"]).ok()
    done = client.get("/current-api-session").ok()
    assert not done.get("isCertExtendRequested")
    assert not done.get("isCertKeyRollRequested")


BAD_CONFIRMATIONS = {
    "garbage": (lambda old: "garbage", "INVALID_CLIENT_CERT"),
    "the old one": (lambda old: old.pem, "INVALID_CLIENT_CERT"),
    "a stranger's": (lambda old: CA.root("x").leaf("x").pem, "INVALID_CLIENT_CERT"),
    "nothing": (lambda old: None, "COULD_NOT_VALIDATE"),
}


@pytest.mark.parametrize("case", BAD_CONFIRMATIONS)
def test_verify_refuses(api, device, case):
    """Only the certificate that was handed out confirms; the old one stays good."""
    identity, old, client = device
    key = certificate_of(api, identity)
    extend(client, key)[0].ok()
    make, code = BAD_CONFIRMATIONS[case]
    answer = confirm(client, key, make(old))
    assert (answer.status, answer.code) == (400, code)
    login(client).ok()


def test_verify_without_extend(api, device):
    """Nothing waits, so nothing can be confirmed."""
    identity, old, client = device
    answer = confirm(client, certificate_of(api, identity), old.pem)
    assert (answer.status, answer.code) == (409, "CAN_NOT_UPDATE_AUTHENTICATOR")


@pytest.mark.parametrize("pem", ["", "garbage"])
def test_extend_with_a_bad_request(api, device, pem):
    """A request that cannot be read changes nothing."""
    identity, _, client = device
    answer = client.post(f"{OWN}/{certificate_of(api, identity)}/extend", {"clientCertCsr": pem})
    assert (answer.status, answer.code) == (400, "COULD_NOT_PROCESS_CSR")


def test_extend_is_for_the_owner_with_the_certificate(controller, api, device, tmp_path):
    """Another identity, no certificate, another certificate, no session: all refused."""
    identity, _, client = device
    key = certificate_of(api, identity)
    _, _, other = certified(controller, api, tmp_path / "other")
    other = other.on(CLIENT).login_by_certificate()
    assert extend(other, key)[0].code == "UNAUTHORIZED"
    assert extend(client, "unknown")[0].code == "NOT_FOUND"

    stolen = controller.api().on(CLIENT)
    stolen.http.headers["zt-session"] = client.http.headers["zt-session"]
    assert extend(stolen, key)[0].code == "UNAUTHORIZED"
    wrong = client_with(controller, CA.root("x").leaf("x"), tmp_path).on(CLIENT)
    wrong.http.headers["zt-session"] = client.http.headers["zt-session"]
    assert extend(wrong, key)[0].code == "UNAUTHORIZED"
    nobody = client.on(CLIENT)
    del nobody.http.headers["zt-session"]
    assert extend(nobody, key)[0].code == "UNAUTHORIZED"


def test_third_party_certificate_is_not_ours_to_renew(controller, api, tmp_path):
    """For a certificate of a third-party CA both steps are refused, and the text says who must renew it."""
    root = CA.root(unique("root"))
    import_ca(api, root)
    client = client_with(controller, root.leaf(unique("d")), tmp_path)
    enroll(client, "ca").ok()
    client = client.on(CLIENT).login_by_certificate()
    session = client.get("/current-api-session").ok()
    assert session["isCertExtendable"] is False
    key = certificate_of(api, session["identityId"])
    for answer in (extend(client, key)[0], confirm(client, key, root.pem)):
        assert (answer.status, answer.code) == (409, "CAN_NOT_UPDATE_AUTHENTICATOR")
        assert "third-party" in answer.error["cause"]["message"]


def test_password_cannot_be_extended(controller, api, device):
    """A password has no certificate to renew."""
    identity, _, client = device
    body = {"method": "updb", "identityId": identity, "username": unique("user"), "password": "password"}
    key = api.create("/authenticators", body)
    assert extend(client, key)[0].code == "CAN_NOT_UPDATE_AUTHENTICATOR"
    assert api.post(f"/authenticators/{key}/request-extend", {}).code == "UNAUTHORIZED"


# --- the administrator's side


@pytest.mark.parametrize("method", ["updb", "cert"])
def test_re_enroll(controller, api, device, method):
    """The authenticator and its sessions end; a new token of the fitting method takes its place."""
    identity, _, client = device
    if method == "cert":
        key, session, expected = certificate_of(api, identity), client, "ott"
    else:
        identity, user, password = with_password(api)
        session, expected = controller.api().login(user, password), "updb"
        key = api.detail("/identities", identity)["authenticators"]["updb"]["id"]
    end = text_time(hours=2)
    made = api.post(f"/authenticators/{key}/re-enroll", {"expiresAt": end}).ok(201)["id"]
    assert session.get("/current-identity").status == 401
    shown = api.detail("/identities", identity)
    assert shown["authenticators"] == {}
    assert shown["enrollment"][expected]["id"] == made
    assert shown["enrollment"][expected]["expiresAt"] == end
    token = shown["enrollment"][expected]["token"]
    if method == "cert":
        enroll(api, "ott", token, csr()[0], PEM).ok()
    else:
        enroll(api, "updb", token, {"password": "another password"}).ok()
        password_login(controller.api(), user, "another password").ok()


@pytest.mark.parametrize("body", [{}, {"expiresAt": "2020-01-01T00:00:00Z"}, {"expiresAt": "soon"}])
def test_re_enroll_refuses(api, device, body):
    """Without an end ahead nothing is taken away."""
    identity, _, client = device
    assert api.post(f"/authenticators/{certificate_of(api, identity)}/re-enroll", body).status == 400
    client.get("/current-identity").ok()


def test_certificate_given_as_pem(controller, api, tmp_path):
    """An administrator may attach a certificate of a known CA; it then logs in."""
    root = CA.root(unique("root"))
    import_ca(api, root)
    identity = api.create("/identities", identity_body())
    issued = root.leaf("x")
    body = {"method": "cert", "identityId": identity, "certPem": issued.pem}
    api.create("/authenticators", body)
    assert login(client_with(controller, issued, tmp_path)).ok()["identityId"] == identity
    other = api.create("/identities", identity_body())
    assert api.post("/authenticators", {**body, "identityId": other}).code == "CERT_IN_USE"
    stranger = CA.root("x").leaf("x").pem
    assert api.post("/authenticators", {**body, "identityId": other, "certPem": stranger}).code == "COULD_NOT_VALIDATE"


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "second one": ({}, 409, "MAX_AUTHENTICATOR_METHODS_REACHED"),
    "unknown method": ({"method": "magic"}, 400, "COULD_NOT_VALIDATE"),
    "unknown identity": ({"identityId": "unknown"}, 404, "NOT_FOUND"),
    "no identity": ({"identityId": None}, 400, "COULD_NOT_VALIDATE"),
    "no user name": ({"username": None}, 400, "COULD_NOT_VALIDATE"),
    "no password": ({"password": None}, 400, "COULD_NOT_VALIDATE"),
}


@pytest.mark.parametrize("case", BAD)
def test_create_refuses(api, case):
    """Wrong bodies are refused with their code and add nothing."""
    change, status, code = BAD[case]
    identity = api.create("/identities", identity_body()) if case != "second one" else with_password(api)[0]
    body = {"method": "updb", "identityId": identity, "username": unique("user"), "password": "password", **change}
    answer = api.post("/authenticators", body)
    assert (answer.status, answer.code) == (status, code)
    assert len(api.get(f"/identities/{identity}/authenticators").ok()) == (case == "second one")


def test_user_names_are_unique(api):
    """A user name belongs to one identity, on create, put and patch."""
    _, taken, _ = with_password(api)
    other, user, _ = with_password(api)
    key = api.detail("/identities", other)["authenticators"]["updb"]["id"]
    identity = api.create("/identities", identity_body())
    body = {"username": taken, "password": "password"}
    for answer in (
        api.post("/authenticators", {"method": "updb", "identityId": identity, **body}),
        api.put(f"/authenticators/{key}", body),
        api.patch(f"/authenticators/{key}", body),
    ):
        assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert api.detail("/authenticators", key)["username"] == user


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_password_set_by_the_administrator(controller, api, verb):
    """An administrator sets user name and password; secrets never come back."""
    identity, old, _ = with_password(api)
    key = api.detail("/identities", identity)["authenticators"]["updb"]["id"]
    user = unique("user")
    api.call(verb, f"/authenticators/{key}", {"username": user, "password": "the new one"}).ok()
    assert password_login(controller.api(), user, "the new one").ok()["identityId"] == identity
    assert password_login(controller.api(), old, "the new one").code == "INVALID_AUTH"
    shown = str(api.get(f"/authenticators/{key}").body) + str(api.every("/authenticators"))
    assert "scrypt" not in shown
    assert "the new one" not in shown


def test_own_authenticators_only(controller, api, device):
    """The caller's list holds what is his, and nobody else's can be read there."""
    identity, _, client = device
    other, _, _ = with_password(api)
    (mine,) = client.get(OWN).ok()
    assert mine["id"] == certificate_of(api, identity)
    foreign = api.detail("/identities", other)["authenticators"]["updb"]["id"]
    assert client.get(f"{OWN}/{foreign}").status == 404


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_own_password_change(controller, api, verb):
    """One's own password changes only with the present one, and sessions stay."""
    identity, user, password = with_password(api)
    session = controller.api().login(user, password)
    key = api.detail("/identities", identity)["authenticators"]["updb"]["id"]
    wrong = {"username": user, "password": "the new one", "currentPassword": "not the present one"}
    assert session.call(verb, f"{OWN}/{key}", wrong).status == 401
    password_login(controller.api(), user, password).ok()
    session.call(verb, f"{OWN}/{key}", {**wrong, "currentPassword": password}).ok()
    session.get("/current-identity").ok()
    password_login(controller.api(), user, "the new one").ok()
    assert password_login(controller.api(), user, password).code == "INVALID_AUTH"
