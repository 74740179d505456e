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
from domain import ids, names, policies, roles
from domain.care import addresses
from domain.context import Context
from domain.controllers import own_entry
from domain.enrolling import judging, replay, spending
from domain.logins import credentials
from models import Authenticator, Identity, Router
from prepared import insert
from wire.errors import ApiError, field_error
from wire.resource import now_ms

log = logging.getLogger("zitilite.enrollment")


def ott(ctx: Context, token: str | None, csr_text: str | bytes | None) -> dict[str, Any]:
    """One-time token: our CA signs the client's CSR."""
    ctx.attempt.method = "ott"
    try:
        pem = _ott(ctx, token, csr_text)
    except spending.Gone as gone:
        pem = replay.answer(ctx, gone, _key_print(csr_text))["cert"]
    return {"controllers": [own_entry(ctx)], "cert": pem}


def _ott(ctx: Context, token: str | None, csr_text: str | bytes | None) -> str:
    e = spending.pending(ctx, token, "ott")
    csr = spending.read_csr(csr_text)
    cert = ctx.ctrl.authority.issue_identity(csr, e.identity_id)
    pem = ctx.ctrl.authority.chain_pem(cert)
    with spending.spent(ctx, e):
        spending.add_certificate(e.identity_id, cert, pem)
        addresses.note(ctx, Identity, e.identity_id)
        spending.remember(ctx, e, key_print=cert.public_key_print, fingerprint=cert.fingerprint)
        _done(ctx, cert)
    log.info("identity %s enrolled by ott, certificate %s", e.identity_id, cert.fingerprint)
    return pem


def _key_print(csr_text: str | bytes | None) -> str:
    """The print of the key in a CSR, "" when it cannot be read."""
    try:
        return pki.load_csr(csr_text or "").public_key_print
    except pki.BadCsr:
        return ""


def _done(ctx: Context, cert: pki.Cert) -> None:
    """Write the attempt. Needs the transaction of the enrollment."""
    ctx.attempt.certificate = cert
    ctx.attempt.succeeded()


def ottca(ctx: Context, token: str | None) -> dict[str, Any]:
    """One-time token with a certificate of a third-party CA, which the client presents over TLS."""
    ctx.attempt.method = "ottca"
    try:
        _ottca(ctx, token)
    except spending.Gone as gone:
        replay.answer(ctx, gone, ctx.peer[0].fingerprint if ctx.peer else "")
    return {"controllers": [own_entry(ctx)]}


def _ottca(ctx: Context, token: str | None) -> None:
    found = judging.expected(ctx, token, ctx.peer)
    e, leaf = found.enrollment, found.leaf
    with spending.spent(ctx, e):
        found.settle()
        spending.add_certificate(e.identity_id, leaf, "".join(c.pem for c in ctx.peer), ca=found.ca)
        addresses.note(ctx, Identity, e.identity_id)
        spending.remember(ctx, e, key_print=leaf.fingerprint, fingerprint=leaf.fingerprint)
        _done(ctx, leaf)
    log.info("identity %s enrolled by ottca with ca %s, certificate %s", e.identity_id, found.ca.id, leaf.fingerprint)


def ca_auto(ctx: Context, requested_name: str | None) -> dict[str, Any]:
    """Automatic enrollment: a verified CA's certificate makes its identity."""
    ctx.attempt.method = "ca"
    found = judging.joining(ctx, ctx.peer, requested_name)
    with store.write():
        found.settle()
        identity = _add_auto_identity(found)
        addresses.note(ctx, Identity, found.key)
        if not found.external_id:
            spending.add_certificate(found.key, found.leaf, "".join(c.pem for c in ctx.peer), ca=found.ca)
        ctx.attempt.of_identity(identity)
        _done(ctx, found.leaf)
    log.info("identity %s made by ca %s, certificate %s", found.key, found.ca.id, found.leaf.fingerprint)
    return {}


def _add_auto_identity(found: judging.Joining) -> Identity:
    names.take(found.wanted, found.number)
    now = now_ms()
    identity = Identity(
        id=found.key,
        name=found.name,
        external_id=found.external_id,
        role_attributes=found.attributes,
        ca=found.ca.id,
        created_at=now,
        updated_at=now,
    )
    insert(identity)
    roles.set_attributes("identity", found.key, found.attributes)
    return identity


def updb(ctx: Context, token: str | None, password: str | None) -> dict[str, Any]:
    """User name now, password at enrollment. The enrollment's user name counts, not the request's."""
    ctx.attempt.method = "updb"
    e = spending.pending(ctx, token, "updb")
    if not password:
        raise field_error("password", "password is required", "")
    if len(password) < 5:
        raise field_error("password", "password in body should be at least 5 chars long", password)
    if len(password) > 100:
        raise field_error("password", "password in body should be at most 100 chars long", password)
    policies.check_password(e.identity.auth_policy, password)
    hashed = credentials.hash_password(ctx, password)
    now = now_ms()
    with spending.spent(ctx, e):
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
        spending.remember(ctx, e)
        ctx.attempt.succeeded()
    log.info("identity %s enrolled by updb", e.identity_id)
    return {"controllers": [own_entry(ctx)], "username": e.username}


def erott(ctx: Context, token: str | None, client: str | None, server: str | None) -> dict[str, Any]:
    """Routers: our CA signs a client and a server certificate."""
    ctx.attempt.method = "erott"
    try:
        answer = _erott(ctx, token, client, server)
    except spending.Gone as gone:
        answer = replay.answer(ctx, gone, _key_prints(client, server))
    return {"ca": ctx.ctrl.authority.ca_pem(), **answer}


def _erott(ctx: Context, token: str | None, client: str | None, server: str | None) -> dict[str, str]:
    e = spending.pending(ctx, token, "erott")
    if not server:
        raise ApiError("MISSING_OR_INVALID_CSR", "invalid server CSR")
    if not client:
        raise ApiError("MISSING_OR_INVALID_CSR", "invalid client CSR")
    client_csr = _router_csr(client, "client")
    server_csr = _router_csr(server, "server")
    authority = ctx.ctrl.authority
    try:
        cert, server_cert = authority.issue_router(client_csr, server_csr, e.router_id)
    except pki.BadCsr as problem:
        raise ApiError("COULD_NOT_PROCESS_CSR", "invalid client CSR", log=str(problem)) from None
    pem = authority.chain_pem(cert)
    answer = {"cert": pem, "serverCert": authority.chain_pem(server_cert)}
    shown = f"{client_csr.public_key_print} {server_csr.public_key_print}"
    with spending.spent(ctx, e):
        spending.set_router_certificate(e.router_id, cert, pem)
        addresses.note(ctx, Router, e.router_id)
        spending.remember(
            ctx, e, key_print=shown, fingerprint=cert.fingerprint, answer={"serverCert": answer["serverCert"]}
        )
        _done(ctx, cert)
    log.info("router %s enrolled, certificate %s", e.router_id, cert.fingerprint)
    return answer


def _key_prints(client: str | None, server: str | None) -> str:
    """What a router shows again: the keys of both its CSRs."""
    prints = _key_print(client), _key_print(server)
    return " ".join(prints) if all(prints) else ""


def _router_csr(text: str, which: str) -> pki.Csr:
    try:
        return pki.load_csr(text)
    except pki.BadCsr as problem:
        raise ApiError("COULD_NOT_PROCESS_CSR", f"invalid {which} CSR", log=str(problem)) from None
