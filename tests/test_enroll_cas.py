"""Enrollment with certificates of third-party CAs over mutual TLS: ottca and automatic."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.certificates import CA, SERVER_AUTH, Issued, self_signed
from tests.controllers import CLIENT, Answer, Api
from tests.flows import (
    JSON,
    SWITCHES,
    TEXT,
    by_name,
    certified,
    client_with,
    enroll,
    import_ca,
    in_the_past,
    login,
    pending,
    sql,
    unique,
    verify,
)
from tests.openssl import Files, Key, Maker

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command on this machine")


@pytest.fixture
def root() -> CA:
    return CA.root(unique("root"))


@pytest.fixture
def ca(api, root) -> str:
    """A verified CA that names identities by the common name alone."""
    return import_ca(api, root, identityNameFormat="[commonName]", identityRoles=["#made", "plain"])


@pytest.fixture
def present(controller, tmp_path) -> Callable[[Issued], Api]:
    """Make a client that presents a certificate."""
    return lambda issued: client_with(controller, issued, tmp_path)


def forms(method: str, token: str | None) -> dict[str, Callable[[Api], Answer]]:
    """Every way in which clients ask for this enrollment."""
    path = f"/enroll/{method}"
    body = {} if token is None else {"token": token}
    return {
        "plain text": lambda client: enroll(client, method, token, "", TEXT),
        "empty JSON": lambda client: enroll(client, method, token, "", JSON),
        "JSON object": lambda client: enroll(client, method, token, {}),
        "no content type": lambda client: enroll(client, method, token),
        "own path": lambda client: client.on(CLIENT).post(path, body),
    }


FORMS = list(forms("ca", None))


# --- certificates that must pass, and that must not


def corpus(make: Maker, issuer: Files, case: str) -> tuple[Path, Path]:
    """Client certificate (and chain) and key as openssl makes them."""
    name = unique("device")
    if case in ("RSA", "EC", "Ed25519"):
        kind: Key = case  # type: ignore[assignment]
        return make.issue(name, issuer, kind=kind).with_chain()
    extensions = {
        "version 1": (),
        "CN only": ("basicConstraints=CA:FALSE",),
        "client usage": ("extendedKeyUsage=clientAuth",),
        "both usages": ("extendedKeyUsage=serverAuth,clientAuth", "keyUsage=critical,digitalSignature"),
        "mail": ("subjectAltName=email:a@example.test",),
    }
    if case in extensions:
        return make.issue(name, issuer, extensions=extensions[case]).with_chain()
    inter = make.intermediate("inter", issuer)
    lower = make.intermediate("lower", inter)
    leaf = make.issue(name, lower)
    parts = {"inter": inter, "lower": lower, "root": issuer}
    return leaf.with_chain(*(parts[word] for word in case.split()))


GOOD = ["version 1", "CN only", "client usage", "both usages", "mail", "RSA", "Ed25519"]
CHAINS = ["lower inter", "lower inter root", "inter lower"]
COMBINED = [("EC", case) for case in GOOD + CHAINS] + [(kind, GOOD[0]) for kind in ("RSA", "Ed25519")]


@needs_openssl
@pytest.mark.parametrize(("kind", "case"), COMBINED)
def test_what_openssl_makes_enrolls_and_logs_in(controller, api, tmp_path, kind, case):
    """Plain openssl certificates enroll by ottca, then log in, through intermediates in any order."""
    make = Maker(tmp_path)
    issuer = make.root(unique("root"), kind)
    body = {"name": unique("ca"), "certPem": issuer.pem, "identityRoles": [], **dict.fromkeys(SWITCHES, True)}
    ca = api.create("/cas", body)
    proof = make.issue("proof", issuer, subject=f"/CN={api.detail('/cas', ca)['verificationToken']}")
    verify(api, ca, proof.pem).ok()
    client = controller.api(corpus(make, issuer, case))
    key, found = pending(api, "ottca", ca)
    enroll(client, "ottca", found["token"]).ok()
    assert login(client).ok()["identityId"] == key


BAD: dict[str, Callable[[CA], Issued | None]] = {
    "none": lambda root: None,
    "self-signed": lambda root: self_signed(unique("x")),
    "unknown CA": lambda root: CA.root(unique("x")).leaf(unique("x")),
    "CA of the same name": lambda root: CA.root(root.certificate.subject.rfc4514_string()[3:]).leaf(unique("x")),
    "expired": lambda root: root.leaf(unique("x"), starts=timedelta(days=-2), ends=timedelta(days=-1)),
    "not yet valid": lambda root: root.leaf(unique("x"), starts=timedelta(days=1)),
    "server usage": lambda root: root.leaf(unique("x"), usages=(SERVER_AUTH,)),
    "chain missing": lambda root: _alone(root.intermediate("i").leaf(unique("x"))),
    "expired intermediate": lambda root: root.intermediate(
        "i", starts=timedelta(days=-2), ends=timedelta(days=-1)
    ).leaf(unique("x")),
    "issued by a leaf": lambda root: _as_ca(root.leaf("leaf")).leaf(unique("x")),
}


def _alone(issued: Issued) -> Issued:
    return Issued(issued.certificate, issued.key)


def _as_ca(issued: Issued) -> CA:
    return CA(issued.certificate, issued.key)


@pytest.mark.parametrize("case", BAD)
def test_bad_certificate(controller, api, ca, root, present, case):
    """A certificate that the CA does not vouch for is refused by both methods, with their codes and a reason."""
    issued = BAD[case](root)
    client = present(issued) if issued else controller.api()
    key, found = pending(api, "ottca", ca)
    for answer, code in (
        (enroll(client, "ottca", found["token"]), "CERTIFICATE_FAILED_VALIDATION"),
        (enroll(client, "ca"), "CERT_FAILED_VALIDATION"),
    ):
        assert (answer.status, answer.code) == (400, code)
        assert len(answer.error["cause"]["message"]) > 10
    shown = api.detail("/identities", key)
    assert shown["authenticators"] == {}
    assert "ottca" in shown["enrollment"]


def test_certificate_of_our_own_is_no_third_party_one(controller, api, ca, tmp_path):
    """A certificate that we issued enrolls neither by ottca nor automatically."""
    _, _, client = certified(controller, api, tmp_path)
    _, found = pending(api, "ottca", ca)
    assert enroll(client, "ottca", found["token"]).code == "CERTIFICATE_FAILED_VALIDATION"
    assert enroll(client, "ca").code == "CERT_FAILED_VALIDATION"


# --- ottca


@pytest.mark.parametrize("form", FORMS)
def test_ottca_forms(api, ca, root, present, form):
    """Every form of the request enrolls; the token is then spent, for every other certificate."""
    key, found = pending(api, "ottca", ca)
    client = present(root.leaf(unique("d")))
    data = forms("ottca", found["token"])[form](client).ok()
    assert len(data["controllers"]) == 1
    assert login(client).ok()["identityId"] == key
    again = forms("ottca", found["token"])[form](present(root.leaf(unique("d"))))
    assert (again.status, again.code) == (400, "INVALID_ENROLLMENT_TOKEN")


def test_ottca_with_a_certificate_of_another_ca(api, ca, present):
    """The CA that the enrollment names must have issued the certificate, not any other verified one."""
    other = CA.root(unique("other"))
    import_ca(api, other)
    key, found = pending(api, "ottca", ca)
    answer = enroll(present(other.leaf(unique("d"))), "ottca", found["token"])
    assert (answer.status, answer.code) == (400, "CERTIFICATE_FAILED_VALIDATION")
    assert api.detail("/identities", key)["authenticators"] == {}


def test_ottca_with_a_certificate_in_use(api, ca, root, present):
    """A certificate identifies one identity; the second gets 409 and keeps its token."""
    client = present(root.leaf(unique("d")))
    first, found = pending(api, "ottca", ca)
    enroll(client, "ottca", found["token"]).ok()
    second, found = pending(api, "ottca", ca)
    answer = enroll(client, "ottca", found["token"])
    assert (answer.status, answer.code) == (409, "CERT_IN_USE")
    assert login(client).ok()["identityId"] == first
    enroll(present(root.leaf(unique("d"))), "ottca", found["token"]).ok()
    assert "cert" in api.detail("/identities", second)["authenticators"]


def test_ottca_token_that_expired(controller, api, ca, root, present):
    """The server refuses an expired token."""
    _, found = pending(api, "ottca", ca)
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE token = ?", in_the_past(), found["token"])
    answer = enroll(present(root.leaf(unique("d"))), "ottca", found["token"])
    assert (answer.status, answer.code) == (400, "ENROLLMENT_EXPIRED")


@pytest.mark.parametrize("token", [None, "", "00000000-0000-4000-8000-000000000000"])
def test_ottca_without_a_token(api, ca, root, present, token):
    """A good certificate alone is not enough for ottca."""
    answer = enroll(present(root.leaf(unique("d"))), "ottca", token)
    assert (answer.status, answer.code) == (400, "INVALID_ENROLLMENT_TOKEN")


# --- automatic


@pytest.mark.parametrize("form", FORMS)
def test_auto_forms(api, ca, root, present, form):
    """Every form of the request makes the identity: named, with the CA's roles; the answer tells nothing."""
    name = unique("auto")
    client = present(root.leaf(name))
    assert forms("ca", None)[form](client).ok() == {}
    (made,) = by_name(api, "/identities", name)
    assert made["roleAttributes"] == ["made", "plain"]
    assert made["isAdmin"] is False
    assert login(client).ok()["identityId"] == made["id"]


