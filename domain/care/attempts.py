"""The log of attempts: to enroll, to renew a certificate, to verify a CA, to log in; refused and passed alike.

The wire tells a refused client little; the log tells its administrator all. What passed is written in the
transaction that it reports. What was refused waits in memory for a thread that writes many at once, so that
a flood of wrong tokens does not make the disk the bottleneck; whoever reads the log has them written first.

No token and no password is in a row: of an enrollment token the first digits of its SHA-256.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import models
import pki
import store
from company import Company
from models import Enrollment, Identity, Router
from prepared import Prepared, insert_values
from wire.errors import ApiError
from wire.resource import now_ms

log = logging.getLogger("zitilite.attempts")

OK, REFUSED = "ok", "refused"
QUEUE_ROWS = 10_000
BATCH_ROWS = 500
REASON_LENGTH, TEXT_LENGTH = 600, 400
PRINT_DIGITS = 12
# What one process rings to have the others write what waits there, and how long it waits for that.
FLUSH, GATHER_SECONDS = b"f", 1.0


# --- ids


_NEWEST = "SELECT (SELECT MAX(id) FROM attempt), (SELECT MAX(id) FROM audit)"


class _Sequence:
    """The time in microseconds, made unique. Only inside a write transaction, so that ids rise as rows appear."""

    def __init__(self) -> None:
        self._last = -1

    def next(self) -> int:
        if self._last < 0 or store.has_company:
            self._last = max(key or 0 for key in store.execute(_NEWEST).fetchone())
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return self._last


sequence = _Sequence()


def token_hash(token: str) -> str:
    """What stands for an enrollment token where the token itself must not be."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


# --- one attempt

_NAME_OF_IDENTITY = Prepared(lambda key: Identity.select(Identity.name).where(Identity.id == key))
_NAME_OF_ROUTER = Prepared(lambda key: Router.select(Router.name).where(Router.id == key))


def _name(query: Prepared, key: str | None) -> str | None:
    found = query.first(key) if key else None
    return found[0] if found else None


@dataclass(slots=True)
class Attempt:
    """What is known about the attempt that a request is; the domain fills it in while it works.

    kind: enroll, extend, verify or login; "" for a request that is none, and then nothing is kept.
    certificate: the one that was presented, or the one that was issued. buckets: what it draws from if it is
    refused, besides those of its address and token (domain/care/doors.Bucket).
    """

    kind: str = ""
    source_address: str = ""
    request_id: str = ""
    method: str = ""
    identity: str | None = None
    identity_name: str | None = None
    router: str | None = None
    router_name: str | None = None
    ca: str | None = None
    ca_name: str | None = None
    enrollment: str | None = None
    token_hash: str = ""
    token_print: str | None = None
    certificate: pki.Cert | None = None
    note: str = ""
    refusal: tuple[str, str] | None = None
    is_written: bool = False
    buckets: list[Any] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def of_identity(self, identity: Identity) -> None:
        """Whose attempt it is."""
        self.identity, self.identity_name = identity.id, identity.name

    def of_enrollment(self, e: Enrollment) -> None:
        """The pending enrollment that the token stands for, and for whom it is."""
        self.enrollment = e.id
        self.identity, self.identity_name = e.identity_id, _name(_NAME_OF_IDENTITY, e.identity_id)
        self.router, self.router_name = e.router_id, _name(_NAME_OF_ROUTER, e.router_id)

    def of_ca(self, ca: models.Ca) -> None:
        """The third-party CA that it goes through."""
        self.ca, self.ca_name = ca.id, ca.name

    def of_token(self, token: str) -> str:
        """The enrollment token that was sent, of which only its print is kept. Returns its whole hash."""
        self.token_hash = token_hash(token)
        self.token_print = self.token_hash[:PRINT_DIGITS]
        return self.token_hash

    @property
    def owner_name(self) -> str:
        """The name of the identity or router, "" while it is not known."""
        return self.identity_name or self.router_name or ""

    def succeeded(self, note: str = "") -> None:
        """Write that it passed. Needs the write transaction of what it reports."""
        self.note = note or self.note
        if self.kind:
            _insert([self.row()])
            self.is_written = True

    def refuse(self, code: str, reason: str) -> None:
        """Remember why it is refused; the engine puts it into the log."""
        self.refusal = (code, reason)

    def row(self) -> dict[str, Any]:
        """The columns of its row, but for the id."""
        cert = self.certificate
        code, reason = self.refusal or ("", self.note or self._what_happened())
        return {
            "created_at": now_ms(),
            "kind": self.kind,
            "method": self.method,
            "outcome": REFUSED if self.refusal else OK,
            "code": code,
            "reason": reason[:REASON_LENGTH],
            "source_address": self.source_address,
            "identity": self.identity,
            "identity_name": self.identity_name,
            "router": self.router,
            "router_name": self.router_name,
            "ca": self.ca,
            "ca_name": self.ca_name,
            "enrollment": self.enrollment,
            "token_print": self.token_print,
            "subject": cert and cert.subject[:TEXT_LENGTH],
            "issuer": cert and cert.issuer[:TEXT_LENGTH],
            "fingerprint": cert and cert.fingerprint,
            "serial": cert and f"{cert.serial:x}",
            "duration_us": int((time.perf_counter() - self.began) * 1e6),
            "request_id": self.request_id,
        }

    def _what_happened(self) -> str:
        who = f"'{self.owner_name}' " if self.owner_name else ""
        words = {"enroll": "enrolled", "extend": "renewed its certificate", "verify": "verified", "login": "logged in"}
        by = f" by {self.method}" if self.method and self.kind != "extend" else ""
        if self.kind == "verify":
            return f"CA '{self.ca_name}' was verified by {who.strip()}"
        return f"{who}{words.get(self.kind, self.kind)}{by}"


