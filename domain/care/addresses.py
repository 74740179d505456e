"""The addresses by which clients reach the controller: a setting that can change while it runs.

They are rows, so that an address which was ever told to clients keeps answering until it is removed: the
server certificate names them all. The setting `advertise` is taken over at a start when it says something
else than at the start before, so that whichever was changed last, setting or rows, decides.
Enrollment tokens are derived from their rows: a new issuer re-signs all pending ones by itself.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import ssl
from datetime import UTC, datetime
from typing import Any

import config
import pki
import store
from config import Address as HostPort
from config import Settings
from domain import ids
from domain.care import certificates
from domain.care.sightings import Seen
from domain.context import Context, Controller
from models import Address, Identity, Meta, Router
from prepared import Prepared
from wire.errors import ApiError, field_error, not_found
from wire.resource import OWN, Action, now_ms, time_text

log = logging.getLogger("zitilite.addresses")
SEEN = "advertise"
TIMEOUT_SECONDS = 3.0


# --- the setting at a start


def take_setting(settings: Settings) -> tuple[str, ...]:
    """Take over what the setting says, if it changed since the last start. Gives the hosts of all addresses.

    What it named before and does not name any more is no longer announced, but keeps answering.
    """
    asked = settings.asked_addresses()
    texts = [str(a) for a in asked]
    with store.write():
        row = Meta.get_or_none(Meta.key == SEEN)
        before: list[str] = json.loads(row.value) if row else []
        if texts != before:
            for text in set(before) - set(texts):
                Address.update(is_announced=False).where(_row_of(config.address(text, default_port=0))).execute()
            Address.update(is_issuer=False).execute()
            for number, one in enumerate(asked):
                _upsert(one, settings.listen.port, now_ms() + number, is_issuer=number == 0)
            Meta.replace(key=SEEN, value=json.dumps(texts)).execute()
    return hosts()


def _row_of(one: HostPort) -> Any:
    """The condition for the row of an address; port 0 stands for the one that is listened on."""
    return (Address.address == str(one)) if one.port else ((Address.host == one.host) & Address.follows_port)


def _upsert(one: HostPort, port: int, now: int, *, is_issuer: bool) -> None:
    changed = Address.update(is_issuer=is_issuer, is_announced=True, updated_at=now).where(_row_of(one)).execute()
    if changed:
        return
    text = str(HostPort(one.host, one.port or port))
    Address.delete().where(Address.address == text).execute()
    Address.create(
        id=ids.short_id(),
        address=text,
        host=one.host,
        follows_port=not one.port,
        is_issuer=is_issuer,
        created_at=now,
        updated_at=now,
    )


def hosts() -> tuple[str, ...]:
    """The hosts of all addresses: the names of the server certificate."""
    return tuple(dict.fromkeys(row.host for row in _ordered()))


def _ordered() -> list[Address]:
    return list(Address.select().order_by(Address.is_issuer.desc(), Address.created_at, Address.id))


# --- using them


def listening(ctrl: Controller, port: int) -> None:
    """The port is known: addresses that follow it have it from now on."""
    with store.write():
        for row in Address.select().where(Address.follows_port):
            text = str(HostPort(row.host, port))
            if text != row.address:
                Address.delete().where(Address.address == text).execute()
                Address.update(address=text).where(Address.id == row.id).execute()
    ctrl.port = port
    use(ctrl)


def listened_on(settings: Settings) -> int:
    """The port of the controller on these data, running or not: that of the addresses which follow it, if there are."""
    row = Address.select().where(Address.follows_port).first()
    port = config.address(row.address).port if row else 0
    return port or settings.listen.port


def use(ctrl: Controller) -> bool:
    """Bring tokens, answers and the server certificate to what the rows say; whether that is a new one.

    Raises pki.PkiError.
    """
    with store.write():
        is_new = renew(ctrl)
        ctrl.addresses = announced()
    return is_new


def announced() -> tuple[HostPort, ...]:
    """The addresses that clients are told, the issuer of tokens first."""
    return tuple(config.address(row.address) for row in _ordered() if row.is_announced or row.is_issuer)


def renew(ctrl: Controller) -> bool:
    """Issue the server certificate again if that is due, and use it from the next handshake on."""
    # In a transaction, so that nobody brings back the names that were there before another's change.
    with store.write():
        names = hosts()
        if not ctrl.authority.renew_server_if_needed(names, now=datetime.now(UTC)):
            return False
        ctrl.swap_certificate(ctrl.authority.tls_material())
        certificates.note_own(ctrl.authority)
    log.info("the server certificate is a new one, for %s", ", ".join(names))
    return True


# --- rules of the row


def before_save(ctx: Context, row: Address | None, values: dict[str, Any]) -> None:
    """Read the address of a new row. There is always one issuer, and it is announced."""
    if row is None:
        one = _parse(values["address"])
        values |= {"host": one.host, "follows_port": not one.port}
        values["address"] = str(HostPort(one.host, one.port or ctx.ctrl.port))
    if row is not None and row.is_issuer and values.get("is_issuer") is False:
        raise field_error("isIssuer", "one address is the issuer of tokens: make another one the issuer", value=False)
    if values.get("is_issuer"):
        values["is_announced"] = True
        Address.update(is_issuer=False).where(Address.is_issuer).execute()
    elif row is not None and row.is_issuer and values.get("is_announced") is False:
        raise field_error("isAnnounced", "the issuer of tokens is announced: make another one the issuer", value=False)


def _parse(text: str) -> HostPort:
    try:
        one = config.address(text.strip().lower(), default_port=0)
        if ipaddress.ip_address(one.host).is_unspecified:
            raise field_error("address", "no client can connect to it: name the address of one interface", text)
    except ValueError as e:
        # A name is no IP address, and that is fine; anything else is said by config.address.
        if "does not appear to be an IPv4 or IPv6 address" not in str(e):
            raise field_error("address", str(e), text) from None
    return one


def after_save(ctx: Context, row: Address, changed: set[str]) -> None:
    """Use it at once: certificate, tokens, announcements. What cannot be issued is not stored either."""
    try:
        use(ctx.ctrl)
    except pki.PkiError as e:
        raise field_error("address", str(e), row.address) from None
    ctx.concerns_all = True
    ctx.ctrl.wake.set()


def before_delete(ctx: Context, row: Address) -> None:
    """The issuer stays; anything else goes from the certificate at once, and clients that use it notice."""
    if row.is_issuer:
        raise ApiError("ENTITY_CAN_NOT_BE_DELETED", "it is the issuer of tokens: make another address the issuer first")
    Address.delete().where(Address.id == row.id).execute()
    use(ctx.ctrl)
    ctx.concerns_all = True
    ctx.ctrl.seen.forget(row.address)


def extend(ctx: Context, rows: list[Address], docs: list[dict[str, Any]]) -> None:
    """Add what was last seen from here, and how many enrolled by each."""
    texts = [row.address for row in rows]
    people, routers = _counts(Identity, texts), _counts(Router, texts)
    for row, doc in zip(rows, docs, strict=True):
        doc.update(_shown(ctx.ctrl.seen.get(row.address)))
        doc["certificateCoversIt"] = covers(ctx.ctrl.authority.server_cert, row.host)
        doc["enrolledIdentities"] = people.get(row.address, 0)
        doc["enrolledRouters"] = routers.get(row.address, 0)
        doc["enrolledCount"] = doc["enrolledIdentities"] + doc["enrolledRouters"]


def _counts(model: Any, texts: list[str]) -> dict[str, int]:
    column = model.enrolled_address
    query = model.select(column, model.id).where(column.in_(texts))
    found: dict[str, int] = {}
    for address, _ in query.tuples():
        found[address] = found.get(address, 0) + 1
    return found


def covers(cert: pki.Cert, host: str) -> bool:
    """Whether a server certificate is good for a host; one leading `*` stands for one label (RFC 6125 6.4.3)."""
    wild = "*." + host.partition(".")[2]
    return host in {n.lower() for n in cert.dns_names} | set(cert.ip_addresses) or wild in cert.dns_names


# --- what is seen from here


def _shown(seen: Seen | None) -> dict[str, Any]:
    seen = seen or Seen(0, problem="not checked yet")
    return {
        "answers": seen.answers,
        "checkedAt": time_text(seen.at or None),
        "problem": seen.problem,
        "resolves": bool(seen.resolves),
        "resolvesTo": list(seen.resolves),
        "servesOurKey": seen.serves_our_key,
    }


def look(one: HostPort, cert: pki.Cert) -> Seen:
    """Connect to an address and compare the key that it serves with ours."""
    at, found = now_ms(), tuple[str, ...]()
    try:
        infos = socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM)
        found = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
    except (OSError, UnicodeError) as e:
        return Seen(at, problem=f"{one.host} does not resolve from here: {e}")
    try:
        served = pki.load_cert(ssl.get_server_certificate((one.host, one.port), timeout=TIMEOUT_SECONDS))
    except (OSError, ValueError, pki.PkiError) as e:
        return Seen(at, found, problem=f"{one} does not answer from here: {e}")
    if served.public_key_print == cert.public_key_print:
        return Seen(at, found, answers=True, serves_our_key=True)
    text = (
        f"{one} serves the certificate {served.subject} with another key, so clients would refuse "
        "tokens of this controller: correct --advertise, or what answers at that address"
    )
    return Seen(at, found, answers=True, serves_our_key=False, problem=text)


def look_at_all(ctrl: Controller) -> None:
    """Look at every address. One that cannot be reached from here (behind NAT) says nothing and is only logged."""
    for row in _ordered():
        before = ctrl.seen.get(row.address)
        seen = look(config.address(row.address), ctrl.authority.server_cert)
        ctrl.seen.put(row.address, seen)
        if seen.problem and (before is None or before.problem != seen.problem):
            log.log(logging.WARNING if seen.serves_our_key is None else logging.ERROR, seen.problem)


def check(ctx: Context, id: str) -> Any:
    """POST /addresses/{id}/check: look at one address now."""
    row = Address.get_or_none(Address.id == id)
    if row is None:
        raise not_found("address", id)
    seen = look(config.address(row.address), ctx.ctrl.authority.server_cert)
    ctx.ctrl.seen.put(row.address, seen)
    return {**_shown(seen), "certificateCoversIt": covers(ctx.ctrl.authority.server_cert, row.host)}


# --- who enrolled by which


def enrolled_by(model: Any) -> Any:
    """The condition for identities or routers that last enrolled by an address."""

    def where(ctx: Context, id: str) -> Any:
        return model.enrolled_address.in_(Address.select(Address.address).where(Address.id == id))

    return where


def _noting(model: Any) -> Prepared:
    return Prepared(lambda text, key: model.update(enrolled_address=text).where(model.id == key))


_NOTE = {model: _noting(model) for model in (Identity, Router)}


def note(ctx: Context, model: Any, key: str) -> None:
    """Write down by which address an identity or router enrolled just now. Needs a write transaction."""
    _NOTE[model].execute(asked_by(ctx), key)


def asked_by(ctx: Context) -> str | None:
    """The address that the client used, `host:port` of the header Host; None when that is none."""
    try:
        return str(config.address(ctx.headers.get("Host", "").lower(), default_port=443))
    except ValueError:
        return None


ACTIONS = (Action("POST", "/addresses/{id}/check", check, bases=(OWN,), summary="Look at one address now"),)
