"""Nothing but openssl and curl: what the manual tells people to type."""

import json
import secrets
from typing import Any

import pytest

from tests.controllers import Controller
from tests.real.clients import Curl, OpenSsl, Pair, Preparation

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
LOGIN = "/edge/client/v1/authenticate?method=cert"
JSON = ("-H", "content-type: application/json", "-d", "{}")


def token_of(prepare: Preparation, identifier: str, method: str) -> str:
    return str(prepare.api.detail("/identities", identifier)["enrollment"][method]["token"])


def log_in(curl: Curl, pair: Pair) -> tuple[int, Any]:
    status, body = curl.send(LOGIN, *JSON, pair=pair)
    return status, json.loads(body)


@pytest.mark.parametrize("content_type", ["application/x-pem-file", "text/plain"])
@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA-2048"])
def test_a_request_made_by_openssl_enrolls(prepare: Preparation, openssl: OpenSsl, curl: Curl, kind, content_type):
    identifier, _ = prepare.jwt({"ott": True})
    key = openssl.key("device", kind)
    request = openssl.request("device", key, f"/C=DE/O=Example/CN={identifier}")
    path = f"/edge/client/v1/enroll?method=ott&token={token_of(prepare, identifier, 'ott')}"
    status, body = curl.send(path, "-H", f"content-type: {content_type}", "--data-binary", f"@{request}")
    assert status == 200, body
    pair = Pair(prepare.file("device.crt", json.loads(body)["data"]["cert"]), key)
    openssl.run("verify", "-CAfile", curl.ca_file, "-untrusted", pair.cert, "-purpose", "sslclient", pair.cert)
    status, session = log_in(curl, pair)
    assert (status, session["data"]["identityId"]) == (200, identifier)


def test_a_certificate_with_its_chain_enrolls_and_logs_in(prepare: Preparation, openssl: OpenSsl, curl: Curl):
    root = openssl.root()
    identifier, _ = prepare.jwt({"ottca": prepare.ca(openssl, root)})
    pair = openssl.leaf(openssl.intermediate(root), "device")
    path = f"/edge/client/v1/enroll?method=ottca&token={token_of(prepare, identifier, 'ottca')}"
    status, body = curl.send(path, "-H", "content-type: text/plain", "-d", "", pair=pair)
    assert status == 200, body
    status, session = log_in(curl, pair)
    assert (status, session["data"]["identityId"]) == (200, identifier)


def test_a_certificate_nobody_knows_is_refused_by_the_api_not_by_the_handshake(openssl: OpenSsl, curl: Curl):
    status, body = log_in(curl, openssl.leaf(openssl.root("unknown"), "stranger"))
    assert (status, body["error"]["code"]) == (401, "INVALID_AUTH")


def test_a_password_enrolls_and_logs_in(prepare: Preparation, curl: Curl):
    username, password = f"user-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    identifier, _ = prepare.jwt({"updb": username})
    path = f"/edge/client/v1/enroll?method=updb&token={token_of(prepare, identifier, 'updb')}"
    kind = ("-H", "content-type: application/json")
    status, body = curl.send(path, *kind, "-d", json.dumps({"password": password}))
    assert status == 200, body
    login = json.dumps({"username": username, "password": password})
    status, body = curl.send("/edge/client/v1/authenticate?method=password", *kind, "-d", login)
    assert status == 200
    assert json.loads(body)["data"]["identityId"] == identifier


def test_the_ca_certificates_are_what_openssl_takes_as_pkcs7(openssl: OpenSsl, curl: Curl, controller: Controller):
    status, body = curl.send("/.well-known/est/cacerts")
    assert status == 200
    bundle = openssl.folder / "bundle.p7"
    bundle.write_text(f"-----BEGIN PKCS7-----\n{body.strip()}\n-----END PKCS7-----\n")
    assert openssl.run("pkcs7", "-print_certs", "-in", bundle).count("BEGIN CERTIFICATE") >= 1
    assert openssl.run("verify", "-CAfile", controller.ca_file(), controller.ca_file()).strip().endswith("OK")
