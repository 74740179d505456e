"""The Go SDK enrolls by every method, logs in by certificate and by password, and lists services."""

import secrets

import pytest

from tests.controllers import Controller
from tests.real.clients import ClientError, GoClient, OpenSsl, Preparation

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.mark.parametrize("alg", ["EC", "RSA"])
def test_a_one_time_token_gives_an_identity_that_logs_in(prepare: Preparation, go_client: GoClient, service: str, alg):
    identifier, jwt = prepare.jwt({"ott": True})
    out = prepare.folder / "identity.json"
    enrolled = go_client.enroll(jwt, out, alg=alg)
    assert (enrolled["method"], enrolled["subject"]) == ("ott", identifier)
    session, names = go_client.services(out)
    assert session["identity"] == identifier
    assert service in names


def test_a_certificate_of_a_known_ca_enrolls_with_a_token(
    prepare: Preparation, go_client: GoClient, openssl: OpenSsl, service: str
):
    root = openssl.root()
    identifier, jwt = prepare.jwt({"ottca": prepare.ca(openssl, root)})
    leaf = openssl.leaf(openssl.intermediate(root), "device", kind="RSA-2048")
    out = prepare.folder / "identity.json"
    go_client.enroll(jwt, out, cert=leaf.cert, key=leaf.key)
    session, names = go_client.services(out)
    assert session["identity"] == identifier
    assert service in names


def test_any_certificate_of_a_known_ca_enrolls_by_itself(
    prepare: Preparation, go_client: GoClient, openssl: OpenSsl, service: str
):
    root = openssl.root()
    ca = prepare.ca(openssl, root, identityNameFormat="[requestedName]")
    leaf, name = openssl.leaf(root, "device"), f"asked-{secrets.token_hex(4)}"
    out = prepare.folder / "identity.json"
    go_client.enroll(prepare.ca_jwt(ca), out, cert=leaf.cert, key=leaf.key, name=name)
    session, names = go_client.services(out)
    assert session["name"] == name
    assert service in names
    with pytest.raises(ClientError, match="already"):
        go_client.enroll(prepare.ca_jwt(ca), out, cert=leaf.cert, key=leaf.key, name=name)


def test_a_user_name_and_password(prepare: Preparation, go_client: GoClient, service: str, controller: Controller):
    username, password = f"user-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    identifier, jwt = prepare.jwt({"updb": username})
    enrolled = go_client.enroll(jwt, prepare.folder / "unused", password=password)
    assert enrolled["username"] == username
    session, names = go_client.login(controller.url, username, password, controller.ca_file())
    assert session["identity"] == identifier
    assert service in names
    with pytest.raises(ClientError, match="login failed"):
        go_client.login(controller.url, username, password + "x", controller.ca_file())


def test_a_token_works_once(prepare: Preparation, go_client: GoClient):
    _, jwt = prepare.jwt({"ott": True})
    out = prepare.folder / "identity.json"
    go_client.enroll(jwt, out)
    with pytest.raises(ClientError, match="INVALID_ENROLLMENT_TOKEN"):
        go_client.enroll(jwt, out)


def test_a_token_of_another_controller_is_refused_by_the_client(prepare: Preparation, go_client: GoClient):
    _, jwt = prepare.jwt({"ott": True})
    head, body, signature = jwt.read_text().strip().split(".")
    jwt.write_text(f"{head}.{body}.{signature[:10]}{'AAAA' if signature[10:14] != 'AAAA' else 'BBBB'}{signature[14:]}")
    with pytest.raises(ClientError, match="token refused"):
        go_client.enroll(jwt, prepare.folder / "identity.json")
