"""The controller's own CA: keys, certificate profiles, issuing, the server certificate.

Reading and judging what others made is in `certificates.py`; its names are offered here as well, so that
`pki` is the one door to certificates. Only these two modules touch `cryptography`. `TlsMaterial` and
`SigningKey` carry keys that only `tls.py` and `tokens.py` look into.

The contents of issued certificates are those of the recorded answers (enroll_ott, routers, client:
session certificates).
"""

import base64
import ipaddress
import logging
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Self, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import files
from certificates import (
    BadCertificate,
    BadCrl,
    BadCsr,
    Cert,
    Csr,
    PkiError,
    RevocationList,
    Untrusted,
    Usage,
    authority_problem,
    day,
    find_leaf,
    key_der,
    load_any,
    load_cert,
    load_certs,
    load_crl,
    load_csr,
    load_pkcs7,
    printable,
    sha1,
    verify_chain,
)

__all__ = [
    "Authority",
    "BadCertificate",
    "BadCrl",
    "BadCsr",
    "Cert",
    "Csr",
    "KeyKind",
    "OwnCert",
    "OwnChain",
    "PkiError",
    "PkiOptions",
    "Profile",
    "RevocationList",
    "SigningKey",
    "TlsMaterial",
    "Untrusted",
    "Usage",
    "find_leaf",
    "load_any",
    "load_cert",
    "load_certs",
    "load_crl",
    "load_csr",
    "load_pkcs7",
    "verify_chain",
]

log = logging.getLogger("zitilite.pki")

KeyKind = Literal["P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def _new_key(kind: KeyKind) -> PrivateKey:
    if kind == "P-256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "P-384":
        return ec.generate_private_key(ec.SECP384R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("RSA-")))


def _key_pem(key: PrivateKey, passphrase: str = "") -> bytes:
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        lock = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def _is_locked(data: bytes) -> bool:
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data or b"Proc-Type: 4,ENCRYPTED" in data


def _save(path: Path, data: bytes, mode: int) -> None:
    try:
        files.write(path, data, mode)
    except OSError as error:
        raise PkiError(f"{path} cannot be written: {error.strerror}") from error


def _load_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error


def _load_key(path: Path, passphrase: str = "") -> PrivateKey:
    """Read a key; the passphrase is for one that is encrypted."""
    data = _load_file(path)
    is_locked = _is_locked(data)
    if is_locked and not passphrase:
        raise PkiError(f"{path} is encrypted: its passphrase is missing (setting key_passphrase_file)")
    try:
        key = serialization.load_pem_private_key(data, passphrase.encode() if is_locked else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if is_locked:
            raise PkiError(f"{path} is encrypted with another passphrase than the one given, or damaged") from error
        raise PkiError(f"{path} does not hold a private key in PEM form") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path} must hold an RSA or elliptic curve key")
    return key


def key_files(folder: Path) -> dict[Path, bool]:
    """The files of private keys in a folder, and whether each is encrypted."""
    return {path: _is_locked(_load_file(path)) for path in sorted(folder.glob("*.key"))}


def convert_keys(folder: Path, old: str, new: str) -> list[Path]:
    """Write all keys of a folder anew with another passphrase; "" stands for none. Gives the files that changed.

    All are read before the first is written. Cut off in between, it can be done again: keys that are not encrypted
    are read with any passphrase. Raises PkiError.
    """
    found = key_files(folder)
    loaded = {path: _load_key(path, old) for path, is_locked in found.items() if is_locked or new}
    for path, key in loaded.items():
        _save(path, _key_pem(key, new), 0o600)
    return list(loaded)


def _load_cert_file(path: Path) -> list[Cert]:
    try:
        return load_certs(_load_file(path))
    except BadCertificate as error:
        raise PkiError(f"{path} does not hold a certificate: {error}") from error


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise PkiError(f"{folder} cannot be used for keys: {error.strerror}") from error


def _key_matches(cert: Cert, key: PrivateKey) -> bool:
    return cert.public_key_print == sha1(key_der(key.public_key()))


@dataclass(frozen=True, slots=True)
class OwnChain:
    """Files of the operator's own, used instead of self-made ones; all PEM.

    cert: the certificate, more may follow it. key: its private key.
    chain: the CAs above it, in any order.
    """

    cert: Path
    key: Path
    chain: Path | None = None


@dataclass(frozen=True, slots=True)
class PkiOptions:
    """What the operator may choose.

    trust_domain: the SPIFFE trust domain; "" takes the one in the root certificate, which on first
    start is made from the root's key. controller_id: last part of the server's SPIFFE id.
    addresses: DNS names and IP addresses under which clients reach the controller; localhost,
    127.0.0.1 and ::1 are added. signing, server: own files. Key kinds only matter when a key is made.
    passphrase: encrypts keys that are made, and opens those that are encrypted; "" for none.
    """

    trust_domain: str = ""
    controller_id: str = "controller"
    addresses: tuple[str, ...] = ()
    ca_key: KeyKind = "P-256"
    server_key: KeyKind = "RSA-2048"
    ca_years: int = 10
    identity_days: int = 365
    router_days: int = 365
    server_days: int = 365
    session_hours: int = 12
    backdate: timedelta = timedelta(minutes=1)
    signing: OwnChain | None = None
    server: OwnChain | None = None
    passphrase: str = field(default="", repr=False)


