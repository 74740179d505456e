"""Measure a fresh controller, each figure beside what the machine can do in the same run.

    zitilite bench [--count 300] [--json FILE]

Starts it on loopback, drives it from child processes of its own and prints a table. Rates
depend on the machine and on what else runs there; the server's CPU time per operation is the figure that
noise touches least, and the ratio to a limit is what to compare between machines.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parents[1]
MANAGEMENT = "/edge/management/v1"
CLIENT = "/edge/client/v1"
OWN = "/zitilite/v1"
BULK = 10_000
PASSWORD = "bench-secret"
TICKS = os.sysconf("SC_CLK_TCK")


# --- a controller of our own


def program() -> list[str]:
    """The command that starts this same program: the binary itself where it is one."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, str(ROOT / "app.py")]


class Server:
    """A fresh controller on a free port; `cpu()` is the CPU time it has used, in seconds."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zitilite-bench-"))
        self.start_seconds = self.start()

    def start(self) -> float:
        began = time.perf_counter()
        flags = ["--data", str(self.folder), "--listen", "127.0.0.1:0", "--admin-password", PASSWORD]
        command = [*program(), *flags, "--log-level", "warning"]
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
        return time.perf_counter() - began

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


# --- a client


def context(cert: str = "") -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if cert:
        made.load_cert_chain(cert)
    return made


PLAIN = context()


def connect(port: int, tls: ssl.SSLContext = PLAIN) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=60)


def ask(c: http.client.HTTPSConnection, method: str, path: str, body: Any = None, session: str = "") -> Any:
    headers = {"Content-Type": "application/json"} if isinstance(body, dict) else {"Content-Type": "text/plain"}
    if session:
        headers["zt-session"] = session
    raw = json.dumps(body).encode() if isinstance(body, dict) else body
    c.request(method, path, raw, headers if raw is not None or session else {"zt-session": session} if session else {})
    answer = c.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
    return json.loads(content) if content[:1] == b"{" else content


def request(port: int, method: str, path: str, body: Any = None, session: str = "") -> Any:
    c = connect(port)
    try:
        return ask(c, method, path, body, session)
    finally:
        c.close()


def login(port: int) -> str:
    body = {"username": "admin", "password": PASSWORD}
    return str(request(port, "POST", f"{CLIENT}/authenticate?method=password", body)["data"]["token"])


def new_csr() -> tuple[str, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), csr.public_bytes(serialization.Encoding.PEM)


# --- operations: each takes (port, session, item) and does one thing


def create_identity(port: int, session: str, item: Any) -> Any:
    body = {"name": item, "type": "Device", "isAdmin": False, "enrollment": {"ott": True}, "roleAttributes": ["bench"]}
    return ask(kept(port), "POST", f"{MANAGEMENT}/identities", body, session)["data"]["id"]


def enroll(port: int, session: str, item: Any) -> Any:
    """As a real SDK: one connection for the trust bundle, another to enroll."""
    token, csr = item
    request(port, "GET", "/.well-known/est/cacerts")
    return request(port, "POST", f"/enroll?method=ott&token={token}", csr)["data"]["cert"]


def login_by_certificate(port: int, session: str, item: Any) -> Any:
    c = connect(port, context(item))
    try:
        return ask(c, "POST", f"{CLIENT}/authenticate?method=cert", {})["data"]["id"]
    finally:
        c.close()


def login_by_password(port: int, session: str, item: Any) -> Any:
    return login(port)


def read_identity(port: int, session: str, item: Any) -> Any:
    return ask(kept(port), "GET", f"{MANAGEMENT}/identities/{item}", session=session)


def list_identities(port: int, session: str, item: Any) -> Any:
    return ask(kept(port), "GET", f"{MANAGEMENT}/identities?limit=100", session=session)


def bulk_create(port: int, session: str, item: Any) -> Any:
    """Thousands of identities with tokens in one request; `item` is their CSV."""
    c = connect(port)
    try:
        c.request("POST", f"{OWN}/bulk", item, {"Content-Type": "text/csv", "zt-session": session})
        return json.loads(c.getresponse().read())["data"]["ok"]
    finally:
        c.close()


def bulk_export(port: int, session: str, item: Any) -> Any:
    """The tokens of all that a filter finds, as a zip; gives its size in bytes."""
    return len(ask(kept(port), "POST", f"{OWN}/tokens/export", {"filter": item}, session))


def list_by_state(port: int, session: str, item: Any) -> Any:
    """A page of those in one state, with all the others to be looked past."""
    return ask(kept(port), "GET", f"{OWN}/identities?filter=enrollmentState%3D%22{item}%22", session=session)


_kept: dict[int, http.client.HTTPSConnection] = {}


def kept(port: int) -> http.client.HTTPSConnection:
    """This worker's kept connection."""
    key = threading.get_ident()
    if key not in _kept:
        _kept[key] = connect(port)
    return _kept[key]


def drive(
    fn: Callable[..., Any], port: int, session: str, items: list[Any], workers: int
) -> tuple[list[Any], list[float]]:
    """Run `fn` over `items` with so many threads; results and durations in milliseconds."""

    def timed(item: Any) -> tuple[Any, float]:
        began = time.perf_counter()
        result = fn(port, session, item)
        return result, (time.perf_counter() - began) * 1000

    with ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(timed, items))
    return [r for r, _ in done], [d for _, d in done]


# --- limits of the machine


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


# --- the run


@contextmanager
def fresh_server() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


