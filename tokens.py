"""JWTs that the controller hands out. The only importer of `jwt`.

Enrollment tokens are signed with the TLS server key, because enrolling clients fetch the issuer's
URL and check the signature against the certificate they find there (docs/adr/0003). No JWT is
stored: each is derived from its row, so a new address or certificate needs no re-signing.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt

import pki

ENROLLER = "openziti-enroller"


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

    def jwks(self) -> dict[str, Any]:
        """The public half of the signing key as a JWK Set (RFC 7517 section 5)."""
        key = self.key()
        algorithm = jwt.get_algorithm_by_name(key.algorithm)
        found = algorithm.to_jwk(key.key.public_key(), as_dict=True)  # type: ignore[arg-type,call-overload]
        return {"keys": [{**found, "use": "sig", "alg": key.algorithm, "kid": key.kid}]}

    def answer(self, nonce: str) -> tuple[str, str, str]:
        """Sign a nonce: signature (base64 without padding, URL alphabet), algorithm, key id."""
        key = self.key()
        algorithm = jwt.get_algorithm_by_name(key.algorithm)
        signature = algorithm.sign(nonce.encode(), key.key)  # type: ignore[arg-type]
        return urlsafe_b64encode(signature).rstrip(b"=").decode(), key.algorithm, key.kid

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
