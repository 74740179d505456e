"""The database file: its schema, migrations, durability, transactions, and the lock on the folder."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import peewee
import pytest

import models
import store
from migrations import MIGRATIONS
from tests.controllers import ROOT

# How many migrations a released version had: a database of each must open in this one.
RELEASED = [1]
Row = tuple[Any, ...]
# Takes the lock of a folder, forks a process that says its number, and both wait.
HOLDER = """
import os, pathlib, signal, sys, store
store.FolderLock(pathlib.Path(sys.argv[1]))
if not os.fork():
    print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.fixture
def database(tmp_path) -> Iterator[Path]:
    """A new database, opened by the store."""
    file = tmp_path / "zitilite.db"
    store.open_database(file, MIGRATIONS)
    yield file
    store.close()


def ask(file: Path, statement: str) -> list[Row]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(statement).fetchall()


def make_old(file: Path, version: int) -> None:
    """A database as a version with so many migrations left it."""
    with closing(sqlite3.connect(file)) as connection:
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version:d}")
        connection.commit()


def schema_of(file: Path) -> dict[str, Any]:
    """Tables with columns, keys, references and indexes, independent of how the statements were written."""
    with closing(sqlite3.connect(file)) as connection:

        def rows(statement: str) -> list[Row]:
            return connection.execute(statement).fetchall()

        tables = {
            name: (kind, without_rowid, strict)
            for _, name, kind, _, without_rowid, strict in rows("PRAGMA main.table_list")
            if not name.startswith("sqlite_")
        }
        found: dict[str, Any] = {}
        for table, kind in tables.items():
            columns = {(name, kind_, notnull, key) for _, name, kind_, notnull, _, key in _info(rows, table)}
            references = {
                (to, column, target, on_update, on_delete)
                for _, _, to, column, target, on_update, on_delete, _ in rows(f'PRAGMA foreign_key_list("{table}")')
            }
            indexes = {
                (tuple(column for _, _, column in rows(f'PRAGMA index_info("{name}")')), unique, partial)
                for _, name, unique, _, partial in rows(f'PRAGMA index_list("{table}")')
            }
            of_table = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
            triggers = set(connection.execute(of_table, (table,)).fetchall())
            found[table] = (kind, columns, references, indexes, triggers)
        return found


def _info(rows: Any, table: str) -> list[Row]:
    found: list[Row] = rows(f'PRAGMA table_info("{table}")')
    return found


def by_models(file: Path) -> dict[str, Any]:
    """The schema that models.py describes."""
    described = peewee.SqliteDatabase(str(file), field_types={"BOOL": "BOOLEAN"})
    with described.bind_ctx(models.TABLES), described:
        described.create_tables(models.TABLES, safe=False)
        for view in models.VIEWS.values():
            described.execute_sql(view)
    described.close()
    return schema_of(file)


def test_migrations_make_what_the_models_describe(database, tmp_path):
    """Migrations and models are two descriptions of one schema, down to the last index."""
    migrated, described = schema_of(database), by_models(tmp_path / "described.db")
    assert migrated.keys() == described.keys()
    for table in described:
        assert migrated[table] == described[table], table


def test_every_model_is_a_table():
    """A model that is not in TABLES would be forgotten by the test above."""
    known = {
        model
        for model in vars(models).values()
        if isinstance(model, type) and issubclass(model, models.Base) and model not in (models.Base, models.Entity)
    }
    assert known == {*models.TABLES, *models.VIEWS}


