"""Revocation lists: those of third-party CAs, taken and kept, and the one that we publish.

A list is kept as rows, one for each serial number, so that a login costs one look-up and no parsing, whatever
its size. The newest list stays in force until a newer one comes, also past its `nextUpdate`: a controller
that cannot reach the CA goes on, and the checks say that the list is old.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pki
import store
from domain import cas
from domain.care.certificates import hex_serial
from domain.context import Context, Controller
from domain.logins.jwks import FetchError, fetch_bytes
from models import ApiSession, Authenticator, BlockedCertificate, Ca, Crl, Meta, RevokedSerial, SessionCertificate
from wire.errors import ApiError, field_error, not_found
from wire.resource import OWN, Action, Body, Field, Result, milliseconds, now_ms, time_text

log = logging.getLogger("zitilite.crl")
CRL_TYPE, PEM_TYPE = "application/pkix-crl", "application/x-pem-file"
FETCH_EVERY_MS = 3_600_000
MAX_BYTES = 32 * 1024 * 1024
_CLOCKS_DIFFER = timedelta(minutes=10)
_BATCH = 5_000


# --- taking a list


def take(ca: Ca, data: bytes, source: str) -> Crl:
    """Put a CA's list in force, and end the sessions of what it revokes. Raises pki.BadCrl.

    The same list again is fine; an older one than the one in force is refused.
    """
    found = pki.load_crl(data)
    found.check(cas.issuing_cert(ca.cert_pem))
    this_update = milliseconds(found.this_update)
    if found.this_update > datetime.now(UTC) + _CLOCKS_DIFFER:
        raise pki.BadCrl(f"the list is from the future, {time_text(this_update)}: is the clock right?")
    revoked = {_hex(serial): milliseconds(at) for serial, at in found.revoked()}
    with store.write():
        row = _row(ca.id)
        if row.this_update is not None and this_update < row.this_update:
            in_force = time_text(row.this_update)
            raise pki.BadCrl(f"the list is of {time_text(this_update)}, older than the one in force, {in_force}")
        before = {serial for (serial,) in RevokedSerial.select(RevokedSerial.serial).where(_of(ca.id)).tuples()}
        RevokedSerial.delete().where(_of(ca.id)).execute()
        rows = [{"crl": ca.id, "serial": serial, "revoked_at": at} for serial, at in revoked.items()]
        for start in range(0, len(rows), _BATCH):
            RevokedSerial.insert_many(rows[start : start + _BATCH]).execute()
        now = now_ms()
        Crl.update(
            number=None if found.number is None else str(found.number),
            this_update=this_update,
            next_update=milliseconds(found.next_update) if found.next_update else None,
            revoked_count=len(revoked),
            received_at=now,
            updated_at=now,
            source=source,
            problem=None,
        ).where(Crl.id == ca.id).execute()
        _end_sessions(ca, revoked.keys() - before)
        row = _row(ca.id)
    log.info("ca '%s': revocation list of %s with %d entries", ca.name, time_text(this_update), len(revoked))
    return row


def _hex(serial: int) -> str:
    text = f"{serial:x}"
    return text if len(text) % 2 == 0 else f"0{text}"


def _of(key: str) -> Any:
    return RevokedSerial.crl == key


def _row(key: str) -> Crl:
    """The row of a CA's list, made if there is none. Needs a write transaction."""
    now = now_ms()
    Crl.insert(id=key, ca=key, created_at=now, updated_at=now).on_conflict_ignore().execute()
    row: Crl = Crl.get_by_id(key)
    return row


def _end_sessions(ca: Ca, newly: Iterable[str]) -> None:
    """End the sessions that rest on what was revoked just now.

    Of a certificate below an intermediate the list cannot tell; its sessions end as well, and log in again.
    """
    serials = set(newly)
    if not serials:
        return
    issuer, ended = cas.issuing_cert(ca.cert_pem), []
    query = (
        SessionCertificate.select(SessionCertificate.session, SessionCertificate.certificate)
        .join(ApiSession)
        .where(ApiSession.ca == ca.id)
    )
    for session, pem in query.tuples():
        leaf = pki.load_cert(pem)
        if not leaf.names_as_issuer(issuer) or hex_serial(leaf) in serials:
            ended.append(session)
    ApiSession.delete().where(ApiSession.id.in_(ended)).execute()


