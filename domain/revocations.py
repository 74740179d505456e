"""Revocations: identities, API sessions and tokens that must no longer be accepted.

Source: /revocations, recorded answers of topic `misc`.
"""

from __future__ import annotations

import uuid
from typing import Any

from domain.context import Context
from domain.logins import auth
from models import ApiSession, Identity, Revocation
from wire.errors import ApiError, field_error
from wire.resource import now_ms

TYPES = ("JTI", "IDENTITY", "API_SESSION")
KEPT_MS = 24 * 3600_000  # as recorded: longer than any token lives


def before_save(ctx: Context, row: Revocation | None, values: dict[str, Any]) -> None:
    """Check what the id names. Revoking again begins anew; what is over is forgotten."""
    key, kind = values["id"], values["type"]
    # The recorded controller takes any id; one that no path can name could never be read or found again.
    if not key or "/" in key:
        raise field_error("id", "must not be empty or contain a slash", key)
    if kind == "JTI" and not _is_uuid(key):
        raise field_error("id", "must be a valid UUID v4", key)
    if kind == "IDENTITY" and not Identity.select().where(Identity.id == key).exists():
        raise ApiError("NOT_FOUND", log=f"no identity {key} to revoke")
    # The sessions end here and now; a revoked token is looked up when it is used.
    if kind != "JTI":
        auth.end_sessions((ApiSession.identity == key) if kind == "IDENTITY" else (ApiSession.id == key))
    now = now_ms()
    Revocation.delete().where((Revocation.id == key) | (Revocation.expires_at < now)).execute()
    values["expires_at"] = now + KEPT_MS


def _is_uuid(text: str) -> bool:
    try:
        return uuid.UUID(text).version == 4 and len(text) == 36
    except ValueError:
        return False
