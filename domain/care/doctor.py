"""Does anything need care: a list of checks, for the console and for `zitilite doctor`.

The same checks run inside the controller and, by `run_offline`, on a data folder from outside, whether a
controller runs on it or not. Nothing is changed. Each check says what it found and what to do about it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import config
import pki
import store
from config import Settings
from domain import chosen
from domain.care import addresses, backups, certificates, crls, overview
from domain.care.sightings import Seen
from domain.context import Context, Controller
from models import Address, Ca, Certificate, Crl, Enrollment, OwnCertificate
from wire.resource import OWN, Action, Result, now_ms, time_text

State = Literal["ok", "warn", "fail"]
_DAY_MS = 86_400_000
_MEGABYTE = 1024 * 1024
_LOW, _VERY_LOW = 500 * _MEGABYTE, 100 * _MEGABYTE
_INTEGRITY_SECONDS = 600
_CLOCK_SLACK_MS = 600_000
_BACKUP_DAYS = 30


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found. `about` is the path of the thing in the API, "" where it is none."""

    id: str
    title: str
    state: State
    detail: str = ""
    advice: str = ""
    about: str = ""


@dataclass(frozen=True)
class _Look:
    """What the checks may look at. `authority` and `seen` are there inside a running controller only."""

    settings: Settings
    schema: int
    known_schema: int
    integrity: Callable[[], str]
    server_cert: pki.Cert | None
    seen: dict[str, Seen] | None = None
    now: int = field(default_factory=now_ms)


# --- the checks


def _folder(look: _Look) -> Iterator[Check]:
    folder: Path = look.settings.data
    loose = [str(p) for p in (folder, folder / "zitilite.db") if p.exists() and p.stat().st_mode & 0o022]
    if loose:
        advice = f"chmod go-w {' '.join(loose)}"
        yield Check("data-folder", "Data folder", "fail", f"others may write to {', '.join(loose)}", advice)
    else:
        yield Check("data-folder", "Data folder", "ok", str(folder.resolve()))
    problems = pki.folder_problems(folder / "pki", look.settings.passphrase_of_keys())
    advice = "restore the files from a backup, or correct their mode" if problems else ""
    yield Check("keys", "Keys and certificates on disk", "fail" if problems else "ok", "; ".join(problems), advice)


def _disk(look: _Look) -> Iterator[Check]:
    free = shutil.disk_usage(look.settings.data).free
    state: State = "fail" if free < _VERY_LOW else "warn" if free < _LOW else "ok"
    advice = "make room: nothing can be written on a full disk" if state != "ok" else ""
    yield Check("disk", "Free disk space", state, f"{free // _MEGABYTE} MiB", advice)


def _database(look: _Look) -> Iterator[Check]:
    found = look.integrity()
    advice = "stop the controller and restore a backup" if found != "ok" else ""
    yield Check("database", "Database integrity", "ok" if found == "ok" else "fail", found, advice)


def _clock(look: _Look) -> Iterator[Check]:
    newest = OwnCertificate.select(OwnCertificate.created_at).order_by(OwnCertificate.created_at.desc()).first()
    shown = time_text(look.now) or ""
    if newest is not None and look.now < newest.created_at - _CLOCK_SLACK_MS:
        detail = f"it is {shown}, but a certificate was made at {time_text(newest.created_at)}"
        yield Check("clock", "Clock", "fail", detail, "set the clock, and keep it right with NTP")
    else:
        yield Check("clock", "Clock", "ok", shown)


def _own_certificates(look: _Look) -> Iterator[Check]:
    query = Certificate.select().where(Certificate.is_current, Certificate.owner_id.is_null())
    for row in query.order_by(Certificate.not_after):
        left = row.not_after - look.now
        title = f"Own certificate: {row.kind}"
        detail = f"{certificates.name_of(row)} ends {time_text(row.not_after)}"
        about = f"certificates/{row.id}"
        if row.kind == "cross":
            detail += ": until then clients that know only the old root must have renewed or enrolled again"
            yield Check("own-cross", title, "ok", detail, "", about)
        elif left < 0:
            yield Check(f"own-{row.kind}", title, "fail", detail, _remedy(look, row.kind), about)
        elif left < (row.not_after - row.not_before) * 0.3:
            # It renews itself with a third of its life left: that it did not is the news.
            yield Check(f"own-{row.kind}", title, "warn", detail, _remedy(look, row.kind), about)
        else:
            yield Check(f"own-{row.kind}", title, "ok", detail, "", about)


