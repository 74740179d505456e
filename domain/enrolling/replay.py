"""The same request again: a device that lost the answer gets it once more, and nobody else does.

The token is spent, so it proves little; the key does. Who shows the token together with the public key (in
the CSR) or the client certificate that it was spent with gets the very answer again, for a few minutes, and
only while that answer is still true. Not for passwords: with a spent token one could guess them here, beside
the lockout of the login, and the right one logs in anyway.
"""

from __future__ import annotations

import hmac
from typing import Any

import store
from domain.context import Context
from domain.enrolling.spending import Gone
from domain.logins import credentials
from models import Authenticator, Identity, Router, SpentToken
from prepared import by_id
from wire.errors import ApiError
from wire.resource import now_ms


def answer(ctx: Context, gone: Gone, shown: str) -> dict[str, Any]:
    """What the token bought, for the second time. Raises INVALID_ENROLLMENT_TOKEN with the reason.

    shown: the print of the key that the request comes with, "" when it has none.
    """
    spent = gone.spent
    if spent is None or not spent.key_print or spent.replay_until <= now_ms():
        raise gone
    if not hmac.compare_digest(shown.encode(), spent.key_print.encode()):
        raise ApiError(gone.code, log=f"{gone.log}; this request comes with another key")
    pem, why = _certificate(spent)
    if why:
        raise ApiError(gone.code, log=f"{gone.log}; it is not answered again, since {why}")
    ctx.attempt.note = f"'{spent.owner_name}' repeated its enrollment with the same key and got the same answer again"
    return {**(spent.answer or {}), "cert": pem}


def prune(days: int) -> None:
    """Forget answers whose time is over, and after so many days that there were tokens at all."""
    now = now_ms()
    with store.write():
        SpentToken.delete().where(SpentToken.spent_at < now - days * 86_400_000).execute()
        SpentToken.update(answer=None, key_print=None).where(
            SpentToken.key_print.is_null(is_null=False), SpentToken.replay_until < now
        ).execute()


def _certificate(spent: SpentToken) -> tuple[str, str]:
    """The certificate that the token bought, with its chain; or why that would mislead its client."""
    if spent.router:
        router = by_id(Router).first(spent.router)
        if router is None:
            return "", "the router was deleted"
        if router.fingerprint != spent.fingerprint:
            return "", "the router has another certificate by now"
        return str(router.cert_pem), ""
    identity = by_id(Identity).first(spent.identity)
    if identity is None:
        return "", "the identity was deleted"
    if credentials.is_disabled(identity):
        return "", "the identity is disabled"
    held = Authenticator.get_or_none(
        Authenticator.identity == identity.id, Authenticator.cert_fingerprint == spent.fingerprint
    )
    return (str(held.cert_pem), "") if held else ("", "the identity has another certificate by now")
