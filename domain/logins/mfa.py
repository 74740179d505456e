"""The second factor: TOTP (RFC 6238) with recovery codes, enrolled by its owner.

Ten wrong codes within five minutes lock the second factor until those five minutes are over. Secrets
and codes are shown to their owner only, and never logged. Source: /current-identity/mfa of both APIs,
recorded answers of topic `mfa`.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import secrets
from typing import Any

import pyotp

import store
from domain import ids
from domain.care import qr
from domain.context import Context
from domain.logins import access_tokens
from models import ApiSession, Identity, Mfa
from wire.errors import ApiError, not_found
from wire.resource import CLIENT, MANAGEMENT, Action, Body, Field, Result, links, now_ms, time_text

log = logging.getLogger("zitilite.auth")

ISSUER = "openziti.io"
CODES = 20
CODE_LENGTH = 6
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
MAX_FAILURES = 10
WINDOW_MS = 5 * 60_000
HEADER = "mfa-validation-code"


# --- codes


def _recovery_codes() -> list[str]:
    codes: set[str] = set()
    while len(codes) < CODES:
        codes.add("".join(secrets.choice(_ALPHABET) for _ in range(CODE_LENGTH)))
    return sorted(codes)


def of(identity: Identity) -> Mfa | None:
    """The identity's second factor, verified or not."""
    found: Mfa | None = Mfa.get_or_none(Mfa.identity == identity.id)
    return found


def verified(identity: Identity) -> Mfa:
    """The identity's verified second factor. Raises MFA_NOT_ENROLLED."""
    row = of(identity)
    if row is None or not row.is_verified:
        raise ApiError("MFA_NOT_ENROLLED", log=f"'{identity.name}' has no verified second factor")
    return row


def check(row: Mfa, code: str, *, recovery: bool = False) -> None:
    """Check a code; a recovery code, where it may stand in, is spent. Needs no transaction.

    Raises MFA_INVALID_TOKEN, RATE_LIMITED after too many wrong codes.
    """
    _count_attempt(row)
    code = code.strip()
    if not (pyotp.TOTP(row.secret).verify(code, valid_window=1) or (recovery and _spend(row, code))):
        raise ApiError("MFA_INVALID_TOKEN", log="the code is wrong: check the clock of the device that shows it")
    with store.write():
        Mfa.update(failures=0, failing_since=None).where(Mfa.id == row.id).execute()


def _spend(row: Mfa, code: str) -> bool:
    """Use up a recovery code. Whoever comes second with the same one is refused."""
    with store.write():
        left = Mfa.get_by_id(row.id).recovery_codes
        if not any(hmac.compare_digest(one.encode(), code.encode()) for one in left):
            return False
        left.remove(code)
        Mfa.update(recovery_codes=left, updated_at=now_ms()).where(Mfa.id == row.id).execute()
    return True


