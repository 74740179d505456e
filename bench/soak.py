"""Load of every kind for as long as wanted, while memory, threads and open files are watched.

    python -m bench.soak 600

Exit code 1 when something that must succeed was refused, something answered 500, or anything grew: memory is compared
between the second and the last quarter, since it takes a while until every thread has its caches.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.client import CLIENT, MANAGEMENT, OWN, PASSWORD, PLAIN, connect, login, new_csr
from bench.machine import Server, fresh_server

# What memory may differ by when nothing grows: allocators keep what they had in busy moments.
NOISE_MIB = 12.0
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


def family(pid: int) -> list[int]:
    """A process and those below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += family(int(child))
    return found


def look(server: Server) -> tuple[float, int, int]:
    """Memory in MiB (PSS), threads and open files of all processes."""
    memory, threads, files = 0.0, 0, 0
    for pid in family(server.process.pid):
        with contextlib.suppress(OSError, StopIteration):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            memory += int(next(line for line in rollup if line.startswith("Pss:")).split()[1]) / 1024
            threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
            files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return memory, threads, files


def run(seconds: float) -> dict[str, Any]:
    """Soak a fresh controller; gives the figures."""
    with fresh_server() as server:
        soak = Soak(server)
        workers = [threading.Thread(target=soak.work, args=(seed,), daemon=True) for seed in range(WORKERS)]
        for worker in workers:
            worker.start()
        samples: list[tuple[float, int, int]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end and server.process.poll() is None:
            soak.stop.wait(min(1.0, seconds / 40))
            samples.append(look(server))
        soak.stop.set()
        for worker in workers:
            worker.join(30)
        is_running = server.process.poll() is None
    return figures(soak, samples, seconds, is_running=is_running)


def figures(soak: Soak, samples: list[tuple[float, int, int]], seconds: float, *, is_running: bool) -> dict[str, Any]:
    """What is printed, and whether it is good."""
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter] or samples, samples[-quarter:]

    def middle(part: list[tuple[float, int, int]], column: int) -> float:
        return statistics.median(sample[column] for sample in part)

    memory, files = middle(last, 0) - middle(second, 0), middle(last, 2) - middle(second, 2)
    wrong = sorted(set(soak.wrong))
    return {
        "seconds": seconds,
        "done": soak.counts,
        "memory MiB": [round(middle(second, 0), 1), round(middle(last, 0), 1)],
        "memory growth MiB": round(memory, 1),
        "threads": [int(middle(second, 1)), int(middle(last, 1))],
        "open files": [int(middle(second, 2)), int(middle(last, 2))],
        "wrong": wrong[:10],
        "good": is_running and not wrong and memory < NOISE_MIB and files < FILES_NOISE,
    }


def main() -> int:
    """Print the figures; gives the exit code."""
    found = run(float(sys.argv[1]) if len(sys.argv) > 1 else 600)
    for name, value in found.items():
        print(f"{name:18} {value}")
    return 0 if found["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
