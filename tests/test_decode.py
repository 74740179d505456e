"""Certificates that somebody brings are shown in words; a proof is judged before it counts; a CA knows its people."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.certificates import CA, Issued, csr, key_pem, new_key, self_signed
from tests.controllers import Api
from tests.flows import (
    ca_body,
    client_with,
    enroll,
    import_ca,
    login,
    pending,
    sql,
    unique,
    verify,
)
from wire.resource import OWN

TABLES = ("ca", "attempt", "audit", "certificate_fact")


def decode(api: Api, content: str | bytes) -> Any:
    text = content if isinstance(content, str) else base64.b64encode(content).decode()
    return api.on(OWN).post("/certificates/decode", {"content": text})


def der(one: Issued) -> bytes:
    return one.certificate.public_bytes(serialization.Encoding.DER)


def bundle(*all_: Issued, encoding: Any = serialization.Encoding.DER) -> bytes:
    return pkcs7.serialize_certificates([one.certificate for one in all_], encoding)


@pytest.fixture(scope="module")
def root() -> CA:
    return CA.root(unique("root"))


FORMS = {
    "pem": lambda one: one.pem,
    "pem with text around": lambda one: f"Dear colleague,\r\n\r\n{one.pem}\r\nregards",
    "pem file": lambda one: one.pem.encode(),
    "utf-16 file": lambda one: one.pem.encode("utf-16"),
    "der": der,
    "base64 without frame": lambda one: base64.encodebytes(der(one)),
    "pkcs7 der": bundle,
    "pkcs7 pem": lambda one: bundle(one, encoding=serialization.Encoding.PEM).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_is_read(api, root, form):
    (found,) = decode(api, FORMS[form](root)).ok()
    assert found["commonName"] == root.certificate.subject.rfc4514_string().removeprefix("CN=")
    assert (found["sha1"], found["pem"]) == (root.fingerprint, root.pem)
    assert (found["isCa"], found["isIssuing"], found["selfSigned"], found["keyKind"]) == (True, True, True, "P-256")


def test_fingerprints_are_those_of_openssl(api, root):
    (found,) = decode(api, root.pem).ok()
    for name in ("sha1", "sha256"):
        said = (
            subprocess.run(
                ["openssl", "x509", "-noout", "-fingerprint", f"-{name}"],
                input=root.pem,
                capture_output=True,
                text=True,
                check=True,
            )
            .stdout.strip()
            .partition("=")[2]
        )
        assert found[name].replace(":", "").lower() == said.replace(":", "").lower()


def test_of_a_chain_the_issuing_authority_is_named(api, root):
    """In whatever order it comes; the leaf is no authority."""
    middle = root.intermediate(unique("middle"))
    leaf = middle.leaf(unique("leaf"))
    for order in ((root, leaf, middle), (middle, root, leaf), (leaf, middle, root)):
        found = decode(api, "".join(one.pem for one in order)).ok()
        assert [f["sha1"] for f in found] == [one.fingerprint for one in order]
        assert [f["sha1"] for f in found if f["isIssuing"]] == [middle.fingerprint]


def warnings(api: Api, content: str) -> str:
    answer = decode(api, content)
    return " | ".join([w for f in answer.ok() for w in f["warnings"]] + answer.body["meta"]["notes"])


def test_warnings_are_sentences(api, root):
    assert "expired on" in warnings(api, CA.root("old", starts=timedelta(-9), ends=timedelta(-1)).pem)
    assert "not valid before" in warnings(api, CA.root("new", starts=timedelta(1)).pem)
    assert "ends in 29 days" in warnings(api, CA.root("short").pem)
    leaf = warnings(api, self_signed("leaf").pem)
    assert "it is not a CA" in leaf
    assert "none of these is a CA" in leaf
    assert "if an intermediate issues" in warnings(api, root.pem)
    assert "if an intermediate issues" not in warnings(api, root.pem + root.intermediate().pem)


def test_a_ca_that_is_there_is_named(api, root):
    name = unique("ca")
    key = import_ca(api, root, verified=False, name=name)
    (found,) = decode(api, root.pem).ok()
    assert found["importedAs"] == {"id": key, "name": name}
    assert f"imported already, as '{name}'" in found["warnings"][0]
    api.delete(f"/cas/{key}").ok()


def test_a_weak_signature_is_told(api, tmp_path):
    """openssl makes what no library of today wants to make."""
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    root, key = tmp_path / "root.pem", tmp_path / "root.key"
    subprocess.run([*run, "-keyout", key, "-out", root, "-subj", "/CN=r"], check=True, capture_output=True)
    sub, request = tmp_path / "sub.pem", tmp_path / "sub.csr"
    subprocess.run(
        [
            "openssl",
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            tmp_path / "sub.key",
            "-out",
            request,
            "-subj",
            "/CN=s",
        ],
        check=True,
        capture_output=True,
    )
    (tmp_path / "ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\n")
    subprocess.run(
        [
            "openssl",
            "x509",
            "-req",
            "-sha1",
            "-in",
            request,
            "-CA",
            root,
            "-CAkey",
            key,
            "-CAcreateserial",
            "-extfile",
            tmp_path / "ext",
            "-out",
            sub,
        ],
        check=True,
        capture_output=True,
    )
    (found,) = decode(api, sub.read_text()).ok()
    assert (found["signatureHash"], found["pathLength"]) == ("SHA1", 0)
    assert any("SHA1, which is broken" in w for w in found["warnings"])


def test_what_is_no_certificate_is_said(api):
    key = new_key()
    for content, words in (
        ("hello", "no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nMIIB", "cut off"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "malformed"),
        (csr("x")[0], "certificate request"),
        (key_pem(key), "private key, which nobody"),
        (b"\x30\x82\x10\x00\x02\x01\x03" + b"\0" * 99, "PKCS#12"),
        (b"\x30\x03\x02\x01\x07", "malformed"),
    ):
        answer = decode(api, content)
        assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
        assert words in answer.error["cause"]["reason"]
        assert key_pem(key)[30:60] not in json.dumps(answer.body)


def test_a_key_beside_the_certificate_is_warned_of_and_not_given_back(api, root):
    answer = decode(api, key_pem(root.key) + root.pem)
    answer.ok()
    assert "private key" in answer.body["meta"]["notes"][0]
    assert "PRIVATE" not in json.dumps(answer.body).replace("private key", "")


def test_decoding_writes_nothing_and_needs_a_permission(controller, api, root):
    before = {t: sql(controller, f"SELECT count(*) FROM {t}") for t in TABLES}
    decode(api, root.pem).ok()
    assert {t: sql(controller, f"SELECT count(*) FROM {t}") for t in TABLES} == before
    assert controller.api().on(OWN).post("/certificates/decode", {"content": root.pem}).status == 401


# --- a proof, before it counts


def check(api: Api, ca: str, content: str) -> Any:
    return api.on(OWN).post(f"/cas/{ca}/verify/check", content, headers={"Content-Type": "text/plain"}).ok()


def steps(found: Any) -> dict[str, bool | None]:
    return {step["id"]: step["ok"] for step in found["steps"]}


@pytest.fixture
def waiting(api, root):
    """A CA that is not verified: its id and token."""
    key = import_ca(api, root, verified=False)
    yield key, api.detail("/cas", key)["verificationToken"]
    api.delete(f"/cas/{key}").ok()


def test_a_good_proof_passes_and_is_not_taken_yet(controller, api, root, waiting):
    key, token = waiting
    before = {t: sql(controller, f"SELECT count(*) FROM {t}") for t in TABLES}
    found = check(api, key, root.leaf(token).pem)
    assert found["accepted"] is True
    assert set(steps(found).values()) == {True}
    assert api.detail("/cas", key)["isVerified"] is False
    assert {t: sql(controller, f"SELECT count(*) FROM {t}") for t in TABLES} == before
    middle = root.intermediate(unique("middle"))
    through = middle.leaf(token)
    assert check(api, key, root.pem + middle.pem + through.pem)["accepted"] is True
    assert steps(check(api, key, through.pem))["issuer"] is False


def test_each_mistake_is_at_its_step_with_the_words_of_verify(api, root, waiting):
    key, token = waiting
    cases = (
        ("nonsense", "certificate"),
        (root.leaf("other").pem, "name"),
        (CA.root(unique("foreign")).leaf(token).pem, "issuer"),
        (root.leaf(token, starts=timedelta(-3), ends=timedelta(-1)).pem, "dates"),
    )
    for content, step in cases:
        found = check(api, key, content)
        refused = next(s for s in found["steps"] if s["ok"] is False)
        assert (found["accepted"], refused["id"]) == (False, step)
        after = [s["ok"] for s in found["steps"][found["steps"].index(refused) + 1 :]]
        assert set(after) <= {None}
        real = verify(api, key, content)
        assert real.code == refused["code"]


def test_of_a_verified_authority_it_says_that_nothing_is_left(api, root):
    key = import_ca(api, root)
    found = check(api, key, root.leaf("x").pem)
    assert steps(found)["open"] is False
    assert "verified already" in found["steps"][0]["reason"]
    api.delete(f"/cas/{key}").ok()


# --- its people


def people(api: Api, ca: str) -> Any:
    return api.on(OWN).get(f"/cas/{ca}/people").ok()


def test_a_ca_knows_its_people(controller, api, root, tmp_path):
    """How many came from it, can connect, have no other way in; and filters find them."""
    key = import_ca(api, root)
    assert people(api, key)["identities"] == 0
    issued = [root.leaf(unique("box")) for _ in range(3)]
    clients = [client_with(controller, one, tmp_path) for one in issued]
    for client in clients:
        enroll(client, "ca").ok()
    pending(api, "ottca", key)
    login(clients[0]).ok()
    found = people(api, key)
    assert (found["identities"], found["able"], found["canConnect"], found["onlyWayIn"]) == (3, 3, 3, 3)
    assert (found["sessions"], found["pendingTokens"], len(found["newest"])) == (1, 1, 3)
    listed = api.on(OWN).get("/identities", filter=f'caId = "{key}"').ok()
    assert {i["id"] for i in listed} == {i["id"] for i in found["newest"]}
    api.post(f"/identities/{listed[0]['id']}/disable", {"durationMinutes": 0}).ok()
    api.on(OWN).create(
        "/blocked-certificates",
        {
            "certPem": next(
                one.pem
                for one in issued
                if one.certificate.subject.rfc4514_string().removeprefix("CN=") in listed[1]["name"]
            )
        },
    )
    assert people(api, key)["canConnect"] == 1
    body = {"method": "updb", "identityId": listed[2]["id"], "username": unique("user"), "password": "long enough 1"}
    api.create("/authenticators", body)
    assert people(api, key)["onlyWayIn"] == 2
    api.patch(f"/cas/{key}", {"isAuthEnabled": False}).ok()
    found = people(api, key)
    assert (found["canConnect"], found["able"], found["sessions"]) == (0, 1, 0)
    api.delete(f"/cas/{key}").ok()


def test_there_is_no_such_ca(api):
    assert api.on(OWN).get("/cas/none/people").status == 404
    answer = api.on(OWN).post("/cas/none/verify/check", ca_body("x")["certPem"], headers={"Content-Type": "text/plain"})
    assert answer.status == 404
