"""The Python wheel enrolls, logs in, lists services and logs out."""

import secrets

import pytest

from tests.real.clients import ClientError, OpenSsl, Preparation, assert_complete, real_enroll, real_load

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.mark.usefixtures("service")
def test_a_one_time_token_gives_an_identity_that_logs_in(prepare: Preparation):
    identifier, jwt = prepare.jwt({"ott": True})
    assert_complete(real_load(prepare.identity_file(real_enroll(jwt))))
    assert [one["method"] for one in prepare.authenticators(identifier)] == ["cert"]


@pytest.mark.usefixtures("service")
def test_a_certificate_of_a_known_ca_enrolls_with_a_token(prepare: Preparation, openssl: OpenSsl):
    root = openssl.root()
    identifier, jwt = prepare.jwt({"ottca": prepare.ca(openssl, root)})
    leaf = openssl.leaf(root, "device")
    assert_complete(real_load(prepare.identity_file(real_enroll(jwt, leaf.key, leaf.cert))))
    assert [one["method"] for one in prepare.authenticators(identifier)] == ["cert"]


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("below", [False, True], ids=["root", "intermediate"])
def test_any_certificate_of_a_known_ca_enrolls_by_itself(prepare: Preparation, openssl: OpenSsl, below):
    root = openssl.root()
    ca = prepare.ca(openssl, root, identityRoles=["automatic"], identityNameFormat="[commonName]")
    name = f"auto-{secrets.token_hex(4)}"
    leaf = openssl.leaf(openssl.intermediate(root) if below else root, name)
    assert_complete(real_load(prepare.identity_file(real_enroll(prepare.ca_jwt(ca), leaf.key, leaf.cert))))
    (made,) = prepare.api.get("/identities", filter=f'name = "{name}"').ok()
    assert made["roleAttributes"] == ["automatic"]


def test_a_token_works_once(prepare: Preparation):
    _, jwt = prepare.jwt({"ott": True})
    real_enroll(jwt)
    with pytest.raises(ClientError, match=r"(?i)jwt|token"):
        real_enroll(jwt)
