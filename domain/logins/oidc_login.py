"""The login endpoints of OIDC: password, certificate, external token, then what the policy demands besides.

They work on a request that /oidc/authorize made, whose id only the client knows. Answers as recorded
in topic `oidc`: 302 to the callback when nothing is missing, else 200 with `authQueries`.
"""

from __future__ import annotations

import logging
from html import escape
from typing import Any

import pki
import store
from domain.care.attempts import sentence
from domain.context import Context
from domain.logins import access_tokens, auth, mfa, oidc_protocol, signers
from domain.logins.auth import Told
from domain.logins.credentials import Login
from domain.logins.oidc_protocol import LoginError, as_json, as_text, redirect, request_of, text
from models import Identity, OidcRequest
from wire.errors import ApiError
from wire.resource import Result, now_ms, time_text

log = logging.getLogger("zitilite.oidc")

_UNAUTHORIZED = ApiError("UNAUTHORIZED")
# What discovery calls the login endpoints, and where they are below /oidc/login.
ENDPOINTS = {
    "password": "password",
    "cert": "cert",
    "ext_jwt": "ext-jwt",
    "totp": "totp",
    "totp_enroll": "totp/enroll",
    "totp_enroll_verify": "totp/enroll/verify",
    "auth_queries": "auth-queries",
}


def _request(values: dict[str, Any]) -> OidcRequest:
    row = request_of(text(values, "id") or text(values, "authRequestID"))
    if row is None or row.code_hash:
        raise _refused("the login request is unknown, finished or older than ten minutes: begin again")
    return row


def _refused(reason: str) -> LoginError:
    return LoginError(401, _UNAUTHORIZED.code, _UNAUTHORIZED.message, reason)


def _wants_page(ctx: Context) -> bool:
    return "text/html" in ctx.headers.get("Accept", "")


def done(row: OidcRequest) -> bool:
    """Whether the primary login passed and no second factor is missing."""
    return bool(row.identity_id) and not row.totp_pending and not row.signer_pending


# --- pages


def login_page(ctx: Context) -> Result:
    """GET /oidc/login/username: the form for a person."""
    return _login_page(ctx.query.get("authRequestID", ""))


def _login_page(key: str, problem: str = "", status: int = 200) -> Result:
    body = (
        (f'<p role="alert">{escape(problem)}</p>' if problem else "")
        + f'<form method="post" action="/oidc/login/password"><input type="hidden" name="id" value="{escape(key)}">'
        '<label>User name <input name="username" autocomplete="username" required autofocus></label>'
        '<label>Password <input name="password" type="password" autocomplete="current-password" required></label>'
        "<button>Log in</button></form>"
    )
    return oidc_protocol.page("Log in", body, status, {"auth-request-id": _printable(key)})


def _totp_page(key: str, problem: str = "", status: int = 200) -> Result:
    body = (
        (f'<p role="alert">{escape(problem)}</p>' if problem else "")
        + f'<form method="post" action="/oidc/login/totp"><input type="hidden" name="id" value="{escape(key)}">'
        '<label>Code <input name="code" inputmode="numeric" autocomplete="one-time-code" required autofocus></label>'
        "<button>Go on</button></form>"
    )
    return oidc_protocol.page("Second factor", body, status, {"totp-required": "true"})


def _printable(value: str) -> str:
    """Fit for a header."""
    return "".join(c for c in value[:64] if c.isascii() and (c.isalnum() or c == "-"))


def post_here(ctx: Context) -> Result:
    """GET /oidc/login/cert and /oidc/login/ext-jwt: nothing to fill in, clients POST."""
    headers = {"auth-request-id": _printable(ctx.query.get("authRequestID", ""))}
    return as_text("please POST to this URL", headers=headers)


# --- primary login


def password(ctx: Context) -> Result:
    """POST /oidc/login/password (and /username)."""
    return _log_in(ctx, "password")


def certificate(ctx: Context) -> Result:
    """POST /oidc/login/cert."""
    return _log_in(ctx, "cert")


def external(ctx: Context) -> Result:
    """POST /oidc/login/ext-jwt: the primary login, or the external token that a policy demands after it."""
    return _log_in(ctx, "ext-jwt")


def _log_in(ctx: Context, method: str) -> Result:
    values = oidc_protocol.form(ctx)
    row = _request(values)
    ctx.attempt.method = f"oidc-{method}"
    if row.identity_id and row.signer_pending and method == "ext-jwt":
        ctx.attempt.of_identity(row.identity)
        return _external_after(ctx, row)
    try:
        login = auth.primary(ctx, method, {name: text(values, name) for name in ("username", "password")})
    except ApiError as e:
        if method == "password" and _wants_page(ctx):
            ctx.attempt.refuse(e.code, sentence(e))
            return _login_page(row.id, e.message, e.status)
        raise
    _check_csr(text(values, "csrPem") or text(values, "csr_pem"))
    _record(ctx, row, login, values)
    ctx.attempt.note = f"'{login.identity.name}' passed the primary login of OIDC by {login.method}"
    return _next(ctx, _request({"id": row.id}))


