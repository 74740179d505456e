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
from domain.care.attempts import token_hash
from domain.context import Context
from models import ApiSession, Authenticator, Ca, Enrollment, Identity, Router, SpentToken
from prepared import Prepared, insert, insert_values
from wire.errors import ApiError
from wire.resource import milliseconds, now_ms, time_text

ROUTER_METHODS = ("erott", "trott")
RENEWED, REVOKED = "renewed", "revoked"

_BY_TOKEN = Prepared(lambda token: Enrollment.select().where(Enrollment.token == token), Enrollment)
_SPENT = Prepared(lambda whole: SpentToken.select().where(SpentToken.token_hash == whole), SpentToken)
_SPEND = Prepared(
    lambda key, token, now: Enrollment.delete().where(
        Enrollment.id == key, Enrollment.token == token, Enrollment.expires_at > now
    )
)
_HOLDER = Prepared(
    lambda fingerprint: (
        Identity.select(Identity.name, Identity.id)
        .join(Authenticator)
        .where(Authenticator.cert_fingerprint == fingerprint)
    )
)
_HELD = Prepared(
    lambda identity, method: Authenticator.select(Authenticator.id).where(
        Authenticator.identity == identity, Authenticator.method == method
    )
)


class Gone(ApiError):  # noqa: N818 - what became of the token, not what went wrong
    """A token that cannot be spent any more. spent: what is known about its end, None when nothing is."""

    def __init__(self, spent: SpentToken | None, reason: str) -> None:
        super().__init__("INVALID_ENROLLMENT_TOKEN", log=reason)
        self.spent = spent


def pending(ctx: Context, token: str | None, method: str) -> Enrollment:
    """The enrollment that a token stands for.

    Raises INVALID_ENROLLMENT_TOKEN for a used, unknown or missing one, INVALID_ENROLL_METHOD for one
    of another method, ENROLLMENT_EXPIRED.
    """
    if not token:
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log="the request holds no token")
    attempt = ctx.attempt
    whole = attempt.of_token(token)
    e: Enrollment | None = _BY_TOKEN.first(token)
    if e is None:
        raise gone(ctx, whole)
    attempt.of_enrollment(e)
    expected = ROUTER_METHODS if method == "erott" else (method,)
    if e.method not in expected:
        raise ApiError(
            "INVALID_ENROLL_METHOD",
            log=f"the token of '{attempt.owner_name}' is for enrollment by {e.method}, but the client tried {method}",
        )
    if e.expires_at <= now_ms():
        raise ApiError(
            "ENROLLMENT_EXPIRED",
            log=f"the token of '{attempt.owner_name}' expired at {time_text(e.expires_at)}: "
            f"renew it (POST /enrollments/{e.id}/refresh) and hand out the new one",
        )
    return e


def gone(ctx: Context, whole: str) -> Gone:
    """The error for a token that is not pending: what became of it, as far as that is known."""
    spent: SpentToken | None = _SPENT.first(whole)
    if spent is None:
        return Gone(
            None,
            "the token is unknown: it is mistyped, of another controller, or its identity, router or CA was deleted",
        )
    ctx.attempt.identity, ctx.attempt.router = spent.identity, spent.router
    name = spent.owner_name
    if spent.router is None:
        ctx.attempt.identity_name = name
    else:
        ctx.attempt.router_name = name
    at = time_text(spent.spent_at)
    if spent.method in (RENEWED, REVOKED):
        what = "replaced by a newer one" if spent.method == RENEWED else "revoked"
        return Gone(spent, f"the token of '{name}' was {what} at {at}: hand out the one that is pending now")
    return Gone(
        spent,
        f"the token was used by '{name}' at {at} from {spent.source_address} ({spent.method}): "
        "if that was not this device, re-enroll it and hand out the new token",
    )


@contextmanager
def spent(ctx: Context, e: Enrollment) -> Iterator[None]:
    """A write transaction that begins by spending the token. Whoever comes second is refused."""
    with store.write():
        if _SPEND.execute(e.id, e.token, now_ms()).rowcount != 1:
            raise gone(ctx, token_hash(e.token))
        yield


def remember(
    ctx: Context, e: Enrollment, *, key_print: str = "", fingerprint: str = "", answer: dict[str, str] | None = None
) -> None:
    """Keep what became of a token, and for a while what it bought. Needs the transaction that spends it.

    Args:
        key_print: what a repeated request must show: the print of the public key in the CSR, the
            fingerprint of the client certificate. "" for what is not repeated.
        fingerprint: of the certificate that the answer stands for.
        answer: the properties of the answer that stand nowhere else; the certificate does.
    """
    minutes = ctx.ctrl.settings.replay_minutes if key_print else 0
    now = now_ms()
    insert_values(
        SpentToken,
        {
            "token_hash": ctx.attempt.token_hash or token_hash(e.token),
            "spent_at": now,
            "method": e.method,
            "source_address": ctx.remote,
            "owner_name": ctx.attempt.owner_name,
            "identity": e.identity_id,
            "router": e.router_id,
            "key_print": key_print if minutes else None,
            "fingerprint": fingerprint or None,
            "answer": answer if minutes else None,
            "replay_until": now + minutes * 60_000,
        },
    )


def void(e: Enrollment, how: str) -> None:
    """Keep that a token ended unused. how: RENEWED or REVOKED. Needs the transaction that takes it away."""
    owner = e.identity or e.router
    SpentToken.replace(
        token_hash=token_hash(e.token),
        spent_at=now_ms(),
        method=how,
        source_address="",
        owner_name=owner.name if owner else "",
        identity=e.identity_id,
        router=e.router_id,
        replay_until=0,
    ).execute()


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
        with store.attempt():
            return cast("Authenticator", insert(a))
    except store.IntegrityError:
        raise cert_in_use(cert) from None


def cert_in_use(cert: pki.Cert) -> ApiError:
    """The certificate is another identity's."""
    reason = f"certificate {cert.subject} is enrolled already, as {holder(cert) or 'somebody else'}"
    return ApiError("CERT_IN_USE", {"data": {"fingerprint": cert.fingerprint}}, log=reason)


def holder(cert: pki.Cert) -> str:
    """Whose certificate it is: the identity's name in quotes, "" when nobody has it."""
    found = _HOLDER.first(cert.fingerprint)
    return f"'{found[0]}'" if found else ""


def holder_id(cert: pki.Cert) -> str | None:
    """The id of the identity that has this certificate."""
    found = _HOLDER.first(cert.fingerprint)
    return str(found[1]) if found else None


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
