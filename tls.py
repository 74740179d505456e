"""The HTTPS listener: waitress with non-blocking TLS inside its I/O loop.

Owns sockets, handshakes, deadlines and size limits. Imports only `pki` and `dispatch`. The application finds the
client's certificates in `environ["zitilite.peer"]`: a tuple of `pki.Cert`, leaf first, empty when
none was sent, and in `environ["zitilite.hold"]` a function that makes the answer one that goes on after the
application returned (`Stream`). Nothing is verified here: self-signed, foreign and expired certificates must reach
the application, which answers in HTTP (recorded answer "TLS certificate request" in root.json).

An SSL object must not be used by two threads at once, and never after its socket was closed, since
the descriptor may already belong to another connection: all uses hold the channel's `tls_lock`.
"""

import contextlib
import errno
import ipaddress
import json
import logging
import math
import resource
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from OpenSSL import SSL
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import (
    ErrorTask,
    WSGITask,
)
from waitress.utilities import BadRequest, RequestEntityTooLarge

import pki
from dispatch import Dispatcher, TooBusy

PEER = "zitilite.peer"
HOLD = "zitilite.hold"

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers = Sequence[tuple[str, str]]
IsQuick = Callable[[str, str, str, Mapping[str, str]], bool]

_RECORD = 16384  # largest plaintext of a TLS record, RFC 8446 5.1
_RECORDS_PER_TURN = 8
_CHUNK_LINE = 4096
_CHUNK_WASTE = 64 * 1024  # of chunk lines that a body may have beyond its own length: reading them costs time
_STREAM_BYTES = 256 * 1024  # what may wait for the client of a stream
_OWN_FILES = 2  # the listener and the trigger
_MANY, _AT_ONCE = 128, 16  # connections from which on several are taken in one turn, and how many
_GRACE_SECONDS = 1.0  # that a connection may be still before it makes room for another
_BACKLOG = 1024
_QUEUED_BYTES = 256 * 1024  # of answers that a client has not read yet; then its next request has to wait
_SPARE_FILES = 256  # for the database, logs and the like
_TOO_LARGE = {
    "code": "REQUEST_ENTITY_TOO_LARGE",
    "message": "The request body exceeds the maximum accepted size",
    "cause": None,
}
_ERROR_CODES = {
    400: ("BAD_REQUEST", "The request could not be read as HTTP"),
    429: ("RATE_LIMITED", "The controller is busy. Please try again later"),
    431: ("REQUEST_HEADERS_TOO_LARGE", "The request could not be read as HTTP"),
    501: ("NOT_IMPLEMENTED", "The request could not be read as HTTP"),
}

log = logging.getLogger(__name__)


class AddressInUse(OSError):  # noqa: N818 - says what it is about
    """Another program already listens on the address."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take. Times in seconds with a resolution of about one second.

    handshake_seconds: for the TLS handshake. request_seconds: from the first byte of a request to
    its last. idle_seconds: without a byte moving, between requests or while an answer is read.
    linger_seconds, linger_bytes: how long and how much is still read after the last answer, so that
    the client gets it. stop_seconds: for requests in flight when the server stops.
    body_bytes: largest body, after removal of the chunked encoding. large_bytes: the same for the
    paths in large_paths, when the request brings credentials.
    """

    handshake_seconds: float = 10
    request_seconds: float = 60
    idle_seconds: float = 60
    linger_seconds: float = 5
    linger_bytes: int = 16 * 1024 * 1024
    stop_seconds: float = 1
    connection_limit: int = 2000
    threads: int = 8
    header_bytes: int = 64 * 1024
    body_bytes: int = 1024 * 1024
    large_bytes: int = 1024 * 1024
    large_paths: tuple[str, ...] = ()