def _check_csr(csr: str) -> None:
    if not csr:
        return
    try:
        pki.load_csr(csr)
    except pki.BadCsr as e:
        raise oidc_protocol.OAuthError("invalid_request", f"the CSR cannot be used: {e}") from None


def _record(ctx: Context, row: OidcRequest, login: Login, values: dict[str, Any]) -> None:
    """Write the passed primary login into the request."""
    factors = auth.second_factors(login.identity)
    signer = factors.signer_pending
    if signer and _external_fits(ctx, login.identity.id, signer):
        signer = None
    told = told_by(values)
    changes = {
        "identity": login.identity.id,
        "authenticator": login.authenticator,
        "ca": login.ca,
        "amr": [login.method],
        "authenticated_at": now_ms(),
        "totp_pending": factors.totp_pending,
        "signer_pending": signer,
        "certificate": login.certificate.pem if login.certificate else None,
        "is_cert_extendable": login.is_cert_extendable,
        "improper_client_cert_chain": login.improper_chain,
        "csr": text(values, "csrPem") or text(values, "csr_pem") or None,
        "config_types": told.config_types or row.config_types,
        "env_info": told.env_info,
        "sdk_info": told.sdk_info,
    }
    with store.write():
        OidcRequest.update(changes).where(OidcRequest.id == row.id, OidcRequest.code_hash.is_null()).execute()
        login.settle()


def _passed(ctx: Context, row: OidcRequest, method: str, changes: dict[str, Any]) -> Result:
    """Write a passed second factor: for the login that it was checked for, and no other meanwhile."""
    ctx.attempt.note = f"'{row.identity.name}' passed the second factor of OIDC ({method.partition(':')[0]})"
    m = OidcRequest
    same = (m.id == row.id, m.identity == row.identity_id, m.authenticated_at == row.authenticated_at)
    with store.write():
        if m.update({**changes, "amr": [*row.amr, method]}).where(*same, m.code_hash.is_null()).execute() != 1:
            raise _refused("another login took the place of this one meanwhile")
    return _next(ctx, _request({"id": row.id}))


_ENV = ("arch", "os", "osRelease", "osVersion", "domain", "hostname")
_SDK = {
    "appId": "AppID",
    "appVersion": "AppVersion",
    "branch": "Branch",
    "revision": "Revision",
    "type": "Type",
    "version": "Version",
}


def told_by(values: dict[str, Any]) -> Told:
    """What the client tells about itself: nested in JSON, as `envOs` or `sdkVersion` in a form."""
    types = values.get("configTypes")
    env, sdk = values.get("envInfo"), values.get("sdkInfo")
    env = env if isinstance(env, dict) else {k: values.get(f"env{k[0].upper()}{k[1:]}") for k in _ENV}
    sdk = sdk if isinstance(sdk, dict) else {k: values.get(f"sdk{v}") for k, v in _SDK.items()}
    return Told(
        [t for t in types if isinstance(t, str)] if isinstance(types, list) else [],
        {k: v for k, v in env.items() if k in _ENV and v and isinstance(v, str)},
        {k: v for k, v in sdk.items() if k in _SDK and v and isinstance(v, str)},
    )


# --- second factors


def _external_fits(ctx: Context, identity_id: str, signer: str) -> bool:
    """Whether the Authorization header has the demanded signer's token for this identity."""
    try:
        verified = signers.verify(ctx, signers.bearer(ctx), signer_id=signer)
    except ApiError:
        return False
    return bool(Identity.select().where(Identity.id == identity_id, signers.owner(verified)).exists())


def _external_after(ctx: Context, row: OidcRequest) -> Result:
    if not _external_fits(ctx, row.identity_id, row.signer_pending):
        raise signers.challenge("invalid", "the external token does not fit the identity that logged in")
    return _passed(ctx, row, f"ejs:{row.signer_pending}", {"signer_pending": None})


def queries(row: OidcRequest) -> list[dict[str, Any]]:
    """What is still asked for."""
    found: list[dict[str, Any]] = []
    if row.totp_pending:
        enrolled = mfa.of(row.identity)
        found.append(
            {
                "format": "numeric",
                "httpMethod": "POST",
                "httpUrl": "./oidc/login/totp",
                "isTotpEnrolled": enrolled is not None and enrolled.is_verified,
                "maxLength": 8,
                "minLength": 6,
                "provider": "ziti",
                "scopes": None,
                "typeId": "TOTP",
            }
        )
    if row.signer_pending:
        found += auth.signer_query(row.signer_pending)
    return found


