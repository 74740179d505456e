"""Every way in is in the log of attempts: passed or refused, by which method, whose, and why not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests.certificates import csr, self_signed
from tests.controllers import CLIENT, Api, Controller
from tests.events import OWN
from tests.flows import certified, identity_body, login, pending, unique, with_password
from tests.test_mfa import User
from tests.test_oidc import EXCHANGE, TYPE, Rp, with_totp
from tests.test_signers import by_certificate, claims_of, enroll, log_in, sign


def ways(api: Api, identity: str) -> list[tuple[str, str, str]]:
    """Kind, method and outcome of somebody's attempts, in their order."""
    rows = api.on(OWN).get("/attempts", filter=f'identityId = "{identity}" sort by id', limit=100).ok()
    return [(row["kind"], row["method"], row["outcome"]) for row in rows]


def newest(api: Api, where: str) -> dict[str, Any]:
    (row,) = api.on(OWN).get("/attempts", filter=where, limit=1).ok()
    assert isinstance(row, dict)
    return row


def wrong(totp: pyotp.TOTP) -> str:
    """A code that is none now, nor was, nor will be soon."""
    near = {totp.at(int(time.time()) + 30 * step) for step in range(-3, 4)}
    return next(code for code in (f"{n:06d}" for n in range(100)) if code not in near)


def test_oidc_by_password_and_what_follows(controller: Controller, api: Api):
    """Clients refresh all the time: of that only what went wrong is kept."""
    key, name, password = with_password(api)
    rp = Rp(controller)
    rp.authorize()
    rp.login(username=name, password="not-the-password")
    assert ways(api, key) == [("login", "oidc-password", "refused")]
    tokens = rp.tokens(rp.login(username=name, password=password))
    assert rp.refresh(tokens["refresh_token"]).status_code == 200
    assert ways(api, key)[1:] == [("login", "oidc-password", "ok"), ("login", "oidc-authorization_code", "ok")]
    assert rp.refresh("nonsense").status_code == 400
    assert newest(api, 'method = "oidc-refresh_token"')["outcome"] == "refused"
    kinds = {"subject_token_type": f"{TYPE}refresh_token", "requested_token_type": f"{TYPE}refresh_token"}
    assert rp.token(grant_type=EXCHANGE, subject_token="nonsense", **kinds).status_code == 400
    assert newest(api, 'method = "oidc-exchange"')["outcome"] == "refused"


def test_oidc_by_certificate(controller: Controller, api: Api, tmp_path: Path):
    key, issued, _ = certified(controller, api, tmp_path)
    files = issued.write(tmp_path, "oidc")
    rp = Rp(controller, certificate=files)
    rp.authorize()
    rp.tokens(rp.login("cert"))
    assert ("login", "oidc-cert", "ok") in ways(api, key)
    other = Rp(controller, certificate=self_signed().write(tmp_path, "other"))
    other.authorize()
    other.login("cert")
    row = newest(api, 'method = "oidc-cert"')
    assert (row["outcome"], row["subject"]) == ("refused", "CN=test")


def test_oidc_by_totp(controller: Controller, api: Api):
    key, name, password = with_password(api)
    totp = with_totp(controller, name, password)
    rp = Rp(controller)
    rp.authorize()
    rp.login(username=name, password=password)
    rp.login(path="/oidc/login/totp", code=wrong(totp))
    rp.login(path="/oidc/login/totp", code=totp.now())
    assert ways(api, key)[-2:] == [("login", "oidc-totp", "refused"), ("login", "oidc-totp", "ok")]


@pytest.fixture
def signer(api: Api) -> tuple[dict[str, Any], Any]:
    """A signer of tokens from elsewhere, and its key."""
    issued = self_signed()
    return by_certificate(api, issued, kid=unique("kid"), claimsProperty="sub", useExternalId=True), issued.key


def test_tokens_from_elsewhere(controller: Controller, api: Api, signer):
    body, private = signer
    external = unique("external")
    key = api.create("/identities", identity_body(externalId=external))
    token = sign(private, body["kid"], **claims_of(body, external))
    log_in(api, token).ok()
    rp = Rp(controller)
    rp.authorize()
    rp.http("POST", "/oidc/login/ext-jwt", data={"id": rp.request}, headers={"Authorization": f"Bearer {token}"})
    assert ways(api, key) == [("login", "ext-jwt", "ok"), ("login", "oidc-ext-jwt", "ok")]
    assert log_in(api, sign(private, body["kid"], **claims_of(body, unique("nobody")))).status == 401
    row = newest(api, 'method = "ext-jwt"')
    assert (row["outcome"], row["code"]) == ("refused", "UNAUTHORIZED")
    assert row["reason"]


def test_a_second_factor(controller: Controller, api: Api):
    user = User(controller, api)
    user.enroll()
    session = user.login()
    session.post("/authenticate/mfa", {"code": user.wrong()})
    session.post("/authenticate/mfa", {"code": user.codes[0]}).ok()
    found = [way for way in ways(api, user.key) if way[1] == "totp"]
    assert found[-2:] == [("login", "totp", "refused"), ("login", "totp", "ok")]


def test_enrollment_by_a_token_from_elsewhere(api: Api):
    issued = self_signed()
    more = {"enrollToCertEnabled": True, "enrollNameClaimsSelector": "/name", "claimsProperty": "sub"}
    body = by_certificate(api, issued, kid=unique("kid"), useExternalId=True, **more)
    name = unique("joined")
    token = sign(issued.key, body["kid"], **claims_of(body, unique("sub"), name=name))
    request, _ = csr()
    enroll(api, token, {"clientCsr": request}).ok()
    row = newest(api, f'identityName = "{name}"')
    assert (row["kind"], row["method"], row["outcome"]) == ("enroll", "token", "ok")
    assert enroll(api, token, {"clientCsr": request}).status == 409
    assert newest(api, 'method = "token"')["code"] == "ENROLLMENT_IDENTITY_ALREADY_ENROLLED"


def test_enrollment_by_password(controller: Controller, api: Api):
    user = unique("user")
    key, found = pending(api, "updb", user)
    client = controller.api().on(CLIENT)
    asked = {"method": "updb", "token": found["token"]}
    client.post("/enroll", {"password": "a good password"}, params=asked).ok()
    client.post("/enroll", {"password": "a good password"}, params=asked)
    assert ways(api, key) == [("enroll", "updb", "ok"), ("enroll", "updb", "refused")]


def test_the_link_of_the_first_run(tmp_path: Path):
    server = Controller(tmp_path / "fresh")
    server.admin_password = ""
    server.start()
    try:
        code = server.first_run_link().rpartition("#")[2]
        chosen = {"username": "grace", "password": "a long pass phrase"}
        server.api().on(OWN).post("/first-run", {"code": "x" * len(code), **chosen})
        server.api().on(OWN).post("/first-run", {"code": code, **chosen}).ok()
        rows = server.api().login(**chosen).on(OWN).get("/attempts", filter='kind = "login" sort by id').ok()
        assert [row["outcome"] for row in rows][:2] == ["refused", "ok"]
        assert code not in json.dumps(rows)
    finally:
        server.stop()


def test_a_certificate_that_nobody_knows(controller: Controller, api: Api, tmp_path: Path):
    issued = self_signed()
    assert login(controller.api(issued.write(tmp_path))).status == 401
    row = newest(api, f'fingerprint = "{issued.fingerprint}"')
    assert (row["outcome"], row["issuer"]) == ("refused", issued.certificate.issuer.rfc4514_string())
