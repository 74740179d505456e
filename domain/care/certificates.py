"""Every certificate in one list: our own, imported CAs, identities, routers, signers; and what Prometheus sees.

The list is a view (models.VIEWS) over the tables that hold certificates. What stands inside a certificate is
kept beside them, by fingerprint, in an index that is brought up to date whenever somebody looks: nobody who
writes a certificate has to think of it, and a database of whatever age is complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pki
import store
from domain.context import Context, Controller
from models import (
    Authenticator,
    Ca,
    Certificate,
    CertificateFact,
    ExternalJwtSigner,
    OwnCertificate,
    Router,
)
from wire.filter_sql import Symbol
from wire.resource import OWN, Action, milliseconds, now_ms, time_text

KINDS = ("root", "cross", "intermediate", "server", "ca", "identity", "router", "signer")
STATES = ("ok", "expiring", "expired", "blocked", "revoked")
_HOLDERS: tuple[tuple[Any, Any], ...] = (
    (OwnCertificate.fingerprint, OwnCertificate.pem),
    (Ca.fingerprint, Ca.cert_pem),
    (Authenticator.cert_fingerprint, Authenticator.cert_pem),
    (Router.fingerprint, Router.cert_pem),
    (ExternalJwtSigner.fingerprint, ExternalJwtSigner.cert_pem),
)
_BATCH = 500
_SOON = 10
_LOOK_BACK_MS = 60_000  # how long a transaction may take that sets the time before it is written
_DAY_MS = 86_400_000


# --- the index


def note_own(authority: pki.Authority) -> None:
    """Write down our own certificates; those that are no longer used stay as such, until they are over."""
    now = now_ms()
    held = authority.own_certificates()
    with store.write():
        OwnCertificate.update(is_current=False).execute()
        for one in held:
            OwnCertificate.insert(
                fingerprint=one.cert.fingerprint, kind=one.kind, pem=one.cert.pem, created_at=now
            ).on_conflict_ignore().execute()
            OwnCertificate.update(is_current=one.is_current).where(
                OwnCertificate.fingerprint == one.cert.fingerprint
            ).execute()
        over = CertificateFact.select(CertificateFact.fingerprint).where(CertificateFact.not_after < now)
        OwnCertificate.delete().where(~OwnCertificate.is_current, OwnCertificate.fingerprint.in_(over)).execute()
    catch_up()


def hex_serial(cert: pki.Cert) -> str:
    """The serial number the way `openssl x509 -serial` shows it, in lower case."""
    text = f"{cert.serial:x}"
    return text if len(text) % 2 == 0 else f"0{text}"


_looked: dict[Any, int] = {}


def catch_up() -> None:
    """Read the certificates that are not in the index yet. Writes only if there are any."""
    now = now_ms()
    for fingerprint, pem in _HOLDERS:
        model = fingerprint.model
        known = CertificateFact.select(CertificateFact.fingerprint)
        missing = model.select(fingerprint, pem).where(
            fingerprint.is_null(is_null=False), pem.is_null(is_null=False), fingerprint.not_in(known)
        )
        looked = _looked.get(model)
        if model is Authenticator and looked is not None and looked <= now:
            # Of a hundred thousand only those that changed since the last look, unless the clock was put back.
            missing = missing.where(model.updated_at >= looked - _LOOK_BACK_MS)
        facts = [fact for print_, text in missing.tuples() if (fact := _fact(print_, text))]
        for start in range(0, len(facts), _BATCH):
            with store.write():
                CertificateFact.insert_many(facts[start : start + _BATCH]).on_conflict_ignore().execute()
        _looked[model] = now


def _fact(fingerprint: str, pem: str) -> dict[str, Any] | None:
    try:
        cert = next((c for c in pki.load_certs(pem) if c.fingerprint == fingerprint), None)
    except pki.BadCertificate:
        return None
    return fact_of(cert) if cert else None


def fact_of(cert: pki.Cert) -> dict[str, Any]:
    """What the index keeps of a certificate."""
    return {
        "fingerprint": cert.fingerprint,
        "subject": cert.subject,
        "issuer": cert.issuer,
        "serial": hex_serial(cert),
        "not_before": milliseconds(cert.not_before),
        "not_after": milliseconds(cert.not_after),
    }


# --- the row


def scope(ctx: Context) -> None:
    """Whoever looks sees what was written until now."""
    catch_up()


def extend(ctx: Context, rows: list[Certificate], docs: list[dict[str, Any]]) -> None:
    """Add the days that are left, and in the detail the certificate itself."""
    now = now_ms()
    for row, doc in zip(rows, docs, strict=True):
        doc["name"] = name_of(row)
        doc["daysLeft"] = (row.not_after - now) // _DAY_MS
        if ctx.view == "detail":
            doc["pem"] = pem_of(row.fingerprint)


def name_of(row: Certificate) -> str:
    """The owner's name, else the common name of the subject."""
    parts = (p.removeprefix("CN=") for p in row.subject.split(",") if p.startswith("CN="))
    return str(row.owner_name or next(parts, row.subject))


