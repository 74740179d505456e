"""A PostgreSQL cluster of our own, made by Debian's programs in a temporary folder, on a Unix socket."""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# Seen by tests/controllers.py: every controller of a test run gets a PostgreSQL database of its own.
VARIABLE = "ZITILITE_TEST_DATABASE"
PASSWORD = "secret-" + secrets.token_hex(8)
# Of fast tests: nothing here must survive a power cut.
OPTIONS = (
    "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c synchronous_commit=off "
    "-c max_connections=200 -c shared_buffers=32MB"
)
USER = "zitilite"


# What cannot be the same there, and why; all else holds for both.
_FILE = "damages or reads the SQLite file itself"
_RESTORE = "a restore gives a SQLite file; tests/test_postgres.py copies one to PostgreSQL and back"
_PACE = "a bulk request takes two to three times as long there: every statement is a round trip"
ONLY_SQLITE = {
    "test_attempts.py::test_slow_listener_holds_nobody_up_and_misses_nothing": "fills the log by SQLite's functions",
    "test_backups.py::test_a_restore_that_was_cut_off_is_noticed": _RESTORE,
    "test_backups.py::test_restore_on_another_machine_with_another_address": _RESTORE,
    "test_backups.py::test_restore_spares_what_is_there": _RESTORE,
    "test_bulk.py::test_a_large_body_is_for_callers_with_credentials": _PACE,
    "test_bulk.py::test_ten_thousand_with_tokens_in_one_request": _PACE,
    "test_chosen_settings.py::test_the_backup_clock_is_set_while_it_runs": _RESTORE,
    "test_crash.py": _FILE,
    "test_database.py::test_a_snapshot_can_be_restored": _RESTORE,
    "test_database.py::test_damage_is_found_and_repaired": "the server refuses such damage: it enforces references",
    "test_doctor.py::test_a_damaged_database": _FILE,
    "test_doctor.py::test_schema_of_another_version": _FILE,
    "test_exports.py::test_many": _PACE,
    "test_no_secret_is_logged.py::test_logs_in_the_database": _FILE,
    "test_recovery_kit.py::test_its_own_words_put_the_controller_up_again": _RESTORE,
    "test_roles.py": "works on a SQLite file inside the test's own process",
    "test_secrets.py::test_database_holds_no_password": _FILE,
    "test_start.py::test_damaged_database_is_named": _FILE,
    "test_start.py::test_newer_database_is_refused": _FILE,
    "test_store.py": "is about the SQLite file; tests/test_postgres.py has its counterparts",
}


def only_sqlite(test: str) -> str:
    """Why a test (its node id) has to do with SQLite only, "" when it has not."""
    return next((reason for name, reason in ONLY_SQLITE.items() if name in test), "")


def wanted() -> bool:
    """Whether the whole test run is to be on PostgreSQL."""
    return os.environ.get(VARIABLE, "") not in ("", "sqlite")


def program(name: str) -> Path | None:
    """Where one of PostgreSQL's programs is: Debian keeps those of each version apart; the newest counts."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    on_path = shutil.which(name)
    return found[-1] if found else Path(on_path) if on_path else None


def missing() -> str:
    """Why there can be no cluster here, "" when there can."""
    absent = [name for name in ("initdb", "pg_ctl", "postgres") if program(name) is None]
    if absent:
        return f"PostgreSQL's programs are not on this machine: {', '.join(absent)} (Debian: apt install postgresql)"
    try:
        import psycopg
    except ImportError:
        return "the driver psycopg is not installed"
    return "" if psycopg.__version__ else "the driver psycopg cannot be used"


class Cluster:
    """A running server and its superuser."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "socket"
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            user = next(name for name in ("postgres", "nobody") if _exists(name))
            account = pwd.getpwnam(user)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        for path in (folder, self.socket):
            path.mkdir(mode=0o700, exist_ok=True)
            if self._as:
                os.chown(path, self._as["user"], self._as["group"])

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(program(name)), *arguments]
        output = self.folder / f"{name}.out"
        # Into a file: a server that pg_ctl starts would keep a pipe open.
        with output.open("wb") as file:
            done = subprocess.run(
                command, cwd=self.folder, stdout=file, stderr=subprocess.STDOUT, timeout=120, check=False, **self._as
            )
        assert done.returncode == 0, f"{' '.join(command)}\n{output.read_text(errors='replace')}"

    def create(self) -> Cluster:
        """Make the files and start."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self._as:
            os.chown(password, self._as["user"], self._as["group"])
        self._run(
            "initdb", "-D", "data", "-U", USER, "--pwfile", str(password), "-A", "scram-sha-256", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        password.unlink()
        return self.start()

    def start(self) -> Cluster:
        """Start the server and wait for it."""
        options = f"{OPTIONS} -c unix_socket_directories={self.socket}"
        self._run("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "server.log", "-o", options, "start")
        return self

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` throws all connections out, as a crash does."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """End it and forget all its data."""
        with contextlib.suppress(AssertionError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        """The URL of one of its databases, with the password."""
        return f"postgresql://{USER}:{PASSWORD}@/{name}?host={self.socket}"

    def new_database(self, options: str = "") -> str:
        """Make an empty database; gives its URL."""
        name = f"t{secrets.token_hex(6)}"
        self.execute("postgres", f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def execute(self, name: str, statement: str, *values: Any) -> list[Any]:
        """Run a statement in one of its databases."""
        return execute(self.url(name), statement, *values)


def execute(url: str, statement: str, *values: Any) -> list[Any]:
    """Run one statement through a connection of its own; gives the rows."""
    import psycopg

    with contextlib.closing(psycopg.connect(url, autocommit=True)) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def _exists(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


@cache
def shared() -> Cluster:
    """The cluster of this test process, made when first asked for. Skips the test where there can be none."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    made = Cluster(Path(tempfile.mkdtemp(prefix="zt-pg-"))).create()
    atexit.register(made.remove)
    return made


@contextlib.contextmanager
def own() -> Iterator[Cluster]:
    """A cluster for a test that stops it. Skips the test where there can be none."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    made = Cluster(Path(tempfile.mkdtemp(prefix="zt-pg-"))).create()
    try:
        yield made
    finally:
        made.remove()
