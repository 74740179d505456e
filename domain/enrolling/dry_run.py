"""What would happen if this certificate, or this token, enrolled now: the real judgement, and nothing written.

Everything that is decided comes from where the real enrollment has it (`judging`, `spending`,
`domain.token_enrollment`, `domain.logins.credentials`); this module only asks and tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pki
import tokens
from domain import cas, enrollment, token_enrollment
from domain.care.attempts import sentence
from domain.context import Context
from domain.enrolling import judging, spending
from domain.logins import credentials
from models import Authenticator, AuthPolicy, Ca, Enrollment, Identity
from wire.errors import ApiError, field_error
from wire.resource import OWN, Action, Body, Field, enum, milliseconds, now_ms, time_text

METHODS = ("ca", "ottca", "ott", "updb", "erott", "token")
MAX_CERTIFICATES = 20
# What stands in a name for the id that only the real enrollment makes.
NEW_ID = "[identityId]"


@dataclass(slots=True)
class Asked:
    """The question: what a client would come with."""

    method: str
    presented: tuple[pki.Cert, ...]
    token: str | None
    jwt: str
    csr: str
    name: str | None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """The answer so far."""

    identity: dict[str, Any] | None = None
    enrollment: Enrollment | None = None
    ca: Ca | None = None
    owner: Identity | None = None


# --- reading the question


def certificates(text: str) -> tuple[pki.Cert, ...]:
    """The certificates of PEM or base64 DER in any order, leaf first."""
    if not text.strip():
        return ()
    content = text if "-----BEGIN" in text else pki.from_base64(text)
    if content is None:
        raise _unreadable("it is neither PEM nor DER in base64")
    try:
        certs = pki.load_certs(content)
    except pki.BadCertificate as e:
        raise _unreadable(str(e)) from None
    if len(certs) > MAX_CERTIFICATES:
        raise _unreadable(f"there are {len(certs)} certificates, and at most {MAX_CERTIFICATES} make a chain")
    leaf = pki.find_leaf(certs)
    return (leaf, *(c for c in certs if c != leaf))


def _unreadable(why: str) -> ApiError:
    # Never the text itself: it may hold a private key by mistake.
    return field_error("certificates", why, "")


def _ask(ctx: Context) -> Asked:
    body = ctx.body
    asked = Asked(
        body.get("method") or "ca",
        certificates(body.get("certificates") or ""),
        None,
        (body.get("jwt") or "").strip(),
        body.get("clientCsr") or "",
        body.get("name"),
    )
    if not asked.presented and not asked.jwt:
        raise field_error("certificates", "certificates in body is required, unless there is a jwt", "")
    return asked


def _read_jwt(ctx: Context, asked: Asked) -> None:
    """Take method and token from the JWT. One without `em` is somebody else's, and enrolls by token."""
    try:
        _, claims = tokens.peek(asked.jwt)
    except tokens.BadToken as e:
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log=f"the JWT cannot be read: {e}") from None
    method = claims.get("em")
    if not isinstance(method, str):
        asked.method = "token"
        return
    if not ctx.body.get("method"):
        asked.method = "erott" if method == "trott" else method
    try:
        claims = ctx.ctrl.signer.read_enrollment(asked.jwt)
    except tokens.BadToken:
        why = "the JWT is not signed with this controller's key, so clients refuse it: it is of another controller"
        raise ApiError("INVALID_ENROLLMENT_TOKEN", log=why) from None
    asked.token = str(claims.get("jti", ""))
    issuer, expires = str(claims.get("iss", "")).rstrip("/"), claims.get("exp")
    if issuer != ctx.ctrl.url:
        asked.notes.append(f"the JWT sends its client to {issuer}, and this controller is now at {ctx.ctrl.url}")
    if isinstance(expires, int) and expires * 1000 < now_ms():
        asked.notes.append(f"the JWT says that it expired at {time_text(expires * 1000)}; most clients do not even try")


# --- judging: the same functions as the real enrollment