def _next(ctx: Context, row: OidcRequest) -> Result:
    """Back to the client when all is done, else what is missing."""
    if done(row):
        return redirect(f"{access_tokens.issuer(ctx)}/authorize/callback?id={row.id}", page=False)
    if row.totp_pending and _wants_page(ctx):
        return _totp_page(row.id)
    return _missing(row)


def _missing(row: OidcRequest) -> Result:
    headers = {"totp-required": "true"} if row.totp_pending else {}
    return as_json({"authQueries": queries(row) if row.identity_id else None}, headers=headers)


def auth_queries(ctx: Context) -> Result:
    """GET /oidc/login/auth-queries?id=…: what a login still lacks."""
    row = request_of(ctx.query.get("id", ""))
    if row is None:
        return as_text("The authentication request failed\n", 401, {"X-Content-Type-Options": "nosniff"})
    return _missing(row)


def _after_primary(values: dict[str, Any]) -> OidcRequest:
    """The request, once its primary login has passed."""
    row = _request(values)
    if not row.identity_id:
        raise _refused("a second factor came before the password, certificate or token")
    return row


def totp(ctx: Context) -> Result:
    """POST /oidc/login/totp: a code or a recovery code."""
    ctx.attempt.method = "oidc-totp"
    values = oidc_protocol.form(ctx)
    row = _after_primary(values)
    ctx.attempt.of_identity(row.identity)
    try:
        mfa.check(mfa.verified(row.identity), text(values, "code"), recovery=True)
    except ApiError as e:
        if _wants_page(ctx):
            ctx.attempt.refuse(e.code, sentence(e))
            return _totp_page(row.id, e.message, e.status)
        if e.code == "MFA_INVALID_TOKEN":
            raise LoginError(400, "INVALID TOTP CODE", "an invalid TOTP code was supplied", e.log) from None
        raise
    return _passed(ctx, row, "totp", {"totp_pending": False})


def start_totp(ctx: Context) -> Result:
    """POST /oidc/login/totp/enroll: a policy demands TOTP and the identity has none yet."""
    row = _after_primary(oidc_protocol.form(ctx))
    factor = mfa.start(row.identity)
    doc = mfa.document(factor, row.identity)
    return as_json({**doc, "createdAt": time_text(factor.created_at)}, 201)


def finish_totp(ctx: Context) -> Result:
    """POST /oidc/login/totp/enroll/verify: the first code counts as the second factor of this login."""
    ctx.attempt.method = "oidc-totp"
    values = oidc_protocol.form(ctx)
    row = _after_primary(values)
    ctx.attempt.of_identity(row.identity)
    try:
        mfa.finish(row.identity, text(values, "code"))
    except ApiError as e:
        if e.code == "MFA_INVALID_TOKEN":
            raise LoginError(400, "INVALID TOTP CODE", "an invalid TOTP code was supplied", e.log) from None
        raise
    return _passed(ctx, row, "totp", {"totp_pending": False})


def delete_totp(ctx: Context) -> Result:
    """DELETE /oidc/login/totp/enroll: give up an enrollment; a verified one needs a code."""
    values = oidc_protocol.form(ctx)
    row = _after_primary(values)
    factor = mfa.of(row.identity)
    if factor is None:
        raise ApiError("NOT_FOUND")
    if factor.is_verified:
        mfa.check(factor, text(values, "code"), recovery=True)
    mfa.remove(row.identity)
    return as_json({})


_a = oidc_protocol.action

ACTIONS = (
    _a("GET", "/login/username", login_page, "Login form"),
    _a("GET", "/login/password", login_page, "Login form"),
    _a("POST", "/login/username", password, "Log in by password", attempt="login"),
    _a("POST", "/login/password", password, "Log in by password", attempt="login"),
    _a("GET", "/login/cert", post_here, "Clients POST here"),
    _a("POST", "/login/cert", certificate, "Log in by certificate", attempt="login"),
    _a("GET", "/login/ext-jwt", post_here, "Clients POST here"),
    _a("POST", "/login/ext-jwt", external, "Log in by external token", attempt="login"),
    _a("GET", "/login/auth-queries", auth_queries, "What a login still lacks"),
    _a("POST", "/login/totp", totp, "Answer the second factor", attempt="login"),
    _a("POST", "/login/totp/enroll", start_totp, "Enroll a second factor during a login"),
    _a("POST", "/login/totp/enroll/verify", finish_totp, "Verify the first code during a login", attempt="login"),
    _a("DELETE", "/login/totp/enroll", delete_totp, "Give up an enrollment during a login"),
)
