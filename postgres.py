"""PostgreSQL in place of the SQLite file (docs/adr/0013): all that is different there, and nowhere else.

Everything above writes SQL as SQLite has it, through peewee. What PostgreSQL calls otherwise is put into its words
here: while peewee compiles a query (`_Context`), by functions that the database gets (`FUNCTIONS`), and for the schema
by `translated`, so that both have one list of migrations. Errors keep SQLite's words.

One writer at a time over all processes, as with SQLite: a write transaction begins with an advisory lock.
"""

from __future__ import annotations

import logging
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import peewee

log = logging.getLogger("zitilite.store")
SCHEMES = ("postgresql://", "postgres://")
MIN_VERSION = 130000
# Statements that each connection keeps compiled.
PREPARED = 400
# Of the write lock, within one database.
LOCK_KEY = 0x7A697469
# A process that hangs, or whose machine is gone, must not keep the others from writing for ever.
_SESSION = {
    "lock_timeout": "300s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
    "client_min_messages": "warning",
}
_CONNECT = {
    "connect_timeout": "5",
    "application_name": "zitilite",
    "keepalives_idle": "30",
    "tcp_user_timeout": "30000",
}

# What SQLite calls so; documents are text there, and here.
# NUL, which texts cannot have there, stays readable in documents.
FUNCTIONS = (
    """CREATE OR REPLACE FUNCTION json_each(doc text) RETURNS TABLE(value text) LANGUAGE sql IMMUTABLE ROWS 10 AS
    $$ SELECT e FROM json_array_elements_text(replace(doc, '\\u0000', '\\ufffd')::json) AS t(e) $$""",
    """CREATE OR REPLACE FUNCTION json_at(doc text, path text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN doc <> '{}' THEN jsonb_path_query_first(
      replace(doc, '\\u0000', '\\ufffd')::jsonb, ('strict ' || path)::jsonpath, '{}', true) END $$""",
    """CREATE OR REPLACE FUNCTION json_extract(doc text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN doc <> '{}' THEN json_at(doc, path) #>> '{}' END $$""",
    """CREATE OR REPLACE FUNCTION json_kind(found jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE jsonb_typeof(found) WHEN 'string' THEN 'text' WHEN 'boolean' THEN found::text
      WHEN 'number' THEN CASE WHEN found::text ~ '[.eE]' THEN 'real' ELSE 'integer' END
      ELSE jsonb_typeof(found) END $$""",
    """CREATE OR REPLACE FUNCTION json_type(doc text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN doc <> '{}' THEN json_kind(json_at(doc, path)) END $$""",
)


class Unusable(Exception):  # noqa: N818 - the store makes its own error of it
    """This database cannot be used; the text says why and what to do, without the password."""


def is_url(text: str) -> bool:
    """Whether a text names a PostgreSQL database."""
    return text.startswith(SCHEMES)


def shown(url: str) -> str:
    """A URL for people: without password and parameters."""
    try:
        parts = urlsplit(url)
        user = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "postgresql://…"
    return f"postgresql://{user}{parts.hostname or ''}{port}{parts.path}"


def parameters(url: str) -> dict[str, Any]:
    """What libpq connects with. Raises Unusable for no URL of that kind, and when the driver is missing."""
    try:
        from psycopg import ProgrammingError, conninfo  # noqa: PLC0415 - only who needs it has it
    except ImportError:
        raise Unusable(
            "PostgreSQL needs the driver psycopg: `pip install 'psycopg[binary]'` (requirements-postgresql.txt)"
        ) from None
    try:
        given = conninfo.conninfo_to_dict(url)
    except ProgrammingError:
        # The reason may repeat a part of the password.
        raise Unusable(
            f"{shown(url)} is no URL that PostgreSQL understands: postgresql://USER:PASSWORD@HOST:PORT/NAME, "
            "special characters in it as %XX"
        ) from None
    options = " ".join([*(f"-c {k}={v}" for k, v in _SESSION.items()), str(given.pop("options", ""))])
    return {**_CONNECT, **given, "options": options}


# --- the words of queries


