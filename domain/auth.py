"""Who is calling: password and certificate login, API sessions, lockout.

Source: POST /authenticate of both APIs and the recorded answers of topic `authenticate`. A login
that fails says `INVALID_AUTH` and nothing else, whatever the reason; the reason goes to the log.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from werkzeug.security import check_password_hash, generate_password_hash

import pki
import store
from api.errors import ApiError
from api.resource import (
    CLIENT,
    MANAGEMENT,
    OBJECT,
    STRINGS,
    Action,
    Body,
    Field,
    Param,
    Result,
    links,
    nested,
    now_ms,
    text,
    time_text,
)
from domain import cas, ids
from domain.context import Context
from models import ApiSession, AuthPolicy, Authenticator, ConfigType, Identity

log = logging.getLogger("zitilite.auth")

MISSING = (
    'zt-session realm="zt-session" error="missing" error_description="no matching token was provided",'
    'Bearer realm="openziti-oidc" error="missing" error_description="no matching token was provided"'
)
INVALID = 'zt-session realm="zt-session" error="invalid" error_description="token is invalid"'
INVALID_BEARER = 'Bearer realm="openziti-oidc" error="invalid" error_description="token is invalid"'

# scrypt at 16 MiB: about 40 ms on one core of a small machine.
HASH_METHOD = "scrypt:16384:8:1"
# Compared against when the user name is unknown, so that both answers take the same time.
_NOBODY = generate_password_hash("nobody", method=HASH_METHOD)

USERNAME = text(4, 100)
PASSWORD = text(5, 100)
IDENTITY_LINKS = (
    "auth-policies",
    "authenticators",
    "edge-router-policies",
    "edge-routers",
    "enrollments",
    "failed-service-requests",
    "posture-data",
    "service-configs",
    "service-policies",
    "services",
)
_INFO = {k: {"type": "string"} for k in ("arch", "os", "osRelease", "osVersion", "domain", "hostname")}
_SDK = {k: {"type": "string"} for k in ("type", "version", "revision", "branch", "appId", "appVersion")}


def hash_password(ctx: Context, password: str) -> str:
    """A salted scrypt hash; at most two are computed at once, so that logins cannot starve enrollment."""
    with ctx.ctrl.hashing:
        return generate_password_hash(password, method=HASH_METHOD)


def password_matches(ctx: Context, hashed: str | None, password: str) -> bool:
    """Compare in constant time; None stands for an unknown user and takes as long."""
    with ctx.ctrl.hashing:
        matches = check_password_hash(hashed or _NOBODY, password)
    return matches and hashed is not None


# --- sessions


def resolve(ctx: Context, *, partial: bool = False) -> None:
    """Find the caller's session by the `zt-session` header. Raises UNAUTHORIZED.

    Cookies are not looked at and requests do not prolong the session, both as recorded.
    """
    token = ctx.headers.get("zt-session", "")
    if not token:
        bearer = ctx.headers.get("Authorization", "").startswith("Bearer ")
        if bearer:
            raise ApiError("UNAUTHORIZED", headers={"WWW-Authenticate": INVALID_BEARER})
        raise ApiError(
            "UNAUTHORIZED", "unauthenticated for invalid credentials", headers={"WWW-Authenticate": MISSING}
        )
    session = (
        ApiSession.select(ApiSession, Identity)
        .join(Identity)
        .where(ApiSession.token == token, ApiSession.expires_at > now_ms())
        .first()
    )
    if session is None:
        raise ApiError("UNAUTHORIZED", headers={"WWW-Authenticate": INVALID})
    ctx.session, ctx.identity = session, session.identity


def is_disabled(identity: Identity) -> bool:
    """Whether the identity is disabled right now (a temporary disablement ends by itself)."""
    until = identity.disabled_until
    return identity.disabled_at is not None and (until is None or until > now_ms())


def end_sessions(condition: Any) -> int:
    """Delete the sessions that match. Call it in the transaction that takes away what they rest on."""
    return int(ApiSession.delete().where(condition).execute())


def session_document(session: ApiSession, identity: Identity) -> dict[str, Any]:
    """The JSON of an API session, shared by login, current-api-session and the list."""
    doc: dict[str, Any] = {
        "_links": links("api-sessions", session.id, ("sessions",)),
        "createdAt": time_text(session.created_at),
        "id": session.id,
        "tags": session.tags,
        "updatedAt": time_text(session.updated_at),
        "authQueries": [],
        "authenticatorId": session.authenticator,
        "cachedLastActivityAt": time_text(session.last_activity_at),
        "configTypes": session.config_types,
        "identity": identity_reference(identity),
        "identityId": identity.id,
        "ipAddress": session.ip_address,
        "isCertExtendable": session.is_cert_extendable,
        "isMfaComplete": False,
        "isMfaRequired": False,
        "lastActivityAt": time_text(session.last_activity_at),
        "token": session.token,
    }
    if session.improper_client_cert_chain:
        doc["improperClientCertChain"] = True
    return doc


def current_document(session: ApiSession, identity: Identity) -> dict[str, Any]:
    """A session as its owner sees it: with its end, and what its certificate is asked to do."""
    doc = session_document(session, identity)
    doc["expirationSeconds"] = (session.expires_at - session.created_at) // 1000
    doc["expiresAt"] = time_text(session.expires_at)
    if session.is_cert_extendable:
        a = Authenticator.get_or_none(Authenticator.id == session.authenticator)
        if a is not None and a.is_extend_requested:
            doc["isCertExtendRequested"] = True
        if a is not None and a.is_key_roll_requested:
            doc["isCertKeyRollRequested"] = True
    return doc


def identity_reference(identity: Identity) -> dict[str, Any]:
    """How other entities point at an identity."""
    found = links("identities", identity.id, IDENTITY_LINKS)
    found["auth-policies"] = {"href": f"./auth-policies/{identity.auth_policy_id}"}
    return {"_links": found, "entity": "identities", "id": identity.id, "name": identity.name}


def live(ctx: Context) -> Any:
    """The condition for sessions that have not ended."""
    return ApiSession.expires_at > now_ms()


def extend_sessions(ctx: Context, rows: list[ApiSession], docs: list[dict[str, Any]]) -> None:
    """Fill in the rows of GET /api-sessions."""
    people = {i.id: i for i in Identity.select().where(Identity.id.in_({r.identity_id for r in rows}))}
    for row, doc in zip(rows, docs, strict=True):
        doc |= session_document(row, people[row.identity_id])


# --- login


def authenticate(ctx: Context) -> Result:
    """POST /authenticate?method=password|cert|ext-jwt: make an API session.

    Answers with the headers `zt-session`, `expiration-seconds` and `expires-at` besides the body.
    """
    method = ctx.query["method"]
    if method == "password":
        a, ca_id, improper = by_password(ctx), None, False
    elif method == "cert":
        a, ca_id, improper = by_certificate(ctx)
    else:
        # No external JWT signers exist yet, so no token can match one.
        raise ApiError("UNAUTHORIZED", log="external JWT login is not served")
    with store.write():
        session = start_session(ctx, a, ca_id, improper=improper)
    expires = datetime.fromtimestamp(session.expires_at / 1000, UTC)
    headers = {
        "zt-session": session.token,
        "expiration-seconds": str((session.expires_at - session.created_at) // 1000),
        "expires-at": expires.strftime("%Y-%m-%d %H:%M:%S.%f000 +0000 UTC"),
    }
    return Result(current_document(session, a.identity), headers=headers)


def start_session(ctx: Context, a: Authenticator, ca_id: str | None, *, improper: bool) -> ApiSession:
    """Write the session row and what the client tells about itself. Needs a write transaction."""
    identity: Identity = a.identity
    now = now_ms()
    end_sessions(ApiSession.expires_at < now)
    # Read again inside the transaction: it may have been disabled or deleted since.
    fresh = Identity.get_or_none(Identity.id == identity.id)
    if fresh is None or is_disabled(fresh):
        raise refused("the identity was disabled or deleted meanwhile")
    changes: dict[Any, Any] = {Identity.failed_logins: 0} if fresh.failed_logins else {}
    for column, name in ((Identity.env_info, "envInfo"), (Identity.sdk_info, "sdkInfo")):
        if ctx.body.get(name):
            changes[column] = ctx.body[name]
    if changes:
        Identity.update(changes).where(Identity.id == identity.id).execute()
    return ApiSession.create(
        id=ids.session_id(),
        token=ids.token(),
        identity=identity,
        authenticator=a.id,
        ca=ca_id,
        ip_address=ctx.remote,
        config_types=_known_config_types(ctx.body.get("configTypes", [])),
        created_at=now,
        updated_at=now,
        last_activity_at=now,
        expires_at=now + ctx.ctrl.settings.session_minutes * 60_000,
        is_cert_extendable=a.method == "cert" and a.is_issued_by_network,
        improper_client_cert_chain=improper,
    )


def _known_config_types(names: list[str]) -> list[str]:
    """`all` as it is; ids of config types for ids and names; anything unknown is left out."""
    if "all" in names:
        return ["all"]
    if not names:
        return []
    found = ConfigType.select(ConfigType.id).where(ConfigType.id.in_(names) | ConfigType.name.in_(names))
    return [row.id for row in found]


def refused(reason: str) -> ApiError:
    """A failed login: always the same answer; the reason is for the log."""
    return ApiError("INVALID_AUTH", log=reason)


def by_password(ctx: Context) -> Authenticator:
    """Check user name and password. Raises INVALID_AUTH; counts failures where the policy says so."""
    username, password = ctx.body.get("username"), ctx.body.get("password")
    if not username or not password:
        raise ApiError("COULD_NOT_VALIDATE", "username and password fields are required")
    a = _find(Authenticator.updb_username == username)
    matches = password_matches(ctx, a.updb_password if a else None, password)
    if a is None:
        raise refused("unknown user name")
    rules = a.identity.auth_policy.primary["updb"]
    if not rules["allowed"]:
        raise refused(f"the auth policy of '{a.identity.name}' does not allow passwords")
    if is_disabled(a.identity):
        raise refused(f"'{a.identity.name}' is disabled or locked out")
    if not matches:
        _count_failure(a.identity, rules)
        raise refused(f"wrong password for '{a.identity.name}'")
    return a


def _find(condition: Any) -> Authenticator | None:
    found: Authenticator | None = (
        Authenticator.select(Authenticator, Identity, AuthPolicy)
        .join(Identity)
        .join(AuthPolicy)
        .where(condition)
        .first()
    )
    return found


def _count_failure(identity: Identity, rules: dict[str, Any]) -> None:
    """Lock the identity when its failures reach the policy's `maxAttempts` (0 = never)."""
    limit = rules.get("maxAttempts", 0)
    if not limit:
        return
    with store.write():
        Identity.update(failed_logins=Identity.failed_logins + 1).where(Identity.id == identity.id).execute()
        failures = Identity.get_by_id(identity.id).failed_logins
        if failures < limit:
            return
        minutes = rules.get("lockoutDurationMinutes", 0)
        until = now_ms() + minutes * 60_000 if minutes else None
        Identity.update(disabled_at=now_ms(), disabled_until=until, failed_logins=0).where(
            Identity.id == identity.id
        ).execute()
        end_sessions(ApiSession.identity == identity.id)
    log.warning("'%s' is locked out after %d failed logins", identity.name, failures)