def test_views_are_the_models_own_statements(database):
    """What a view selects is said in models.py; the migration says the same, and the model fits its columns."""
    made: dict[str, str] = dict(ask(database, "SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    for model, statement in models.VIEWS.items():
        table = model._meta.table_name
        assert " ".join(made.pop(table).split()) == " ".join(statement.split())
        columns = {row[1] for row in ask(database, f'PRAGMA table_info("{table}")')}
        assert columns == {field.column_name for field in model._meta.sorted_fields}
    assert not made


def test_version_is_the_number_of_migrations(tmp_path):
    """A new file reports 0 and becomes the newest; opening it again changes nothing."""
    file = tmp_path / "zitilite.db"
    for found in (0, len(MIGRATIONS)):
        assert store.open_database(file, MIGRATIONS) == found
        store.close()
        assert ask(file, "PRAGMA user_version") == [(len(MIGRATIONS),)]


@pytest.mark.parametrize("version", RELEASED)
def test_upgrade_from_every_released_version(tmp_path, version):
    """A database of each released version opens, keeps its data and has the newest schema afterwards."""
    file = tmp_path / "zitilite.db"
    make_old(file, version)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO meta (key, value) VALUES ('kept', 'yes')")
        connection.commit()
    assert store.open_database(file, MIGRATIONS) == version
    store.close()
    assert schema_of(file) == by_models(tmp_path / "described.db")
    assert ask(file, "SELECT value FROM meta WHERE key = 'kept'") == [("yes",)]


def test_all_or_nothing_of_a_migration(tmp_path):
    """A migration that fails half-way leaves schema and version as they were."""
    file = tmp_path / "zitilite.db"
    store.open_database(file, MIGRATIONS)
    store.close()
    before = schema_of(file)
    wrong = (*MIGRATIONS, ("CREATE TABLE half (a TEXT)", "CREATE NONSENSE"))
    with pytest.raises(store.StoreError):
        store.open_database(file, wrong)
    store.close()
    assert schema_of(file) == before
    assert ask(file, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_newer_database_is_left_alone(tmp_path):
    """A version that this one does not know is refused."""
    file = tmp_path / "zitilite.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(store.StoreError, match="newer"):
        store.open_database(file, MIGRATIONS)
    store.close()


def test_file_is_private_and_durable(database):
    """Only the owner reads the file; commits reach the disk before they are answered."""
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    pragmas = {name: store.database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in store.PRAGMAS}
    assert pragmas["journal_mode"] == "wal"
    assert pragmas["synchronous"] == 2
    assert pragmas["foreign_keys"] == 1
    assert store.check_integrity() == "ok"


def test_exception_rolls_all_back(database):
    """Whatever happened inside `write`, an exception undoes all of it, also in nested use."""

    def fail() -> None:
        with store.write():
            models.Meta.create(key="outer", value="1")
            with store.write():
                models.Meta.create(key="inner", value="1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert models.Meta.select().count() == 0
    with store.write():
        models.Meta.create(key="kept", value="1")
    assert ask(database, "SELECT key FROM meta") == [("kept",)]


def in_thread(work: Any) -> Any:
    """Run what uses a database connection of its own, and close that."""

    def run(*arguments: Any) -> Any:
        try:
            return work(*arguments)
        finally:
            store.database.close()

    return run


def test_one_writer_at_a_time(database):
    """Read, then write, in many threads at once: no update is lost."""
    models.Meta.create(key="count", value="0")
    threads, rounds = 8, 25

    def add() -> None:
        for _ in range(rounds):
            with store.write():
                value = int(models.Meta.get_by_id("count").value)
                models.Meta.update(value=str(value + 1)).where(models.Meta.key == "count").execute()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(in_thread(add)) for _ in range(threads)]:
            done.result(60)
    assert models.Meta.get_by_id("count").value == str(threads * rounds)


def test_another_process_is_waited_for(database):
    """A lock that another process holds for a moment delays a write and does not fail it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        started = threading.Event()

        def add() -> None:
            started.set()
            with store.write():
                models.Meta.create(key="waited", value="1")

        waiting = pool.submit(in_thread(add))
        assert started.wait(10)
        assert models.Meta.select().count() == 0
        other.execute("INSERT INTO meta (key, value) VALUES ('first', '1')")
        other.execute("COMMIT")
        waiting.result(20)
    assert {row.key for row in models.Meta.select()} == {"first", "waited"}


def test_conditional_delete_happens_once(database):
    """Of many that delete one row under a condition, exactly one learns that it did."""
    for number in range(20):
        models.Meta.create(key=f"token{number}", value="pending")
    barrier = threading.Barrier(8)

    def spend() -> list[int]:
        barrier.wait(20)
        counts = []
        for number in range(20):
            with store.write():
                spent = models.Meta.delete().where(models.Meta.key == f"token{number}", models.Meta.value == "pending")
                counts.append(int(spent.execute()))
        return counts

    with ThreadPoolExecutor(8) as pool:
        results = [done.result(60) for done in [pool.submit(in_thread(spend)) for _ in range(8)]]
    assert [sum(column) for column in zip(*results, strict=True)] == [1] * 20


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_what_is_no_database_is_named(tmp_path, content):
    """A file that is no database is refused with its path and left as it is."""
    file = tmp_path / "zitilite.db"
    file.write_bytes(content)
    with pytest.raises(store.StoreError, match=str(file)):
        store.open_database(file, MIGRATIONS)
    store.database.close()
    assert file.read_bytes() == content


def test_a_moment_that_sqlite_has_ended_hides_no_error(database):
    """A failing disk rolls a transaction back by itself: what is raised is what the disk said."""

    def fail() -> None:
        with store.moment:
            store.execute("ROLLBACK")
            raise store.OperationalError("disk I/O error")

    with pytest.raises(store.OperationalError, match="disk I/O error"):
        fail()
    with store.moment:
        assert store.execute("SELECT 1").fetchone() == (1,)
    with store.write():
        store.execute("SELECT 1")


def test_folder_lock(tmp_path):
    """One holder at a time; the next one gets it after the release."""
    lock = store.FolderLock(tmp_path)
    with pytest.raises(store.StoreError, match="in use by another zitilite"):
        store.FolderLock(tmp_path)
    lock.release()
    store.FolderLock(tmp_path).release()


def test_folder_lock_of_a_process_that_was_killed(tmp_path):
    """What it forked may hold the lock a moment longer: that is waited for."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    child = int(holder.stdout.readline())
    holder.kill()
    holder.wait(20)
    waiting = threading.Thread(target=lambda: store.FolderLock(tmp_path).release())
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    os.kill(child, signal.SIGKILL)
    waiting.join(20)
    assert not waiting.is_alive()
    assert int((tmp_path / "lock").read_text()) == os.getpid()
    holder.stdout.close()
    holder.stdin.close()