def _pick_protocol(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _context(material: pki.TlsMaterial) -> SSL.Context:
    """Build the server's TLS settings; a connection keeps the context it began with."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20")
    context.use_certificate(material.chain[0])
    for certificate in material.chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(material.key)
    context.check_privatekey()
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    # No resumption: a resumed session has the leaf but not the chain. Old clients offer it all the
    # same, and without a session id their handshake would be refused.
    context.set_session_id(b"zitilite")
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_alpn_select_callback(_pick_protocol)
    return context


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Waitress's parser with exact limits for chunked bodies and RFC 9112's rule on Host."""

    adj: Any
    raw_bytes = 0

    def received(self, data: bytes) -> int:
        is_chunk = self.chunked and not self.completed
        consumed = self._received_chunks(data) if is_chunk else super().received(data)
        if self.error:
            # Otherwise the client would be asked for the rest of a refused request.
            self.expect_continue = False
        return consumed

    def _received_chunks(self, data: bytes) -> int:
        body = self.body_rcv
        consumed: int = body.received(data)
        self.raw_bytes += consumed
        if self.raw_bytes > 2 * len(body) + _CHUNK_WASTE:
            self.error = BadRequest("the chunks are too small")
        elif len(body) >= self.adj.max_request_body_size:
            self.error = RequestEntityTooLarge("")
        elif body.error:
            self.error = body.error
        elif max(len(body.control_line), len(body.trailer)) > _CHUNK_LINE:
            self.error = BadRequest("the chunked encoding is malformed")
        self.completed = bool(self.error or body.completed)
        self.headers["CONTENT_LENGTH"] = str(len(body))
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.version == "1.1" and "HOST" not in self.headers:
            raise ParsingError("missing required Host header")
        if self.path in self.adj.large_paths and self.headers.keys() & {"ZT_SESSION", "AUTHORIZATION"}:
            self.adj = _Larger(self.adj)


class _Larger:
    """The server's settings with the limit for large bodies."""

    def __init__(self, adj: Any) -> None:
        self._adj = adj
        self.max_request_body_size = adj.large_body_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adj, name)