def _judge(ctx: Context, asked: Asked, found: Found) -> None:
    """Fill in what would come of it. Raises the very error that the client would get."""
    match asked.method:
        case "ca":
            _by_ca(ctx, asked, found)
        case "ottca":
            expected = judging.expected(ctx, asked.token, asked.presented)
            expected.settle()
            _announced(found, expected.enrollment)
            found.ca = expected.ca
        case "ott":
            _announced(found, spending.pending(ctx, asked.token, "ott"))
            if asked.csr:
                spending.read_csr(asked.csr)
            _unused(asked, "the controller's own CA issues the certificate, for the CSR that the client sends")
        case "updb":
            _announced(found, spending.pending(ctx, asked.token, "updb"))
            _unused(asked, "the client sets a password")
        case "erott":
            found.enrollment = spending.pending(ctx, asked.token, "erott")
            _unused(asked, "the controller's own CA issues the router's certificates")
        case "token":
            _by_token(ctx, asked, found)
        case _:
            raise ApiError("INVALID_ENROLL_METHOD", log=f"a token for '{asked.method[:20]}' enrolls nobody")


def _unused(asked: Asked, instead: str) -> None:
    if asked.presented:
        asked.notes.append(f"enrollment by {asked.method} does not look at the certificate: {instead}")


def _by_ca(ctx: Context, asked: Asked, found: Found) -> None:
    joining = judging.joining(ctx, asked.presented, asked.name, key=NEW_ID)
    joining.settle()
    found.ca = joining.ca
    policy = AuthPolicy.get_by_id("default")
    found.owner = Identity(name=joining.name, auth_policy=policy)
    found.identity = _new(joining.name, joining.wanted, joining.attributes, joining.external_id, policy.id)
    if asked.token and asked.token != joining.ca.id:
        asked.notes.append(f"the JWT is of another CA than '{joining.ca.name}', which does not matter for enrollment")


def _by_token(ctx: Context, asked: Asked, found: Found) -> None:
    verified = token_enrollment.verify(ctx, asked.jwt)
    joining = token_enrollment.judge(verified, by_certificate=bool(asked.csr))
    if asked.csr:
        spending.read_csr(asked.csr)
    policy = verified.signer.enroll_auth_policy_id
    found.identity = _new(joining.name, joining.wanted, joining.attributes, verified.subject, policy)
    _unused(asked, f"the token of signer '{verified.signer.name}' says who it is")


def _new(name: str, wanted: str, attributes: list[str], external_id: str | None, policy: str) -> dict[str, Any]:
    return {
        "isNew": True,
        "id": None,
        "name": name,
        "nameWithoutSuffix": wanted,
        "roleAttributes": attributes,
        "externalId": external_id,
        "authPolicyId": policy,
    }


def _announced(found: Found, e: Enrollment) -> None:
    found.enrollment, found.owner = e, e.identity
    i: Identity = e.identity
    found.identity = {
        "isNew": False,
        "id": i.id,
        "name": i.name,
        "nameWithoutSuffix": i.name,
        "roleAttributes": i.role_attributes,
        "externalId": i.external_id,
        "authPolicyId": i.auth_policy_id,
    }


# --- telling


def dry_run(ctx: Context) -> Any:
    """POST /enroll/dry-run: would it be accepted, as whom, through which CA, and could it connect afterwards."""
    asked, found, refusal = _ask(ctx), Found(), None
    try:
        if asked.jwt:
            _read_jwt(ctx, asked)
        _judge(ctx, asked, found)
    except ApiError as e:
        refusal = e
    presented = asked.presented
    closest = found.ca or (Ca.get_or_none(Ca.id == ctx.attempt.ca) if ctx.attempt.ca else None)
    return {
        "accepted": refusal is None,
        "method": asked.method,
        "reason": _reason(asked, found) if refusal is None else sentence(refusal),
        "error": None if refusal is None else _error(refusal),
        "identity": found.identity if refusal is None else None,
        "enrollment": _enrollment(found.enrollment),
        "ca": _switches(closest) if closest else None,
        "cas": [_considered(ca, presented, asked.method) for ca in _all_cas()] if presented else [],
        "chain": [_shown(c) for c in presented],
        "canConnect": _can_connect(ctx, asked, found) if refusal is None else None,
        "notes": asked.notes,
    }