def _key_usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in names for name in every})


_CA_USAGE = _key_usage("digital_signature", "key_cert_sign", "crl_sign")
_LEAF_USAGE = _key_usage("digital_signature", "key_encipherment", "data_encipherment")
_SERVER_USAGE = _key_usage("digital_signature", "content_commitment", "key_encipherment")
_CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
_SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
# Apple's clients refuse a server certificate that does not name the purpose.
_BOTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True, slots=True)
class Profile:
    """What certificates of one kind hold besides subject and key.

    lifetime: from now. backdated: whether notBefore is moved back for clients with a slow clock.
    constraints: None leaves the basic constraints out. key_id: whether the subject key identifier
    is written. spiffe: path of the SPIFFE id below the trust domain, None for no such name.
    """

    lifetime: Callable[[PkiOptions], timedelta]
    usage: x509.KeyUsage = _LEAF_USAGE
    purposes: x509.ExtendedKeyUsage | None = _CLIENT
    constraints: x509.BasicConstraints | None = None
    key_id: bool = False
    backdated: bool = True
    spiffe: str | None = None


_ROOT = Profile(
    lifetime=lambda o: timedelta(days=365 * o.ca_years),
    usage=_CA_USAGE,
    purposes=None,
    constraints=x509.BasicConstraints(ca=True, path_length=None),
    key_id=True,
    spiffe="",
)
_INTERMEDIATE = Profile(
    lifetime=lambda o: timedelta(days=365 * o.ca_years),
    usage=_CA_USAGE,
    purposes=None,
    constraints=x509.BasicConstraints(ca=True, path_length=1),
    key_id=True,
    spiffe="",
)
_CONTROLLER = Profile(
    lifetime=lambda o: timedelta(days=o.server_days),
    usage=_SERVER_USAGE,
    purposes=_BOTH,
    constraints=x509.BasicConstraints(ca=False, path_length=None),
    key_id=True,
    spiffe="/controller/{controller}",
)
_IDENTITY = Profile(lifetime=lambda o: timedelta(days=o.identity_days), spiffe="/identity/{identity}")
_SESSION = Profile(
    lifetime=lambda o: timedelta(hours=o.session_hours),
    backdated=False,
    spiffe="/identity/{identity}/apiSession/{session}/apiSessionCertificate/{certificate}",
)
_ROUTER_CLIENT = Profile(lifetime=lambda o: timedelta(days=o.router_days))
_ROUTER_SERVER = Profile(lifetime=lambda o: timedelta(days=o.router_days), purposes=_SERVER)

# What Go's pkix.Name carries over from a request; real clients' DC is lost there, too.
_SUBJECT_PARTS = {
    NameOID.COUNTRY_NAME,
    NameOID.STATE_OR_PROVINCE_NAME,
    NameOID.LOCALITY_NAME,
    NameOID.STREET_ADDRESS,
    NameOID.POSTAL_CODE,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.SERIAL_NUMBER,
    NameOID.COMMON_NAME,
}
_SAN_PARTS = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)


def _copied_subject(csr: Csr) -> x509.Name:
    # Whole RDNs of one kept attribute each; multi-valued ones are taken apart, as Go does.
    kept = [a for a in csr.raw.subject if a.oid in _SUBJECT_PARTS]
    return x509.Name(kept)


def _plain_subject(**parts: str) -> x509.Name:
    oids = {"organization": NameOID.ORGANIZATION_NAME, "common_name": NameOID.COMMON_NAME}
    return x509.Name([x509.NameAttribute(oids[part], text[:64]) for part, text in parts.items()])


def _key_identifier(cert: Cert, key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    own = cert.extension(x509.SubjectKeyIdentifier)
    if own is not None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _signing_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size == 384 else hashes.SHA512()
    return hashes.SHA256()


@dataclass(frozen=True, slots=True)
class _Issuer:
    """A name and key that sign; `cert` is None for a root about to be made."""

    name: x509.Name
    key: PrivateKey
    key_id: x509.AuthorityKeyIdentifier
    cert: Cert | None

    @classmethod
    def of(cls, cert: Cert, key: PrivateKey) -> Self:
        return cls(cert.raw.subject, key, _key_identifier(cert, key), cert)

    @classmethod
    def self_signed(cls, name: x509.Name, key: PrivateKey) -> Self:
        return cls(name, key, x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), None)

    def issue(
        self,
        profile: Profile,
        subject: x509.Name,
        public_key: CertificatePublicKeyTypes,
        names: Sequence[x509.GeneralName],
        validity: tuple[datetime, datetime],
    ) -> Cert:
        """Sign one certificate; it never outlives its issuer."""
        start, end = validity
        if self.cert is not None:
            end = min(end, self.cert.not_after)
        if end <= start:
            raise PkiError(f"the signing certificate expired on {day(end)}: replace it")
        builder = x509.CertificateBuilder(self.name, subject, public_key, x509.random_serial_number(), start, end)
        for extension, critical in self.extensions(profile, subject, public_key, names):
            builder = builder.add_extension(extension, critical)
        return Cert(builder.sign(self.key, _signing_hash(self.key)))

    def extensions(
        self,
        profile: Profile,
        subject: x509.Name,
        public_key: CertificatePublicKeyTypes,
        names: Sequence[x509.GeneralName],
    ) -> Iterator[tuple[x509.ExtensionType, bool]]:
        """Yield (extension, critical) in the recorded order."""
        yield profile.usage, True
        if profile.purposes is not None:
            yield profile.purposes, False
        if profile.constraints is not None:
            yield profile.constraints, True
        if profile.key_id:
            yield x509.SubjectKeyIdentifier.from_public_key(public_key), False
        yield self.key_id, False
        if names:
            # RFC 5280 4.2.1.6: critical when the subject is empty (also recorded).
            yield x509.SubjectAlternativeName(names), len(subject.rdns) == 0


