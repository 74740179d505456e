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
from domain.care import addresses, certificates
from domain.context import Context, Controller
from wire.errors import ApiError
from wire.resource import OWN, Action, Body, Field, Result, enum, time_text

log = logging.getLogger("zitilite.pki")


def roll(ctrl: Controller, what: Any) -> None:
    """Replace the intermediate, or the root and the intermediate; served at once. Raises pki.PkiError."""
    with store.write():
        ctrl.authority.rollover(what, addresses.hosts(), now=datetime.now(UTC))
        ctrl.swap_certificate(ctrl.authority.tls_material())
        certificates.note_own(ctrl.authority)
    log.warning("the %s certificate is a new one; what the old one issued stays good until it ends", what)


def roll_if_due(ctrl: Controller) -> None:
    """Replace what has less than a third of its life left: years before it ends, so that all clients hear of it."""
    what = ctrl.authority.rollover_due(datetime.now(UTC))
    if what is not None:
        roll(ctrl, what)


def rollover(ctx: Context) -> Result:
    """POST /certificates/rollover {what: root | intermediate}: answers with the CAs that are trusted now."""
    try:
        roll(ctx.ctrl, ctx.body["what"])
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


BODY = Body("rollover", "CertificateRollover", (Field("what", enum("root", "intermediate"), required="c"),))
ACTIONS = (
    Action("POST", "/certificates/rollover", rollover, bases=(OWN,), body=BODY, summary="Replace root or intermediate"),
)
