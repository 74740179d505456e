"""Replacing our own CAs while everybody goes on working: on request, and by itself in time.

Old and new are trusted side by side: certificates of the old issuer stay good until they end, the trust bundle
that clients get holds both roots, and the server sends a certificate of the new root that the old one signed.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pki
import store
from config import KEYS
from domain import chosen
from domain.care import addresses, certificates
from domain.context import Context, Controller
from models import Authenticator, Identity, OwnCertificate, Router
from wire.errors import ApiError, field_error
from wire.resource import BOOL, OWN, Action, Body, Field, Result, enum, time_text

log = logging.getLogger("zitilite.pki")


def roll(ctrl: Controller, what: Any, *, kind: Any = None, forget: bool = False) -> None:
    """Replace the intermediate, or the root and the intermediate; served at once.

    kind: of the new keys; None takes the setting ca_key. forget: the old ones are trusted no longer, which only goes
    while nobody has a certificate of theirs. Raises pki.PkiError, and ApiError when somebody has.
    """
    with store.write():
        if forget and (holder := _holder()):
            raise field_error("startOver", f"cannot be: {holder} has a certificate of the present CA", "true")
        kind = kind or chosen.value(ctrl.settings, "ca_key")
        ctrl.authority.rollover(what, addresses.hosts(), now=datetime.now(UTC), kind=kind, forget=forget)
        ctrl.swap_certificate(ctrl.authority.tls_material())
        certificates.note_own(ctrl.authority)
        if forget:
            OwnCertificate.delete().where(~OwnCertificate.is_current).execute()
    log.warning("the %s certificate is a new one; what the old one issued stays good until it ends", what)


def _holder() -> str:
    """Somebody with a certificate that our CA issued; "" while there is nobody."""
    for query in (
        Authenticator.select(Identity.name)
        .join(Identity)
        .where(Authenticator.cert_fingerprint.is_null(is_null=False), Authenticator.is_issued_by_network),
        Router.select(Router.name).where(Router.fingerprint.is_null(is_null=False)),
    ):
        found = query.limit(1).tuples().first()
        if found is not None:
            return f"'{found[0]}'"
    return ""


def roll_if_due(ctrl: Controller) -> None:
    """Replace what has less than a third of its life left: years before it ends, so that all clients hear of it."""
    what = ctrl.authority.rollover_due(datetime.now(UTC))
    if what is not None:
        roll(ctrl, what)


def rollover(ctx: Context) -> Result:
    """POST /certificates/rollover {what: root | intermediate, key?, startOver?}: the CAs that are trusted now."""
    what, forget = ctx.body["what"], bool(ctx.body.get("startOver"))
    if forget and what != "root":
        raise field_error("startOver", "goes with what: root", what)
    try:
        roll(ctx.ctrl, what, kind=ctx.body.get("key") or None, forget=forget)
        ctx.concerns_all = True
    except pki.PkiError as e:
        raise ApiError("ROLLOVER_FAILED", str(e)) from None
    held = ctx.ctrl.authority.own_certificates()
    return Result(
        [
            {
                "kind": one.kind,
                "subject": one.cert.subject,
                "fingerprint": one.cert.fingerprint,
                "notAfter": time_text(int(one.cert.not_after.timestamp() * 1000)),
                "isCurrent": one.is_current,
            }
            for one in held
        ]
    )


BODY = Body(
    "rollover",
    "CertificateRollover",
    (
        Field("what", enum("root", "intermediate"), required="c"),
        Field("key", enum(*KEYS)),
        Field("startOver", BOOL),
    ),
)
ACTIONS = (
    Action("POST", "/certificates/rollover", rollover, bases=(OWN,), body=BODY, summary="Replace root or intermediate"),
)
