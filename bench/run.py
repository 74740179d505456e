"""Measure a fresh controller, each figure beside what the machine can do in the same run.

    zitilite bench [--count 300] [--identities 10000] [--json FILE]

Starts it on loopback, drives it from child processes of its own and prints a table. Rates
depend on the machine and on what else runs there; the server's CPU time per operation (all its processes together) is
the figure that noise touches least, and the ratio to a limit is what to compare between machines.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from bench import client, machine

SIZES = (1_000, 10_000)
BULK = 10_000
LOGINS = 2_000
LISTS = (
    ("first page", 0, ""),
    ("page in the middle", -1, ""),
    ("name contains", 0, 'name contains "x"'),
    ("anyOf(roleAttributes)", 0, 'anyOf(roleAttributes) = "grp-07"'),
    ("newest first", 0, "true sort by createdAt desc"),
)


class Bench:
    """Rows of the table: name, rate, median and 99th percentile in ms, server CPU per operation in ms."""

    def __init__(self, server: machine.Server, pool: ProcessPoolExecutor, limits: dict[str, float]) -> None:
        self.server, self.pool, self.limits = server, pool, limits
        self.session = pool.submit(client.login, server.port).result()
        self.rows: list[dict[str, Any]] = []
        self.many: list[dict[str, Any]] = []
        self.made = 0

    def measure(self, name: str, fn: Callable[..., Any], items: list[Any], workers: int, limit: str = "") -> list[Any]:
        """Do all items with so many threads, and note how it went."""
        cpu, began = self.server.cpu(), time.perf_counter()
        results, times = self.pool.submit(client.drive, fn, self.server.port, self.session, items, workers).result()
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

    def tokens(self, ids: list[str]) -> list[str]:
        """The one-time tokens of identities."""
        paths = [f"{client.MANAGEMENT}/identities/{key}" for key in ids]
        found = [client.request(self.server.port, "GET", path, session=self.session) for path in paths]
        return [one["data"]["enrollment"]["ott"]["token"] for one in found]

    def create(self, count: int) -> list[str]:
        """Make identities with tokens, unmeasured."""
        names = self.names(count)
        return self.pool.submit(
            client.drive, client.create_identity, self.server.port, self.session, names, 8
        ).result()[0]

    def names(self, count: int) -> list[str]:
        """Names that were not used yet."""
        self.made += count
        return [f"bench-{i:07d}" for i in range(self.made - count, self.made)]

    def populate(self, wanted: int) -> None:
        """Add identities with tokens until there are so many, ten thousand in one request."""
        total = self.total()
        while total < wanted:
            count = min(BULK, wanted - total)
            names = self.names(count)
            text = "name,roleAttributes\n" + "".join(
                f"{n}-{_letters(n)},load grp-{int(n[-2:]) % 50:02d}\n" for n in names
            )
            _, times = self.pool.submit(
                client.drive, client.bulk_create, self.server.port, self.session, [text], 1
            ).result()
            self.many.append({"identities": count, "seconds": round(times[0] / 1000, 2)})
            total = self.total()

    def total(self) -> int:
        """How many identities there are."""
        return int(client.list_identities(self.server.port, self.session, (0, "")))


def _letters(name: str) -> str:
    """A few letters that depend on the name."""
    return f"{hash(name) & 0xFFFFF:05x}".translate(str.maketrans("0123456789", "qrstuvwxyz"))


def run(count: int, identities: int) -> dict[str, Any]:
    """Start a controller and measure everything on it. identities: how many there are for the lists."""
    with machine.fresh_server() as server, ProcessPoolExecutor(1) as pool:
        limits = {
            "P-256 signs/s": machine.sign_rate(),
            "durable commits/s": machine.commit_rate(server.folder),
            "TLS handshakes/s": machine.handshake_rate(server.port),
        }
        b = Bench(server, pool, limits)
        memory = {"idle": server.memory_mib()}
        certs = measure_doors(b, count)
        measure_reads(b, count)
        measure_storm(b, count)
        memory["after"] = server.memory_mib()
        for size in sorted({*(s for s in SIZES if s < identities), identities}):
            b.populate(size)
            measure_size(b, size, count)
        b.measure("certificate login, kept connection", client.login_kept, certs[:8] * (LOGINS // 8), 8)
        measure_lists(b, identities)
        memory["with_all"] = server.memory_mib()
        disk = server.disk_mib()
        stop = server.stop()
        times = {"first_start_s": server.start_seconds, "stop_s": stop, "restart_s": server.start()}
    return {
        "limits": {k: round(v, 1) for k, v in limits.items()},
        "rows": b.rows,
        "bulk": b.many,
        "times": {k: round(v, 2) for k, v in times.items()},
        "memory_mib": {k: round(v, 1) for k, v in memory.items()},
        "identities": identities,
        "disk_mib": round(disk, 1),
    }


def measure_doors(b: Bench, count: int) -> list[str]:
    """Creation, enrollment and logins; gives the files with certificate and key of who enrolled."""
    ids = b.measure("create identity with token", client.create_identity, b.names(count), 8, "durable commits/s")
    made = [client.new_csr() for _ in ids]
    work = list(zip(b.tokens(ids), (csr for _, csr in made), strict=True))
    third = len(work) // 3
    certs: list[str] = []
    for part, workers in enumerate((1, 8, 32)):
        items = work[part * third : (part + 1) * third]
        certs += b.measure("enroll by ott, two new connections", client.enroll, items, workers, "TLS handshakes/s")
    files = []
    for number, cert in enumerate(certs):
        file = b.server.folder / f"client-{number}.pem"
        file.write_text(cert + made[number][0])
        files.append(str(file))
    ca = client.ThirdParty(b.server.port, b.session)
    devices = []
    for number in range(count):
        file = b.server.folder / f"device-{number}.pem"
        file.write_text(ca.device(f"device-{number}"))
        devices.append(str(file))
    b.measure("enroll by a CA, one new connection", client.enroll_by_ca, devices, 8, "TLS handshakes/s")
    b.measure("certificate login, new connection", client.login_by_certificate, files, 8, "TLS handshakes/s")
    b.measure("password login, new connection", client.login_by_password, list(range(40)), 8)
    return files


def measure_reads(b: Bench, count: int) -> None:
    """One identity again and again, by one client and by eight."""
    ids = b.create(count)
    b.measure("read one identity, kept connection", client.read_identity, ids, 1)
    b.measure("read one identity, kept connection", client.read_identity, ids * 10, 8)


def measure_storm(b: Bench, count: int) -> None:
    """Enrollment by itself, and while others keep sixteen password logins in flight."""
    for name in ("enroll, nothing else going on", "enroll, in a storm of logins"):
        csrs = [client.new_csr()[1] for _ in range(count // 3)]
        work = list(zip(b.tokens(b.create(count // 3)), csrs, strict=True))
        storm = None
        with ProcessPoolExecutor(1) as others:
            if "storm" in name:
                logins = list(range(200))
                storm = others.submit(client.drive, client.login_by_password, b.server.port, "", logins, 16)
            b.measure(name, client.enroll, work, 2)
            if storm is not None:
                storm.result()


def measure_size(b: Bench, size: int, count: int) -> None:
    """What an enrollment costs when there are so many identities."""
    csrs = [client.new_csr()[1] for _ in range(count)]
    work = list(zip(b.tokens(b.create(count)), csrs, strict=True))
    b.measure(f"enroll by ott among {size:,}", client.enroll, work, 8, "TLS handshakes/s")


def measure_lists(b: Bench, identities: int) -> None:
    """The pages that people look at."""
    for name, offset, text in LISTS:
        at = identities // 2 if offset < 0 else offset
        b.measure(f"list 100 of {identities:,}: {name}", client.list_identities, [(at, text)] * 20, 1)
    b.measure(f"list by state among {identities:,}", client.list_by_state, ["pending", "enrolled", "expired"] * 7, 1)


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    print("limits of this machine, in this run: " + ", ".join(f"{v:,.0f} {k}" for k, v in result["limits"].items()))
    print(f"{'operation':44} {'c':>3} {'/s':>9} {'median ms':>10} {'p99 ms':>8} {'CPU ms/op':>10}  of limit")
    for r in result["rows"]:
        part = f"{r['of_limit']:.3f} of {r['limit']}" if "limit" in r else ""
        print(
            f"{r['operation']:44} {r['workers']:3} {r['per_second']:9,.1f} {r['median_ms']:10.2f} {r['p99_ms']:8.2f} "
            f"{r['server_cpu_ms']:10.2f}  {part}"
        )
    whole = [one["seconds"] for one in result["bulk"] if one["identities"] == BULK]
    if whole:
        print(f"{BULK:,} identities with tokens in one request: {min(whole)} to {max(whole)} s")
    t, m = result["times"], result["memory_mib"]
    print(f"first start {t['first_start_s']} s, stop {t['stop_s']} s, restart with all of them {t['restart_s']} s")
    print(
        f"memory of all processes (PSS): idle {m['idle']} MiB, after enrollments and logins {m['after']} MiB, "
        f"with {result['identities']:,} identities {m['with_all']} MiB; database {result['disk_mib']} MiB"
    )


def main(count: int, identities: int, file: Path | None) -> int:
    """Measure, print the table, write the figures to a file as well where one is named."""
    result = run(count, identities)
    show(result)
    if file:
        file.write_text(json.dumps(result, indent=1) + "\n")
    return 0