def _count_attempt(row: Mfa) -> None:
    """Count before the code is looked at, so that many at once cannot get past the limit."""
    now = now_ms()
    with store.write():
        fresh = Mfa.get_or_none(Mfa.id == row.id)
        if fresh is None:
            raise ApiError("NOT_FOUND", log="the second factor was removed meanwhile")
        in_window = fresh.failing_since is not None and fresh.failing_since > now - WINDOW_MS
        if in_window and fresh.failures >= MAX_FAILURES:
            left = max(1, -(-(fresh.failing_since + WINDOW_MS - now) // 1000))
            why = f"{MAX_FAILURES} wrong codes in five minutes: wait until they are over"
            raise ApiError("RATE_LIMITED", headers={"Retry-After": str(left)}, log=why)
        changes = {"failures": Mfa.failures + 1} if in_window else {"failures": 1, "failing_since": now}
        Mfa.update(changes).where(Mfa.id == row.id).execute()


# --- enrollment


def start(identity: Identity) -> Mfa:
    """Begin an enrollment; it counts once a code was verified. Raises MFA_EXISTS."""
    now = now_ms()
    with store.write():
        if of(identity) is not None:
            raise ApiError("MFA_EXISTS")
        row: Mfa = Mfa.create(
            id=ids.long_id(),
            created_at=now,
            updated_at=now,
            identity=identity.id,
            secret=pyotp.random_base32(),
            recovery_codes=_recovery_codes(),
        )
    return row


def finish(identity: Identity, code: str) -> None:
    """Verify the first code. Raises NOT_FOUND when there is nothing to verify, MFA_INVALID_TOKEN."""
    row = of(identity)
    if row is None or row.is_verified:
        raise ApiError("NOT_FOUND", log=f"'{identity.name}' has no second factor that waits for its first code")
    check(row, code)
    with store.write():
        Mfa.update(is_verified=True, updated_at=now_ms()).where(Mfa.id == row.id).execute()
    log.info("'%s' has a second factor now", identity.name)


def remove(identity: Identity) -> None:
    """Delete the second factor. Sessions whose policy demands one wait for the next."""
    required = bool(identity.auth_policy.secondary.get("requireTotp"))
    with store.write():
        if not Mfa.delete().where(Mfa.identity == identity.id).execute():
            return
        changes = {"mfa_required": False, "mfa_complete": False, "mfa_passed_at": None, "totp_pending": required}
        ApiSession.update(changes).where(ApiSession.identity == identity.id).execute()
    log.info("the second factor of '%s' was removed", identity.name)


def provisioning_url(row: Mfa, identity: Identity) -> str:
    """What authenticator apps read from the QR code: name, issuer and secret."""
    return pyotp.TOTP(row.secret).provisioning_uri(name=identity.name, issuer_name=ISSUER)


def document(row: Mfa, identity: Identity) -> dict[str, Any]:
    """The JSON of a second factor; secret and codes only until it is verified."""
    pending = not row.is_verified
    base = "./current-identity/mfa"
    steps = ("qr-code", "verify") if pending else ("recovery-codes",)
    doc: dict[str, Any] = {
        "_links": {
            "current-identity": {"href": "./current-identity"},
            "self": {"href": base},
            **{("qr" if s == "qr-code" else s): {"href": f"{base}/{s}"} for s in steps},
        },
        "createdAt": time_text(row.created_at),
        "id": row.id,
        "tags": row.tags,
        "updatedAt": time_text(row.updated_at),
        "isVerified": row.is_verified,
        "recoveryCodes": row.recovery_codes if pending else None,
    }
    if pending:
        doc["provisioningUrl"] = provisioning_url(row, identity)
    return doc


# --- actions of the owner


def _mine(ctx: Context, *, is_verified: bool | None = None) -> Mfa:
    row = of(ctx.me)
    if row is None or (is_verified is not None and row.is_verified != is_verified):
        raise ApiError("NOT_FOUND", log=f"'{ctx.me.name}' has no such second factor")
    return row


def _code(ctx: Context) -> str:
    """The code that comes with a request: in its body, or in the header `mfa-validation-code`."""
    body = ctx.body
    if body is None and ctx.raw:
        # A GET with a body, which the engine does not read.
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(ctx.raw)
    code = body.get("code") if isinstance(body, dict) else None
    return str(code or ctx.headers.get(HEADER, ""))


def show(ctx: Context) -> Any:
    """GET /current-identity/mfa."""
    return document(_mine(ctx), ctx.me)


def enroll(ctx: Context) -> Result:
    """POST /current-identity/mfa."""
    row = start(ctx.me)
    return Result({"_links": links("current-identity", "mfa"), "id": row.id}, status=201)


def qr_code(ctx: Context) -> Result:
    """GET /current-identity/mfa/qr-code: an image of the provisioning URL, until it is verified."""
    image = qr.image(provisioning_url(_mine(ctx, is_verified=False), ctx.me), "png", 6)
    return Result(raw=image, content_type="image/png", headers={"Cache-Control": "no-store"})


def verify(ctx: Context) -> Any:
    """POST /current-identity/mfa/verify: this session has proved the second factor, too."""
    finish(ctx.me, ctx.body["code"])
    _pass(ctx.my_session)
    return {}


def _pass(session: ApiSession) -> None:
    now = now_ms()
    changes = {
        "mfa_required": True,
        "mfa_complete": True,
        "mfa_passed_at": now,
        "totp_pending": False,
        "updated_at": now,
    }
    with store.write():
        ApiSession.update(changes).where(ApiSession.id == session.id).execute()


def authenticate(ctx: Context) -> Any:
    """POST /authenticate/mfa: a code, or a recovery code, makes a partial session a full one."""
    ctx.attempt.method = "totp"
    check(verified(ctx.me), ctx.body["code"], recovery=True)
    _pass(ctx.my_session)
    return {}


def remove_own(ctx: Context) -> Any:
    """DELETE /current-identity/mfa: with a code, unless it was never verified."""
    row = _mine(ctx)
    if row.is_verified:
        check(row, _code(ctx), recovery=True)
    remove(ctx.me)
    return {}


def recovery_codes(ctx: Context) -> Any:
    """GET /current-identity/mfa/recovery-codes: those that are left."""
    row = _mine(ctx, is_verified=True)
    check(row, _code(ctx))
    doc = document(row, ctx.me)
    del doc["isVerified"]
    return {**doc, "recoveryCodes": row.recovery_codes}


def new_recovery_codes(ctx: Context) -> Any:
    """POST /current-identity/mfa/recovery-codes: twenty new ones; the old ones are void."""
    row = _mine(ctx, is_verified=True)
    check(row, _code(ctx))
    with store.write():
        Mfa.update(recovery_codes=_recovery_codes(), updated_at=now_ms()).where(Mfa.id == row.id).execute()
    return {}


def totp_token(ctx: Context) -> Any:
    """POST /current-api-session/totp-token: proof of a code at this moment; only OIDC sessions carry such tokens."""
    ctx.attempt.method = "totp"
    if ctx.access is None:
        raise ApiError("INVALID_BACKING_TOKEN_TYPE", log="the session was not opened by OIDC")
    check(verified(ctx.me), ctx.body["code"])
    _pass(ctx.my_session)
    return {"issuedAt": time_text(now_ms()), "token": access_tokens.totp_token(ctx)}


# --- by an administrator


def remove_by_admin(ctx: Context, id: str) -> Any:
    """DELETE /identities/{id}/mfa: 200 whether or not there was one, as recorded."""
    identity = Identity.get_or_none(Identity.id == id)
    if identity is None:
        raise not_found("identity", id)
    if (identity.is_admin or identity.is_default_admin) and not ctx.is_admin:
        raise ApiError("UNAUTHORIZED", log="only an administrator may take an administrator's second factor")
    remove(identity)
    return {}


_CODE = (Field("code", required="c"),)
MFA = Body("mfaAuth", "MfaCode", _CODE)
VALIDATION = Body("mfaValidation", "MfaCode", _CODE)
MAYBE = Body("mfaValidation", "MfaCode", (Field("code"),), optional=True)
BOTH = (MANAGEMENT, CLIENT)
_PATH = "/current-identity/mfa"
_IMAGES = ("image/png", "application/json")

ACTIONS = (
    Action(
        "POST", "/authenticate/mfa", authenticate, "partial", BOTH, MFA, summary="The second factor", attempt="login"
    ),
    Action("GET", _PATH, show, "partial", BOTH, summary="Second factor", secret=True),
    Action("POST", _PATH, enroll, "partial", BOTH, summary="Enroll a second factor"),
    Action("DELETE", _PATH, remove_own, "partial", BOTH, summary="Remove the second factor"),
    Action(
        "GET", f"{_PATH}/qr-code", qr_code, "partial", BOTH, produces=_IMAGES, summary="Image for apps", secret=True
    ),
    Action("POST", f"{_PATH}/verify", verify, "partial", BOTH, VALIDATION, summary="Verify the first code"),
    Action("GET", f"{_PATH}/recovery-codes", recovery_codes, "partial", BOTH, summary="Recovery codes", secret=True),
    Action("POST", f"{_PATH}/recovery-codes", new_recovery_codes, "partial", BOTH, MAYBE, summary="New recovery codes"),
    Action(
        "POST",
        "/current-api-session/totp-token",
        totp_token,
        "session",
        BOTH,
        VALIDATION,
        summary="Prove a code now",
        attempt="login",
    ),
    Action("DELETE", "/identities/{id}/mfa", remove_by_admin, "identity.update", summary="Remove the second factor"),
)
