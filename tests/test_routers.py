"""Routers: edge, transit and plain; their tokens, enrollment, re-enrollment and extension."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.certificates import CA, Issued, csr
from tests.controllers import CLIENT, Answer, Api
from tests.flows import JSON, by_name, certified, client_with, enroll, login, read_chain, unique

PATHS = ["edge-routers", "transit-routers", "routers"]
NAMES = ("router.example.test", "192.0.2.9", "tls://router.example.test")


def make_router(api: Api, path: str = "edge-routers", **more) -> tuple[str, str]:
    """A new router's id and enrollment token."""
    key = api.create(f"/{path}", {"name": unique("router"), **more})
    return key, api.detail(f"/{path}", key)["enrollmentToken"]


def requests_for(key: str) -> tuple[str, str, object, object]:
    """Client and server request of a router, and their keys."""
    client, client_key = csr(key)
    server, server_key = csr(key, sans=NAMES)
    return client, server, client_key, server_key


def enroll_router(api: Api, key: str, token: str, folder) -> tuple[Answer, Api, Issued]:
    """Enroll a router; gives the answer, a client with its certificate, and the certificate."""
    client, server, private, _ = requests_for(key)
    answer = enroll(api, "erott", token, {"certCsr": client, "serverCertCsr": server})
    issued = read_chain(answer.ok()["cert"], private)
    return answer, Api(api.url, api.ca_file, issued.write(folder, unique("router"))), issued


def extend(client: Api, key: str, **more) -> Answer:
    """POST /enroll/extend/router with new keys."""
    first, second, *_ = requests_for(key)
    return client.on(CLIENT).post("/enroll/extend/router", {"certCsr": first, "serverCertCsr": second, **more})


# --- the entity


def test_new_edge_router_shows_its_token(api):
    """A router that is not enrolled yet is unverified and has token, JWT and expiry."""
    key = api.create("/edge-routers", {"name": unique("router"), "roleAttributes": ["b", "a"]})
    shown = api.detail("/edge-routers", key)
    assert shown["isVerified"] is False
    assert shown["isOnline"] is False
    assert shown["roleAttributes"] == ["a", "b"]
    assert all(shown[f"enrollment{name}"] for name in ("Token", "Jwt", "ExpiresAt"))
    assert (shown["cost"], shown["noTraversal"], shown["isTunnelerEnabled"]) == (0, False, False)


@pytest.mark.parametrize("path", PATHS)
def test_verbs(api, path):
    """Create, read, list, put, patch and delete work on all three paths."""
    name = unique("router")
    key = api.create(f"/{path}", {"name": name, "cost": 5, "tags": {"a": "b"}})
    shown = api.detail(f"/{path}", key)
    assert (shown["name"], shown["cost"], shown["tags"]) == (name, 5, {"a": "b"})
    assert [one["id"] for one in by_name(api, f"/{path}", name)] == [key]
    api.patch(f"/{path}/{key}", {"cost": 7}).ok()
    shown = api.detail(f"/{path}", key)
    assert (shown["name"], shown["cost"], shown["tags"]) == (name, 7, {"a": "b"})
    api.put(f"/{path}/{key}", {"name": f"{name}-2"}).ok()
    shown = api.detail(f"/{path}", key)
    assert (shown["name"], shown["cost"], shown["tags"]) == (f"{name}-2", 0, {})
    api.delete(f"/{path}/{key}").ok()
    for answer in (api.get(f"/{path}/{key}"), api.delete(f"/{path}/{key}"), api.patch(f"/{path}/{key}", {"cost": 1})):
        assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_edge_routers_are_routers_too(api):
    """The lists of all routers show edge routers, without their token, and do not change them."""
    key, token = make_router(api)
    transit, _ = make_router(api, "transit-routers")
    for path in ("transit-routers", "routers"):
        shown = api.detail(f"/{path}", key)
        assert token not in str(shown)
        answer = api.patch(f"/{path}/{key}", {"cost": 9})
        assert (answer.status, answer.code) == (409, "CAN_NOT_UPDATE_ROUTER")
    assert api.detail("/edge-routers", key)["cost"] == 0
    assert api.get(f"/edge-routers/{transit}").status == 404