@pytest.mark.parametrize("form", FORMS)
def test_auto_with_the_same_certificate_twice(api, ca, root, present, form):
    """The second time is 409 and makes nothing."""
    name = unique("auto")
    client = present(root.leaf(name))
    enroll(client, "ca").ok()
    answer = forms("ca", None)[form](client)
    assert (answer.status, answer.code) == (409, "CERT_IN_USE")
    assert by_name(api, "/identities", f"{name}000001") == []


REPLACED = {
    "[caName]": "{ca_name}",
    "[caId]": "{ca_id}",
    "[commonName]": "{cn}",
    "[requestedName]": "{requested}",
    "[identityId]": "{id}",
    "[caName]-[caId]/[commonName] [requestedName]-[identityId]": "{ca_name}-{ca_id}/{cn} {requested}-{id}",
    "": "{ca_name}-{cn}",
    "[bogus]-[commonName]": "[bogus]-{cn}",
    "[COMMONNAME]-[commonName]": "[COMMONNAME]-{cn}",
    "[[commonName]]": "[{cn}]",
}


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("wanted", REPLACED)
def test_name_formats(api, root, present, wanted, asked):
    """All five replacements work; without a requested name the id stands in; the rest stays as it is."""
    name = unique("ca")
    ca = import_ca(api, root, name=name, identityNameFormat=wanted)
    cn, requested = unique("cn"), unique("requested")
    client = present(root.leaf(cn))
    enroll(client, "ca", body={"name": requested} if asked else None).ok()
    key = login(client).ok()["identityId"]
    values = {"ca_name": name, "ca_id": ca, "cn": cn, "requested": requested if asked else key, "id": key}
    assert api.detail("/identities", key)["name"] == REPLACED[wanted].format(**values)