def _regex(glob: str) -> str:
    """A pattern of GLOB as a regular expression; what `*` lets through at both ends needs none."""
    parts = []
    for found in re.finditer(r"\[(.[^\]]*)\]|(.)", glob.strip("*"), re.DOTALL):
        if found[1] is not None:
            parts.append("[" + "".join(f"\\{c}" if c in "]^-[\\" else c for c in found[1]) + "]")
        else:
            char = found[2]
            parts.append(
                {"*": ".*", "?": "."}.get(char) or (char if char.isalnum() or ord(char) > 127 else f"\\{char}")
            )
    return ("" if glob.startswith("*") else "^") + "".join(parts) + ("" if glob.endswith("*") else "$")


class _Context(peewee.Context):
    """Writes SQL for PostgreSQL out of what was built for SQLite."""

    __slots__ = ()
    NAMES = {"IFNULL": "COALESCE", "INSTR": "STRPOS"}  # noqa: RUF012 - never written to

    def as_new(self) -> Any:
        """An empty one of the same kind."""
        return type(self)(**self.state.settings)

    def sql(self, obj: Any) -> Any:
        """Add one part of a query."""
        if isinstance(obj, peewee.Ordering) and obj.nulls is None and not _is_filled(obj.node):
            # SQLite takes NULL for the smallest.
            nulls = "FIRST" if obj.direction == "ASC" else "LAST"
            obj = peewee.Ordering(obj.node, obj.direction, obj.collation, nulls)
        elif isinstance(obj, peewee.Function):
            name = obj.name.upper()
            if name == "GLOB":
                pattern, value = obj.arguments
                return self.literal("(").sql(value).literal(" ~ ").value(_regex(pattern), False).literal(")")  # noqa: FBT003
            if name in self.NAMES:
                renamed = obj.clone()
                renamed.name = self.NAMES[name]
                obj = renamed
        return super().sql(obj)


def _is_filled(node: Any) -> bool:
    return isinstance(node, peewee.Field) and not node.null


# --- the words of the schema