def by_certificate(ctx: Context) -> tuple[Authenticator, str | None, bool]:
    """Find the identity of the TLS client certificate. The leaf alone identifies.

    Returns:
        The authenticator, the id of the third-party CA it rests on (None for our own certificates),
        and whether a certificate of ours came without its intermediate.
    """
    if not ctx.peer:
        raise refused("no client certificate was presented")
    leaf, chain = ctx.peer[0], ctx.peer[1:]
    a = _find(Authenticator.cert_fingerprint == leaf.fingerprint)
    if a is None:
        return _by_claim(leaf, chain)
    ca_id = _check_certificate(ctx, a, leaf, chain)
    resolved = bool(chain)
    if a.is_issued_by_network and a.last_auth_resolved_to_root != resolved:
        with store.write():
            Authenticator.update(last_auth_resolved_to_root=resolved).where(Authenticator.id == a.id).execute()
    return a, ca_id, a.is_issued_by_network and not resolved


def _check_certificate(ctx: Context, a: Authenticator, leaf: pki.Cert, chain: tuple[pki.Cert, ...]) -> str | None:
    expired_ok = _certificate_allowed(a.identity)
    if a.is_issued_by_network:
        if not ctx.ctrl.authority.issued(leaf):
            raise refused(f"certificate {leaf.subject} is not one of ours")
        if not expired_ok and not leaf.not_before <= datetime.now(UTC) <= leaf.not_after:
            raise refused(f"certificate {leaf.subject} expired on {leaf.not_after}")
        return None
    ca = cas.validating(leaf, chain, cas.verified(auth=True), check_expiry=not expired_ok)
    if ca is None:
        raise refused(f"certificate {leaf.subject}: no verified CA with connections enabled validates it")
    return ca.id


