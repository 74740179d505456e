"""Private keys that are encrypted on disk: from the first start or by a command, and what goes wrong with that."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controllers import CLIENT, ROOT, Controller
from tests.faults.load import OWN, PEM_TEXT, check_still_works, tokens
from tests.flows import PEM, enroll, served_certificate

PASSPHRASE = "correct horse battery staple"
LOCKED, PLAIN = "-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"


def keys(server: Controller) -> dict[str, str]:
    """The first line of each key file."""
    return {file.name: file.read_text().splitlines()[0] for file in sorted((server.data / "pki").glob("*.key"))}


def command(server: Controller, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    line = [sys.executable, "app.py", *words, "--data", str(server.data)]
    return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file with the passphrase, as `echo` or systemd would write it."""
    made = tmp_path / "passphrase"
    made.write_text(f"{PASSPHRASE}\n")
    made.chmod(0o600)
    return made


def refused_start(server: Controller) -> str:
    before = len(server.stderr())
    with pytest.raises(RuntimeError):
        server.start()
    said = server.stderr()[before:]
    assert "Traceback" not in said
    assert PASSPHRASE not in said
    return said


def test_from_the_first_start(make_controller, file):
    """Every key is encrypted, also new ones after a rollover; without the passphrase it does not start."""
    server = make_controller("--key-passphrase-file", str(file))
    check_still_works(server, server.admin())
    assert set(keys(server)) == {"root.key", "intermediate.key", "server.key"}
    assert set(keys(server).values()) == {LOCKED}
    for what in ("intermediate", "root"):
        server.admin().on(OWN).post("/certificates/rollover", {"what": what}).ok()
    assert len(keys(server)) > 3
    assert set(keys(server).values()) == {LOCKED}
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in (server.data / "pki").glob("*.key"))
    server.restart()
    check_still_works(server, server.admin())
    checks = {check["id"]: check["state"] for check in server.admin().on(OWN).get("/checks").ok()}
    assert checks["keys"] == "ok"
    server.stop()
    server.flags = ()
    assert "is encrypted: its passphrase is missing" in refused_start(server)
    wrong = file.with_name("wrong")
    wrong.write_text("another passphrase\n")
    server.flags = ("--key-passphrase-file", str(wrong))
    assert "encrypted with another passphrase" in refused_start(server)
    assert set(keys(server).values()) == {LOCKED}


def test_both_ways_by_a_command(make_controller, file):
    """`keys encrypt` and `keys decrypt`: the certificates, tokens and everything else stay what they were."""
    server = make_controller()
    api = server.admin()
    before = served_certificate(api)
    lot = tokens(api, 2)
    busy = command(server, "keys", "encrypt", ZITILITE_KEY_PASSPHRASE=PASSPHRASE)
    assert busy.returncode == 1
    assert "is in use by another zitilite" in busy.stderr
    server.stop()
    missing = command(server, "keys", "encrypt")
    assert missing.returncode == 2
    assert "the passphrase is missing" in missing.stderr
    done = command(server, "keys", "encrypt", "--key-passphrase-file", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("encrypted ") == 3
    assert set(keys(server).values()) == {LOCKED}
    assert command(server, "keys", "show").stdout.count("encrypted ") == 3
    # Again is harmless.
    assert command(server, "keys", "encrypt", "--key-passphrase-file", str(file)).returncode == 0
    server.variables = {"ZITILITE_KEY_PASSPHRASE": PASSPHRASE}
    server.start()
    assert served_certificate(server.api()) == before
    assert enroll(server.api().on(CLIENT), "ott", lot[0][1], PEM_TEXT, PEM).status == 200
    server.stop()
    wrong = command(server, "keys", "decrypt", ZITILITE_KEY_PASSPHRASE="another passphrase")
    assert wrong.returncode == 1
    assert "another passphrase than the one given" in wrong.stderr
    assert set(keys(server).values()) == {LOCKED}
    assert command(server, "keys", "decrypt", ZITILITE_KEY_PASSPHRASE=PASSPHRASE).returncode == 0
    assert set(keys(server).values()) == {PLAIN}
    server.variables = {}
    server.start()
    assert enroll(server.api().on(CLIENT), "ott", lot[1][1], PEM_TEXT, PEM).status == 200
    assert PASSPHRASE not in server.stderr()


def test_cut_off_in_the_middle(make_controller, file):
    """A folder with both kinds starts with the passphrase, and the command ends what it began."""
    server = make_controller()
    server.stop()
    kept = (server.data / "pki" / "server.key").read_bytes()
    assert command(server, "keys", "encrypt", "--key-passphrase-file", str(file)).returncode == 0
    (server.data / "pki" / "server.key").write_bytes(kept)
    server.flags = ("--key-passphrase-file", str(file))
    server.start()
    check_still_works(server, server.admin())
    server.stop()
    assert command(server, "keys", "encrypt", "--key-passphrase-file", str(file)).returncode == 0
    assert set(keys(server).values()) == {LOCKED}


def test_backup_and_restore(make_controller, tmp_path, file):
    """A backup holds the keys as they are: encrypted twice; restored, they need their passphrase again."""
    server = make_controller("--key-passphrase-file", str(file))
    api = server.admin()
    before = served_certificate(api)
    [(_, token)] = tokens(api, 1)
    made = api.on(OWN).create("/backups", {"passphrase": "of the backup"})
    report = api.on(OWN).post(f"/backups/{made}/check", {"passphrase": "of the backup"}).ok()
    assert report["good"] is True, report
    [backup] = (server.data / "backups").glob(f"{made}*")
    server.stop()
    there = Controller(tmp_path / "there", "--key-passphrase-file", str(file), admin_password=server.admin_password)
    done = command(there, "restore", str(backup), ZITILITE_BACKUP_PASSPHRASE="of the backup")
    assert done.returncode == 0, done.stderr
    assert set(keys(there).values()) == {LOCKED}
    try:
        there.url = server.url
        there.start()
        assert served_certificate(there.api()).public_key() == before.public_key()
        assert enroll(there.api(), "ott", token, PEM_TEXT, PEM).status == 200
    finally:
        there.stop()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--key-passphrase", "short"), "passphrase of 8 to 200 characters"),
        (("--key-passphrase-file", "/no/such/file"), "cannot be read"),
        (("--key-passphrase-file", os.devnull), "must be a passphrase of 8 to 200 characters"),
        (("--key-passphrase-file", os.devnull, "--key-passphrase", PASSPHRASE), "exclude each other"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, flags, words):
    server = Controller(tmp_path, *flags)
    said = refused_start(server)
    assert words in said
    assert "short" not in said.replace("short,", "")
