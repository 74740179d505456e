"""Hypothesis on everything that reads bytes of strangers: refused in its own words or understood, and soon."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, corpus

# Far above what any takes; a regular expression that goes wild takes minutes.
SECONDS = 3.0
EXAMPLES = 150


# Cryptography's own complaint about BER; what it cannot read it refuses all the same.
pytestmark = pytest.mark.filterwarnings("ignore:PKCS#7 certificates could not be parsed")


def timed(name: str, data: bytes) -> None:
    began = time.process_time()
    TARGETS[name](data)
    assert time.process_time() - began < SECONDS, data[:200]


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name):
    """What is kept, and each of it cut off or doubled anywhere."""
    kept = corpus(name)
    assert kept
    for data in kept:
        timed(name, data)
        for part in range(1, 12):
            timed(name, data[: len(data) * part // 12])
        timed(name, data + data)


@pytest.mark.parametrize("name", TARGETS)
def test_anything(name):
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(data=st.binary(max_size=600) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")))
    def run(data: bytes) -> None:
        timed(name, data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_mutations(name):
    """Pieces of what is kept, changed, moved and put together."""
    kept = corpus(name)
    change = st.tuples(st.integers(0, 1 << 16), st.integers(0, 64), st.binary(max_size=8))

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(first=st.sampled_from(kept), second=st.sampled_from(kept), changes=st.lists(change, max_size=6))
    def run(first: bytes, second: bytes, changes: list[tuple[int, int, bytes]]) -> None:
        data = first
        for at, length, new in changes:
            place = at % (len(data) + 1)
            data = data[:place] + new + data[place + length :]
        timed(name, data)
        timed(name, data[: len(data) // 2] + second[len(second) // 2 :])

    run()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("filter", b"(" * 50_000),
        ("filter", b"not " * 20_000 + b"true"),
        ("filter", b'name="' + b"\\" * 50_000 + b'"'),
        ("filter", b"anyOf(" * 20_000),
        ("filter", b"a=1 or " * 20_000 + b"a=1"),
        ("filter", b"[" + b"1," * 50_000),
        ("filter", b" " * 100_000),
        ("filter", b"-" * 100_000),
        ("csr", b"\x30\x84\x7f\xff\xff\xff" + b"\x30" * 5000),
        ("csr", b"\x30\x80" * 5000),
        ("csr", b"-----BEGIN CERTIFICATE REQUEST-----\n" * 3000),
        ("certificates", b"-----BEGIN CERTIFICATE-----\n" * 5000),
        ("certificates", b"\x30\x80" * 5000),
        ("certificates", b"-" * 100_000),
        ("certificates", (b"-----BEGIN " + b"A" * 1000 + b"-----\n") * 100),
        ("jwt", b"." * 100_000),
        ("jwt", b"e30." * 20_000),
        ("jwt", b"[" * 100_000),
        ("csv", b'"' * 100_000),
        ("csv", b"name\n" + b'"' + b"a" * 200_000),
        ("csv", b"name" + b",name" * 50_000 + b"\n"),
        ("http", b"\xffGET / HTTP/1.1\r\n" + b" x\r\n" * 10_000),
        ("http", b"\xffPOST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 4000),
        ("handshake", b"\x16\x03\x01\xff\xff" * 3000),
    ],
)
def test_what_grows(name, data):
    """Nesting and repetition without end cost no more than reading them."""
    timed(name, data)