class Bench:
    """Rows of the table: name, rate, median and 99th percentile in ms, server CPU per operation in ms."""

    def __init__(self, server: Server, pool: ProcessPoolExecutor, limits: dict[str, float]) -> None:
        self.server, self.pool, self.limits = server, pool, limits
        self.session = pool.submit(login, server.port).result()
        self.rows: list[dict[str, Any]] = []

    def measure(self, name: str, fn: Callable[..., Any], items: list[Any], workers: int, limit: str = "") -> list[Any]:
        cpu, began = self.server.cpu(), time.perf_counter()
        results, times = self.pool.submit(drive, fn, self.server.port, self.session, items, workers).result()
        seconds, used = time.perf_counter() - began, self.server.cpu() - cpu
        per_second = len(items) / seconds
        row = {
            "operation": name,
            "workers": workers,
            "per_second": round(per_second, 1),
            "median_ms": round(statistics.median(times), 2),
            "p99_ms": round(statistics.quantiles(times, n=100)[98], 2),
            "server_cpu_ms": round(used / len(items) * 1000, 2),
        }
        if limit:
            row["limit"], row["of_limit"] = limit, round(per_second / self.limits[limit], 3)
        self.rows.append(row)
        return results


def run(count: int) -> dict[str, Any]:
    with fresh_server() as server, ProcessPoolExecutor(1) as pool:
        limits = {
            "P-256 signs/s": sign_rate(),
            "durable commits/s": commit_rate(server.folder),
            "TLS handshakes/s": handshake_rate(server.port),
        }
        b = Bench(server, pool, limits)
        idle = server.memory_mib()
        ids = b.measure("create identity with token", create_identity, names("c", count), 8, "durable commits/s")
        certs = measure_enrollment(b, ids)
        b.measure("certificate login, new connection", login_by_certificate, certs, 8, "TLS handshakes/s")
        b.measure("password login, new connection", login_by_password, list(range(40)), 8)
        b.measure("read one identity, kept connection", read_identity, ids, 1)
        b.measure("read one identity, kept connection", read_identity, ids * 2, 8)
        b.measure("list 100 identities", list_identities, list(range(50)), 1)
        bulk = measure_bulk(b)
        memory = server.memory_mib()
        stop = server.stop()
        restart = server.start()
        times = {"first_start_s": server.start_seconds, "stop_s": stop, "restart_s": restart}
    rounded = {k: round(v, 2) for k, v in times.items()}
    return {
        "limits": {k: round(v, 1) for k, v in limits.items()},
        "rows": b.rows,
        "bulk": bulk,
        "times": rounded,
        "memory_mib": {"idle": round(idle, 1), "after": round(memory, 1)},
    }


def names(prefix: str, count: int) -> list[str]:
    return [f"bench-{prefix}-{i:06d}" for i in range(count)]


def measure_enrollment(b: Bench, ids: list[str]) -> list[str]:
    """Enroll a third of the identities with each number of workers; files with certificate and key."""
    made = [new_csr() for _ in ids]
    tokens = [
        request(b.server.port, "GET", f"{MANAGEMENT}/identities/{i}", session=b.session)["data"]["enrollment"]["ott"][
            "token"
        ]
        for i in ids
    ]
    files = []
    third = len(ids) // 3
    for part, workers in enumerate((1, 8, 32)):
        chosen = range(part * third, (part + 1) * third)
        items = [(tokens[i], made[i][1]) for i in chosen]
        certs = b.measure("enroll by ott, two new connections", enroll, items, workers, "TLS handshakes/s")
        for i, cert in zip(chosen, certs, strict=True):
            file = b.server.folder / f"client-{i}.pem"
            file.write_text(cert + made[i][0])
            files.append(str(file))
    return files


def measure_bulk(b: Bench) -> dict[str, float]:
    """Seconds of one request for 10,000 identities with tokens, and of the zip with their JWTs."""
    text = "name,roleAttributes\n" + "".join(f"bulk-{i:05d},bulk\n" for i in range(BULK))
    found = {}
    for name, fn, item in (("create_s", bulk_create, text), ("zip_s", bulk_export, 'name contains "bulk-"')):
        _, times = b.pool.submit(drive, fn, b.server.port, b.session, [item], 1).result()
        found[name] = round(times[0] / 1000, 2)
    b.measure("list by state among 10,000", list_by_state, ["pending", "enrolled", "expired"] * 20, 1)
    return found


def show(result: dict[str, Any]) -> None:
    print("limits of this machine, in this run: " + ", ".join(f"{v:,.0f} {k}" for k, v in result["limits"].items()))
    print(f"{'operation':36} {'c':>3} {'/s':>9} {'median ms':>10} {'p99 ms':>8} {'CPU ms/op':>10}  of limit")
    for r in result["rows"]:
        part = f"{r['of_limit']:.3f} of {r['limit']}" if "limit" in r else ""
        print(
            f"{r['operation']:36} {r['workers']:3} {r['per_second']:9,.1f} {r['median_ms']:10.2f} {r['p99_ms']:8.2f} "
            f"{r['server_cpu_ms']:10.2f}  {part}"
        )
    bulk = result["bulk"]
    print(f"{BULK:,} identities with tokens in one request {bulk['create_s']} s, their JWTs as a zip {bulk['zip_s']} s")
    t, m = result["times"], result["memory_mib"]
    print(
        f"first start {t['first_start_s']} s, stop {t['stop_s']} s, restart {t['restart_s']} s; "
        f"memory (PSS) idle {m['idle']} MiB, after {m['after']} MiB"
    )


def main(count: int, file: Path | None) -> int:
    """Measure, print the table, write the figures to a file as well where one is named."""
    result = run(count)
    show(result)
    if file:
        file.write_text(json.dumps(result, indent=1) + "\n")
    return 0