def _certificate_allowed(identity: Identity) -> bool:
    """Whether expired certificates pass. Raises INVALID_AUTH when certificates do not at all."""
    if is_disabled(identity):
        raise refused(f"'{identity.name}' is disabled")
    rules = identity.auth_policy.primary["cert"]
    if not rules["allowed"]:
        raise refused(f"the auth policy of '{identity.name}' does not allow certificates")
    return bool(rules["allowExpiredCerts"])


def _by_claim(leaf: pki.Cert, chain: tuple[pki.Cert, ...]) -> tuple[Authenticator, str | None, bool]:
    """An identity known by its external id, taken from the certificate as its CA says."""
    for ca in cas.verified(auth=True):
        claim = cas.external_id(ca, leaf) if ca.external_id_claim else None
        if not claim:
            continue
        identity = (
            Identity.select(Identity, AuthPolicy).join(AuthPolicy).where(Identity.external_id == claim).first()
        )
        if identity is None:
            continue
        expired_ok = _certificate_allowed(identity)
        if cas.validating(leaf, chain, [ca], check_expiry=not expired_ok):
            return Authenticator(id="internal", identity=identity, method="cert"), ca.id, False
    raise refused(f"certificate {leaf.subject} ({leaf.fingerprint}) belongs to nobody")


