"""Third-party CAs: import, verification, reusable tokens, and which CA validates a certificate.

Only the imported certificate that was verified is trusted: of a bundle, the issuing one. A CA that is
not verified enrolls nobody and hands out no token (seeds; docs/differences.md).
Source: /cas of the management API, recorded answers of topics `cas`, `enroll_ca`, `enroll_ottca`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pki
from domain import ids
from domain.care.attempts import sentence
from domain.care.certificates import hex_serial
from domain.context import Context
from models import ApiSession, Ca, Enrollment, RevokedSerial
from prepared import Prepared
from wire.errors import ApiError, field_error, invalid_field, not_found
from wire.resource import JSON_TYPE, OWN, Action, Result, now_ms, time_text

DEFAULT_FORMAT = "[caName]-[commonName]"
MATCHERS = {
    "COMMON_NAME": ("ALL", "PREFIX", "SUFFIX"),
    "SAN_EMAIL": ("ALL", "PREFIX", "SUFFIX"),
    "SAN_URI": ("ALL", "SCHEME"),
}


# --- which CA validates a certificate


@lru_cache(maxsize=1024)
def issuing_cert(pem: str) -> pki.Cert:
    """The certificate of a CA that issues: the lowest CA certificate of what was imported."""
    return pki.find_leaf([c for c in pki.load_certs(pem) if c.is_ca])


_VERIFIED = Prepared(lambda: Ca.select().where(Ca.is_verified), Ca)


def verified(*, auth: bool | None = None, auto: bool | None = None) -> list[Ca]:
    """The verified CAs whose switches are as asked."""
    return [
        ca
        for ca in _VERIFIED.all()
        if auth in (None, ca.is_auth_enabled) and auto in (None, ca.is_auto_ca_enrollment_enabled)
    ]


def validating(
    leaf: pki.Cert, chain: Sequence[pki.Cert], among: Iterable[Ca], *, check_expiry: bool = True
) -> Ca | None:
    """The first CA of `among` that validates the leaf, through the chain that the client sent."""
    for ca in among:
        if problem(leaf, chain, ca, check_expiry=check_expiry) is None:
            return ca
    return None


def problem(leaf: pki.Cert, chain: Sequence[pki.Cert], ca: Ca, *, check_expiry: bool = True) -> str | None:
    """Why this CA does not validate the leaf as a client certificate; None when it does."""
    anchor = issuing_cert(ca.cert_pem)
    try:
        found = pki.verify_chain(leaf, chain, [anchor], now=datetime.now(UTC), check_expiry=check_expiry)
    except pki.Untrusted as e:
        return e.reason
    return _revoked(ca, found)


_REVOKED = Prepared(
    lambda ca, serial: RevokedSerial.select(RevokedSerial.revoked_at).where(
        RevokedSerial.crl == ca, RevokedSerial.serial == serial
    )
)


def _revoked(ca: Ca, chain: Sequence[pki.Cert]) -> str | None:
    """What the CA's revocation list says: it speaks of what the CA issued itself, the leaf or a CA above that."""
    if len(chain) < 2:
        return None
    row = _REVOKED.first(ca.id, hex_serial(chain[-2]))
    return f"certificate {chain[-2].label} was revoked by CA '{ca.name}' at {time_text(row[0])}" if row else None


# --- external ids


def external_id(ca: Ca, leaf: pki.Cert) -> str | None:
    """The external id that a CA's `externalIdClaim` finds in a certificate, None when there is none."""
    claim = ca.external_id_claim
    if not claim:
        return None
    places = {"COMMON_NAME": [leaf.common_name], "SAN_URI": leaf.uris, "SAN_EMAIL": leaf.emails}
    values = [v for v in places[claim["location"]] if v]
    found = _matching(values, claim["matcher"], claim["matcherCriteria"])
    if claim["parser"] == "SPLIT":
        found = [part for value in found for part in value.split(claim["parserCriteria"])]
    index = claim["index"]
    return found[index] if 0 <= index < len(found) and found[index] else None


def _matching(values: list[str], matcher: str, criteria: str) -> list[str]:
    match matcher:
        case "PREFIX":
            return [v.removeprefix(criteria) for v in values if v.startswith(criteria)]
        case "SUFFIX":
            return [v.removesuffix(criteria) for v in values if v.endswith(criteria)]
        case "SCHEME":
            return [v for v in values if v.partition(":")[0] == criteria]
        case _:
            return values


