"""What stands in certificates that somebody brings: for people who want to see it before they use it.

Anything is taken: PEM with text around it, DER, PKCS#7, chains in any order. Nothing is written.
Source: our own, POST /zitilite/v1/certificates/decode.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pki
from domain.care.certificates import hex_serial
from domain.context import Context
from models import Ca
from wire.errors import field_error
from wire.resource import OWN, Action, Body, Field, Result, milliseconds, text, time_text

MAX_CERTIFICATES = 50
_NO_CERTIFICATE_PEM = {
    "PRIVATE KEY": "this is a private key, which nobody but its owner should have: the certificate is another file",
    "CERTIFICATE REQUEST": "this is a certificate request: the certificate is what the authority makes of it",
    "CRL": "this is a revocation list: it belongs to the page of an authority that is imported already",
    "PUBLIC KEY": "this is a public key and no certificate",
}


def read(content: str) -> list[pki.Cert]:
    """The certificates of a text, or of a file's bytes in base64, in the order given. Raises COULD_NOT_VALIDATE."""
    data = content.encode("utf-8", "replace") if "-----BEGIN " in content else pki.from_base64(content)
    if data is None:
        raise _unreadable("there is no certificate in it: neither PEM, nor DER or PKCS#7 in base64")
    if data[:1] == b"\x30" and b"\x02\x01\x03" in data[:8]:
        raise _unreadable("this is a PKCS#12 file, which holds a private key: export the certificate alone")
    try:
        certs = pki.load_any(data)
    except pki.BadCertificate as e:
        raise _unreadable(_why(e, data)) from None
    certs = list(dict.fromkeys(certs))
    if len(certs) > MAX_CERTIFICATES:
        raise _unreadable(f"there are {len(certs)} certificates, and at most {MAX_CERTIFICATES} are looked at")
    return certs


def _why(e: pki.BadCertificate, data: bytes) -> str:
    if e.kind == "wrong-type":
        for mark, words in _NO_CERTIFICATE_PEM.items():
            if mark in str(e):
                return words
    if e.kind == "no-pem" and b"-----BEGIN " in data:
        return "a PEM block begins, but does not end: the file was cut off"
    return str(e)


def _unreadable(why: str) -> Exception:
    # Never the text itself: it may hold a private key by mistake.
    return field_error("content", why, "")


def decode(ctx: Context) -> Result:
    """POST /certificates/decode {content}: each certificate in words, and which one would be the CA."""
    content = ctx.body["content"]
    certs = read(content)
    authorities = [c for c in certs if c.is_ca]
    issuing = pki.find_leaf(authorities) if authorities else None
    imported = {ca.fingerprint: ca for ca in Ca.select(Ca.id, Ca.name, Ca.fingerprint)}
    notes = []
    if "PRIVATE KEY-----" in content:
        notes.append("there is a private key in it; it is not kept, but it should not travel")
    if issuing is None:
        notes.append("none of these is a CA: a CA has the basic constraint CA:TRUE")
    now = datetime.now(UTC)
    return Result([_shown(c, issuing, certs, imported, now) for c in certs], meta={"notes": notes})


def _shown(
    c: pki.Cert, issuing: pki.Cert | None, certs: list[pki.Cert], imported: dict[str, Ca], now: datetime
) -> dict[str, Any]:
    known = imported.get(c.fingerprint)
    return {
        "subject": c.subject,
        "commonName": c.common_name,
        "issuer": c.issuer,
        "serial": hex_serial(c),
        "isCa": c.is_ca,
        "pathLength": c.path_length,
        "keyKind": c.key_kind,
        "signatureHash": c.signature_hash,
        "notBefore": time_text(milliseconds(c.not_before)),
        "notAfter": time_text(milliseconds(c.not_after)),
        "sha1": c.fingerprint,
        "sha256": c.sha256,
        "selfSigned": c.is_self_signed,
        "isIssuing": c == issuing,
        "importedAs": {"id": known.id, "name": known.name} if known else None,
        "names": {"dns": c.dns_names, "email": c.emails, "uri": c.uris, "ip": c.ip_addresses},
        "warnings": _warnings(c, c == issuing, certs, known, now),
        "pem": c.pem,
    }


def _warnings(c: pki.Cert, is_issuing: bool, certs: list[pki.Cert], known: Ca | None, now: datetime) -> list[str]:  # noqa: FBT001
    found = []
    if known is not None:
        found.append(f"it is imported already, as '{known.name}'")
    if c.not_after < now:
        found.append(f"it expired on {c.not_after:%Y-%m-%d}")
    elif c.not_before > now:
        found.append(f"it is not valid before {c.not_before:%Y-%m-%d %H:%M} UTC: check the clocks")
    elif is_issuing and (c.not_after - now).days < 90:
        found.append(f"it ends in {(c.not_after - now).days} days, and with it everything that it issued")
    if not c.is_ca:
        found.append("it is not a CA: it can issue nothing")
    # Nobody checks the signature of a root: it is trusted as it is.
    if c.has_weak_signature and not c.is_self_signed:
        found.append(f"its signature uses {c.signature_hash}, which is broken: the authority should be renewed")
    if is_issuing and c.is_self_signed and c.path_length != 0 and len(certs) == 1:
        found.append(
            "it is a root: if an intermediate issues the certificates of your devices, bring that one, "
            "or let each device send the intermediate along"
        )
    return found


BODY = Body("certificates", "CertificateDecode", (Field("content", text(1, 2_000_000), required="c"),))
ACTIONS = (
    Action(
        "POST",
        "/certificates/decode",
        decode,
        "ca.read",
        (OWN,),
        BODY,
        audited=False,
        summary="What stands in certificates; nothing is written",
    ),
)
