"""Certificates, requests and revocation lists that others made: reading them.

Callers pass and get PEM text, fingerprints, aware UTC datetimes and the small classes defined here, never the
library's objects.
"""

import base64
import functools
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal, Self, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

Usage = Literal["client", "any"]


# Everything the library raises for input that it cannot read.
UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


WEAK_HASHES = (hashes.MD5, hashes.SHA1)
MIN_RSA_BITS = 1024
_Value = TypeVar("_Value")
_Ext = TypeVar("_Ext", bound=x509.ExtensionType)


class PkiError(Exception):
    """Base of all errors here; the text is a sentence a person can act on."""


class BadCertificate(PkiError):  # noqa: N818 - says what it is about
    """Text or bytes that are no certificate.

    `kind` is "no-pem" (no PEM block at all), "wrong-type" (PEM blocks, but none is a certificate;
    the text is the recorded `encountered PEM block type X`) or "der" (a certificate block whose
    contents cannot be read). Source: recorded answers of POST /cas/{id}/verify (cas.json).
    """

    def __init__(self, kind: Literal["no-pem", "wrong-type", "der"], text: str) -> None:
        super().__init__(text)
        self.kind = kind


class BadCsr(PkiError):  # noqa: N818 - says what it is about
    """A certificate request that is refused.

    `kind` is "empty", "no-pem", "wrong-type", "extra" (blocks after the request), "der", "key",
    "signature", "extensions" or "common-name". Source: recorded answers of POST /enroll
    (enroll_ott.json, routers.json).
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Untrusted(PkiError):  # noqa: N818 - says what it is about
    """A certificate that reads well but is not accepted; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def printable(text: str) -> str:
    """The beginning of a text from outside, safe to show."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def sha1(data: bytes) -> str:
    """A fingerprint: 40 lower-case hex digits."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def key_der(key: CertificatePublicKeyTypes) -> bytes:
    """A public key as DER SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    # Go, and so the recorded controller, takes the last of several common names.
    return str(found[-1].value) if found else ""


class Cert:
    """One certificate; all properties are computed on first use and kept.

    Two are equal when their DER is. Names and extensions that cannot be read appear as empty:
    `load_certs` refuses such certificates, a TLS peer may still present one, and `verify_chain`
    does not accept it.
    """

    __slots__ = ("__dict__", "raw")

    def __init__(self, raw: x509.Certificate) -> None:
        # The library's object, for this module only.
        self.raw = raw

    @classmethod
    def from_x509(cls, raw: x509.Certificate) -> Self:
        """Wrap the library's object, as pyOpenSSL hands it out (for tls.py only)."""
        return cls(raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cert) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Cert {self.label} {self.fingerprint}>"

    def _read(self, get: Callable[[x509.Certificate], _Value], default: _Value) -> _Value:
        try:
            return get(self.raw)
        except UNREADABLE:
            return default

    @functools.cached_property
    def der(self) -> bytes:
        """The certificate as DER."""
        return self.raw.public_bytes(serialization.Encoding.DER)

    @functools.cached_property
    def pem(self) -> str:
        """The certificate as PEM, ending in a newline."""
        return self.raw.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-1 of the DER, 40 lower-case hex digits."""
        return sha1(self.der)

    @property
    def sha256(self) -> str:
        """The SHA-256 fingerprint as people compare it: upper-case hex in pairs, colons between."""
        return ":".join(f"{byte:02X}" for byte in hashlib.sha256(self.der).digest())

    @functools.cached_property
    def subject(self) -> str:
        """Subject as RFC 4514 text, "" when empty."""
        return self._read(lambda c: c.subject.rfc4514_string(), "")

    @functools.cached_property
    def issuer(self) -> str:
        """Issuer as RFC 4514 text, "" when empty."""
        return self._read(lambda c: c.issuer.rfc4514_string(), "")

    @functools.cached_property
    def common_name(self) -> str:
        """The subject's common name, "" when it has none."""
        return self._read(lambda c: _common_name(c.subject), "")

    @property
    def serial(self) -> int:
        """Serial number."""
        return self.raw.serial_number

    @functools.cached_property
    def not_before(self) -> datetime:
        """First moment of validity, aware, UTC."""
        return self.raw.not_valid_before_utc

    @functools.cached_property
    def not_after(self) -> datetime:
        """Last moment of validity, aware, UTC."""
        return self.raw.not_valid_after_utc

    @functools.cached_property
    def is_ca(self) -> bool:
        """Whether the basic constraints say CA."""
        constraints = self.extension(x509.BasicConstraints)
        return constraints is not None and constraints.ca

    @property
    def path_length(self) -> int | None:
        """How many CAs may follow below it, None for no limit (or no CA)."""
        constraints = self.extension(x509.BasicConstraints)
        return constraints.path_length if constraints is not None else None

    @property
    def key_kind(self) -> str:
        """Kind and size of the key in words: `RSA 2048`, `P-256`, `Ed25519`; "unknown" for others."""
        key = self._read(lambda c: c.public_key(), None)
        if isinstance(key, rsa.RSAPublicKey):
            return f"RSA {key.key_size}"
        if isinstance(key, ec.EllipticCurvePublicKey):
            curves = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
            return curves.get(key.curve.name, key.curve.name)
        return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "unknown"

    @property
    def signature_hash(self) -> str:
        """The hash that its signature is made over: `SHA256`; "" for kinds that need none (Ed25519)."""
        found = self._read(lambda c: c.signature_hash_algorithm, None)
        return found.name.upper() if found else ""

    @property
    def has_weak_signature(self) -> bool:
        """Whether the signature is made over MD5 or SHA-1, which chains are not built with."""
        return isinstance(self._read(lambda c: c.signature_hash_algorithm, None), WEAK_HASHES)

    @functools.cached_property
    def is_self_signed(self) -> bool:
        """Whether its own key signed it."""
        return self.names_as_issuer(self) and self.is_signed_by(self)

    @property
    def emails(self) -> list[str]:
        """Mail addresses among the alternative names."""
        return self._alternative_names(x509.RFC822Name)

    @property
    def uris(self) -> list[str]:
        """URIs among the alternative names."""
        return self._alternative_names(x509.UniformResourceIdentifier)

    @property
    def dns_names(self) -> list[str]:
        """DNS names among the alternative names."""
        return self._alternative_names(x509.DNSName)

    @property
    def crl_urls(self) -> list[str]:
        """Where its issuer says that the revocation list is."""
        points = self.extension(x509.CRLDistributionPoints)
        names = [name for point in points or () for name in point.full_name or ()]
        return [n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)]

    @functools.cached_property
    def ip_addresses(self) -> list[str]:
        """IP addresses among the alternative names, in their usual text form."""
        names = self.extension(x509.SubjectAlternativeName)
        return [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] if names else []

    def token_key(self) -> tuple[CertificatePublicKeyTypes, str]:
        """Give the public key, to be passed on to the JWT library, and its curve ("" for RSA).

        Raises PkiError for a key that signs no tokens.
        """
        key = self.raw.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            return key, ""
        if isinstance(key, ed25519.Ed25519PublicKey):
            return key, "Ed25519"
        curves = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in curves:
            return key, curves[key.curve.name]
        raise PkiError(f"the key of certificate {self.subject} signs no tokens")

    @functools.cached_property
    def public_key_print(self) -> str:
        """SHA-1 of the DER SubjectPublicKeyInfo, 40 lower-case hex digits.

        Raises BadCertificate ("der") for keys of an unknown kind.
        """
        try:
            return sha1(key_der(self.raw.public_key()))
        except UNREADABLE as error:
            raise BadCertificate("der", f"the key of {self.label} cannot be read") from error

    @functools.cached_property
    def label(self) -> str:
        """A short name for messages: `CN=box-7`, else the subject, else the fingerprint."""
        if self.common_name:
            return f"CN={printable(self.common_name)}"
        return printable(self.subject) or f"with the fingerprint {self.fingerprint}"

    @functools.cached_property
    def issuer_label(self) -> str:
        """The issuer as `label` shows a subject."""
        name = self._read(lambda c: _common_name(c.issuer), "")
        return f"CN={printable(name)}" if name else printable(self.issuer) or "an unnamed issuer"

    @functools.cached_property
    def extensions_by_oid(self) -> dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]] | None:
        """All extensions by object identifier; None when they cannot be read."""
        return self._read(lambda c: {e.oid: e for e in c.extensions}, None)

    def extension(self, kind: type[_Ext]) -> _Ext | None:
        """Return the value of one extension; None when absent."""
        found = (self.extensions_by_oid or {}).get(kind.oid)
        return found.value if found and isinstance(found.value, kind) else None

    def _alternative_names(
        self, kind: type[x509.RFC822Name | x509.UniformResourceIdentifier | x509.DNSName]
    ) -> list[str]:
        names = self.extension(x509.SubjectAlternativeName)
        return [str(name) for name in names.get_values_for_type(kind)] if names else []

    @functools.cached_property
    def subject_der(self) -> bytes | None:
        """DER of the subject, None when it cannot be read; equal names have equal bytes."""
        return self._read(lambda c: c.subject.public_bytes(), None)

    @functools.cached_property
    def issuer_der(self) -> bytes | None:
        """DER of the issuer, None when it cannot be read."""
        return self._read(lambda c: c.issuer.public_bytes(), None)

    def names_as_issuer(self, other: "Cert") -> bool:
        """Whether the other has the name that this one gives its issuer."""
        return self.issuer_der is not None and self.issuer_der == other.subject_der

    def is_signed_by(self, issuer: "Cert") -> bool:
        """Whether the key of the other signed this one, and the names agree."""
        try:
            self.raw.verify_directly_issued_by(issuer.raw)
        except (InvalidSignature, *UNREADABLE):
            return False
        return True

    def check_readable(self) -> None:
        """Raise BadCertificate when a lazily parsed part cannot be read."""
        try:
            self.raw.subject.rfc4514_string()
            self.raw.issuer.rfc4514_string()
            key_der(self.raw.public_key())
            len(self.raw.extensions)
        except UNREADABLE as error:
            raise BadCertificate("der", "x509: malformed certificate") from error


