"""Whether an enrollment by a third-party CA is accepted, and as whom: reading only.

The real enrollment (`methods`) and the dry run (`dry_run`) both come here; what differs is that the one
writes afterwards. Each judgement has two parts: checking certificates, which takes its time and needs no
transaction, and `settle`, which looks at what changes from moment to moment and runs inside the one that writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pki
from domain import cas, ids, names
from domain.care import blocked
from domain.context import Context
from domain.enrolling import spending
from models import Ca, Enrollment, Identity
from wire.errors import ApiError, field_error

NO_CERTIFICATE = "no client certificate was presented in the TLS handshake"


@dataclass(slots=True)
class Joining:
    """An identity that a CA makes by itself. name and number are known once it is settled."""

    ca: Ca
    leaf: pki.Cert
    chain: tuple[pki.Cert, ...]
    external_id: str | None
    wanted: str
    attributes: list[str]
    key: str
    name: str = ""
    number: int = 0

    def settle(self) -> None:
        """Check what must be unique, and find the name. Raises CERT_IN_USE, INVALID_FIELD."""
        taken_by = spending.holder(self.leaf)
        if taken_by:
            raise ApiError(
                "CERT_IN_USE",
                log=f"certificate {self.leaf.subject} is enrolled already, as {taken_by}: it can log in with it",
            )
        claim = self.external_id
        if claim and Identity.select().where(Identity.external_id == claim).exists():
            reason = f"duplicate value '{claim}' in unique index on identities store"
            raise field_error("externalId", reason, claim)
        self.name, self.number = names.next_free(self.wanted)


def joining(
    ctx: Context, presented: Sequence[pki.Cert], requested_name: str | None, *, key: str | None = None
) -> Joining:
    """Automatic enrollment: a verified CA's certificate makes its identity.

    key: the id of the identity to be, a new one when left out. Raises CERT_FAILED_VALIDATION, MISSING_CERT_CLAIM.
    """
    if not presented:
        raise ApiError("CERT_FAILED_VALIDATION", NO_CERTIFICATE)
    if why := blocked.problem(presented):
        raise ApiError("CERT_FAILED_VALIDATION", why)
    leaf, rest = presented[0], tuple(presented[1:])
    ca = cas.validating(leaf, rest, cas.verified(auto=True))
    if ca is None:
        close, why = why_no_ca(leaf, rest)
        if close is not None:
            ctx.attempt.of_ca(close)
        raise ApiError("CERT_FAILED_VALIDATION", why)
    ctx.attempt.of_ca(ca)
    claim = cas.external_id(ca, leaf)
    if ca.external_id_claim and not claim:
        place = ca.external_id_claim["location"]
        raise ApiError(
            "MISSING_CERT_CLAIM",
            log=f"CA '{ca.name}' wants an external id in {place}, and certificate {leaf.subject} has none that fits",
        )
    key = key or ids.short_id()
    wanted = names.of_auto_identity(ca, leaf, key, requested_name)
    attributes = sorted({r.lstrip("#") for r in ca.identity_roles} - {""})
    return Joining(ca, leaf, rest, claim, wanted, attributes, key)


def why_no_ca(leaf: pki.Cert, chain: Sequence[pki.Cert]) -> tuple[Ca | None, str]:
    """Why no CA enrolls this certificate, said for the CA that comes closest, and that CA."""
    shown = f"certificate {leaf.subject}"
    for ca in Ca.select():
        why = cas.problem(leaf, chain, ca)
        if why is not None:
            continue
        if not ca.is_verified:
            return ca, f"{shown} chains to CA '{ca.name}', but that is not verified"
        return ca, f"{shown} chains to CA '{ca.name}', but that has automatic enrollment switched off"
    for ca in Ca.select().where(Ca.is_verified, Ca.is_auto_ca_enrollment_enabled):
        if cas.issuing_cert(ca.cert_pem).subject == leaf.issuer:
            return ca, str(cas.problem(leaf, chain, ca))
    return None, f"{shown} is issued by {leaf.issuer}, which no verified CA with automatic enrollment stands for"


@dataclass(slots=True)
class Expected:
    """An identity that was announced by a token, and comes with a third-party CA's certificate."""

    enrollment: Enrollment
    ca: Ca
    leaf: pki.Cert

    def settle(self) -> None:
        """Check that the certificate is nobody else's. Raises CERT_IN_USE."""
        found = spending.holder_id(self.leaf)
        if found is not None and found != self.enrollment.identity_id:
            raise spending.cert_in_use(self.leaf)


def expected(ctx: Context, token: str | None, presented: Sequence[pki.Cert]) -> Expected:
    """One-time token with a certificate of the CA that it names.

    Raises what `spending.pending` does, ENROLLMENT_CA_NOT_VALID, CERTIFICATE_FAILED_VALIDATION.
    """
    e = spending.pending(ctx, token, "ottca")
    ca: Ca = e.ca
    ctx.attempt.of_ca(ca)
    if not ca.is_verified:
        raise ApiError("ENROLLMENT_CA_NOT_VALID", f"ca '{ca.name}' is not verified")
    if not ca.is_ott_ca_enrollment_enabled:
        raise ApiError("ENROLLMENT_CA_NOT_VALID", f"ca '{ca.name}' has pre-created enrollment (ottca) switched off")
    if not presented:
        raise ApiError("CERTIFICATE_FAILED_VALIDATION", NO_CERTIFICATE)
    why = blocked.problem(presented) or cas.problem(presented[0], presented[1:], ca)
    if why:
        raise ApiError("CERTIFICATE_FAILED_VALIDATION", why)
    return Expected(e, ca, presented[0])
