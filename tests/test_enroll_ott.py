"""Enrollment by one-time token: every way a client may send its request, and every way it is refused."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.certificates import csr, key_pem, new_key
from tests.controllers import CLIENT, MANAGEMENT, Api
from tests.flows import (
    JSON,
    PEM,
    TEXT,
    certified,
    client_with,
    enroll,
    enroll_ott,
    in_the_past,
    login,
    pending,
    read_chain,
    sql,
)

KINDS = ["P-256", "P-384", "P-521", "RSA-2048", "Ed25519"]


@pytest.fixture
def token(api):
    """The token of a new identity's pending enrollment."""
    return pending(api, "ott")[1]["token"]


def unspent(api, token) -> bool:
    """Whether a token is still listed as pending."""
    return len(api.get("/enrollments", filter=f'token="{token}"').ok()) == 1


# --- what is accepted


@pytest.mark.parametrize("kind", [PEM, TEXT, "application/pkcs7"])
def test_request_as_pem_of_any_type(api, token, kind):
    """A PEM request is taken under the content types that clients use; the answer is JSON without parameters."""
    pem, key = csr()
    answer = enroll(api, "ott", token, pem, kind)
    issued = read_chain(answer.ok()["cert"], key)
    assert answer.headers["Content-Type"] == JSON
    assert issued.certificate.public_key() == key.public_key()
    assert not unspent(api, token)


@pytest.mark.parametrize("path", ["/enroll", "/enroll/ott"])
def test_request_as_json(api, token, path):
    """Both the generic and the ott path take JSON with token and request."""
    pem, _ = csr()
    body = {"clientCsr": pem, "token": token}
    params = {"method": "ott", "token": token} if path == "/enroll" else {}
    answer = api.on(CLIENT).post(path, body, params=params)
    assert answer.ok()["cert"].startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize("base", ["", "/edge/v1", CLIENT])
def test_every_base_path_enrolls(api, token, base):
    """Old clients enroll without a prefix, newer ones below the client API."""
    pem, _ = csr()
    api.base = base
    path = f"/{base}/enroll" if not base else f"{base}/enroll"
    answer = api.post(path, pem, params={"method": "ott", "token": token}, headers={"Content-Type": TEXT})
    assert answer.status == 200