def _parse_cert(der: bytes) -> Cert:
    try:
        cert = Cert(x509.load_der_x509_certificate(der))
    except UNREADABLE as error:
        raise BadCertificate("der", "x509: malformed certificate") from error
    cert.check_readable()
    return cert


def _pem_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (label, base64 text) of each PEM block; RFC 7468, text around is skipped.

    Linear in the input: an unfinished block ends the search.
    """
    at = 0
    while (start := text.find("-----BEGIN ", at)) >= 0:
        head = text.find("-----", start + 11)
        if head < 0:
            return
        label = text[start + 11 : head]
        end = text.find("-----END ", head)
        if end < 0:
            return
        at = end + 9
        if text.startswith(f"{label}-----", at):
            yield label, text[head + 5 : end]


def from_base64(text: str) -> bytes | None:
    """The bytes of base64 with any white space in it; None where it is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:  # binascii.Error is one; text that is not ASCII raises a plain one
        return None


def _as_text(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode("latin-1")


def load_certs(data: str | bytes) -> list[Cert]:
    """Read all certificates of a PEM bundle, or one DER certificate.

    data: PEM in any order with text, CRLF and blocks of other kinds around, or DER bytes.
    Returns at least one certificate, in the order given. Raises BadCertificate.
    """
    if isinstance(data, bytes) and data[:1] == b"\x30":
        return [_parse_cert(data)]
    blocks = list(_pem_blocks(_as_text(data)))
    if not blocks:
        raise BadCertificate("no-pem", "no PEM block was found")
    bodies = [body for label, body in blocks if label in ("CERTIFICATE", "X509 CERTIFICATE")]
    if not bodies:
        kind = printable(blocks[0][0])
        raise BadCertificate("wrong-type", f"encountered PEM block type {kind}")
    return [_parse_cert(from_base64(body) or b"") for body in bodies]


def load_cert(data: str | bytes) -> Cert:
    """Read the first certificate of PEM text or DER bytes. Raises BadCertificate."""
    return load_certs(data)[0]


def load_pkcs7(data: bytes) -> list[Cert]:
    """The certificates of a PKCS#7 bundle (DER), as /.well-known/est/cacerts has it. Raises BadCertificate."""
    try:
        return [Cert(raw) for raw in pkcs7.load_der_pkcs7_certificates(data)]
    except UNREADABLE as error:
        raise BadCertificate("der", f"this is no PKCS#7 bundle of certificates: {error}") from error


def load_any(data: bytes) -> list[Cert]:
    """Read the certificates of whatever people have: PEM with text around it, DER, PKCS#7 as either, base64, UTF-16.

    Returns at least one certificate, in the order given. Raises BadCertificate.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", "replace").encode("utf-8")
    text = data.decode("latin-1")
    if "-----BEGIN " in text:
        found = [cert for label, body in _pem_blocks(text) for cert in _of_block(label, from_base64(body) or b"")]
        # Without any, the reader of PEM alone knows best what is wrong.
        return found or load_certs(text)
    der = data if data[:1] == b"\x30" else from_base64(text) or b""
    if der[:1] != b"\x30":
        raise BadCertificate("no-pem", "there is no certificate in it: neither PEM, nor DER, nor PKCS#7")
    try:
        return [_parse_cert(der)]
    except BadCertificate as error:
        try:
            found = load_pkcs7(der)
        except BadCertificate:
            raise error from None
        if not found:
            raise BadCertificate("der", "the PKCS#7 bundle has no certificate in it") from None
        return found


def _of_block(label: str, der: bytes) -> list[Cert]:
    if label in ("PKCS7", "CMS"):
        return load_pkcs7(der)
    return [_parse_cert(der)] if label in ("CERTIFICATE", "X509 CERTIFICATE") else []


class Csr:
    """A certificate request (RFC 2986) whose signature was checked; made by `load_csr`."""

    __slots__ = ("__dict__", "raw")

    def __init__(self, raw: x509.CertificateSigningRequest) -> None:
        # The library's object, for this module only.
        self.raw = raw

    @functools.cached_property
    def subject(self) -> str:
        """Subject as RFC 4514 text, "" when empty."""
        return self.raw.subject.rfc4514_string()

    @functools.cached_property
    def common_name(self) -> str:
        """The subject's common name, "" when it has none."""
        return _common_name(self.raw.subject)

    @functools.cached_property
    def public_key_print(self) -> str:
        """SHA-1 of the DER SubjectPublicKeyInfo, 40 lower-case hex digits."""
        return sha1(key_der(self.raw.public_key()))

    def names(self) -> list[x509.GeneralName]:
        """Read the alternative names asked for; raises BadCsr ("extensions") when they cannot be read."""
        try:
            found = self.raw.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return []
        except UNREADABLE as error:
            text = f"the extensions asked for cannot be read: {error}"
            raise BadCsr("extensions", text) from error
        return list(found.value)


class _BrokenDer(ValueError):  # noqa: N818 - says what it is about
    pass


def _der_value(data: bytes, at: int) -> tuple[int, int]:
    """Return (start, end) of the contents of the DER element at `at`; X.690 8.1.3."""
    if at + 2 > len(data):
        raise _BrokenDer
    size, start = data[at + 1], at + 2
    if size & 0x80:
        digits = size & 0x7F
        if not 1 <= digits <= 4 or start + digits > len(data):
            raise _BrokenDer
        size, start = int.from_bytes(data[start : start + digits], "big"), start + digits
    if start + size > len(data):
        raise _BrokenDer
    return start, start + size


def _sequence(contents: bytes) -> bytes:
    size = len(contents)
    if size < 128:
        return bytes([0x30, size]) + contents
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x30, 0x80 | len(digits)]) + digits + contents


