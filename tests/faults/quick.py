"""The real server, restarted quickly (tests/faults/launcher.py)."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from tests.controllers import ROOT, START_SECONDS, Controller


class QuickController(Controller):
    """A controller that is only ever killed, with all its processes."""

    def __init__(self, folder: Path, *flags: str) -> None:
        super().__init__(folder, *flags)
        self._errors = self.log.open("a")
        self._launcher = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("launcher.py"))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._said: queue.Queue[str] = queue.Queue()
        assert self._launcher.stdout is not None
        threading.Thread(target=self._listen, args=(self._launcher.stdout,), daemon=True).start()
        self._server = 0

    def _listen(self, stdout: IO[str]) -> None:
        for line in stdout:
            self._said.put(line)
        self._said.put("ended")

    def _wait_for(self, *beginnings: str) -> str:
        deadline = time.monotonic() + START_SECONDS
        while True:
            line = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            if line.startswith(beginnings):
                return line

    def start(self) -> Controller:
        """Start it and wait until it listens. Raises RuntimeError with its stderr."""
        self.begin()
        line = self._wait_for("console", "ended")
        if line.startswith("ended"):
            self._server = 0
            raise RuntimeError(self.stderr())
        self.url = line.split()[1].rstrip("/")
        return self

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        port = self.url.rpartition(":")[2] or "0"
        command = ["run", "--data", str(self.data), "--listen", f"127.0.0.1:{port}", "--advertise", "127.0.0.1"]
        command += ["--admin-user", self.admin_user, "--admin-password", self.admin_password, *self.flags]
        assert self._launcher.stdin is not None
        self._launcher.stdin.write(json.dumps(command) + "\n")
        self._launcher.stdin.flush()
        self._server = int(self._wait_for("started").split()[1])

    def kill(self) -> None:
        """End all its processes at once, as a power cut would."""
        if self._server:
            os.killpg(self._server, signal.SIGKILL)
            self._server = 0
            self._wait_for("ended")

    def stop(self) -> None:
        """End it and the launcher."""
        self.kill()
        assert self._launcher.stdin is not None
        self._launcher.stdin.close()
        self._launcher.wait(20)
        assert self._launcher.stdout is not None
        self._launcher.stdout.close()
        self._errors.close()
