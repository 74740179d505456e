"""Backups: one encrypted file, made while the server runs; looked at, put back on another machine."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
from pathlib import Path

import pyrage
import pytest
import requests

from domain.care import archive
from migrations import MIGRATIONS
from tests.controllers import Controller
from tests.flows import certified, login, pending, served_certificate, unique, wait_until

OWN = "/zitilite/v1"
PASSPHRASE = "correct horse battery"
SCHEMA = len(MIGRATIONS)


@pytest.fixture
def made(make_controller, tmp_path):
    """A server with an enrolled identity and a backup; gives the server, its client and the file."""
    server = make_controller()
    folder = tmp_path / "client"
    folder.mkdir()
    _, _, client = certified(server, server.admin(), folder)
    own = server.admin().on(OWN)
    key = own.create("/backups", {"passphrase": PASSPHRASE})
    return server, client, server.data / "backups" / f"{key}.age"


def opened(backup: Path) -> dict[str, bytes]:
    plain = pyrage.passphrase.decrypt(backup.read_bytes(), PASSPHRASE)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}


def sealed(file: Path, files: dict[str, bytes]) -> Path:
    """Write a backup with other contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    file.write_bytes(pyrage.passphrase.encrypt(buffer.getvalue(), PASSPHRASE))
    return file