@pytest.mark.parametrize("cn", ['quote"d', "ünï©ode", "a b", "x" * 64, "[caName]", "%s{}", "<b>"])
def test_odd_common_names(api, root, present, cn):
    """A name is taken as it is; what looks like a replacement inside it is not replaced again."""
    prefix = unique("ca")
    import_ca(api, root, name=prefix)
    client = present(root.leaf(cn))
    enroll(client, "ca").ok()
    assert api.detail("/identities", login(client).ok()["identityId"])["name"] == f"{prefix}-{cn}"


def test_certificate_without_a_name(api, ca, root, present):
    """An empty common name under `[commonName]` gives the identity's id as name."""
    client = present(root.leaf(None))
    enroll(client, "ca").ok()
    key = login(client).ok()["identityId"]
    assert api.detail("/identities", key)["name"] == key


def test_taken_names_are_numbered(api, ca, root, present):
    """Names that collide get a six-digit number that counts up, and it does not compound."""
    name = unique("n")
    for _ in range(4):
        enroll(present(root.leaf(name)), "ca").ok()
    found = [one["name"] for one in api.get("/identities", filter=f'name contains "{name}" sort by name').ok()]
    assert found == [name, f"{name}000001", f"{name}000002", f"{name}000003"]


def test_numbering_skips_what_is_taken(api, ca, root, present):
    """A number that somebody took by hand is passed over."""
    name = unique("n")
    for taken in (name, f"{name}000001"):
        api.create("/identities", {"name": taken, "type": "Default", "isAdmin": False})
    enroll(present(root.leaf(name)), "ca").ok()
    assert len(by_name(api, "/identities", f"{name}000002")) == 1


