"""JWTs that the controller hands out, and those that it takes. The only importer of `jwt`.

Enrollment tokens are signed with the TLS server key, because enrolling clients fetch the issuer's
URL and check the signature against the certificate they find there (docs/adr/0003). No JWT is
stored: each is derived from its row, so a new address or certificate needs no re-signing.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import jwt

import pki

ENROLLER = "openziti-enroller"
# Identity providers' clocks need not be ours.
LEEWAY_SECONDS = 10


class BadToken(Exception):  # noqa: N818 - says what it is about
    """A JWT that is not accepted. kind: "expired" or "invalid"; the text says why, for the log."""

    def __init__(self, kind: Literal["expired", "invalid"], text: str) -> None:
        self.kind = kind
        super().__init__(text)


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A key that may have signed a token, and the algorithms it may have done it with."""

    key: Any
    algorithms: tuple[str, ...]
    kid: str | None


_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}


def certificate_key(cert: pki.Cert, kid: str | None) -> PublicKey:
    """The public key of a certificate, for tokens. Raises pki.PkiError for a kind that signs none."""
    key, curve = cert.token_key()
    return PublicKey(key, (_CURVES[curve],) if curve else _RSA, kid)


def jwks_keys(document: Any) -> list[PublicKey]:
    """The signature keys of a JWK Set (RFC 7517); keys of other kinds are left out. Raises BadToken."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise BadToken("invalid", "the document is no JWK Set")
    return [key for entry in entries if isinstance(entry, dict) and (key := _jwk(entry))]


def _jwk(entry: dict[str, Any]) -> PublicKey | None:
    kind, curve = entry.get("kty"), str(entry.get("crv"))
    # Never `oct`: a symmetric key would let whoever reads it sign.
    algorithms: tuple[str, ...] = ()
    if kind == "RSA":
        algorithms = _RSA
    elif kind in ("EC", "OKP") and curve in _CURVES:
        algorithms = (_CURVES[curve],)
    if entry.get("alg"):
        algorithms = tuple(a for a in algorithms if a == entry["alg"])
    if not algorithms or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry, algorithm=algorithms[0])
    except jwt.PyJWTError:
        return None
    return PublicKey(key.key, algorithms, entry.get("kid"))


def peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims without any check, to find out whose token it is. Raises BadToken."""
    try:
        found = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.PyJWTError as e:
        raise BadToken("invalid", str(e)) from None
    return found["header"], found["payload"]


