"""The second factor: enrollment, partial sessions, recovery codes, removal, and the limit on wrong codes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from tests.controllers import CLIENT, MANAGEMENT, Answer, Api, Controller
from tests.flows import password_login, sql, unique, with_password

MFA = "/current-identity/mfa"
OPEN = ("/current-api-session", MFA)
CLOSED = ("/services", "/current-identity", "/current-identity/authenticators", "/current-api-session/certificates")


class User:
    """An identity with a password, and its TOTP once it has one."""

    def __init__(self, controller: Controller, admin: Api, **more: Any) -> None:
        self.controller, self.admin = controller, admin
        self.key, self.name, self.password = with_password(admin, **more)
        self.totp: pyotp.TOTP
        self.codes: list[str] = []

    def login(self) -> Api:
        return self.controller.api().on(CLIENT).login(self.name, self.password)

    def enroll(self, session: Api | None = None) -> Api:
        """Enroll TOTP and verify it."""
        session = session or self.login()
        session.post(MFA).ok(201)
        self.read(session.get(MFA).ok())
        session.post(f"{MFA}/verify", {"code": self.totp.now()}).ok()
        return session

    def read(self, shown: dict[str, Any]) -> None:
        self.totp = pyotp.parse_uri(shown["provisioningUrl"])  # type: ignore[assignment]
        self.codes = shown["recoveryCodes"]

    def wrong(self) -> str:
        """A code that is none now, nor soon, nor was lately."""
        now = int(time.time())
        near = {self.totp.at(now + 30 * step) for step in range(-3, 4)}
        return next(code for code in (f"{n:06d}" for n in range(100)) if code not in near)


@pytest.fixture
def user(controller: Controller, api: Api) -> User:
    return User(controller, api)


def policy(api: Api, **secondary: Any) -> str:
    """Make an authentication policy that demands a second factor."""
    primary = api.detail("/auth-policies", "default")["primary"]
    body = {"name": unique("policy"), "primary": primary, "secondary": {"requireTotp": False, **secondary}}
    return api.create("/auth-policies", body)


def test_the_secret_shows_until_it_is_verified_and_never_again(user: User):
    session = user.login()
    assert session.get(MFA).status == 404
    session.post(MFA).ok(201)
    shown = session.get(MFA).ok()
    user.read(shown)
    parts = urlsplit(shown["provisioningUrl"])
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert len(parse_qs(parts.query)["secret"][0]) >= 32
    assert len(set(shown["recoveryCodes"])) == 20
    image = session.http.get(f"{session.url}{CLIENT}{MFA}/qr-code", timeout=10)
    assert (image.headers["Content-Type"], image.content[:4]) == ("image/png", b"\x89PNG")
    assert session.post(MFA).code == "MFA_EXISTS"
    assert session.post(f"{MFA}/verify", {"code": user.codes[0]}).code == "MFA_INVALID_TOKEN"
    session.post(f"{MFA}/verify", {"code": user.totp.now()}).ok()
    after = session.get(MFA).ok()
    assert after["isVerified"]
    assert after["recoveryCodes"] is None
    assert "provisioningUrl" not in after
    assert session.get(f"{MFA}/qr-code").status == 404
    assert user.admin.detail("/identities", user.key)["isMfaEnabled"] is True


def test_a_login_is_partial_until_a_code_comes(user: User):
    user.enroll()
    partial = user.login()
    seen = partial.get("/current-api-session").ok()
    assert [q["typeId"] for q in seen["authQueries"]] == ["MFA"]
    assert (seen["isMfaRequired"], seen["isMfaComplete"]) == (True, False)
    assert [partial.get(path).status for path in OPEN] == [200, 200]
    assert [partial.get(path).status for path in CLOSED] == [401] * len(CLOSED)
    assert partial.on(MANAGEMENT).get("/identities").status == 401
    assert partial.post("/authenticate/mfa", {"code": user.wrong()}).code == "MFA_INVALID_TOKEN"
    partial.post("/authenticate/mfa", {"code": user.totp.now()}).ok()
    assert [partial.get(path).status for path in CLOSED] == [200] * len(CLOSED)
    seen = partial.get("/current-api-session").ok()
    assert (seen["authQueries"], seen["isMfaComplete"]) == ([], True)


def test_an_administrator_with_a_partial_session_administers_nothing(controller: Controller, api: Api):
    boss = User(controller, api, isAdmin=True)
    boss.enroll()
    partial = boss.login().on(MANAGEMENT)
    assert partial.get("/identities").status == 401
    assert partial.delete(f"/identities/{boss.key}/mfa").status == 401
    partial.post("/authenticate/mfa", {"code": boss.totp.now()}).ok()
    partial.get("/identities").ok()


def test_a_recovery_code_works_once(user: User):
    user.enroll()
    user.login().post("/authenticate/mfa", {"code": user.codes[3]}).ok()
    again = user.login()
    assert again.post("/authenticate/mfa", {"code": user.codes[3]}).code == "MFA_INVALID_TOKEN"
    again.post("/authenticate/mfa", {"code": user.codes[4]}).ok()
    left = again.call("GET", f"{MFA}/recovery-codes", headers={"mfa-validation-code": user.totp.now()}).ok()
    assert left["recoveryCodes"] == [c for c in user.codes if c not in (user.codes[3], user.codes[4])]


def test_a_recovery_code_is_spent_once_by_many_at_once(user: User):
    user.enroll()
    sessions = [user.login() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda s: s.post("/authenticate/mfa", {"code": user.codes[0]}).status, sessions))
    assert sorted(answers) == [200] + [400] * 7


def test_new_recovery_codes_replace_the_old_ones(user: User):
    session = user.enroll()
    assert session.get(f"{MFA}/recovery-codes").code == "MFA_INVALID_TOKEN"
    session.post(f"{MFA}/recovery-codes", {"code": user.totp.now()}).ok()
    fresh = session.call("GET", f"{MFA}/recovery-codes", {"code": user.totp.now()}).ok()["recoveryCodes"]
    assert len(fresh) == 20
    assert not set(fresh) & set(user.codes)
    assert user.login().post("/authenticate/mfa", {"code": user.codes[0]}).code == "MFA_INVALID_TOKEN"


def test_ten_wrong_codes_in_five_minutes_lock_even_the_right_one(user: User, controller: Controller):
    user.enroll()
    partial = user.login()
    wrong = [partial.post("/authenticate/mfa", {"code": user.wrong()}) for _ in range(10)]
    assert {a.code for a in wrong} == {"MFA_INVALID_TOKEN"}
    locked = partial.post("/authenticate/mfa", {"code": user.totp.now()})
    assert (locked.status, locked.code) == (429, "RATE_LIMITED")
    assert user.login().post("/authenticate/mfa", {"code": user.codes[0]}).status == 429
    sql(controller, "update mfa set failing_since = failing_since - 300001 where identity_id = ?", user.key)
    partial.post("/authenticate/mfa", {"code": user.totp.now()}).ok()


def test_the_limit_holds_for_many_at_once(user: User):
    user.enroll()
    sessions = [user.login() for _ in range(4)]
    wrong = user.wrong()
    with ThreadPoolExecutor(8) as pool:
        tries = pool.map(lambda n: sessions[n % 4].post("/authenticate/mfa", {"code": wrong}).status, range(30))
    assert list(tries).count(400) == 10


def test_the_owner_removes_it_with_a_code(user: User):
    session = user.enroll()
    assert session.delete(MFA).code == "MFA_INVALID_TOKEN"
    answer = session.delete(MFA, headers={"mfa-validation-code": user.totp.now()})
    assert answer.status == 200
    assert session.get(MFA).status == 404
    assert user.login().get("/services").status == 200


def test_an_administrator_removes_it_without_a_code(user: User, api: Api):
    user.enroll()
    partial = user.login()
    api.delete(f"/identities/{user.key}/mfa").ok()
    assert partial.get("/services").status == 200
    assert api.detail("/identities", user.key)["isMfaEnabled"] is False
    api.delete(f"/identities/{user.key}/mfa").ok()
    assert api.delete("/identities/nope/mfa").status == 404


def test_a_helper_without_full_rights_cannot_take_an_administrators(controller: Controller, api: Api):
    boss = User(controller, api, isAdmin=True)
    boss.enroll()
    helper = User(controller, api, permissions=["identity"])
    session = helper.login().on(MANAGEMENT)
    assert session.delete(f"/identities/{boss.key}/mfa").status == 401
    assert api.detail("/identities", boss.key)["isMfaEnabled"] is True


def test_a_policy_that_requires_totp_lets_only_enroll_it(controller: Controller, api: Api):
    user = User(controller, api, authPolicyId=policy(api, requireTotp=True))
    session = user.login()
    seen = session.get("/current-api-session").ok()
    assert ([q["typeId"] for q in seen["authQueries"]], seen["isMfaRequired"]) == (["MFA"], False)
    assert session.get("/services").status == 401
    assert session.post("/authenticate/mfa", {"code": "123456"}).code == "MFA_NOT_ENROLLED"
    user.enroll(session)
    assert session.get("/services").status == 200
    session.delete(MFA, headers={"mfa-validation-code": user.totp.now()}).ok()
    assert session.get("/services").status == 401


def test_the_totp_token_is_for_oidc_sessions(user: User):
    session = user.enroll()
    answer = session.post("/current-api-session/totp-token", {"code": user.totp.now()})
    assert (answer.status, answer.code) == (400, "INVALID_BACKING_TOKEN_TYPE")


def test_nothing_secret_is_logged(user: User, controller: Controller):
    session = user.enroll()
    session.call("GET", f"{MFA}/recovery-codes", headers={"mfa-validation-code": user.totp.now()}).ok()
    user.login().post("/authenticate/mfa", {"code": user.codes[0]})
    text = controller.stderr()
    assert user.totp.secret not in text
    assert not [code for code in user.codes if code in text]


def test_the_password_rules_of_the_policy_hold_for_ones_own_password(controller: Controller, api: Api):
    body = api.detail("/auth-policies", "default")
    rules = {**body["primary"]["updb"], "minPasswordLength": 10, "requireNumberChar": True, "requireMixedCase": True}
    rules["requireSpecialChar"] = True
    key = api.create(
        "/auth-policies",
        {"name": unique("policy"), "primary": {**body["primary"], "updb": rules}, "secondary": body["secondary"]},
    )
    user = User(controller, api, authPolicyId=key)
    session = user.login()
    authenticator = session.get("/current-identity/authenticators").ok()[0]["id"]

    def change(password: str) -> Answer:
        path = f"/current-identity/authenticators/{authenticator}"
        return session.patch(path, {"password": password, "currentPassword": user.password})

    refused: Callable[[str], Answer] = change
    for password in ("Ab1!x", "abcdefgh1!", "Abcdefghi!", "Abcdefghi1"):
        answer = refused(password)
        assert (answer.status, answer.error["cause"]["field"]) == (400, "password")
        assert password not in str(answer.body)
    change("Abcdefgh1!").ok()
    assert password_login(controller.api(), user.name, "Abcdefgh1!").status == 200
