"""PostgreSQL in place of the SQLite file: the schema, the words, lost connections, the copy either way."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import peewee
import pytest

import models
import postgres
from migrations import MIGRATIONS
from tests import cluster, flows
from tests.controllers import ROOT, Controller

CATALOGUE = """
SELECT table_name, column_name, data_type, is_nullable, coalesce(collation_name, '')
FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'schema_version'
"""
KEYS = """
SELECT conrelid::regclass::text, contype::text, regexp_replace(pg_get_constraintdef(oid), ' COLLATE "C"', '', 'g')
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
"""
INDEXES = """
SELECT tablename, regexp_replace(indexdef, '^CREATE (UNIQUE )?INDEX \\S+ ON \\S+\\.', '\\1') FROM pg_indexes
WHERE schemaname = current_schema() AND tablename <> 'schema_version'
"""


@pytest.fixture(scope="module")
def server() -> cluster.Cluster:
    return cluster.shared()


@pytest.fixture
def database(server) -> Iterator[postgres.Postgres]:
    """An empty database with the schema of the migrations."""
    opened = postgres.Postgres(server.new_database())
    assert opened.open(MIGRATIONS) == 0
    yield opened
    opened.close()


def run(*words: str, url: str, data: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command line, with the database's URL in its environment."""
    return subprocess.run(
        [sys.executable, "app.py", *words, "--data", str(data)],
        cwd=ROOT,
        env={**os.environ, "ZITILITE_DATABASE": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


# --- the schema


def test_migrations_make_what_the_models_describe(server, database):
    """The one list of migrations makes here, too, what models.py describes: columns, keys, references, indexes."""
    described = postgres.Postgres(server.new_database())
    # peewee's own statements for the same models, with our types.
    described._field_types = {
        **described._field_types,
        "INT": "BIGINT",
        "TEXT": 'TEXT COLLATE "C"',
        "AUTO": "BIGSERIAL",
    }
    described.open(())
    with described.bind_ctx(models.TABLES):
        for model in models.TABLES:
            if model._meta.without_rowid:
                model._meta.without_rowid = False
                try:
                    peewee.SchemaManager(model, described).create_all(safe=False)
                finally:
                    model._meta.without_rowid = True
            else:
                peewee.SchemaManager(model, described).create_all(safe=False)
    for question in (CATALOGUE, KEYS, INDEXES):
        made, wanted = (set(one.execute_sql(question.replace("%", "%%")).fetchall()) for one in (database, described))
        views = {model._meta.table_name for model in models.VIEWS}
        assert {row for row in made if row[0] not in views} == wanted
    described.close()


def test_views_have_the_columns_of_their_models(database):
    for model in models.VIEWS:
        table = model._meta.table_name
        names = {row.name for row in database.get_columns(table)}
        assert names == {field.column_name for field in model._meta.sorted_fields}


def test_every_trigger_is_there(database):
    wanted = {
        re.search(r'TRIGGER "(\w+)"', statement)[1]  # type: ignore[index]
        for model in models.TABLES
        for statement in getattr(model, "triggers", ())
    }
    made = {name for (name,) in database.execute_sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal").fetchall()}
    assert made == wanted
    assert wanted


def test_opening_again_changes_nothing(server, database):
    again = database.another()
    assert again.open(MIGRATIONS) == len(MIGRATIONS)
    with pytest.raises(postgres.Unusable, match="newer zitilite"):
        again.open(())
    again.close()


def test_a_migration_is_all_or_nothing(server):
    """One that fails half-way leaves no table and no version."""
    opened = postgres.Postgres(server.new_database())
    with pytest.raises(peewee.ProgrammingError):
        opened.open([*MIGRATIONS, ("CREATE TABLE half (a TEXT)", "CREATE NONSENSE")])
    assert opened.get_tables() == []
    assert opened.version() == 0
    opened.close()


# --- the words


@pytest.mark.parametrize(
    ("glob", "fits", "fits_not"),
    [
        ("*[Aa][Bb]*", ("xaBx", "AB", "a\nb ab"), ("a", "ba")),
        ("*[[][*][?]*", ("x[*?x",), ("[", "*?")),
        ("*[.]*", ("a.b",), ("ab",)),
        ("*$^.|()+{}\\*", ("x$^.|()+{}\\",), ("x",)),
        ("*[-^\\]*", ("-", "^", "\\"), ("a",)),
        ("**", ("", "anything"), ()),
        ("*[Ää]*", ("Ä", "xä"), ("a",)),
        ("a?c*", ("abc", "abcd"), ("ac", "xabc")),
    ],
)
def test_glob_is_the_same_there(database, glob, fits, fits_not):
    """What GLOB finds in SQLite, the regular expression finds in PostgreSQL."""
    with closing(sqlite3.connect(":memory:")) as lite:
        for text, wanted in [*((t, True) for t in fits), *((t, False) for t in fits_not)]:
            here = lite.execute("SELECT ? GLOB ?", (text, glob)).fetchone()[0]
            there = database.execute_sql("SELECT %s::text ~ %s", (text, postgres._regex(glob))).fetchone()[0]
            assert bool(here) == there == wanted, text


@pytest.mark.parametrize(
    "text", ['{"a": "x"}', '{"a": 1}', '{"a": 1.5}', '{"a": true}', '{"a": null}', '{"a": [1]}', "{}"]
)
def test_documents_are_read_the_same(database, text):
    with closing(sqlite3.connect(":memory:")) as lite:
        for question in ("json_type(?, '$.\"a\"')", "CAST(json_extract(?, '$.\"a\"') AS TEXT)"):
            here = lite.execute(f"SELECT {question}", (text,)).fetchone()[0]
            there = database.execute_sql(f"SELECT {question}".replace("?", "%s"), (text,)).fetchone()[0]
            assert there == ("true" if here == "1" and "true" in text else here)


def test_texts_are_in_the_order_of_their_bytes(server):
    """Whatever the database's own collation: upper case first, as SQLite's BINARY has it."""
    opened = postgres.Postgres(server.new_database("LC_COLLATE 'C.UTF-8' TEMPLATE template0"))
    opened.open(MIGRATIONS)
    for name in ("b", "B", "ä", "a", "_"):
        opened.execute_sql("INSERT INTO meta (key, value) VALUES (%s, '')", (name,))
    found = [key for (key,) in opened.execute_sql("SELECT key FROM meta ORDER BY key").fetchall()]
    assert found == ["B", "_", "a", "b", "ä"]
    opened.close()


# --- errors


def test_constraints_speak_as_sqlite_does(database):
    database.execute_sql("INSERT INTO meta (key, value) VALUES ('a', '')")
    cases = {
        "INSERT INTO meta (key, value) VALUES ('a', '')": "UNIQUE constraint failed: meta.key",
        "INSERT INTO meta (key) VALUES ('b')": "NOT NULL constraint failed: meta.value",
        "INSERT INTO identity_attribute (attribute, entity_id) VALUES ('a', 'b')": "FOREIGN KEY constraint failed",
    }
    for statement, wanted in cases.items():
        with pytest.raises(peewee.IntegrityError, match=re.escape(wanted)):
            database.execute_sql(statement)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/x",
        "postgresql://me:hunter%2@127.0.0.1/x",
        "postgresql://me:hunter2@127.0.0.1/x?nonsense=hunter2",
        "postgresql://me:hunter2@[::1/x",
    ],
)
def test_an_unusable_url_is_explained_without_its_password(tmp_path, url):
    """The exit code is 1, the reason one line, and the password is nowhere."""
    done = run("run", url=url, data=tmp_path / "data")
    assert done.returncode == 1
    assert done.stderr.startswith("zitilite: ")
    assert "Traceback" not in done.stderr
    assert "hunter" not in done.stdout + done.stderr


def test_settings_never_show_the_url(tmp_path):
    done = run("settings", url="postgresql://me:hunter2@host/x", data=tmp_path)
    assert done.returncode == 0
    assert re.search(r"^database +\(set\)", done.stdout, re.MULTILINE)
    assert "hunter" not in done.stdout
    done = run("settings", url="mysql://me:hunter2@host/x", data=tmp_path)
    assert done.returncode == 2
    assert "postgresql://" in done.stderr
    assert "hunter" not in done.stderr


def test_without_the_driver_it_is_said_what_is_missing(tmp_path):
    """SQLite needs no driver; PostgreSQL says which one it needs."""
    blocked = tmp_path / "psycopg.py"
    blocked.write_text("raise ImportError\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import app; sys.exit(app.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--data", str(tmp_path / "data")],
        cwd=ROOT,
        env={**os.environ, "ZITILITE_DATABASE": "postgresql://me@host/x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "psycopg" in done.stderr
    assert "pip install" in done.stderr


def test_the_driver_is_not_loaded_for_the_file(tmp_path):
    """A controller on SQLite does without what PostgreSQL costs, even where the driver is installed."""
    code = "import sys, app, config; app.init(config.load({'data': sys.argv[1]}, {})); print('psycopg' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"


def test_a_database_in_another_encoding_is_refused(server, tmp_path):
    url = server.new_database("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    done = run("run", url=url, data=tmp_path / "data")
    assert done.returncode == 1
    assert "UTF8" in done.stderr


def test_a_forked_child_has_connections_of_its_own(database):
    """The child asks through another connection, and the parent's goes on working when the child has ended."""
    mine = database.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(database.execute_sql("SELECT pg_backend_pid()").fetchone()[0]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert int(answer.read()) != mine
    assert database.execute_sql("SELECT pg_backend_pid()").fetchone()[0] == mine


# --- a running controller


def test_lost_connections_and_a_server_that_is_away(tmp_path):
    """While the database is away requests are told so (503); when it is back, all goes on without a restart."""
    with cluster.own() as server:
        controller = Controller(tmp_path / "one", database=server.new_database()).start()
        try:
            api = controller.admin()
            key, found = flows.pending(api, "ott")
            server.stop()
            answer = api.get("/identities")
            assert (answer.status, answer.code) == (503, "DATABASE_UNAVAILABLE")
            assert answer.headers["Retry-After"]
            assert api.call("GET", "//health-checks").status == 503
            server.start()
            # The first request of each thread finds its connection dead, and makes another.
            for _ in range(16):
                assert api.get("/identities").status == 200
            flows.enroll_ott(controller, found["token"], tmp_path)
            assert api.detail("/identities", key)["authenticators"]["cert"]
            server.stop("fast")
            server.start()
            api.create("/identities", flows.identity_body())
            assert cluster.PASSWORD not in controller.stderr()
            assert "Traceback" not in controller.stderr()
        finally:
            controller.kill()


def test_nul_is_refused_where_it_would_be_kept(server, tmp_path):
    """PostgreSQL's texts have no NUL: a name with one is refused, a look-up finds nothing, a document keeps it."""
    controller = Controller(tmp_path / "one", database=server.new_database()).start()
    try:
        api = controller.admin()
        answer = api.post("/identities", flows.identity_body(name="a\0b"))
        assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
        assert "NUL" in str(answer.error)
        assert api.get("/identities/a%00b").status == 404
        key = api.create("/identities", flows.identity_body(tags={"a": "x\0y", "b": "z"}))
        assert api.detail("/identities", key)["tags"] == {"a": "x\0y", "b": "z"}
        assert [row["id"] for row in api.get("/identities", filter='tags.b = "z"').ok()] == [key]
    finally:
        controller.stop()


# --- the copy


def rows_of(ask: Any, tables: list[str]) -> dict[str, list[Any]]:
    """All rows of all tables, in an order that depends on nothing but them; booleans as SQLite keeps them."""
    found = {}
    for table in tables:
        rows = [tuple(int(v) if isinstance(v, bool) else v for v in row) for row in ask(f'SELECT * FROM "{table}"')]
        found[table] = sorted(rows, key=repr)
    return found


def filled(controller: Controller, folder: Path) -> None:
    """Something in many tables."""
    api = controller.admin()
    config_type = api.create("/config-types", {"name": flows.unique(), "schema": {}})
    config = api.create("/configs", {"name": flows.unique(), "configTypeId": config_type, "data": {"a": 1}})
    service = {"name": flows.unique(), "encryptionRequired": True, "configs": [config], "roleAttributes": ["s"]}
    api.create("/services", service)
    roles = {"identityRoles": ["#all"], "serviceRoles": ["#s"], "postureCheckRoles": []}
    api.create("/service-policies", {"name": flows.unique(), "type": "Dial", "semantic": "AnyOf", **roles})
    flows.certified(controller, api, folder, roleAttributes=["x"], tags={"ä": "ß", "n": 1.5})
    flows.pending(api, "ott")
    flows.with_password(api)
    flows.enroll(controller.api(), "ott", "no-such-token", "", flows.PEM)


def all_rows(controller: Controller) -> dict[str, list[Any]]:
    """Everything in its database: of all tables that the models describe."""
    tables = [model._meta.table_name for model in models.TABLES]
    return rows_of(lambda question: flows.sql(controller, question), tables)


def test_copy_to_postgresql_and_back(server, tmp_path):
    """Every row of every table arrives; the controller goes on with the same sessions, tokens and keys; and back."""
    controller = Controller(tmp_path / "one", database="").start()
    (tmp_path / "issued").mkdir()
    filled(controller, tmp_path / "issued")
    api = controller.admin()
    _, waiting = flows.pending(api, "ott")
    controller.stop()
    url = server.new_database()
    done = run("database", "copy", "--to", "postgresql", url=url, data=controller.data)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^identity +\d+ rows$", done.stdout, re.MULTILINE)
    assert cluster.PASSWORD not in done.stdout + done.stderr
    here = all_rows(controller)
    assert sum(map(len, here.values())) > 50
    controller.database = url
    assert all_rows(controller) == here

    (controller.data / "zitilite.db").rename(tmp_path / "old.db")
    controller.start()
    assert api.get("/identities").status == 200
    flows.enroll_ott(controller, waiting["token"], tmp_path / "issued")
    is_whole_again(controller, api)
    controller.stop()

    back = run("database", "copy", "--to", "sqlite", url=url, data=controller.data)
    assert back.returncode == 0, back.stderr
    there = all_rows(controller)
    assert there != here
    controller.database = ""
    assert all_rows(controller) == there
    assert (controller.data / "zitilite.db").stat().st_mode & 0o777 == 0o600
    assert flows.sql(controller, "PRAGMA integrity_check") == [("ok",)]
    controller.start()
    is_whole_again(controller, api)
    controller.stop()


def is_whole_again(controller: Controller, api: Any) -> None:
    """A session from before still works, the triggers do theirs, the audit log is guarded."""
    key, _, _ = flows.with_password(api)
    [(enrolled,)] = flows.sql(controller, "SELECT is_enrolled FROM identity WHERE id = ?", key)
    assert enrolled
    with pytest.raises(Exception, match="only ever added to"):
        flows.sql(controller, "DELETE FROM audit")


def test_nothing_is_copied_under_a_running_controller(server, tmp_path):
    """Neither from its file, nor from its PostgreSQL database, wherever the controller runs."""
    one = Controller(tmp_path / "one", database="").start()
    url = server.new_database()
    done = run("database", "copy", "--to", "postgresql", url=url, data=one.data)
    assert done.returncode == 1
    assert "is in use by another zitilite" in done.stderr
    one.stop()
    two = Controller(tmp_path / "two", database=url).start()
    for folder, reason in ((two.data, "in use by another zitilite"), (tmp_path / "elsewhere", "stop them first")):
        back = run("database", "copy", "--to", "sqlite", url=url, data=folder)
        assert back.returncode == 1
        assert reason in back.stderr
        assert not (folder / "zitilite.db").exists()
    two.stop()
    again = run("database", "copy", "--to", url, url="", data=one.data)
    assert again.returncode == 1
    assert "already" in again.stderr


def test_a_copy_that_cannot_be_whole_is_not_made(server, tmp_path):
    """A target that has something in it is refused; a source that is not sound leaves the target empty."""
    controller = Controller(tmp_path / "one", database="").start()
    controller.stop()
    url = server.new_database()
    cluster.execute(url, "CREATE TABLE mine (a int)")
    done = run("database", "copy", "--to", "postgresql", url=url, data=controller.data)
    assert done.returncode == 1
    assert "is not empty, it has the table mine" in done.stderr
    url = server.new_database()
    with closing(sqlite3.connect(controller.data / "zitilite.db")) as lite, lite:
        lite.execute("INSERT INTO identity_attribute VALUES ('a', 'nobody')")
    done = run("database", "copy", "--to", "postgresql", url=url, data=controller.data)
    assert done.returncode == 1
    assert "fix-data-integrity" in done.stderr
    query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert cluster.execute(url, query) == [(0,)]


def test_backups_and_snapshots_are_sqlite_files(server, tmp_path):
    """A snapshot of a controller on PostgreSQL opens as a SQLite file with all rows; a backup can be restored."""
    controller = Controller(tmp_path / "one", database=server.new_database()).start()
    try:
        api = controller.admin()
        key = api.create("/identities", flows.identity_body())
        api.post("/database/snapshot").ok()
        (file,) = (controller.data / "snapshots").iterdir()
        with closing(sqlite3.connect(file)) as copy:
            assert copy.execute("SELECT count(*) FROM identity WHERE id = ?", (key,)).fetchone() == (1,)
        assert file.stat().st_mode & 0o777 == 0o600
    finally:
        controller.stop()
