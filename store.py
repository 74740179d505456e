"""The one SQLite file: opening, locking, transactions and migrations. Knows no table.

WAL with one writer at a time. `write()` is the only way to change anything: it takes the process's
write lock and then SQLite's, at once (`BEGIN IMMEDIATE`), so that no transaction ever has to turn
from reader to writer, which a busy timeout cannot wait out. `synchronous=FULL` makes a commit
durable before it is answered: a spent token stays spent after a power cut (docs/adr/0002).
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import peewee

log = logging.getLogger("zitilite.store")

IntegrityError = peewee.IntegrityError
DatabaseError = peewee.DatabaseError
database = peewee.SqliteDatabase(None)
_write_lock = threading.RLock()

PRAGMAS: dict[str, Any] = {
    "busy_timeout": 10_000,  # first: the others may have to wait for another process
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "cache_size": -4_000,  # KiB, for each thread's connection
    "temp_store": "memory",
}


class StoreError(Exception):
    """The data folder or database cannot be used; the text says why and what to do."""


class FolderLock:
    """An exclusive lock on the data folder, held for the life of the process.

    Raises StoreError when another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                f"{folder} is in use by another zitilite (process {holder}). Stop that one first, "
                "or give this one another folder with --data."
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go of the lock; the kernel does the same when the process dies."""
        os.close(self._file)


def open_database(file: Path, migrations: Sequence[Sequence[str]]) -> int:
    """Open (or make) the database and bring it to the newest schema.

    Args:
        file: the SQLite file; made with mode 0600.
        migrations: append-only; the schema's version is how many of them were applied.

    Returns:
        The version found before migrating, 0 for a new file.

    Raises:
        StoreError: the file is damaged, no database, or from a newer version.
    """
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        database.init(str(file), pragmas=PRAGMAS, check_same_thread=False)
        database.connect(reuse_if_open=True)
        return _migrate(migrations)
    except (peewee.DatabaseError, sqlite3.DatabaseError) as e:
        raise StoreError(f"{file} cannot be used as the database: {e}. Restore a backup.") from e


def attach(file: Path) -> int:
    """Open a database as it is, for commands that look at it, whether a controller runs or not; gives its schema.

    Raises StoreError when there is none, or it cannot be read.
    """
    if not file.exists():
        raise StoreError(f"{file.parent} holds no controller: name its folder with --data")
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


@contextmanager
def write() -> Iterator[None]:
    """A write transaction. Nested calls join the outer one; any exception rolls all of it back."""
    with _write_lock:
        if database.in_transaction():
            yield
            return
        with database.atomic("IMMEDIATE"):
            yield


@contextmanager
def savepoint() -> Iterator[None]:
    """A part of a write transaction that an exception undoes by itself."""
    with database.savepoint():
        yield


@contextmanager
def read() -> Iterator[None]:
    """A read transaction: all that is read in it is of one moment, and nobody has to wait for it."""
    with database.atomic("DEFERRED"):
        yield


def backup(target: Path) -> None:
    """Write a consistent copy of the database to a new file with mode 0600, while it is in use.

    Raises FileExistsError when there is one already; what was half written is removed.
    """
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
    database.execute_sql("REINDEX")


def check_integrity() -> str:
    """SQLite's own check of pages and indexes: `ok`, or the first problem it found.

    Not `quick_check`, which does not look into the indexes.
    """
    return str(database.execute_sql("PRAGMA integrity_check(1)").fetchone()[0])


def close() -> None:
    """Fold the write-ahead log back into the file and close this thread's connection."""
    if not database.is_closed():
        # On a full or broken disk what is in the log stays there.
        with suppress(peewee.DatabaseError):
            database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
