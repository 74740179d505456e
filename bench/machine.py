"""The controller that is measured, and what the machine could do in the same run."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.client import PASSWORD, connect, request

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


def program() -> list[str]:
    """The command that starts this same program: the binary itself where it is one."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, str(ROOT / "app.py")]


class Server:
    """A fresh controller on a free port; `cpu()` is the CPU time it has used, in seconds.

    command: what starts it, this same program if None.
    """

    def __init__(self, command: list[str] | None = None) -> None:
        self.command = command or program()
        self.folder = Path(tempfile.mkdtemp(prefix="zitilite-bench-"))
        self.start_seconds = self.start()

    def start(self) -> float:
        began = time.perf_counter()
        flags = ["--data", str(self.folder), "--listen", "127.0.0.1:0", "--admin-password", PASSWORD]
        command = [*self.command, *flags, "--log-level", "warning"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("console"):
                self.port = int(line.rstrip("/\n").rsplit(":", 1)[1])
                break
        request(self.port, "GET", "/version")
        return time.perf_counter() - began

    def stop(self) -> float:
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return time.perf_counter() - began

    def pids(self) -> list[int]:
        """The process that was started and those it forked."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu(self) -> float:
        """Seconds of CPU that all of them have used."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in self.pids()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS

    def memory_mib(self) -> float:
        """Memory of all of them; what they share counts once (PSS)."""
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids()]
        lines = [line for text in rollups for line in text.splitlines() if line.startswith("Pss:")]
        return sum(int(line.split()[1]) for line in lines) / 1024

    def disk_mib(self) -> float:
        """Size of the database with its log."""
        return sum(file.stat().st_size for file in self.folder.glob("zitilite.db*")) / 2**20


@contextmanager
def fresh_server(command: list[str] | None = None) -> Iterator[Server]:
    """One that is ended and thrown away afterwards."""
    server = Server(command)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


def sign_rate() -> float:
    key = ec.generate_private_key(ec.SECP256R1())
    return rate(lambda: key.sign(b"x" * 32, ec.ECDSA(hashes.SHA256())))


def commit_rate(folder: Path) -> float:
    """Durable commits of one small row, in a SQLite file beside the controller's."""
    db = sqlite3.connect(folder / "limit.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t (v)")
    found = rate(lambda: db.execute("INSERT INTO t VALUES (1)"))
    db.close()
    return found


def handshake_rate(port: int) -> float:
    """New TLS connections a second to the idle controller, one after the other."""

    def once() -> None:
        c = connect(port)
        c.connect()
        c.close()

    return rate(once)


def rate(fn: Callable[[], Any], seconds: float = 1.0) -> float:
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        fn()
        count += 1
    return count / (time.perf_counter() - began)