def test_tunneler_has_an_identity_and_a_policy(api):
    """A router with tunneler brings an identity and a system policy of its own id; both go with it."""
    key, _ = make_router(api, isTunnelerEnabled=True)
    shown = api.detail("/identities", key)
    assert shown["name"] == api.detail("/edge-routers", key)["name"]
    assert shown["typeId"] == "Router"
    policy = api.detail("/edge-router-policies", key)
    assert policy["isSystem"] is True
    assert policy["name"] == f"edge-router-{key}-system"
    assert api.delete(f"/edge-router-policies/{key}").code == "ENTITY_CAN_NOT_BE_DELETED"
    assert api.delete(f"/identities/{key}").code == "ENTITY_CAN_NOT_BE_DELETED"
    api.patch(f"/edge-routers/{key}", {"isTunnelerEnabled": False}).ok()
    assert api.get(f"/identities/{key}").status == 404
    assert api.get(f"/edge-router-policies/{key}").status == 404
    api.patch(f"/edge-routers/{key}", {"isTunnelerEnabled": True}).ok()
    api.delete(f"/edge-routers/{key}").ok()
    assert api.get(f"/identities/{key}").status == 404


def test_tunneler_name_taken_by_an_identity(api):
    """A router with tunneler whose name is an identity's is refused, and no router is made."""
    name = unique("taken")
    api.create("/identities", {"name": name, "type": "Default", "isAdmin": False})
    answer = api.post("/edge-routers", {"name": name, "isTunnelerEnabled": True})
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert by_name(api, "/edge-routers", name) == []


# --- enrollment


