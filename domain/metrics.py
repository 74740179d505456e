"""What is measured: requests by operation, how many there are of everything, and the process itself.

The only importer of `prometheus_client`. The text format is that library's; names begin with `ziti_`
as those of the real controller do, and every sample of ours has the label `source_id`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client import values as storage
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series per counter, which nobody asked for
# Room for some six thousand samples; there are twelve for each operation that is used.
_FILE_BYTES = 1 << 20
_SECONDS = (0.005, 0.025, 0.1, 0.5, 2.5)


Read = Callable[[], Iterable[tuple[tuple[str, ...], float]]]


class _Gauge:
    """A gauge whose values are asked for when somebody looks."""

    def __init__(self, source: str, name: str, text: str, labels: Sequence[str], read: Read) -> None:
        self._source, self._name, self._text, self._labels, self._read = source, name, text, labels, read

    def describe(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(self._name, self._text)]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=("source_id", *self._labels))
        for values, number in self._read():
            family.add_metric((self._source, *values), number)
        yield family


class Metrics:
    """The measurements of a controller; safe to use from several threads and, once shared, processes.

    Args:
        source: id of the controller, the label `source_id`.
        pids: the processes that serve.
    """

    CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, source: str, pids: Callable[[], Sequence[int]]) -> None:
        self.source = source
        self.registry = CollectorRegistry()
        self._make_counters(self.registry)
        self._counts: Mapping[str, int] = {}
        self.gauge("ziti_entities", "How many there are of each kind", ("kind",), self._entities)
        self._folder = ""
        self.registry.register(_Processes(pids))

    def _make_counters(self, registry: CollectorRegistry) -> None:
        operation = ("source_id", "method", "operation")
        self._requests = Counter(
            "ziti_http_requests", "Answers, by operation and status", (*operation, "status"), registry=registry
        )
        self._seconds = Histogram(
            "ziti_http_request_seconds",
            "Time to answer, by operation",
            operation,
            buckets=_SECONDS,
            registry=registry,
        )

    def share(self, folder: Path) -> None:
        """Count together with the processes that are forked later; before anything was counted.

        folder: for the files with what each of them counted; what is in it is deleted.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        self._folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        storage.MmapedDict = _Allocated  # type: ignore[attr-defined]
        storage.ValueClass = storage.MultiProcessValue()  # type: ignore[no-untyped-call]
        self.registry.unregister(self._requests)
        self.registry.unregister(self._seconds)
        self._make_counters(CollectorRegistry())

    def answered(self, method: str, operation: str, status: int, seconds: float) -> None:
        """Note an answer. `operation` is the path with its variables unfilled."""
        with suppress(OSError):  # there is no room for the file: an answer is worth more than its being counted
            self._requests.labels(self.source, method, operation, str(status)).inc()
            self._seconds.labels(self.source, method, operation).observe(seconds)

    def gauge(self, name: str, text: str, labels: Sequence[str], read: Read) -> None:
        """Show what `read` gives whenever somebody looks: the values of the labels, and the number."""
        self.registry.register(_Gauge(self.source, name, text, labels, read))

    def text(self, counts: Mapping[str, int]) -> bytes:
        """The Prometheus text format 0.0.4; `counts` are the entities there are right now."""
        return generate_latest(self._all(counts))

    def blocks(self, counts: Mapping[str, int]) -> list[str]:
        """The same text, one item a metric."""
        blocks = self.text(counts).decode().split("# HELP ")
        return [f"# HELP {block}" for block in blocks if block]

    def samples(self, counts: Mapping[str, int]) -> list[dict[str, Any]]:
        """Every sample as an object with name, labels and value."""
        return [
            {"metric": sample.name, "source_id": self.source, "tags": sample.labels, "metrics": {"value": sample.value}}
            for family in self._all(counts).collect()
            for sample in family.samples
        ]

    def _entities(self) -> Iterable[tuple[tuple[str, ...], float]]:
        return (((kind,), number) for kind, number in self._counts.items())

    def _all(self, counts: Mapping[str, int]) -> Any:
        """What is to be shown: a registry, or something that collects as one does."""
        self._counts = counts
        if not self._folder:
            return self.registry
        together = CollectorRegistry()
        MultiProcessCollector(together, self._folder)  # type: ignore[no-untyped-call]
        return _Joined(together, self.registry)


class _Allocated(MmapedDict):
    """A file of counts with room on the disk: writing into memory that has none ends the process (SIGBUS)."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's
        if not read_mode:
            with Path(filename).open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]


class _Joined:
    def __init__(self, *registries: CollectorRegistry) -> None:
        self._registries = registries

    def collect(self) -> Iterator[Any]:
        for registry in self._registries:
            yield from registry.collect()


class _Processes:
    """CPU time, memory and files of all processes that serve, as one; Prometheus' names for a process."""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        families: dict[str, Any] = {}
        for pid in self._pids():
            for family in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                known = families.setdefault(family.name, family)
                if known is not family:
                    _add(known, family)
        yield from families.values()


def _add(known: Any, other: Any) -> None:
    """Add up; but the start is the first one's, and the most files are each one's."""
    if known.name in ("process_start_time_seconds", "process_max_fds"):
        return
    known.samples = [a._replace(value=a.value + b.value) for a, b in zip(known.samples, other.samples, strict=True)]
