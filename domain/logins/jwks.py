"""Fetching the public keys of external JWT signers, so that it harms nobody.

Whoever configures a signer, or answers for its host name, decides what this controller connects to.
Hence: one deadline for all, a cap on the answer, no redirects, https only, and no address inside
this network unless the setting `jwks_private_addresses` allows it; the address that was checked is
the one that is connected to. What was fetched is kept in memory, by each process for itself: it is a copy, not state.
How often an endpoint is asked again counts for all of them together.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import tokens
from domain.care.buckets import Buckets

log = logging.getLogger("zitilite.jwks")

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 512 * 1024
PAUSE_SECONDS = 1.0
# Keys that a provider withdrew are accepted for no longer than this.
MAX_AGE_SECONDS = 300.0
_ENDPOINTS = 1024
_NEVER = float("-inf")


class FetchError(Exception):
    """The keys could not be had; the text says why."""


@dataclass(eq=False)
class _Entry:
    """The keys of one endpoint. `lock` is held by whoever fetches them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: list[tokens.PublicKey] = field(default_factory=list)
    tried_at: float = _NEVER
    fetched_at: float = _NEVER


class KeyStore:
    """The keys of all endpoints, fetched when they are needed. Made before the processes are forked."""

    def __init__(self, *, private_addresses: bool) -> None:
        self._private_addresses = private_addresses
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._turns = Buckets(_ENDPOINTS)

    def find(self, url: str, kid: str | None) -> list[tokens.PublicKey]:
        """The keys that may have signed a token with this key identifier; none when it is unknown.

        An unknown identifier makes the keys be fetched again, at most once a second. Where another process did so just
        now, that is waited for: the key that it found may be the one that is missing here.
        """
        with self._lock:
            entry = self._entries.setdefault(url, _Entry())
        found = _matching(entry.keys, kid)
        if not found or time.monotonic() - entry.fetched_at > MAX_AGE_SECONDS:
            self._refresh(url, entry)
            found = _matching(entry.keys, kid)
        return found

    def _refresh(self, url: str, entry: _Entry) -> None:
        # One request at a time for an endpoint. With keys at hand nobody waits for a slow provider.
        if not entry.lock.acquire(blocking=not entry.keys):
            return
        try:
            if time.monotonic() - entry.tried_at < PAUSE_SECONDS:
                return
            wait = self._turns.turn(url, PAUSE_SECONDS)
            # A process that knows nothing yet asks at once.
            if entry.tried_at != _NEVER and wait:
                time.sleep(wait)
            entry.tried_at = time.monotonic()
            entry.keys = tokens.jwks_keys(fetch(url, private_addresses=self._private_addresses))
            entry.fetched_at = entry.tried_at
        except (FetchError, tokens.BadToken) as e:
            log.warning("keys of %s: %s", url, e)
            if time.monotonic() - entry.fetched_at > 2 * MAX_AGE_SECONDS:
                entry.keys = []
        finally:
            entry.lock.release()


def _matching(keys: list[tokens.PublicKey], kid: str | None) -> list[tokens.PublicKey]:
    """Those with this identifier; without one, whichever there are."""
    return [k for k in keys if kid is None or k.kid == kid]


@dataclass(frozen=True, slots=True)
class _Rule:
    """Whether private addresses and http will do, and the setting that says so."""

    is_lenient: bool
    setting: str


def fetch(url: str, *, private_addresses: bool) -> object:
    """GET a JSON document. Raises FetchError."""
    rule = _Rule(private_addresses, "jwks_private_addresses")
    parts = _parts(url, rule)
    try:
        return json.loads(fetch_bytes(parts, private_addresses=private_addresses))
    except (ValueError, RecursionError):
        raise FetchError("the answer is no JSON") from None


def fetch_bytes(
    parts: SplitResult, *, private_addresses: bool, accept: str = "application/json", max_bytes: int = MAX_BYTES
) -> bytes:
    """GET a document, under the limits that stand above. Raises FetchError."""
    rule = _Rule(private_addresses, "jwks_private_addresses")
    return _exchange(parts, "GET", None, {"Accept": accept}, rule, max_bytes)


def post(url: str, body: bytes, headers: dict[str, str], *, private_addresses: bool) -> None:
    """POST under the same rules; any 2xx will do. Raises FetchError."""
    rule = _Rule(private_addresses, "audit_webhook_private_addresses")
    _exchange(_parts(url, rule), "POST", body, headers, rule)


def _parts(url: str, rule: _Rule) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise FetchError(f"'{url}' is no URL that can be asked")
    if parts.scheme == "http" and not rule.is_lenient:
        raise FetchError(f"it is not https; http is taken with the setting {rule.setting} only")
    return parts


def _exchange(
    parts: SplitResult,
    method: str,
    content: bytes | None,
    headers: dict[str, str],
    rule: _Rule,
    max_bytes: int = MAX_BYTES,
) -> bytes:
    try:
        return _ask(parts, method, content, headers, rule, max_bytes)
    except (OSError, http.client.HTTPException) as e:
        raise FetchError(f"{type(e).__name__}: {e}") from None


def _ask(
    parts: SplitResult, method: str, content: bytes | None, headers: dict[str, str], rule: _Rule, max_bytes: int
) -> bytes:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _address(host, port, rule)
    connection = _Connection(host, port, address, secure=parts.scheme == "https")
    # The socket's own timeout starts anew with every byte; this one does not.
    watch = threading.Timer(TIMEOUT_SECONDS, connection.abort)
    watch.daemon = True
    watch.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, content, {**headers, "Connection": "close"})
        answer = connection.getresponse()
        if answer.status // 100 != 2 or (method == "GET" and answer.status != http.client.OK):
            raise FetchError(f"the answer has status {answer.status}")
        body = answer.read(max_bytes + 1)
    finally:
        watch.cancel()
        connection.close()
    if len(body) > max_bytes:
        raise FetchError(f"the answer has more than {max_bytes} bytes")
    return body


def _address(host: str, port: int, rule: _Rule) -> str:
    """An address of the host that may be connected to. Raises FetchError when any of them may not."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for text in found:
        if not rule.is_lenient and not _is_public(text):
            raise FetchError(f"{host} has the private address {text} (setting {rule.setting})")
    return found[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in IPv6 clothes (mapped, 6to4, NAT64) is judged as what it is.
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return address.is_global and not address.is_multicast


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class _Connection(http.client.HTTPConnection):
    """Connects to one address, and checks the certificate for the host's name."""

    def __init__(self, host: str, port: int, address: str, *, secure: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_SECONDS)
        self._address, self._secure = address, secure
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the address that was checked, whatever the name stands for by now."""
        self._socket = socket.create_connection((self._address, self.port), TIMEOUT_SECONDS)
        if self._secure:
            self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=self.host)
        self.sock = self._socket

    def abort(self) -> None:
        """Break off from another thread: what waits for bytes gets an error."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
