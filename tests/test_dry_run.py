"""The dry run says what the real enrollment then does, to the letter, and writes nothing."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.certificates import CA, SERVER_AUTH, Issued, csr, self_signed
from tests.controllers import Api
from tests.events import OWN
from tests.flows import (
    PEM,
    by_name,
    client_with,
    enroll,
    enroll_ott,
    import_ca,
    in_the_past,
    login,
    pending,
    sql,
    unique,
    verify,
    with_password,
)


@pytest.fixture(scope="module")
def root():
    return CA.root(unique("root"))


@pytest.fixture
def ca(api, root):
    key = import_ca(api, root, identityRoles=["plant", "line-a"], identityNameFormat="[caName]-[commonName]")
    yield key
    api.delete(f"/cas/{key}").ok()


def ask(api: Api, **body: Any) -> Any:
    return api.on(OWN).post("/enroll/dry-run", body).ok()


def rows(controller: Any) -> Any:
    """Everything that an enrollment writes to."""
    tables = ("identity", "authenticator", "enrollment", "name_counter", "spent_token", "attempt", "audit")
    return {table: sql(controller, f"SELECT count(*) FROM {table}") for table in tables}


def test_it_foretells_automatic_enrollment(controller, api, ca, root, tmp_path):
    """Name, attributes, CA and the login afterwards come out as foretold."""
    name = unique("box")
    issued = root.leaf(name)
    api.on(OWN).get("/attempts").ok()
    before = rows(controller)
    told = ask(api, certificates=issued.pem)
    assert rows(controller) == before
    assert (told["accepted"], told["error"], told["method"]) == (True, None, "ca")
    assert (told["ca"]["id"], told["ca"]["isAuthEnabled"]) == (ca, True)
    assert told["canConnect"]["allowed"] is True
    client = client_with(controller, issued, tmp_path)
    enroll(client, "ca").ok()
    (made,) = by_name(api, "/identities", told["identity"]["name"])
    assert made["roleAttributes"] == told["identity"]["roleAttributes"] == ["line-a", "plant"]
    assert made["authPolicyId"] == told["identity"]["authPolicyId"]
    assert login(client).ok()["identityId"] == made["id"]


def test_collision_suffix_is_told_and_not_taken(controller, api, ca, root, tmp_path):
    name = unique("box")
    enroll(client_with(controller, root.leaf(name), tmp_path), "ca").ok()
    second = root.leaf(name)
    for _ in range(2):
        told = ask(api, certificates=second.pem)["identity"]
        assert told["name"] == f"{told['nameWithoutSuffix']}000001"
    enroll(client_with(controller, second, tmp_path), "ca").ok()
    assert len(by_name(api, "/identities", told["name"])) == 1


def _swapped(issued: Issued) -> str:
    certs = [Issued(one, None).pem for one in (issued.certificate, *issued.above)]
    return "".join(reversed(certs))


def _der(issued: Issued) -> str:
    return base64.b64encode(issued.certificate.public_bytes(serialization.Encoding.DER)).decode()


@pytest.mark.parametrize("form", [lambda i: i.chain_pem, _swapped, lambda i: "some text\n" + i.chain_pem])
def test_chain_in_any_order(api, ca, root, form):
    issued = root.intermediate(unique("line")).leaf(unique("box"))
    told = ask(api, certificates=form(issued))
    assert told["accepted"]
    assert [c["subject"] for c in told["chain"]] == [
        one.subject.rfc4514_string() for one in (issued.certificate, *issued.above)
    ]


def test_der_in_base64(api, ca, root):
    assert ask(api, certificates=_der(root.leaf(unique("box"))))["accepted"]


REFUSED = {
    "foreign": lambda root: CA.root("Foreign").leaf("x"),
    "same name, other key": lambda root: CA.root(root.certificate.subject.rfc4514_string()[3:]).leaf("x"),
    "expired": lambda root: root.leaf("x", starts=timedelta(days=-9), ends=timedelta(days=-1)),
    "not yet": lambda root: root.leaf("x", starts=timedelta(days=1)),
    "self-signed": lambda root: self_signed("x"),
    "for servers": lambda root: root.leaf("x", usages=(SERVER_AUTH,)),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("method", ["ca", "ottca"])
def test_refusal_is_the_real_one(controller, api, ca, root, tmp_path, case, method):
    """Status, code, message and cause are those of the real answer; the reason is the one in the log."""
    issued = REFUSED[case](root)
    found = pending(api, "ottca", ca)[1] if method == "ottca" else {}
    told = ask(api, certificates=issued.chain_pem, **({"jwt": found["jwt"]} if found else {}))
    answer = enroll(client_with(controller, issued, tmp_path), method, found.get("token"))
    assert (told["accepted"], told["identity"], told["canConnect"]) == (False, None, None)
    assert told["error"]["status"] == answer.status
    assert {k: v for k, v in told["error"].items() if k != "status"} == {
        k: v for k, v in answer.error.items() if k != "requestId"
    }
    logged = api.on(OWN).get("/attempts", filter=f'requestId="{answer.error["requestId"]}"').ok()
    assert [row["reason"] for row in logged] == [told["reason"]]


SWITCHES = {
    "isAutoCaEnrollmentEnabled": ("ca", "automatic enrollment"),
    "isOttCaEnrollmentEnabled": ("ottca", "pre-created enrollment"),
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_switch_that_is_off_is_named(api, ca, root, switch):
    method, words = SWITCHES[switch]
    found = pending(api, "ottca", ca)[1]
    api.patch(f"/cas/{ca}", {switch: False}).ok()
    told = ask(api, certificates=root.leaf("x").pem, **({"jwt": found["jwt"]} if method == "ottca" else {}))
    assert not told["accepted"]
    assert words in told["reason"]
    assert told["ca"]["id"] == ca
    (mine,) = [one for one in told["cas"] if one["id"] == ca]
    assert (mine["validates"], mine["enrolls"]) == (True, False)
    assert mine["reason"].startswith(f"it validates the certificate, but has {words}")


def test_each_ca_says_why_it_does_not_validate(api, ca, root):
    other = import_ca(api, CA.root(unique("other")))
    unverified = import_ca(api, CA.root(unique("unverified")), verified=False)
    told = {one["id"]: one for one in ask(api, certificates=root.leaf("x").pem)["cas"]}
    assert told[ca]["enrolls"]
    for key in (other, unverified):
        assert not told[key]["validates"]
        assert len(told[key]["reason"]) > 10


def test_connections_off_is_told_before_it_hurts(controller, api, ca, root, tmp_path):
    """It would enroll, and then not get in: the trap that users of the official controller fall into."""
    api.patch(f"/cas/{ca}", {"isAuthEnabled": False}).ok()
    issued = root.leaf(unique("box"))
    told = ask(api, certificates=issued.pem)
    assert told["accepted"]
    assert told["canConnect"]["allowed"] is False
    assert "connections (isAuthEnabled) switched off" in told["canConnect"]["reason"]
    client = client_with(controller, issued, tmp_path)
    enroll(client, "ca").ok()
    assert login(client).code == "INVALID_AUTH"


def test_ottca_names_the_announced_identity(controller, api, ca, root, tmp_path):
    key, found = pending(api, "ottca", ca)
    issued = root.leaf(unique("box"))
    told = ask(api, certificates=issued.pem, jwt=found["jwt"])
    assert (told["accepted"], told["method"]) == (True, "ottca")
    assert (told["identity"]["id"], told["identity"]["isNew"]) == (key, False)
    assert told["enrollment"]["id"] == found["id"]
    enroll(client_with(controller, issued, tmp_path), "ottca", found["token"]).ok()
    again = ask(api, certificates=issued.pem, jwt=found["jwt"])
    assert again["error"]["code"] == "INVALID_ENROLLMENT_TOKEN"
    assert "was used by" in again["reason"]


def test_certificate_in_use(controller, api, ca, root, tmp_path):
    issued = root.leaf(unique("box"))
    enroll(client_with(controller, issued, tmp_path), "ca").ok()
    told = ask(api, certificates=issued.pem)
    assert told["error"]["code"] == "CERT_IN_USE"
    _, found = pending(api, "ottca", ca)
    told = ask(api, certificates=issued.pem, jwt=found["jwt"])
    answer = enroll(client_with(controller, issued, tmp_path), "ottca", found["token"])
    assert told["error"] == {
        "status": answer.status,
        **{k: v for k, v in answer.error.items() if k != "requestId"},
    }


def test_external_id_of_a_claim(api, root):
    claim = {
        "location": "COMMON_NAME",
        "matcher": "ALL",
        "matcherCriteria": "",
        "parser": "NONE",
        "parserCriteria": "",
        "index": 0,
    }
    ca = import_ca(api, root, externalIdClaim=claim)
    name = unique("box")
    assert ask(api, certificates=root.leaf(name).pem)["identity"]["externalId"] == name
    told = ask(api, certificates=root.leaf(None).pem)
    assert (told["error"]["code"], told["accepted"]) == ("MISSING_CERT_CLAIM", False)
    assert "wants an external id in COMMON_NAME" in told["reason"]
    api.delete(f"/cas/{ca}").ok()


# --- tokens alone


@pytest.mark.parametrize("method", ["ott", "updb"])
def test_token_alone(controller, api, method, tmp_path):
    key, found = pending(api, method, True if method == "ott" else unique("user"))
    told = ask(api, jwt=found["jwt"])
    assert (told["accepted"], told["method"], told["identity"]["id"]) == (True, method, key)
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), found["id"])
    told = ask(api, jwt=found["jwt"])
    assert told["error"]["code"] == "ENROLLMENT_EXPIRED"
    assert f"/enrollments/{found['id']}/refresh" in told["reason"]


def test_bad_request_of_a_client_with_a_good_token(api):
    _, found = pending(api, "ott")
    told = ask(api, jwt=found["jwt"], clientCsr="garbage")
    answer = enroll(api, "ott", found["token"], "garbage", PEM)
    assert told["error"]["cause"] == answer.error["cause"]
    assert ask(api, jwt=found["jwt"], clientCsr=csr()[0])["accepted"]


def test_router_token(api):
    key = api.create("/edge-routers", {"name": unique("router"), "isTunnelerEnabled": False})
    told = ask(api, jwt=api.detail("/edge-routers", key)["enrollmentJwt"])
    assert (told["accepted"], told["method"]) == (True, "erott")


def test_spent_token(controller, api, tmp_path):
    _, found = pending(api, "ott")
    enroll_ott(controller, found["token"], tmp_path)
    assert "was used by" in ask(api, jwt=found["jwt"])["reason"]


def test_jwt_of_another_controller(api):
    _, found = pending(api, "ott")
    head, payload, _ = found["jwt"].split(".")
    told = ask(api, jwt=f"{head}.{payload}.{'A' * 342}")
    assert (told["accepted"], told["error"]["code"]) == (False, "INVALID_ENROLLMENT_TOKEN")
    assert "another controller" in told["reason"]
    assert not ask(api, jwt="garbage")["accepted"]


def test_reusable_token_of_a_ca(api, ca, root):
    jwt = api.call("GET", f"/cas/{ca}/jwt").body
    told = ask(api, jwt=jwt, certificates=root.leaf("x").pem)
    assert (told["accepted"], told["notes"]) == (True, [])


# --- the operation itself


@pytest.mark.parametrize("certificates", [None, "garbage", "AAAA", "", "gärbage", "-----BEGIN gärbage"])
def test_what_cannot_be_asked(api, certificates):
    body = {} if certificates is None else {"certificates": certificates}
    answer = api.on(OWN).post("/enroll/dry-run", body)
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert answer.error["cause"]["field"] == "certificates"


def test_private_key_given_by_mistake_is_not_repeated(api, root):
    issued = root.leaf("x")
    answer = api.on(OWN).post("/enroll/dry-run", {"certificates": issued.key_pem})
    assert answer.status == 400
    assert issued.key_pem.splitlines()[1] not in str(answer.body)


@pytest.mark.parametrize(("permissions", "status"), [(["enrollment.read"], 200), (["identity"], 401), ([], 401)])
def test_who_may_ask(controller, api, ca, root, permissions, status):
    _, user, password = with_password(api, permissions=permissions)
    client = controller.api().login(user, password).on(OWN)
    assert client.post("/enroll/dry-run", {"certificates": root.leaf("x").pem}).status == status


def test_unverified_ca(api):
    other = CA.root(unique("lab"))
    ca = import_ca(api, other, verified=False)
    told = ask(api, certificates=other.leaf("x").pem)
    assert told["ca"]["id"] == ca
    assert told["reason"].endswith("but that is not verified")
    verify(api, ca, other.leaf(api.detail("/cas", ca)["verificationToken"]).pem).ok()
    assert ask(api, certificates=other.leaf("x").pem)["accepted"]