# --- the API of a CA's list


def _ca(key: str) -> Ca:
    ca: Ca | None = Ca.get_or_none(Ca.id == key)
    if ca is None:
        raise not_found("ca", key)
    return ca


def upload(ctx: Context, id: str) -> Any:
    """PUT /cas/{id}/crl: the CA's revocation list, PEM or DER."""
    ca = _ca(id)
    try:
        return document(take(ca, ctx.raw, "upload"))
    except pki.BadCrl as e:
        raise ApiError("CRL_REFUSED", str(e)) from None


def status(ctx: Context, id: str) -> Any:
    """GET /cas/{id}/crl: which list is in force."""
    row = Crl.get_or_none(Crl.id == _ca(id).id)
    if row is None:
        raise ApiError("NOT_FOUND", "no revocation list of this CA was given: PUT it here")
    return document(row)


def forget(ctx: Context, id: str) -> Any:
    """DELETE /cas/{id}/crl: what it revoked is taken again."""
    Crl.delete().where(Crl.id == _ca(id).id).execute()
    return {}


def set_source(ctx: Context, id: str) -> Any:
    """PUT /cas/{id}/crl-source {url}: where the list is fetched from; "" takes what the certificates say."""
    url = ctx.body["url"]
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise field_error("url", "is no http or https URL", url)
    _row(_ca(id).id)
    Crl.update(url=url or None, tried_at=None, updated_at=now_ms()).where(Crl.id == id).execute()
    ctx.concerns_all = True
    ctx.ctrl.wake.set()
    return {}


def document(row: Crl) -> dict[str, Any]:
    """How the list of a CA is shown."""
    return {
        "caId": row.id,
        "isStale": is_stale(row),
        "nextUpdate": time_text(row.next_update),
        "number": row.number,
        "problem": row.problem,
        "receivedAt": time_text(row.received_at),
        "revokedCount": row.revoked_count,
        "source": row.source,
        "thisUpdate": time_text(row.this_update),
        "triedAt": time_text(row.tried_at),
        "url": row.url,
    }


def is_stale(row: Crl) -> bool:
    """Whether a newer list should have come by now."""
    return row.next_update is not None and row.next_update < now_ms()


# --- fetching


def fetch_due(ctrl: Controller) -> None:
    """Fetch the lists whose last try is an hour old. What cannot be had is noted; the old list stays."""
    if ctrl.settings.crl_fetch == "off":
        return
    for ca in Ca.select().where(Ca.is_verified):
        row = Crl.get_or_none(Crl.id == ca.id)
        if row is not None and row.tried_at is not None and 0 <= now_ms() - row.tried_at < FETCH_EVERY_MS:
            continue
        url = (row.url if row is not None else None) or _announced(ca)
        if url:
            fetch(ctrl, ca, url)


def fetch(ctrl: Controller, ca: Ca, url: str) -> None:
    """Fetch one list and put it in force."""
    problem = None
    try:
        private = ctrl.settings.crl_fetch == "private"
        data = fetch_bytes(urlsplit(url), private_addresses=private, accept=CRL_TYPE, max_bytes=MAX_BYTES)
        take(ca, data, "fetch")
    except (FetchError, pki.BadCrl, ValueError) as e:
        problem = f"{url}: {e}"
        log.warning("revocation list of ca '%s': %s", ca.name, problem)
    with store.write():
        _row(ca.id)
        Crl.update(tried_at=now_ms(), problem=problem).where(Crl.id == ca.id).execute()


def _announced(ca: Ca) -> str | None:
    """Where the newest certificate of a CA says that the list is; only if the CA issued it itself."""
    a = Authenticator.select().where(Authenticator.ca == ca.id).order_by(Authenticator.created_at.desc()).first()
    if a is None or not a.cert_pem:
        return None
    leaf = pki.load_cert(a.cert_pem)
    urls = leaf.crl_urls if leaf.names_as_issuer(cas.issuing_cert(ca.cert_pem)) else []
    return next((url for url in urls if url.startswith(("http://", "https://"))), None)


# --- our own list

