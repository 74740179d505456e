"""News as they happen: the topics `attempts` and `changes`, for pages and scripts that want to see them at once.

The tables are the queue: attempts and audit rows share one rising sequence of ids, so that a listener is
served what is newer than what it has, in order and without gaps, also after it was away. One thread serves
them all; requests only ring its bell, and only while somebody listens or something waits to be written.
Source of the format: HTML Living Standard, section 9.2 (server-sent events).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import store
from company import Company, SharedLock
from domain.care import attempts, audit, idempotency
from domain.context import Context, Controller
from domain.enrolling import replay
from domain.logins import auth
from wire.errors import ApiError, field_error
from wire.resource import OWN, Action, Param, Result, time_text

log = logging.getLogger("zitilite.events")

TOPICS = ("attempts", "changes")
PERMISSION = "ops.read"
MAX_LISTENERS = 32
# A place that was given is kept so long for who may have gone before the answer began.
JOIN_SECONDS = 10.0
BATCH_ROWS = 100
# A listener that was away gets at most so many old events, and is told that there were more.
MAX_BACKLOG = 1000
HEARTBEAT_SECONDS = 15.0
# What a process rings when there are news for the listeners of another.
NEWS = b"n"
# How often to look for what other processes wrote, while somebody listens.
LOOK_SECONDS = 1.0
# News within this time go out together; under a flood of refusals it is the pace of writing.
GATHER_SECONDS = 0.05
PRUNE_SECONDS = 300.0
# After what could not be written: a full disk does not empty itself.
PAUSE_SECONDS = 1.0


class Stream(Protocol):
    """An open answer, as the server hands it out."""

    @property
    def is_open(self) -> bool: ...  # noqa: D102 - the server's own words

    @property
    def is_behind(self) -> bool: ...  # noqa: D102 - the server's own words

    def send(self, data: bytes) -> bool: ...  # noqa: D102 - the server's own words

    def close(self) -> None: ...  # noqa: D102 - the server's own words


@dataclass(eq=False, slots=True)
class Listener:
    """One open stream, and up to which id it has been served."""

    ctx: Context
    topics: frozenset[str]
    stream: Stream
    seen: int

    def may_listen(self) -> bool:
        """Whether the session that opened the stream still lives and may still read this."""
        try:
            auth.resolve(self.ctx)
        except ApiError:
            return False
        return self.ctx.allows(PERMISSION)


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of news, ready to be sent."""

    id: int
    topic: str
    text: bytes


def event_text(key: int, topic: str, data: Any) -> bytes:
    """The lines of one event."""
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return f"id: {key}\nevent: {topic}\ndata: {body}\n\n".encode("utf-8", "replace")


