"""The people of a third-party CA: who came from it, and what switching it off or deleting it would do to them.

Source: our own, GET /zitilite/v1/cas/{id}/people.
"""

from __future__ import annotations

from typing import Any

from domain.care import crls
from domain.context import Context
from models import (
    ApiSession,
    Authenticator,
    AuthPolicy,
    BlockedCertificate,
    Ca,
    CertificateFact,
    Crl,
    Enrollment,
    Identity,
    RevokedSerial,
)
from wire.errors import not_found
from wire.resource import OWN, Action, now_ms, time_text

_NEWEST = 8


def people(ctx: Context, id: str) -> Any:
    """How many came from this CA, can connect, have no other way in; and the newest of them."""
    ca: Ca | None = Ca.get_or_none(Ca.id == id)
    if ca is None:
        raise not_found("ca", id)
    mine = Authenticator.ca == ca.id
    able = _able(ca)
    others = Authenticator.select(Authenticator.identity).where(
        Authenticator.ca.is_null() | (Authenticator.ca != ca.id)
    )
    elsewhere = _distinct(mine, Authenticator.identity.in_(others))
    total = _distinct(mine)
    newest = (
        Identity.select(Identity.id, Identity.name, Identity.created_at)
        .join(Authenticator)
        .where(mine)
        .distinct()
        .order_by(Identity.created_at.desc())
        .limit(_NEWEST)
    )
    crl = Crl.get_or_none(Crl.id == ca.id)
    return {
        "caId": ca.id,
        "identities": total,
        "able": able,
        "canConnect": able if ca.is_verified and ca.is_auth_enabled else 0,
        "onlyWayIn": total - elsewhere,
        "sessions": ApiSession.select().where(ApiSession.ca == ca.id).count(),
        "pendingTokens": Enrollment.select().where(Enrollment.ca == ca.id, Enrollment.expires_at > now_ms()).count(),
        "crl": crls.document(crl) if crl is not None else None,
        "newest": [{"id": i.id, "name": i.name, "createdAt": time_text(i.created_at)} for i in newest],
    }


def _distinct(*conditions: Any) -> int:
    """How many identities have an authenticator like that."""
    query = Authenticator.select(Authenticator.identity).join(Identity).where(*conditions)
    return int(query.distinct().count())


def _able(ca: Ca) -> int:
    """How many of them could connect while the CA's connections are on: not disabled, expired, blocked or revoked."""
    now = now_ms()
    blocked = BlockedCertificate.select(BlockedCertificate.fingerprint).where(
        BlockedCertificate.fingerprint.is_null(is_null=False)
    )
    revoked = (
        CertificateFact.select(CertificateFact.fingerprint)
        .join(RevokedSerial, on=(RevokedSerial.serial == CertificateFact.serial))
        .where(RevokedSerial.crl == ca.id)
    )
    good = (
        (Authenticator.ca == ca.id)
        & Authenticator.cert_fingerprint.not_in(blocked)
        & Authenticator.cert_fingerprint.not_in(revoked)
        & (Identity.disabled_at.is_null() | (Identity.disabled_until <= now))
    )
    able = 0
    for policy in AuthPolicy.select():
        rules = policy.primary["cert"]
        if rules["allowed"]:
            current = () if rules["allowExpiredCerts"] else (Authenticator.cert_expires_at > now,)
            able += _distinct(good, Identity.auth_policy == policy.id, *current)
    return able


def origin() -> Any:
    """The CA that an identity came from, for filters: `caId`."""
    return (
        Authenticator.select(Authenticator.ca)
        .where(Authenticator.identity == Identity.id, Authenticator.ca.is_null(is_null=False))
        .limit(1)
    )


ACTIONS = (
    Action(
        "GET",
        "/cas/{id}/people",
        people,
        "ca.read",
        (OWN,),
        summary="Who came from a CA, and what switching it off would do",
    ),
)