VALID, FRESH = timedelta(days=7), timedelta(days=1)
_NUMBER, _LISTS = "crl_number", "crl_lists"


def _blocked() -> list[tuple[str, str, int]]:
    rows = BlockedCertificate.select(
        BlockedCertificate.issuer, BlockedCertificate.serial, BlockedCertificate.created_at
    ).where(
        BlockedCertificate.serial.is_null(is_null=False),
        BlockedCertificate.expires_at.is_null() | (BlockedCertificate.expires_at > now_ms()),
    )
    return sorted(rows.tuples())


def published(ctrl: Controller) -> list[bytes]:
    """Our lists as DER: the current issuer's first, then those of issuers that were replaced.

    They are signed again when what is blocked or who issues changes, and once a day; all processes serve the same.
    """
    found = _kept(ctrl)
    if found is None:
        with store.write():
            # Another process may have been here first.
            found = _kept(ctrl) or _signed(ctrl)
    return found


def _made_of(ctrl: Controller, rows: list[tuple[str, str, int]]) -> str:
    issuers = [one.cert.fingerprint for one in ctrl.authority.own_certificates() if one.kind == "intermediate"]
    return hashlib.sha256(json.dumps([rows, issuers]).encode()).hexdigest()


def _kept(ctrl: Controller) -> list[bytes] | None:
    """The lists that were signed last, while they stand for what is so."""
    row = Meta.get_or_none(Meta.key == _LISTS)
    if row is None:
        return None
    kept = json.loads(row.value)
    is_old = now_ms() - kept["at"] > FRESH.total_seconds() * 1000
    if is_old or kept["of"] != _made_of(ctrl, _blocked()):
        return None
    return [base64.b64decode(text) for text in kept["lists"]]


def _signed(ctrl: Controller) -> list[bytes]:
    rows = _blocked()
    revoked = [(issuer, int(serial, 16), datetime.fromtimestamp(at // 1000, UTC)) for issuer, serial, at in rows]
    lists = ctrl.authority.revocation_lists(revoked, _next_number(), VALID)
    kept = {"of": _made_of(ctrl, rows), "at": now_ms(), "lists": [base64.b64encode(one).decode() for one in lists]}
    Meta.replace(key=_LISTS, value=json.dumps(kept)).execute()
    return lists


def _next_number() -> int:
    row = Meta.get_or_none(Meta.key == _NUMBER)
    number = int(row.value) + 1 if row else 1
    Meta.replace(key=_NUMBER, value=str(number)).execute()
    return number


def own(ctx: Context) -> Result:
    """GET /crl: our own list, for whoever checks certificates that we issued.

    DER of the current issuer; as PEM, if `Accept` asks for that, also the lists of issuers that were replaced.
    """
    lists = published(ctx.ctrl)
    accept = ctx.headers.get("Accept", "")
    if PEM_TYPE not in accept and "text/plain" not in accept:
        return Result(raw=lists[0], content_type=CRL_TYPE)
    return Result(raw="".join(_pem(der) for der in lists).encode(), content_type=PEM_TYPE)


def _pem(der: bytes) -> str:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN X509 CRL-----\n{body}\n-----END X509 CRL-----\n"


SOURCE = Body("source", "CrlSource", (Field("url", required="c"),))
_ITEM = "/cas/{id}/crl"
_KINDS = (CRL_TYPE, PEM_TYPE, "text/plain", "application/octet-stream")

ACTIONS = (
    Action("PUT", _ITEM, upload, bases=(OWN,), consumes=_KINDS, summary="Put a CA's revocation list in force"),
    Action("GET", _ITEM, status, bases=(OWN,), summary="The CA's revocation list"),
    Action("DELETE", _ITEM, forget, bases=(OWN,), write=True, summary="Forget the CA's revocation list"),
    Action(
        "PUT",
        "/cas/{id}/crl-source",
        set_source,
        bases=(OWN,),
        body=SOURCE,
        write=True,
        summary="Where the CA's revocation list is fetched from",
    ),
    Action(
        "GET",
        "/crl",
        own,
        "public",
        (OWN,),
        produces=(CRL_TYPE, PEM_TYPE, "text/plain"),
        check_accept=False,
        summary="Our own revocation list",
    ),
)