class Newsroom:
    """Writes what waits, serves the listeners, and throws away what is too old. Runs in a thread of its own.

    show: how an attempt is shown, as GET /attempts does.
    """

    def __init__(self, ctrl: Controller) -> None:
        self.ctrl = ctrl
        self.show: Callable[[Any], dict[str, Any]] = lambda row: {}
        self._listeners: list[Listener] = []
        # Until when places are kept for listeners who are about to join.
        self._coming: list[float] = []
        # One process after the other counts, and gives a place.
        self._counting = SharedLock()
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)
        ctrl.attempts.on_news = self.ring
        ctrl.attempts.on_written = self.tell

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Write what still waits, and end."""
        self._stopping = True
        self._bell.set()
        self._thread.join(timeout=2)
        self.ctrl.attempts.flush()

    def ring(self) -> None:
        """Something happened. Cheap; may be called from any thread."""
        if self._listeners or self.ctrl.attempts.is_waiting:
            self._bell.set()
        self.tell()

    def tell(self) -> None:
        """Something stands in the tables that listeners of other processes want to know."""
        if any(self.ctrl.company.others(Company.LISTENERS)):
            self.ctrl.company.ring(NEWS)

    def hear(self) -> None:
        """Something happened in another process."""
        self._bell.set()

    def take_place(self) -> bool:
        """Keep a place for a listener who is about to join; False when all are taken."""
        with self._counting.held(), self._lock:
            if self._count() + sum(self.ctrl.company.others(Company.LISTENERS)) >= MAX_LISTENERS:
                return False
            self._coming.append(time.monotonic() + JOIN_SECONDS)
            self._tell_count()
            return True

    def join(self, listener: Listener) -> None:
        """Serve one more listener, who has a place."""
        with self._lock:
            del self._coming[:1]
            self._listeners.append(listener)
            self._tell_count()
        self._bell.set()

    def _count(self) -> int:
        self._coming = [until for until in self._coming if until > time.monotonic()]
        return len(self._coming) + sum(one.stream.is_open for one in self._listeners)

    def _tell_count(self) -> None:
        self.ctrl.company.put(Company.LISTENERS, self._count())

    def _run(self) -> None:
        beat = prune = time.monotonic()
        gather = threading.Event()
        while not self._stopping:
            try:
                if time.monotonic() >= prune:
                    prune = time.monotonic() + PRUNE_SECONDS
                    if store.leads("news"):
                        self._prune()
                self.ctrl.attempts.flush()
                beat = self._serve(beat)
            except store.DatabaseError as e:
                log.error("news could not be written: %s; trying again", e)  # noqa: TRY400 - the reason says it all
                gather.wait(PAUSE_SECONDS)
            except Exception:  # whatever goes wrong in one turn, the log must go on
                log.exception("news could not be written or sent; trying again")
            gather.wait(GATHER_SECONDS)
            if not self._bell.wait(LOOK_SECONDS if store.is_shared and self._listeners else HEARTBEAT_SECONDS):
                store.rest()
            self._bell.clear()
        store.database.close()

    def _prune(self) -> None:
        s = self.ctrl.settings
        attempts.prune(s.attempt_days, s.attempt_rows)
        audit.prune(s.audit_days)
        replay.prune(s.attempt_days)
        idempotency.prune()

    def _serve(self, beat: float) -> float:
        """Send the listeners their news; gives the time of the last heartbeat."""
        with self._lock:
            listeners = list(self._listeners)
        is_due = time.monotonic() - beat >= HEARTBEAT_SECONDS
        for listener in listeners:
            if not self._serve_one(listener, is_due=is_due):
                listener.stream.close()
                with self._lock:
                    self._listeners.remove(listener)
        with self._lock:
            self._tell_count()
        return time.monotonic() if is_due or not listeners else beat

    def _serve_one(self, listener: Listener, *, is_due: bool) -> bool:
        if not listener.stream.is_open or not listener.may_listen():
            return False
        is_silent = True
        while not listener.stream.is_behind and (news := self._newer_than(listener.seen)):
            listener.seen = news[-1].id
            wanted = b"".join(e.text for e in news if e.topic in listener.topics)
            if wanted:
                is_silent = False
                if not listener.stream.send(wanted):
                    return False
        if listener.stream.is_behind:
            # The tables keep what it could not take yet; look again in a moment.
            self._bell.set()
            return True
        return not (is_due and is_silent) or listener.stream.send(b": still here\n\n")

    def _newer_than(self, key: int) -> list[Event]:
        rows = attempts.lines(key, BATCH_ROWS)
        changes = audit.lines(key, BATCH_ROWS)
        # A full page of one table says nothing about what lies behind it: the other must not get ahead.
        ends = [page[-1].id for page in (rows, changes) if len(page) == BATCH_ROWS]
        last = min(ends, default=None)
        found = [*self._attempt_events(rows), *map(change_event, changes)]
        return sorted((e for e in found if last is None or e.id <= last), key=lambda e: e.id)

    def _attempt_events(self, rows: Iterable[Any]) -> Iterable[Event]:
        for row in rows:
            yield Event(row.id, "attempts", event_text(row.id, "attempts", self.show(row)))
            change = _change_of_attempt(row)
            if change is not None:
                yield Event(row.id, "changes", event_text(row.id, "changes", change))


def change_event(row: Any) -> Event:
    """What a row of the audit log says to those who keep a list up to date."""
    data = {
        "at": time_text(row.created_at),
        "entity": row.entity,
        "id": row.entity_id,
        "name": row.entity_name,
        "verb": row.verb,
        "by": row.actor_name,
    }
    return Event(row.id, "changes", event_text(row.id, "changes", data))


def _change_of_attempt(row: Any) -> dict[str, Any] | None:
    """An enrollment or a renewal changes somebody's state, though nobody's session did it."""
    if row.outcome != attempts.OK or row.kind not in ("enroll", "extend"):
        return None
    entity, key, name = "identities", row.identity, row.identity_name
    if row.router:
        entity, key, name = "edge-routers", row.router, row.router_name
    return {"at": time_text(row.created_at), "entity": entity, "id": key, "name": name, "verb": row.kind, "by": None}


# --- the operation


def listen(ctx: Context) -> Result:
    """GET /events: `topics` (default: both) as server-sent events, from `Last-Event-ID` on or from now.

    The stream ends with the session that opened it, and when the controller stops.
    """
    room: Newsroom = ctx.ctrl.news
    asked = frozenset((ctx.query.get("topics") or ",".join(TOPICS)).split(","))
    if not asked <= set(TOPICS):
        raise field_error("topics", f"topics in query are of [{' '.join(TOPICS)}]", ctx.query.get("topics"))
    if not room.take_place():
        raise ApiError("RATE_LIMITED", f"{MAX_LISTENERS} streams are open already; close one and try again")
    ctx.ctrl.attempts.gather()
    newest = max(attempts.newest(), audit.newest())
    last = ctx.headers.get("Last-Event-ID") or ctx.query.get("after") or ""
    seen, gap = _where_to_begin(last, newest)

    def begin(stream: Stream) -> None:
        # The id without an event: who is cut off before the first one comes back to this place.
        stream.send(b"retry: 2000\nid: %d\n\n" % seen + gap)
        room.join(Listener(ctx, asked, stream, seen))

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Result(content_type="text/event-stream; charset=utf-8", headers=headers, hold=begin)


def _where_to_begin(last: str, newest: int) -> tuple[int, bytes]:
    """The id after which to begin, and the word about a gap when too much was missed."""
    if not last.isascii() or not last.isdigit() or len(last) > 18:
        return newest, b""
    oldest = max(attempts.back(MAX_BACKLOG), audit.back(MAX_BACKLOG))
    if int(last) >= oldest:
        return int(last), b""
    return oldest, event_text(oldest, "gap", {"after": last, "until": str(oldest)})


def stream_attempts(ctx: Context) -> Result:
    """GET /attempts/stream: the topic `attempts` alone."""
    ctx.query = type(ctx.query)({**ctx.query.to_dict(), "topics": "attempts"})
    return listen(ctx)


_EVENT_STREAM = ("text/event-stream",)

ACTIONS = (
    Action(
        "GET",
        "/events",
        listen,
        PERMISSION,
        (OWN,),
        query=(Param("topics"), Param("after", "int64")),
        produces=_EVENT_STREAM,
        summary="News as they happen, as server-sent events",
    ),
    Action(
        "GET",
        "/attempts/stream",
        stream_attempts,
        PERMISSION,
        (OWN,),
        query=(Param("after", "int64"),),
        produces=_EVENT_STREAM,
        summary="Attempts as they happen, as server-sent events",
    ),
)