def _validity(
    profile: Profile, options: PkiOptions, now: datetime, lifetime: timedelta | None = None
) -> tuple[datetime, datetime]:
    now = now.replace(microsecond=0)
    start = now - options.backdate if profile.backdated else now
    return start, now + (profile.lifetime(options) if lifetime is None else lifetime)


def _spiffe(profile: Profile, trust_domain: str, **ids: str) -> list[x509.GeneralName]:
    if profile.spiffe is None:
        return []
    path = profile.spiffe.format(**ids)
    try:
        return [x509.UniformResourceIdentifier(f"spiffe://{trust_domain}{path}")]
    except ValueError as error:
        raise PkiError(f"{trust_domain}{path} cannot be part of a certificate: {error}") from error


def _address_names(addresses: Iterable[str]) -> list[x509.GeneralName]:
    """Alternative names for addresses, with the local ones first, none twice."""
    dns: dict[str, None] = {}
    ips: dict[ipaddress.IPv4Address | ipaddress.IPv6Address, None] = {}
    for address in ("localhost", "127.0.0.1", "::1", *addresses):
        try:
            ip = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            dns[address.lower().rstrip(".")] = None
            continue
        if ip.is_unspecified:
            continue
        ips[ip] = None
        if ip.version == 4:
            # Recorded: the oldest clients compare an address only with the DNS names.
            dns[str(ip)] = None
    return [*(_dns_name(name) for name in dns), *(x509.IPAddress(ip) for ip in ips)]


def _dns_name(name: str) -> x509.DNSName:
    try:
        name.encode("ascii")
        if not name or any(c.isspace() or c in "/:@" for c in name):
            raise ValueError  # noqa: TRY301 - one message for both
        return x509.DNSName(name)
    except ValueError as error:
        text = f"the address {printable(name)!r} is neither an IP address nor a DNS name in ASCII"
        raise PkiError(text) from error


@dataclass(frozen=True, slots=True, eq=False)
class TlsMaterial:
    """Server certificate chain (leaf first) and key, opaque to all but tls.py."""

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """The key that signs tokens; it is the server's TLS key because enrollers check them with it.

    key: the library's private key, to be passed on to the JWT library.
    kid: SHA-1 of the server certificate, 40 lower-case hex digits.
    """

    algorithm: Literal["RS256", "ES256", "ES384"]
    key: PrivateKey
    kid: str


def _token_algorithm(key: PrivateKey) -> Literal["RS256", "ES256", "ES384"]:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if isinstance(key.curve, ec.SECP256R1):
            return "ES256"
        if isinstance(key.curve, ec.SECP384R1):
            return "ES384"
    raise PkiError("the server's key must be RSA, P-256 or P-384: clients know no other tokens")


@dataclass(frozen=True, slots=True, eq=False)
class _Holder:
    """A certificate with its key and the CAs above it, nearest first."""

    cert: Cert
    key: PrivateKey
    above: tuple[Cert, ...]


def _ordered(cert: Cert, others: Sequence[Cert]) -> tuple[Cert, ...]:
    """Those of `others` that lead upwards from `cert`, nearest first."""
    chain = [cert]
    while not chain[-1].is_self_signed:
        above = [o for o in others if o not in chain and chain[-1].names_as_issuer(o) and chain[-1].is_signed_by(o)]
        if not above:
            break
        chain.append(above[0])
    return tuple(chain[1:])


def _own_holder(files: OwnChain, passphrase: str) -> _Holder:
    key = _load_key(files.key, passphrase)
    certs = _load_cert_file(files.cert)
    above = _load_cert_file(files.chain) if files.chain else []
    cert = next((c for c in certs if _key_matches(c, key)), None)
    if cert is None:
        raise PkiError(f"{files.key} is not the key of the certificate in {files.cert}")
    return _Holder(cert, key, _ordered(cert, [*certs, *above]))


