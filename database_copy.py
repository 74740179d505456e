"""All rows from the SQLite file into a PostgreSQL database, or back: in one transaction, counted on both sides.

Both have the schema of the same migrations, so that tables and columns are the same by name. Triggers rest
meanwhile: what they would work out is in the rows already.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import peewee

from postgres import Postgres, Unusable

BATCH_ROWS = 1000
TELL_ROWS = 100_000
Tell = Callable[[str], None]


class CopyError(Exception):
    """It was not copied, and nothing was changed; the text says why and what to do."""


def to_server(file: Path, url: str, migrations: Sequence[Sequence[str]], tell: Tell) -> dict[str, int]:
    """Copy a SQLite file into an empty PostgreSQL database; gives the number of rows of each table.

    Raises CopyError.
    """
    try:
        target = Postgres(url)
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as source:
            source.execute("BEGIN")
            _require_good(source, file, len(migrations))
            target.require_usable()
            with target.atomic("IMMEDIATE"):
                _require_empty(target)
                target.open(migrations)
                found = _fill_server(source, target, tell)
            target.define("ANALYZE")
            return found
    except (Unusable, peewee.PeeweeException, sqlite3.DatabaseError) as e:
        raise CopyError(f"nothing was copied: {e}") from None
    finally:
        if "target" in locals():
            target.close()


def to_file(source: Postgres, file: Path, migrations: Sequence[Sequence[str]], tell: Tell) -> dict[str, int]:
    """Copy a PostgreSQL database into a new SQLite file with mode 0600, as it is at this moment.

    Gives the number of rows of each table. Raises CopyError; FileExistsError when there is such a file.
    """
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        source.require_usable()
        with source.atomic("DEFERRED"), closing(sqlite3.connect(file, isolation_level=None)) as target:
            _require_schema(source, len(migrations))
            return _fill_file(source, target, migrations, tell)
    except BaseException as e:
        file.unlink(missing_ok=True)
        if isinstance(e, Unusable | peewee.PeeweeException | sqlite3.DatabaseError):
            raise CopyError(f"nothing was copied: {e}") from None
        raise
    finally:
        source.close()


def users(database: Postgres) -> int:
    """How many connections controllers have to it, but for our own."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'zitilite' AND pid <> pg_backend_pid()"
    )
    return int(database.execute_sql(query).fetchone()[0])


# --- into the server


def _require_good(source: sqlite3.Connection, file: Path, schema: int) -> None:
    found = int(source.execute("PRAGMA user_version").fetchone()[0])
    if found != schema:
        raise CopyError(_other_schema(str(file), found, schema))
    problem = source.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise CopyError(f"{file} is damaged: {problem}. Restore a backup first.")
    broken = source.execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise CopyError(
            f"{file}: a row of {broken[0]} refers to a {broken[2]} that is not there. Start the controller and "
            "POST /edge/management/v1/database/fix-data-integrity first."
        )


def _require_schema(source: Postgres, schema: int) -> None:
    found = source.version()
    if found != schema:
        raise CopyError(_other_schema(source.shown, found, schema))


def _other_schema(what: str, found: int, schema: int) -> str:
    return f"{what} has schema {found}, this version {schema}: start this version's controller on it once, then copy"


def _require_empty(target: Postgres) -> None:
    if target.version():
        raise CopyError(f"{target.shown} holds a controller's data already: name an empty database")
    tables = target.get_tables()
    if tables:
        raise CopyError(f"{target.shown} is not empty, it has the table {tables[0]}: name an empty database")


def _tables(file: sqlite3.Connection) -> list[str]:
    """The tables in the order in which they were made: what is referred to comes first."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    return [name for (name,) in file.execute(query)]


def _columns(file: sqlite3.Connection, table: str) -> str:
    return ", ".join(f'"{row[1]}"' for row in file.execute(f'PRAGMA table_info("{table}")'))


def _fill_server(source: sqlite3.Connection, target: Postgres, tell: Tell) -> dict[str, int]:
    found, changed = {}, 0
    tables = _tables(source)
    for table in tables:
        target.define(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
    for table in tables:
        names = _columns(source, table)
        count = 0
        rows = source.execute(f'SELECT {names} FROM "{table}"')  # noqa: S608 - names of our own schema
        with target.cursor().copy(f'COPY "{table}" ({names}) FROM STDIN') as sink:
            for row in rows:
                plain = tuple(v.replace("\0", "\ufffd") if isinstance(v, str) and "\0" in v else v for v in row)
                changed += plain != row
                sink.write_row(plain)
                count = _told(tell, table, count + 1)
        found[table] = _counted(target, tell, table, count)
    for table in tables:
        target.define(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
    _set_counters(target)
    if changed:
        tell(f"{changed} rows had the character NUL in a text; it is U+FFFD there")
    return found


def _told(tell: Tell, table: str, count: int) -> int:
    if count % TELL_ROWS == 0:
        tell(f"{table:28} {count} rows so far")
    return count


def _counted(target: Any, tell: Tell, table: str, count: int) -> int:
    execute = target.execute_sql if isinstance(target, Postgres) else target.execute
    there = execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]  # noqa: S608 - names of our own schema
    if there != count:
        raise CopyError(f"nothing was copied: of {table} {count} rows were sent and {there} arrived")
    if count:
        tell(f"{table:28} {count} rows")
    return count


def _set_counters(target: Postgres) -> None:
    """Numbers that the database gives out go on after the highest one."""
    query = (
        "SELECT table_name FROM information_schema.columns "
        "WHERE is_identity = 'YES' AND table_schema = current_schema()"
    )
    for (table,) in target.execute_sql(query).fetchall():
        highest = f'SELECT max("id") FROM "{table}"'  # noqa: S608 - names of our own schema
        target.define(
            f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), coalesce(({highest}), 0) + 1, false)"
        )


# --- into a file


def _fill_file(
    source: Postgres, target: sqlite3.Connection, migrations: Sequence[Sequence[str]], tell: Tell
) -> dict[str, int]:
    statements = [one for migration in migrations for one in migration]
    late = [one for one in statements if one.lstrip().startswith("CREATE TRIGGER")]
    target.execute("BEGIN")
    for statement in statements:
        if statement not in late:
            target.execute(statement)
    found = {}
    for table in _tables(target):
        names = _columns(target, table)
        places = ", ".join("?" * (names.count(",") + 1))
        count = 0
        for batch in _batches(source, f'SELECT {names} FROM "{table}"'):  # noqa: S608 - names of our own schema
            target.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({places})', batch)  # noqa: S608
            for _ in batch:
                count = _told(tell, table, count + 1)
        found[table] = _counted(target, tell, table, count)
    for statement in late:
        target.execute(statement)
    if target.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise CopyError("nothing was copied: a row refers to one that is not there")
    target.execute(f"PRAGMA user_version = {len(migrations):d}")
    target.execute("COMMIT")
    return found


def _batches(source: Postgres, query: str) -> Iterator[list[tuple[Any, ...]]]:
    """The rows, a part at a time: the server keeps the rest."""
    with source.connection().cursor(name="copy") as cursor:
        cursor.execute(query)
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield batch
