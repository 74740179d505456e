"""API session certificates: short-lived certificates of one session, seen by its owner only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from tests.certificates import csr
from tests.controllers import CLIENT, Api, Controller
from tests.flows import certified, read_chain, with_password

PATH = "/current-api-session/certificates"


@pytest.fixture
def user(controller: Controller, api: Api) -> tuple[str, Api]:
    """Give an identity with a password session on the client API: its id and its client."""
    key, name, password = with_password(api)
    return key, controller.api().on(CLIENT).login(name, password)


def test_a_csr_becomes_a_certificate_of_twelve_hours_for_this_session(user):
    key, client = user
    request, private = csr("whatever", sans=("evil.example", "spiffe://evil/identity/x"))
    made = client.post(PATH, {"csr": request}).ok(201)
    issued = read_chain(made["certificate"], private)
    session = client.get("/current-api-session").ok()["id"]
    names = issued.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uri.endswith(f"/identity/{key}/apiSession/{session}/apiSessionCertificate/{made['id']}")
    assert len(list(names)) == 1
    assert issued.certificate.subject.rfc4514_string() == f"CN={key}"
    left = issued.certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(hours=11, minutes=55) < left <= timedelta(hours=12)
    assert made["cas"].count("BEGIN CERTIFICATE") == 2
    shown = client.get(f"{PATH}/{made['id']}").ok()
    assert (shown["fingerprint"], shown["certificate"]) == (issued.fingerprint, made["certificate"])


def test_the_certificate_that_opened_the_session_is_listed(controller: Controller, api: Api, tmp_path):
    _, issued, client = certified(controller, api, tmp_path)
    client = client.on(CLIENT).login_by_certificate()
    (only,) = client.get(PATH).ok()
    assert only["fingerprint"] == issued.fingerprint
    assert (
        client.on(CLIENT)
        .get(PATH, filter=f'fingerprint="{issued.fingerprint}"')
        .body["meta"]["pagination"]["totalCount"]
    )


def test_they_can_be_deleted_and_are_gone_with_the_session(user):
    _, client = user
    first, second = (client.post(PATH, {"csr": csr()[0]}).ok(201)["id"] for _ in range(2))
    client.delete(f"{PATH}/{first}").ok()
    assert client.delete(f"{PATH}/{first}").status == 404
    assert [one["id"] for one in client.get(PATH).ok()] == [second]


def test_nobody_else_sees_them(controller: Controller, api: Api, user):
    key, client = user
    made = client.post(PATH, {"csr": csr()[0]}).ok(201)["id"]
    _, name, password = with_password(api)
    other = controller.api().on(CLIENT).login(name, password)
    assert other.get(PATH).ok() == []
    assert other.get(f"{PATH}/{made}").status == 404
    assert other.delete(f"{PATH}/{made}").status == 404
    again = api.on(CLIENT)
    assert again.get(f"{PATH}/{made}").status == 404
    assert client.get(f"{PATH}/{made}").ok()["subject"] == f"CN={key}"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"csr": "garbage"}, 400, "COULD_NOT_PROCESS_CSR"),
        ({}, 400, "COULD_NOT_VALIDATE"),
        ({"csr": 5}, 400, "COULD_NOT_PARSE_BODY"),
    ],
)
def test_bad_requests(user, body, status, code):
    answer = user[1].post(PATH, body)
    assert (answer.status, answer.code) == (status, code)


def test_a_session_is_needed(controller: Controller):
    assert controller.api().on(CLIENT).post(PATH, {"csr": csr()[0]}).status == 401


def test_a_session_certificate_is_no_way_to_log_in(controller: Controller, user, tmp_path):
    request, private = csr()
    issued = read_chain(user[1].post(PATH, {"csr": request}).ok(201)["certificate"], private)
    client = controller.api(issued.write(tmp_path)).on(CLIENT)
    assert client.post("/authenticate", {}, params={"method": "cert"}).code == "INVALID_AUTH"
