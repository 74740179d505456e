"""The ways to enroll: ott, ottca, ca, updb, erott.

Certificates are signed before the transaction that spends the token, so that the write lock is held only
briefly. Source: /enroll* of the client API, recorded answers of topics `enroll_ott`, `enroll_ottca`,
`enroll_ca`, `enroll_updb`, `routers`.
"""

from __future__ import annotations

import logging
from typing import Any

import pki
import store
from domain import cas, ids, names, policies, roles
from domain.care import addresses, blocked
from domain.context import Context
from domain.controllers import own_entry
from domain.enrolling import spending
from domain.logins import credentials
from models import Authenticator, Ca, Identity, Router
from prepared import insert
from wire.errors import ApiError, field_error
from wire.resource import now_ms

log = logging.getLogger("zitilite.enrollment")


def ott(ctx: Context, token: str | None, csr_text: str | bytes | None) -> dict[str, Any]:
    """One-time token: our CA signs the client's CSR."""
    e = spending.pending(token, "ott")
    csr = spending.read_csr(csr_text)
    cert = ctx.ctrl.authority.issue_identity(csr, e.identity_id)
    pem = ctx.ctrl.authority.chain_pem(cert)
    with spending.spent(e):
        spending.add_certificate(e.identity_id, cert, pem)
        addresses.note(ctx, Identity, e.identity_id)
    log.info("identity %s enrolled by ott, certificate %s", e.identity_id, cert.fingerprint)
    return {"controllers": [own_entry(ctx)], "cert": pem}


def ottca(ctx: Context, token: str | None) -> dict[str, Any]:
    """One-time token with a certificate of a third-party CA, which the client presents over TLS."""
    e = spending.pending(token, "ottca")
    ca: Ca = e.ca
    if not ca.is_verified:
        raise ApiError("ENROLLMENT_CA_NOT_VALID", f"ca '{ca.name}' is not verified")
    if not ca.is_ott_ca_enrollment_enabled:
        raise ApiError("ENROLLMENT_CA_NOT_VALID", f"ca '{ca.name}' has pre-created enrollment (ottca) switched off")
    leaf = _client_certificate(ctx, "CERTIFICATE_FAILED_VALIDATION")
    why = cas.problem(leaf, ctx.peer[1:], ca)
    if why:
        raise ApiError("CERTIFICATE_FAILED_VALIDATION", why)
    with spending.spent(e):
        spending.add_certificate(e.identity_id, leaf, "".join(c.pem for c in ctx.peer), ca=ca)
        addresses.note(ctx, Identity, e.identity_id)
    log.info("identity %s enrolled by ottca with ca %s, certificate %s", e.identity_id, ca.id, leaf.fingerprint)
    return {"controllers": [own_entry(ctx)]}


def _client_certificate(ctx: Context, code: str) -> pki.Cert:
    if not ctx.peer:
        raise ApiError(code, "no client certificate was presented in the TLS handshake")
    if why := blocked.problem(ctx.peer):
        raise ApiError(code, why)
    return ctx.peer[0]


def ca_auto(ctx: Context, requested_name: str | None) -> dict[str, Any]:
    """Automatic enrollment: a verified CA's certificate makes its identity."""
    leaf = _client_certificate(ctx, "CERT_FAILED_VALIDATION")
    ca = cas.validating(leaf, ctx.peer[1:], cas.verified(auto=True))
    if ca is None:
        raise ApiError("CERT_FAILED_VALIDATION", _why_no_ca(leaf, ctx.peer[1:]))
    claim = cas.external_id(ca, leaf)
    if ca.external_id_claim and not claim:
        place = ca.external_id_claim["location"]
        raise ApiError("MISSING_CERT_CLAIM", log=f"ca '{ca.name}' looks for it in {place}; {leaf.subject} has none")
    key = ids.short_id()
    wanted = names.of_auto_identity(ca, leaf, key, requested_name)
    attributes = sorted({r.lstrip("#") for r in ca.identity_roles} - {""})
    with store.write():
        if Authenticator.select().where(Authenticator.cert_fingerprint == leaf.fingerprint).exists():
            raise ApiError("CERT_IN_USE", log=leaf.fingerprint)
        _add_auto_identity(key, names.free(wanted), attributes, claim, ca)
        addresses.note(ctx, Identity, key)
        if not claim:
            spending.add_certificate(key, leaf, "".join(c.pem for c in ctx.peer), ca=ca)
    log.info("identity %s made by ca %s, certificate %s", key, ca.id, leaf.fingerprint)
    return {}