def verify(token: str, key: PublicKey, *, issuer: str, audience: str) -> dict[str, Any]:
    """The claims of somebody else's token: signature, dates, issuer and audience are right. Raises BadToken."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=list(key.algorithms),
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
    except jwt.ExpiredSignatureError as e:
        raise BadToken("expired", str(e)) from None
    except jwt.PyJWTError as e:
        raise BadToken("invalid", str(e)) from None
    return claims


def verify_enrollment(token: str, key: PublicKey) -> dict[str, Any]:
    """The claims of an enrollment token, for whoever enrolls: signature and dates are right. Raises BadToken."""
    options: Any = {"require": ["iss", "sub", "jti"], "verify_aud": False}
    try:
        claims: dict[str, Any] = jwt.decode(token, key.key, algorithms=list(key.algorithms), options=options)
    except jwt.ExpiredSignatureError as e:
        raise BadToken("expired", str(e)) from None
    except jwt.PyJWTError as e:
        raise BadToken("invalid", str(e)) from None
    return claims


def half_hash(text: str, algorithm: str) -> str:
    """`at_hash` and `c_hash` of an ID token: half of the hash that the algorithm uses (OpenID Core 3.3.2.11)."""
    digest = hashlib.new(f"sha{algorithm[2:]}", text.encode()).digest()
    return b64(digest[: len(digest) // 2])


def s256(verifier: str) -> str:
    """The PKCE challenge of a verifier, method S256 (RFC 7636 section 4.2)."""
    return b64(hashlib.sha256(verifier.encode("ascii", "replace")).digest())


def b64(data: bytes) -> str:
    """Base64 in the URL alphabet without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Signer:
    """Signs with whatever key the server's certificate has right now.

    `key` is asked at each signature, so that a renewed certificate's `kid` is used at once.
    """

    key: Callable[[], pki.SigningKey]

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS with `alg`, `kid` (SHA-1 of the server certificate) and `typ`."""
        key = self.key()
        return jwt.encode(claims, key.key, algorithm=key.algorithm, headers={"kid": key.kid})

    @property
    def algorithm(self) -> str:
        """What tokens are signed with right now."""
        return self.key().algorithm

    def read(self, token: str, *, expired_ok: bool = False) -> dict[str, Any]:
        """The claims of a token of ours, whatever it is for: the caller looks at `iss`, `aud` and `z_t`.

        The key identifier does not count, so that tokens outlive the renewal of the certificate, which
        keeps its key. Raises BadToken.
        """
        key = self.key()
        options: Any = {"require": ["exp", "iss", "sub"], "verify_aud": False, "verify_exp": not expired_ok}
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key.key.public_key(), algorithms=[key.algorithm], options=options
            )
        except jwt.ExpiredSignatureError as e:
            raise BadToken("expired", str(e)) from None
        except jwt.PyJWTError as e:
            raise BadToken("invalid", str(e)) from None
        return claims

    def read_enrollment(self, token: str) -> dict[str, Any]:
        """The claims of an enrollment token of ours. Its dates do not count: the enrollment's row has them.

        Raises BadToken.
        """
        key = self.key()
        options: Any = {"verify_aud": False, "verify_exp": False}
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key.key.public_key(), algorithms=[key.algorithm], options=options
            )
        except jwt.PyJWTError as e:
            raise BadToken("invalid", str(e)) from None
        return claims

    def jwks(self) -> dict[str, Any]:
        """The public half of the signing key as a JWK Set (RFC 7517 section 5)."""
        key = self.key()
        algorithm = jwt.get_algorithm_by_name(key.algorithm)
        found = algorithm.to_jwk(key.key.public_key(), as_dict=True)
        return {"keys": [{**found, "use": "sig", "alg": key.algorithm, "kid": key.kid}]}

    def answer(self, nonce: str) -> tuple[str, str, str]:
        """Sign a nonce: signature (base64 without padding, URL alphabet), algorithm, key id."""
        key = self.key()
        algorithm = jwt.get_algorithm_by_name(key.algorithm)
        signature = algorithm.sign(nonce.encode(), key.key)
        return b64(signature), key.algorithm, key.kid

    def enrollment(
        self, *, url: str, method: str, token: str, subject: str, expires_at: int, ctrls: tuple[str, ...] | None
    ) -> str:
        """The JWT of a pending enrollment (ott, ottca, updb, erott, trott).

        Args:
            url: `https://host:port`, the issuer, without a trailing slash.
            token: the one-time token, a UUID; becomes `jti`.
            subject: id of the identity or router.
            expires_at: milliseconds since the epoch.
            ctrls: `tls:host:port` addresses of the control channel, None when there is none.
        """
        key = self.key()
        return _enrollment(key, url, method, token, subject, expires_at // 1000, ctrls)

    def reusable(self, *, url: str, method: str, subject: str, token: str) -> str:
        """The JWT of a CA (`em` ca) or of the network (`em` network): no expiry, issuer with a slash."""
        return self.sign(
            {
                "iss": f"{url}/",
                "sub": subject,
                "aud": [ENROLLER],
                "jti": token,
                "em": method,
                "ctrls": None,
            }
        )


@lru_cache(maxsize=2_000)
def _enrollment(
    key: pki.SigningKey,
    url: str,
    method: str,
    token: str,
    subject: str,
    expires: int,
    ctrls: tuple[str, ...] | None,
) -> str:
    claims = {
        "iss": url,
        "sub": subject,
        "aud": [""],
        "exp": expires,
        "jti": token,
        "em": method,
        "ctrls": list(ctrls) if ctrls else None,
    }
    return jwt.encode(claims, key.key, algorithm=key.algorithm, headers={"kid": key.kid})