@pytest.mark.parametrize("form", ["generic", "own path", "own path, short names"])
def test_enroll(api, form):
    """Every form gives client and server certificate and the trust bundle; the router is verified, its token spent."""
    key, token = make_router(api)
    client, server, client_key, server_key = requests_for(key)
    if form == "generic":
        answer = enroll(api, "erott", token, {"certCsr": client, "serverCertCsr": server}, JSON)
    else:
        names = ("clientCsr", "serverCsr") if form.endswith("short names") else ("certCsr", "serverCertCsr")
        body = {"token": token, **dict(zip(names, (client, server), strict=True))}
        answer = api.on(CLIENT).post("/enroll/erott", body)
    data = answer.ok()
    first, second = read_chain(data["cert"], client_key), read_chain(data["serverCert"], server_key)
    bundle = x509.load_pem_x509_certificates(data["ca"].encode())
    for issued in (first, second):
        issued.certificate.verify_directly_issued_by(issued.above[0])
        assert issued.above[0] in bundle
        assert issued.certificate.public_key() == issued.key.public_key()
        assert issued.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == key
    usage = x509.ExtendedKeyUsage
    extensions = second.certificate.extensions
    assert list(extensions.get_extension_for_class(usage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert list(first.certificate.extensions.get_extension_for_class(usage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    shown_names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in shown_names} == set(NAMES)

    shown = api.detail("/edge-routers", key)
    assert shown["isVerified"] is True
    assert shown["fingerprint"] == first.fingerprint
    assert "enrollmentToken" not in shown
    assert enroll(api, "erott", token, {"certCsr": client, "serverCertCsr": server}).ok() == data
    other, _, _, _ = requests_for(key)
    again = enroll(api, "erott", token, {"certCsr": other, "serverCertCsr": server})
    assert (again.status, again.code) == (400, "INVALID_ENROLLMENT_TOKEN")


@pytest.mark.parametrize("method", ["trott", "erott"])
@pytest.mark.parametrize("path", ["transit-routers", "routers"])
def test_enroll_transit_router(api, path, method):
    """Transit and plain routers enroll in the same way, under either method."""
    key, token = make_router(api, path)
    client, server, *_ = requests_for(key)
    enroll(api, method, token, {"certCsr": client, "serverCertCsr": server}).ok()
    assert api.detail(f"/{path}", key)["isVerified"] is True


BAD = {
    "no server request": (lambda c, s, key: {"certCsr": c}, "MISSING_OR_INVALID_CSR"),
    "no client request": (lambda c, s, key: {"serverCertCsr": s}, "MISSING_OR_INVALID_CSR"),
    "neither": (lambda c, s, key: {}, "MISSING_OR_INVALID_CSR"),
    "garbage client": (lambda c, s, key: {"certCsr": "x", "serverCertCsr": s}, "COULD_NOT_PROCESS_CSR"),
    "garbage server": (lambda c, s, key: {"certCsr": c, "serverCertCsr": "x"}, "COULD_NOT_PROCESS_CSR"),
    "other name": (lambda c, s, key: {"certCsr": csr("other")[0], "serverCertCsr": s}, "COULD_NOT_PROCESS_CSR"),
    "name with more": (lambda c, s, key: {"certCsr": csr(f"{key}x")[0], "serverCertCsr": s}, "COULD_NOT_PROCESS_CSR"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_do_not_spend_the_token(api, case):
    """Missing or wrong requests are refused with their code, and the token stays good."""
    key, token = make_router(api)
    client, server, *_ = requests_for(key)
    make, code = BAD[case]
    answer = enroll(api, "erott", token, make(client, server, key))
    assert (answer.status, answer.code) == (400, code)
    assert api.detail("/edge-routers", key)["isVerified"] is False
    enroll(api, "erott", token, {"certCsr": client, "serverCertCsr": server}).ok()


def test_router_certificate_is_no_identity(api, tmp_path):
    """A router's certificate opens no session."""
    key, token = make_router(api, isTunnelerEnabled=True)
    _, client, _ = enroll_router(api, key, token, tmp_path)
    assert login(client).code == "INVALID_AUTH"


def test_token_of_a_deleted_router(api):
    """The token goes with the router."""
    key, token = make_router(api)
    api.delete(f"/edge-routers/{key}").ok()
    client, server, *_ = requests_for(key)
    answer = enroll(api, "erott", token, {"certCsr": client, "serverCertCsr": server})
    assert answer.code == "INVALID_ENROLLMENT_TOKEN"


# --- re-enrollment


def test_re_enroll(api, tmp_path):
    """The certificate ends at once; one new token takes the place of the old one, however often it is asked for."""
    key, first = make_router(api)
    _, client, _ = enroll_router(api, key, first, tmp_path)
    tokens = []
    for _ in range(3):
        api.post(f"/edge-routers/{key}/re-enroll").ok()
        shown = api.detail("/edge-routers", key)
        tokens.append(shown["enrollmentToken"])
        assert shown["isVerified"] is False
        assert "fingerprint" not in shown
        assert len(api.get("/enrollments", filter=f'edgeRouter="{key}"').ok()) == 1
    assert len({first, *tokens}) == 4
    assert extend(client, key).code == "UNAUTHORIZED"
    one, two, *_ = requests_for(key)
    body = {"certCsr": one, "serverCertCsr": two}
    for old in (first, *tokens[:-1]):
        assert enroll(api, "erott", old, body).code == "INVALID_ENROLLMENT_TOKEN"
    enroll(api, "erott", tokens[-1], body).ok()
    assert api.detail("/edge-routers", key)["isVerified"] is True


def test_re_enroll_refuses(api):
    """Only edge routers that exist can be re-enrolled."""
    transit, _ = make_router(api, "transit-routers")
    for key in ("unknown", transit):
        assert api.post(f"/edge-routers/{key}/re-enroll").code == "NOT_FOUND"


# --- extension


def test_extend(api, tmp_path):
    """An enrolled router renews both certificates; the new one counts at once, the old one no longer."""
    key, token = make_router(api)
    _, client, old = enroll_router(api, key, token, tmp_path)
    pem, private = csr(key)
    data = extend(client, key, certCsr=pem).ok()
    issued = read_chain(data["cert"], private)
    assert issued.certificate.public_key() == private.public_key()
    assert read_chain(data["serverCert"]).above == issued.above
    shown = api.detail("/edge-routers", key)
    assert shown["fingerprint"] == issued.fingerprint != old.fingerprint
    assert shown["isVerified"] is True
    assert extend(client, key).code == "UNAUTHORIZED"
    extend(Api(api.url, api.ca_file, issued.write(tmp_path, "new")), key).ok()


def test_extend_refuses_strangers(controller, api, tmp_path):
    """Without the router's own certificate there is no extension: none, an identity's, a forged one."""
    key, token = make_router(api)
    enroll_router(api, key, token, tmp_path)
    before = api.detail("/edge-routers", key)["fingerprint"]
    _, _, identity = certified(controller, api, tmp_path)
    forged = client_with(controller, CA.root("x").leaf(key), tmp_path)
    for client in (controller.api(), identity, forged):
        answer = extend(client, key)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert api.detail("/edge-routers", key)["fingerprint"] == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"certCsr": None}, "COULD_NOT_VALIDATE"),
        ({"serverCertCsr": None}, "COULD_NOT_VALIDATE"),
        ({"certCsr": "garbage"}, "COULD_NOT_PROCESS_CSR"),
        ({"serverCertCsr": "garbage"}, "COULD_NOT_PROCESS_CSR"),
        ({"certCsr": csr("other")[0]}, "COULD_NOT_PROCESS_CSR"),
    ],
    ids=["no client", "no server", "garbage client", "garbage server", "other name"],
)
def test_extend_refuses_bad_requests(api, tmp_path, change, code):
    """Wrong requests leave the router's certificate as it is."""
    key, token = make_router(api)
    _, client, issued = enroll_router(api, key, token, tmp_path)
    answer = extend(client, key, **change)
    assert (answer.status, answer.code) == (400, code)
    assert api.detail("/edge-routers", key)["fingerprint"] == issued.fingerprint


def test_extend_after_delete(api, tmp_path):
    """A deleted router renews nothing."""
    key, token = make_router(api)
    _, client, _ = enroll_router(api, key, token, tmp_path)
    api.delete(f"/edge-routers/{key}").ok()
    assert extend(client, key).code == "UNAUTHORIZED"
