"""API session certificates: short-lived certificates that speak for one session.

SDKs that log in by password or token get one to connect to routers with. The certificate that a
session was opened with is listed, too. Source: /current-api-session/certificates of the client API,
recorded answers of topic `client`.
"""

from __future__ import annotations

import logging
from typing import Any

import pki
from domain import ids
from domain.context import Context
from models import SessionCertificate
from prepared import insert
from wire.errors import ApiError
from wire.resource import CLIENT, Action, Body, Field, Result, links, milliseconds, now_ms

log = logging.getLogger("zitilite.auth")

PATH = "current-api-session/certificates"


def own(ctx: Context) -> Any:
    """The condition for the certificates of the caller's session."""
    return SessionCertificate.session == ctx.my_session.id


def add(session_id: str, cert: pki.Cert, pem: str, *, key: str | None = None) -> str:
    """Write down a certificate of a session; gives the row's id. Needs a write transaction."""
    now = now_ms()
    row = SessionCertificate(
        id=key or ids.short_id(),
        created_at=now,
        updated_at=now,
        session=session_id,
        certificate=pem,
        fingerprint=cert.fingerprint,
        subject=cert.subject,
        valid_from=milliseconds(cert.not_before),
        valid_to=milliseconds(cert.not_after),
    )
    return str(insert(row).id)


def issue(ctx: Context, csr: str | None, identity_id: str, session_id: str, key: str) -> tuple[pki.Cert, str]:
    """Sign a request; gives the certificate and its PEM with the chain. Raises COULD_NOT_PROCESS_CSR."""
    try:
        cert = ctx.ctrl.authority.issue_session(pki.load_csr(csr or ""), identity_id, session_id, key)
    except pki.BadCsr as e:
        raise ApiError("COULD_NOT_PROCESS_CSR", str(e)) from None
    return cert, ctx.ctrl.authority.chain_pem(cert)


def create(ctx: Context) -> Result:
    """POST /current-api-session/certificates: a certificate of 12 hours for this session."""
    key = ids.short_id()
    cert, pem = issue(ctx, ctx.body["csr"], ctx.me.id, ctx.my_session.id, key)
    add(ctx.my_session.id, cert, pem, key=key)
    log.info("session certificate %s for '%s'", cert.fingerprint, ctx.me.name)
    cas = ctx.ctrl.authority.ca_pem()
    return Result({"_links": links(PATH, key), "id": key, "cas": cas, "certificate": pem}, status=201)


CREATE = Body("sessionCertificate", "CurrentAPISessionCertificateCreate", (Field("csr", required="c"),))

ACTIONS = (Action("POST", f"/{PATH}", create, "session", (CLIENT,), CREATE, write=True, summary="Issue a certificate"),)