class _Folder:
    """The folder of self-made keys and certificates: `<name>.key` and `<name>.cert`."""

    def __init__(self, folder: Path, options: PkiOptions, now: datetime) -> None:
        self.path, self.options, self.now = folder, options, now

    def key(self, name: str, kind: KeyKind) -> PrivateKey:
        """Load the stored key, or make one and store it before it is used."""
        path = self.path / f"{name}.key"
        if path.exists():
            return _load_key(path, self.options.passphrase)
        key = _new_key(kind)
        _save(path, _key_pem(key, self.options.passphrase), 0o600)
        return key

    def cert(self, name: str) -> Cert | None:
        path = self.path / f"{name}.cert"
        return _load_cert_file(path)[0] if path.exists() else None

    def save(self, name: str, cert: Cert) -> Cert:
        _save(self.path / f"{name}.cert", cert.pem.encode("ascii"), 0o644)
        return cert

    def kept_key(self, name: str, cert: Cert) -> PrivateKey:
        """Load the key of a stored certificate; it must be there and match."""
        path = self.path / f"{name}.key"
        if not path.exists():
            raise PkiError(
                f"{path} is missing but {name}.cert is there: restore the key from a backup, or "
                f"remove {name}.cert to have both made anew"
            )
        key = _load_key(path, self.options.passphrase)
        if not _key_matches(cert, key):
            raise PkiError(f"{path} is not the key of {name}.cert: restore the pair from a backup")
        return key

    def root(self) -> Cert:
        """Load the root certificate, or make it. Its key may be kept elsewhere afterwards."""
        cert = self.cert("root")
        if cert is not None:
            return cert
        return self.save("root", self.signed_root(self.key("root", self.options.ca_key), self.options.trust_domain))

    def intermediate(self, root: Cert) -> _Holder:
        """Load the issuing CA, or make it."""
        cert = self.cert("intermediate") or self.new_intermediate(root)
        if not cert.is_signed_by(root):
            raise PkiError(f"{self.path}/intermediate.cert is not issued by root.cert there")
        return _Holder(cert, self.kept_key("intermediate", cert), (root,))

    def new_intermediate(self, root: Cert) -> Cert:
        key = self.key("intermediate", self.options.ca_key)
        return self.save("intermediate", self.signed_intermediate(root, self.kept_key("root", root), key))

    def signed_intermediate(self, root: Cert, root_key: PrivateKey, key: PrivateKey) -> Cert:
        public = key.public_key()
        mark, domain = sha1(key_der(public)), _trust_domain(self.options, root)
        name = _plain_subject(organization=domain, common_name=f"intermediate-ca-{mark[:8]}")
        names = _spiffe(_INTERMEDIATE, domain)
        validity = _validity(_INTERMEDIATE, self.options, self.now)
        return _Issuer.of(root, root_key).issue(_INTERMEDIATE, name, public, names, validity)

    def signed_root(self, key: PrivateKey, domain: str) -> Cert:
        mark = sha1(key_der(key.public_key()))
        name = _plain_subject(organization=domain or mark, common_name=f"root-ca-{mark[:8]}")
        issuer = _Issuer.self_signed(name, key)
        validity = _validity(_ROOT, self.options, self.now)
        return issuer.issue(_ROOT, name, key.public_key(), _spiffe(_ROOT, domain or mark), validity)

    def crossed(self, root: Cert, old: Cert) -> Cert:
        """The new root's name and key, signed by the old root: the bridge for clients that know only that."""
        issuer = _Issuer.of(old, self.kept_key("root", old))
        validity = _validity(_ROOT, self.options, self.now)
        names = _spiffe(_ROOT, _trust_domain(self.options, root))
        return issuer.issue(_ROOT, root.raw.subject, root.raw.public_key(), names, validity)

    # Rolling over: the next pairs are written beside the current ones; the file `next` says that all are there.

    def exchange(self, pairs: dict[str, tuple[Cert, PrivateKey]], crosses: Sequence[Cert] = ()) -> None:
        """Put other pairs in place, all or none of them after a crash; the old certificates stay as retired ones."""
        for name, (cert, key) in pairs.items():
            old = self.cert(name)
            if old is not None:
                _save(self.path / f"retired-{old.fingerprint}.cert", old.pem.encode("ascii"), 0o644)
            if old is not None and name == "intermediate":
                # It goes on to sign the revocation list for what it issued.
                _save(
                    self.path / f"retired-{old.fingerprint}.key",
                    _key_pem(self.kept_key(name, old), self.options.passphrase),
                    0o600,
                )
            _save(self.path / f"next-{name}.key", _key_pem(key, self.options.passphrase), 0o600)
            _save(self.path / f"next-{name}.cert", cert.pem.encode("ascii"), 0o644)
        for cert in crosses:
            _save(self.path / f"cross-{cert.fingerprint}.cert", cert.pem.encode("ascii"), 0o644)
        _save(self.path / "next", b"", 0o600)
        self.settle()

    def settle(self) -> None:
        """Finish an exchange that a crash cut off, or forget what it had not finished writing."""
        marker = self.path / "next"
        complete = marker.exists()
        try:
            for path in sorted(self.path.glob("next-*")):
                if complete:
                    path.replace(self.path / path.name.removeprefix("next-"))
                else:
                    path.unlink()
            marker.unlink(missing_ok=True)
        except OSError as error:
            raise PkiError(f"{self.path} cannot be changed: {error.strerror}") from error

    def forget(self) -> None:
        """Drop what was replaced, and the bridges to it."""
        for path in (*self.path.glob("retired-*"), *self.path.glob("cross-*")):
            path.unlink()

    def retired(self, current: Sequence[Cert]) -> tuple["_Retired", ...]:
        """CAs that were replaced and have not expired: what they issued is still good."""
        found = []
        for path in sorted(self.path.glob("retired-*.cert")):
            cert, key = _load_cert_file(path)[0], path.with_suffix(".key")
            if cert not in current and cert.not_after > self.now:
                found.append(_Retired(cert, _load_key(key, self.options.passphrase) if key.exists() else None))
        return tuple(sorted(found, key=lambda r: (r.cert.is_self_signed, -r.cert.not_before.timestamp())))

    def crosses(self) -> tuple[Cert, ...]:
        return tuple(_load_cert_file(path)[0] for path in sorted(self.path.glob("cross-*.cert")))


