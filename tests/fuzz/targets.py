"""What is fuzzed without a server: each target takes bytes and may refuse them in its own words, nothing else.

A target raises what must not happen. `python -m tests.fuzz.long TARGET SECONDS` looks for it by coverage.
"""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from OpenSSL import SSL
from waitress.adjustments import Adjustments
from waitress.parser import ParsingError

import pki
import store
import tls
import tokens
from api import bulk_csv, engine, front
from certs.reading import load_crl
from domain.care import decode
from migrations import MIGRATIONS
from wire import accept, filters
from wire.errors import ApiError

CORPORA = Path(__file__).with_name("corpora")


def words(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")


def _is_text(data: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        data.decode("utf-8", "surrogatepass")
        return True
    return False


def filter_language(data: bytes) -> None:
    """A filter of a list. What was understood can be said again."""
    with contextlib.suppress(filters.FilterError):
        assert filters.parse(words(data)) is not None


def csr(data: bytes) -> None:
    """A certificate request, PEM or DER, as an enrolling client sends it."""
    with contextlib.suppress(pki.BadCsr):
        found = pki.load_csr(data)
        assert isinstance(found.common_name, str)
        with contextlib.suppress(pki.BadCsr):
            list(found.names())
        with contextlib.suppress(pki.PkiError):
            authority().issue_identity(found, "fuzz")


def certificates_of(data: bytes) -> None:
    """PEM, DER or PKCS#7, as a CA is imported or verified, or looked at; also with text around it."""
    for load in (pki.load_certs, pki.load_any, pki.load_pkcs7):
        with contextlib.suppress(pki.BadCertificate):
            for cert in load(data):
                _look_at(cert)
    with contextlib.suppress(ApiError):
        decode.read(words(data))


def _look_at(cert: pki.Cert) -> None:
    """All that is ever asked of somebody else's certificate."""
    assert cert.fingerprint
    for name in ("subject", "issuer", "common_name", "serial", "not_before", "not_after", "uris", "is_ca", "pem"):
        getattr(cert, name)
    with contextlib.suppress(pki.PkiError):
        pki.verify_chain(cert, [cert], [cert], now=datetime.now(UTC))


def revocation_list(data: bytes) -> None:
    with contextlib.suppress(pki.PkiError):
        load_crl(data)


def jwt(data: bytes) -> None:
    """A token in an Authorization header, or an enrollment token of the command line; keys of a signer."""
    text = words(data)
    with contextlib.suppress(tokens.BadToken):
        tokens.peek(text)
    with contextlib.suppress(tokens.BadToken):
        tokens.verify(text, key(), issuer="x", audience="y")
    with contextlib.suppress(tokens.BadToken):
        tokens.verify_enrollment(text, key())
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(data)
        with contextlib.suppress(tokens.BadToken):
            tokens.jwks_keys(document)


def csv(data: bytes) -> None:
    """A file for the bulk import."""
    _database()
    for kind in bulk_csv.COLUMNS:
        with contextlib.suppress(ApiError):
            for line in bulk_csv.read(data, kind, 1000):
                assert line.number > 0


def http(data: bytes) -> None:
    """The bytes of a connection after the handshake, in pieces."""
    size = 1 + (data[0] if data else 0)
    parser, rest = tls._Parser(_adjustments()), data[1:]
    while rest and not parser.completed:
        with contextlib.suppress(ParsingError):
            consumed = parser.received(rest[:size])
            rest = rest[consumed:] if consumed else b""
            continue
        rest = b""
    if parser.completed and not parser.error and not parser.empty:
        assert front.normal_path(parser.path).startswith("/")
        accept.preferred(parser.headers.get("ACCEPT", ""), engine.FORMS)
    parser.close()


def handshake(data: bytes) -> None:
    """The first bytes of a connection."""
    connection = SSL.Connection(_context(), None)
    connection.set_accept_state()
    with contextlib.suppress(SSL.Error):
        connection.bio_write(data)
        connection.do_handshake()


@functools.cache
def authority() -> pki.Authority:
    folder = Path(tempfile.mkdtemp())
    return pki.Authority.open(folder / "pki", pki.PkiOptions(), clock=lambda: datetime.now(UTC))


@functools.cache
def _database() -> None:
    store.open_database(Path(tempfile.mkdtemp()) / "zitilite.db", MIGRATIONS)


@functools.cache
def key() -> tokens.PublicKey:
    return tokens.certificate_key(authority().server_cert, None)


@functools.cache
def _context() -> SSL.Context:
    return tls._context(authority().tls_material())


@functools.cache
def _adjustments() -> Adjustments:
    made = Adjustments(max_request_header_size=65536, max_request_body_size=1024 * 1024 + 1)
    made.large_paths, made.large_body_size = (), 1024 * 1024
    return made


TARGETS: dict[str, Callable[[bytes], None]] = {
    "filter": filter_language,
    "csr": csr,
    "certificates": certificates_of,
    "crl": revocation_list,
    "jwt": jwt,
    "csv": csv,
    "http": http,
    "handshake": handshake,
}


def corpus(name: str) -> list[bytes]:
    """The inputs that are kept for a target: examples, and what once went wrong."""
    return [file.read_bytes() for file in sorted((CORPORA / name).iterdir())]
