"""What is measured: requests by operation, how many there are of everything, and the process itself.

The only importer of `prometheus_client`. The text format is that library's; names begin with `ziti_`
as those of the real controller do, and every sample of ours has the label `source_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series per counter, which nobody asked for
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
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
    """The measurements of one process; safe to use from several threads.

    Args:
        source: id of the controller, the label `source_id`.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.registry = CollectorRegistry()
        operation = ("source_id", "method", "operation")
        self._requests = Counter(
            "ziti_http_requests", "Answers, by operation and status", (*operation, "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "ziti_http_request_seconds",
            "Time to answer, by operation",
            operation,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._entities = Gauge(
            "ziti_entities", "How many there are of each kind", ("source_id", "kind"), registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def answered(self, method: str, operation: str, status: int, seconds: float) -> None:
        """Note an answer. `operation` is the path with its variables unfilled."""
        self._requests.labels(self.source, method, operation, str(status)).inc()
        self._seconds.labels(self.source, method, operation).observe(seconds)

    def gauge(self, name: str, text: str, labels: Sequence[str], read: Read) -> None:
        """Show what `read` gives whenever somebody looks: the values of the labels, and the number."""
        self.registry.register(_Gauge(self.source, name, text, labels, read))

    def text(self, counts: Mapping[str, int]) -> bytes:
        """The Prometheus text format 0.0.4; `counts` are the entities there are right now."""
        self._count(counts)
        return generate_latest(self.registry)

    def blocks(self, counts: Mapping[str, int]) -> list[str]:
        """The same text, one item a metric."""
        blocks = self.text(counts).decode().split("# HELP ")
        return [f"# HELP {block}" for block in blocks if block]

    def samples(self, counts: Mapping[str, int]) -> list[dict[str, Any]]:
        """Every sample as an object with name, labels and value."""
        self._count(counts)
        return [
            {"metric": sample.name, "source_id": self.source, "tags": sample.labels, "metrics": {"value": sample.value}}
            for family in self.registry.collect()
            for sample in family.samples
        ]

    def _count(self, counts: Mapping[str, int]) -> None:
        for kind, number in counts.items():
            self._entities.labels(self.source, kind).set(number)