_TYPES = (
    (re.compile(r'("\w+") INTEGER NOT NULL PRIMARY KEY'), r"\1 BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    (re.compile(r'("\w+") INTEGER\b'), r"\1 BIGINT"),
    (re.compile(r'("\w+") TEXT\b'), r'\1 TEXT COLLATE "C"'),
    (re.compile(r"\) WITHOUT ROWID$"), ")"),
)
_VIEW = (
    (re.compile(r"strftime\('%s', 'now'\) \* 1000"), "(extract(epoch FROM now()) * 1000)::bigint"),
    (re.compile(r"\bmin\("), "least("),
)
_TRIGGER = re.compile(
    r'CREATE TRIGGER (?P<safe>IF NOT EXISTS )?"?(?P<name>\w+)"? (?P<when>BEFORE|AFTER) '
    r'(?P<event>INSERT|DELETE|UPDATE(?: OF .+?)?) ON "?(?P<table>\w+)"?(?: WHEN (?P<condition>.+?))? '
    r"BEGIN (?P<body>.+); END"
)
_ABORT = re.compile(r"SELECT RAISE\(ABORT, ('[^']*')\)")


def translated(statement: str) -> Iterator[str]:
    """A statement that defines something, as SQLite has it, in PostgreSQL's words: the statements that do the same."""
    text = " ".join(statement.split())
    if text.startswith("CREATE TRIGGER"):
        yield from _trigger(text)
        return
    if text.startswith("CREATE TABLE"):
        for pattern, replacement in _TYPES:
            text = pattern.sub(replacement, text)
    elif text.startswith("CREATE VIEW"):
        for pattern, replacement in _VIEW:
            text = pattern.sub(replacement, text)
    yield text


def _trigger(text: str) -> Iterator[str]:
    parts = _TRIGGER.fullmatch(text)
    assert parts is not None, text
    name = parts["name"]
    # The row that goes on; what comes after the change is not asked.
    row = "NULL" if parts["when"] == "AFTER" else "OLD" if parts["event"] == "DELETE" else "NEW"
    body = _ABORT.sub(r"RAISE EXCEPTION \1 USING ERRCODE = 'integrity_constraint_violation'", parts["body"])
    condition = (parts["condition"] or "TRUE").replace("AS INTEGER", "AS BIGINT")
    yield (
        f'CREATE OR REPLACE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN '
        f"IF {condition} THEN {body}; END IF; RETURN {row}; END $$"
    )
    make = f'CREATE TRIGGER "{name}" {parts["when"]} {parts["event"]} ON "{parts["table"]}" FOR EACH ROW '
    make += f'EXECUTE FUNCTION "{name}"()'
    if parts["safe"]:
        known = f"SELECT 1 FROM pg_trigger WHERE tgname = '{name}' AND tgrelid = '\"{parts['table']}\"'::regclass"  # noqa: S608 - our names
        make = f"DO $$ BEGIN IF NOT EXISTS ({known}) THEN {make}; END IF; END $$"
    yield make


# --- the database

_NUL_IS_ANOTHER = re.compile(r'SELECT|DELETE|INSERT INTO "(attempt|audit)"')


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


class _Driver(peewee.Psycopg3Adapter):
    """psycopg 3, imported when it is needed: the store keeps peewee from doing so."""

    def __init__(self) -> None:
        import psycopg  # noqa: PLC0415 - only who needs it has it

        self._connect = psycopg.connect
        status = psycopg.pq.TransactionStatus
        self.txn_idle, self.txn_inerror, self.txn_unknown = status.IDLE, status.INERROR, status.UNKNOWN
        self.json_type = self.jsonb_type = None
        self.cast_json_case = False

    def check_driver(self) -> None:
        """It is there, or this would not be."""

    def connect(self, db: Any, **params: Any) -> Any:
        """Connect to the database that it was made for."""
        return self._connect(dbname=db.database, **params)


class Postgres(peewee.PostgresqlDatabase):
    """A PostgreSQL database that understands what is said to SQLite.

    A connection that was lost outside of a transaction is made anew, and what was asked for is asked again.
    """

    context_class = _Context
    psycopg2_adapter = psycopg3_adapter = _Driver

    def __init__(self, url: str) -> None:
        self.shown, self._url = shown(url), url
        given = parameters(url)
        super().__init__(given.pop("dbname", ""), **given)
        # A child process that is forked off makes connections of its own; psycopg leaves the parent's alone there.
        os.register_at_fork(after_in_child=self._state.reset)

    def another(self) -> Postgres:
        """The same database with connections of its own."""
        return type(self)(self._url)

    def _connect(self) -> Any:
        connection = super()._connect()
        connection.prepared_max = PREPARED
        # A server may be set to answer before a commit is on disk; we must not (docs/adr/0002).
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        return connection

    def begin(self, isolation_level: str | None = None) -> None:
        """Begin a transaction: IMMEDIATE one that writes, DEFERRED one that sees a single moment."""
        words = {
            "IMMEDIATE": f"BEGIN; SELECT pg_advisory_xact_lock({LOCK_KEY})",
            "DEFERRED": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
        statement = words.get(isolation_level or "", "BEGIN")
        self._drop_lost()
        try:
            self.define(statement)
        except peewee.OperationalError:
            if not self._drop_lost():
                self._leave()
                raise
            self.define(statement)

    def savepoint(self) -> Any:
        """A savepoint. All have one name, which stands for the latest: other names would make other statements."""
        return peewee._savepoint(self, sid="s")  # noqa: SLF001 - as peewee's own does

    def _leave(self) -> None:
        """End what a `begin` that waited in vain has begun."""
        if not self.is_closed():
            self._state.conn.rollback()

    def define(self, statement: str) -> Any:
        """Run a statement as it is, without values; it may be several."""
        with peewee.__exception_wrapper__:
            return self.cursor().execute(statement, prepare=False)

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement. Raises peewee's errors, those of constraints in SQLite's words."""
        try:
            if not self.in_transaction():
                self._drop_lost()
            return super().execute_sql(sql, params)
        except peewee.DataError:
            # No text can have NUL there: nothing is found by one, and a log says that there was one.
            if not _NUL_IS_ANOTHER.match(sql) or not any(_has_nul(value) for value in params or ()):
                raise
            changed = [value.replace("\0", "\ufffd") if _has_nul(value) else value for value in params]
            return super().execute_sql(sql, changed)
        except peewee.IntegrityError as e:
            raise peewee.IntegrityError(_as_sqlite_says(getattr(e, "orig", e))) from e
        except (peewee.OperationalError, peewee.InterfaceError):
            # What reads outside of a transaction can be asked twice.
            if self.in_transaction() or not self._drop_lost():
                raise
            return super().execute_sql(sql, params)

    def _drop_lost(self) -> bool:
        """Forget this thread's connection if it is no more; the next statement makes another."""
        if self.is_closed() or not self._state.conn.closed:
            return False
        log.warning("the connection to %s was lost; connecting again", self.shown)
        self._state.reset()
        return True

    def rollback(self) -> None:
        """Undo the transaction; that of a lost connection was undone by the server."""
        if not self._drop_lost():
            super().rollback()

    def leads(self, task: str) -> bool:
        """Whether this thread's connection holds the lock of a task, now that it has tried to get it."""
        key = zlib.crc32(task.encode()) - 2**31
        held = (
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = %s "
            "AND objid = (%s::bigint & 4294967295)::oid AND objsubid = 2"
        )
        row = self.execute_sql(
            f"SELECT EXISTS ({held}) OR pg_try_advisory_lock(%s, %s)",
            (LOCK_KEY, key, LOCK_KEY, key),
        ).fetchone()
        return bool(row[0])

    def conflict_update(self, oc: Any, query: Any) -> Any:
        """What ON CONFLICT does; REPLACE is one that writes all columns anew."""
        if (oc._action or "").upper() == "REPLACE":  # noqa: SLF001 - as peewee's own do
            meta = query.model._meta  # noqa: SLF001
            keys = meta.get_primary_keys()
            names = {f.name for f in keys}  # fields are not compared: that would make an expression
            others = [f for f in meta.sorted_fields if f.name not in names]
            oc = peewee.OnConflict("update", preserve=others, conflict_target=keys)
        return super().conflict_update(oc, query)

    def conflict_statement(self, oc: Any, query: Any) -> Any:
        """Nothing: it stands at the end."""

    # --- opening

    def open(self, migrations: Sequence[Sequence[str]]) -> int:
        """Connect and bring the schema up to date; gives the version found. Raises Unusable, peewee's errors."""
        self.require_usable()
        with self.atomic("IMMEDIATE"):
            self.define("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
            found = self.version()
            if found > len(migrations):
                raise Unusable(
                    f"the database has schema {found}, this version knows {len(migrations)}: "
                    "it was written by a newer zitilite. Install that version, or restore a backup."
                )
            for function in FUNCTIONS:
                self.define(function)
            for number in range(found, len(migrations)):
                for statement in migrations[number]:
                    for one in translated(statement):
                        self.define(one)
            if found < len(migrations):
                self.define("DELETE FROM schema_version")
                self.execute_sql("INSERT INTO schema_version VALUES (%s)", (len(migrations),))
        return found

    def require_usable(self) -> None:
        """Connect, and see that the server is new enough and the database made for UTF-8."""
        self.connect(reuse_if_open=True)
        if self.server_version < MIN_VERSION:
            raise Unusable(f"the server of {self.shown} is older than PostgreSQL {MIN_VERSION // 10000}")
        encoding = self.execute_sql("SHOW server_encoding").fetchone()[0]
        if encoding != "UTF8":
            raise Unusable(f"{self.shown} is kept in {encoding}: make it with ENCODING 'UTF8' TEMPLATE template0")

    def version(self) -> int:
        """How many migrations were applied; 0 for an empty database."""
        if self.execute_sql("SELECT to_regclass('schema_version')").fetchone()[0] is None:
            return 0
        row = self.execute_sql("SELECT version FROM schema_version").fetchone()
        return int(row[0]) if row else 0


def _as_sqlite_says(e: Any) -> str:
    """The message of a constraint: others read table and column out of it."""
    diag, kind = getattr(e, "diag", None), type(e).__name__
    if diag is None:
        return str(e)
    if kind == "UniqueViolation":
        columns = re.match(r"Key \((.+?)\)=", diag.message_detail or "")
        names = columns[1].replace('"', "").split(", ") if columns else ["?"]
        return "UNIQUE constraint failed: " + ", ".join(f"{diag.table_name}.{name}" for name in names)
    if kind == "ForeignKeyViolation":
        return "FOREIGN KEY constraint failed"
    if kind == "NotNullViolation":
        return f"NOT NULL constraint failed: {diag.table_name}.{diag.column_name}"
    return str(diag.message_primary)
