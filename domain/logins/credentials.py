"""Primary credentials: password, client certificate, external token; who they stand for; lockout.

Source: POST /authenticate of both APIs and the recorded answers of topic `authenticate`. A login
that fails says `INVALID_AUTH` and nothing else, whatever the reason; the reason goes to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from werkzeug.security import check_password_hash, generate_password_hash

import pki
import store
from domain import cas
from domain.care import blocked
from domain.context import Context
from domain.logins import signers
from models import ApiSession, Authenticator, AuthPolicy, Ca, Identity
from prepared import Prepared, by_id
from wire.errors import ApiError
from wire.resource import now_ms, text, time_text

log = logging.getLogger("zitilite.auth")

# scrypt at 16 MiB: about 40 ms on one core of a small machine.
HASH_METHOD = "scrypt:16384:8:1"
# Compared against when the user name is unknown, so that both answers take the same time.
_NOBODY = generate_password_hash("nobody", method=HASH_METHOD)

USERNAME = text(4, 100)
PASSWORD = text(5, 100)


@dataclass(frozen=True, slots=True)
class Login:
    """A passed primary login: whose it is and what it rests on.

    method: password, cert or ext-jwt. authenticator: its id, `internal` for an identity known by its
    certificate's external id, `extJwtId:ID` for a signer. ca: the third-party CA of the certificate.
    resolved_to_root: whether the certificate came with its chain, where that differs from the last time.
    """

    identity: Identity
    method: str
    authenticator: str
    ca: str | None = None
    certificate: pki.Cert | None = None
    is_cert_extendable: bool = False
    improper_chain: bool = False
    resolved_to_root: bool | None = None

    def settle(self) -> None:
        """Note whether the certificate came with its chain. Needs the transaction of the session."""
        if self.resolved_to_root is not None:
            _RESOLVED.execute(self.resolved_to_root, self.authenticator)


def refused(reason: str) -> ApiError:
    """A failed login: always the same answer; the reason is for the log."""
    return ApiError("INVALID_AUTH", log=reason)


def is_disabled(identity: Identity) -> bool:
    """Whether the identity is disabled right now (a temporary disablement ends by itself)."""
    until = identity.disabled_until
    return identity.disabled_at is not None and (until is None or until > now_ms())


def why_disabled(identity: Identity) -> str:
    """The words for an identity that is disabled, and until when."""
    until = identity.disabled_until
    end = f"until {time_text(until)}" if until else "until somebody enables it"
    return f"'{identity.name}' is disabled or locked out {end}"


# --- passwords


def hash_password(ctx: Context, password: str) -> str:
    """A salted scrypt hash. Raises RATE_LIMITED when too many are being computed."""
    return str(ctx.ctrl.hashing.run(generate_password_hash, password, method=HASH_METHOD))


def password_matches(ctx: Context, hashed: str | None, password: str) -> bool:
    """Compare in constant time; None stands for an unknown user and takes as long."""
    matches = ctx.ctrl.hashing.run(check_password_hash, hashed or _NOBODY, password)
    return bool(matches) and hashed is not None


def by_password(ctx: Context, username: str | None, password: str | None) -> Login:
    """Check user name and password. Raises INVALID_AUTH, RATE_LIMITED; counts failures where the policy says so."""
    if not username or not password:
        raise ApiError("COULD_NOT_VALIDATE", "username and password fields are required")
    ctx.ctrl.doors.before_guess(ctx.attempt, username)
    a = _complete(_BY_USER_NAME.first(username))
    matches = password_matches(ctx, a.updb_password if a else None, password)
    if a is None:
        # Not which: people type their password there by mistake.
        raise refused("no identity has this user name: it is mistyped, or its password was deleted")
    identity: Identity = a.identity
    ctx.attempt.of_identity(identity)
    rules = identity.auth_policy.primary["updb"]
    if not rules["allowed"]:
        raise refused(f"the auth policy '{identity.auth_policy.name}' of '{identity.name}' does not allow passwords")
    if is_disabled(identity):
        raise refused(why_disabled(identity))
    if not matches:
        _count_failure(identity, rules)
        raise refused(f"wrong password for '{identity.name}'")
    ctx.ctrl.doors.after_success(ctx.attempt, username)
    return Login(identity, "password", a.id)


_BY_USER_NAME = Prepared(lambda name: Authenticator.select().where(Authenticator.updb_username == name), Authenticator)
_RESOLVED = Prepared(
    lambda resolved, key: Authenticator.update({Authenticator.last_auth_resolved_to_root: resolved}).where(
        Authenticator.id == key
    )
)
_BY_FINGERPRINT = Prepared(
    lambda print_: Authenticator.select().where(Authenticator.cert_fingerprint == print_), Authenticator
)


def _complete(a: Authenticator | None) -> Authenticator | None:
    """The authenticator with its identity, and that with its policy; None when one was deleted meanwhile."""
    identity = by_id(Identity).first(a.identity_id) if a else None
    policy = by_id(AuthPolicy).first(identity.auth_policy_id) if identity else None
    if a is None or identity is None or policy is None:
        return None
    identity.auth_policy, a.identity = policy, identity
    return a


def _count_failure(identity: Identity, rules: dict[str, Any]) -> None:
    """Lock the identity when its failures reach the policy's `maxAttempts` (0 = never)."""
    limit = rules.get("maxAttempts", 0)
    if not limit:
        return
    with store.write():
        Identity.update(failed_logins=Identity.failed_logins + 1).where(Identity.id == identity.id).execute()
        failures = Identity.get_by_id(identity.id).failed_logins
        if failures < limit:
            return
        minutes = rules.get("lockoutDurationMinutes", 0)
        until = now_ms() + minutes * 60_000 if minutes else None
        Identity.update(disabled_at=now_ms(), disabled_until=until, failed_logins=0).where(
            Identity.id == identity.id
        ).execute()
        ApiSession.delete().where(ApiSession.identity == identity.id).execute()
    log.warning("'%s' is locked out after %d failed logins", identity.name, failures)


