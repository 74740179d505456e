"""The HTTPS listener, tested over real sockets."""

import contextlib
import http.client
import json
import queue
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

import pki
import tls

NOW = datetime.now(UTC)
WAIT = 20  # seconds after which a blocked test fails
MIB = 1024 * 1024
TOO_LARGE = (
    b'{"code":"REQUEST_ENTITY_TOO_LARGE","message":"The request body exceeds the maximum accepted size","cause":null}'
)


class App:
    """Answers with what it got; `/wait` holds its answer until `release` is set, `/stream` puts a stream there."""

    def __init__(self):
        self.release, self.entered = threading.Event(), threading.Event()
        self.calls = []
        self.streams: Any = queue.Queue()

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        self.calls.append(path)
        body = environ["wsgi.input"].read()
        peer = environ["zitilite.peer"]
        if path == "/wait":
            self.entered.set()
            self.release.wait(WAIT)
        if path == "/stream":
            environ["zitilite.hold"](self.streams.put)
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return iter((b"first",))
        if path == "/fail":
            raise RuntimeError("secret")
        answer = {
            "length": len(body),
            "peer": [cert.common_name for cert in peer],
            "same": id(peer),
            "scheme": environ["wsgi.url_scheme"],
        }
        data = b"x" * int(path[5:]) if path.startswith("/big/") else json.dumps(answer).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]


class Running:
    """A server in a thread."""

    def __init__(self, authority, **limits):
        self.app, self.authority = App(), authority
        self.server = tls.create_server(
            self.app,
            host="127.0.0.1",
            port=0,
            material=authority.tls_material(),
            limits=tls.Limits(**limits),
            error_headers=[("ziti-instance-id", "inst")],
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.app.release.set()
        self.server.stop()
        self.thread.join(WAIT)
        assert not self.thread.is_alive()

    def context(self, cert=None):
        context = ssl.create_default_context(cadata=self.authority.bundle[-1].pem)
        if cert:
            context.load_cert_chain(cert)
        return context

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT)

    def connect(self, context=None):
        return (context or self.context()).wrap_socket(self.tcp(), server_hostname="localhost")

    def http(self, context=None):
        connection = http.client.HTTPSConnection(
            "localhost", self.server.port, context=context or self.context(), timeout=WAIT
        )
        connection.sock = self.connect(context)
        return connection

    def ask(self, path="/", body=None, *, context=None, **options):
        connection = self.http(context)
        with contextlib.closing(connection):
            connection.request("POST" if body else "GET", path, body, **options)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def ask_json(self, *args, **options):
        status, _, body = self.ask(*args, **options)
        assert status == 200
        return json.loads(body)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return pki.Authority.open(tmp_path_factory.mktemp("pki") / "keys", pki.PkiOptions(), clock=lambda: NOW)


@pytest.fixture(scope="module")
def shared(authority):
    running = Running(authority)
    yield running
    running.stop()


@pytest.fixture
def start(authority):
    started = []

    def begin(**limits):
        started.append(Running(authority, **limits))
        return started[-1]

    yield begin
    for running in started:
        running.stop()