def _add_auto_identity(key: str, name: str, attributes: list[str], claim: str | None, ca: Ca) -> None:
    if claim and Identity.select().where(Identity.external_id == claim).exists():
        reason = f"duplicate value '{claim}' in unique index on identities store"
        raise field_error("externalId", reason, claim)
    now = now_ms()
    insert(
        Identity(
            id=key, name=name, external_id=claim, role_attributes=attributes, ca=ca.id, created_at=now, updated_at=now
        )
    )
    roles.set_attributes("identity", key, attributes)


def _why_no_ca(leaf: pki.Cert, chain: tuple[pki.Cert, ...]) -> str:
    """Why no CA enrolls this certificate, said for the CA that comes closest."""
    shown = f"certificate {leaf.subject}"
    for ca in Ca.select():
        why = cas.problem(leaf, chain, ca)
        if why is not None:
            continue
        if not ca.is_verified:
            return f"{shown} chains to CA '{ca.name}', but that is not verified"
        return f"{shown} chains to CA '{ca.name}', but that has automatic enrollment switched off"
    named = Ca.select().where(Ca.is_verified, Ca.is_auto_ca_enrollment_enabled)
    for ca in named:
        if cas.issuing_cert(ca.cert_pem).subject == leaf.issuer:
            return str(cas.problem(leaf, chain, ca))
    return f"{shown} is issued by {leaf.issuer}, which no verified CA with automatic enrollment stands for"


def updb(ctx: Context, token: str | None, password: str | None) -> dict[str, Any]:
    """User name now, password at enrollment. The enrollment's user name counts, not the request's."""
    e = spending.pending(token, "updb")
    if not password:
        raise field_error("password", "password is required", "")
    if len(password) < 5:
        raise field_error("password", "password in body should be at least 5 chars long", password)
    if len(password) > 100:
        raise field_error("password", "password in body should be at most 100 chars long", password)
    policies.check_password(e.identity.auth_policy, password)
    hashed = credentials.hash_password(ctx, password)
    now = now_ms()
    with spending.spent(e):
        spending.replace_authenticator(e.identity_id, "updb")
        if Authenticator.select().where(Authenticator.updb_username == e.username).exists():
            reason = f"duplicate value '{e.username}' in unique index on authenticators store"
            raise field_error("username", reason, e.username)
        Authenticator.create(
            id=ids.short_id(),
            created_at=now,
            updated_at=now,
            identity=e.identity_id,
            method="updb",
            updb_username=e.username,
            updb_password=hashed,
        )
        addresses.note(ctx, Identity, e.identity_id)
    log.info("identity %s enrolled by updb", e.identity_id)
    return {"controllers": [own_entry(ctx)], "username": e.username}


def erott(ctx: Context, token: str | None, client: str | None, server: str | None) -> dict[str, Any]:
    """Routers: our CA signs a client and a server certificate."""
    e = spending.pending(token, "erott")
    if not server:
        raise ApiError("MISSING_OR_INVALID_CSR", "invalid server CSR")
    if not client:
        raise ApiError("MISSING_OR_INVALID_CSR", "invalid client CSR")
    client_csr = _router_csr(client, "client")
    server_csr = _router_csr(server, "server")
    try:
        cert, server_cert = ctx.ctrl.authority.issue_router(client_csr, server_csr, e.router_id)
    except pki.BadCsr as problem:
        raise ApiError("COULD_NOT_PROCESS_CSR", "invalid client CSR", log=str(problem)) from None
    authority = ctx.ctrl.authority
    pem = authority.chain_pem(cert)
    with spending.spent(e):
        spending.set_router_certificate(e.router_id, cert, pem)
        addresses.note(ctx, Router, e.router_id)
    log.info("router %s enrolled, certificate %s", e.router_id, cert.fingerprint)
    return {"ca": authority.ca_pem(), "cert": pem, "serverCert": authority.chain_pem(server_cert)}


def _router_csr(text: str, which: str) -> pki.Csr:
    try:
        return pki.load_csr(text)
    except pki.BadCsr as problem:
        raise ApiError("COULD_NOT_PROCESS_CSR", f"invalid {which} CSR", log=str(problem)) from None