# --- certificates


def by_certificate(ctx: Context) -> Login:
    """Find the identity of the TLS client certificate. The leaf alone identifies."""
    if not ctx.peer:
        raise refused("no client certificate was presented in the TLS handshake")
    if why := blocked.problem(ctx.peer):
        raise refused(why)
    leaf, chain = ctx.peer[0], ctx.peer[1:]
    a = _complete(_BY_FINGERPRINT.first(leaf.fingerprint))
    if a is None:
        return _by_claim(ctx, leaf, chain)
    ctx.attempt.of_identity(a.identity)
    ca_id = check_certificate(ctx, a, leaf, chain)
    resolved = bool(chain)
    ours = bool(a.is_issued_by_network)
    return Login(
        a.identity,
        "cert",
        a.id,
        ca=ca_id,
        certificate=leaf,
        is_cert_extendable=ours,
        improper_chain=ours and not resolved,
        resolved_to_root=resolved if ours and a.last_auth_resolved_to_root != resolved else None,
    )


def check_certificate(ctx: Context, a: Authenticator, leaf: pki.Cert, chain: tuple[pki.Cert, ...]) -> str | None:
    """The id of the third-party CA that validates the certificate, None for one of ours."""
    expired_ok = _certificate_allowed(a.identity)
    if a.is_issued_by_network:
        if not ctx.ctrl.authority.issued(leaf, is_known=(a.cert_pem or "").startswith(leaf.pem)):
            raise refused(f"certificate {leaf.subject} is not signed by this controller's CA: re-enroll the identity")
        if not expired_ok and not leaf.not_before <= datetime.now(UTC) <= leaf.not_after:
            raise refused(_out_of_time(leaf))
        return None
    ca = cas.validating(leaf, chain, cas.verified(auth=True), check_expiry=not expired_ok)
    if ca is None:
        raise refused(_why_not_validated(leaf, chain, a.ca, check_expiry=not expired_ok))
    ctx.attempt.of_ca(ca)
    return str(ca.id)


def _out_of_time(leaf: pki.Cert) -> str:
    if leaf.not_before > datetime.now(UTC):
        return f"certificate {leaf.subject} is valid from {leaf.not_before} on: check the clocks of both sides"
    return f"certificate {leaf.subject} expired on {leaf.not_after}: re-enroll the identity"