# --- the caller's own session


def current_api_session(ctx: Context) -> Any:
    return current_document(ctx.my_session, ctx.me)


def logout(ctx: Context) -> Any:
    end_sessions(ApiSession.id == ctx.my_session.id)
    return {}


def authenticate_mfa(ctx: Context) -> Any:
    """POST /authenticate/mfa. Nobody can be enrolled yet."""
    raise ApiError("MFA_NOT_ENROLLED")


def service_updates(ctx: Context) -> Any:
    """GET /current-api-session/service-updates: when the caller's services last changed."""
    from domain import roles

    return {"lastChangeAt": time_text(roles.last_change())}


LOGIN = Body(
    "auth",
    "Authenticate",
    (
        Field("username", USERNAME),
        Field("password", PASSWORD),
        Field("configTypes", STRINGS),
        Field("envInfo", nested("EnvInfo", _INFO)),
        Field("sdkInfo", nested("SdkInfo", _SDK)),
    ),
    optional=True,
)
BOTH = (MANAGEMENT, CLIENT)
METHOD = Param("method", required=True, choices=("password", "cert", "ext-jwt"))
MFA = Body("mfa", "MfaCode", (Field("code", required="c"),))

ACTIONS = (
    Action("POST", "/authenticate", authenticate, "public", BOTH, LOGIN, (METHOD,), summary="Log in"),
    Action("POST", "/authenticate/mfa", authenticate_mfa, "partial", BOTH, MFA, summary="Answer the second factor"),
    Action("GET", "/current-api-session", current_api_session, "partial", BOTH, summary="The caller's session"),
    Action("DELETE", "/current-api-session", logout, "partial", BOTH, write=True, summary="Log out"),
    Action(
        "GET",
        "/current-api-session/service-updates",
        service_updates,
        "session",
        (CLIENT,),
        summary="When the caller's services last changed",
    ),
)
__all__ = ["ACTIONS", "OBJECT"]