_ECDSA_WITH_SHA2 = bytes.fromhex("06082a8648ce3d0403")


def _without_null(der: bytes) -> bytes:
    """Drop the NULL parameters that mbedTLS writes after an ECDSA signature algorithm.

    RFC 5758 3.2 wants them absent. That part of a request is not signed, so the signature holds.
    Raises ValueError for anything that is no request.
    """
    body, end = _der_value(der, 0)
    _, info_end = _der_value(der, body)
    start, algorithm_end = _der_value(der, info_end)
    algorithm = der[start:algorithm_end]
    if not (algorithm.startswith(_ECDSA_WITH_SHA2) and algorithm.endswith(b"\x05\x00")):
        raise _BrokenDer
    return _sequence(der[body:info_end] + _sequence(algorithm[:-2]) + der[algorithm_end:end])


def _parse_csr(der: bytes) -> x509.CertificateSigningRequest:
    try:
        return x509.load_der_x509_csr(der)
    except UNREADABLE as first:
        try:
            return x509.load_der_x509_csr(_without_null(der))
        except UNREADABLE:
            raise BadCsr("der", "the block is no certificate request, or it is damaged") from first


def _csr_der(data: str | bytes) -> bytes:
    if isinstance(data, bytes) and data[:1] == b"\x30":
        return data
    text = _as_text(data)
    if not text.strip():
        raise BadCsr("empty", "csrPem must not be null or empty")
    blocks = list(_pem_blocks(text))
    if not blocks:
        raise BadCsr("no-pem", "could not decode csrPem as PEM")
    if len(blocks) > 1:
        raise BadCsr("extra", "unexpected PEM blocks at end of CSR")
    label, body = blocks[0]
    if label not in ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"):
        raise BadCsr("wrong-type", f"encountered PEM block type {printable(label)}")
    return from_base64(body) or b""