class Stream:
    """An answer that goes on: whoever holds it sends pieces from a thread of their own, none of the workers waits.

    Who sends should wait while `is_behind`; a client that reads nothing for `idle_seconds` is cut off.
    """

    def __init__(self, channel: "_Channel", *, chunked: bool) -> None:
        self._channel, self._chunked, self._ended = channel, chunked, False

    @property
    def is_open(self) -> bool:
        """Whether somebody may still be listening."""
        return bool(self._channel.connected) and not self._ended and not self._channel.will_close

    @property
    def is_behind(self) -> bool:
        """Whether more than enough waits for the client to read it."""
        return bool(self._channel.total_outbufs_len > _STREAM_BYTES)

    def send(self, data: bytes) -> bool:
        """Send a piece that is not empty; whether the client is still there."""
        if not self.is_open:
            return False
        return self._write(b"%X\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def close(self) -> None:
        """End the answer in an orderly way."""
        if self.is_open:
            self._ended = True
            self._write(b"0\r\n\r\n" if self._chunked else b"")
            self._channel.close_when_flushed = True
            self._channel.server.pull_trigger()

    def _write(self, data: bytes) -> bool:
        try:
            self._channel.write_soon(data)
        except ClientDisconnected:
            return False
        self._channel.flush()
        self._channel.server.pull_trigger()
        return True


class _Task(WSGITask):  # type: ignore[misc]
    held: Callable[[Stream], None] | None = None

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[PEER] = self.channel.peer
        environ[HOLD] = self.hold
        return environ

    def hold(self, begin: Callable[[Stream], None]) -> None:
        """Let the answer go on; begin: gets the Stream when the head is on its way."""
        self.held = begin

    def finish(self) -> None:
        begin = self.held
        if begin is None:
            super().finish()
            self.channel.flush()
            return
        self.write(b"")
        self.close_on_finish = False
        stream = self.channel.begin_stream(chunked=self.chunked_response)
        self.channel.flush()
        begin(stream)


def _error_body(status: int, detail: str) -> str:
    """Return the JSON for an error found before the application was asked."""
    if status == RequestEntityTooLarge.code:
        return json.dumps(_TOO_LARGE, separators=(",", ":"))
    error: dict[str, Any] = {"code": "UNHANDLED", "message": "An unhandled error occurred"}
    if status in _ERROR_CODES:
        code, message = _ERROR_CODES[status]
        error = {"cause": {"code": "UNHANDLED", "message": detail}, "code": code, "message": message}
    error["requestId"] = secrets.token_urlsafe(7).replace("_", ".")
    meta = {"apiEnrollmentVersion": "0.0.1", "apiVersion": "0.0.1"}
    return json.dumps({"error": error, "meta": meta}, separators=(",", ":")) + "\n"


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        error = self.request.error
        body = _error_body(error.code, str(error.body)).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.response_headers.extend(self.channel.server.error_headers)
        if error.code == TooBusy.code:
            self.response_headers.append(("Retry-After", "5"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection: handshake, then requests, then lingering until the client closes, too."""

    task_class = _Task
    error_task_class = _ErrorTask
    parser_class = _Parser

    handshaking = True
    wants_write = False
    peer: tuple[pki.Cert, ...] = ()
    request: Any = None
    timed_request: Any = None
    since = 0.0  # monotonic time at which the handshake, the request or the lingering began
    lingering = False
    linger_left = 0
    stream: Stream | None = None

    def __init__(self, server: "TlsServer", sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        self.tls_lock = threading.Lock()
        self.since = time.monotonic()
        super().__init__(server, sock, addr, adj, map=map)
        # A write takes one record at most; larger pieces would only be copied in vain.
        self.sendbuf_len = _RECORD
        self.tls: SSL.Connection | None = SSL.Connection(server.context, sock)
        self.tls.set_accept_state()

    @property
    def last_activity(self) -> float:
        """When a byte moved last, on the monotonic clock: a wall clock that is set would cut all, or spare all."""
        return self._moved

    @last_activity.setter
    def last_activity(self, _: float) -> None:
        # waitress sets it to what the wall clock says.
        self._moved = time.monotonic()

    # What the I/O loop should wait for.

    def readable(self) -> bool:
        if self.handshaking:
            return not (self.will_close or self.wants_write)
        # A stream's client says nothing more, but it may go away.
        return self.lingering or (self.stream is not None and not self.will_close) or bool(super().readable())

    def writable(self) -> bool:
        if self.handshaking:
            return self.will_close or self.wants_write
        return not self.lingering and bool(super().writable())

    def flush(self) -> None:
        """Send from the worker's thread what the answer left in the buffer."""
        with self.outbuf_lock:
            if self.connected and self.total_outbufs_len:
                self._flush_exception(self._flush_some, do_close=False)

    def begin_stream(self, *, chunked: bool) -> Stream:
        """Turn the answer under way into one that goes on; no further request is taken on this connection."""
        self.stream = Stream(self, chunked=chunked)
        with self.requests_lock:
            for request in self.requests[1:]:
                request.close()
            del self.requests[1:]
            self.request = None
        return self.stream

    # Events of the I/O loop.

    def handle_read(self) -> None:
        if self.lingering:
            self.discard()
            return
        if self.stream:
            self.recv(4 * _RECORD)
            return
        if self.handshaking and not self.shake_hands():
            return
        for _ in range(_RECORDS_PER_TURN):
            data = self.recv(4 * _RECORD)
            if not data:
                return
            self._moved = time.monotonic()
            self.received(data)
            self.server.answer_ready()
            # Bytes that are already decrypted would never wake the loop again.
            if not self.connected or (self.requests and not self.pending()):
                return

    def handle_write(self) -> None:
        if self.handshaking and not self.will_close:
            if self.shake_hands():
                self.handle_read()
            return
        if self.total_outbufs_len and self.stream is not None:
            # Another thread may be adding to it.
            self._flush_exception(self._flush_some_if_lockable)
        elif self.total_outbufs_len and not self.requests:
            self._flush_exception(self._flush_some)
        elif self.total_outbufs_len >= self.adj.send_bytes:
            self._flush_exception(self._flush_some_if_lockable)
        if self.will_close:
            self.handle_close()
        elif self.connected and self.close_when_flushed and not self.total_outbufs_len:
            self.linger()

    def handle_expt(self) -> None:
        # TCP urgent data has no meaning in TLS, and would keep the loop awake.
        self.handle_close()

    def handle_close(self) -> None:
        self.say_goodbye()
        # A worker that fails to send may close at the same moment as the loop does.
        with self.outbuf_lock:
            super().handle_close()

    def received(self, data: bytes) -> bool:
        taken = bool(super().received(data))
        if self.request is not self.timed_request:
            self.timed_request = self.request
            self.since = time.monotonic()
        return taken

    # TLS.

    def shake_hands(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            with self.tls_lock:
                if self.tls is None:
                    return False
                self.tls.do_handshake()
                self.peer = _peer(self.tls)
        except (SSL.WantReadError, SSL.WantWriteError) as want:
            self.wants_write = isinstance(want, SSL.WantWriteError)
            return False
        except (SSL.Error, OSError, ValueError) as error:
            # ValueError: a client certificate that the library cannot read.
            log.debug("handshake with %s failed: %s", self.addr, error)
            self.handle_close()
            return False
        self.handshaking = self.wants_write = False
        self._moved = time.monotonic()
        return True

    def recv(self, size: int) -> bytes:
        try:
            with self.tls_lock:
                return b"" if self.tls is None else self.tls.recv(size)
        except (SSL.WantReadError, SSL.WantWriteError):
            return b""
        except (SSL.Error, OSError):
            self.handle_close()
            return b""

    def pending(self) -> bool:
        with self.tls_lock:
            return self.tls is not None and self.tls.pending() > 0

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002 - waitress's
        try:
            with self.tls_lock:
                return 0 if self.tls is None else self.tls.send(data)
        except (SSL.WantReadError, SSL.WantWriteError):
            return 0
        except (SSL.Error, OSError):
            if do_close:
                self.handle_close()
            else:
                self.will_close = True
            return 0

    def say_goodbye(self) -> None:
        """Send the close alert if possible, and let go of the SSL object."""
        with self.tls_lock:
            tls, self.tls = self.tls, None
            if tls is not None and not self.handshaking:
                with contextlib.suppress(SSL.Error, OSError):
                    tls.shutdown()

    # Lingering: closing with bytes unread makes the kernel reset the connection, and the client
    # may then lose the answer, for instance the refusal of a body it is still sending.

    def linger(self) -> None:
        self.lingering, self.since = True, time.monotonic()
        self.linger_left = self.server.limits.linger_bytes
        self.say_goodbye()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def discard(self) -> None:
        try:
            size = len(self.socket.recv(4 * _RECORD))
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.linger_left -= size
        if not size or self.linger_left < 0:
            self.handle_close()

    # Deadlines.

    def is_overdue(self, now: float) -> bool:
        """Whether a deadline has passed; now: monotonic clock."""
        limits = self.server.limits
        elapsed = now - self.since
        if self.handshaking:
            return bool(elapsed > limits.handshake_seconds)
        if self.lingering:
            return bool(elapsed > limits.linger_seconds)
        if self.request is not None and not self.requests and elapsed > limits.request_seconds:
            return True
        # While the application works on an answer, or a stream has no news, nothing moves, and that is no fault.
        is_waiting = bool(self.total_outbufs_len) or not (self.requests or self.stream)
        return is_waiting and bool(now - self.last_activity > limits.idle_seconds)

    def waits_since(self) -> float | None:
        """Since when, on the monotonic clock, nothing but the client can bring this connection on; None otherwise."""
        if self.requests or self.total_outbufs_len or self.stream is not None:
            return None
        if self.handshaking or self.lingering or self.request is not None:
            return self.since
        return self.last_activity

    def is_busy(self) -> bool:
        """Whether a request is being received or answered."""
        if self.handshaking or self.lingering:
            return False
        return bool(self.requests or self.request or self.total_outbufs_len)


def _peer(tls: SSL.Connection) -> tuple[pki.Cert, ...]:
    leaf = tls.get_peer_certificate(as_cryptography=True)
    if leaf is None:
        return ()
    # On the server's side OpenSSL leaves the leaf out of the chain.
    rest = tls.get_peer_cert_chain(as_cryptography=True) or []
    certs = (leaf, *(c for c in rest if c != leaf))
    return tuple(pki.Cert.from_x509(certificate) for certificate in certs)


class TlsServer(TcpWSGIServer):  # type: ignore[misc]
    """A listening HTTPS server; made by `create_server`."""

    channel_class = _Channel
    next_channel_cleanup = math.inf  # waitress's own, by the wall clock

    def __init__(
        self,
        app: Application,
        sock: socket.socket,
        *,
        adjustments: Any,
        context: SSL.Context,
        limits: Limits,
        error_headers: Headers,
        is_quick: IsQuick | None = None,
    ) -> None:
        self._is_quick = is_quick
        self._ready: list[_Channel] = []
        self._loop: int | None = None
        self._next_look = 0.0
        self.context, self.limits, self.error_headers = context, limits, tuple(error_headers)
        self._stopping = self._running = self._closed = False
        self._trigger_lock = threading.RLock()
        dispatcher = Dispatcher(limits.threads)
        info = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(
            app,
            {},
            _sock=sock,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=info,
            bind_socket=False,
        )

    @property
    def port(self) -> int:
        """The port listened on, also when 0 was asked for."""
        return int(self.effective_port)

    def run(self) -> None:
        """Serve until `stop` is called."""
        self._running = True
        self._loop = threading.get_ident()
        self.task_dispatcher.set_thread_count(self.limits.threads)
        try:
            while not self._stopping:
                self._turn()
            self._finish()
        finally:
            self.close()

    def stop(self) -> None:
        """Make `run` return within two seconds; may be called from any thread or signal handler.

        No connection is taken any more, requests in flight get `stop_seconds`. A server that never
        ran is just closed.
        """
        self._stopping = True
        if self._running:
            self._wake()
        else:
            self.close()

    def swap_certificate(self, material: pki.TlsMaterial) -> None:
        """Use another server certificate from the next handshake on."""
        self.context = _context(material)

    def _turn(self, seconds: float = 1) -> None:
        # Not from `readable`, as waitress does: a descriptor that is closed there is polled all the same, and what is
        # said of it would be taken for the new connection that gets its number.
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + self.adj.cleanup_interval
            self.maintenance(now)
        if len(self.active_channels) >= self.adj.connection_limit - _OWN_FILES:
            self._make_room()
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)

    def _finish(self) -> None:
        """Close what is idle, and give the rest a moment."""
        wasyncore.dispatcher.close(self)
        for channel in list(self.active_channels.values()):
            if channel.stream is not None:
                channel.stream.close()
        end = time.monotonic() + self.limits.stop_seconds
        while time.monotonic() < end:
            for channel in list(self.active_channels.values()):
                if not channel.is_busy():
                    channel.handle_close()
            if not self.active_channels:
                return
            self._turn(0.05)

    def close(self) -> None:
        """Close all sockets and end the threads; again is harmless."""
        with self._trigger_lock:
            if self._closed:
                return
            self._closed = True
            self.trigger.close()
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        wasyncore.dispatcher.close(self)
        self.task_dispatcher.shutdown(timeout=0.5)

    def pull_trigger(self) -> None:
        """Wake the I/O loop; it is awake while it works itself."""
        if threading.get_ident() != self._loop:
            self._wake()

    def _wake(self) -> None:
        # A thread that finishes late must not write into a descriptor that is somebody else's now.
        with self._trigger_lock:
            if not self._closed:
                super().pull_trigger()

    def handle_accept(self) -> None:
        """Take a connection; where there are many, several, since each turn of the loop then takes its time."""
        for _ in range(_AT_ONCE if len(self.active_channels) > _MANY else 1):
            before = len(self.active_channels)
            super().handle_accept()
            if not before < len(self.active_channels) < self.adj.connection_limit - _OWN_FILES:
                return

    def _make_room(self) -> None:
        """Close some of the connections that wait the longest for their client; new ones are worth more."""
        now = time.monotonic()
        waiting = [(c.waits_since(), c) for c in self.active_channels.values()]
        old = sorted(((since, id(c), c) for since, c in waiting if since is not None and now - since > _GRACE_SECONDS))
        for _, _, channel in old[: max(1, self.adj.connection_limit // 64)]:
            channel.handle_close()

    def add_task(self, channel: _Channel) -> None:
        """Take a channel whose first request is complete: for a thread, or for the loop when it is quick."""
        if self._is_quick is not None and threading.get_ident() == self._loop and self._is_for_loop(channel):
            self._ready.append(channel)
        else:
            self.task_dispatcher.add_task(channel)

    def _is_for_loop(self, channel: _Channel) -> bool:
        request = channel.requests[0]
        if request.error or channel.total_outbufs_len > _QUEUED_BYTES:
            return False
        return bool(self._is_quick and self._is_quick(request.command, request.path, request.query, request.headers))

    def answer_ready(self) -> None:
        """Answer what the loop answers itself; a request that follows on the same connection comes in turn."""
        while self._ready:
            channel = self._ready.pop()
            try:
                channel.service()
            except Exception:  # as a thread's would, it must not end the loop
                log.exception("a request could not be answered")

    def maintenance(self, now: float) -> None:
        """Close connections that have passed a deadline; now: monotonic clock."""
        for channel in list(self.active_channels.values()):
            if channel.is_overdue(now):
                channel.handle_close()


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    name = host.strip("[]")
    if name in ("", "*"):
        return (socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET), ("", port)
    try:
        version = ipaddress.ip_address(name).version
    except ValueError:
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {host}: unknown name") from error
        # IPv4 first, since clients given `localhost` mostly mean it.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return family, (str(address[0]), port)
    return (socket.AF_INET if version == 4 else socket.AF_INET6), (name, port)


def listen(host: str, port: int) -> socket.socket:
    """Take the address; clients may connect, and wait until a server runs. Raises as `create_server` does."""
    family, address = _address(host, port)
    both = family == socket.AF_INET6 and address[0] in ("", "::") and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"{host} port {port} is in use by another program"
            raise AddressInUse(error.errno, text) from error
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from error


def _room_for(connections: int) -> int:
    """Raise the process's limit of open files; the number of connections that then fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Beside its socket a connection may hold a body and an answer in temporary files.
    wanted = 3 * connections + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or connections <= soft - _SPARE_FILES:
        return connections
    log.warning("only %d open files are allowed: raise the limit (ulimit -n) to %d", soft, wanted)
    return int(max(_SPARE_FILES, soft) - _SPARE_FILES // 2)


def create_server(
    app: Application,
    *,
    host: str,
    port: int,
    material: pki.TlsMaterial,
    limits: Limits | None = None,
    ident: str = "",
    error_headers: Headers = (),
    sock: socket.socket | None = None,
    is_quick: IsQuick | None = None,
) -> TlsServer:
    """Listen with TLS and return the server, which serves once `run` is called.

    host: name or IP address, IPv6 with or without brackets, "" or "*" for all. port: 0 takes a free
    one. ident: value of the Server header, "" for none. error_headers: added to answers that are
    made here (400, 413, 431, 501 and 500). sock: what `listen` gave, where several processes share it.
    is_quick: which requests, by method, path, query and headers (as WSGI names them, without HTTP_), the loop
    answers itself instead of giving them to a thread. Raises AddressInUse and other OSErrors with a text.
    """
    limits = limits or Limits()
    adjustments = Adjustments(
        ident=ident,
        url_scheme="https",
        server_name=host.strip("[]") or "localhost",
        asyncore_use_poll=True,
        cleanup_interval=1,
        # Waitress counts its listener and trigger, too.
        connection_limit=_room_for(limits.connection_limit) + _OWN_FILES,
        max_request_header_size=limits.header_bytes,
        # Waitress refuses what reaches the limit, we what exceeds it.
        max_request_body_size=limits.body_bytes + 1,
        # Larger bodies wait in temporary files, so that many slow ones cannot fill the memory.
        inbuf_overflow=128 * 1024,
        log_socket_errors=False,
        # Nothing here believes a header about whom it comes from.
        clear_untrusted_proxy_headers=False,
    )
    # Head and body of a small answer then leave in one record.
    adjustments.send_bytes = _RECORD
    adjustments.large_paths = limits.large_paths
    adjustments.large_body_size = max(limits.large_bytes, limits.body_bytes) + 1
    context = _context(material)
    return TlsServer(
        app,
        sock or listen(host, port),
        adjustments=adjustments,
        context=context,
        limits=limits,
        error_headers=error_headers,
        is_quick=is_quick,
    )