def pem_of(fingerprint: str) -> str | None:
    """The certificate with a fingerprint, as it was stored (with the ones above it, where they are there)."""
    for print_, pem in _HOLDERS:
        found = print_.model.select(pem).where(print_ == fingerprint).tuples().first()
        if found:
            return str(found[0])
    return None


SYMBOLS = {"expiresAt": Symbol("datetime", Certificate.not_after)}


# --- the summary


def summary(ctx: Context) -> Any:
    """GET /certificates/summary: how many in which state, what ends next, and how many end in each month."""
    catch_up()
    with store.read():
        rows = list(Certificate.select().where(Certificate.is_current).order_by(Certificate.not_after))
    states, by_kind, months = Counter[str](), dict[str, Counter[str]](), Counter[str]()
    for row in rows:
        states[row.state] += 1
        by_kind.setdefault(row.kind, Counter())[row.state] += 1
        months[(time_text(row.not_after) or "")[:7]] += 1
    alive = [row for row in rows if row.state in ("ok", "expiring")]
    return {
        "byState": {state: states[state] for state in STATES},
        "byKind": {kind: dict(by_kind[kind]) for kind in KINDS if kind in by_kind},
        "next": [_brief(row) for row in alive[:_SOON]],
        "perMonth": [{"month": month, "count": count} for month, count in sorted(months.items())],
        "total": len(rows),
    }


def _brief(row: Certificate) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "name": name_of(row),
        "ownerId": row.owner_id,
        "notAfter": time_text(row.not_after),
        "state": row.state,
    }


# --- Prometheus


def measure(ctrl: Controller) -> None:
    """Let /metrics show when certificates end. Absolute times: an alert needs no more than `time()`."""
    ctrl.gauges += [
        (
            "ziti_certificate_expiry_timestamp_seconds",
            "When a certificate of the controller, a CA or a signer ends",
            ("kind", "name"),
            _single,
        ),
        (
            "ziti_certificate_earliest_expiry_timestamp_seconds",
            "When the first certificate of a kind ends that has not ended yet",
            ("kind",),
            _earliest,
        ),
        ("ziti_certificates", "How many certificates are in which state", ("kind", "state"), _states),
    ]


_MANY = ("identity", "router")


def _current() -> Any:
    return Certificate.select().where(Certificate.is_current)


def _single() -> Iterator[tuple[tuple[str, ...], float]]:
    catch_up()
    ends: dict[tuple[str, ...], float] = {}
    for row in _current().where(Certificate.kind.not_in(_MANY)):
        key = (row.kind, name_of(row))
        ends[key] = min(row.not_after / 1000, ends.get(key, float("inf")))
    yield from ends.items()


def _earliest() -> Iterator[tuple[tuple[str, ...], float]]:
    alive = Certificate.state.in_(("ok", "expiring"))
    for kind in KINDS:
        first = _current().where(alive, Certificate.kind == kind).order_by(Certificate.not_after).first()
        if first is not None:
            yield (kind,), first.not_after / 1000


def _states() -> Iterator[tuple[tuple[str, ...], float]]:
    pairs = Certificate.select(Certificate.kind, Certificate.state).where(Certificate.is_current).tuples()
    for key, number in Counter(tuple(pair) for pair in pairs).items():
        yield key, float(number)


ACTIONS = (Action("GET", "/certificates/summary", summary, bases=(OWN,), summary="What ends next, and how many when"),)
