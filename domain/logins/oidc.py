"""OpenID Connect for SDKs and the command line: authorization code with PKCE, refresh, exchange, end.

Discovery announces exactly what is served (docs/differences.md). A login under way is a row, and so is
the session that it ends in; tokens are JWTs over them (`domain.access_tokens`). Sources: OpenID Connect
Core and Discovery, RFC 6749, 7009, 7636, 8252, 8693, recorded answers of topic `oidc`.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

import pki
import store
import tokens
from domain import ids
from domain.context import Context
from domain.logins import access_tokens, auth, oidc_login, oidc_protocol, session_certificates, signers
from domain.logins.auth import Told
from domain.logins.oidc_protocol import OAuthError, as_json, as_text, redirect, request_of, text, with_query
from models import ApiSession, Authenticator, Identity, OidcRequest, Revocation
from wire.errors import ApiError
from wire.resource import Result, now_ms

log = logging.getLogger("zitilite.oidc")

REQUEST_MS = 10 * 60_000
# Requests cost a row each and need no login: more of them than this at once are refused.
MAX_REQUESTS = 10_000
_URN = "urn:ietf:params:oauth:"
EXCHANGE = f"{_URN}grant-type:token-exchange"
TYPES = {f"{_URN}token-type:{name}": name for name in ("access_token", "refresh_token", "id_token")}


# --- discovery


def configuration(ctx: Context) -> Result:
    """GET /oidc/.well-known/openid-configuration (OpenID Connect Discovery 3)."""
    base = access_tokens.issuer(ctx)
    return as_json(
        {
            "issuer": base,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/oauth/token",
            "userinfo_endpoint": f"{base}/userinfo",
            "revocation_endpoint": f"{base}/revoke",
            "end_session_endpoint": f"{base}/end_session",
            "jwks_uri": f"{base}/keys",
            "scopes_supported": list(oidc_protocol.SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", EXCHANGE],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ctx.ctrl.signer.algorithm],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "auth_time", "nonce", "amr", "azp", "name", "sid"],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "openziti_endpoints": {name: f"{base}/login/{path}" for name, path in oidc_login.ENDPOINTS.items()},
        }
    )


def keys(ctx: Context) -> Result:
    """GET /oidc/keys: the public key as a JWK Set."""
    return as_json(ctx.ctrl.signer.jwks())


# --- authorize


def authorize(ctx: Context) -> Result:
    """GET or POST /oidc/authorize: begin a login (RFC 6749 section 4.1.1, PKCE required)."""
    values = oidc_protocol.form(ctx)
    client = text(values, "client_id")
    if client not in oidc_protocol.CLIENTS:
        raise OAuthError("invalid_client", "client not found")
    uri = text(values, "redirect_uri")
    if not oidc_protocol.may_redirect(ctx, uri, "redirectUris"):
        raise OAuthError(
            "invalid_request",
            "The requested redirect_uri is missing in the client configuration. "
            "If you have any questions, you may contact the administrator of the application.",
        )
    problem = _problem(values)
    if problem:
        return redirect(with_query(uri, error=problem[0], error_description=problem[1], **_state(values)))
    key = ids.token()
    with store.write():
        _make_room()
        OidcRequest.create(
            id=key,
            expires_at=now_ms() + REQUEST_MS,
            client=client,
            redirect_uri=uri,
            scopes=[s for s in text(values, "scope").split() if s in oidc_protocol.SCOPES],
            state=text(values, "state"),
            nonce=text(values, "nonce"),
            code_challenge=text(values, "code_challenge"),
            config_types=oidc_login.told_by(values).config_types,
        )
    return redirect(f"/oidc/login/{_method(ctx, values)}?authRequestID={key}")


_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def _problem(values: dict[str, Any]) -> tuple[str, str] | None:
    """What is wrong with a request whose redirect can be trusted: error and description."""
    if text(values, "response_type") != "code":
        return "unsupported_response_type", "only the response type code is served"
    if "openid" not in text(values, "scope").split():
        return "invalid_scope", "the scope openid is missing"
    if text(values, "code_challenge_method") != "S256" or not _CHALLENGE.match(text(values, "code_challenge")):
        return "invalid_request", "a code_challenge by the method S256 is required"
    if text(values, "prompt") == "none":
        return "login_required", "there is no login without a prompt"
    if any(len(text(values, name)) > 2048 for name in ("state", "nonce", "redirect_uri")):
        return "invalid_request", "a parameter is too long"
    return None


def _state(values: dict[str, Any]) -> dict[str, str]:
    return {"state": text(values, "state")} if text(values, "state") else {}


def _method(ctx: Context, values: dict[str, Any]) -> str:
    """The login endpoint to go to: the one asked for, else by what the client has presented."""
    wanted = text(values, "method")
    if wanted in ("cert", "ext-jwt"):
        return wanted
    return "cert" if ctx.peer and wanted != "password" else "username"


def _make_room() -> None:
    """Delete the requests that nobody will finish. Raises temporarily_unavailable when there are too many."""
    OidcRequest.delete().where(OidcRequest.expires_at <= now_ms()).execute()
    if OidcRequest.select().count() >= MAX_REQUESTS:
        raise OAuthError("temporarily_unavailable", "too many logins are under way", 503)


def callback(ctx: Context) -> Result:
    """GET /oidc/authorize/callback?id=…: hand out the code once the login is complete."""
    row = request_of(ctx.query.get("id", ""))
    if row is None:
        raise OAuthError("invalid_request", "the login is unknown or took too long")
    state = {"state": row.state} if row.state else {}
    if not oidc_login.done(row):
        words = "Unfortunately, the user may be not logged in and/or additional interaction is required."
        return redirect(with_query(row.redirect_uri, error="interaction_required", error_description=words, **state))
    code = secrets.token_urlsafe(32)
    with store.write():
        given = OidcRequest.update(code_hash=_hash(code)).where(
            OidcRequest.id == row.id, OidcRequest.code_hash.is_null(), OidcRequest.identity == row.identity_id
        )
        if given.execute() != 1:
            raise OAuthError("invalid_request", "the code of this login was handed out already")
    return redirect(with_query(row.redirect_uri, code=code, **state))


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


# --- tokens


@dataclass(frozen=True, slots=True)
class Grant:
    """What tokens are made of: the session and how it was logged in."""

    session: ApiSession
    identity: Identity
    client: str
    amr: list[str]
    auth_time: int
    scopes: list[str]
    acf: str | None
    cfs: list[str] | None
    certificate: str = ""


def token(ctx: Context) -> Result:
    """POST /oidc/oauth/token: the grants of `grant_types_supported`."""
    values = oidc_protocol.form(ctx) if ctx.content_type == oidc_protocol.FORM_TYPE else {}
    grant_type = text(values, "grant_type")
    ctx.attempt.method = f"oidc-{'exchange' if grant_type == EXCHANGE else grant_type[:20] or 'token'}"
    match grant_type:
        case "":
            raise OAuthError("invalid_request", "grant_type missing")
        case "authorization_code":
            return _by_code(ctx, values)
        case "refresh_token":
            return _only_failures(ctx, _by_refresh_token(ctx, values))
        case _ if grant_type == EXCHANGE:
            return _only_failures(ctx, _exchange(ctx, values))
        case _:
            raise OAuthError("unsupported_grant_type", f"{grant_type[:80]} not supported")


def _only_failures(ctx: Context, answer: Result) -> Result:
    """Clients refresh all the time: the log of attempts has only what went wrong."""
    ctx.attempt.kind = ""
    return answer


def _by_code(ctx: Context, values: dict[str, Any]) -> Result:
    client = oidc_protocol.client_of(ctx, values)
    code = text(values, "code")
    row = OidcRequest.get_or_none(OidcRequest.code_hash == _hash(code), OidcRequest.expires_at > now_ms())
    if row is None or row.client != client:
        raise OAuthError("invalid_grant", "invalid code")
    if row.identity_id:
        ctx.attempt.of_identity(row.identity)
    if not hmac.compare_digest(tokens.s256(text(values, "code_verifier")), row.code_challenge):
        raise OAuthError("invalid_grant", "invalid code_verifier")
    if text(values, "redirect_uri") != row.redirect_uri:
        raise OAuthError("invalid_grant", "redirect_uri does not correspond")
    grant = _open(ctx, row)
    return _pair(ctx, grant, nonce=row.nonce, code=code)


def _open(ctx: Context, row: OidcRequest) -> Grant:
    """Spend the code and write the session. Whoever comes second with it is refused."""
    with store.write():
        if OidcRequest.delete().where(OidcRequest.id == row.id, OidcRequest.code_hash == row.code_hash).execute() != 1:
            raise OAuthError("invalid_grant", "invalid code")
        _check_authenticator(row)
        key, passed = ids.token(), "totp" in row.amr
        session = auth.open_session(
            ctx,
            row.identity_id,
            Told(row.config_types, row.env_info, row.sdk_info),
            id=key,
            token=key,
            authenticator=row.authenticator,
            ca=row.ca,
            seconds=_lifetime(ctx, row.scopes),
            is_cert_extendable=row.is_cert_extendable,
            improper_client_cert_chain=row.improper_client_cert_chain,
            mfa_required=passed,
            mfa_complete=passed,
            mfa_passed_at=now_ms() if passed else None,
            oidc_client=row.client,
        )
        bound, issued = _certificates(ctx, row, session)
        ctx.attempt.of_identity(session.identity)
        ctx.attempt.succeeded(f"'{session.identity.name}' logged in by OIDC ({'+'.join(row.amr)})")
    log.info("OIDC session %s of '%s' by %s", session.id, session.identity.name, "+".join(row.amr))
    return Grant(
        session,
        session.identity,
        row.client,
        row.amr,
        row.authenticated_at // 1000,
        row.scopes,
        bound[0] if row.certificate else None,
        bound or None,
        issued,
    )


def _lifetime(ctx: Context, scopes: list[str]) -> int:
    return access_tokens.REFRESH_SECONDS if "offline_access" in scopes else access_tokens.access_seconds(ctx)


def _check_authenticator(row: OidcRequest) -> None:
    """What was logged in with must still be there."""
    internal = row.authenticator == "internal" or row.authenticator.startswith("extJwtId:")
    if not internal and not Authenticator.select().where(Authenticator.id == row.authenticator).exists():
        raise OAuthError("invalid_grant", "the authenticator was removed meanwhile")


def _certificates(ctx: Context, row: OidcRequest, session: ApiSession) -> tuple[list[str], str]:
    """Bind the session to the certificate of the login, and to a fresh one when a CSR came along.

    Returns the fingerprints, and the fresh certificate's PEM.
    """
    bound, issued = [], ""
    if row.certificate:
        presented = pki.load_cert(row.certificate)
        session_certificates.add(session.id, presented, row.certificate)
        bound.append(presented.fingerprint)
    if row.csr:
        fingerprint, issued = _issue(ctx, row.csr, session)
        bound.append(fingerprint)
    return bound, issued


def _issue(ctx: Context, csr: str, session: ApiSession) -> tuple[str, str]:
    key = ids.short_id()
    try:
        cert, pem = session_certificates.issue(ctx, csr, session.identity_id, session.id, key)
    except ApiError as e:
        raise OAuthError("invalid_request", f"the CSR cannot be used: {e}") from None
    session_certificates.add(session.id, cert, pem, key=key)
    return cert.fingerprint, pem


def _pair(ctx: Context, grant: Grant, *, nonce: str = "", code: str = "", key: str = "") -> Result:
    """Access, ID and (for `offline_access`) refresh token of a grant."""
    claims = _claims(ctx, grant)
    key = key or ids.token()
    access = _sign_access(ctx, claims, key)
    answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer"}
    if "offline_access" in grant.scopes:
        seconds = access_tokens.REFRESH_SECONDS
        answer["refresh_token"] = access_tokens.sign(ctx, claims, access_tokens.REFRESH, key, seconds)
    answer["expires_in"] = _left(ctx)
    answer["id_token"] = access_tokens.sign_id(ctx, claims, grant.identity.name, access, nonce=nonce, code=code)
    answer["scope"] = " ".join(grant.scopes)
    if grant.certificate:
        answer["session_cert"] = grant.certificate
    return as_json(answer)


def _claims(ctx: Context, grant: Grant) -> dict[str, Any]:
    request = {
        "amr": grant.amr,
        "auth_time": grant.auth_time,
        "scopes": grant.scopes,
        "acf": grant.acf,
        "cfs": grant.cfs,
    }
    return access_tokens.session_claims(ctx, grant.session, grant.identity, request)


def _sign_access(ctx: Context, claims: dict[str, Any], key: str) -> str:
    return access_tokens.sign(ctx, claims, access_tokens.ACCESS, key, access_tokens.access_seconds(ctx))


def _left(ctx: Context) -> int:
    """Whole seconds that an access token signed just now is good for."""
    now = time.time()
    return int(int(now) + access_tokens.access_seconds(ctx) - now)


def _regrant(ctx: Context, token_text: str, kind: str, client: str, problem: OAuthError) -> Grant:
    """The grant of a token that is to be refreshed or exchanged. Raises `problem` for one that is not good."""
    try:
        claims = access_tokens.read(ctx, token_text, kind)
        session = access_tokens.session_of(ctx, claims)
    except tokens.BadToken as e:
        log.info("token refused: %s", e)
        raise problem from None
    if claims["client_id"] != client:
        raise OAuthError("invalid_grant", "the token was issued to another client")
    return Grant(
        session,
        session.identity,
        client,
        claims["amr"],
        claims["auth_time"],
        claims["scopes"],
        claims.get("z_acf"),
        claims.get("z_cfs"),
    )


def _renew(ctx: Context, grant: Grant, csr: str) -> Grant:
    """Prolong the session; with a CSR a fresh certificate takes the place of the last one issued."""
    now = now_ms()
    end = max(grant.session.expires_at, now + _lifetime(ctx, grant.scopes) * 1000)
    with store.write():
        changed = ApiSession.update(expires_at=end, updated_at=now, last_activity_at=now).where(
            ApiSession.id == grant.session.id
        )
        if changed.execute() != 1:
            raise OAuthError("invalid_grant", "the session has ended")
        if not csr:
            return grant
        fingerprint, pem = _issue(ctx, csr, grant.session)
    bound = [*([grant.acf] if grant.acf else []), fingerprint]
    return Grant(
        grant.session,
        grant.identity,
        grant.client,
        grant.amr,
        grant.auth_time,
        grant.scopes,
        grant.acf,
        bound,
        pem,
    )


def _by_refresh_token(ctx: Context, values: dict[str, Any]) -> Result:
    client = oidc_protocol.client_of(ctx, values)
    problem = OAuthError("invalid_grant", "failed to parse refresh token")
    grant = _regrant(ctx, text(values, "refresh_token"), access_tokens.REFRESH, client, problem)
    return _pair(ctx, _renew(ctx, grant, text(values, "csr_pem")))


def _exchange(ctx: Context, values: dict[str, Any]) -> Result:
    """RFC 8693: a refresh token for fresh tokens, an access token for another, either for an ID token."""
    client = oidc_protocol.client_of(ctx, values)
    subject = TYPES.get(text(values, "subject_token_type"))
    wanted_urn = text(values, "requested_token_type") or f"{_URN}token-type:refresh_token"
    wanted = TYPES.get(wanted_urn)
    if not text(values, "subject_token"):
        raise OAuthError("invalid_request", "subject_token missing")
    if subject not in ("access_token", "refresh_token"):
        raise OAuthError("invalid_request", "subject_token_type is not supported")
    if wanted is None or (subject == "access_token" and wanted == "refresh_token"):
        raise OAuthError("invalid_request", "requested_token_type is not supported")
    kind = access_tokens.REFRESH if subject == "refresh_token" else access_tokens.ACCESS
    problem = OAuthError("invalid_request", "subject_token is invalid")
    grant = _regrant(ctx, text(values, "subject_token"), kind, client, problem)
    if subject == "refresh_token":
        grant = _renew(ctx, grant, text(values, "csr_pem"))
    return as_json(_exchanged(ctx, grant, wanted, wanted_urn))


def _exchanged(ctx: Context, grant: Grant, wanted: str, urn: str) -> dict[str, Any]:
    claims = _claims(ctx, grant)
    answer: dict[str, Any] = {"issued_token_type": urn, "scope": " ".join(grant.scopes)}
    if wanted == "id_token":
        # An ID token, though the property is called access_token (RFC 8693 section 2.2.1).
        answer |= {"access_token": access_tokens.sign_id(ctx, claims, grant.identity.name), "token_type": "N_A"}
    else:
        key = ids.token()
        answer |= {"access_token": _sign_access(ctx, claims, key), "token_type": "Bearer", "expires_in": _left(ctx)}
        if wanted == "refresh_token":
            seconds = access_tokens.REFRESH_SECONDS
            answer["refresh_token"] = access_tokens.sign(ctx, claims, access_tokens.REFRESH, key, seconds)
    if grant.certificate:
        answer["session_cert"] = grant.certificate
    return answer


# --- the end of tokens and sessions


def revoke(ctx: Context) -> Result:
    """POST /oidc/revoke (RFC 7009): an access token alone, or a refresh token with its session."""
    values = oidc_protocol.form(ctx)
    client = oidc_protocol.client_of(ctx, values)
    try:
        claims = ctx.ctrl.signer.read(text(values, "token"))
    except tokens.BadToken:
        claims = {}
    if claims.get("client_id") == client and claims.get("z_t") in (access_tokens.ACCESS, access_tokens.REFRESH):
        now = now_ms()
        with store.write():
            Revocation.delete().where(Revocation.expires_at < now).execute()
            Revocation.replace(
                id=claims["jti"],
                type="JTI",
                created_at=now,
                updated_at=now,
                expires_at=claims["exp"] * 1000,
                tags={},
                is_system=False,
            ).execute()
            if claims["z_t"] == access_tokens.REFRESH:
                auth.end_sessions(ApiSession.id == claims["z_asid"])
    return Result(raw=b"", headers={"Cache-Control": "no-store"})


def userinfo(ctx: Context) -> Result:
    """GET or POST /oidc/userinfo (OpenID Connect Core 5.3)."""
    if not signers.bearer(ctx):
        raise OAuthError("invalid_request", "access token missing", 401)
    try:
        auth.resolve(ctx)
    except ApiError as e:
        raise OAuthError("invalid_token", "access token invalid", 401) from e
    info: dict[str, Any] = {"sub": ctx.me.id, "name": ctx.me.name, "z_ia": ctx.is_admin}
    if ctx.me.external_id:
        info["z_eid"] = ctx.me.external_id
    return as_json(info)


def end_session(ctx: Context) -> Result:
    """GET or POST /oidc/end_session: end the session of an ID token (OpenID Connect RP-Initiated Logout)."""
    values = oidc_protocol.form(ctx)
    hint = text(values, "id_token_hint")
    if hint:
        try:
            claims = ctx.ctrl.signer.read(hint, expired_ok=True)
        except tokens.BadToken:
            raise OAuthError("invalid_request", "id_token_hint invalid") from None
        with store.write():
            key = str(claims.get("sid"))
            auth.end_sessions((ApiSession.id == key) & ApiSession.oidc_client.is_null(is_null=False))
    uri = text(values, "post_logout_redirect_uri")
    if not uri:
        return redirect("/oidc/logged-out")
    if not oidc_protocol.may_redirect(ctx, uri, "postLogoutUris"):
        raise OAuthError("invalid_request", "post_logout_redirect_uri invalid")
    return redirect(with_query(uri, **_state(values)) if text(values, "state") else uri)


def logged_out(ctx: Context) -> Result:
    """GET /oidc/logged-out."""
    return as_text("signed out successfully")


def introspect(ctx: Context) -> Result:
    """POST /oidc/oauth/introspect: for confidential clients, and all here are public."""
    raise OAuthError("invalid_client", "client must be authenticated")


_a = oidc_protocol.action

ACTIONS = (
    _a("GET", "/.well-known/openid-configuration", configuration, "Discovery"),
    _a("GET", "/keys", keys, "Public keys"),
    _a("GET", "/authorize", authorize, "Begin a login"),
    _a("POST", "/authorize", authorize, "Begin a login"),
    _a("GET", "/authorize/callback", callback, "Hand out the code"),
    _a("POST", "/oauth/token", token, "Tokens for a code or a token", attempt="login"),
    _a("POST", "/oauth/introspect", introspect, "For confidential clients"),
    _a("POST", "/revoke", revoke, "Revoke a token"),
    _a("GET", "/userinfo", userinfo, "Who the token stands for"),
    _a("POST", "/userinfo", userinfo, "Who the token stands for"),
    _a("GET", "/end_session", end_session, "Log out"),
    _a("POST", "/end_session", end_session, "Log out"),
    _a("GET", "/logged-out", logged_out, "After logging out"),
    *oidc_login.ACTIONS,
)