def folder_problems(folder: Path, passphrase: str = "") -> list[str]:
    """What is wrong with a folder of self-made keys and certificates; looks only. The root's key may be elsewhere.

    Without a passphrase, of encrypted keys it only looks whether they are there.
    """
    problems, certs = [], {}
    for name in ("root", "intermediate", "server"):
        cert, key = folder / f"{name}.cert", folder / f"{name}.key"
        try:
            if cert.exists():
                certs[name] = _load_cert_file(cert)[0]
            is_hidden = not passphrase and key.exists() and _is_locked(_load_file(key))
            is_pair = key.exists() and name in certs and not is_hidden
            if is_pair and not _key_matches(certs[name], _load_key(key, passphrase)):
                problems.append(f"{key} is not the key of {name}.cert")
            elif name in certs and name != "root" and not key.exists():
                problems.append(f"{key} is missing but {name}.cert is there")
            if key.exists() and key.stat().st_mode & 0o077:
                problems.append(f"{key} can be read by others than its owner: chmod 600 {key}")
        except PkiError as e:
            problems.append(str(e))
    if len(certs.keys() & {"root", "intermediate"}) == 2 and not certs["intermediate"].is_signed_by(certs["root"]):
        problems.append(f"{folder}/intermediate.cert is not issued by root.cert there")
    return problems


def _trust_domain(options: PkiOptions, root: Cert) -> str:
    found = (u.removeprefix("spiffe://") for u in root.uris if u.startswith("spiffe://"))
    return options.trust_domain or next(found, "").partition("/")[0] or root.fingerprint


@dataclass(frozen=True, slots=True, eq=False)
class _Retired:
    """A CA of ours that was replaced. Its key, if it is kept, only signs revocation lists."""

    cert: Cert
    key: PrivateKey | None


@dataclass(frozen=True, slots=True, eq=False)
class _Cas:
    """Everything that changes together when a CA of ours does.

    crosses: a newer root's name and key signed by an older root, for clients that know only the older one.
    """

    signer: _Holder
    issuer: _Issuer
    retired: tuple[_Retired, ...] = ()
    crosses: tuple[Cert, ...] = ()

    @classmethod
    def of(cls, signer: _Holder, store: _Folder | None) -> Self:
        issuer = _Issuer.of(signer.cert, signer.key)
        if store is None:
            return cls(signer, issuer)
        return cls(signer, issuer, store.retired((signer.cert, *signer.above)), store.crosses())

    def path(self, now: datetime) -> tuple[Cert, ...]:
        """The CAs that are sent along: from the issuing one up to the root, or over crosses to what clients know."""
        found = [self.signer.cert, *(c for c in self.signer.above if not c.is_self_signed)]
        root = next((c for c in self.signer.above if c.is_self_signed), None)
        while root is not None:
            cross = next((c for c in self.crosses if c.subject_der == root.subject_der and c.not_after > now), None)
            if cross is None:
                # Clients of a cross know the older root; sending the newer one as well would lead some astray.
                found += [root] if found[-1] not in self.crosses else []
                break
            found.append(cross)
            root = next((r.cert for r in self.retired if cross.names_as_issuer(r.cert)), None)
        return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Server:
    """Everything that changes together when the server certificate does."""

    holder: _Holder
    bundle: tuple[Cert, ...]
    pkcs7: str
    signing_key: SigningKey

    @classmethod
    def of(cls, holder: _Holder, cas: _Cas) -> Self:
        own = holder.above or ((holder.cert,) if holder.cert.is_self_signed else ())
        if not own:
            raise PkiError(
                f"the CAs above the server certificate {holder.cert.label} are missing: add them "
                "to its chain file, since clients are told to trust them"
            )
        trusted = (cas.signer.cert, *cas.signer.above, *(r.cert for r in cas.retired), *own)
        bundle = tuple(dict.fromkeys(c for c in trusted if c not in cas.crosses))
        algorithm = _token_algorithm(holder.key)
        key = SigningKey(algorithm, holder.key, holder.cert.fingerprint)
        return cls(holder, bundle, _certs_only(bundle), key)