def test_a_backup_is_a_plain_age_file_with_a_tar_in_it(made):
    """What the standard tools see: header, scrypt recipient, and files whose hashes the manifest has."""
    server, _, file = made
    head = file.read_bytes()[:200].split(b"\n")
    assert head[0] == b"age-encryption.org/v1"
    assert head[1].startswith(b"-> scrypt ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    files = opened(file)
    assert next(iter(files)) == "manifest.json"
    manifest = json.loads(files.pop("manifest.json"))
    assert {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} == {
        name: one["sha256"] for name, one in manifest["files"].items()
    }
    expected = {"zitilite.db", *(f"pki/{n}.{k}" for n in ("root", "intermediate", "server") for k in ("key", "cert"))}
    assert set(files) == expected
    assert manifest["addresses"] == [f"127.0.0.1:{server.port}"]
    assert server.admin_password not in json.dumps(manifest)


def test_list_detail_content_and_delete(made):
    server, _, file = made
    own = server.admin().on(OWN)
    second = own.create("/backups", {"passphrase": PASSPHRASE})
    rows = own.get("/backups").ok()
    assert {row["id"] for row in rows} == {file.stem, second}
    assert all(row["kind"] == "manual" for row in rows)
    assert [row["id"] for row in own.get("/backups", filter=f'id = "{second}"').ok()] == [second]
    assert own.get("/backups", limit=1).body["meta"]["pagination"]["totalCount"] == 2
    assert own.detail("/backups", file.stem)["size"] == file.stat().st_size
    answer = requests.get(
        f"{server.url}{OWN}/backups/{file.stem}/content",
        headers={"zt-session": own.http.headers["zt-session"]},
        verify=str(server.ca_file()),
        timeout=20,
    )
    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert file.stem in answer.headers["Content-Disposition"]
    own.delete(f"/backups/{file.stem}").ok()
    assert not file.exists()
    for path in (f"/backups/{file.stem}", f"/backups/{file.stem}/content", "/backups/..%2fzitilite"):
        assert own.get(path).status == 404


def test_a_passphrase_is_needed_and_never_shown(make_controller):
    server = make_controller("--backup-passphrase", "from the settings")
    own = server.admin().on(OWN)
    key = own.create("/backups", {})
    assert own.post(f"/backups/{key}/check", {}).ok()["good"] is True
    assert own.post(f"/backups/{key}/check", {"passphrase": "another one"}).ok()["good"] is False
    assert "from the settings" not in server.stderr()
    plain = make_controller()
    answer = plain.admin().on(OWN).post("/backups", {})
    assert (answer.status, answer.error["cause"]["field"]) == (400, "passphrase")
    assert plain.admin().on(OWN).post("/backups", {"passphrase": "short"}).status == 400


def test_only_administrators(made):
    _, client, file = made
    client.login_by_certificate()
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{file.stem}/content"), ("DELETE", f"/{file.stem}")):
        assert client.on(OWN).call(method, f"/backups{path}").status == 401


def test_the_check_says_what_is_in_it(made):
    server, _, file = made
    report = server.admin().on(OWN).post(f"/backups/{file.stem}/check", {"passphrase": PASSPHRASE}).ok()
    assert (report["good"], report["problems"]) == (True, [])
    assert report["manifest"]["identities"] == 2
    lines = archive.check(file, PASSPHRASE, SCHEMA).lines()
    assert lines[-1] == "result     good: it can be restored"
    assert any("pki/root.key" in line for line in lines)


def test_every_damage_is_found(made, tmp_path):
    """Wrong passphrase, a flipped bit, no backup, a changed file, a broken database, a key that does not fit."""
    _, _, file = made
    with pytest.raises(archive.BackupError, match="wrong passphrase"):
        archive.check(file, "not this one", SCHEMA)
    other = tmp_path / "other.age"
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    other.write_bytes(data)
    with pytest.raises(archive.BackupError, match="damaged"):
        archive.check(other, PASSPHRASE, SCHEMA)
    other.write_text("words")
    with pytest.raises(archive.BackupError, match="no backup"):
        archive.check(other, PASSPHRASE, SCHEMA)
    files = opened(file)
    with pytest.raises(archive.BackupError, match=r"pki/root\.key is not what"):
        archive.check(sealed(other, {**files, "pki/root.key": b"x"}), PASSPHRASE, SCHEMA)
    for name in ("../evil", "pki/../../evil", "/etc/evil", "pki/.evil", "pki/a/b"):
        with pytest.raises(archive.BackupError, match="no part of one"):
            archive._unpacked(archive._packed({**files, name: b"x"}))
    assert archive.check(file, PASSPHRASE, SCHEMA - 1).problems == [
        f"the database has schema {SCHEMA}, this version knows {SCHEMA - 1}: install a newer one"
    ]

    def with_hashes(**changed: bytes) -> Path:
        manifest = json.loads(files["manifest.json"])
        wrong = {**files, **{name.replace("__", "/"): value for name, value in changed.items()}}
        for name in manifest["files"]:
            manifest["files"][name]["sha256"] = hashlib.sha256(wrong[name]).hexdigest()
        return sealed(other, {**wrong, "manifest.json": json.dumps(manifest).encode()})

    broken = bytearray(files["zitilite.db"])
    broken[5000:9000] = b"\xff" * 4000
    report = archive.check(with_hashes(**{"zitilite.db": bytes(broken)}), PASSPHRASE, SCHEMA)
    assert "database" in report.problems[0]
    report = archive.check(with_hashes(**{"pki__server.key": files["pki/root.key"]}), PASSPHRASE, SCHEMA)
    assert "is not the key of server.cert" in report.problems[0]
    with pytest.raises(archive.BackupError, match="not good"):
        archive.restore(other, PASSPHRASE, tmp_path / "new", SCHEMA)
    assert not (tmp_path / "new").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def restored(file: Path, folder: Path, **more) -> Controller:
    """A controller on another machine: its own folder and port."""
    server = Controller(folder)
    archive.restore(file, PASSPHRASE, server.data, SCHEMA, **more)
    return server


def test_restore_on_another_machine_with_another_address(made, tmp_path):
    """Same CA, same people, one more address; certificates and pending tokens of before are still good."""
    server, client, file = made
    _, found = pending(server.admin(), "ott")
    own = server.admin().on(OWN)
    key = own.create("/backups", {"passphrase": PASSPHRASE})
    server.stop()
    new = restored(file.with_stem(key), tmp_path / "elsewhere")
    assert stat.S_IMODE(new.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((new.data / "pki" / "root.key").stat().st_mode) == 0o600
    new.admin_password = server.admin_password
    new.advertise = ["localhost", "127.0.0.1"]
    new.start()
    try:
        new.url = f"https://127.0.0.1:{new.port}"
        assert new.port != server.port
        assert new.ca_pem() == server.ca_file().read_text()
        certificate = client.http.cert
        assert login(new.api(certificate)).status == 200
        admin = new.admin()
        hosts = {row["host"]: row["isIssuer"] for row in admin.on(OWN).get("/addresses").ok()}
        assert hosts == {"localhost": True, "127.0.0.1": False}
        (waiting,) = admin.get("/enrollments").ok()
        assert waiting["token"] == found["token"]
        assert served_certificate(admin)
    finally:
        new.stop()


def test_restore_spares_what_is_there(made, tmp_path):
    """A folder in use is refused, one with contents as well; by force they are moved aside."""
    server, _, file = made
    with pytest.raises(Exception, match="in use by another zitilite"):
        archive.restore(file, PASSPHRASE, server.data, SCHEMA, force=True)
    server.admin().create("/identities", {"name": unique("later"), "type": "Default", "isAdmin": False})
    server.stop()
    with pytest.raises(archive.BackupError, match="not empty"):
        archive.restore(file, PASSPHRASE, server.data, SCHEMA)
    archive.restore(file, PASSPHRASE, server.data, SCHEMA, force=True)
    (aside,) = server.data.glob("before-restore-*")
    assert (aside / "zitilite.db").exists()
    assert file.exists()
    server.start()
    assert len(server.admin().get("/identities").ok()) == 2


def test_a_restore_that_was_cut_off_is_noticed(made, tmp_path):
    """Without its database the server does not begin anew on the old keys; running the restore again ends it well."""
    server, _, file = made
    server.stop()
    folder = server.data / ".restore-x"
    folder.mkdir()
    (server.data / "zitilite.db").rename(folder / "zitilite.db")
    with pytest.raises(RuntimeError, match="was cut off"):
        server.start()
    archive.restore(file, PASSPHRASE, server.data, SCHEMA)
    server.start()
    assert len(server.admin().get("/identities").ok()) == 2


def test_backups_by_the_clock(make_controller):
    """One at once when there is none, no second before its time; the oldest scheduled ones go, others stay."""
    server = make_controller("--backup-hours", "1", "--backup-passphrase", PASSPHRASE, "--backup-keep", "2")
    own = server.admin().on(OWN)
    (first,) = wait_until(lambda: own.get("/backups").ok())
    assert first["kind"] == "auto"
    server.restart()
    own = server.admin().on(OWN)
    own.create("/backups", {})
    assert [row["kind"] for row in own.get("/backups", filter='kind = "auto"').ok()] == ["auto"]
    server.stop()
    folder = server.data / "backups"
    for day in range(1, 5):
        (folder / f"2026010{day}-000000-auto-0000.age").write_bytes(b"old")
    (folder / f"{first['id']}.age").unlink()
    (folder / "notes.txt").write_text("mine")
    server.start()
    own = server.admin().on(OWN)
    kept = wait_until(lambda: (rows := own.get("/backups", filter='kind = "auto"').ok()) and len(rows) == 2 and rows)
    assert kept[1]["id"] == "20260104-000000-auto-0000"
    assert len(own.get("/backups").ok()) == 3
    assert (folder / "notes.txt").exists()


def test_a_schedule_needs_a_passphrase(tmp_path):
    with pytest.raises(RuntimeError, match="backup_passphrase"):
        Controller(tmp_path / "x", "--backup-hours", "1").start()


def test_a_schedule_that_fails_says_so_and_harms_nothing(make_controller, tmp_path):
    """A folder that cannot be used is logged and seen by the checks; everything else goes on."""
    file = tmp_path / "file"
    file.write_text("no folder")
    folder = str(file / "backups")
    server = make_controller("--backup-hours", "1", "--backup-passphrase", PASSPHRASE, "--backup-folder", folder)
    wait_until(lambda: "the scheduled backup could not be made" in server.stderr())
    own = server.admin().on(OWN)
    (check,) = [c for c in own.get("/checks").ok() if c["id"] == "backup"]
    assert check["state"] == "fail"
    assert own.post("/backups", {}).code == "BACKUP_FAILED"
    own.create("/addresses", {"address": "localhost"})
    assert server.stderr().count("the scheduled backup could not be made") == 1
