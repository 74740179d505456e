"""External JWT signers: the rules of the row, and whose token a token is.

Issuer and audience are checked always; the key is the signer's certificate, or of its JWKS.
Source: /external-jwt-signers, recorded answers of topic `external_jwt_signers`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pki
import tokens
from domain.context import Context
from models import AuthPolicy, ExternalJwtSigner, Identity
from wire.errors import ApiError, field_error, invalid_field, not_found
from wire.resource import Kind, enum, milliseconds

log = logging.getLogger("zitilite.signers")

SUBJECT = "/sub"
URI = Kind("text", {"type": "string", "format": "uri"}, "strfmt.URI", decode=lambda v: v or None)
TARGET_TOKEN = enum("ACCESS", "ID", go_type="rest_model.TargetToken")
SCOPES = Kind(
    "strings",
    {"type": "array", "items": {"type": "string"}},
    "[]string",
    lambda v: sorted(set(v)),
    lambda v: v or None,
    "set",
    [],
)
# What the client API tells about a signer to whoever wants to log in.
PUBLIC = (
    "audience",
    "clientId",
    "enrollToCertEnabled",
    "enrollToTokenEnabled",
    "externalAuthUrl",
    "name",
    "scopes",
    "targetToken",
)
FILTERABLE = (
    "audience",
    "certPem",
    "claimsProperty",
    "clientId",
    "commonName",
    "enabled",
    "enrollAttributeClaimsSelector",
    "enrollAuthPolicyId",
    "enrollNameClaimsSelector",
    "enrollToCertEnabled",
    "enrollToTokenEnabled",
    "fingerprint",
    "issuer",
    "kid",
    "name",
    "notAfter",
    "notBefore",
    "scopes",
    "targetToken",
    "useExternalId",
)


# --- rules of the row


def before_save(ctx: Context, row: ExternalJwtSigner | None, values: dict[str, Any]) -> None:
    """One source of keys, a readable certificate, values that no other signer has."""
    for column in ("claims_property", "enroll_name_claims_selector"):
        if column in values:
            values[column] = values[column] or SUBJECT
    if "enroll_auth_policy_id" in values:
        _check_policy(values)
    _check_keys(row, values)
    _check_free(row, values)


def _check_policy(values: dict[str, Any]) -> None:
    key = values["enroll_auth_policy_id"] = values["enroll_auth_policy_id"] or "default"
    if not AuthPolicy.select().where(AuthPolicy.id == key).exists():
        raise not_found("authPolicy", key)


def _check_keys(row: ExternalJwtSigner | None, values: dict[str, Any]) -> None:
    if "cert_pem" not in values and "jwks_endpoint" not in values:
        return
    pem = values.get("cert_pem", row and row.cert_pem)
    endpoint = values.get("jwks_endpoint", row and row.jwks_endpoint)
    if not pem and not endpoint:
        raise invalid_field("certPem", None, "jwksEndpoint or certPem is required")
    if pem and endpoint:
        raise invalid_field("jwksEndpoint", endpoint, "only one of jwksEndpoint or certPem may be defined")
    if endpoint and urlsplit(endpoint).scheme not in ("https", "http"):
        raise invalid_field("jwksEndpoint", endpoint, "it must be an https URL")
    cert = _certificate(pem) if pem else None
    values |= {
        "fingerprint": cert and cert.fingerprint,
        "common_name": cert and cert.common_name,
        "not_before": cert and milliseconds(cert.not_before),
        "not_after": cert and milliseconds(cert.not_after),
    }


def _certificate(pem: str) -> pki.Cert:
    try:
        certs = pki.load_certs(pem)
        certs[0].token_key()
    except pki.PkiError as e:
        raise ApiError("INVALID_CERT_PEM", log=str(e)) from None
    if len(certs) != 1:
        raise ApiError("INVALID_CERT_PEM", log=f"{len(certs)} certificates instead of one")
    return certs[0]


def _check_free(row: ExternalJwtSigner | None, values: dict[str, Any]) -> None:
    m = ExternalJwtSigner
    others = m.id != row.id if row is not None else m.id.is_null(is_null=False)
    for column in ("name", "fingerprint", "kid", "issuer"):
        value = values.get(column)
        if value and m.select().where(getattr(m, column) == value, others).exists():
            same = f"duplicate value '{value}' in unique index on externalJwtSigners store"
            raise field_error(column, "name must be unique" if column == "name" else same, value)


def before_delete(ctx: Context, row: ExternalJwtSigner) -> None:
    """Not while a policy names it: an emptied list of allowed signers would allow all of them."""
    for policy in AuthPolicy.select():
        if policy.secondary.get("requireExtJwtSigner") == row.id:
            field = "secondary.requireExtJwtSigner"
        elif row.id in policy.primary["extJwt"]["allowedSigners"]:
            field = "primary.extJwt.allowedSigners"
        else:
            continue
        reason = f"entity type externalJwtSigner referenced by authPolicy: [{policy.id}]"
        cause = {"field": field, "reason": reason, "value": f"[{policy.id}]"}
        raise ApiError("CAN_NOT_DELETE_REFERENCED_ENTITY", cause)


def enabled(ctx: Context) -> Any:
    """The condition for signers that clients may use."""
    return ExternalJwtSigner.enabled


# --- tokens


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that one of the signers made: its claims and the value that says whose it is."""

    signer: ExternalJwtSigner
    claims: dict[str, Any]
    subject: str