def _check_claim(claim: dict[str, Any]) -> None:
    location, matcher, parser = claim["location"], claim["matcher"], claim["parser"]
    shown = f"location={location} matcher={matcher} parser={parser}"
    if matcher not in MATCHERS[location]:
        raise invalid_field("externalIdClaim", shown, f"unsupported matcher [{matcher}] for location [{location}]")
    if matcher != "ALL" and not claim["matcherCriteria"]:
        raise invalid_field("externalIdClaim", shown, f"invalid criteria [] for matcher [{matcher}]")
    if parser == "SPLIT" and not claim["parserCriteria"]:
        raise invalid_field("externalIdClaim", shown, f"invalid criteria [] for parser [{parser}]")


# --- rules of the row


def before_save(ctx: Context, row: Ca | None, values: dict[str, Any]) -> None:
    """Check the certificate and the claim; fill in what a new CA starts with."""
    if values.get("identity_name_format") == "":
        values["identity_name_format"] = DEFAULT_FORMAT
    if values.get("external_id_claim"):
        _check_claim(values["external_id_claim"])
    if row is None:
        values["fingerprint"] = _fingerprint(values["cert_pem"])
        values["verification_token"] = ids.short_id()
        known = Ca.get_or_none(Ca.fingerprint == values["fingerprint"])
        if known is not None:
            raise field_error("certPem", f"certificate already used as CA {known.id}", values["cert_pem"])


def _fingerprint(pem: str) -> str:
    try:
        certs = pki.load_certs(pem)
    except pki.BadCertificate as e:
        reasons = {
            "no-pem": "could not parse block #1",
            "wrong-type": "block #1 is not a certificate",
            "der": "could not parse block #1 as an x509 certificate",
        }
        raise field_error("certPem", reasons[e.kind], pem) from None
    if not any(c.is_ca for c in certs):
        raise field_error("certPem", "certificate is not a CA", pem)
    return issuing_cert(pem).fingerprint


def after_save(ctx: Context, row: Ca, changed: set[str]) -> None:
    """Turning connections off ends the live sessions that rest on this CA, at once."""
    if "is_auth_enabled" in changed and not row.is_auth_enabled:
        ApiSession.delete().where(ApiSession.ca == row.id).execute()


def before_delete(ctx: Context, row: Ca) -> None:
    """Pending ottca enrollments go with the CA, its people stay but cannot log in any more."""
    Enrollment.delete().where(Enrollment.ca == row.id).execute()
    ApiSession.delete().where(ApiSession.ca == row.id).execute()


def extend(ctx: Context, rows: list[Ca], docs: list[dict[str, Any]]) -> None:
    """Link to what can be done next: verify it, or fetch its token."""
    for row, doc in zip(rows, docs, strict=True):
        base = doc["_links"]["self"]["href"]
        if not row.is_verified:
            doc["_links"]["verify"] = {"href": f"{base}/verify"}
        if row.is_auto_ca_enrollment_enabled:
            doc["_links"]["jwt"] = {"href": f"{base}/jwt"}


# --- actions


def _get(key: str) -> Ca:
    ca: Ca | None = Ca.get_or_none(Ca.id == key)
    if ca is None:
        raise not_found("ca", key)
    return ca


def verify(ctx: Context, id: str) -> Any:
    """POST /cas/{id}/verify: prove control of the CA by a certificate whose CN is the verification token.

    The certificate comes as PEM (text/plain, or a JSON string), or DER; in a bundle of any order the
    one with that CN is taken, the others may be intermediates.
    """
    ctx.attempt.method = "certificate"
    content = _content(ctx)
    ca: Ca | None = Ca.get_or_none(Ca.id == id)
    if ca is None:
        raise ApiError("NOT_FOUND", log=f"there is no CA with id {id}")
    ctx.attempt.of_ca(ca)
    _require_open(ca)
    certs = _read_bundle(content)
    ctx.attempt.certificate = pki.find_leaf(certs)
    proof = _proof_of(ca, certs)
    _require_issued(ca, proof, certs)
    Ca.update(is_verified=True, updated_at=now_ms()).where(Ca.id == ca.id, ~Ca.is_verified).execute()
    ctx.attempt.certificate = proof
    ctx.attempt.succeeded()
    return {}


def _proof_of(ca: Ca, certs: list[pki.Cert]) -> pki.Cert:
    """The certificate of a bundle that carries the verification token. Raises INVALID_COMMON_NAME."""
    proof = next((c for c in certs if c.common_name == ca.verification_token), None)
    if proof is None:
        found = pki.find_leaf(certs).common_name
        raise ApiError(
            "INVALID_COMMON_NAME",
            f"the certificate's common name is '{found}', it must be the verification token '{ca.verification_token}'",
        )
    return proof


def _require_issued(ca: Ca, proof: pki.Cert, certs: list[pki.Cert], *, check_expiry: bool = True) -> None:
    """The CA, or an intermediate of the bundle below it, issued the proof. Raises CERTIFICATE_FAILED_VALIDATION."""
    anchor = issuing_cert(ca.cert_pem)
    try:
        pki.verify_chain(proof, certs, [anchor], now=datetime.now(UTC), usage=None, check_expiry=check_expiry)
    except pki.Untrusted as e:
        raise ApiError("CERTIFICATE_FAILED_VALIDATION", e.reason) from None


