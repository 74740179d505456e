"""Does anything need care: the checks of a running controller, and of a data folder from outside."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

import config
import store
from domain.care import doctor
from migrations import MIGRATIONS
from tests.certificates import CA
from tests.controllers import Controller
from tests.flows import ca_body, import_ca, in_the_past, pending, sql, unique, wait_until, with_password
from tests.test_crls import crl, put

OWN = "/zitilite/v1"
SCHEMA = len(MIGRATIONS)
DAY_MS = 86_400_000


def settings_of(server: Controller, **more) -> config.Settings:
    return config.load({"data": str(server.data), "database": server.database, **more}, {})


def found(server: Controller, **more) -> dict[str, doctor.Check]:
    return {c.id: c for c in doctor.run_offline(settings_of(server, **more), SCHEMA)}


@pytest.fixture
def server(make_controller) -> Controller:
    """A controller with a backup of its own, so that nothing needs care."""
    made: Controller = make_controller()
    folder = made.data / "backups"
    folder.mkdir()
    (folder / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-manual-0000.age").write_bytes(b"")
    return made


def test_a_healthy_controller(server):
    """All is well, seen from inside and from outside; both see the same."""
    own = server.admin().on(OWN)
    answer = wait_until(lambda: (a := own.get("/checks")) and "not checked" not in str(a.body) and a)
    rows = {row["id"]: row for row in answer.ok()}
    assert {row["state"] for row in rows.values()} == {"ok"}, rows
    assert answer.body["meta"]["states"] == {"ok": len(rows), "warn": 0, "fail": 0}
    outside = found(server)
    assert outside.keys() == rows.keys()
    assert doctor.exit_code(list(outside.values())) == 0
    assert all(line.startswith("ok") for line in doctor.lines(list(outside.values())))


def test_a_stopped_controller_does_not_answer(server):
    server.stop()
    checks = found(server)
    check = checks[f"address-127.0.0.1:{server.port}"]
    assert (check.state, "does not answer" in check.detail) == ("warn", True)
    assert doctor.exit_code(list(checks.values())) == 1
    lines = doctor.lines(list(checks.values()))
    at = lines.index(f"warn  {check.title}: {check.detail}")
    assert lines[at + 1] == f"      -> {check.advice}"


def set_end(server: Controller, kind: str, end: datetime) -> None:
    """Let the index say that a certificate ends at another time: nothing else tells the checks."""
    ms = int(end.timestamp() * 1000)
    where = "fingerprint IN (SELECT fingerprint FROM own_certificate WHERE kind = ?)"
    sql(server, f"UPDATE certificate_fact SET not_after = ? WHERE {where}", ms, kind)


@pytest.mark.parametrize("kind", ["root", "intermediate", "server"])
def test_own_certificates_that_end(server, kind):
    """Late is a warning, over is a failure; the exit code says which."""
    now = datetime.now(UTC)
    for end, state, code in ((timedelta(seconds=20), "warn", 1), (timedelta(days=-1), "fail", 2)):
        set_end(server, kind, now + end)
        checks = found(server)
        assert (checks[f"own-{kind}"].state, bool(checks[f"own-{kind}"].advice)) == (state, True)
        assert doctor.exit_code(list(checks.values())) == code


def test_modes_and_keys(server):
    (server.data / "pki" / "root.key").chmod(0o644)
    assert "chmod 600" in found(server)["keys"].detail
    (server.data / "pki" / "root.key").chmod(0o600)
    (server.data / "pki" / "server.key").write_bytes((server.data / "pki" / "root.key").read_bytes())
    check = found(server)["keys"]
    assert (check.state, "not the key of server.cert" in check.detail) == ("fail", True)
    server.data.chmod(0o777)
    assert found(server)["data-folder"].state == "fail"


def test_a_damaged_database(server):
    server.stop()
    file = server.data / "zitilite.db"
    content = bytearray(file.read_bytes())
    content[8192:12288] = os.urandom(4096)
    file.write_bytes(content)
    checks = doctor.run_offline(settings_of(server), SCHEMA)
    assert doctor.exit_code(checks) == 2
    assert {c.id: c.state for c in checks}["database"] == "fail"
    file.write_bytes(b"no database" * 1000)
    checks = doctor.run_offline(settings_of(server), SCHEMA)
    assert [(c.id, c.state) for c in checks] == [("database", "fail")]


def test_schema_of_another_version(server):
    server.stop()
    for schema, state in ((SCHEMA + 1, "fail"), (0, "warn")):
        with closing(sqlite3.connect(server.data / "zitilite.db")) as connection:
            connection.execute(f"PRAGMA user_version = {schema:d}")
        checks = found(server)
        assert checks["schema"].state == state
        assert "tokens" not in checks
        assert sqlite3.connect(server.data / "zitilite.db").execute("PRAGMA user_version").fetchone() == (schema,)


def test_a_clock_that_went_back(server):
    later = int(time.time() * 1000) + DAY_MS
    sql(server, "UPDATE own_certificate SET created_at = ?", later)
    check = found(server)["clock"]
    assert (check.state, "NTP" in check.advice) == ("fail", True)


def test_tokens_cas_and_lists(server):
    api = server.admin()
    _, enrollment = pending(api, "ott")
    sql(server, "UPDATE enrollment SET expires_at = ?", in_the_past())
    unverified = api.create("/cas", ca_body(CA.root(unique("root")).pem))
    root = CA.root(unique("root"), ends=timedelta(days=3), starts=timedelta(days=-300))
    ca = import_ca(api, root)
    put(api.on(OWN), ca, crl(root, age=timedelta(days=20))).ok()
    checks = found(server)
    assert checks["tokens"].detail.startswith("1 ")
    assert api.detail("/cas", unverified)["verificationToken"] in checks[f"ca-{unverified}"].advice
    assert "0 expired, 1 expiring" in checks["expiry-ca"].detail
    assert "good until" in checks[f"crl-{ca}"].detail
    for name in ("tokens", f"ca-{unverified}", "expiry-ca", f"crl-{ca}"):
        assert checks[name].state == "warn"
        assert checks[name].about
    assert enrollment["token"] not in str(checks)


def test_addresses(server, make_controller):
    """A name that leads nowhere is worth a warning; an issuer that is somebody else is a failure."""
    own = server.admin().on(OWN)
    own.create("/addresses", {"address": "nowhere.invalid"})
    other = make_controller()
    own.create("/addresses", {"address": f"127.0.0.1:{other.port}", "isIssuer": True})
    checks = found(server)
    assert checks[f"address-nowhere.invalid:{server.port}"].state == "warn"
    assert checks[f"address-127.0.0.1:{other.port}"].state == "fail"
    rows = wait_until(lambda: [r for r in own.get("/checks").ok() if r["state"] == "fail"])
    assert [row["id"] for row in rows] == [f"address-127.0.0.1:{other.port}"]
    assert own.get("/checks").ok()[0]["state"] == "fail"


def test_backups(server):
    """None for long is worth a warning; one that is due by the schedule and is not there is a failure."""
    (file,) = (server.data / "backups").iterdir()
    old = file.with_name("20200101-000000-auto-0000.age")
    file.rename(old)
    assert found(server)["backup"].state == "warn"
    flags = {"backup_hours": "24", "backup_passphrase": "long enough"}
    assert found(server, **flags)["backup"].state == "fail"
    old.unlink()
    assert "there is none" in found(server)["backup"].detail


def test_no_controller_and_no_right(tmp_path, server):
    with pytest.raises(store.StoreError, match="holds no controller"):
        doctor.run_offline(config.load({"data": str(tmp_path)}, {}), SCHEMA)
    _, name, password = with_password(server.admin())
    assert server.api().login(name, password).on(OWN).get("/checks").status == 401
