"""Enrollment by an external token: whoever a trusted signer vouches for makes an identity.

With a CSR the identity gets a certificate, without one it goes on logging in by tokens; the signer
says which of both is allowed. Source: POST /enroll/token, recorded answers of topic `external_jwt_signers`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import store
import tokens
from domain import ids, names, roles
from domain.care import addresses
from domain.context import Context
from domain.controllers import own_entry
from domain.enrolling import spending
from domain.logins import signers
from models import ExternalJwtSigner, Identity
from wire.errors import ApiError, field_error
from wire.resource import CLIENT, Action, Body, Field, now_ms

log = logging.getLogger("zitilite.enrollment")


def enroll(ctx: Context) -> Any:
    """POST /enroll/token with the token in the Authorization header.

    Raises INVALID_ENROLLMENT_TOKEN, ENROLLMENT_IDENTITY_ALREADY_ENROLLED, INVALID_ENROLLMENT_NOT_ALLOWED.
    """
    ctx.attempt.method = "token"
    if not ctx.headers.get("Authorization"):
        raise field_error("Authorization", "Authorization in header is required", "", status=602)
    csr = ctx.body.get("clientCsr")
    key = ids.short_id()
    signer_id = ctx.headers.get("ziti-token-issuer-id", "")
    found = judge(verify(ctx, signers.bearer(ctx), signer_id=signer_id), by_certificate=bool(csr))
    answer: dict[str, Any] = {"controllers": [own_entry(ctx)]}
    cert = pem = None
    if csr:
        cert = ctx.ctrl.authority.issue_identity(spending.read_csr(csr), key)
        pem = ctx.ctrl.authority.chain_pem(cert)
        answer |= {"ca": ctx.ctrl.authority.ca_pem(), "cert": pem}
    with store.write():
        found.settle()
        ctx.attempt.of_identity(_add_identity(key, found))
        if cert is not None and pem is not None:
            spending.add_certificate(key, cert, pem)
            ctx.attempt.certificate = cert
        addresses.note(ctx, Identity, key)
        ctx.attempt.succeeded(f"'{found.name}' enrolled by a token of signer '{found.verified.signer.name}'")
    log.info("identity %s enrolled by a token of signer '%s'", key, found.verified.signer.name)
    return answer


@dataclass(slots=True)
class Joining:
    """An identity that a signer's token makes. name and number are known once it is settled."""

    verified: signers.Verified
    wanted: str
    attributes: list[str]
    name: str = ""
    number: int = 0

    def settle(self) -> None:
        """Check that the subject is new, and find the name. Raises ENROLLMENT_IDENTITY_ALREADY_ENROLLED."""
        known = Identity.get_or_none(Identity.external_id == self.verified.subject)
        if known is not None:
            why = f"'{self.verified.subject}' is enrolled already, as '{known.name}': it can log in with its token"
            raise ApiError("ENROLLMENT_IDENTITY_ALREADY_ENROLLED", log=why)
        self.name, self.number = names.next_free(self.wanted)


def judge(verified: signers.Verified, *, by_certificate: bool) -> Joining:
    """Whether a verified token makes an identity, and which: reading only. The dry run comes here, too."""
    signer = verified.signer
    name = signers.claim(verified.claims, signer.enroll_name_claims_selector)
    if not isinstance(name, str) or not name:
        why = f"the token has no name at '{signer.enroll_name_claims_selector}', where signer '{signer.name}' looks"
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log=why)
    found = Joining(verified, name, _attributes(verified))
    found.settle()
    _check_allowed(signer, by_certificate=by_certificate)
    return found


def verify(ctx: Context, token: str, *, signer_id: str = "") -> signers.Verified:
    """Check an external token. Raises INVALID_ENROLLMENT_TOKEN."""
    try:
        tokens.peek(token)
        return signers.verify(ctx, token, signer_id=signer_id)
    except (ApiError, tokens.BadToken) as e:
        why = e.log if isinstance(e, ApiError) else str(e)
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log=why) from None


def _check_allowed(signer: ExternalJwtSigner, *, by_certificate: bool) -> None:
    """The signer must allow this kind of enrollment, and its policy the logins that come after it."""
    allowed = signer.enroll_to_cert_enabled if by_certificate else signer.enroll_to_token_enabled
    switch = "enrollToCertEnabled" if by_certificate else "enrollToTokenEnabled"
    rules = signer.enroll_auth_policy.primary
    if by_certificate:
        fits = rules["cert"]["allowed"]
    else:
        only = rules["extJwt"]["allowedSigners"]
        fits = rules["extJwt"]["allowed"] and (not only or signer.id in only)
    if not allowed:
        raise ApiError("INVALID_ENROLLMENT_NOT_ALLOWED", log=f"signer '{signer.name}' has {switch} switched off")
    if not fits:
        policy = signer.enroll_auth_policy.name
        why = f"auth policy '{policy}', which signer '{signer.name}' gives, would not let the identity log in"
        raise ApiError("INVALID_ENROLLMENT_NOT_ALLOWED", log=why)


def _add_identity(key: str, found: Joining) -> Identity:
    """Write the identity; a name that is taken has got a number, as with CAs. Needs a write transaction."""
    now = now_ms()
    names.take(found.wanted, found.number)
    identity: Identity = Identity.create(
        id=key,
        name=found.name,
        external_id=found.verified.subject,
        auth_policy=found.verified.signer.enroll_auth_policy_id,
        role_attributes=found.attributes,
        created_at=now,
        updated_at=now,
    )
    roles.set_attributes("identity", key, found.attributes)
    return identity


def _attributes(verified: signers.Verified) -> list[str]:
    """The role attributes that the signer's selector finds: a text or a list of texts."""
    selector = verified.signer.enroll_attribute_claims_selector
    found = signers.claim(verified.claims, selector) if selector else None
    values = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return sorted({v.lstrip("#@") for v in values if isinstance(v, str)} - {""})


BODY = Body("tokenEnrollmentRequest", "TokenEnrollmentRequest", (Field("clientCsr"),), optional=True)

ACTIONS = (
    Action(
        "POST",
        "/enroll/token",
        enroll,
        "public",
        (CLIENT,),
        BODY,
        check_accept=False,
        summary="Enroll by token",
        attempt="enroll",
    ),
)