def check_proof(ctx: Context, id: str) -> Any:
    """POST /cas/{id}/verify/check: what verifying would find, step by step, with nothing written.

    The steps are those of `verify`; `ok` is null for one that an earlier one leaves open.
    """
    ca, steps = _get(id), list[dict[str, Any]]()
    certs: list[pki.Cert] = []
    proof: list[pki.Cert] = []
    looks: tuple[tuple[str, str, Any], ...] = (
        ("open", "the authority still waits to be verified", lambda: _require_open(ca)),
        ("certificate", "it is a certificate", lambda: certs.extend(_read_bundle(_content(ctx)))),
        ("name", "its common name is the token", lambda: proof.append(_proof_of(ca, certs))),
        (
            "issuer",
            "this authority issued it, or an intermediate that came along",
            lambda: _require_issued(ca, proof[0], certs, check_expiry=False),
        ),
        ("dates", "it is valid now", lambda: _require_issued(ca, proof[0], certs)),
    )
    for name, title, look in looks:
        is_open = all(step["ok"] for step in steps)
        steps.append({"id": name, "title": title, "ok": None, "code": None, "reason": None})
        if not is_open:
            continue
        try:
            look()
            steps[-1]["ok"] = True
        except ApiError as e:
            steps[-1] |= {"ok": False, "code": e.code, "reason": sentence(e)}
    shown = proof[0] if proof else pki.find_leaf(certs) if certs else None
    return {
        "accepted": all(step["ok"] for step in steps),
        "steps": steps,
        "subject": shown.subject if shown else None,
        "issuer": shown.issuer if shown else None,
    }


def _require_open(ca: Ca) -> None:
    if ca.is_verified:
        raise ApiError("CA_ALREADY_VERIFIED", log=f"CA '{ca.name}' is verified already: nothing is left to do")


def _content(ctx: Context) -> str | bytes:
    content = _json_string(ctx.raw) if ctx.content_type == JSON_TYPE else ctx.raw
    if not content.strip():
        raise field_error("certificate", "certificate in body is required", "", status=602)
    return content


def _json_string(raw: bytes) -> str:
    try:
        content = json.loads(raw)
    except ValueError as e:
        raise ApiError("COULD_NOT_PARSE_BODY", f"the body is no JSON: {e}") from None
    if not isinstance(content, str):
        raise ApiError("COULD_NOT_PARSE_BODY", "a JSON body must be one string with the PEM in it")
    return content


def _read_bundle(content: str | bytes) -> list[pki.Cert]:
    codes = {
        "no-pem": "COULD_NOT_PARSE_BODY",
        "wrong-type": "EXPECTED_PEM_CERTIFICATE",
        "der": "COULD_NOT_PARSE_DER_BLOCK",
    }
    try:
        return pki.load_certs(content)
    except pki.BadCertificate as e:
        raise ApiError(codes[e.kind], None if e.kind == "no-pem" else str(e), log=str(e)) from None


def token(ctx: Context, id: str) -> str:
    """The reusable token for automatic enrollment. A CA that is not verified has none."""
    ca = _get(id)
    if not ca.is_verified:
        raise ApiError(
            "NOT_FOUND",
            f"ca '{ca.name}' is not verified yet, so it has no token: "
            f"verify it with a certificate whose common name is '{ca.verification_token}'",
        )
    return ctx.ctrl.signer.reusable(url=ctx.ctrl.url, method="ca", subject=ca.id, token=ca.id)


def jwt(ctx: Context, id: str) -> Result:
    """GET /cas/{id}/jwt: the reusable token, as `application/jwt`."""
    return Result(raw=token(ctx, id).encode(), content_type="application/jwt")


ACTIONS = (
    Action(
        "POST",
        "/cas/{id}/verify",
        verify,
        "ca.update",
        consumes=("text/plain", "application/json"),
        write=True,
        summary="Verify a CA by a certificate whose CN is its verification token",
        attempt="verify",
    ),
    Action(
        "POST",
        "/cas/{id}/verify/check",
        check_proof,
        "ca.read",
        (OWN,),
        consumes=("text/plain", "application/json"),
        audited=False,
        summary="What verifying a CA with this certificate would find; nothing is written",
    ),
    Action(
        "GET",
        "/cas/{id}/jwt",
        jwt,
        "ca.read",
        produces=("application/jwt", "application/json"),
        summary="The CA's reusable enrollment token",
        secret=True,
        jwt=token,
    ),
)
