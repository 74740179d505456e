"""What can be wrong with a data folder: damage, keys gone or swapped, two owners, a start or an upgrade cut off."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import store
from migrations import MIGRATIONS
from tests.controllers import CLIENT, ROOT, Controller
from tests.faults.load import OWN, PEM_TEXT, check_still_works, check_whole, tokens
from tests.flows import PEM, enroll, sql

FORK = multiprocessing.get_context("fork")


def refused_start(server: Controller) -> str:
    """What the server says instead of starting."""
    before = len(server.stderr())
    with pytest.raises(RuntimeError):
        server.start()
    said = server.stderr()[before:]
    assert "Traceback" not in said
    return said


# --- the database


def damage(file: Path, table: str) -> None:
    """Overwrite the page in which a table begins."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchall()
    with file.open("r+b") as out:
        out.seek((page - 1) * size)
        out.write(os.urandom(size))


@pytest.mark.parametrize("table", ["enrollment", "spent_token"])
def test_damaged_page(make_controller, table):
    """Where a table cannot be read any more: 503 that says so, `doctor` finds it, a backup brings all back."""
    server = make_controller()
    api = server.admin()
    lot = tokens(api, 3)
    made = api.on(OWN).create("/backups", {"passphrase": "a good passphrase"})
    [backup] = (server.data / "backups").glob(f"{made}*")
    server.stop()
    found = {name for (name,) in sql(server, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert table in found, found
    damage(server.data / "zitilite.db", table)
    try:
        server.start()
    except RuntimeError as problem:
        said = str(problem).rpartition("--- stderr\n")[2]
        assert "damaged" in said or "Restore a backup" in said
        assert "Traceback" not in said
    else:
        answers = [enroll(server.api(), "ott", token, PEM_TEXT, PEM) for _, token in lot]
        assert {(a.status, a.code) for a in answers} == {(503, "STORAGE_UNAVAILABLE")}
        assert "damaged" in answers[0].error["cause"]["message"]
        server.stop()
    command = [sys.executable, "app.py", "doctor", "--data", str(server.data)]
    doctor = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert doctor.returncode != 0
    assert "fail " in doctor.stdout or "malformed" in doctor.stderr
    assert "Traceback" not in doctor.stderr
    restore = [sys.executable, "app.py", "restore", str(backup), "--data", str(server.data), "--force"]
    environment = {**os.environ, "ZITILITE_BACKUP_PASSPHRASE": "a good passphrase"}
    done = subprocess.run(restore, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    server.start()
    client = server.api().on(CLIENT)
    assert [enroll(client, "ott", token, PEM_TEXT, PEM).status for _, token in lot] == [200] * 3
    check_whole(server)


# --- keys


@pytest.mark.parametrize("names", [("server", "intermediate"), ("intermediate", "root")])
def test_swapped_keys(make_controller, names):
    """Two key files changed places: the start names the file and its certificate, and changes nothing."""
    server = make_controller()
    [(_, token)] = tokens(server.admin(), 1)
    server.stop()
    first, second = (server.data / "pki" / f"{name}.key" for name in names)
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    said = refused_start(server)
    assert "is not the key of" in said
    assert (first.read_bytes(), second.read_bytes()) == (contents[1], contents[0])
    first.write_bytes(contents[0])
    second.write_bytes(contents[1])
    server.start()
    assert enroll(server.api(), "ott", token, PEM_TEXT, PEM).status == 200


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_damaged_key(make_controller, content):
    server = make_controller()
    server.stop()
    file = server.data / "pki" / "intermediate.key"
    file.write_bytes(content)
    assert "intermediate.key does not hold a private key" in refused_start(server)
    assert file.read_bytes() == content


def test_keys_that_vanish_while_it_runs(make_controller):
    """What is in memory goes on to serve; `doctor` says what is missing before the next start does."""
    server = make_controller()
    api = server.admin()
    [(_, token)] = tokens(api, 1)
    for file in (server.data / "pki").glob("*.key"):
        file.unlink()
    assert enroll(api, "ott", token, PEM_TEXT, PEM).status == 200
    checks = {check["id"]: check for check in api.on(OWN).get("/checks").ok()}
    assert checks["keys"]["state"] == "fail"
    assert "intermediate.key is missing" in checks["keys"]["detail"]


# --- two starts


def test_five_starts_at_once_on_a_new_folder(tmp_path):
    """One of them makes the controller; the others say who has it; there is one administrator and one CA."""
    servers = [Controller(tmp_path, admin_password="one for all") for _ in range(5)]
    for number, server in enumerate(servers):
        server.log = tmp_path / f"stderr{number}.log"

    def start(server: Controller) -> bool:
        try:
            server.start()
        except RuntimeError:
            return False
        return True

    try:
        with ThreadPoolExecutor(5) as pool:
            started = list(pool.map(start, servers))
        assert started.count(True) == 1
        [running] = [server for server, ok in zip(servers, started, strict=True) if ok]
        for server in servers:
            if server is not running:
                assert "is in use by another zitilite" in server.stderr()
                assert "Traceback" not in server.stderr()
        check_still_works(running, running.admin())
        assert sql(running, "SELECT count(*) FROM identity WHERE is_default_admin") == [(1,)]
    finally:
        for server in servers:
            server.stop()


# --- cut off


def test_first_starts_cut_off(quick):
    """Killed at any moment of its first start, twenty times: the next start ends it, and the administrator gets in."""
    chance = random.Random(20261123)
    for _ in range(5):
        server = quick()
        for _ in range(4):
            server.begin()
            threading.Event().wait(chance.uniform(0, 0.5))
            server.kill()
        server.start()
        check_still_works(server, server.admin())
        check_whole(server)
        assert sql(server, "SELECT count(*) FROM identity WHERE is_default_admin") == [(1,)]
        server.kill()


NEWER = [
    [f"CREATE TABLE extra_{n}_{i} (a INTEGER PRIMARY KEY, b TEXT)" for i in range(60)]
    + [f"INSERT INTO extra_{n}_{i} SELECT value, 'x' FROM json_each('[1,2,3,4,5]')" for i in range(60)]
    for n in range(12)
]


def upgrade(file: Path) -> None:
    """What the start of a later version would do with the database."""
    store.open_database(file, [*MIGRATIONS, *NEWER])
    store.close()


def test_upgrade_cut_off(make_controller):
    """Killed anywhere in a migration: the schema is that of one version, whole; the next start goes on from there."""
    server = make_controller()
    lot = tokens(server.admin(), 5)
    server.stop()
    file = server.data / "zitilite.db"
    released = len(MIGRATIONS)
    chance = random.Random(20261124)
    seen = set()
    for number in range(400):
        child = FORK.Process(target=upgrade, args=(file,))
        child.start()
        # Short at first: a fast machine would be through before the first kill.
        child.join(chance.uniform(0, 0.002 * (1 + number / 4)))
        child.kill()
        child.join(20)
        with closing(sqlite3.connect(file, timeout=20)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'extra_%'")]
            rows = sum(connection.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in names)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert (len(names), rows) == (60 * (version - released), 300 * (version - released)), f"after {number} kills"
        seen.add(version)
        if version == released + len(NEWER):
            break
    assert version == released + len(NEWER)
    assert len(seen) >= 3, f"killed between versions {seen}"
    # The data is what it was: the released program would refuse a newer schema, so the number goes back.
    with closing(sqlite3.connect(file)) as connection, connection:
        for name in names:
            connection.execute(f"DROP TABLE {name}")
        connection.execute(f"PRAGMA user_version = {released}")
    server.start()
    client = server.api().on(CLIENT)
    assert [enroll(client, "ott", token, PEM_TEXT, PEM).status for _, token in lot] == [200] * 5
    check_whole(server)