def _why_not_validated(leaf: pki.Cert, chain: Sequence[pki.Cert], ca: Ca | None, *, check_expiry: bool) -> str:
    """Why a certificate that an identity enrolled with does not open a session (any more)."""
    shown = f"certificate {leaf.subject}"
    if ca is None:
        return f"{shown} was enrolled through a CA that was deleted since"
    if not ca.is_verified:
        return f"{shown} chains to CA '{ca.name}', but that is not verified"
    why = cas.problem(leaf, chain, ca, check_expiry=check_expiry)
    if why is not None:
        return f"CA '{ca.name}' does not validate {shown}: {why}"
    return f"{shown} chains to CA '{ca.name}', but that has connections (isAuthEnabled) switched off"


def _certificate_allowed(identity: Identity) -> bool:
    """Whether expired certificates pass. Raises INVALID_AUTH when certificates do not at all."""
    if is_disabled(identity):
        raise refused(why_disabled(identity))
    rules = identity.auth_policy.primary["cert"]
    if not rules["allowed"]:
        raise refused(f"the auth policy '{identity.auth_policy.name}' of '{identity.name}' does not allow certificates")
    return bool(rules["allowExpiredCerts"])


def _by_claim(ctx: Context, leaf: pki.Cert, chain: tuple[pki.Cert, ...]) -> Login:
    """An identity known by its external id, taken from the certificate as its CA says."""
    closest = ""
    for ca in cas.verified(auth=True):
        claim = cas.external_id(ca, leaf) if ca.external_id_claim else None
        identity = _with_policy(Identity.external_id == claim) if claim else None
        if identity is None:
            continue
        ctx.attempt.of_identity(identity)
        ctx.attempt.of_ca(ca)
        expired_ok = _certificate_allowed(identity)
        why = cas.problem(leaf, chain, ca, check_expiry=not expired_ok)
        if why is None:
            return Login(identity, "cert", "internal", ca=ca.id, certificate=leaf)
        closest = f"CA '{ca.name}' does not validate certificate {leaf.subject} of '{identity.name}': {why}"
    raise refused(closest or _why_nobody(ctx, leaf, chain))


def _why_nobody(ctx: Context, leaf: pki.Cert, chain: tuple[pki.Cert, ...]) -> str:
    """Why a certificate that no identity has does not open a session, said for the CA that it chains to."""
    shown = f"certificate {leaf.subject} ({leaf.fingerprint})"
    if ctx.ctrl.authority.issued(leaf):
        return f"{shown} is this controller's own, but no identity has it now: it was renewed, re-enrolled or deleted"
    ca = cas.validating(leaf, chain, Ca.select(), check_expiry=False)
    if ca is None:
        return f"{shown} is issued by {leaf.issuer}, which no CA here stands for"
    ctx.attempt.of_ca(ca)
    if not ca.is_verified:
        return f"{shown} chains to CA '{ca.name}', but that is not verified, and nobody has enrolled with it"
    return f"{shown} chains to CA '{ca.name}', but nobody has enrolled with it: enroll first"


def _with_policy(condition: Any) -> Identity | None:
    found: Identity | None = Identity.select(Identity, AuthPolicy).join(AuthPolicy).where(condition).first()
    return found


# --- external tokens


def by_external_token(ctx: Context) -> Login:
    """Find the identity of the external JWT in the Authorization header.

    Raises UNAUTHORIZED with the signers that would do in `WWW-Authenticate`, as recorded.
    """
    token = signers.bearer(ctx)
    if not token:
        raise signers.challenge("missing", "no external token was presented")
    verified = signers.verify(ctx, token)
    identity = _with_policy(signers.owner(verified))
    if identity is not None:
        ctx.attempt.of_identity(identity)
    if identity is None:
        raise signers.challenge("missing", f"'{verified.subject}' of signer '{verified.signer.name}' belongs to nobody")
    if is_disabled(identity):
        raise signers.challenge("invalid", why_disabled(identity))
    rules = identity.auth_policy.primary["extJwt"]
    allowed = rules["allowedSigners"]
    if not rules["allowed"] or (allowed and verified.signer.id not in allowed):
        raise signers.challenge(
            "invalid", f"the auth policy of '{identity.name}' does not allow signer '{verified.signer.name}'"
        )
    return Login(identity, "ext-jwt", f"extJwtId:{verified.signer.id}")
