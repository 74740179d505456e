"""Who only a full administrator may touch: a token for such an identity is a way to become it.

Administrators always; for an API token of scope `enroll`, which is meant to lie around on build machines,
also those who hold permissions.
"""

from __future__ import annotations

from typing import Any

from domain.context import Context
from domain.logins import scopes
from models import Identity


def is_protected(ctx: Context, identity: Identity) -> bool:
    """Whether the caller must not enroll this identity or see its tokens."""
    if ctx.is_admin:
        return False
    if identity.is_admin or identity.is_default_admin:
        return True
    return ctx.scope == scopes.ENROLL_SCOPE and bool(identity.permissions)


def protected(ctx: Context) -> Any:
    """The same as a condition on rows of Identity. Not for full administrators, from whom nothing is hidden."""
    found = Identity.is_admin | Identity.is_default_admin
    if ctx.scope == scopes.ENROLL_SCOPE:
        found |= Identity.permissions.cast("TEXT") != "[]"
    return found


def visible(ctx: Context) -> Any:
    """Which identities the caller sees: all, but with scope `enroll` none that are protected."""
    return ~protected(ctx) if ctx.scope == scopes.ENROLL_SCOPE else None
