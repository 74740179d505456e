"""How certificates are made: profiles, names, validity, and the issuer that signs.

The contents of issued certificates are those of the recorded answers (enroll_ott, routers, client: session
certificates).
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.reading import Cert, Csr, PkiError, day, printable

KeyKind = Literal["P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


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


ROOT = Profile(
    lifetime=lambda o: timedelta(days=365 * o.ca_years),
    usage=_CA_USAGE,
    purposes=None,
    constraints=x509.BasicConstraints(ca=True, path_length=None),
    key_id=True,
    spiffe="",
)


INTERMEDIATE = Profile(
    lifetime=lambda o: timedelta(days=365 * o.ca_years),
    usage=_CA_USAGE,
    purposes=None,
    constraints=x509.BasicConstraints(ca=True, path_length=1),
    key_id=True,
    spiffe="",
)


CONTROLLER = Profile(
    lifetime=lambda o: timedelta(days=o.server_days),
    usage=_SERVER_USAGE,
    purposes=_BOTH,
    constraints=x509.BasicConstraints(ca=False, path_length=None),
    key_id=True,
    spiffe="/controller/{controller}",
)


IDENTITY = Profile(lifetime=lambda o: timedelta(days=o.identity_days), spiffe="/identity/{identity}")


SESSION = Profile(
    lifetime=lambda o: timedelta(hours=o.session_hours),
    backdated=False,
    spiffe="/identity/{identity}/apiSession/{session}/apiSessionCertificate/{certificate}",
)


ROUTER_CLIENT = Profile(lifetime=lambda o: timedelta(days=o.router_days))
ROUTER_SERVER = Profile(lifetime=lambda o: timedelta(days=o.router_days), purposes=_SERVER)


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


SAN_PARTS = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)


def copied_subject(csr: Csr) -> x509.Name:
    """The parts of a requested subject that certificates keep."""
    # Whole RDNs of one kept attribute each; multi-valued ones are taken apart, as Go does.
    kept = [a for a in csr.raw.subject if a.oid in _SUBJECT_PARTS]
    return x509.Name(kept)


def plain_subject(**parts: str) -> x509.Name:
    """A subject of organization and common_name, each cut to the 64 characters that X.520 allows."""
    oids = {"organization": NameOID.ORGANIZATION_NAME, "common_name": NameOID.COMMON_NAME}
    return x509.Name([x509.NameAttribute(oids[part], text[:64]) for part, text in parts.items()])


def key_identifier(cert: Cert, key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    """The authority key identifier of what this pair issues."""
    own = cert.extension(x509.SubjectKeyIdentifier)
    if own is not None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def signing_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """The hash that fits the size of a key."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size == 384 else hashes.SHA512()
    return hashes.SHA256()


@dataclass(frozen=True, slots=True)
class Issuer:
    """A name and key that sign; `cert` is None for a root about to be made."""

    name: x509.Name
    key: PrivateKey
    key_id: x509.AuthorityKeyIdentifier
    cert: Cert | None

    @classmethod
    def of(cls, cert: Cert, key: PrivateKey) -> Self:
        """The issuer that this pair is."""
        return cls(cert.raw.subject, key, key_identifier(cert, key), cert)

    @classmethod
    def self_signed(cls, name: x509.Name, key: PrivateKey) -> Self:
        """The issuer of a root about to be made."""
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
        return Cert(builder.sign(self.key, signing_hash(self.key)))

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


def validity_of(
    profile: Profile, options: PkiOptions, now: datetime, lifetime: timedelta | None = None
) -> tuple[datetime, datetime]:
    """From when until when a certificate issued now is valid."""
    now = now.replace(microsecond=0)
    start = now - options.backdate if profile.backdated else now
    return start, now + (profile.lifetime(options) if lifetime is None else lifetime)


def spiffe_names(profile: Profile, trust_domain: str, **ids: str) -> list[x509.GeneralName]:
    """The SPIFFE id of a profile as an alternative name; nothing where the profile has none. Raises PkiError."""
    if profile.spiffe is None:
        return []
    path = profile.spiffe.format(**ids)
    try:
        return [x509.UniformResourceIdentifier(f"spiffe://{trust_domain}{path}")]
    except ValueError as error:
        raise PkiError(f"{trust_domain}{path} cannot be part of a certificate: {error}") from error


def address_names(addresses: Iterable[str]) -> list[x509.GeneralName]:
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
