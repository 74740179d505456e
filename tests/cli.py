"""The command line as people use it: in a shell, with a data folder or an address, on a pipe or at a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.controllers import ROOT


class Cli:
    """The program on the data folder of a controller; `run` gives what came of it.

    flags are words before the command, variables what its environment has more.
    """

    def __init__(self, folder: Path, *flags: str, database: str = "", **variables: str) -> None:
        self.folder, self.flags = folder, flags
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ZITILITE_")} | variables
        self.environment |= {"ZITILITE_DATABASE": database} if database else {}

    def command(self, *words: object) -> list[str]:
        """The whole command line."""
        return [sys.executable, str(ROOT / "app.py"), *self.flags, *map(str, words)]

    def run(self, *words: object, code: int = 0, stdin: str = "") -> str:
        """Run it and make sure how it ends; gives its output (standard error where it fails)."""
        done = self.done(*words, code=code, stdin=stdin)
        return done.stderr if code else done.stdout

    def done(self, *words: object, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it and make sure how it ends; gives all that it said."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            input=stdin,
            check=False,
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def run_code(self, *words: object, code: int) -> str:
        """Run what reports on standard output and ends with a code of its own."""
        report: str = self.done(*words, code=code).stdout
        return report

    def json(self, *words: object) -> Any:
        """Run it for its JSON."""
        return json.loads(self.run(*words, "--output", "json"))

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start what goes on by itself."""
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def at_terminal(
        self, *words: object, typed: tuple[tuple[str, str | Callable[[], object]], ...] = (), code: int = 0
    ) -> str:
        """Run it at a terminal, and type or do each answer when its question is there; gives what was seen."""
        ours, its = pty.openpty()
        with subprocess.Popen(
            # Ctrl-C is for whoever has the terminal as its own.
            ["setsid", "--ctty", *self.command(*words)],
            cwd=self.folder,
            env=self.environment,
            stdin=its,
            stdout=its,
            stderr=its,
        ) as process:
            os.close(its)
            seen, asked = "", 0
            # A terminal that nobody has open any more is an error to read from.
            with suppress(OSError):
                while part := os.read(ours, 4096):
                    seen += part.decode(errors="replace")
                    if asked < len(typed) and typed[asked][0] in seen:
                        answer = typed[asked][1]
                        if isinstance(answer, str):
                            os.write(ours, answer.encode())
                        else:
                            answer()
                        asked += 1
            ended = process.wait(timeout=60)
        os.close(ours)
        assert ended == code, f"{ended}: {seen}"
        assert "Traceback" not in seen
        return seen
