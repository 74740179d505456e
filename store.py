"""The one SQLite file: opening, locking, transactions and migrations. Knows no table.

A PostgreSQL database can take its place (postgres.py); then `is_shared` says that other processes write as well.

WAL with one writer at a time. `write()` is the only way to change anything: it takes the process's
write lock and then SQLite's, at once (`BEGIN IMMEDIATE`), so that no transaction ever has to turn
from reader to writer, which a busy timeout cannot wait out. `synchronous=FULL` makes a commit
durable before it is answered: a spent token stays spent after a power cut (docs/adr/0002).
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

# peewee takes every driver along that is there; the one of PostgreSQL costs a start 75 ms and 8 MB (postgres.py).
_without = sys.modules.setdefault("psycopg", None) is None  # type: ignore[arg-type]
import peewee  # noqa: E402 - see above

if _without:
    del sys.modules["psycopg"]

log = logging.getLogger("zitilite.store")

IntegrityError = peewee.IntegrityError
DatabaseError = peewee.DatabaseError
DataError = peewee.DataError
OperationalError = peewee.OperationalError
# The type's name makes no difference to SQLite, but the schema of PostgreSQL is made from the same statements.
database: Any = peewee.SqliteDatabase(None, field_types={"BOOL": "BOOLEAN"})
is_shared = False
# Whether other processes write to the database as well, and whether this is the first of those on a file.
has_company, is_first = False, True
_followers: list[Callable[[Any], None]] = []
_late: set[Callable[[], None]] = set()  # of the one write transaction of this process
_write_lock = threading.RLock()

# While a long transaction is under way (in any process), and how long the last ones took to become durable.
_long = mmap.mmap(-1, 1)
_commit = {"seconds": 0.0}
SLOW_COMMIT_SECONDS = 0.003

# One that was killed leaves its lock to the processes it forked, which end a moment later.
DYING_SECONDS = 5.0
STATEMENTS = 512  # compiled ones that each thread's connection keeps
PRAGMAS: dict[str, Any] = {
    "busy_timeout": 10_000,  # first: the others may have to wait for another process
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "cache_size": -2_000,  # KiB, for each thread's connection
    "temp_store": "memory",
}


class StoreError(Exception):
    """The data folder or database cannot be used; the text says why and what to do."""


def _is_gone(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except PermissionError:
        return False
    except (ValueError, ProcessLookupError):
        return True
    return False


class FolderLock:
    """A lock on the data folder, held for the life of the process.

    shared: others that ask for a shared one may use the folder as well, for its keys: the database is elsewhere.
    Raises StoreError when another process holds it.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + DYING_SECONDS
        while not self._take(fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            if _is_gone(holder) and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            os.close(self._file)
            raise StoreError(
                f"{folder} is in use by another zitilite (process {holder}). Stop that one first, "
                "or give this one another folder with --data."
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def _take(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Let go of the lock; the kernel does the same when the process dies."""
        os.close(self._file)


def follow(use: Callable[[Any], None]) -> None:
    """Have `use` called with the database when it is another one than the SQLite file."""
    _followers.append(use)


def open_database(file: Path | str, migrations: Sequence[Sequence[str]]) -> int:
    """Open (or make) the database and bring it to the newest schema.

    Args:
        file: the SQLite file, made with mode 0600; or the URL of a PostgreSQL database.
        migrations: append-only; the schema's version is how many of them were applied.

    Returns:
        The version found before migrating, 0 for a new file.

    Raises:
        StoreError: the file is damaged, no database, or from a newer version; the server cannot be reached.
    """
    if isinstance(file, str):
        return _on_server(file, lambda opened: opened.open(migrations))
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    _turn.of(file)
    try:
        database.init(str(file), pragmas=PRAGMAS, check_same_thread=False, cached_statements=STATEMENTS)
        database.connect(reuse_if_open=True)
        return _migrate(migrations)
    except (peewee.DatabaseError, sqlite3.DatabaseError) as e:
        raise StoreError(f"{file} cannot be used as the database: {e}. Restore a backup.") from e


def _on_server(url: str, work: Callable[[Any], int]) -> int:
    """Take a PostgreSQL database in place of the file, and do the first thing with it."""
    global database, is_shared, has_company  # a process has one
    import postgres  # noqa: PLC0415 - the file needs nothing of it

    try:
        opened = postgres.Postgres(url)
        found = work(opened)
    except postgres.Unusable as e:
        raise StoreError(str(e)) from None
    except peewee.PeeweeException as e:
        raise StoreError(f"{postgres.shown(url)} cannot be used as the database: {e}".strip()) from None
    database, is_shared, has_company = opened, True, True
    for use in _followers:
        use(opened)
    return found


def attach(file: Path | str) -> int:
    """Open a database as it is, for commands that look at it, whether a controller runs or not; gives its schema.

    Raises StoreError when there is none, or it cannot be read.
    """
    if isinstance(file, str):
        return _on_server(file, lambda opened: opened.require_usable() or opened.version())
    if not file.exists():
        raise StoreError(f"{file.parent} holds no controller: name its folder with --data")
    _turn.of(file)
    try:
        database.init(str(file), pragmas=PRAGMAS, check_same_thread=False)
        database.connect(reuse_if_open=True)
        return version()
    except (peewee.DatabaseError, sqlite3.DatabaseError) as e:
        raise StoreError(f"{file} cannot be used as the database: {e}. Restore a backup.") from e


def _migrate(migrations: Sequence[Sequence[str]]) -> int:
    version = int(database.execute_sql("PRAGMA user_version").fetchone()[0])
    if version > len(migrations):
        raise StoreError(
            f"the database has schema {version}, this version knows {len(migrations)}: "
            "it was written by a newer zitilite. Install that version, or restore a backup."
        )
    for number in range(version, len(migrations)):
        with write():
            for statement in migrations[number]:
                database.execute_sql(statement)
            database.execute_sql(f"PRAGMA user_version = {number + 1:d}")
        log.log(logging.INFO if version else logging.DEBUG, "schema migrated to version %d", number + 1)
    return version


class _Turn:
    """A lock between the processes that write to one file: who waits for it wakes at once, and in order.

    SQLite's own would be asked again and again, with pauses.
    """

    def __init__(self) -> None:
        self._path, self._file = "", -1
        os.register_at_fork(after_in_child=self._forget)

    def of(self, database_file: Path) -> None:
        """Use the lock of a database."""
        self._forget()
        self._path = f"{database_file}-turn"

    def _forget(self) -> None:
        # A lock belongs to the opened file: one that was inherited would be the parent's.
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __enter__(self) -> None:
        if self._file < 0 and self._path:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)


_turn = _Turn()


@contextmanager
def write() -> Iterator[None]:
    """A write transaction. Nested calls join the outer one; any exception rolls all of it back."""
    with _write_lock:
        if database.in_transaction():
            if is_shared:
                # There a statement that fails would spoil the outer transaction as well.
                with database.savepoint():
                    yield
            else:
                yield
            return
        with _turn:
            try:
                with database.atomic("IMMEDIATE"):
                    yield
                    while _late:
                        _late.pop()()
                    done = time.perf_counter()
            finally:
                _late.clear()
            _commit["seconds"] += (time.perf_counter() - done - _commit["seconds"]) / 8


@contextmanager
def write_much() -> Iterator[None]:
    """A write transaction that takes its time; small ones wait for it in threads of their own meanwhile."""
    _long[0] = 1
    try:
        with write():
            # Another one that was under way has taken it back.
            _long[0] = 1
            yield
    finally:
        _long[0] = 0


def is_quick() -> bool:
    """Whether a small transaction is over in a moment: no long one is under way, and the disk is no slow one."""
    return not is_shared and not _long[0] and _commit["seconds"] < SLOW_COMMIT_SECONDS


def share(number: int) -> None:
    """Write to the database beside other processes of the same controller; after the fork. number: 0 for the first."""
    global has_company, is_first
    has_company, is_first = True, number == 0


def execute(sql: str, values: Sequence[Any] = ()) -> Any:
    """Run a statement on this thread's connection, without what peewee does besides; gives the cursor.

    Raises peewee's errors.
    """
    if is_shared:
        return database.execute_sql(sql, values)
    try:
        return database.connection().execute(sql, values)
    except sqlite3.Error as e:
        raise getattr(peewee, type(e).__name__, peewee.DatabaseError)(*e.args) from e


@contextmanager
def savepoint() -> Iterator[None]:
    """A part of a write transaction that an exception undoes by itself."""
    with database.savepoint():
        yield


def at_the_end(work: Callable[[], None]) -> None:
    """Have something done once before the write transaction ends, however often it is asked for; else at once.

    A row that is written again and again in one transaction gets slower each time in PostgreSQL, which keeps
    every version of it until then.
    """
    if database.in_transaction():
        _late.add(work)
    else:
        work()


def attempt() -> AbstractContextManager[Any]:
    """What surrounds a statement in a transaction that may be refused by a constraint and go on."""
    return savepoint() if is_shared else nullcontext()


def leads(task: str) -> bool:
    """Whether this process is the one that does a task which only one of those on a database must do.

    Asked again each time: when the one that did it ends, another takes it over.
    """
    return bool(database.leads(task)) if is_shared else is_first


def rest() -> None:
    """Let go of this thread's connection until it is needed again: it keeps a quarter of a megabyte."""
    if not is_shared:  # there it may hold the locks of what this process leads
        database.close()


def define(statement: str) -> None:
    """Run a statement that defines a trigger or the like, in SQLite's words. Needs a write transaction."""
    if is_shared:
        import postgres  # noqa: PLC0415 - the file needs nothing of it

        for one in postgres.translated(statement):
            database.define(one)
    else:
        database.execute_sql(statement)


@contextmanager
def read() -> Iterator[None]:
    """A read transaction: all that is read in it is of one moment, and nobody has to wait for it."""
    with database.atomic("DEFERRED"):
        yield


class _Moment:
    """A read transaction for a few statements of a hot path: of six, each takes a third less than alone.

    Less than `read`: peewee does not know of it, so nothing may write in it and it is never inside of another; and on
    PostgreSQL, where it would be two more round trips, it does nothing.
    """

    def __enter__(self) -> None:
        if not is_shared:
            execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        # What the disk refused may have ended it already; a complaint about that would hide the reason.
        if not is_shared and database.connection().in_transaction:
            execute("COMMIT")


moment = _Moment()


def backup(target: Path) -> None:
    """Write a consistent copy of the database to a new file with mode 0600, while it is in use.

    Raises FileExistsError when there is one already; what was half written is removed. The copy is a SQLite file,
    wherever the data is.
    """
    if is_shared:
        import database_copy  # noqa: PLC0415 - the file needs nothing of it
        from migrations import MIGRATIONS  # noqa: PLC0415

        database_copy.to_file(database.another(), target, MIGRATIONS, log.debug)
        return
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # A connection of its own: one that holds a write transaction would wait for itself for ever.
    source, copy = sqlite3.connect(database.database), sqlite3.connect(target)
    try:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = delete")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        copy.close()
        source.close()


def version() -> int:
    """The schema of the open database: how many migrations were applied."""
    if is_shared:
        return int(database.version())
    return int(database.execute_sql("PRAGMA user_version").fetchone()[0])


def examine(file: Path) -> tuple[int, str]:
    """The schema of a database file that is not open here, and SQLite's check of it; changes nothing.

    Gives the problem in place of `ok` when it cannot be read at all.
    """
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
            schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
            return schema, str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as e:
        return 0, str(e)


def reindex() -> None:
    """Build all indexes anew; repairs the ones that disagree with their tables."""
    if is_shared:
        return  # the server's own care: REINDEX DATABASE cannot be part of a transaction
    database.execute_sql("REINDEX")


def check_integrity() -> str:
    """SQLite's own check of pages and indexes: `ok`, or the first problem it found.

    Not `quick_check`, which does not look into the indexes. A PostgreSQL server looks after its pages itself.
    """
    if is_shared:
        return "ok" if database.execute_sql("SELECT 1").fetchone() else "no answer"
    return str(database.execute_sql("PRAGMA integrity_check(1)").fetchone()[0])


def close() -> None:
    """Fold the write-ahead log back into the file and close this thread's connection."""
    if is_shared:
        database.close()
    elif not database.is_closed():
        # On a full or broken disk what is in the log stays there.
        with suppress(peewee.DatabaseError):
            database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