def _certs_only(certs: Sequence[Cert]) -> str:
    raw = [cert.raw for cert in certs]
    der = pkcs7.serialize_certificates(raw, serialization.Encoding.DER)
    return "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))


def _own_signer(files: OwnChain, passphrase: str) -> _Holder:
    holder = _own_holder(files, passphrase)
    if problem := authority_problem(holder.cert, 0):
        raise PkiError(f"{files.cert} cannot be used for signing: {problem}")
    return holder


@dataclass(frozen=True, slots=True)
class OwnCert:
    """A certificate of the controller itself. kind: root, cross, intermediate or server."""

    kind: str
    cert: Cert
    is_current: bool = True


class Authority:
    """The controller's own CA and server certificate.

    Safe for use by many threads. Made by `open`.
    """

    def __init__(
        self,
        folder: Path,
        options: PkiOptions,
        clock: Callable[[], datetime],
        signer: _Holder,
        store: _Folder | None,
    ) -> None:
        self._folder, self._options, self._clock = folder, options, clock
        self._cas = _Cas.of(signer, store)
        self.trust_domain = _trust_domain(options, signer.above[-1] if signer.above else signer.cert)
        # How long certificates of an "identity" or a "router" are valid, where that may change while we run.
        self.days: Callable[[str], timedelta] = lambda owner: timedelta(
            days=options.identity_days if owner == "identity" else options.router_days
        )
        self._lock = threading.Lock()
        self._server = self._open_server()

    @classmethod
    def open(cls, folder: Path, options: PkiOptions, *, clock: Callable[[], datetime]) -> "Authority":
        """Load the CA and the server certificate, making on first start what is missing.

        folder: holds root, intermediate and server `.key` (0600) and `.cert`; made with mode 0700.
        clock: returns the current time, aware. Raises PkiError with what to do.
        """
        _private_folder(folder)
        now = clock()
        if options.signing:
            store, signer = None, _own_signer(options.signing, options.passphrase)
        else:
            store = _Folder(folder, options, now)
            store.settle()
            signer = store.intermediate(store.root())
        authority = cls(folder, options, clock, signer, store)
        if not options.signing:
            authority._replace_expired(now)
        authority.renew_server_if_needed(options.addresses, now=now)
        return authority

    def _replace_expired(self, now: datetime) -> None:
        """Make new CAs where the controller was off until they had ended; what they issued must be renewed."""
        signer = self._cas.signer
        root = signer.above[-1]
        if root.not_after <= now:
            self.rollover("root", self._options.addresses, now=now)
        elif signer.cert.not_after <= now:
            self.rollover("intermediate", self._options.addresses, now=now)
        else:
            return
        log.warning("%s had expired: a new one was made, and clients must be told to trust it", signer.cert.subject)

    def _open_server(self) -> _Server:
        if self._options.server:
            return _Server.of(_own_holder(self._options.server, self._options.passphrase), self._cas)
        store = _Folder(self._folder, self._options, self._clock())
        cert = store.cert("server")
        if cert is None:
            key = store.key("server", self._options.server_key)
            cert = store.save("server", self._new_server(key, self._options.addresses, store.now))
        else:
            key = store.kept_key("server", cert)
        return self._made_server(cert, key)

    def _made_server(self, cert: Cert, key: PrivateKey) -> _Server:
        return _Server.of(_Holder(cert, key, self._cas.path(self._clock())), self._cas)

    def _server_names(self, addresses: Iterable[str]) -> list[x509.GeneralName]:
        controller = self._options.controller_id
        spiffe = _spiffe(_CONTROLLER, self.trust_domain, controller=controller)
        return [*_address_names(addresses), *spiffe]

    def _new_server(self, key: PrivateKey, addresses: Iterable[str], now: datetime) -> Cert:
        name = _plain_subject(organization=self.trust_domain, common_name=self._options.controller_id)
        validity = _validity(_CONTROLLER, self._options, now)
        names = self._server_names(addresses)
        return self._cas.issuer.issue(_CONTROLLER, name, key.public_key(), names, validity)

    @property
    def bundle(self) -> list[Cert]:
        """CAs that clients are told to trust: the issuing one first, the root last (as recorded)."""
        return list(self._server.bundle)

    def own_certificates(self) -> list[OwnCert]:
        """The CAs and the server certificate; those that were replaced and have not expired are not current."""
        cas = self._cas
        sent = self._server.holder.above
        return [
            *(OwnCert("root" if c.is_self_signed else "intermediate", c) for c in cas.signer.above),
            OwnCert("intermediate", cas.signer.cert),
            OwnCert("server", self.server_cert),
            *(OwnCert("cross", c, is_current=c in sent) for c in cas.crosses),
            *(
                OwnCert("root" if r.cert.is_self_signed else "intermediate", r.cert, is_current=False)
                for r in cas.retired
            ),
        ]

    @property
    def server_cert(self) -> Cert:
        """The certificate of the TLS server."""
        return self._server.holder.cert

    @property
    def server_chain(self) -> list[Cert]:
        """What the TLS server sends: leaf, intermediate and root (as recorded)."""
        holder = self._server.holder
        return [holder.cert, *holder.above]

    def tls_material(self) -> TlsMaterial:
        """Return the server chain and key for tls.py."""
        chain = tuple(cert.raw for cert in self.server_chain)
        return TlsMaterial(chain, self._server.holder.key)

    def cacerts_pkcs7(self) -> str:
        """Return the bundle as base64 PKCS#7 in 64-character lines without a final newline.

        Source: RFC 7030 4.1.3, recorded answers of GET /.well-known/est/cacerts (root.json).
        """
        return self._server.pkcs7

    def ca_pem(self) -> str:
        """Return the bundle as PEM, each certificate after an empty line: the recorded `ca` and `cas`."""
        return "".join(f"\n{cert.pem}" for cert in self._server.bundle)

    def chain_pem(self, cert: Cert) -> str:
        """Return an issued certificate and the CAs between it and the root: the recorded `cert`."""
        for old in self._cas.retired:
            if cert.names_as_issuer(old.cert):
                return cert.pem + old.cert.pem
        return "".join(c.pem for c in (cert, *(c for c in self._cas.path(self._clock()) if not c.is_self_signed)))

    def signing_key(self) -> SigningKey:
        """Return the key that signs tokens."""
        return self._server.signing_key

    def issued(self, cert: Cert, *, is_known: bool = False) -> bool:
        """Whether our signing certificate, our self-made root or a replaced one signed it; dates do not count.

        is_known: it is one that we keep, byte for byte, as issued by us, so that its signature need not be looked at.
        """
        # A root of the operator's own also stands for CAs that are not ours.
        cas = self._cas
        above = () if self._options.signing else (*cas.signer.above, *(r.cert for r in cas.retired))
        named = (ca for ca in (cas.signer.cert, *above) if cert.names_as_issuer(ca))
        return any(is_known or cert.is_signed_by(ca) for ca in named)

    def _issue(
        self,
        profile: Profile,
        csr: Csr,
        subject: x509.Name,
        names: Sequence[x509.GeneralName],
        lifetime: timedelta | None = None,
    ) -> Cert:
        validity = _validity(profile, self._options, self._clock(), lifetime)
        public = csr.raw.public_key()
        return self._cas.issuer.issue(profile, subject, public, names, validity)

    def issue_identity(self, csr: Csr, identity_id: str, *, lifetime: timedelta | None = None) -> Cert:
        """Issue an identity's client certificate: the request's subject, our SPIFFE id only.

        lifetime: None takes the configured one. Source: enroll_ott.json.
        """
        names = _spiffe(_IDENTITY, self.trust_domain, identity=identity_id)
        return self._issue(_IDENTITY, csr, _copied_subject(csr), names, lifetime or self.days("identity"))

    def issue_session(self, csr: Csr, identity_id: str, session_id: str, certificate_id: str) -> Cert:
        """Issue a session certificate: only the identity's id as subject, 12 hours from now.

        Source: client.json, "session certificates: create".
        """
        ids = {"identity": identity_id, "session": session_id, "certificate": certificate_id}
        names = _spiffe(_SESSION, self.trust_domain, **ids)
        return self._issue(_SESSION, csr, _plain_subject(common_name=identity_id), names)

    def issue_router(self, client_csr: Csr, server_csr: Csr, router_id: str) -> tuple[Cert, Cert]:
        """Issue a router's client and server certificate; the latter keeps the names asked for.

        Raises BadCsr ("common-name") when the client request's common name is not the router's id,
        ("extensions") when the server request's names cannot be read. Source: routers.json.
        """
        if client_csr.common_name != router_id:
            text = f"the common name of the client CSR must be the router's id {router_id}"
            raise BadCsr("common-name", text)
        names = [name for name in server_csr.names() if isinstance(name, _SAN_PARTS)]
        lifetime = self.days("router")
        client = self._issue(_ROUTER_CLIENT, client_csr, _copied_subject(client_csr), [], lifetime)
        server = self._issue(_ROUTER_SERVER, server_csr, _copied_subject(server_csr), names, lifetime)
        return client, server

    def renew_server_if_needed(self, addresses: Iterable[str], *, now: datetime) -> bool:
        """Bring the server certificate up to date; True when there is something new to serve.

        A CA that another process rolled over is taken from its files, and so is a server certificate.
        A self-made one is issued again, with the same key, when less than a third of its life is
        left, when it begins in the future (the clock was wrong), when `addresses` differ from its
        names, or when another CA issued it. An own one is read again. Pass the new `tls_material()`
        on to the server. Raises PkiError; the old certificate then stays in use.
        """
        with self._lock:
            self._look_for_rollover(now)
            was = self._server
            self._look_for_server(now)
            self._server = self._fresh_server(list(addresses), now) or self._server
            return self._server is not was

    def _look_for_server(self, now: datetime) -> None:
        """Take the server certificate that another process issued to itself."""
        if self._options.server:
            return
        store = _Folder(self._folder, self._options, now)
        cert = store.cert("server")
        if cert is not None and cert != self._server.holder.cert:
            self._server = self._made_server(cert, store.kept_key("server", cert))

    def _look_for_rollover(self, now: datetime) -> None:
        if self._options.signing:
            return
        store = _Folder(self._folder, self._options, now)
        if store.cert("intermediate") not in (None, self._cas.signer.cert):
            self._cas = _Cas.of(store.intermediate(store.root()), store)

    def _fresh_server(self, addresses: list[str], now: datetime) -> _Server | None:
        old = self._server.holder
        if self._options.server:
            holder = _own_holder(self._options.server, self._options.passphrase)
            return None if holder.cert == old.cert else _Server.of(holder, self._cas)
        if not self._server_is_stale(old.cert, addresses, now):
            return None if old.above == self._cas.path(now) else self._made_server(old.cert, old.key)
        cert = self._new_server(old.key, addresses, now)
        _Folder(self._folder, self._options, now).save("server", cert)
        return self._made_server(cert, old.key)

    def _server_is_stale(self, cert: Cert, addresses: list[str], now: datetime) -> bool:
        if cert.not_after - now < (cert.not_after - cert.not_before) / 3 or cert.not_before > now:
            return True
        names = cert.extension(x509.SubjectAlternativeName)
        wanted = set(self._server_names(addresses))
        return set(names or ()) != wanted or not cert.is_signed_by(self._cas.signer.cert)

    def rollover_due(self, now: datetime) -> Literal["root", "intermediate"] | None:
        """Which CA of ours has less than a third of its life left."""
        if self._options.signing:
            return None
        signer = self._cas.signer
        for what, cert in (("root", signer.above[-1]), ("intermediate", signer.cert)):
            if cert.not_after - now < (cert.not_after - cert.not_before) / 3:
                return cast('Literal["root", "intermediate"]', what)
        return None

    def rollover(
        self,
        what: Literal["root", "intermediate"],
        addresses: Iterable[str],
        *,
        now: datetime,
        kind: KeyKind | None = None,
        forget: bool = False,
    ) -> None:
        """Replace the issuing CA, or the root and with it the issuing CA; the server's key stays.

        kind: of the new keys; None takes the configured one. forget: drop the old CAs at once, which is right
        only while nobody has a certificate of theirs and nobody knows the old root.

        What the old ones issued stays good while they are, and clients are told to trust old and new. After a new
        root the server sends a certificate for it that the old root signed, so that clients which know only the
        old one verify the server as well. Pass the new `tls_material()` on to the server. Raises PkiError.
        """
        if self._options.signing:
            raise PkiError("the signing certificate is the operator's own: replace the files of setting signing_cert")
        with self._lock:
            store = _Folder(self._folder, self._options, now)
            kind = kind or self._options.ca_key
            key, old = _new_key(kind), self._cas.signer.above[-1]
            if what == "intermediate":
                made = store.signed_intermediate(old, store.kept_key("root", old), key)
                store.exchange({"intermediate": (made, key)})
            else:
                root_key = _new_key(kind)
                root = store.signed_root(root_key, self.trust_domain)
                made = store.signed_intermediate(root, root_key, key)
                crosses = [store.crossed(root, old)] if old.not_after > now else []
                store.exchange({"root": (root, root_key), "intermediate": (made, key)}, crosses)
            if forget:
                store.forget()
            self._cas = _Cas.of(store.intermediate(store.root()), store)
            # The same server certificate would do if it is the operator's own; the bundle is new all the same.
            server = self._server.holder
            fresh = self._fresh_server(list(addresses), now)
            self._server = fresh or _Server.of(server, self._cas)

    def revocation_lists(
        self, revoked: Iterable[tuple[str, int, datetime]], number: int, until: timedelta
    ) -> list[bytes]:
        """Our revocation lists as DER, the current issuer's first; RFC 5280 5.

        revoked: issuer (RFC 4514), serial number and time of each. A CA whose key we do not have lists nothing.
        """
        now = self._clock().replace(microsecond=0)
        rows = list(revoked)
        signers = [(self._cas.signer.cert, self._cas.signer.key)]
        signers += [(r.cert, r.key) for r in self._cas.retired if r.key is not None and r.cert.not_after > now]
        found = []
        for cert, key in signers:
            builder = x509.CertificateRevocationListBuilder(cert.raw.subject, now, now + until)
            builder = builder.add_extension(_key_identifier(cert, key), critical=False)
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
            for issuer, serial, at in rows:
                if issuer == cert.subject:
                    builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, at).build())
            made = builder.sign(key, _signing_hash(key))
            found.append(made.public_bytes(serialization.Encoding.DER))
        return found
