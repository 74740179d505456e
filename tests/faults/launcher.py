"""Starts one server after the other from a process that has imported everything, which takes most of a start.

Reads command lines as JSON from standard input, one a line. Says `started PID`, passes on what the server prints, and
says `ended` when it is gone. The server is a process group of its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import app

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        code = 1
        try:
            code = app.main(json.loads(line))
        finally:
            os._exit(code)
    print(f"started {pid}", flush=True)
    os.waitpid(pid, 0)
    print("\nended", flush=True)
