"""A disk that is full, or read-only: a clear 503, nothing lost, and all is well when there is room again."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controllers import CLIENT, Controller
from tests.faults.load import OWN, PEM_TEXT, check_still_works, check_whole, tokens
from tests.flows import PEM, enroll, identity_body, sql, wait_until

DISK = 16 * 1024 * 1024


def mount(*arguments: str) -> str:
    """Run mount; gives what it complains about."""
    program = shutil.which("mount")
    if program is None:
        return "there is no mount"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20, check=False)
    return done.stderr.strip() if done.returncode else ""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if problem := mount("-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(folder)):
        pytest.skip(f"no disk can be mounted here: {problem}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], timeout=20, check=True)


@pytest.fixture
def server(disk: Path) -> Iterator[Controller]:
    """Give a controller with its data on that disk; its log is elsewhere, as with any service manager."""
    made = Controller(disk)
    made.log = disk.parent / "stderr.log"
    yield made.start()
    made.stop()


def fill(disk: Path) -> Path:
    """Use up all of the disk."""
    file = disk / "filler"
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x" * 65536)
    with file.open("ab", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x")
    return file


def refused_start(server: Controller) -> str:
    """What the server says instead of starting."""
    with pytest.raises(RuntimeError) as problem:
        server.start()
    assert "Traceback" not in str(problem.value)
    return str(problem.value).rpartition("--- stderr\n")[2]


def test_full_disk(server, disk):
    """Enrollments get 503 with the cause and keep their tokens; reading goes on; with room again they succeed."""
    api = server.admin()
    lot = tokens(api, 30)
    client = api.on(CLIENT)
    filler = fill(disk)
    answers = {}
    for key, token in lot:
        # The write-ahead log has some room left in its file.
        answers[key] = enroll(client, "ott", token, PEM_TEXT, PEM)
    refused = [(key, token) for key, token in lot if answers[key].status != 200]
    assert refused, "the disk is full"
    for key, _ in refused:
        assert (answers[key].status, answers[key].code) == (503, "STORAGE_UNAVAILABLE")
        assert "full" in answers[key].error["cause"]["message"]
        assert int(answers[key].headers["Retry-After"]) >= 1
    assert len(api.get("/identities", limit=100).ok()) > 30
    # The log of attempts has what could be written, and does not fail.
    assert api.on(OWN).get("/attempts").status == 200
    assert api.post("/identities", identity_body()).code == "STORAGE_UNAVAILABLE"
    waiting = {token for (token,) in sql(server, "SELECT token FROM enrollment")}
    assert {token for _, token in refused} <= waiting

    filler.unlink()
    for _, token in refused:
        assert enroll(client, "ott", token, PEM_TEXT, PEM).status == 200
    check_whole(server)
    # What could not be logged meanwhile is in the log now.
    condition = 'code="STORAGE_UNAVAILABLE"'
    rows = wait_until(lambda: api.on(OWN).get("/attempts", filter=condition, limit=100).ok())
    assert len(rows) == len(refused)
    assert "Traceback" not in server.stderr()
    server.restart()
    check_still_works(server, server.admin())


def test_start_on_a_full_disk(server, disk):
    """A controller that is killed while its disk is full says so at the next start, and starts when there is room."""
    api = server.admin()
    lot = tokens(api, 5)
    filler = fill(disk)
    server.kill()
    try:
        server.start()
    except RuntimeError as problem:
        text = str(problem)
        assert "Traceback" not in text
        assert "full" in text or os.strerror(errno.ENOSPC) in text
    filler.unlink()
    server.restart()
    for _, token in lot:
        assert enroll(api.on(CLIENT), "ott", token, PEM_TEXT, PEM).status == 200
    check_whole(server)


def test_first_start_on_a_full_disk(disk):
    """The first start leaves nothing half made behind: the next one, with room, is a first start again."""
    server = Controller(disk)
    server.log = disk.parent / "stderr.log"
    filler = fill(disk)
    text = refused_start(server)
    assert "full" in text or os.strerror(errno.ENOSPC) in text
    # Room for a part of it.
    for size in (20_000, 60_000, 150_000):
        os.truncate(filler, filler.stat().st_size - size)
        with contextlib.suppress(RuntimeError):
            server.start()
            server.stop()
    filler.unlink()
    server.start()
    check_still_works(server, server.admin())
    check_whole(server)
    server.stop()


def test_read_only_disk(server, disk):
    """A start on a disk that cannot be written is refused with a sentence; afterwards all is there."""
    lot = tokens(server.admin(), 3)
    server.stop()
    assert mount("-o", "remount,ro", str(disk)) == ""
    text = refused_start(server)
    assert "read-only" in text.lower(), text
    assert str(disk) in text
    assert mount("-o", "remount,rw", str(disk)) == ""
    server.start()
    for _, token in lot:
        assert enroll(server.api(), "ott", token, PEM_TEXT, PEM).status == 200


def test_database_that_somebody_else_holds(make_controller):
    """It is locked for longer than is waited for: 503 with the cause, no token spent, and reading goes on."""
    server = make_controller()
    api = server.admin()
    lot = tokens(api, 3)
    client = api.on(CLIENT)
    script = (
        "import sqlite3, sys\n"
        f"c = sqlite3.connect({str(server.data / 'zitilite.db')!r}, isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    blocker = subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True)
    try:
        assert blocker.stdout is not None
        assert blocker.stdout.readline() == "held\n"
        answer = enroll(client, "ott", lot[0][1], PEM_TEXT, PEM)
        assert (answer.status, answer.code) == (503, "STORAGE_UNAVAILABLE")
        assert "another program" in answer.error["cause"]["message"]
        assert api.get("/identities").status == 200
    finally:
        blocker.communicate(timeout=20)
    assert [enroll(client, "ott", token, PEM_TEXT, PEM).status for _, token in lot] == [200] * 3
