"""Hostile and broken clients by the hundred: enrollment goes on meanwhile, nothing crashes, nothing piles up."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import resource
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.controllers import CLIENT, Controller
from tests.faults.load import PEM_TEXT, tokens
from tests.flows import PEM, enroll, sql

# An enrollment takes some 20 ms; this is what a loaded machine may make of it, far below any of the deadlines.
SECONDS = 8.0
GROWTH_KIB = 96 * 1024
HEAD = b"POST /edge/client/v1/enroll?method=ott&token=x HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Controller]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    made = Controller(tmp_path_factory.mktemp("network"), "--limit-address", "0").start()
    yield made
    made.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(server: Controller) -> int:
    """What its processes take, in KiB."""
    total = 0
    for pid in family(server.pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:  # noqa: PTH123 - not a file of ours
            total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return total


def family(pid: int) -> list[int]:
    """A process and those below it."""
    found = [pid]
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: PTH123
        for child in children.read().split():
            found += family(int(child))
    return found


class Meanwhile:
    """Real enrollments, each on connections of its own."""

    def __init__(self, server: Controller) -> None:
        self.server, self.waiting = server, tokens(server.admin(), 12, "meanwhile")
        self.times: list[float] = []

    def enroll(self, count: int = 3) -> None:
        for _ in range(count):
            key, token = self.waiting.pop()
            began = time.monotonic()
            self.server.ca_pem()
            client = self.server.api().on(CLIENT)
            answer = enroll(client, "ott", token, PEM_TEXT, PEM)
            self.times.append(time.monotonic() - began)
            client.http.close()
            assert answer.status == 200, answer
            assert sql(self.server, "SELECT count(*) FROM authenticator WHERE identity_id = ?", key) == [(1,)]


@pytest.fixture
def meanwhile(server: Controller) -> Iterator[Meanwhile]:
    """Give enrollments to go on; afterwards look whether they were in time and the server is as it was."""
    before, log = memory(server), len(server.stderr())
    found = Meanwhile(server)
    yield found
    found.enroll(1)
    assert found.times
    assert max(found.times) < SECONDS, found.times
    said = server.stderr()[log:]
    assert "Traceback" not in said
    assert '"level": "error"' not in said
    assert memory(server) - before < GROWTH_KIB


def tcp(server: Controller) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)


_context = ssl.create_default_context()
_context.check_hostname, _context.verify_mode = False, ssl.CERT_NONE


def tls(server: Controller) -> ssl.SSLSocket:
    return _context.wrap_socket(tcp(server))


def hello() -> bytes:
    """The first bytes of a real client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@contextlib.contextmanager