def certificate(path, cn, issuer=None, days=(-1, 9)):
    """Write a client certificate with key and chain; returns (path, key, name, PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    by_key, by_name, above = (issuer[1], issuer[2], issuer[3]) if issuer else (key, name, "")
    raw = (
        x509.CertificateBuilder(by_name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(by_key, hashes.SHA256())
    )
    text = raw.public_bytes(serialization.Encoding.PEM).decode() + above
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    (path / cn).write_text(text + secret)
    return path / cn, key, name, text


def read_to_end(connection):
    data = b""
    while True:
        try:
            more = connection.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            return data
        if not more:
            return data
        data += more


def until(condition):
    """Wait for a condition with a limit; the limit is no statement about speed."""
    end = time.monotonic() + WAIT
    while not condition() and time.monotonic() < end:
        select.select([], [], [], 0.02)
    return condition()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("days", [(-1, 9), (-9, -1), (1, 9)])
def test_every_client_certificate_reaches_the_application(shared, tmp_path, version, days):
    context = shared.context(certificate(tmp_path, "box", days=days)[0])
    context.minimum_version = context.maximum_version = version
    assert shared.ask_json(context=context)["peer"] == ["box"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_chain_comes_leaf_first(shared, tmp_path, version):
    root = certificate(tmp_path, "root")
    middle = certificate(tmp_path, "middle", root)
    context = shared.context(certificate(tmp_path, "leaf", middle)[0])
    context.minimum_version = context.maximum_version = version
    assert shared.ask_json(context=context)["peer"] == ["leaf", "middle", "root"]


def test_no_certificate_is_an_empty_tuple(shared):
    answer = shared.ask_json()
    assert answer["peer"] == []
    assert answer["scheme"] == "https"


def test_old_versions_are_refused(shared):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    with contextlib.closing(shared.tcp()) as sock:
        sock.settimeout(None)
        with pytest.raises(SSL.Error):
            SSL.Connection(context, sock).connect_ex(sock.getpeername()) or handshake(context, sock)


def handshake(context, sock):
    connection = SSL.Connection(context, sock)
    connection.set_connect_state()
    connection.do_handshake()
    return connection


def test_no_ca_names_are_sent_and_the_whole_chain_is(shared):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{shared.server.port}", "-showcerts"],
        input="", capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    assert "No client certificate CA names sent" in done.stdout
    assert "Requested Signature Algorithms" in done.stdout
    assert [c.common_name for c in pki.load_certs(done.stdout.split("Server certificate")[0])] == [
        c.common_name for c in shared.authority.server_chain
    ]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (["h2"], None), (["foo"], None), (None, None)],
)
def test_alpn(shared, offered, chosen):
    context = shared.context()
    if offered:
        context.set_alpn_protocols(offered)
    with shared.connect(context) as connection:
        assert connection.selected_alpn_protocol() == chosen
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_to_end(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumption_is_declined_without_harm(shared, tmp_path, version):
    context = shared.context(certificate(tmp_path, "box")[0])
    context.minimum_version = context.maximum_version = version
    with shared.connect(context) as first:
        first.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b'"peer": ["box"]' in read_to_end(first)
        session = first.session
    with context.wrap_socket(shared.tcp(), server_hostname="localhost", session=session) as second:
        second.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b'"peer": ["box"]' in read_to_end(second)
        assert not second.session_reused


def test_plain_http_is_closed_without_an_answer(shared):
    with shared.tcp() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_to_end(sock) == b""


def test_stalled_handshakes_delay_nobody_and_are_closed(start):
    running = start(handshake_seconds=1)
    stalled = [running.tcp() for _ in range(100)]
    for number, sock in enumerate(stalled):
        sock.sendall(b"\x16\x03\x01\x02\x00" if number % 2 else b"")
    assert running.ask_json()["length"] == 0
    for sock in stalled:
        assert read_to_end(sock) == b""
        sock.close()


def test_connections_broken_off_leave_nothing_behind(start):
    running = start()
    for size in (0, 1, 20, 400):
        sock = running.tcp()
        sock.sendall(b"\x16\x03\x01\x02\x00".ljust(size, b"\x01")[:size])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    connection = running.connect()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    connection.close()
    assert running.ask_json()["length"] == 0
    running.stop()
    assert not running.server.active_channels


def test_keep_alive_converts_the_certificate_once(shared, tmp_path):
    connection = shared.http(shared.context(certificate(tmp_path, "box")[0]))
    seen = set()
    with contextlib.closing(connection):
        for _ in range(5):
            connection.request("GET", "/")
            seen.add(json.loads(connection.getresponse().read())["same"])
    assert len(seen) == 1


def test_pipelining(shared):
    with shared.connect() as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 99 + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert read_to_end(connection).count(b"HTTP/1.1 200 OK") == 100


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def test_chunked_body(shared):
    with shared.connect() as connection:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        connection.sendall(head + chunked([b"a" * 5, b"b" * 70000, b"c"]))
        assert b'"length": 70006' in read_to_end(connection)


def test_expect_continue(shared):
    with shared.connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"abc")
        assert b'"length": 3' in read_to_end(connection)


def test_large_bodies_both_ways(start):
    running = start(body_bytes=20 * MIB)
    assert running.ask_json("/", b"x" * 20 * MIB)["length"] == 20 * MIB
    assert len(running.ask("/big/30000000")[2]) == 30_000_000


def test_slow_reader_gets_everything(shared):
    with shared.connect() as connection:
        connection.sendall(b"GET /big/3000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        size = 0
        while data := connection.recv(1000):
            size += len(data)
        assert size > 3_000_000


def test_one_byte_per_record(shared):
    with shared.connect() as connection:
        for byte in b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc":
            connection.sendall(bytes([byte]))
        assert b'"length": 3' in read_to_end(connection)


def test_half_closed_client_gets_its_answer(shared):
    with shared.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        # shutdown() ends TLS on this object, so the raw answer is looked at: it is not empty.
        assert read_to_end(connection)


def test_many_clients_at_once(shared, tmp_path):
    contexts = [shared.context(certificate(tmp_path, f"c{n}")[0]) for n in range(20)]

    def work(number):
        connection = shared.http(contexts[number])
        with contextlib.closing(connection):
            for _ in range(20):
                connection.request("POST", "/", b"x" * number)
                answer = json.loads(connection.getresponse().read())
                assert answer["peer"] == [f"c{number}"]
                assert answer["length"] == number

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(20)))


def test_slow_application_calls_delay_nobody(start):
    running = start(threads=2)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(running.ask_json, "/wait")
        assert running.app.entered.wait(WAIT)
        assert running.ask_json()["length"] == 0
        running.app.release.set()
        assert slow.result(WAIT)["length"] == 0


def test_body_of_exactly_the_limit_passes(shared):
    assert shared.ask_json("/", b"x" * MIB)["length"] == MIB
    with shared.connect() as connection:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        connection.sendall(head + chunked([b"x" * 1024] * 1024))
        assert b'"length": 1048576' in read_to_end(connection)


def is_recorded_413(status, headers, body):
    assert (status, body) == (413, TOO_LARGE)
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close"
    assert headers["Ziti-Instance-Id"] == "inst"
    assert "Server" not in headers
    return True


@pytest.mark.parametrize("size", [MIB + 1, 8 * MIB])
def test_oversized_body_is_answered(start, size):
    running = start()
    assert is_recorded_413(*running.ask("/", b"x" * size))
    assert running.app.calls == []


def test_oversized_chunked_body_is_answered(start):
    running = start()
    pieces = [b"x" * 65536] * 16 + [b"y"]
    assert is_recorded_413(*running.ask("/", iter(pieces), encode_chunked=True))
    assert running.app.calls == []


def test_oversized_body_is_refused_before_it_is_asked_for(start):
    running = start()
    with running.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n")
        assert read_to_end(connection).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400, "BAD_REQUEST"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "BAD_REQUEST"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, 400, "BAD_REQUEST"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "NOT_IMPLEMENTED"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70000 + b"\r\n\r\n", 431, "REQUEST_HEADERS_TOO_LARGE"),
        (b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n", 500, "UNHANDLED"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_errors_made_here_have_the_envelope(shared, data, status, code):
    with shared.connect() as connection:
        connection.sendall(data)
        head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"Content-Type: application/json\r\n" in head + b"\r\n"
    assert body.endswith(b"}\n")
    answer = json.loads(body)
    assert answer["error"]["code"] == code
    assert answer["error"]["requestId"]
    assert answer["meta"] == {"apiEnrollmentVersion": "0.0.1", "apiVersion": "0.0.1"}
    assert b"secret" not in body


def test_request_that_never_ends_is_closed(start):
    running = start(request_seconds=1)
    with running.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        closed = False
        while not closed:
            try:
                connection.sendall(b"x")
            except OSError:
                break
            closed = bool(select.select([connection], [], [], 0.05)[0])
        assert read_to_end(connection) == b""
    assert running.app.calls == []


def test_idle_connection_is_closed(start):
    running = start(idle_seconds=1)
    with running.connect() as quiet:
        connection = running.http()
        connection.request("GET", "/")
        connection.getresponse().read()
        assert read_to_end(connection.sock) == read_to_end(quiet) == b""
        connection.close()


def test_stalled_reader_is_closed(start):
    running = start(idle_seconds=1)
    with running.connect() as connection:
        connection.sendall(b"GET /big/40000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert until(lambda: not running.server.active_channels)
        with contextlib.suppress(OSError):
            assert len(read_to_end(connection)) < 40_000_000


def test_connection_limit_holds_back_and_recovers(start):
    running = start(connection_limit=16)
    held = [running.connect() for _ in range(16)]
    with running.tcp() as waiting:
        waiting.sendall(b"no TLS, so an accepted connection would be closed at once")
        assert until(lambda: running.server.in_connection_overflow)
        assert not select.select([waiting], [], [], 0)[0]
        for connection in held:
            connection.close()
        assert read_to_end(waiting) is not None
    assert running.ask_json()["length"] == 0


def test_certificate_swap(authority, tmp_path):
    other = pki.Authority.open(tmp_path / "other", pki.PkiOptions(server_key="P-256"), clock=lambda: NOW)
    running = Running(authority)
    old = running.http()
    old.request("GET", "/")
    old.getresponse().read()
    running.server.swap_certificate(other.tls_material())
    running.authority = other
    assert running.ask_json()["length"] == 0
    with running.connect() as fresh:
        assert pki.load_cert(fresh.getpeercert(binary_form=True)) == other.server_cert
    old.request("GET", "/")
    assert old.getresponse().status == 200
    assert pki.load_cert(old.sock.getpeercert(binary_form=True)) == authority.server_cert
    old.close()
    running.stop()


def test_stop_ends_idle_stalled_and_half_sent_connections(authority):
    running = Running(authority)
    stalled, idle, half = running.tcp(), running.connect(), running.connect()
    half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    running.ask()
    running.server.stop()
    running.thread.join(2)
    assert not running.thread.is_alive()
    for connection in (stalled, idle, half):
        assert read_to_end(connection) == b""
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        running.tcp()


def test_request_in_flight_is_answered_when_the_server_stops(authority):
    running = Running(authority, stop_seconds=WAIT)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(running.ask_json, "/wait")
        assert running.app.entered.wait(WAIT)
        running.server.stop()
        running.app.release.set()
        assert answer.result(WAIT)["length"] == 0
    running.stop()


def test_stop_does_not_wait_for_ever_for_the_application(authority):
    running = Running(authority)
    connection = running.http()
    connection.request("GET", "/wait")
    assert running.app.entered.wait(WAIT)
    running.server.stop()
    running.thread.join(2)
    assert not running.thread.is_alive()
    running.app.release.set()
    connection.close()


def test_stop_before_run_and_twice(authority):
    server = tls.create_server(App(), host="localhost", port=0, material=authority.tls_material())
    server.stop()
    server.stop()
    server.run()
    assert not server.active_channels


def test_taken_port_is_named(shared):
    port = shared.server.port
    with pytest.raises(tls.AddressInUse, match=f"port {port} is in use by another program"):
        tls.create_server(App(), host="127.0.0.1", port=port, material=shared.authority.tls_material())


def test_unknown_host_is_named(shared):
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        tls.create_server(App(), host="192.0.2.1", port=0, material=shared.authority.tls_material())


@pytest.mark.parametrize(("host", "reach"), [("::1", "::1"), ("[::1]", "::1"), ("*", "127.0.0.1"), ("::", "127.0.0.1")])
def test_listening_addresses(authority, host, reach):
    try:
        server = tls.create_server(App(), host=host, port=0, material=authority.tls_material(), ident="Zitilite")
    except OSError:
        if socket.has_dualstack_ipv6():
            raise
        pytest.skip("no IPv6 here")
    thread = threading.Thread(target=server.run)
    thread.start()
    context = ssl.create_default_context(cadata=authority.bundle[-1].pem)
    connection = http.client.HTTPSConnection(reach, server.port, context=context, timeout=WAIT)
    connection.request("GET", "/")
    assert connection.getresponse().getheader("Server") == "Zitilite"
    connection.close()
    server.stop()
    thread.join(WAIT)
    assert not thread.is_alive()


# --- answers that go on


def open_stream(running):
    connection = running.http()
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    return connection, answer, running.app.streams.get(timeout=WAIT)


def test_stream_goes_on_while_the_workers_are_free(start):
    """Pieces arrive as they are sent, in chunks; other requests are answered by the only worker meanwhile."""
    running = start(threads=1)
    connection, answer, stream = open_stream(running)
    assert answer.read(5) == b"first"
    assert running.ask_json()["length"] == 0
    assert stream.send(b"second")
    assert answer.read(6) == b"second"
    stream.close()
    assert answer.read() == b""
    assert not stream.send(b"third")
    connection.close()


def test_requests_behind_a_stream_are_not_answered(start):
    running = start()
    with running.connect() as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        stream = running.app.streams.get(timeout=WAIT)
        connection.sendall(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.send(b"second")
        stream.close()
        assert read_to_end(connection).endswith(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")
    assert running.app.calls == ["/stream"]


def test_old_client_gets_the_stream_without_chunks(start):
    running = start()
    with running.connect() as connection:
        connection.sendall(b"GET /stream HTTP/1.0\r\nHost: x\r\n\r\n")
        stream = running.app.streams.get(timeout=WAIT)
        assert stream.send(b"second")
        stream.close()
        assert read_to_end(connection).endswith(b"\r\n\r\nfirstsecond")


def test_quiet_stream_outlives_the_idle_limit_and_a_deaf_one_does_not(start):
    running = start(idle_seconds=1)
    connection, answer, quiet = open_stream(running)
    with running.connect() as deaf:
        deaf.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck = running.app.streams.get(timeout=WAIT)
        while not stuck.is_behind:
            assert stuck.send(b"x" * 100_000)
        assert until(lambda: not stuck.is_open)
        assert quiet.send(b"second")
        assert answer.read(11) == b"firstsecond"
    answer.close()
    connection.close()
    assert until(lambda: not quiet.is_open)


def test_stream_ends_with_the_server(start):
    running = start()
    connection, answer, stream = open_stream(running)
    running.stop()
    assert answer.read() == b"first"
    assert not stream.send(b"more")
    connection.close()
