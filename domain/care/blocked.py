"""Blocked certificates: one certificate that is no longer taken, from the next request on.

A row names it by fingerprint (SHA-1 or SHA-256), by serial number and issuer, or by the certificate itself.
Writing the row ends, in the same transaction, the sessions that rest on it; whoever presents it afterwards
is refused: at login, enrollment, renewal, by routers, and as proof of possession of a token.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import pki
from domain.care import certificates
from domain.context import Context
from models import ApiSession, Authenticator, BlockedCertificate, CertificateFact, SessionCertificate
from prepared import Prepared
from wire.errors import field_error
from wire.resource import milliseconds

_FOUND = Prepared(
    lambda fingerprint, sha256, serial, issuer: BlockedCertificate.select(BlockedCertificate.id).where(
        (BlockedCertificate.fingerprint == fingerprint)
        | (BlockedCertificate.sha256 == sha256)
        | ((BlockedCertificate.serial == serial) & (BlockedCertificate.issuer == issuer))
    )
)
_ANY = Prepared(lambda: BlockedCertificate.select(BlockedCertificate.id).limit(1))


def problem(shown: Sequence[pki.Cert]) -> str | None:
    """Why certificates that a client presented are not taken; None when none of them is blocked."""
    if not shown or _ANY.first() is None:
        return None
    for cert in shown:
        sha256 = hashlib.sha256(cert.der).hexdigest()
        if _FOUND.first(cert.fingerprint, sha256, certificates.hex_serial(cert), cert.issuer):
            return f"certificate {cert.label} ({cert.fingerprint}) is blocked"
    return None


# --- rules of the row


def before_save(ctx: Context, row: BlockedCertificate | None, values: dict[str, Any]) -> None:
    """Read what names the certificate, and fill in what is known of it."""
    if row is not None:
        return
    certificates.catch_up()
    body = ctx.body
    values["fingerprint"] = values["sha256"] = None
    values["serial"] = _serial(body.get("serial"))
    if body.get("certPem"):
        _by_certificate(values, body["certPem"])
    elif body.get("fingerprint"):
        _by_fingerprint(values, body["fingerprint"])
    elif values["serial"]:
        _by_serial(values)
    else:
        raise field_error("fingerprint", "name the certificate: fingerprint, serial (with issuer) or certPem", "")
    values["blocked_by"] = ctx.me.name
    _check_own(ctx, values)
    same = BlockedCertificate.get_or_none(_same(values))
    if same is not None:
        raise field_error("fingerprint", f"it is blocked already, by {same.id}", body.get("fingerprint") or "")


def _same(values: dict[str, Any]) -> Any:
    condition = BlockedCertificate.id.is_null()
    for name in ("fingerprint", "sha256"):
        if values.get(name):
            condition |= getattr(BlockedCertificate, name) == values[name]
    if values.get("serial"):
        condition |= (BlockedCertificate.serial == values["serial"]) & (BlockedCertificate.issuer == values["issuer"])
    return condition


def _plain_hex(text: str) -> str:
    return re.sub(r"[\s:]", "", text).lower().removeprefix("0x")


def _serial(text: str | None) -> str | None:
    if not text:
        return None
    found = _plain_hex(text)
    if not re.fullmatch(r"[0-9a-f]{1,64}", found):
        raise field_error("serial", "is not hexadecimal, as `openssl x509 -serial` shows it", text)
    found = found.lstrip("0") or "0"
    return found if len(found) % 2 == 0 else f"0{found}"


def _by_certificate(values: dict[str, Any], pem: str) -> None:
    try:
        cert = pki.find_leaf(pki.load_certs(pem))
    except pki.BadCertificate as e:
        raise field_error("certPem", str(e), pem) from None
    fact = certificates.fact_of(cert)
    values |= {name: fact[name] for name in ("fingerprint", "issuer", "serial", "subject")}
    values |= {"sha256": hashlib.sha256(cert.der).hexdigest(), "expires_at": milliseconds(cert.not_after)}


def _by_fingerprint(values: dict[str, Any], text: str) -> None:
    found = _plain_hex(text)
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", found):
        raise field_error("fingerprint", "is neither SHA-1 (40 hexadecimal digits) nor SHA-256 (64)", text)
    values["serial"] = None
    if len(found) == 64:
        values |= {"sha256": found, "issuer": None}
        return
    values |= {"fingerprint": found, "issuer": None}
    fact = CertificateFact.get_or_none(CertificateFact.fingerprint == found)
    if fact is not None:
        _take_fact(values, fact)
    else:
        _from_session(values, SessionCertificate.get_or_none(SessionCertificate.fingerprint == found))


def _from_session(values: dict[str, Any], row: SessionCertificate | None) -> None:
    if row is not None:
        cert = pki.load_cert(row.certificate)
        fact = certificates.fact_of(cert)
        values |= {name: fact[name] for name in ("issuer", "serial", "subject")}
        values["expires_at"] = fact["not_after"]


def _take_fact(values: dict[str, Any], fact: CertificateFact) -> None:
    values |= {
        "fingerprint": fact.fingerprint,
        "issuer": fact.issuer,
        "serial": fact.serial,
        "subject": fact.subject,
        "expires_at": fact.not_after,
    }


def _by_serial(values: dict[str, Any]) -> None:
    """A serial number means something only together with its issuer, which may be clear from what is known."""
    query = CertificateFact.select().where(CertificateFact.serial == values["serial"])
    if values.get("issuer"):
        fact = query.where(CertificateFact.issuer == values["issuer"]).first()
        if fact is not None:
            _take_fact(values, fact)
        return
    known = list(query)
    if len(known) != 1:
        seen = "; ".join(sorted({f"'{f.issuer}'" for f in known})) or "none that is known here"
        reason = f"which issuer's? Certificates with this serial number are of: {seen}. Give issuer as well"
        raise field_error("serial", reason, values["serial"])
    _take_fact(values, known[0])


def _check_own(ctx: Context, values: dict[str, Any]) -> None:
    """Blocking the CA or the server itself would lock everybody out, and stop nobody."""
    for one in ctx.ctrl.authority.own_certificates():
        if one.is_current and values.get("fingerprint") == one.cert.fingerprint:
            reason = f"it is the controller's own {one.kind} certificate: roll it over instead"
            raise field_error("fingerprint", reason, one.cert.fingerprint)


def after_save(ctx: Context, row: BlockedCertificate, changed: set[str]) -> None:
    """End what rests on it: sessions that were opened with it or have it as their certificate."""
    if "fingerprint" not in changed:
        return
    ApiSession.delete().where(ApiSession.id.in_(_resting_on(row))).execute()


def _resting_on(row: BlockedCertificate) -> list[str]:
    prints = [row.fingerprint] if row.fingerprint else []
    found = [str(key) for (key,) in _sessions_with(prints).tuples()]
    if not row.fingerprint:
        # Only for certificates that are known by nothing else: every live session's is read.
        for s in SessionCertificate.select():
            cert = pki.load_cert(s.certificate)
            by_hash = row.sha256 == hashlib.sha256(cert.der).hexdigest()
            if by_hash or (row.serial == certificates.hex_serial(cert) and row.issuer == cert.issuer):
                found.append(s.session_id)
                prints.append(s.fingerprint)
    owners = Authenticator.select(Authenticator.id).where(Authenticator.cert_fingerprint.in_(prints))
    found += [
        str(key) for (key,) in ApiSession.select(ApiSession.id).where(ApiSession.authenticator.in_(owners)).tuples()
    ]
    return found


def _sessions_with(prints: list[str]) -> Any:
    return SessionCertificate.select(SessionCertificate.session).where(SessionCertificate.fingerprint.in_(prints))


def extend(ctx: Context, rows: list[BlockedCertificate], docs: list[dict[str, Any]]) -> None:
    """Add whose certificate it is, as far as it still is anybody's."""
    prints = [row.fingerprint for row in rows if row.fingerprint]
    owners = {
        a.cert_fingerprint: a.identity for a in Authenticator.select().where(Authenticator.cert_fingerprint.in_(prints))
    }
    for row, doc in zip(rows, docs, strict=True):
        owner = owners.get(row.fingerprint)
        doc["identityId"] = owner.id if owner else None
        doc["identityName"] = owner.name if owner else None
