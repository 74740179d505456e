"""Identities and routers as our own API shows them: as upstream does, with their state and what it rests on.

Source: our own, /zitilite/v1/identities and /zitilite/v1/routers.
"""

from __future__ import annotations

import json
from typing import Any

from domain import identities
from domain.care import states
from domain.context import Context
from domain.network import routers
from models import Authenticator, Enrollment, Identity, Router
from prepared import Prepared, members

_PENDING = Prepared(
    lambda keys: (
        Enrollment.select(Enrollment.identity, Enrollment.id, Enrollment.method, Enrollment.expires_at)
        .where(Enrollment.identity.in_(members(keys)))
        .order_by(Enrollment.method)
    )
)
_PENDING_ROUTERS = Prepared(
    lambda keys: Enrollment.select(Enrollment.router, Enrollment.id, Enrollment.method, Enrollment.expires_at).where(
        Enrollment.router.in_(members(keys))
    )
)
_KEYS = Prepared(
    lambda keys: (
        Authenticator.select(Authenticator.identity, Authenticator.method, Authenticator.cert_fingerprint)
        .where(Authenticator.identity.in_(members(keys)))
        .order_by(Authenticator.method)
    )
)


def extend_identities(ctx: Context, rows: list[Identity], docs: list[dict[str, Any]]) -> None:
    """Add state and times, the methods and ids of pending tokens, the kinds of authenticators, the fingerprint."""
    identities.extend(ctx, rows, docs)
    keys = json.dumps([row.id for row in rows])
    waiting = _grouped(_PENDING.all(keys))
    held: dict[str, list[tuple[str, str | None]]] = {}
    for identity, method, fingerprint in _KEYS.all(keys):
        held.setdefault(identity, []).append((method, fingerprint))
    for row, doc in zip(rows, docs, strict=True):
        mine = held.get(row.id, [])
        doc.update(states.derived(ctx, row) | _waiting(waiting.get(row.id, [])))
        doc["authenticatorMethods"] = [method for method, _ in mine]
        doc["certificateFingerprint"] = next((print_ for _, print_ in mine if print_), None)


def extend_routers(ctx: Context, rows: list[Router], docs: list[dict[str, Any]]) -> None:
    """Add kind, state and times, the pending token and the fingerprint; routers of all kinds show their token."""
    routers.extend_any(ctx, rows, docs)
    waiting = _grouped(_PENDING_ROUTERS.all(json.dumps([row.id for row in rows])))
    for row, doc in zip(rows, docs, strict=True):
        doc.update(states.derived(ctx, row) | _waiting(waiting.get(row.id, [])))
        doc["certificateFingerprint"] = row.fingerprint


def _grouped(found: list[tuple[str, str, str, int]]) -> dict[str, list[tuple[str, str]]]:
    grouped: dict[str, list[tuple[str, str]]] = {}
    for owner, key, method, _ in found:
        grouped.setdefault(owner, []).append((key, method))
    return grouped


def _waiting(pending: list[tuple[str, str]]) -> dict[str, Any]:
    return {"enrollmentIds": [key for key, _ in pending], "enrollmentMethods": [method for _, method in pending]}