# --- external ids


def claim(location: str, matcher: str = "ALL", criteria: str = "", *, parser: str = "NONE", separator: str = "", n=0):
    return {
        "location": location,
        "matcher": matcher,
        "matcherCriteria": criteria,
        "parser": parser,
        "parserCriteria": separator,
        "index": n,
    }


CLAIMS = {
    "common name": (claim("COMMON_NAME"), lambda u: (u, ()), "{u}"),
    "prefix": (claim("COMMON_NAME", "PREFIX", "id-"), lambda u: (f"id-{u}", ()), "{u}"),
    "suffix": (claim("COMMON_NAME", "SUFFIX", ".x"), lambda u: (f"{u}.x", ()), "{u}"),
    "mail": (claim("SAN_EMAIL"), lambda u: ("x", (f"{u}@example.test",)), "{u}@example.test"),
    "uri": (claim("SAN_URI", "SCHEME", "app"), lambda u: ("x", (f"web://{u}", f"app://{u}")), "app://{u}"),
    "split": (claim("COMMON_NAME", parser="SPLIT", separator="/", n=1), lambda u: (f"a/{u}/c", ()), "{u}"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_external_id_from_the_certificate(api, root, present, case):
    """The claim's value becomes the external id, and another certificate with it logs in as the same identity."""
    wanted, names, expected = CLAIMS[case]
    import_ca(api, root, externalIdClaim=wanted)
    u = unique("e")
    cn, sans = names(u)
    first, second = (present(root.leaf(cn, sans=sans)) for _ in range(2))
    enroll(first, "ca").ok()
    session = login(first).ok()
    shown = api.detail("/identities", session["identityId"])
    assert shown["externalId"] == expected.format(u=u)
    assert shown["authenticators"] == {}
    assert session["authenticatorId"] == "internal"
    assert login(second).ok()["identityId"] == session["identityId"]
    again = enroll(second, "ca")
    assert (again.status, again.code) == (400, "COULD_NOT_VALIDATE")


def test_certificate_without_the_claim(api, root, present):
    """A certificate that lacks the claim enrolls nobody."""
    import_ca(api, root, externalIdClaim=claim("SAN_EMAIL"))
    name = unique("x")
    answer = enroll(present(root.leaf(name)), "ca")
    assert (answer.status, answer.code) == (400, "MISSING_CERT_CLAIM")
    assert api.get("/identities", filter=f'name contains "{name}"').ok() == []


_WORDS = {"ALL", "PREFIX", "SUFFIX"}
ALLOWED = {"COMMON_NAME": _WORDS, "SAN_EMAIL": _WORDS, "SAN_URI": {"ALL", "SCHEME"}}
PAIRS = list(itertools.product(ALLOWED, ["ALL", "PREFIX", "SUFFIX", "SCHEME"], ["x", ""]))


@pytest.mark.parametrize(("location", "matcher", "criteria"), PAIRS)
def test_claims_that_make_sense(api, root, location, matcher, criteria):
    """Only the pairs of place and matcher that mean something are taken, with a criterion where one is needed."""
    good = matcher in ALLOWED[location] and (matcher == "ALL" or criteria)
    body = {"name": unique("ca"), "certPem": root.pem, "identityRoles": [], **dict.fromkeys(SWITCHES, True)}
    answer = api.post("/cas", {**body, "externalIdClaim": claim(location, matcher, criteria)})
    assert answer.status == (201 if good else 400)
    assert answer.code == (None if good else "INVALID_FIELD")


# --- the three switches


def test_ottca_switch(api, ca, root, present):
    """With pre-created enrollment off no token of this CA is taken, with it on again the same token is."""
    key, found = pending(api, "ottca", ca)
    client = present(root.leaf(unique("d")))
    api.patch(f"/cas/{ca}", {"isOttCaEnrollmentEnabled": False}).ok()
    answer = enroll(client, "ottca", found["token"])
    assert (answer.status, answer.code) == (400, "ENROLLMENT_CA_NOT_VALID")
    assert api.detail("/identities", key)["authenticators"] == {}
    api.patch(f"/cas/{ca}", {"isOttCaEnrollmentEnabled": True}).ok()
    enroll(client, "ottca", found["token"]).ok()


def test_auto_switch(api, ca, root, present):
    """With automatic enrollment off nobody new comes in, but those enrolled still log in."""
    enrolled, fresh = present(root.leaf(unique("d"))), present(root.leaf(unique("d")))
    enroll(enrolled, "ca").ok()
    api.patch(f"/cas/{ca}", {"isAutoCaEnrollmentEnabled": False}).ok()
    answer = enroll(fresh, "ca")
    assert (answer.status, answer.code) == (400, "CERT_FAILED_VALIDATION")
    assert "switched off" in answer.error["cause"]["message"]
    login(enrolled).ok()
    api.patch(f"/cas/{ca}", {"isAutoCaEnrollmentEnabled": True}).ok()
    enroll(fresh, "ca").ok()


@pytest.mark.parametrize("verb", ["patch", "put"])
@pytest.mark.parametrize("claimed", [False, True])
def test_auth_switch_cuts_live_sessions(api, root, present, verb, claimed):
    """With connections off: enrollment goes on, logins are refused, and sessions of its people end at once."""
    more = {"externalIdClaim": claim("COMMON_NAME")} if claimed else {}
    ca = import_ca(api, root, **more)
    client, fresh = present(root.leaf(unique("d"))), present(root.leaf(unique("d")))
    enroll(client, "ca").ok()
    client.login_by_certificate()
    client.get("/current-identity").ok()
    whole = {k: v for k, v in api.detail("/cas", ca).items() if k in ("name", "identityNameFormat", *SWITCHES)}
    kept = {**whole, "identityRoles": [], **more} if verb == "put" else {}
    api.call(verb.upper(), f"/cas/{ca}", {**kept, "isAuthEnabled": False}).ok()

    assert client.get("/current-identity").status == 401
    assert login(client).code == "INVALID_AUTH"
    enroll(fresh, "ca").ok()
    assert login(fresh).code == "INVALID_AUTH"
    api.patch(f"/cas/{ca}", {"isAuthEnabled": True}).ok()
    login(client).ok()
    login(fresh).ok()


def test_unverified_ca_at_use(controller, api, ca, root, present):
    """A token whose CA is no longer verified buys nothing, and its certificates make no identities."""
    key, found = pending(api, "ottca", ca)
    client = present(root.leaf(unique("d")))
    sql(controller, "UPDATE ca SET is_verified = FALSE WHERE id = ?", ca)
    answer = enroll(client, "ottca", found["token"])
    assert (answer.status, answer.code) == (400, "ENROLLMENT_CA_NOT_VALID")
    assert "not verified" in answer.error["cause"]["message"]
    answer = enroll(client, "ca")
    assert (answer.status, answer.code) == (400, "CERT_FAILED_VALIDATION")
    assert "not verified" in answer.error["cause"]["message"]
    assert api.detail("/identities", key)["authenticators"] == {}


def test_expired_certificate_logs_in_unless_forbidden(controller, api, ca, root, present):
    """An enrolled certificate that expired since logs in under the default policy, and not under a strict one."""
    client = present(root.leaf(unique("d")))
    enroll(client, "ca").ok()
    key = login(client).ok()["identityId"]
    expired = root.leaf(unique("d"), starts=timedelta(days=-2), ends=timedelta(days=-1))
    late = present(expired)
    sql(controller, "UPDATE authenticator SET cert_fingerprint = ? WHERE identity_id = ?", expired.fingerprint, key)
    assert login(late).ok()["identityId"] == key
    strict = {
        "name": unique("policy"),
        "primary": {
            "cert": {"allowed": True, "allowExpiredCerts": False},
            "extJwt": {"allowed": False, "allowedSigners": []},
            "updb": {
                **dict.fromkeys(("allowed", "requireMixedCase", "requireNumberChar", "requireSpecialChar"), False),
                **dict.fromkeys(("lockoutDurationMinutes", "maxAttempts"), 0),
                "minPasswordLength": 5,
            },
        },
        "secondary": {"requireTotp": False},
    }
    policy = api.create("/auth-policies", strict)
    api.patch(f"/identities/{key}", {"authPolicyId": policy}).ok()
    assert login(late).code == "INVALID_AUTH"
