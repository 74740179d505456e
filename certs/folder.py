"""Our own keys and certificates on disk: made, read, exchanged for others, encrypted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import files
from certs.chains import authority_problem
from certs.issuing import (
    INTERMEDIATE,
    ROOT,
    Issuer,
    KeyKind,
    OwnChain,
    PkiOptions,
    PrivateKey,
    plain_subject,
    spiffe_names,
    validity_of,
)
from certs.reading import BadCertificate, Cert, PkiError, key_der, load_certs, sha1


def new_key(kind: KeyKind) -> PrivateKey:
    """A private key of this kind."""
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


def make_private(folder: Path) -> None:
    """Make the folder if need be, for its owner only. Raises PkiError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise PkiError(f"{folder} cannot be used for keys: {error.strerror}") from error


def _key_matches(cert: Cert, key: PrivateKey) -> bool:
    return cert.public_key_print == sha1(key_der(key.public_key()))


@dataclass(frozen=True, slots=True, eq=False)
class Holder:
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


def own_holder(files: OwnChain, passphrase: str) -> Holder:
    """The operator's own certificate, key and chain. Raises PkiError with the file that does not fit."""
    key = _load_key(files.key, passphrase)
    certs = _load_cert_file(files.cert)
    above = _load_cert_file(files.chain) if files.chain else []
    cert = next((c for c in certs if _key_matches(c, key)), None)
    if cert is None:
        raise PkiError(f"{files.key} is not the key of the certificate in {files.cert}")
    return Holder(cert, key, _ordered(cert, [*certs, *above]))


class Folder:
    """The folder of self-made keys and certificates: `<name>.key` and `<name>.cert`."""

    def __init__(self, folder: Path, options: PkiOptions, now: datetime) -> None:
        self.path, self.options, self.now = folder, options, now

    def key(self, name: str, kind: KeyKind) -> PrivateKey:
        """Load the stored key, or make one and store it before it is used."""
        path = self.path / f"{name}.key"
        if path.exists():
            return _load_key(path, self.options.passphrase)
        key = new_key(kind)
        _save(path, _key_pem(key, self.options.passphrase), 0o600)
        return key

    def cert(self, name: str) -> Cert | None:
        """The stored certificate, if there is one."""
        path = self.path / f"{name}.cert"
        return _load_cert_file(path)[0] if path.exists() else None

    def save(self, name: str, cert: Cert) -> Cert:
        """Store a certificate; gives it back."""
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

    def intermediate(self, root: Cert) -> Holder:
        """Load the issuing CA, or make it."""
        cert = self.cert("intermediate") or self.new_intermediate(root)
        if not cert.is_signed_by(root):
            raise PkiError(f"{self.path}/intermediate.cert is not issued by root.cert there")
        return Holder(cert, self.kept_key("intermediate", cert), (root,))

    def new_intermediate(self, root: Cert) -> Cert:
        """Make the issuing CA, its key included."""
        key = self.key("intermediate", self.options.ca_key)
        return self.save("intermediate", self.signed_intermediate(root, self.kept_key("root", root), key))

    def signed_intermediate(self, root: Cert, root_key: PrivateKey, key: PrivateKey) -> Cert:
        """A certificate for an issuing CA, signed by the root; nothing is stored."""
        public = key.public_key()
        mark, domain = sha1(key_der(public)), trust_domain_of(self.options, root)
        name = plain_subject(organization=domain, common_name=f"intermediate-ca-{mark[:8]}")
        names = spiffe_names(INTERMEDIATE, domain)
        validity = validity_of(INTERMEDIATE, self.options, self.now)
        return Issuer.of(root, root_key).issue(INTERMEDIATE, name, public, names, validity)

    def signed_root(self, key: PrivateKey, domain: str) -> Cert:
        """A certificate for a root; nothing is stored."""
        mark = sha1(key_der(key.public_key()))
        name = plain_subject(organization=domain or mark, common_name=f"root-ca-{mark[:8]}")
        issuer = Issuer.self_signed(name, key)
        validity = validity_of(ROOT, self.options, self.now)
        return issuer.issue(ROOT, name, key.public_key(), spiffe_names(ROOT, domain or mark), validity)

    def crossed(self, root: Cert, old: Cert) -> Cert:
        """The new root's name and key, signed by the old root: the bridge for clients that know only that."""
        issuer = Issuer.of(old, self.kept_key("root", old))
        validity = validity_of(ROOT, self.options, self.now)
        names = spiffe_names(ROOT, trust_domain_of(self.options, root))
        return issuer.issue(ROOT, root.raw.subject, root.raw.public_key(), names, validity)

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

    def retired(self, current: Sequence[Cert]) -> tuple["Retired", ...]:
        """CAs that were replaced and have not expired: what they issued is still good."""
        found = []
        for path in sorted(self.path.glob("retired-*.cert")):
            cert, key = _load_cert_file(path)[0], path.with_suffix(".key")
            if cert not in current and cert.not_after > self.now:
                found.append(Retired(cert, _load_key(key, self.options.passphrase) if key.exists() else None))
        return tuple(sorted(found, key=lambda r: (r.cert.is_self_signed, -r.cert.not_before.timestamp())))

    def crosses(self) -> tuple[Cert, ...]:
        """The bridges from older roots to newer ones."""
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


def trust_domain_of(options: PkiOptions, root: Cert) -> str:
    """The SPIFFE trust domain: the operator's, else that of the root, else the root's fingerprint."""
    found = (u.removeprefix("spiffe://") for u in root.uris if u.startswith("spiffe://"))
    return options.trust_domain or next(found, "").partition("/")[0] or root.fingerprint


@dataclass(frozen=True, slots=True, eq=False)
class Retired:
    """A CA of ours that was replaced. Its key, if it is kept, only signs revocation lists."""

    cert: Cert
    key: PrivateKey | None


def own_signer(files: OwnChain, passphrase: str) -> Holder:
    """The operator's own CA. Raises PkiError when it is none."""
    holder = own_holder(files, passphrase)
    if problem := authority_problem(holder.cert, 0):
        raise PkiError(f"{files.cert} cannot be used for signing: {problem}")
    return holder