def sentence(e: ApiError) -> str:
    """The reason of an error for a person: what is said to the log, else what the client is told."""
    if e.log:
        return e.log
    cause = e.cause or {}
    found = cause.get("reason") or cause.get("message")
    return found if isinstance(found, str) and found else e.message


# --- the log


class AttemptLog:
    """Takes attempts from the requests' threads and writes the ones that are not written yet.

    on_news: called when there is something to write or to show; on_written: when what waited is written.
    company: the processes that have such a log each.
    """

    def __init__(self, on_news: Callable[[], None] = lambda: None) -> None:
        self.on_news = on_news
        self.on_written: Callable[[], None] = lambda: None
        self.company = Company()
        self.dropped = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def close(self, attempt: Attempt) -> None:
        """Keep an attempt whose request has been answered, unless the request wrote it itself."""
        if not attempt.kind:
            return
        if attempt.refusal or not attempt.is_written:
            row = attempt.row()
            with self._lock:
                if len(self._waiting) < QUEUE_ROWS:
                    self._waiting.append(row)
                else:
                    self.dropped += 1
                self.company.put(Company.WAITING, len(self._waiting))
        self.on_news()

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting or self.dropped)

    def flush(self) -> None:
        """Write what waits. Not inside a transaction of the caller's."""
        with self._writing:
            has_news = self.is_waiting
            while batch := self._take():
                try:
                    with store.write():
                        _insert(batch)
                except store.DatabaseError:
                    with self._lock:
                        self._waiting.extendleft(reversed(batch))
                    raise
            self._report_dropped()
            with self._lock:
                self.company.put(Company.WAITING, len(self._waiting))
        if has_news:
            self.on_written()

    def gather(self) -> None:
        """Write what waits, here and in the other processes."""
        self.flush()
        if any(self.company.others(Company.WAITING)):
            self.company.ring(FLUSH)
            self.company.wait_for(lambda: not any(self.company.others(Company.WAITING)), GATHER_SECONDS)

    def _take(self) -> list[dict[str, Any]]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(BATCH_ROWS, len(self._waiting)))]

    def _report_dropped(self) -> None:
        with self._lock:
            count, self.dropped = self.dropped, 0
        if not count:
            return
        lost = Attempt("dropped")
        lost.refuse("", f"{count} refused attempts came faster than they could be written and are not in this log")
        with store.write():
            _insert([lost.row()])
        log.warning("%d attempts were not logged: they came too fast", count)


def _insert(batch: list[dict[str, Any]]) -> None:
    for row in batch:
        insert_values(models.Attempt, {"id": sequence.next(), **row})


def prune(days: int, rows: int) -> None:
    """Delete attempts that are too old or too many, a part at a time."""
    m = models.Attempt
    cutoff = (now_ms() - days * 86_400_000) * 1000
    newest = m.select(m.id).order_by(m.id.desc()).offset(rows).limit(1).scalar()
    cutoff = max(cutoff, newest or 0)
    while True:
        part = m.select(m.id).where(m.id <= cutoff).order_by(m.id).limit(BATCH_ROWS)
        with store.write():
            if m.delete().where(m.id.in_(part)).execute() < BATCH_ROWS:
                return


def lines(newer_than: int, limit: int) -> list[Any]:
    """The attempts after one, oldest first."""
    m = models.Attempt
    return list(m.select().where(m.id > newer_than).order_by(m.id).limit(limit))


def newest() -> int:
    """The id of the newest row, 0 when there is none."""
    return back(0)


def back(rows: int) -> int:
    """The id of the row so many before the newest, 0 when there are not that many."""
    m = models.Attempt
    return m.select(m.id).order_by(m.id.desc()).offset(rows).limit(1).scalar() or 0


def fresh(ctx: Any) -> None:
    """The scope of GET /attempts: all of them, also those that were not written yet, unless nothing can be written."""
    try:
        ctx.ctrl.attempts.gather()
    except store.DatabaseError as e:
        log.error("refused attempts cannot be written: %s", e)  # noqa: TRY400 - the reason says it all