def _check_key(key: CertificatePublicKeyTypes) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise BadCsr("key", f"RSA keys need at least {MIN_RSA_BITS} bits")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            raise BadCsr("key", f"the curve {key.curve.name} is not supported")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise BadCsr("key", "only RSA, P-256, P-384, P-521 and Ed25519 keys are supported")


def load_csr(data: str | bytes) -> Csr:
    """Read a certificate request and check its key kind and signature.

    data: one PEM block (text around and CRLF allowed) or DER bytes; RSA from 1024 bits, P-256,
    P-384, P-521, Ed25519. Requested extensions are not looked at here. Raises BadCsr.
    Source: RFC 2986, recorded answers of POST /enroll (enroll_ott.json).
    """
    request = _parse_csr(_csr_der(data))
    try:
        request.subject.rfc4514_string()
        _check_key(request.public_key())
        valid = request.is_signature_valid
    except (InvalidSignature, *UNREADABLE) as error:
        raise BadCsr("der", "the certificate request is damaged") from error
    if not valid:
        raise BadCsr("signature", f"CSR signature validation failed: {_failed_check(request.public_key())}")
    return Csr(request)


def _failed_check(key: CertificatePublicKeyTypes) -> str:
    # In the words that enrollers have seen since the Go controller (enroll_ott.json).
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "x509: ECDSA verification failure"
    return "crypto/rsa: verification error" if isinstance(key, rsa.RSAPublicKey) else "x509: verification failure"


