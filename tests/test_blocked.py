"""Blocked certificates: refused from the next request on, wherever a certificate counts."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes

from tests.certificates import CA, csr
from tests.flows import CLIENT, certified, client_with, enroll, import_ca, login, pending, unique
from tests.test_oidc import ME, Rp
from tests.test_routers import enroll_router, extend, make_router

OWN = "/zitilite/v1"


@pytest.fixture
def own(api):
    return api.on(OWN)


def serial_of(issued) -> str:
    text = f"{issued.certificate.serial_number:X}"
    return text if len(text) % 2 == 0 else f"0{text}"


def colons(digest: bytes) -> str:
    return ":".join(f"{b:02X}" for b in digest)


def naming(issued) -> dict[str, dict[str, str]]:
    """Every way to name a certificate."""
    certificate = issued.certificate
    return {
        "sha1": {"fingerprint": certificate.fingerprint(hashes.SHA1()).hex()},
        "sha1 as openssl shows it": {"fingerprint": colons(certificate.fingerprint(hashes.SHA1()))},
        "sha256": {"fingerprint": colons(certificate.fingerprint(hashes.SHA256()))},
        "serial": {"serial": serial_of(issued)},
        "serial and issuer": {"serial": serial_of(issued), "issuer": certificate.issuer.rfc4514_string()},
        "pem": {"certPem": issued.pem},
    }


WAYS = ("sha1", "sha1 as openssl shows it", "sha256", "serial", "serial and issuer", "pem")


@pytest.mark.parametrize("way", WAYS)
def test_a_blocked_certificate_is_refused_from_the_next_request_on(controller, api, own, tmp_path, way):
    """The live session ends with the row; the certificate opens no other; unblocking gives it back."""
    identity, issued, client = certified(controller, api, tmp_path)
    client.login_by_certificate()
    client.get("/current-identity").ok()
    key = own.create("/blocked-certificates", {**naming(issued)[way], "reason": "lost"})
    assert client.get("/current-identity").status == 401
    assert login(client).code == "INVALID_AUTH"
    row = own.detail("/blocked-certificates", key)
    assert (row["reason"], row["blockedBy"]) == ("lost", "admin")
    if way != "sha256":
        assert (row["identityId"], row["issuer"]) == (identity, issued.certificate.issuer.rfc4514_string())
    own.delete(f"/blocked-certificates/{key}").ok()
    assert login(client).status == 200


def test_nobody_else_notices(controller, api, own, tmp_path):
    _, issued, _ = certified(controller, api, tmp_path)
    (tmp_path / "other").mkdir()
    _, _, other = certified(controller, api, tmp_path / "other")
    other.login_by_certificate()
    own.create("/blocked-certificates", naming(issued)["sha1"])
    other.get("/current-identity").ok()


def test_it_is_not_renewed(controller, api, own, tmp_path):
    """A session by password does not help: the certificate on the connection is blocked."""
    identity, issued, client = certified(controller, api, tmp_path)
    user, password = unique("user"), "secret-enough"
    api.create("/authenticators", {"method": "updb", "identityId": identity, "username": user, "password": password})
    client.login(user, password)
    (mine,) = client.get("/current-identity/authenticators", filter='method = "cert"').ok()
    path = f"/current-identity/authenticators/{mine['id']}/extend"
    assert client.on(CLIENT).post(path, {"clientCertCsr": csr("x")[0]}).status == 200
    own.create("/blocked-certificates", naming(issued)["sha1"])
    assert client.on(CLIENT).post(path, {"clientCertCsr": csr("x")[0]}).status == 401


@pytest.mark.parametrize("method", ["ca", "ottca"])
def test_it_does_not_enroll(controller, api, own, tmp_path, method):
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    leaf = root.leaf(unique("device"))
    own.create("/blocked-certificates", {"certPem": leaf.pem})
    client = client_with(controller, leaf, tmp_path)
    token = pending(api, "ottca", ca)[1]["token"] if method == "ottca" else None
    answer = enroll(client, method, token)
    assert answer.status == 400
    assert "is blocked" in answer.error["cause"]["message"]
    fine = client_with(controller, root.leaf(unique("device")), tmp_path)
    enroll(fine, method, token).ok()


def test_a_certificate_known_by_its_claim_only(controller, api, own, tmp_path):
    """No authenticator has it, so that the session's own certificate tells which sessions end."""
    root = CA.root(unique("root"))
    claim = {"location": "COMMON_NAME", "matcher": "ALL", "parser": "NONE", "index": 0}
    claim |= {"matcherCriteria": "", "parserCriteria": ""}
    import_ca(api, root, externalIdClaim=claim)
    name = unique("device")
    api.create("/identities", {"name": name, "type": "Default", "isAdmin": False, "externalId": name})
    leaf = root.leaf(name)
    client = client_with(controller, leaf, tmp_path)
    client.login_by_certificate()
    own.create("/blocked-certificates", {"serial": serial_of(leaf), "issuer": leaf.certificate.issuer.rfc4514_string()})
    assert client.get("/current-identity").status == 401
    assert login(client).code == "INVALID_AUTH"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "fingerprint"),
        ({"fingerprint": "abc"}, "fingerprint"),
        ({"fingerprint": "z" * 40}, "fingerprint"),
        ({"serial": "no hex"}, "serial"),
        ({"serial": "deadbeef00"}, "serial"),
        ({"certPem": "words"}, "certPem"),
    ],
)
def test_what_names_nothing_is_refused(own, body, field):
    """A serial number alone will do only if it is clear whose it is."""
    answer = own.post("/blocked-certificates", body)
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert answer.error["cause"]["field"] == field


def test_own_certificates_and_double_blocks_are_refused(controller, api, own, tmp_path):
    for one in own.get("/certificates", filter='kind in ["root", "intermediate", "server"]').ok():
        answer = own.post("/blocked-certificates", {"fingerprint": one["fingerprint"]})
        assert answer.status == 400
        assert "own" in answer.error["cause"]["reason"]
    _, issued, _ = certified(controller, api, tmp_path)
    own.create("/blocked-certificates", naming(issued)["sha1"])
    answer = own.post("/blocked-certificates", naming(issued)["serial"])
    assert (answer.status, answer.error["cause"]["field"]) == (400, "fingerprint")


def test_a_blocked_router_is_not_renewed(api, own, tmp_path):
    key, token = make_router(api)
    _, client, _ = enroll_router(api, key, token, tmp_path)
    row = own.get("/certificates", filter=f'ownerId = "{key}"').ok()[0]
    block = own.create("/blocked-certificates", {"serial": row["serial"], "issuer": row["issuer"]})
    assert extend(client, key).code == "UNAUTHORIZED"
    own.delete(f"/blocked-certificates/{block}").ok()
    extend(client, key).ok()


def test_it_proves_possession_of_no_token(controller, api, own, tmp_path):
    """OIDC: neither the access token nor the refresh token of a session outlives its certificate."""
    _, issued, _ = certified(controller, api, tmp_path)
    rp = Rp(controller, (tmp_path / "client.crt", tmp_path / "client.key"))
    rp.authorize()
    tokens = rp.tokens(rp.login("cert"))
    assert rp.get(ME, tokens["access_token"]).status_code == 200
    own.create("/blocked-certificates", naming(issued)["sha1"])
    assert rp.get(ME, tokens["access_token"]).status_code == 401
    assert rp.refresh(tokens["refresh_token"]).status_code == 400