def opened(make: Callable[[], socket.socket], count: int) -> Iterator[list[socket.socket]]:
    """So many connections."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(make())) for _ in range(count)]


@contextlib.contextmanager
def dripping(connections: list[socket.socket], piece: Callable[[int], bytes]) -> Iterator[None]:
    """Send a piece on each of them again and again."""
    stop = threading.Event()

    def drip() -> None:
        number = 0
        while not stop.wait(0.05):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.send(piece(number))
            number += 1

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def to_end(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(OSError):
        while more := connection.recv(65536):
            data += more
    return data


def ask(server: Controller, data: bytes) -> bytes:
    """What comes back for these bytes; the sending may be cut off."""
    with tls(server) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
        return to_end(connection)


def status_of(answer: bytes) -> int:
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.") else 0


# --- slow ones


def test_slow_handshakes(server, meanwhile):
    """Three hundred clients send their hello byte by byte."""
    first = hello()
    with opened(lambda: tcp(server), 300) as held, dripping(held, lambda n: first[n : n + 1]):
        meanwhile.enroll()


def test_slow_heads(server, meanwhile):
    with opened(lambda: tls(server), 300) as held:
        for connection in held:
            connection.sendall(HEAD)
        with dripping(held, lambda n: b"X-%d: y\r\n" % n):
            meanwhile.enroll()


@pytest.mark.parametrize("kind", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_slow_bodies(server, meanwhile, kind):
    piece = b"1\r\nx\r\n" if b"chunked" in kind else b"x"
    with opened(lambda: tls(server), 300) as held:
        for connection in held:
            connection.sendall(HEAD + kind)
        with dripping(held, lambda _: piece):
            meanwhile.enroll()


def test_slow_readers(server, meanwhile):
    """They ask for much and read nothing."""
    with opened(lambda: tls(server), 100) as held:
        for connection in held:
            connection.sendall(b"GET /edge/management/v1/swagger.json HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        meanwhile.enroll()


# --- many


@pytest.mark.usefixtures("server")  # which allows this process so many files
def test_two_thousand_idle_connections(make_controller):
    """As many as one process takes, and more: those that wait the longest make room for whoever comes."""
    alone = make_controller("--workers", "1")
    found = Meanwhile(alone)
    with opened(lambda: tcp(alone), 1500), opened(lambda: tls(alone), 500):
        found.enroll()
        with opened(lambda: tcp(alone), 600):
            found.enroll()
    found.enroll(1)
    assert max(found.times) < SECONDS, found.times
    assert "Traceback" not in alone.stderr()


def test_two_thousand_idle_connections_on_all_processes(server, meanwhile):
    with opened(lambda: tcp(server), 1500), opened(lambda: tls(server), 500):
        meanwhile.enroll()


def test_connections_that_come_and_go(server, meanwhile):
    """A thousand that are reset at once, some in the middle of a word."""
    first = hello()
    chance = random.Random(1)
    for number in range(1000):
        connection = tcp(server)
        connection.sendall(first[: chance.randint(0, len(first))])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        if number % 400 == 100:
            meanwhile.enroll(1)


# --- pipelining and half-closed


def test_pipelining(server, meanwhile):
    """Five hundred requests in one piece are answered in order; enrollments among them happen once each."""
    body = PEM_TEXT.encode()
    pairs = [meanwhile.waiting.pop() for _ in range(2)]
    read = b"GET /edge/client/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
    parts = []
    for _, token in pairs:
        head = f"POST /edge/client/v1/enroll?method=ott&token={token} HTTP/1.1\r\nHost: x\r\n"
        parts.append(f"{head}Content-Type: {PEM}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    last = read.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answer = ask(server, read * 250 + parts[0] + read * 248 + parts[1] + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 501
    for key, _ in pairs:
        assert sql(server, "SELECT count(*) FROM authenticator WHERE identity_id = ?", key) == [(1,)]


def test_half_closed(server, meanwhile):
    """Clients that send no more, at any moment of a connection, and stay to listen."""
    first = hello()
    with opened(lambda: tcp(server), 60) as plain, opened(lambda: tls(server), 60) as secure:
        for number, connection in enumerate(plain):
            connection.sendall(first[: number * len(first) // 60])
            connection.shutdown(socket.SHUT_WR)
        for number, connection in enumerate(secure):
            connection.sendall((HEAD + b"Content-Length: 10\r\n\r\n12345")[: number * 2])
            assert isinstance(connection, ssl.SSLSocket)
            socket.socket.shutdown(connection, socket.SHUT_WR)
        meanwhile.enroll()
        for connection in plain:
            assert b"HTTP" not in to_end(connection)


# --- garbage


def test_tls_garbage(server, meanwhile):
    """Random bytes, mutilated hellos, records of every kind and length: closed, at most with an alert."""
    first, chance = hello(), random.Random(2)
    cases = [b"GET / HTTP/1.1\r\n\r\n", b"\x80\x2e\x01\x00\x02", b"\x15\x03\x03\x00\x02\x02\x28", b"SSH-2.0-x\r\n"]
    cases += [bytes([kind, 3, 3, 0xFF, 0xFF]) + chance.randbytes(1000) for kind in range(20, 25)]
    cases += [chance.randbytes(chance.randint(1, 3000)) for _ in range(100)]
    for _ in range(200):
        broken = bytearray(first)
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        cases.append(bytes(broken) + chance.randbytes(chance.randint(0, 50)))
    for number, data in enumerate(cases):
        with tcp(server) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            assert b"HTTP/" not in to_end(connection)
        if number % 150 == 100:
            meanwhile.enroll(1)


def test_garbage_after_the_handshake(server, meanwhile):
    """Whatever comes as HTTP gets an answer of 4xx or 5xx that is made here, or the end."""
    chance = random.Random(3)
    cases = [
        *(chance.randbytes(chance.randint(1, 2000)) + b"\r\n\r\n" for _ in range(50)),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET " + b"/" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    for data in cases:
        answer = ask(server, data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        assert status_of(answer) != 500, data[:80]
    meanwhile.enroll(1)


# --- too large


def post(server: Controller, head: str, body: bytes) -> bytes:
    return ask(server, f"POST {head}\r\nHost: x\r\nConnection: close\r\n".encode() + body)


def test_large_heads(server, meanwhile):
    many = b"".join(b"X-%d: y\r\n" % n for n in range(20_000))
    for head in (many, b"X: " + b"y" * 1_000_000 + b"\r\n", b"Cookie: " + b"a=b; " * 50_000 + b"\r\n"):
        answer = ask(server, b"GET / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
        assert status_of(answer) == 431, answer[:100]
    meanwhile.enroll(1)


def test_large_bodies(server, meanwhile):
    """Announced, sent without end, in large chunks, in chunks of one byte, with large chunk lines and trailers."""
    first = HEAD + b"Content-Type: application/json\r\nConnection: close\r\n"
    chunked = first + b"Transfer-Encoding: chunked\r\n\r\n"
    mib = b"x" * 1024 * 1024
    cases = {
        "announced": (first + b"Content-Length: 99999999999\r\n\r\n", {413}),
        "sent": (first + b"Content-Length: 8388608\r\n\r\n" + mib * 8, {413}),
        "large chunks": (chunked + b"800000\r\n" + mib * 8, {413}),
        "one chunk announced": (chunked + b"ffffffffffffffff\r\n" + mib * 2, {400, 413}),
        "many chunks": (chunked + b"1\r\nx\r\n" * 1_200_000, {413}),
        "chunk line": (chunked + b"1;" + b"x" * 100_000, {400}),
        "trailer": (chunked + b"0\r\n" + b"X: y\r\n" * 50_000, {400}),
    }
    for name, (data, expected) in cases.items():
        assert status_of(ask(server, data)) in expected, name
    meanwhile.enroll(1)


def test_deep_json(server, meanwhile):
    for path in (
        "/edge/client/v1/enroll/ott",
        "/edge/client/v1/authenticate?method=password",
        "/zitilite/v1/first-run",
    ):
        for body in (
            b"[" * 500_000,
            b'{"a":' * 150_000,
            b"[" * 200_000 + b"]" * 200_000,
            b'{"a":' * 2000 + b"}" * 2000,
        ):
            kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert status_of(post(server, f"{path} HTTP/1.1", kind + body)) == 400, (path, body[:10])
    meanwhile.enroll(1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_compressed_bodies_are_refused(server, meanwhile, encoding):
    """A megabyte of zeros in a kilobyte is not unpacked: 415 that says so."""
    body = gzip.compress(b" " * 50_000_000)[:1_000_000]
    for path in ("/edge/client/v1/enroll?method=ott&token=x", "/edge/client/v1/authenticate?method=password"):
        head = f"{path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Encoding: {encoding}"
        answer = post(server, head, b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert status_of(answer) == 415
        cause = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["cause"]
        assert "compressed bodies are not accepted" in cause["reason"]
    assert os.path.exists(f"/proc/{server.pid}")  # noqa: PTH110
    meanwhile.enroll(1)


def test_identity_encoding_is_none(server, meanwhile):
    key, token = meanwhile.waiting.pop()
    head = (
        f"/edge/client/v1/enroll?method=ott&token={token} HTTP/1.1\r\nContent-Type: {PEM}\r\nContent-Encoding: identity"
    )
    body = PEM_TEXT.encode()
    assert status_of(post(server, head, b"Content-Length: %d\r\n\r\n" % len(body) + body)) == 200
    assert sql(server, "SELECT count(*) FROM authenticator WHERE identity_id = ?", key) == [(1,)]
