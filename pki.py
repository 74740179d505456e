"""The controller's own CA: what it issues, its server certificate, rolling over.

The one door to certificates: the names of the room `certs` that others need are offered here. Only these modules
touch `cryptography`. `TlsMaterial` and `SigningKey` carry keys that only `tls.py` and `tokens.py` look into.
"""

import base64
import logging
import textwrap
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Self, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from certs.chains import find_leaf, verify_chain
from certs.folder import (
    Folder,
    Holder,
    Retired,
    convert_keys,
    folder_problems,
    key_files,
    make_private,
    new_key,
    own_holder,
    own_signer,
    trust_domain_of,
)
from certs.issuing import (
    CONTROLLER,
    IDENTITY,
    ROUTER_CLIENT,
    ROUTER_SERVER,
    SAN_PARTS,
    SESSION,
    Issuer,
    KeyKind,
    OwnChain,
    PkiOptions,
    PrivateKey,
    Profile,
    address_names,
    copied_subject,
    key_identifier,
    plain_subject,
    signing_hash,
    spiffe_names,
    validity_of,
)
from certs.reading import (
    BadCertificate,
    BadCrl,
    BadCsr,
    Cert,
    Csr,
    PkiError,
    RevocationList,
    Untrusted,
    Usage,
    from_base64,
    load_any,
    load_cert,
    load_certs,
    load_crl,
    load_csr,
    load_pkcs7,
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
    "convert_keys",
    "find_leaf",
    "folder_problems",
    "from_base64",
    "key_files",
    "load_any",
    "load_cert",
    "load_certs",
    "load_crl",
    "load_csr",
    "load_pkcs7",
    "verify_chain",
]


log = logging.getLogger("zitilite.pki")


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
class _Cas:
    """Everything that changes together when a CA of ours does.

    crosses: a newer root's name and key signed by an older root, for clients that know only the older one.
    """

    signer: Holder
    issuer: Issuer
    retired: tuple[Retired, ...] = ()
    crosses: tuple[Cert, ...] = ()

    @classmethod
    def of(cls, signer: Holder, store: Folder | None) -> Self:
        issuer = Issuer.of(signer.cert, signer.key)
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

    holder: Holder
    bundle: tuple[Cert, ...]
    pkcs7: str
    signing_key: SigningKey

    @classmethod
    def of(cls, holder: Holder, cas: _Cas) -> Self:
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
        signer: Holder,
        store: Folder | None,
    ) -> None:
        self._folder, self._options, self._clock = folder, options, clock
        self._cas = _Cas.of(signer, store)
        self.trust_domain = trust_domain_of(options, signer.above[-1] if signer.above else signer.cert)
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
        make_private(folder)
        now = clock()
        if options.signing:
            store, signer = None, own_signer(options.signing, options.passphrase)
        else:
            store = Folder(folder, options, now)
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
            return _Server.of(own_holder(self._options.server, self._options.passphrase), self._cas)
        store = Folder(self._folder, self._options, self._clock())
        cert = store.cert("server")
        if cert is None:
            key = store.key("server", self._options.server_key)
            cert = store.save("server", self._new_server(key, self._options.addresses, store.now))
        else:
            key = store.kept_key("server", cert)
        return self._made_server(cert, key)

    def _made_server(self, cert: Cert, key: PrivateKey) -> _Server:
        return _Server.of(Holder(cert, key, self._cas.path(self._clock())), self._cas)

    def _server_names(self, addresses: Iterable[str]) -> list[x509.GeneralName]:
        controller = self._options.controller_id
        spiffe = spiffe_names(CONTROLLER, self.trust_domain, controller=controller)
        return [*address_names(addresses), *spiffe]

    def _new_server(self, key: PrivateKey, addresses: Iterable[str], now: datetime) -> Cert:
        name = plain_subject(organization=self.trust_domain, common_name=self._options.controller_id)
        validity = validity_of(CONTROLLER, self._options, now)
        names = self._server_names(addresses)
        return self._cas.issuer.issue(CONTROLLER, name, key.public_key(), names, validity)

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
        validity = validity_of(profile, self._options, self._clock(), lifetime)
        public = csr.raw.public_key()
        return self._cas.issuer.issue(profile, subject, public, names, validity)

    def issue_identity(self, csr: Csr, identity_id: str, *, lifetime: timedelta | None = None) -> Cert:
        """Issue an identity's client certificate: the request's subject, our SPIFFE id only.

        lifetime: None takes the configured one. Source: enroll_ott.json.
        """
        names = spiffe_names(IDENTITY, self.trust_domain, identity=identity_id)
        return self._issue(IDENTITY, csr, copied_subject(csr), names, lifetime or self.days("identity"))

    def issue_session(self, csr: Csr, identity_id: str, session_id: str, certificate_id: str) -> Cert:
        """Issue a session certificate: only the identity's id as subject, 12 hours from now.

        Source: client.json, "session certificates: create".
        """
        ids = {"identity": identity_id, "session": session_id, "certificate": certificate_id}
        names = spiffe_names(SESSION, self.trust_domain, **ids)
        return self._issue(SESSION, csr, plain_subject(common_name=identity_id), names)

    def issue_router(self, client_csr: Csr, server_csr: Csr, router_id: str) -> tuple[Cert, Cert]:
        """Issue a router's client and server certificate; the latter keeps the names asked for.

        Raises BadCsr ("common-name") when the client request's common name is not the router's id,
        ("extensions") when the server request's names cannot be read. Source: routers.json.
        """
        if client_csr.common_name != router_id:
            text = f"the common name of the client CSR must be the router's id {router_id}"
            raise BadCsr("common-name", text)
        names = [name for name in server_csr.names() if isinstance(name, SAN_PARTS)]
        lifetime = self.days("router")
        client = self._issue(ROUTER_CLIENT, client_csr, copied_subject(client_csr), [], lifetime)
        server = self._issue(ROUTER_SERVER, server_csr, copied_subject(server_csr), names, lifetime)
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
        store = Folder(self._folder, self._options, now)
        cert = store.cert("server")
        if cert is not None and cert != self._server.holder.cert:
            self._server = self._made_server(cert, store.kept_key("server", cert))

    def _look_for_rollover(self, now: datetime) -> None:
        if self._options.signing:
            return
        store = Folder(self._folder, self._options, now)
        if store.cert("intermediate") not in (None, self._cas.signer.cert):
            self._cas = _Cas.of(store.intermediate(store.root()), store)

    def _fresh_server(self, addresses: list[str], now: datetime) -> _Server | None:
        old = self._server.holder
        if self._options.server:
            holder = own_holder(self._options.server, self._options.passphrase)
            return None if holder.cert == old.cert else _Server.of(holder, self._cas)
        if not self._server_is_stale(old.cert, addresses, now):
            return None if old.above == self._cas.path(now) else self._made_server(old.cert, old.key)
        cert = self._new_server(old.key, addresses, now)
        Folder(self._folder, self._options, now).save("server", cert)
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
            store = Folder(self._folder, self._options, now)
            kind = kind or self._options.ca_key
            key, old = new_key(kind), self._cas.signer.above[-1]
            if what == "intermediate":
                made = store.signed_intermediate(old, store.kept_key("root", old), key)
                store.exchange({"intermediate": (made, key)})
            else:
                root_key = new_key(kind)
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
            builder = builder.add_extension(key_identifier(cert, key), critical=False)
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
            for issuer, serial, at in rows:
                if issuer == cert.subject:
                    builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, at).build())
            made = builder.sign(key, signing_hash(key))
            found.append(made.public_bytes(serialization.Encoding.DER))
        return found