def _all_cas() -> list[Ca]:
    return list(Ca.select().order_by(Ca.name))


def _reason(asked: Asked, found: Found) -> str:
    if found.enrollment is not None and found.identity is None:
        return f"the token is good: the router would enroll by {asked.method}"
    name = found.identity["name"] if found.identity else ""
    if found.identity and found.identity["isNew"]:
        through = f"through CA '{found.ca.name}'" if found.ca else "by its token"
        return f"it would join as '{name}' {through}"
    return f"'{name}' would enroll by {asked.method}"


def _error(e: ApiError) -> dict[str, Any]:
    """The error as the client would get it."""
    shown: dict[str, Any] = {"status": e.status, "code": e.code, "message": e.message}
    return {**shown, "cause": e.cause} if e.cause is not None else shown


def _enrollment(e: Enrollment | None) -> dict[str, Any] | None:
    if e is None:
        return None
    return {"id": e.id, "method": e.method, "expiresAt": time_text(e.expires_at), "identityId": e.identity_id}


def _switches(ca: Ca) -> dict[str, Any]:
    return {
        **enrollment.ca_reference(ca),
        "isVerified": ca.is_verified,
        "isAutoCaEnrollmentEnabled": ca.is_auto_ca_enrollment_enabled,
        "isOttCaEnrollmentEnabled": ca.is_ott_ca_enrollment_enabled,
        "isAuthEnabled": ca.is_auth_enabled,
    }


def _considered(ca: Ca, presented: Sequence[pki.Cert], method: str) -> dict[str, Any]:
    """One CA: whether it validates the certificate, and whether it would enroll it by this method."""
    why = cas.problem(presented[0], presented[1:], ca)
    switch = {
        "ca": (ca.is_auto_ca_enrollment_enabled, "automatic enrollment (isAutoCaEnrollmentEnabled)"),
        "ottca": (ca.is_ott_ca_enrollment_enabled, "pre-created enrollment (isOttCaEnrollmentEnabled)"),
    }.get(method)
    if why is None and not ca.is_verified:
        reason = "it validates the certificate, but is not verified"
    elif why is None and switch is not None and not switch[0]:
        reason = f"it validates the certificate, but has {switch[1]} switched off"
    else:
        reason = why or "it validates the certificate"
    enrolls = why is None and ca.is_verified and switch is not None and bool(switch[0])
    return {**_switches(ca), "validates": why is None, "enrolls": enrolls, "reason": reason}


def _shown(c: pki.Cert) -> dict[str, Any]:
    return {
        "subject": c.subject,
        "issuer": c.issuer,
        "serial": f"{c.serial:x}",
        "fingerprint": c.fingerprint,
        "notBefore": time_text(milliseconds(c.not_before)),
        "notAfter": time_text(milliseconds(c.not_after)),
        "isCa": c.is_ca,
    }


def _can_connect(ctx: Context, asked: Asked, found: Found) -> dict[str, Any] | None:
    """Whether the login would pass with this certificate, as the login itself sees it."""
    if found.owner is None or asked.method not in ("ca", "ottca"):
        return None
    future = Authenticator(identity=found.owner, is_issued_by_network=False, ca=found.ca)
    try:
        credentials.check_certificate(ctx, future, asked.presented[0], asked.presented[1:])
    except ApiError as e:
        return {"allowed": False, "reason": sentence(e)}
    return {"allowed": True, "reason": "a verified CA with connections enabled validates the certificate"}


BODY = Body(
    "dryRun",
    "EnrollDryRun",
    (Field("certificates"), Field("jwt"), Field("clientCsr"), Field("name"), Field("method", enum(*METHODS))),
)

ACTIONS = (
    Action(
        "POST",
        "/enroll/dry-run",
        dry_run,
        "enrollment.read",
        (OWN,),
        BODY,
        audited=False,
        summary="What would happen if this enrolled now; nothing is written",
    ),
)
