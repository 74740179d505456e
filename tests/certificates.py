"""Certificates for tests: roots, intermediates, leaves and requests, with every mistake one may want to make."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

KeyKind = Literal["P-256", "P-384", "P-521", "RSA-2048", "Ed25519"]
CLIENT_AUTH, SERVER_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def new_key(kind: KeyKind = "P-256") -> Any:
    """Make a private key."""
    if kind == "RSA-2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else ec.generate_private_key(CURVES[kind])


def key_pem(key: Any) -> str:
    """Give a private key as PKCS#8 PEM."""
    kinds = serialization
    return str(key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, kinds.NoEncryption()), "ascii")


def subject(common_name: str | None) -> x509.Name:
    """Make a subject; None gives the empty one."""
    return x509.Name([] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative_names(*names: str) -> x509.SubjectAlternativeName:
    """Make a SAN extension; each name is told apart by its look: IP address, e-mail, URI or DNS name."""
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def csr(common_name: str | None = "test", key: Any = None, *, sans: tuple[str, ...] = ()) -> tuple[str, Any]:
    """Make a certificate request; gives its PEM and the key, which is new unless given."""
    key = key or new_key()
    builder = x509.CertificateSigningRequestBuilder(subject(common_name))
    if sans:
        builder = builder.add_extension(alternative_names(*sans), critical=False)
    request = builder.sign(key, _digest(key))
    return request.public_bytes(serialization.Encoding.PEM).decode(), key


def _digest(key: Any) -> Any:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and the certificates above it, nearest first, without the root."""

    certificate: x509.Certificate
    key: Any
    above: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def chain_pem(self) -> str:
        """The certificate and those above it."""
        return "".join(Issued(one, None).pem for one in (self.certificate, *self.above))

    @property
    def key_pem(self) -> str:
        return key_pem(self.key)

    @property
    def fingerprint(self) -> str:
        """SHA-1 of the DER, 40 lower-case hex digits."""
        return self.certificate.fingerprint(hashes.SHA1()).hex()

    def write(self, folder: Path, name: str = "client") -> tuple[Path, Path]:
        """Write `name.crt` (with chain) and `name.key`; gives both paths, as requests and Go want them."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_text(self.chain_pem)
        key.write_text(self.key_pem)
        return certificate, key


@dataclass(frozen=True)
class CA(Issued):
    """A certificate that issues others."""

    @classmethod
    def root(cls, name: str = "Test Root", *, kind: KeyKind = "P-256", **options: Any) -> CA:
        """Make a self-signed CA; options as in `leaf`."""
        key = new_key(kind)
        return cls(_sign(name, key, None, key, is_ca=True, **options), key)

    def intermediate(self, name: str = "Test Intermediate", *, kind: KeyKind = "P-256", **options: Any) -> CA:
        """Make a CA below this one; options as in `leaf`."""
        key = new_key(kind)
        return CA(_sign(name, key, self, self.key, is_ca=True, **options), key, self._above())

    def leaf(self, name: str | None = "test", *, kind: KeyKind = "P-256", key: Any = None, **options: Any) -> Issued:
        """Issue an end certificate.

        options: `sans` (names as in `alternative_names`), `usages` (extended key usages, None for no such
        extension; default clientAuth), `starts` and `ends` (timedeltas from now), `extensions` (further ones).
        """
        key = key or new_key(kind)
        return Issued(_sign(name, key, self, self.key, is_ca=False, **options), key, self._above())

    def _above(self) -> tuple[x509.Certificate, ...]:
        is_root = self.certificate.issuer == self.certificate.subject
        return () if is_root else (self.certificate, *self.above)


def self_signed(name: str = "test", **options: Any) -> Issued:
    """Make an end certificate nobody vouches for; options as in `CA.leaf`."""
    key = new_key()
    return Issued(_sign(name, key, None, key, is_ca=False, **options), key)


def _sign(
    name: str | None,
    key: Any,
    issuer: CA | None,
    issuer_key: Any,
    *,
    is_ca: bool,
    sans: tuple[str, ...] = (),
    usages: tuple[ObjectIdentifier, ...] | None = (CLIENT_AUTH,),
    starts: timedelta = timedelta(minutes=-1),
    ends: timedelta = timedelta(days=30),
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(issuer.certificate.subject if issuer else subject(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if is_ca:
        builder = builder.add_extension(_ca_usage(), critical=True)
    elif usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if sans:
        builder = builder.add_extension(alternative_names(*sans), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, _digest(issuer_key))


def _ca_usage() -> x509.KeyUsage:
    unset = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    flags = dict.fromkeys((*unset, "decipher_only"), False)
    return x509.KeyUsage(**flags, digital_signature=True, key_cert_sign=True, crl_sign=True)