def _remedy(look: _Look, kind: str) -> str:
    if kind == "server":
        own = look.settings.server_cert
        return f"replace {own}" if own else "it renews itself: start the controller, or read its log for the reason"
    own = look.settings.signing_cert
    return f"replace {own}" if own else "it rolls over by itself if pki/root.key is there: read the log for the reason"


def _held_certificates(look: _Look) -> Iterator[Check]:
    titles = {"ca": "CAs", "identity": "Identities' certificates", "router": "Routers' certificates"}
    advice = {
        "ca": "import the CA's new certificate",
        "identity": "ask the identities to renew, or make new enrollment tokens",
        "router": "enroll the routers again",
    }
    for kind, title in titles.items():
        rows = Certificate.select().where(Certificate.is_current, Certificate.kind == kind)
        expired = rows.where(Certificate.state == "expired").count()
        soon = rows.where(Certificate.state == "expiring").count()
        about = f'certificates?filter=kind="{kind}" and state in ["expired","expiring"]' if expired or soon else ""
        state: State = "warn" if expired or soon else "ok"
        detail = f"{expired} expired, {soon} expiring, {rows.count()} in all"
        yield Check(f"expiry-{kind}", title, state, detail, advice[kind] if state != "ok" else "", about)


def _cas(look: _Look) -> Iterator[Check]:
    for ca in Ca.select().where(~Ca.is_verified):
        advice = f"verify it with a certificate whose common name is {ca.verification_token}, or delete it"
        yield Check(
            f"ca-{ca.id}", f"CA '{ca.name}'", "warn", "is not verified: it enrolls nobody", advice, f"cas/{ca.id}"
        )
    for ca in Ca.select().where(Ca.is_verified):
        if problem := overview.switched(ca):
            advice = "switch on what its devices may do, or delete it"
            yield Check(f"ca-{ca.id}", f"CA '{ca.name}'", "warn", problem, advice, f"cas/{ca.id}")
    for row in Crl.select():
        title, about = f"Revocation list of CA '{row.ca.name}'", f"cas/{row.id}/crl"
        until = f"it was good until {time_text(row.next_update)}" if row.next_update else ""
        if row.problem:
            yield Check(f"crl-{row.id}", title, "warn", row.problem, "correct its source, or upload the list", about)
        elif crls.is_stale(row):
            yield Check(f"crl-{row.id}", title, "warn", until, "upload a newer one; the old one stays in force", about)


def _addresses(look: _Look) -> Iterator[Check]:
    for row in Address.select().order_by(Address.is_issuer.desc(), Address.created_at):
        cert = look.server_cert
        seen = look.seen.get(row.address) if look.seen is not None else None
        if seen is None and look.seen is None and cert is not None:
            seen = addresses.look(config.address(row.address), cert)
        title, about = f"Address {row.address}", f"addresses/{row.id}"
        name = f"address-{row.address}"
        if cert is not None and not addresses.covers(cert, row.host):
            advice = "issue the server certificate with this name, or remove the address"
            yield Check(name, title, "fail", "the server certificate does not name it", advice, about)
        elif seen is None or not seen.problem:
            detail = "serves our key" if seen else "not checked yet"
            yield Check(name, title, "ok", detail, "", about)
        else:
            wrong = seen.serves_our_key is False
            state: State = "fail" if wrong and row.is_issuer else "warn"
            advice = "start the controller, correct DNS or the port forwarding, or remove the address"
            yield Check(name, title, state, seen.problem, advice, about)


def _tokens(look: _Look) -> Iterator[Check]:
    over = Enrollment.select().where(Enrollment.expires_at <= look.now).count()
    advice = "refresh them, or delete the enrollments" if over else ""
    detail = f"{over} were never used and have expired"
    yield Check("tokens", "Enrollment tokens", "warn" if over else "ok", detail, advice, "enrollments" if over else "")


def _backups(look: _Look) -> Iterator[Check]:
    hours, found = chosen.value(look.settings, "backup_hours"), backups.found(look.settings)
    last = next((row for row in found if not hours or row["kind"] == "auto"), None)
    age = (look.now - last["createdAt"]) / 3_600_000 if last else None
    detail = f"the last one is of {time_text(last['createdAt'])}" if last else "there is none"
    if hours and (age is None or age > 2 * hours):
        yield Check("backup", "Backup", "fail", detail, "it is due: read the log for the reason", "backups")
    elif age is None or age > 24 * _BACKUP_DAYS:
        yield Check(
            "backup", "Backup", "warn", detail, "make one, or set backup_hours and backup_passphrase", "backups"
        )
    else:
        yield Check("backup", "Backup", "ok", detail, "", "backups")


