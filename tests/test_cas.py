"""Third-party CAs: import, verification with certificates of all sorts, the reusable token, deletion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta

import jwt
import pytest

from tests.certificates import CA, SERVER_AUTH, csr, key_pem, new_key, self_signed
from tests.flows import (
    JSON,
    SWITCHES,
    ca_body,
    client_with,
    enroll,
    identity_body,
    import_ca,
    login,
    pending,
    public_pem,
    served_certificate,
    unique,
    verify,
)
from tests.openssl import KEY_OPTIONS, Files, Key, Maker

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command on this machine")


@pytest.fixture
def make(tmp_path) -> Maker:
    return Maker(tmp_path)


def add(api, pem: str, **more) -> tuple[str, str]:
    """Import a CA; gives its id and verification token."""
    key = api.create("/cas", ca_body(pem, **more))
    return key, api.detail("/cas", key)["verificationToken"]


def is_verified(api, key: str) -> bool:
    """Whether the CA counts as verified."""
    return bool(api.detail("/cas", key)["isVerified"])


def below_a_leaf(root: CA) -> CA:
    """An end certificate that is used as if it were a CA."""
    leaf = root.leaf("leaf", usages=(SERVER_AUTH,))
    return CA(leaf.certificate, leaf.key)


# --- import


def test_import_starts_unverified(api):
    """A new CA is not trusted yet; it shows its SHA-1 fingerprint and the token that verifies it."""
    root = CA.root(unique("root"))
    key = api.create("/cas", ca_body(root.pem))
    shown = api.detail("/cas", key)
    assert shown["isVerified"] is False
    assert shown["fingerprint"] == root.fingerprint
    assert shown["verificationToken"]
    assert shown["certPem"] == root.pem
    assert shown["identityNameFormat"] == "[caName]-[commonName]"


@needs_openssl
@pytest.mark.parametrize("kind", KEY_OPTIONS)
def test_import_of_what_openssl_makes(api, make, kind):
    """A self-signed CA as `openssl req -x509` makes it is taken, whatever its key."""
    root = make.root(unique("root"), kind)
    _, token = add(api, root.pem)
    assert token


IMPORTS: dict[str, Callable[[CA, CA], str]] = {
    "crlf": lambda root, inter: root.pem.replace("\n", "\r\n"),
    "text before": lambda root, inter: "subject=CN = x\nissuer=CN = y\n" + root.pem,
    "blank lines after": lambda root, inter: root.pem + "\n\n\n",
    "expired": lambda root, inter: CA.root("x", starts=timedelta(days=-9), ends=timedelta(days=-1)).pem,
    "not yet valid": lambda root, inter: CA.root("x", starts=timedelta(days=2)).pem,
    "intermediate alone": lambda root, inter: inter.pem,
    "intermediate, root": lambda root, inter: inter.pem + root.pem,
    "root, intermediate": lambda root, inter: root.pem + inter.pem,
}


@pytest.mark.parametrize("case", IMPORTS)
def test_import_takes(api, case):
    """Real-life files are taken; of a bundle in any order the issuing CA is the one that counts."""
    root = CA.root(unique("root"))
    inter = root.intermediate(unique("inter"))
    key = api.create("/cas", ca_body(IMPORTS[case](root, inter)))
    if case.startswith(("intermediate", "root")):
        assert api.detail("/cas", key)["fingerprint"] == inter.fingerprint


REFUSED: dict[str, Callable[[], str]] = {
    "words": lambda: "no certificate at all",
    "empty": lambda: "",
    "request": lambda: csr()[0],
    "private key": lambda: key_pem(new_key()),
    "broken base64": lambda: CA.root("x").pem.replace("M", "*", 5),
    "cut": lambda: CA.root("x").pem[:300],
    "leaf": lambda: CA.root("x").leaf("leaf").pem,
    "self-signed leaf": lambda: self_signed("leaf").pem,
}


@pytest.mark.parametrize("case", REFUSED)
def test_import_refuses(api, case):
    """What is no CA certificate is refused with the field named, and nothing is made."""
    body = ca_body(REFUSED[case]())
    answer = api.post("/cas", body)
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert answer.error["cause"]["field"] == "certPem"
    assert api.get("/cas", filter=f'name="{body["name"]}"').ok() == []


def test_import_of_the_same_certificate_twice(api):
    """One certificate is one CA; the name must be free as well."""
    root, other = CA.root(unique("root")), CA.root(unique("root"))
    body = ca_body(root.pem)
    api.create("/cas", body)
    for wrong, field in ((ca_body(root.pem), "certPem"), ({**ca_body(other.pem), "name": body["name"]}, "name")):
        answer = api.post("/cas", wrong)
        assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
        assert answer.error["cause"]["field"] == field


@pytest.mark.parametrize("missing", ["name", "certPem", "identityRoles", *SWITCHES])
def test_import_needs(api, missing):
    """Each required property is asked for by name."""
    body = ca_body(CA.root(unique("root")).pem)
    del body[missing]
    answer = api.post("/cas", body)
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert answer.error["cause"]["field"] == missing


def test_a_put_or_patch_cannot_exchange_the_certificate(api):
    """Certificate, fingerprint, token and state of a CA cannot be set from outside."""
    key, token = add(api, CA.root(unique("root")).pem)
    before = api.detail("/cas", key)
    wanted = {
        "certPem": CA.root("other").pem,
        "isVerified": True,
        "fingerprint": "0" * 40,
        "verificationToken": "x",
        "identityRoles": ["#a"],
    }
    api.patch(f"/cas/{key}", wanted).ok()
    api.put(f"/cas/{key}", {**ca_body("x"), **wanted, "identityNameFormat": "n"}).ok()
    after = api.detail("/cas", key)
    for name in ("certPem", "isVerified", "fingerprint", "verificationToken"):
        assert after[name] == before[name]
    assert after["verificationToken"] == token
    assert after["identityRoles"] == ["#a"]


# --- verification


SHAPES: dict[str, tuple[str, Key, list[str]]] = {
    "plain openssl": ("", "EC", []),
    "version 3, CN only": ("", "EC", ["basicConstraints=CA:FALSE"]),
    "server usage": ("", "EC", ["extendedKeyUsage=serverAuth"]),
    "more in the subject": ("/C=DE/O=Example/OU=Lab", "EC", []),
    "RSA": ("", "RSA", []),
    "Ed25519": ("", "Ed25519", []),
}


def proofs(make: Maker, root: Files, token: str, case: str) -> str | bytes:
    """A certificate that proves control of the CA, in one of the forms that people send."""
    before, kind, extensions = SHAPES.get(case, ("", "EC", []))
    subject = f"{before}/CN={token}"
    if set(case.split()) & {"leaf"}:
        inter = make.intermediate("inter", root)
        lower = make.intermediate("lower", inter)
        parts = {"leaf": make.issue("proof", lower, subject=subject), "inter": inter, "lower": lower, "root": root}
        return "".join(parts[name].pem for name in case.split())
    proof = make.issue("proof", root, subject=subject, kind=kind, extensions=extensions)
    if case == "crlf and text":
        return ("Bag Attributes\n" + proof.pem).replace("\n", "\r\n")
    return make.der(proof) if case == "DER" else proof.pem


FORMS = [*SHAPES, "DER", "crlf and text", "leaf lower inter", "inter leaf lower", "root inter lower leaf"]


COMBINED: list[tuple[Key, str]] = [("EC", form) for form in FORMS]
COMBINED += [(kind, form) for kind in KEY_OPTIONS if kind != "EC" for form in FORMS[:2]]


@needs_openssl
@pytest.mark.parametrize(("kind", "case"), COMBINED)
def test_verification_takes_what_openssl_makes(api, make, kind, case):
    """A certificate with the token as CN verifies, however little is in it, through intermediates in any order."""
    root = make.root(unique("root"), kind)
    key, token = add(api, root.pem)
    verify(api, key, proofs(make, root, token, case)).ok()
    assert is_verified(api, key)


@needs_openssl
def test_verification_below_an_imported_intermediate(api, make):
    """An issuing intermediate alone is enough: its root is neither needed nor known."""
    inter = make.intermediate("inter", make.root("root"))
    key, token = add(api, inter.pem)
    verify(api, key, make.issue("proof", inter, subject=f"/CN={token}").pem).ok()
    assert is_verified(api, key)


def test_verification_as_a_json_string(api):
    """The certificate may come as a JSON string, as the console sends it."""
    root = CA.root(unique("root"))
    key, token = add(api, root.pem)
    verify(api, key, json.dumps(root.leaf(token).pem), JSON).ok()
    assert is_verified(api, key)


WRONG: dict[str, tuple[str, Callable[[CA, str], str]]] = {
    "other CN": ("INVALID_COMMON_NAME", lambda root, token: root.leaf("other").pem),
    "blanks around the CN": ("INVALID_COMMON_NAME", lambda root, token: root.leaf(f" {token} ").pem),
    "token as SAN only": ("INVALID_COMMON_NAME", lambda root, token: root.leaf("x", sans=(f"spiffe://{token}",)).pem),
    "other CA": ("CERTIFICATE_FAILED_VALIDATION", lambda root, token: CA.root("x").leaf(token).pem),
    "CA of the same name": (
        "CERTIFICATE_FAILED_VALIDATION",
        lambda root, token: CA.root(root.certificate.subject.rfc4514_string()[3:]).leaf(token).pem,
    ),
    "self-signed": ("CERTIFICATE_FAILED_VALIDATION", lambda root, token: self_signed(token).pem),
    "expired": (
        "CERTIFICATE_FAILED_VALIDATION",
        lambda root, token: root.leaf(token, starts=timedelta(days=-2), ends=timedelta(days=-1)).pem,
    ),
    "intermediate missing": (
        "CERTIFICATE_FAILED_VALIDATION",
        lambda root, token: root.intermediate("i").leaf(token).pem,
    ),
    "issued by a leaf": (
        "CERTIFICATE_FAILED_VALIDATION",
        lambda root, token: below_a_leaf(root).leaf(token).chain_pem,
    ),
    "words": ("COULD_NOT_PARSE_BODY", lambda root, token: "no certificate"),
    "request": ("EXPECTED_PEM_CERTIFICATE", lambda root, token: csr(token)[0]),
    "cut": ("COULD_NOT_PARSE_DER_BLOCK", lambda root, token: _cut(root.leaf(token).pem)),
}


def _cut(pem: str) -> str:
    lines = pem.splitlines()
    return "\n".join([*lines[:3], lines[-1]]) + "\n"


@pytest.mark.parametrize("case", WRONG)
def test_verification_refuses(api, case):
    """Whatever does not prove control of the CA is refused with its code, and the CA stays unverified."""
    root = CA.root(unique("root"))
    key, token = add(api, root.pem)
    code, make_wrong = WRONG[case]
    answer = verify(api, key, make_wrong(root, token))
    assert (answer.status, answer.code) == (400, code)
    assert not is_verified(api, key)


@pytest.mark.parametrize("content", ["", "  \n"])
def test_verification_without_a_certificate(api, content):
    """An empty body is answered as a missing one."""
    key, _ = add(api, CA.root(unique("root")).pem)
    answer = verify(api, key, content)
    assert (answer.status, answer.code) == (602, "COULD_NOT_VALIDATE")


def test_verification_only_once(api):
    """A verified CA cannot be verified again; an unknown one is not found."""
    root = CA.root(unique("root"))
    key = import_ca(api, root)
    token = api.detail("/cas", key)["verificationToken"]
    answer = verify(api, key, root.leaf(token).pem)
    assert (answer.status, answer.code) == (409, "CA_ALREADY_VERIFIED")
    assert verify(api, "unknown", root.leaf(token).pem).code == "NOT_FOUND"


def test_token_of_another_ca_verifies_nothing(api):
    """Each CA has a token of its own."""
    first, second = CA.root(unique("root")), CA.root(unique("root"))
    _, token = add(api, first.pem)
    key, other = add(api, second.pem)
    assert token != other
    assert verify(api, key, second.leaf(token).pem).code == "INVALID_COMMON_NAME"


# --- the reusable token


def test_jwt_of_a_verified_ca(api):
    """The token of automatic enrollment: kind, subject, issuer with a slash, no end, checked with the served key."""
    key = import_ca(api, CA.root(unique("root")))
    answer = api.get(f"/cas/{key}/jwt")
    assert answer.headers["Content-Type"] == "application/jwt"
    pem = public_pem(served_certificate(api))
    claims = jwt.decode(answer.ok(), pem, algorithms=["RS256"], audience="openziti-enroller")
    assert claims.pop("iss") == f"{api.url}/"
    assert claims == {"aud": ["openziti-enroller"], "em": "ca", "sub": key, "jti": key, "ctrls": None}


def test_jwt_of_an_unverified_ca_is_withheld(api):
    """An unverified CA has no token; the answer says what is to be done. An unknown CA has none either."""
    key, token = add(api, CA.root(unique("root")).pem)
    answer = api.get(f"/cas/{key}/jwt")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert token in answer.error["cause"]["message"]
    assert api.get("/cas/unknown/jwt").status == 404


# --- an unverified CA enrolls nobody


def test_unverified_ca_is_refused_at_creation(api):
    """No ottca enrollment is made for an unverified CA, neither with the identity nor for one that exists."""
    key, _ = add(api, CA.root(unique("root")).pem)
    body = identity_body(enrollment={"ottca": key})
    answer = api.post("/identities", body)
    assert answer.status == 400
    assert "not verified" in json.dumps(answer.error["cause"])
    assert api.get("/identities", filter=f'name="{body["name"]}"').ok() == []
    identity = api.create("/identities", identity_body())
    wanted = {"method": "ottca", "identityId": identity, "caId": key, "expiresAt": "2099-01-01T00:00:00Z"}
    answer = api.post("/enrollments", wanted)
    assert answer.status == 400
    assert "not verified" in json.dumps(answer.error["cause"])
    assert api.detail("/identities", identity)["enrollment"] == {}


@pytest.mark.parametrize("chosen", ["unknown", "", None])
def test_ottca_needs_a_ca(api, chosen):
    """An ottca enrollment without a CA that exists is refused."""
    identity = api.create("/identities", identity_body())
    wanted = {"method": "ottca", "identityId": identity, "caId": chosen, "expiresAt": "2099-01-01T00:00:00Z"}
    assert api.post("/enrollments", wanted).status == 400


# --- deletion


def test_deleting_a_ca(controller, api, tmp_path):
    """Pending ottca tokens go with the CA, its people stay, their sessions end and they cannot log in."""
    root = CA.root(unique("root"))
    ca = import_ca(api, root, identityNameFormat="[commonName]")
    waiting, found = pending(api, "ottca", ca)
    name = unique("auto")
    client = client_with(controller, root.leaf(name), tmp_path)
    enroll(client, "ca").ok()
    client.login_by_certificate()
    client.get("/current-identity").ok()

    api.delete(f"/cas/{ca}").ok()
    assert api.get(f"/cas/{ca}").status == 404
    assert client.get("/current-identity").status == 401
    assert login(client).code == "INVALID_AUTH"
    assert len(api.get("/identities", filter=f'name="{name}"').ok()) == 1
    assert api.detail("/identities", waiting)["enrollment"] == {}
    other = client_with(controller, root.leaf(unique("x")), tmp_path)
    assert enroll(other, "ottca", found["token"]).code == "INVALID_ENROLLMENT_TOKEN"
    assert enroll(other, "ca").code == "CERT_FAILED_VALIDATION"
    assert api.delete(f"/cas/{ca}").status == 404
