"""Load of every kind for as long as wanted, while memory, threads and open files are watched.

    python -m bench.soak 600

Exit code 1 when something that must succeed was refused, something answered 500, or anything grew: the load comes in
four legs, and what the controller holds at rest after the second is compared with what it holds after the last, since
it takes a while until every thread has its caches. Amid the load a look would find now no, now two passwords being
hashed, 16 MiB each.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.client import CLIENT, MANAGEMENT, OWN, PASSWORD, PLAIN, connect, login, new_csr
from bench.machine import Server, fresh_server

# What memory may differ by when nothing grows: allocators keep what they had in busy moments.
NOISE_MIB = 8.0
QUIET_SECONDS = 0.02  # of CPU in half a second: what an idle controller looks after
LEGS = 4
FILES_NOISE = 40
WORKERS = 6
KEPT = 300  # identities that stay, so that the database does not grow


class Soak:
    """The clients and what they saw."""

    def __init__(self, server: Server) -> None:
        self.server, self.port = server, server.port
        self.session = login(server.port)
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}
        self.wrong: list[str] = []
        self.made: list[str] = []

    def send(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", *, keep: Any = None
    ) -> Any:
        """One request; gives status and body."""
        connection = keep or connect(self.port)
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"Content-Type": kind} if raw is not None else {}
        if not path.startswith(f"{CLIENT}/enroll"):
            headers["zt-session"] = self.session
        connection.request(method, path, raw, headers)
        answer = connection.getresponse()
        content = answer.read()
        if keep is None:
            connection.close()
        if answer.status == 500:
            self.wrong.append(f"{method} {path}: {content[:300]!r}")
        return answer.status, content

    def must(self, *request: Any, **options: Any) -> Any:
        status, content = self.send(*request, **options)
        if status >= 300:
            self.wrong.append(f"{request[:2]}: {status} {content[:300]!r}")
            return {}
        return json.loads(content).get("data")

    # What clients do.

    def enroll(self, chance: random.Random) -> None:
        body = {"name": f"soak-{time.time_ns()}-{chance.random()}", "type": "Device", "isAdmin": False}
        made = self.must("POST", f"{MANAGEMENT}/identities", {**body, "enrollment": {"ott": True}})
        shown = self.must("GET", f"{MANAGEMENT}/identities/{made['id']}")
        token = shown["enrollment"]["ott"]["token"]
        self.send("GET", "/.well-known/est/cacerts")
        pem = new_csr()[1]
        if chance.random() < 0.2:
            self.send("POST", f"{CLIENT}/enroll?method=ott&token={token}", b"garbage", "text/plain")
        self.must("POST", f"{CLIENT}/enroll?method=ott&token={token}", pem, "text/plain")
        with self.lock:
            self.made.append(made["id"])
            old = self.made.pop(0) if len(self.made) > KEPT else None
        if old:
            self.must("DELETE", f"{MANAGEMENT}/identities/{old}")

    def read(self, chance: random.Random) -> None:
        connection = connect(self.port)
        for _ in range(10):
            text = chance.choice(
                ["", "?filter=name%20contains%20%22soak%22", "?sort=createdAt&limit=50", "?filter=%28"]
            )
            self.send("GET", f"{MANAGEMENT}/identities{text}", keep=connection)
        connection.close()

    def log_in(self, chance: random.Random) -> None:
        right = chance.random() < 0.5
        body = {"username": "admin", "password": PASSWORD if right else "wrong-one"}
        status, content = self.send("POST", f"{CLIENT}/authenticate?method=password", body)
        if right and status == 200:
            token = json.loads(content)["data"]["token"]
            connection = connect(self.port)
            connection.request("DELETE", f"{CLIENT}/current-api-session", headers={"zt-session": token})
            connection.getresponse().read()
            connection.close()

    def listen(self, _: random.Random) -> None:
        """A stream of events for a moment."""
        with contextlib.closing(connect(self.port)) as connection:
            connection.request("GET", f"{OWN}/attempts/stream", headers={"zt-session": self.session})
            connection.getresponse().read(10)

    def disturb(self, chance: random.Random) -> None:
        """Garbage before and after the handshake, bodies cut off, unknown tokens, a large body."""
        address = ("127.0.0.1", self.port)
        with contextlib.suppress(OSError, ssl.SSLError), socket.create_connection(address, timeout=10) as plain:
            if chance.random() < 0.5:
                plain.sendall(chance.randbytes(500))
            else:
                with PLAIN.wrap_socket(plain) as tls:
                    tls.sendall(b"POST /edge/client/v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
                    tls.sendall(chance.randbytes(chance.randint(0, 200_000)))
        self.send("POST", f"{CLIENT}/enroll?method=ott&token={chance.getrandbits(64)}", new_csr()[1], "text/plain")
        self.send("POST", f"{CLIENT}/enroll/ott", b"[" * 100_000)

    def work(self, seed: int) -> None:
        chance = random.Random(seed)
        kinds = [self.enroll] * 4 + [self.read] * 2 + [self.log_in, self.listen, self.disturb]
        while not self.stop.is_set():
            kind = chance.choice(kinds)
            try:
                kind(chance)
            except Exception as e:  # noqa: BLE001 - said at the end, whatever it was
                self.wrong.append(f"{kind.__name__}: {type(e).__name__}: {e}")
                self.stop.wait(0.2)
            with self.lock:
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1

    def leg(self, seconds: float, number: int) -> None:
        """Load for so many seconds; on return every client has had its answer."""
        self.stop.clear()
        seeds = range(number * WORKERS, (number + 1) * WORKERS)
        workers = [threading.Thread(target=self.work, args=(seed,), daemon=True) for seed in seeds]
        for worker in workers:
            worker.start()
        with contextlib.suppress(subprocess.TimeoutExpired):  # which is the rule: it should not end
            self.server.process.wait(seconds)
        self.stop.set()
        for worker in workers:
            worker.join(30)

    def is_running(self) -> bool:
        return self.server.process.poll() is None

    def rest(self) -> None:
        """Wait until its CPU clock has stood for half a second, at most ten seconds."""
        end, before = time.monotonic() + 10, -1.0
        while self.is_running() and time.monotonic() < end and (now := self.server.cpu()) - before > QUIET_SECONDS:
            before = now
            time.sleep(0.5)


def look(server: Server) -> tuple[float, int, int]:
    """Memory in MiB, threads and open files of all processes.

    Memory is what is theirs alone: their share of mapped files (PSS) changes with every other Python that starts or
    ends on the machine.
    """
    memory, threads, files = 0.0, 0, 0
    for pid in server.pids():
        with contextlib.suppress(OSError):
            rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
            memory += sum(int(row[1]) for row in rows if row[0] in ("Pss_Anon:", "Pss_Shmem:")) / 1024
            threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
            files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return memory, threads, files


def run(seconds: float) -> dict[str, Any]:
    """Soak a fresh controller in four legs, with a look at it at rest after each; gives the figures."""
    with fresh_server() as server:
        soak = Soak(server)
        looks: list[tuple[float, int, int]] = []
        for leg in range(LEGS):
            soak.leg(seconds / LEGS, leg)
            soak.rest()
            if soak.is_running():
                looks.append(look(server))
        is_running = soak.is_running()
    return figures(soak, looks, seconds, is_running=is_running)


def figures(soak: Soak, looks: list[tuple[float, int, int]], seconds: float, *, is_running: bool) -> dict[str, Any]:
    """What is printed, and whether it is good."""
    memory, threads, files = (list(column) for column in zip(*looks, strict=True)) if looks else ([0.0], [0], [0])
    early = min(1, len(memory) - 1)
    growth, more_files = memory[-1] - memory[early], files[-1] - files[early]
    wrong = sorted(set(soak.wrong))
    return {
        "seconds": seconds,
        "done": soak.counts,
        "memory MiB": [round(value, 1) for value in memory],
        "memory growth MiB": round(growth, 1),
        "threads": threads,
        "open files": files,
        "wrong": wrong[:10],
        "good": is_running and not wrong and growth < NOISE_MIB and more_files < FILES_NOISE,
    }


def main() -> int:
    """Print the figures; gives the exit code."""
    found = run(float(sys.argv[1]) if len(sys.argv) > 1 else 600)
    for name, value in found.items():
        print(f"{name:18} {value}")
    return 0 if found["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