def _schema(look: _Look) -> Check:
    detail = f"schema {look.schema}, this version knows {look.known_schema}"
    if look.schema > look.known_schema:
        return Check("schema", "Database schema", "fail", detail, "a newer zitilite wrote it: run that version")
    if look.schema < look.known_schema:
        return Check("schema", "Database schema", "warn", detail, "start the controller once: it brings it up to date")
    return Check("schema", "Database schema", "ok", detail)


_OUTSIDE = (_folder, _disk, _database)
_INSIDE = (_clock, _own_certificates, _held_certificates, _cas, _addresses, _tokens, _backups)


def _examine(look: _Look) -> list[Check]:
    # A schema that this version does not know cannot be asked.
    parts = (*_OUTSIDE, *_INSIDE) if look.schema == look.known_schema else _OUTSIDE
    found = [_schema(look)]
    for part in parts:
        try:
            found += part(look)
        except (OSError, store.DatabaseError, pki.PkiError) as e:
            name = part.__name__.strip("_").replace("_", "-")
            found.append(Check(name, f"Check '{name}'", "fail", f"could not be done: {e}", "see the log"))
    return found


# --- inside the controller


_integrity_lock = threading.Lock()
_integrity: dict[str, tuple[float, str]] = {}


def _kept_integrity(file: Path) -> str:
    """The check of the whole file takes its time; one result does for ten minutes."""
    with _integrity_lock:
        at, found = _integrity.get(str(file), (float("-inf"), ""))
        if time.monotonic() - at > _INTEGRITY_SECONDS:
            found = store.check_integrity() if store.is_shared else store.examine(file)[1]
            _integrity[str(file)] = (time.monotonic(), found)
        return found


def run(ctrl: Controller) -> list[Check]:
    """All checks of the running controller."""
    certificates.catch_up()
    file = ctrl.settings.data / "zitilite.db"
    schema = store.version()
    look = _Look(
        ctrl.settings, schema, schema, lambda: _kept_integrity(file), ctrl.authority.server_cert, ctrl.seen.all()
    )
    return _examine(look)


def checks(ctx: Context) -> Result:
    """GET /checks: what was found, the worst first; `meta` counts them by state."""
    found = sorted(run(ctx.ctrl), key=lambda c: _RANK[c.state], reverse=True)
    counts = {state: sum(c.state == state for c in found) for state in _RANK}
    return Result([asdict(c) for c in found], meta={"states": counts})


# --- from outside


def run_offline(settings: Settings, known_schema: int) -> list[Check]:
    """All checks of a data folder. Raises store.StoreError when there is no controller in it."""
    file, integrity = settings.data / "zitilite.db", "ok"
    if not settings.database:
        if not file.exists():
            raise store.StoreError(f"{settings.data} holds no controller: name its folder with --data")
        schema, integrity = store.examine(file)
        if integrity != "ok" and schema == 0:
            return [Check("database", "Database integrity", "fail", integrity, "restore a backup")]
    try:
        schema = store.attach(settings.place)
        if schema == known_schema:
            certificates.catch_up()
        return _examine(_Look(settings, schema, known_schema, lambda: integrity, _stored_cert(settings)))
    finally:
        store.database.close()


def _stored_cert(settings: Settings) -> pki.Cert | None:
    file = Path(settings.server_cert or settings.data / "pki" / "server.cert")
    try:
        return pki.load_cert(file.read_bytes())
    except (OSError, pki.PkiError):
        return None


_RANK: dict[State, int] = {"ok": 0, "warn": 1, "fail": 2}


def exit_code(found: Sequence[Check]) -> int:
    """0: nothing needs care; 1: something should be looked at; 2: something is broken (as monitoring plug-ins do)."""
    return max((_RANK[c.state] for c in found), default=0)


def lines(found: Sequence[Check]) -> list[str]:
    """The checks for people: state, title and what was found, and below what to do."""
    shown = []
    for c in found:
        shown.append(f"{c.state:4}  {c.title}" + (f": {c.detail}" if c.detail else ""))
        if c.advice and c.state != "ok":
            shown.append(f"      -> {c.advice}")
    return shown


ACTIONS = (Action("GET", "/checks", checks, bases=(OWN,), summary="Whether anything needs care"),)