def bearer(ctx: Context) -> str:
    """The token of the Authorization header, "" when there is none."""
    scheme, _, token = ctx.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def verify(ctx: Context, token: str, *, signer_id: str = "") -> Verified:
    """Check a token by the signer that its issuer names.

    Args:
        signer_id: the only signer that will do; "" takes any that is enabled.

    Raises UNAUTHORIZED with the kind of problem in `WWW-Authenticate`.
    """
    try:
        header, claims = tokens.peek(token)
    except tokens.BadToken as e:
        raise challenge("missing", str(e)) from None
    m = ExternalJwtSigner
    signer = m.get_or_none(m.issuer == claims.get("iss"), m.enabled)
    if signer is None or (signer_id and signer.id != signer_id):
        raise challenge("missing", f"no signer has the issuer {claims.get('iss')!r}")
    checked = _check_signature(ctx, signer, token, header.get("kid"))
    subject = claim(checked, signer.claims_property)
    if not isinstance(subject, str) or not subject:
        raise challenge("invalid", f"the token has no text at {signer.claims_property}")
    return Verified(signer, checked, subject)


def _check_signature(ctx: Context, signer: ExternalJwtSigner, token: str, kid: Any) -> dict[str, Any]:
    problem = tokens.BadToken("invalid", f"no key of signer '{signer.name}' has the identifier {kid!r}")
    for key in _keys(ctx, signer, kid if isinstance(kid, str) else None):
        try:
            return tokens.verify(token, key, issuer=signer.issuer, audience=signer.audience)
        except tokens.BadToken as e:
            problem = e
    raise challenge(problem.kind, f"signer '{signer.name}': {problem}")


def _keys(ctx: Context, signer: ExternalJwtSigner, kid: str | None) -> list[tokens.PublicKey]:
    if signer.jwks_endpoint:
        return ctx.ctrl.jwks.find(signer.jwks_endpoint, kid)
    if signer.kid and signer.kid != kid:
        return []
    return [tokens.certificate_key(pki.load_cert(signer.cert_pem), signer.kid)]


def owner(verified: Verified) -> Any:
    """The condition for the identity that a token stands for."""
    column = Identity.external_id if verified.signer.use_external_id else Identity.id
    return column == verified.subject


def claim(claims: Any, selector: str) -> Any:
    """The value that a selector names: a JSON pointer (RFC 6901), or a plain name at the top level."""
    if not selector.startswith("/"):
        return claims.get(selector)
    for part in selector[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(claims, dict):
            claims = claims.get(name)
        elif isinstance(claims, list) and name.isdigit() and int(name) < len(claims):
            claims = claims[int(name)]
        else:
            return None
    return claims


_TEXTS = {
    "missing": "no matching token was provided",
    "invalid": "token is invalid",
    "expired": "token expired",
}


def challenge(kind: str, reason: str) -> ApiError:
    """401 that names the signers whose tokens would do. kind: missing, invalid or expired."""
    rows = list(ExternalJwtSigner.select().where(ExternalJwtSigner.enabled).order_by(ExternalJwtSigner.id))
    if not rows:
        return ApiError("UNAUTHORIZED", log=reason)
    keys, issuers = "|".join(r.id for r in rows), "|".join(r.issuer for r in rows)
    text = (
        f'Bearer realm="openziti-primary-ext-jwt" error="{kind}" error_description="{_TEXTS[kind]}" '
        f'id="{keys}" issuer="{_quoted(issuers)}"'
    )
    return ApiError("UNAUTHORIZED", headers={"WWW-Authenticate": text}, log=reason)


def _quoted(text: str) -> str:
    """Fit for a quoted string of a header: what an administrator typed must not end it."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)