def test_method_may_be_left_out(api, token):
    """Without a method it is ott, and the answer has the certificate only."""
    answer = api.on(CLIENT).post("/enroll", csr()[0], params={"token": token}, headers={"Content-Type": PEM})
    assert answer.ok().keys() == {"cert"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_enrolls_and_logs_in(controller, api, tmp_path, kind):
    """Keys of all supported kinds get a certificate that then opens a session of its identity."""
    key, found = pending(api, "ott")
    enroll_ott(controller, found["token"], tmp_path, key=new_key(kind))
    client = controller.api((tmp_path / "client.crt", tmp_path / "client.key"))
    assert login(client).ok()["identityId"] == key


def _length(size: int) -> bytes:
    return bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")


def _with_null(pem: str) -> str:
    """The request with a NULL after its ECDSA signature algorithm, as old mbedTLS clients write it."""
    request = x509.load_pem_x509_csr(pem.encode())
    oid = bytes.fromhex("06082a8648ce3d040302")
    signature = b"\x00" + request.signature
    rest = b"\x30" + _length(len(oid) + 2) + oid + b"\x05\x00" + b"\x03" + _length(len(signature)) + signature
    content = request.tbs_certrequest_bytes + rest
    text = base64.encodebytes(b"\x30" + _length(len(content)) + content).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def test_request_of_the_oldest_client_is_repaired(controller, api, tmp_path):
    """The request of a client of 2022, which the library cannot read, gets a certificate that logs in."""
    pem, key = csr()
    broken = _with_null(pem)
    with pytest.raises(ValueError, match=r"(?s).*"):
        x509.load_pem_x509_csr(broken.encode()).signature_algorithm_oid  # noqa: B018 - reading it is the failure
    identity, found = pending(api, "ott")
    issued = read_chain(enroll(api, "ott", found["token"], broken, TEXT).ok()["cert"], key)
    assert login(client_with(controller, issued, tmp_path)).ok()["identityId"] == identity


# --- what is issued


def test_certificate_is_as_clients_expect_it(controller, api, tmp_path):
    """Subject as asked, only our SPIFFE name, client usage, a year from a minute ago, chained to the trust bundle."""
    key, issued, _ = certified(controller, api, tmp_path)
    leaf = issued.certificate
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "test"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uri.startswith("spiffe://")
    assert uri.endswith(f"/identity/{key}")
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    now = datetime.now(UTC)
    assert timedelta(seconds=50) < now - leaf.not_valid_before_utc < timedelta(minutes=3)
    assert abs(leaf.not_valid_after_utc - now - timedelta(days=365)) < timedelta(minutes=3)
    leaf.verify_directly_issued_by(issued.above[0])
    assert issued.above[0] in x509.load_pem_x509_certificates(controller.ca_pem().encode())


def test_names_of_the_request_are_dropped(api, token):
    """Nobody gets a certificate for a name by asking for it."""
    pem, _ = csr(sans=("evil.example.test", "192.0.2.1", "spiffe://evil/identity/other"))
    leaf = read_chain(enroll(api, "ott", token, pem, PEM).ok()["cert"]).certificate
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(names) == 1
    assert "evil" not in names[0].value


def test_enrolled_identity_shows_its_certificate(controller, api, tmp_path):
    """After enrollment the identity has a certificate authenticator and nothing pending."""
    key, issued, _ = certified(controller, api, tmp_path)
    shown = api.detail("/identities", key)
    assert shown["authenticators"]["cert"]["fingerprint"] == issued.fingerprint
    assert shown["enrollment"] == {}


def test_leaf_alone_identifies(controller, api, tmp_path):
    """A client that sends no intermediate logs in all the same, and is told to mend its chain."""
    key, issued, _ = certified(controller, api, tmp_path)
    (tmp_path / "leaf.crt").write_text(issued.pem)
    # With the intermediate among its trusted certificates, the client's TLS library would add it by itself.
    (tmp_path / "root.pem").write_text((controller.data / "pki" / "root.cert").read_text())
    client = Api(controller.url, tmp_path / "root.pem", (tmp_path / "leaf.crt", tmp_path / "client.key"))
    session = login(client).ok()
    assert session["identityId"] == key
    assert session["improperClientCertChain"] is True


# --- what is refused, with the token still good


def other_pem() -> str:
    return key_pem(new_key())


def forged() -> str:
    """A request whose signature is another key's."""
    pem, _ = csr()
    request = x509.load_pem_x509_csr(pem.encode())
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    place = der.find(request.signature)
    other = ec.generate_private_key(ec.SECP256R1()).sign(request.tbs_certrequest_bytes, ec.ECDSA(hashes.SHA256()))
    der[place:] = (other + bytes(10))[: len(request.signature)]
    text = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


BAD_CSRS = {
    "empty": lambda: "",
    "blank": lambda: "\n",
    "words": lambda: "not a request",
    "zeros": lambda: "\0" * 100,
    "other type": other_pem,
    "broken base64": lambda: csr()[0].replace("M", "*", 3),
    "cut": lambda: csr()[0][:200],
    "forged": forged,
    "followed by more": lambda: csr()[0] + other_pem(),
}


@pytest.mark.parametrize("make", BAD_CSRS.values(), ids=BAD_CSRS)
@pytest.mark.parametrize("form", ["pem", "json"])
def test_bad_request_does_not_spend_the_token(api, token, make, form):
    """A request that cannot be used is refused with its code; the token still works afterwards."""
    text = make()
    if form == "pem":
        answer = enroll(api, "ott", token, text, PEM)
    else:
        answer = api.on(CLIENT).post("/enroll/ott", {"token": token, "clientCsr": text})
    assert (answer.status, answer.code) == (400, "COULD_NOT_PROCESS_CSR")
    assert enroll(api, "ott", token, csr()[0], PEM).status == 200


@pytest.mark.parametrize("kind", ["application/pkcs10", "application/octet-stream", None])
def test_unknown_content_type(api, token, kind):
    """Content types that no client uses are 415 and leave the token alone."""
    answer = enroll(api, "ott", token, csr()[0].encode(), kind)
    assert (answer.status, answer.code) == (415, "COULD_NOT_VALIDATE")
    assert unspent(api, token)


@pytest.mark.parametrize("accept", [PEM, TEXT, "text/html"])
def test_answer_as_anything_but_json_is_refused(api, token, accept):
    """The answer is JSON only; a client that wants PEM is told so before the token is spent."""
    headers = {"Content-Type": PEM, "Accept": accept}
    answer = api.on(CLIENT).post("/enroll", csr()[0], params={"method": "ott", "token": token}, headers=headers)
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA")
    assert unspent(api, token)


@pytest.mark.parametrize("wrong", ["00000000-0000-4000-8000-000000000000", "no-uuid", "", None, "' OR 1=1 --", "\0"])
def test_unknown_token(api, wrong):
    """Whatever is no pending token is INVALID_ENROLLMENT_TOKEN, and makes nothing."""
    before = api.get("/authenticators").body["meta"]["pagination"]["totalCount"]
    answer = enroll(api, "ott", wrong, csr()[0], PEM)
    assert (answer.status, answer.code) == (400, "INVALID_ENROLLMENT_TOKEN")
    assert api.get("/authenticators").body["meta"]["pagination"]["totalCount"] == before


def test_used_token(api, token):
    """The second use of a token is refused as if it had never been, also with another request."""
    assert enroll(api, "ott", token, csr()[0], PEM).status == 200
    for path_body in (csr()[0], csr()[0]):
        answer = enroll(api, "ott", token, path_body, PEM)
        assert (answer.status, answer.code) == (400, "INVALID_ENROLLMENT_TOKEN")


def test_expired_token(controller, api, token):
    """The server itself refuses a token whose time is over; it stays listed."""
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE token = ?", in_the_past(), token)
    for answer in (
        enroll(api, "ott", token, csr()[0], PEM),
        api.on(CLIENT).post("/enroll/ott", {"token": token, "clientCsr": csr()[0]}),
    ):
        assert (answer.status, answer.code) == (400, "ENROLLMENT_EXPIRED")
    assert unspent(api, token)


@pytest.mark.parametrize("method", ["ottca", "updb", "erott"])
def test_token_of_another_method(api, token, method):
    """An ott token buys nothing under another method."""
    answer = enroll(api, method, token, {"password": "password", "certCsr": csr()[0], "serverCertCsr": csr()[0]})
    assert (answer.status, answer.code) == (400, "INVALID_ENROLL_METHOD")
    assert unspent(api, token)


def test_unknown_method(api, token):
    """A method that does not exist is INVALID_ENROLL_METHOD."""
    answer = enroll(api, "magic", token, csr()[0], PEM)
    assert (answer.status, answer.code) == (400, "INVALID_ENROLL_METHOD")


def test_token_ends_with_its_identity(api):
    """Deleting the identity, or the enrollment, voids the token."""
    key, found = pending(api, "ott")
    api.delete(f"/identities/{key}").ok()
    assert enroll(api, "ott", found["token"], csr()[0], PEM).code == "INVALID_ENROLLMENT_TOKEN"
    _, found = pending(api, "ott")
    api.delete(f"/enrollments/{found['id']}").ok()
    assert enroll(api, "ott", found["token"], csr()[0], PEM).code == "INVALID_ENROLLMENT_TOKEN"


def test_management_base_enrolls_nobody(api, token):
    """/enroll exists on the client API only."""
    answer = api.on(MANAGEMENT).post("/enroll", csr()[0], params={"token": token}, headers={"Content-Type": PEM})
    assert answer.status == 404


def test_get_does_not_enroll(api, token):
    """A link preview that fetches the URL spends nothing."""
    assert api.on(CLIENT).get("/enroll", method="ott", token=token).status == 405
    assert unspent(api, token)


def test_second_enrollment_replaces_the_first_certificate(controller, api, tmp_path):
    """An enrolled identity that enrolls anew has the new certificate; the old one and its session end."""
    key, _, client = certified(controller, api, tmp_path)
    client.login_by_certificate()
    body = {"method": "ott", "identityId": key, "expiresAt": "2099-01-01T00:00:00Z"}
    found = api.detail("/enrollments", api.create("/enrollments", body))
    enroll_ott(controller, found["token"], tmp_path / "second")
    assert client.on(CLIENT).get("/current-identity").status == 401
    assert login(client).code == "INVALID_AUTH"
    second = controller.api((tmp_path / "second" / "client.crt", tmp_path / "second" / "client.key"))
    assert login(second).ok()["identityId"] == key
