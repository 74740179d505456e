"""Access, refresh and ID tokens of OIDC sessions: their claims, and whether one is still good.

A token is good while its signature, dates and issuer are right, its session exists (sessions are rows,
and end with what they rest on), it was not revoked, and a session that is bound to a certificate is
used with that certificate. Claims as in the recorded answers of topic `oidc`.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import tokens
from domain import ids
from domain.care import blocked
from domain.context import Context
from models import ApiSession, Authenticator, Identity, Revocation, SessionCertificate
from prepared import Prepared
from wire.resource import now_ms

PATH = "/oidc"
ACCESS, REFRESH, TOTP = "a", "r", "t"
REFRESH_SECONDS = 24 * 3600


# --- where we are


def serves(ctx: Context, host: str) -> bool:
    """Whether a `HOST[:PORT]` is this controller: its certificate has that name. Ports may be forwarded."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    cert = ctx.ctrl.authority.server_cert
    return name in {*(n.lower() for n in cert.dns_names), *cert.ip_addresses}


def issuer(ctx: Context) -> str:
    """The issuer as this caller reaches it."""
    return f"https://{ctx.headers.get('Host', '')}{PATH}"


def is_ours(ctx: Context, claims: dict[str, Any]) -> bool:
    """Whether a token says that it is from here."""
    parts = urlsplit(str(claims.get("iss")))
    return parts.scheme == "https" and parts.path == PATH and serves(ctx, parts.netloc)


# --- making


def session_claims(ctx: Context, session: ApiSession, identity: Identity, request: dict[str, Any]) -> dict[str, Any]:
    """What access and refresh token of a session have in common.

    Args:
        request: `amr`, `auth_time` (seconds), `scopes`, `acf` (fingerprint of the certificate logged in
            with, or None), `cfs` (fingerprints that the session is bound to, or None).
    """
    a = Authenticator.get_or_none(Authenticator.id == session.authenticator)
    claims: dict[str, Any] = {
        "amr": request["amr"],
        "aud": [session.oidc_client],
        "auth_time": request["auth_time"],
        "client_id": session.oidc_client,
        "iss": issuer(ctx),
        "scopes": request["scopes"],
        "sub": identity.id,
        "z_aid": session.oidc_client,
        "z_asid": session.id,
        "z_authid": session.authenticator,
        "z_cer": bool(a and a.is_extend_requested),
        "z_cfs": request["cfs"],
        "z_ckrr": bool(a and a.is_key_roll_requested),
        "z_env": identity.env_info,
        "z_iccc": session.improper_client_cert_chain,
        "z_ice": session.is_cert_extendable,
        "z_ra": session.ip_address,
        "z_sdk": identity.sdk_info,
    }
    if request["acf"]:
        claims |= {"z_acf": request["acf"], "z_cae": True}
    if session.config_types:
        claims["z_ct"] = session.config_types
    if identity.external_id:
        claims["z_eid"] = identity.external_id
    if identity.is_admin or identity.is_default_admin:
        claims["z_ia"] = True
    return claims


def sign(ctx: Context, claims: dict[str, Any], kind: str, key: str, seconds: int) -> str:
    """An access or refresh token. key: its identifier (`jti`), which both of a pair share."""
    now = int(time.time())
    times = {"exp": now + seconds, "iat": now, "nbf": now, "jti": key, "z_t": kind}
    return ctx.ctrl.signer.sign({**claims, **times})


def access_seconds(ctx: Context) -> int:
    """Give the life of an access token: as long as a session of POST /authenticate lives."""
    return int(ctx.ctrl.settings.session_minutes) * 60


def sign_id(
    ctx: Context, claims: dict[str, Any], name: str, access: str = "", *, nonce: str = "", code: str = ""
) -> str:
    """The ID token that goes with an access token (OpenID Connect Core 2 and 3.1.3.6)."""
    now = int(time.time())
    found: dict[str, Any] = {n: claims[n] for n in ("amr", "aud", "auth_time", "client_id", "iss", "sub")}
    found |= {
        "azp": claims["client_id"],
        "exp": now + access_seconds(ctx),
        "iat": now,
        "name": name,
        "sid": claims["z_asid"],
        "z_ia": claims.get("z_ia", False),
    }
    if access:
        found["at_hash"] = tokens.half_hash(access, ctx.ctrl.signer.algorithm)
    if code:
        found["c_hash"] = tokens.half_hash(code, ctx.ctrl.signer.algorithm)
    if nonce:
        found["nonce"] = nonce
    return ctx.ctrl.signer.sign(found)


def totp_token(ctx: Context) -> str:
    """A token that says when the caller last proved the second factor, for posture checks."""
    now = int(time.time())
    return ctx.ctrl.signer.sign(
        {
            "aud": ["openziti"],
            "exp": now + access_seconds(ctx),
            "iat": now,
            "iss": issuer(ctx),
            "jti": ids.token(),
            "sub": ctx.me.id,
            "z_asid": ctx.my_session.id,
            "z_t": TOTP,
        }
    )


# --- taking


_SESSION = Prepared(
    lambda key, now: ApiSession.select().where(
        ApiSession.id == key, ApiSession.oidc_client.is_null(is_null=False), ApiSession.expires_at > now
    ),
    ApiSession,
)
_IDENTITY = Prepared(lambda key: Identity.select().where(Identity.id == key), Identity)
_REVOKED = Prepared(lambda key: Revocation.select(Revocation.id).where(Revocation.id == key))


def read(ctx: Context, token: str, kind: str) -> dict[str, Any]:
    """The claims of a good token of this kind, its session aside. Raises tokens.BadToken."""
    claims = ctx.ctrl.signer.read(token)
    if claims.get("z_t") != kind or not is_ours(ctx, claims):
        raise tokens.BadToken("invalid", "the token is for something else")
    if _REVOKED.first(str(claims.get("jti"))):
        raise tokens.BadToken("invalid", "the token was revoked")
    return claims


def session_of(ctx: Context, claims: dict[str, Any]) -> ApiSession:
    """The live session of a token, with its identity; it may be used on this connection. Raises BadToken."""
    session: ApiSession | None = _SESSION.first(str(claims.get("z_asid")), now_ms())
    identity = _IDENTITY.first(session.identity_id) if session else None
    if session is None or identity is None or identity.id != claims["sub"]:
        raise tokens.BadToken("invalid", "the session has ended")
    session.identity = identity
    if claims.get("z_cfs") and not _possessed(ctx, session, claims["z_cfs"]):
        raise tokens.BadToken("invalid", "the session's certificate was not presented")
    return session


def _possessed(ctx: Context, session: ApiSession, fingerprints: list[str]) -> bool:
    """Whether the TLS client certificate is one that this session is bound to.

    The handshake proved the key. After a certificate was extended, the authenticator's new one counts.
    """
    if not ctx.peer or blocked.problem(ctx.peer):
        return False
    shown = ctx.peer[0].fingerprint
    if shown in fingerprints:
        return True
    issued = SessionCertificate.select().where(
        SessionCertificate.session == session.id,
        SessionCertificate.fingerprint == shown,
        SessionCertificate.valid_to > now_ms(),
    )
    renewed = Authenticator.select().where(
        Authenticator.id == session.authenticator, Authenticator.cert_fingerprint == shown
    )
    return bool(issued.exists() or renewed.exists())
