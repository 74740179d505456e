"""The end of a token: spent once, in the transaction that writes what it buys.

One conditional DELETE, whose row count decides. Source: recorded answers of topics `enroll_ott`,
`enroll_ottca`, `enroll_updb`, `routers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pki
import store
from domain import ids
from models import ApiSession, Authenticator, Ca, Enrollment, Router
from prepared import Prepared, insert
from wire.errors import ApiError
from wire.resource import milliseconds, now_ms, time_text

ROUTER_METHODS = ("erott", "trott")

_BY_TOKEN = Prepared(lambda token: Enrollment.select().where(Enrollment.token == token), Enrollment)
_SPEND = Prepared(
    lambda key, token, now: Enrollment.delete().where(
        Enrollment.id == key, Enrollment.token == token, Enrollment.expires_at > now
    )
)
_HELD = Prepared(
    lambda identity, method: Authenticator.select(Authenticator.id).where(
        Authenticator.identity == identity, Authenticator.method == method
    )
)


def pending(token: str | None, method: str) -> Enrollment:
    """The enrollment that a token stands for.

    Raises INVALID_ENROLLMENT_TOKEN for a used, unknown or missing one, INVALID_ENROLL_METHOD for one
    of another method, ENROLLMENT_EXPIRED.
    """
    e: Enrollment | None = _BY_TOKEN.first(token) if token else None
    if e is None:
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log="the token is unknown, used or deleted")
    expected = ROUTER_METHODS if method == "erott" else (method,)
    if e.method not in expected:
        raise ApiError("INVALID_ENROLL_METHOD", log=f"the token is for {e.method}, not for {method}")
    if e.expires_at <= now_ms():
        raise ApiError("ENROLLMENT_EXPIRED", log=f"the token of enrollment {e.id} expired at {time_text(e.expires_at)}")
    return e


@contextmanager
def spent(e: Enrollment) -> Iterator[None]:
    """A write transaction that begins by spending the token. Whoever comes second is refused."""
    with store.write():
        if _SPEND.execute(e.id, e.token, now_ms()).rowcount != 1:
            raise ApiError("INVALID_ENROLLMENT_TOKEN", log="the token was spent a moment ago")
        yield


def read_csr(text: str | bytes | None) -> pki.Csr:
    """Parse a CSR. Raises COULD_NOT_PROCESS_CSR with the reason."""
    try:
        return pki.load_csr(text or "")
    except pki.BadCsr as e:
        raise ApiError("COULD_NOT_PROCESS_CSR", str(e)) from None


def add_certificate(
    identity_id: str, cert: pki.Cert, pem: str, *, ca: Ca | None = None, key: str | None = None
) -> Authenticator:
    """Write the certificate authenticator of an identity, in place of one it may have.

    Needs a write transaction. Raises CERT_IN_USE when another identity has this certificate.
    """
    replace_authenticator(identity_id, "cert")
    now = now_ms()
    a = Authenticator(
        id=key or ids.short_id(),
        created_at=now,
        updated_at=now,
        identity=identity_id,
        method="cert",
        cert_pem=pem,
        cert_fingerprint=cert.fingerprint,
        public_key_print=cert.public_key_print,
        cert_expires_at=milliseconds(cert.not_after),
        is_issued_by_network=ca is None,
        ca=ca,
    )
    try:
        return cast("Authenticator", insert(a))
    except store.IntegrityError:
        raise cert_in_use(cert) from None


def cert_in_use(cert: pki.Cert) -> ApiError:
    """The certificate is another identity's."""
    return ApiError("CERT_IN_USE", {"data": {"fingerprint": cert.fingerprint}})


def replace_authenticator(identity_id: str, method: str) -> None:
    """Remove the identity's authenticator of one method, and the sessions made with it."""
    for (old,) in _HELD.all(identity_id, method):
        ApiSession.delete().where(ApiSession.authenticator == old).execute()
        Authenticator.delete().where(Authenticator.id == old).execute()


def set_router_certificate(key: str, cert: pki.Cert, pem: str) -> None:
    """Write a router's new certificate. Needs a write transaction."""
    now = now_ms()
    Router.update(
        last_seen_at=now,
        is_verified=True,
        fingerprint=cert.fingerprint,
        cert_pem=pem,
        cert_expires_at=milliseconds(cert.not_after),
        updated_at=now,
    ).where(Router.id == key).execute()
