"""Enrollment by an external token: whoever a trusted signer vouches for makes an identity.

With a CSR the identity gets a certificate, without one it goes on logging in by tokens; the signer
says which of both is allowed. Source: POST /enroll/token, recorded answers of topic `external_jwt_signers`.
"""

from __future__ import annotations

import logging
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
    if not ctx.headers.get("Authorization"):
        raise field_error("Authorization", "Authorization in header is required", "", status=602)
    verified = _verify(ctx)
    signer = verified.signer
    name = signers.claim(verified.claims, signer.enroll_name_claims_selector)
    if not isinstance(name, str) or not name:
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log=f"no name at {signer.enroll_name_claims_selector}")
    if Identity.select().where(Identity.external_id == verified.subject).exists():
        raise ApiError("ENROLLMENT_IDENTITY_ALREADY_ENROLLED")
    csr = ctx.body.get("clientCsr")
    _check_allowed(signer, by_certificate=bool(csr))
    key = ids.short_id()
    answer: dict[str, Any] = {"controllers": [own_entry(ctx)]}
    cert = pem = None
    if csr:
        cert = ctx.ctrl.authority.issue_identity(spending.read_csr(csr), key)
        pem = ctx.ctrl.authority.chain_pem(cert)
        answer |= {"ca": ctx.ctrl.authority.ca_pem(), "cert": pem}
    with store.write():
        _add_identity(key, name, verified)
        if cert is not None and pem is not None:
            spending.add_certificate(key, cert, pem)
        addresses.note(ctx, Identity, key)
    log.info("identity %s enrolled by a token of signer '%s'", key, signer.name)
    return answer


def _verify(ctx: Context) -> signers.Verified:
    try:
        token = signers.bearer(ctx)
        tokens.peek(token)
        return signers.verify(ctx, token, signer_id=ctx.headers.get("ziti-token-issuer-id", ""))
    except (ApiError, tokens.BadToken) as e:
        why = e.log if isinstance(e, ApiError) else str(e)
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log=why) from None


def _check_allowed(signer: ExternalJwtSigner, *, by_certificate: bool) -> None:
    """The signer must allow this kind of enrollment, and its policy the logins that come after it."""
    allowed = signer.enroll_to_cert_enabled if by_certificate else signer.enroll_to_token_enabled
    rules = signer.enroll_auth_policy.primary
    if by_certificate:
        fits = rules["cert"]["allowed"]
    else:
        only = rules["extJwt"]["allowedSigners"]
        fits = rules["extJwt"]["allowed"] and (not only or signer.id in only)
    if not allowed or not fits:
        raise ApiError("INVALID_ENROLLMENT_NOT_ALLOWED", log=f"signer '{signer.name}' or its policy does not allow it")


def _add_identity(key: str, name: str, verified: signers.Verified) -> None:
    """Write the identity; a name that is taken gets a number, as with CAs. Needs a write transaction."""
    if Identity.select().where(Identity.external_id == verified.subject).exists():
        raise ApiError("ENROLLMENT_IDENTITY_ALREADY_ENROLLED")
    now = now_ms()
    attributes = _attributes(verified)
    Identity.create(
        id=key,
        name=names.free(name),
        external_id=verified.subject,
        auth_policy=verified.signer.enroll_auth_policy_id,
        role_attributes=attributes,
        created_at=now,
        updated_at=now,
    )
    roles.set_attributes("identity", key, attributes)


def _attributes(verified: signers.Verified) -> list[str]:
    """The role attributes that the signer's selector finds: a text or a list of texts."""
    selector = verified.signer.enroll_attribute_claims_selector
    found = signers.claim(verified.claims, selector) if selector else None
    values = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return sorted({v.lstrip("#@") for v in values if isinstance(v, str)} - {""})


BODY = Body("tokenEnrollmentRequest", "TokenEnrollmentRequest", (Field("clientCsr"),), optional=True)

ACTIONS = (
    Action("POST", "/enroll/token", enroll, "public", (CLIENT,), BODY, check_accept=False, summary="Enroll by token"),
)
