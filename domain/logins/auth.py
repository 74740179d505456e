"""Who is calling: API sessions, from login to their end, and what is still missing in a partial one.

A session is a row, whether it was made by POST /authenticate (its token comes as `zt-session`) or by
OIDC (its access tokens come as `Authorization: Bearer`). Source: recorded answers of topics
`authenticate`, `mfa`, `oidc`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import compact
import store
import tokens
from domain import ids
from domain.context import Context
from domain.logins import access_tokens, api_tokens, credentials, session_certificates, signers
from domain.logins.credentials import Login
from models import ApiSession, Authenticator, ConfigType, ExternalJwtSigner, Identity, Mfa
from prepared import Prepared, by_id, insert
from wire.errors import ApiError
from wire.resource import (
    CLIENT,
    MANAGEMENT,
    STRINGS,
    Action,
    Body,
    Field,
    Param,
    Result,
    always,
    links,
    nested,
    now_ms,
    time_text,
)

MISSING = (
    'zt-session realm="zt-session" error="missing" error_description="no matching token was provided",'
    'Bearer realm="openziti-oidc" error="missing" error_description="no matching token was provided"'
)
INVALID = 'zt-session realm="zt-session" error="invalid" error_description="token is invalid"'
INVALID_BEARER = 'Bearer realm="openziti-oidc" error="invalid" error_description="token is invalid"'

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


# --- the caller

_BY_TOKEN = Prepared(
    lambda token, now: (
        ApiSession.select(ApiSession, Identity)
        .join(Identity)
        .where(ApiSession.token == token, ApiSession.oidc_client.is_null(), ApiSession.expires_at > now)
    ),
    ApiSession,
    ApiSession.identity,
)
_EXPIRED = Prepared(lambda now: ApiSession.delete().where(ApiSession.expires_at < now))
_SEEN = Prepared(
    lambda now, key: Identity.update({Identity.last_seen_at: now, Identity.failed_logins: 0}).where(Identity.id == key)
)
_TOLD = Prepared(
    lambda now, env, sdk, key: Identity.update(
        {Identity.last_seen_at: now, Identity.failed_logins: 0, Identity.env_info: env, Identity.sdk_info: sdk}
    ).where(Identity.id == key)
)
_ASKED = Prepared(
    lambda key: Authenticator.select(Authenticator.is_extend_requested, Authenticator.is_key_roll_requested).where(
        Authenticator.id == key
    )
)
_PROTECTED = Prepared(lambda key: Mfa.select(Mfa.id).where(Mfa.identity == key, Mfa.is_verified))


def resolve(ctx: Context, *, partial: bool = False) -> None:
    """Find the caller's session by `zt-session`, else by a Bearer token. Raises UNAUTHORIZED.

    Cookies are not looked at and requests do not prolong the session, both as recorded. With partial
    a session will do that lacks a second factor. An API token has no session (domain/logins/api_tokens.py).
    """
    if ctx.is_local:
        _as_owner(ctx)
        return
    token = ctx.headers.get("zt-session", "")
    if not token and api_tokens.presented(ctx):
        api_tokens.resolve(ctx)
        return
    session = _by_token(token) if token else _by_bearer(ctx)
    ctx.session, ctx.identity = session, session.identity
    if not partial and (session.totp_pending or not _signer_satisfied(ctx, session)):
        raise ApiError("UNAUTHORIZED", log=f"the session of '{session.identity.name}' lacks a second factor")


def _as_owner(ctx: Context) -> None:
    """A command on the data folder acts for the default administrator; its session is written nowhere."""
    owner = Identity.select().where(Identity.is_default_admin).first()
    if owner is None:
        raise ApiError("UNAUTHORIZED", "nothing was set up in this data folder yet")
    ctx.identity = owner
    now = now_ms()
    ctx.session = ApiSession(
        id="local",
        token="",
        identity=owner,
        authenticator="local",
        ip_address="",
        created_at=now,
        updated_at=now,
        last_activity_at=now,
        expires_at=now + 60_000,
    )


def _by_token(token: str) -> ApiSession:
    session: ApiSession | None = _BY_TOKEN.first(token, now_ms())
    if session is None:
        raise ApiError("UNAUTHORIZED", headers={"WWW-Authenticate": INVALID})
    return session


def _by_bearer(ctx: Context) -> ApiSession:
    token = signers.bearer(ctx)
    if not token:
        headers = {"WWW-Authenticate": MISSING}
        raise ApiError("UNAUTHORIZED", "unauthenticated for invalid credentials", headers=headers)
    try:
        _, claims = tokens.peek(token)
    except tokens.BadToken:
        claims = {}
    if claims.get("z_t") != access_tokens.ACCESS or ctx.ctrl.settings.oidc != "on":
        raise ApiError("UNAUTHORIZED", headers={"WWW-Authenticate": MISSING}, log="no access token of ours")
    try:
        ctx.access = access_tokens.read(ctx, token, access_tokens.ACCESS)
        return access_tokens.session_of(ctx, ctx.access)
    except tokens.BadToken as e:
        raise ApiError("UNAUTHORIZED", headers={"WWW-Authenticate": INVALID_BEARER}, log=str(e)) from None


def _signer_satisfied(ctx: Context, session: ApiSession) -> bool:
    """Whether the external token that the policy demands besides the session came with this request."""
    if not session.signer_pending:
        return True
    try:
        verified = signers.verify(ctx, signers.bearer(ctx), signer_id=session.signer_pending)
    except ApiError:
        return False
    return bool(Identity.select().where(Identity.id == session.identity_id, signers.owner(verified)).exists())


def end_sessions(condition: Any) -> int:
    """Delete the sessions that match. Call it in the transaction that takes away what they rest on."""
    return int(ApiSession.delete().where(condition).execute())


# --- how a session is shown


def session_document(session: ApiSession, identity: Identity) -> dict[str, Any]:
    """The JSON of an API session, shared by login, current-api-session and the list."""
    doc: dict[str, Any] = {
        "_links": links("api-sessions", session.id, ("sessions",)),
        "createdAt": time_text(session.created_at),
        "id": session.id,
        "tags": session.tags,
        "updatedAt": time_text(session.updated_at),
        "authQueries": auth_queries(session),
        "authenticatorId": session.authenticator,
        "cachedLastActivityAt": time_text(session.last_activity_at),
        "configTypes": session.config_types,
        "identity": identity_reference(identity),
        "identityId": identity.id,
        "ipAddress": session.ip_address,
        "isCertExtendable": session.is_cert_extendable,
        "isMfaComplete": session.mfa_complete,
        "isMfaRequired": session.mfa_required,
        "lastActivityAt": time_text(session.last_activity_at),
        "token": session.token,
    }
    if session.improper_client_cert_chain:
        doc["improperClientCertChain"] = True
    return doc


def auth_queries(session: ApiSession) -> list[dict[str, Any]]:
    """What is still asked for before the session is a full one."""
    queries: list[dict[str, Any]] = []
    if session.totp_pending:
        queries.append(
            {
                "format": "alphaNumeric",
                "httpMethod": "POST",
                "httpUrl": "./authenticate/mfa",
                "maxLength": 6,
                "minLength": 4,
                "provider": "ziti",
                "scopes": None,
                "typeId": "MFA",
            }
        )
    if session.signer_pending:
        queries += signer_query(session.signer_pending)
    return queries


def signer_query(key: str) -> list[dict[str, Any]]:
    """The query that sends a client to the provider of an external token; none when the signer is gone."""
    signer = ExternalJwtSigner.get_or_none(ExternalJwtSigner.id == key)
    if signer is None:
        return []
    return [
        {
            "clientId": signer.client_id or "",
            "httpUrl": signer.external_auth_url or "",
            "id": signer.id,
            "provider": "url",
            "scopes": signer.scopes or None,
            "typeId": "EXT-JWT",
        }
    ]


def current_document(session: ApiSession, identity: Identity) -> dict[str, Any]:
    """A session as its owner sees it: with its end, and what its certificate is asked to do."""
    doc = session_document(session, identity)
    doc["expirationSeconds"] = (session.expires_at - session.created_at) // 1000
    doc["expiresAt"] = time_text(session.expires_at)
    if session.is_cert_extendable:
        extend, roll = _ASKED.first(session.authenticator) or (False, False)
        if extend:
            doc["isCertExtendRequested"] = True
        if roll:
            doc["isCertKeyRollRequested"] = True
    return doc


def identity_reference(identity: Identity) -> dict[str, Any]:
    """How other entities point at an identity."""
    found = links("identities", identity.id, IDENTITY_LINKS)
    found["auth-policies"] = {"href": f"./auth-policies/{identity.auth_policy_id}"}
    return {"_links": found, "entity": "identities", "id": identity.id, "name": identity.name}


def live(ctx: Context) -> Any:
    """The condition for sessions that have not ended."""
    # As an expression: nearly all are live, and lists are read in the order that was asked for, not in this one's.
    return ApiSession.expires_at + 0 > now_ms()


def extend_sessions(ctx: Context, rows: list[ApiSession], docs: list[dict[str, Any]]) -> None:
    """Fill in the rows of GET /api-sessions."""
    people = {i.id: i for i in Identity.select().where(Identity.id.in_({r.identity_id for r in rows}))}
    for row, doc in zip(rows, docs, strict=True):
        doc.update(session_document(row, people[row.identity_id]))


# --- login


@dataclass(frozen=True, slots=True)
class Told:
    """What a client tells about itself when it logs in. Config types: ids or names."""

    config_types: list[str] = field(default_factory=list)
    env_info: dict[str, Any] = field(default_factory=dict)
    sdk_info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Factors:
    """What a policy and an identity demand besides the primary login."""

    mfa_required: bool
    totp_pending: bool
    signer_pending: str | None


def second_factors(identity: Identity) -> Factors:
    """The second factors of an identity: its own TOTP, and what its authentication policy requires."""
    secondary = identity.auth_policy.secondary
    enrolled = _PROTECTED.first(identity.id) is not None
    totp = enrolled or bool(secondary.get("requireTotp"))
    return Factors(enrolled, totp, secondary.get("requireExtJwtSigner") or None)


def authenticate(ctx: Context) -> Result:
    """POST /authenticate?method=password|cert|ext-jwt: make an API session.

    Answers with the headers `zt-session`, `expiration-seconds` and `expires-at` besides the body.
    """
    ctx.attempt.method = ctx.query["method"]
    login = primary(ctx, ctx.query["method"], ctx.body)
    factors = second_factors(login.identity)
    body = ctx.body
    told = Told(body.get("configTypes", []), body.get("envInfo", {}), body.get("sdkInfo", {}))
    with store.write():
        session = open_session(
            ctx,
            login.identity.id,
            told,
            id=ids.session_id(),
            token=ids.token(),
            authenticator=login.authenticator,
            ca=login.ca,
            seconds=ctx.ctrl.settings.session_minutes * 60,
            is_cert_extendable=login.is_cert_extendable,
            improper_client_cert_chain=login.improper_chain,
            mfa_required=factors.mfa_required,
            totp_pending=factors.totp_pending,
            signer_pending=factors.signer_pending,
        )
        login.settle()
        if login.certificate is not None:
            session_certificates.add(session.id, login.certificate, login.certificate.pem)
        ctx.attempt.succeeded(_logged_in(login, factors))
    expires = datetime.fromtimestamp(session.expires_at / 1000, UTC)
    headers = {
        "zt-session": session.token,
        "expiration-seconds": str((session.expires_at - session.created_at) // 1000),
        "expires-at": expires.strftime("%Y-%m-%d %H:%M:%S.%f000 +0000 UTC"),
    }
    return Result(current_document(session, login.identity), headers=headers)


def _logged_in(login: Login, factors: Factors) -> str:
    """What the log of attempts says about a login that passed."""
    said = f"'{login.identity.name}' logged in by {login.method}"
    missing = ["a code (TOTP)"] if factors.totp_pending else []
    missing += ["an external token"] if factors.signer_pending else []
    return f"{said}; {' and '.join(missing)} must still come" if missing else said


def primary(ctx: Context, method: str, body: dict[str, Any]) -> Login:
    """Check the primary credentials of a request. Raises INVALID_AUTH or UNAUTHORIZED."""
    match method:
        case "password":
            login = credentials.by_password(ctx, body.get("username"), body.get("password"))
        case "cert":
            login = credentials.by_certificate(ctx)
        case _:
            login = credentials.by_external_token(ctx)
    ctx.attempt.of_identity(login.identity)
    return login


def open_session(ctx: Context, identity_id: str, told: Told, *, seconds: int, **columns: Any) -> ApiSession:
    """Write a session and what the client tells about itself. Needs a write transaction.

    Args:
        seconds: how long it lives.
        columns: the other columns of the row; `config_types`, `ip_address` and the times are filled in.
    """
    now = now_ms()
    _EXPIRED.execute(now)
    # Read again inside the transaction: it may have been disabled or deleted since.
    fresh = by_id(Identity).first(identity_id)
    if fresh is None or credentials.is_disabled(fresh):
        raise credentials.refused("the identity was disabled or deleted while it logged in")
    env, sdk = told.env_info or fresh.env_info, told.sdk_info or fresh.sdk_info
    if (env, sdk) == (fresh.env_info, fresh.sdk_info):
        _SEEN.execute(now, identity_id)
    else:
        _TOLD.execute(now, compact.text(env), compact.text(sdk), identity_id)
    session = ApiSession(
        identity=identity_id,
        ip_address=ctx.remote,
        config_types=known_config_types(told.config_types),
        created_at=now,
        updated_at=now,
        last_activity_at=now,
        expires_at=now + seconds * 1000,
        **columns,
    )
    return cast("ApiSession", insert(session))


def known_config_types(names: list[str]) -> list[str]:
    """`all` as it is; ids of config types for ids and names; anything unknown is left out."""
    if "all" in names:
        return ["all"]
    if not names:
        return []
    found = ConfigType.select(ConfigType.id).where(ConfigType.id.in_(names) | ConfigType.name.in_(names))
    return [row.id for row in found]


# --- the caller's own session


def current_api_session(ctx: Context) -> Any:
    """GET /current-api-session. Called by Bearer, it shows that token and its end."""
    if ctx.api_token is not None:
        stand_in = api_tokens.as_session(ctx, ctx.api_token)
        return current_document(stand_in, ctx.me) | {"_links": links("api-tokens", stand_in.id)}
    doc = current_document(ctx.my_session, ctx.me)
    if ctx.access is not None:
        end = ctx.access["exp"]
        doc |= {
            "token": signers.bearer(ctx),
            "expiresAt": time_text(end * 1000),
            "expirationSeconds": max(int(end - time.time()), 0),
        }
    return doc


def logout(ctx: Context) -> Any:
    """DELETE /current-api-session: the session ends, and with it every token of it."""
    if ctx.api_token is not None:
        where = f"DELETE /zitilite/v1/api-tokens/{ctx.api_token.id}"
        raise ApiError("BAD_REQUEST", f"an API token has no session to end: {where} revokes the token")
    end_sessions(ApiSession.id == ctx.my_session.id)
    return {}


LOGIN = Body(
    "auth",
    "Authenticate",
    (
        Field("username", credentials.USERNAME),
        Field("password", credentials.PASSWORD),
        Field("configTypes", STRINGS),
        Field("envInfo", nested("EnvInfo", _INFO)),
        Field("sdkInfo", nested("SdkInfo", _SDK)),
    ),
    optional=True,
)
BOTH = (MANAGEMENT, CLIENT)
METHOD = Param("method", required=True, choices=("password", "cert", "ext-jwt"))

ACTIONS = (
    Action(
        "POST",
        "/authenticate",
        authenticate,
        "public",
        BOTH,
        LOGIN,
        (METHOD,),
        summary="Log in",
        attempt="login",
        # A password is hashed, and for a token keys may have to be fetched.
        quick=lambda query: query == "method=cert",
    ),
    Action(
        "GET",
        "/current-api-session",
        current_api_session,
        "partial",
        BOTH,
        summary="The caller's session",
        quick=always,
    ),
    Action("DELETE", "/current-api-session", logout, "partial", BOTH, write=True, summary="Log out"),
)