class BadCrl(PkiError):  # noqa: N818 - says what it is about
    """Bytes that are no revocation list, or one that cannot be used; the text says why."""


class RevocationList:
    """A CRL (RFC 5280 5), whole or limited to user certificates; made by `load_crl`."""

    def __init__(self, raw: x509.CertificateRevocationList) -> None:
        self._raw = raw
        self.issuer = raw.issuer.rfc4514_string()
        self.this_update = raw.last_update_utc
        self.next_update = raw.next_update_utc
        numbers = [e.value.crl_number for e in raw.extensions if isinstance(e.value, x509.CRLNumber)]
        self.number = numbers[0] if numbers else None

    def revoked(self) -> Iterator[tuple[int, datetime]]:
        """Serial number and time of each entry."""
        for entry in self._raw:
            yield entry.serial_number, entry.revocation_date_utc

    def check(self, issuer: Cert) -> None:
        """Raise BadCrl unless that CA made it, and it says all there is to say."""
        usage = issuer.extension(x509.KeyUsage)
        if self._raw.issuer.public_bytes() != issuer.subject_der:
            raise BadCrl(f"the list is issued by {printable(self.issuer)}, not by this CA, {issuer.subject}")
        if usage is not None and not usage.crl_sign:
            raise BadCrl(f"the key usage of {issuer.label} does not allow it to sign revocation lists")
        for extension in self._raw.extensions:
            known = isinstance(extension.value, x509.IssuingDistributionPoint) and not extension.value.indirect_crl
            if extension.critical and not known:
                raise BadCrl(f"the list has the extension {extension.oid.dotted_string}: give the whole, direct list")
        key = issuer.raw.public_key()
        try:
            signed = self._raw.is_signature_valid(key)  # type: ignore[arg-type] # other kinds raise TypeError
        except UNREADABLE:
            signed = False
        if not signed:
            raise BadCrl(f"the list names {issuer.label} as its issuer but was not signed by that key")


def load_crl(data: bytes) -> RevocationList:
    """Read a CRL, PEM or DER. Raises BadCrl."""
    der = data
    if data[:1] != b"\x30":
        bodies = [body for label, body in _pem_blocks(_as_text(data)) if label == "X509 CRL"]
        if len(bodies) != 1:
            raise BadCrl("one revocation list is expected, as PEM block 'X509 CRL' or as DER")
        der = from_base64(bodies[0]) or b""
    try:
        raw = x509.load_der_x509_crl(der)
        list(raw.extensions)
        return RevocationList(raw)
    except UNREADABLE as error:
        raise BadCrl("the revocation list is damaged") from error


def day(moment: datetime) -> str:
    """A moment the way reasons name it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
