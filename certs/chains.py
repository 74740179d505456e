"""Which certificate of several is the leaf, and whether a chain leads from it to a CA.

The rules follow RFC 5280 as far as client certificates need it, in the reading of the Go controller: no names, key
identifiers or extensions are required of a leaf.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from certs.reading import MIN_RSA_BITS, UNREADABLE, WEAK_HASHES, BadCertificate, Cert, Untrusted, Usage, day

_MAX_SIGNATURE_CHECKS = 100


_EXTENSIONS_HANDLED = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.INHIBIT_ANY_POLICY,
}


def find_leaf(certs: Sequence[Cert]) -> Cert:
    """Return the certificate that issued none of the others (the first such, else the first).

    Raises BadCertificate ("no-pem") for an empty list.
    """
    if not certs:
        raise BadCertificate("no-pem", "no certificate was given")
    checks = _MAX_SIGNATURE_CHECKS
    for cert in certs:
        named = [o for o in certs if o != cert and o.names_as_issuer(cert)]
        checks -= len(named)
        # Past the limit names alone decide: a bundle made to be slow gets a rougher answer.
        if not any(checks < 0 or o.is_signed_by(cert) for o in named):
            return cert
    return certs[0]


def _date_problem(cert: Cert, now: datetime) -> str | None:
    if now > cert.not_after:
        return f"certificate {cert.label} expired on {day(cert.not_after)}"
    if now < cert.not_before:
        return f"certificate {cert.label} is not valid before {day(cert.not_before)}"
    return None


def _form_problem(cert: Cert, usage: Usage | None) -> str | None:
    """Extensions we do not understand, and the purposes it is limited to; RFC 5280 4.2."""
    extensions = cert.extensions_by_oid
    if extensions is None:
        return f"the extensions of certificate {cert.label} cannot be read"
    # Name constraints are not evaluated, so a CA limited by them must not pass.
    for oid, extension in extensions.items():
        if oid == ExtensionOID.NAME_CONSTRAINTS or (extension.critical and oid not in _EXTENSIONS_HANDLED):
            return f"certificate {cert.label} has the extension {oid.dotted_string}, which is not supported"
    purposes = cert.extension(x509.ExtendedKeyUsage)
    wanted = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if usage == "client" and purposes and not any(oid in wanted for oid in purposes):
        return f"certificate {cert.label}: its extended key usage does not allow client authentication"
    return None


def _signature_problem(cert: Cert, issuer: Cert) -> str | None:
    raw = cert.raw
    try:
        weak = isinstance(raw.signature_hash_algorithm, WEAK_HASHES)
        key = issuer.raw.public_key()
    except UNREADABLE:
        return f"certificate {cert.label} is signed in a way that is not supported"
    if weak:
        return f"certificate {cert.label} is signed with MD5 or SHA-1, which are no longer accepted"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return f"the RSA key of {issuer.label} has fewer than {MIN_RSA_BITS} bits"
    if not cert.is_signed_by(issuer):
        return f"certificate {cert.label} names {issuer.label} as its issuer but was not signed by that key"
    return None


class _Walk:
    """A depth-first search from a leaf to an anchor, with a limit on signature checks."""

    def __init__(self, helpers: Sequence[Cert], anchors: Sequence[Cert], now: datetime, usage: Usage | None) -> None:
        self.anchors = frozenset(anchors)
        self.now, self.usage = now, usage
        self.checks_left = _MAX_SIGNATURE_CHECKS
        self.problem, self.problem_rank = "", -1
        self.by_subject: dict[bytes | None, list[Cert]] = {}
        for cert in dict.fromkeys([*anchors, *helpers]):
            self.by_subject.setdefault(cert.subject_der, []).append(cert)

    def note(self, rank: int, problem: str) -> None:
        if rank > self.problem_rank:
            self.problem, self.problem_rank = problem, rank

    def up(self, chain: list[Cert]) -> list[Cert] | None:
        """Extend `chain` (leaf first) up to an anchor; None when no way leads there."""
        cert = chain[-1]
        if cert in self.anchors:
            return chain
        rank = 2 * len(chain)
        self.note(rank, self.unknown_issuer(cert))
        for issuer in self.issuers_of(cert):
            if issuer in chain:
                continue
            if problem := self.issuer_problem(cert, issuer, len(chain) - 1):
                self.note(rank + 1, problem)
            elif found := self.up([*chain, issuer]):
                return found
        return None

    def issuers_of(self, cert: Cert) -> list[Cert]:
        name = cert.issuer_der
        return [] if name is None else self.by_subject.get(name, [])

    def unknown_issuer(self, cert: Cert) -> str:
        if cert.names_as_issuer(cert):
            return f"certificate {cert.label} is self-signed and not among the trusted ones"
        return (
            f"certificate {cert.label} is issued by {cert.issuer_label}, which is not among "
            "the trusted certificates and was not sent along"
        )

    def issuer_problem(self, cert: Cert, issuer: Cert, below: int) -> str | None:
        """Why `issuer` may not have issued `cert`; `below`: certificates between it and the leaf."""
        if problem := authority_problem(issuer, below):
            return problem
        if problem := _date_problem(issuer, self.now) or _form_problem(issuer, self.usage):
            return problem
        self.checks_left -= 1
        if self.checks_left < 0:
            return f"certificate {cert.label} comes with too many possible issuers"
        return _signature_problem(cert, issuer)


def authority_problem(issuer: Cert, below: int) -> str | None:
    """RFC 5280 4.2.1.3 and 4.2.1.9: may it sign certificates, and how deep."""
    constraints = issuer.extension(x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return f"{issuer.label} is not a CA and cannot issue certificates"
    usage = issuer.extension(x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return f"the key usage of {issuer.label} does not allow it to issue certificates"
    if constraints.path_length is not None and below > constraints.path_length:
        return f"{issuer.label} does not allow {below} CAs below it"
    return None


def verify_chain(
    leaf: Cert,
    intermediates: Sequence[Cert],
    anchors: Sequence[Cert],
    *,
    now: datetime,
    check_expiry: bool = True,
    usage: Usage | None = "client",
) -> list[Cert]:
    """Find the way from a leaf to a trusted certificate.

    intermediates: what the client sent along, in any order. anchors: the trusted ones; they may be
    intermediates, and a leaf that is itself an anchor is accepted. now: aware. check_expiry: whether
    the leaf's own dates count; those of the CAs always do. usage: "client" wants client
    authentication where an extended key usage is present, anywhere in the chain.
    Returns the chain, leaf first, anchor last. Raises Untrusted with the reason.
    Source: RFC 5280 6.1; recorded answers of POST /enroll?method=ca (enroll_ca.json).
    """
    walk = _Walk(intermediates, anchors, now, usage)
    chain = walk.up([leaf])
    if chain is None:
        raise Untrusted(walk.problem)
    problem = _date_problem(leaf, now) if check_expiry else None
    if problem := problem or _form_problem(leaf, usage):
        raise Untrusted(problem)
    return chain
