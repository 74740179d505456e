"""The same token with the same key again: the same answer, to nobody else, and only while it is true."""

from __future__ import annotations

import pytest

from tests.certificates import CA, csr
from tests.controllers import CLIENT, Api
from tests.events import OWN
from tests.flows import (
    PEM,
    client_with,
    enroll,
    import_ca,
    in_the_past,
    pending,
    read_chain,
    sql,
    text_time,
    unique,
    wait_until,
)


def reason(api: Api, key: str) -> str:
    """Why the last attempt for an identity was refused."""
    found = api.on(OWN).get("/attempts", filter=f'identityId="{key}"', limit=1).ok()
    return str(found[0]["reason"])


def refused(answer) -> bool:
    return (answer.status, answer.code) == (400, "INVALID_ENROLLMENT_TOKEN")


def test_same_key_gets_the_same_certificate(controller, api):
    """The answer is the very same; nothing new is signed, and the log says that it was a repetition."""
    key, found = pending(api, "ott")
    pem, private = csr()
    first = enroll(api, "ott", found["token"], pem, PEM)
    again = enroll(api, "ott", found["token"], pem, PEM)
    assert (again.status, again.body) == (200, first.body)
    # A new request for the same key is as good as the old one.
    other, _ = csr("other", private)
    assert enroll(api, "ott", found["token"], other, PEM).body == first.body
    assert api.on(CLIENT).post("/enroll/ott", {"token": found["token"], "clientCsr": pem}).body == first.body
    assert sql(controller, "SELECT count(*) FROM authenticator WHERE identity_id = ?", key) == [(1,)]
    assert "repeated its enrollment" in reason(api, key)


def test_another_key_is_refused(api):
    key, found = pending(api, "ott")
    enroll(api, "ott", found["token"], csr()[0], PEM).ok()
    assert refused(enroll(api, "ott", found["token"], csr()[0], PEM))
    assert reason(api, key).endswith("this request comes with another key")
    assert refused(enroll(api, "ott", found["token"], "garbage", PEM))


def test_other_methods_do_not_replay(api):
    """A spent token is no token for another way to enroll."""
    _, found = pending(api, "ott")
    pem, _ = csr()
    enroll(api, "ott", found["token"], pem, PEM).ok()
    for method, body in (("ottca", {}), ("updb", {"password": "password"})):
        assert refused(enroll(api, method, found["token"], body))


def test_router(api):
    key = api.create("/edge-routers", {"name": unique("router"), "isTunnelerEnabled": False})
    token = api.detail("/edge-routers", key)["enrollmentToken"]
    body = {"certCsr": csr(key)[0], "serverCertCsr": csr(key, sans=("localhost",))[0]}
    first = enroll(api, "erott", token, body).ok()
    assert enroll(api, "erott", token, body).ok() == first
    for name in body:
        assert refused(enroll(api, "erott", token, {**body, name: csr(key)[0]}))
    api.post(f"/edge-routers/{key}/re-enroll").ok()
    assert refused(enroll(api, "erott", token, body))


def test_third_party_certificate(controller, api, tmp_path):
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    key, found = pending(api, "ottca", ca)
    mine, other = (client_with(controller, root.leaf(unique("box")), tmp_path) for _ in range(2))
    first = enroll(mine, "ottca", found["token"])
    assert enroll(mine, "ottca", found["token"]).body == first.body
    assert refused(enroll(other, "ottca", found["token"]))
    assert refused(enroll(controller.api(), "ottca", found["token"]))
    assert len(api.get(f"/identities/{key}/authenticators").ok()) == 1


def test_password_is_not_replayed(api):
    """With a spent token one could guess the password here, past the lockout of the login."""
    _, found = pending(api, "updb", unique("user"))
    enroll(api, "updb", found["token"], {"password": "password"}).ok()
    assert refused(enroll(api, "updb", found["token"], {"password": "password"}))


def _delete(controller, api, key, authenticator):
    api.delete(f"/identities/{key}").ok()


def _disable(controller, api, key, authenticator):
    api.post(f"/identities/{key}/disable", {"durationMinutes": 0}).ok()


def _remove_certificate(controller, api, key, authenticator):
    api.delete(f"/authenticators/{authenticator}").ok()


def _re_enroll(controller, api, key, authenticator):
    api.post(f"/authenticators/{authenticator}/re-enroll", {"expiresAt": text_time(hours=1)}).ok(201)


def _too_late(controller, api, key, authenticator):
    sql(controller, "UPDATE spent_token SET replay_until = ? WHERE identity = ?", in_the_past(), key)


@pytest.mark.parametrize("change", [_delete, _disable, _remove_certificate, _re_enroll, _too_late])
def test_no_longer(controller, api, change):
    """Not after the identity or its certificate is gone, disabled or replaced, nor after the time is over."""
    key, found = pending(api, "ott")
    pem, _ = csr()
    enroll(api, "ott", found["token"], pem, PEM).ok()
    change(controller, api, key, api.detail("/identities", key)["authenticators"]["cert"]["id"])
    assert refused(enroll(api, "ott", found["token"], pem, PEM))
    assert "the token was used by" in reason(api, key)


def test_time_is_a_setting(make_controller):
    server = make_controller("--replay-minutes", "0")
    api = server.admin()
    _, found = pending(api, "ott")
    pem, _ = csr()
    enroll(api, "ott", found["token"], pem, PEM).ok()
    assert refused(enroll(api, "ott", found["token"], pem, PEM))


def test_survives_a_restart(make_controller):
    """A device that lost the answer to a crash of the controller gets it from the next one."""
    server = make_controller()
    api = server.admin()
    _, found = pending(api, "ott")
    pem, key = csr()
    first = enroll(api, "ott", found["token"], pem, PEM).ok()
    server.kill()
    server.start()
    again = enroll(server.api(), "ott", found["token"], pem, PEM).ok()
    assert again["cert"] == first["cert"]
    assert read_chain(again["cert"]).certificate.public_key() == key.public_key()


def test_answers_are_not_kept_for_ever(make_controller):
    """When the time is over the certificate goes; that the token was used stays for the log of attempts."""
    server = make_controller()
    api = server.admin()
    _, found = pending(api, "ott")
    enroll(api, "ott", found["token"], csr()[0], PEM).ok()
    sql(server, "UPDATE spent_token SET replay_until = 1, spent_at = spent_at - 3600000")
    server.restart()
    wait_until(lambda: sql(server, "SELECT count(*) FROM spent_token WHERE key_print IS NULL") == [(1,)])
    sql(server, "UPDATE spent_token SET spent_at = 1")
    server.restart()
    wait_until(lambda: sql(server, "SELECT count(*) FROM spent_token") == [(0,)])
