"""API tokens: named, scoped, expiring keys for scripts, sent as `Authorization: Bearer zl_…`.

The text is shown once, by the create; only its SHA-256 is kept (it has 256 random bits, so a plain hash is
enough). Whoever owns the token is the one who acts; scopes are in domain/logins/scopes.py. A token ends when it
expires, is deleted, or its owner is disabled or deleted: there is no copy of it anywhere that would have to hear
of that. Source: our own, /zitilite/v1/api-tokens.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import store
from domain import ids
from domain.context import Context
from domain.logins import scopes, signers
from domain.logins.credentials import is_disabled
from models import ApiSession, ApiToken, Identity
from prepared import Prepared, by_id, insert
from wire.errors import ApiError, field_error, not_found
from wire.resource import OWN, TAGS, TIME, Action, Body, Field, Result, enum, links, now_ms, parse_time, text, time_text

START = "zl_"
DEFAULT_DAYS = 90
# How stale `lastUsedAt` may be; each note of it is a durable commit.
NOTE_SECONDS = 60
INVALID = 'Bearer realm="zitilite-api-token" error="invalid_token" error_description="{}"'

_BY_HASH = Prepared(lambda digest: ApiToken.select().where(ApiToken.hash == digest), ApiToken)


# --- the caller


def presented(ctx: Context) -> bool:
    """Whether the caller came with an API token, good or not."""
    return signers.bearer(ctx).startswith(START)


def resolve(ctx: Context) -> None:
    """Find the token and its owner. Raises UNAUTHORIZED; the reason is in `WWW-Authenticate`."""
    given = signers.bearer(ctx)
    found = _find(given)
    if found is None:
        raise _refused("the token is unknown or was revoked")
    if found.expires_at <= now_ms():
        raise _refused(f"the token expired at {time_text(found.expires_at)}")
    owner = by_id(Identity).first(found.identity_id)
    if owner is None or is_disabled(owner):
        raise _refused("the owner of the token is disabled")
    found.identity = owner
    ctx.api_token, ctx.identity = found, owner
    _note_use(ctx, found)


def _find(given: str) -> ApiToken | None:
    if not _well_formed(given):
        return None
    digest = _hash(given)
    found: ApiToken | None = _BY_HASH.first(digest)
    return found if found is not None and hmac.compare_digest(found.hash, digest) else None


def _well_formed(given: str) -> bool:
    return len(given) == len(START) + 49 and given.isascii() and ids.checksum(given[:-6]) == given[-6:]


def _hash(given: str) -> str:
    return hashlib.sha256(given.encode()).hexdigest()


def _refused(reason: str) -> ApiError:
    return ApiError("UNAUTHORIZED", headers={"WWW-Authenticate": INVALID.format(reason)}, log=f"API token: {reason}")


def _note_use(ctx: Context, found: ApiToken) -> None:
    now = now_ms()
    if found.last_used_at is not None and now - found.last_used_at < NOTE_SECONDS * 1000:
        return
    with store.write():
        ApiToken.update(last_used_at=now, last_used_from=ctx.remote).where(ApiToken.id == found.id).execute()


def as_session(ctx: Context, found: ApiToken) -> ApiSession:
    """What stands in for a session where a caller asks about its own: its life, and no secret. Not stored."""
    return ApiSession(
        id=found.id,
        created_at=found.created_at,
        updated_at=found.updated_at,
        token="",
        authenticator=f"apiTokenId:{found.id}",
        ip_address=ctx.remote,
        last_activity_at=found.last_used_at or found.created_at,
        expires_at=found.expires_at,
    )


# --- the row


def mine(ctx: Context) -> Any:
    """Administrators see all tokens, everybody else their own."""
    return None if ctx.is_admin else ApiToken.identity == ctx.me.id


def create(ctx: Context) -> Result:
    """POST /api-tokens: a new token; its text is in this answer and nowhere else, ever."""
    body = ctx.body
    owner = _owner(ctx, body.get("identityId"))
    scope = body["scope"]
    now = now_ms()
    expires = parse_time(body["expiresAt"]) if body.get("expiresAt") else _default_expiry(ctx, now)
    _check_reach(ctx, scope)
    _check_expiry(ctx, expires)
    _check_name(body["name"])
    shown = START + ids.key_text()
    shown += ids.checksum(shown)
    row = ApiToken(
        id=ids.long_id(),
        created_at=now,
        updated_at=now,
        tags=body.get("tags", {}),
        name=body["name"],
        scope=scope,
        identity=owner.id,
        hash=_hash(shown),
        prefix=shown[:9],
        expires_at=expires,
        created_by=ctx.me.id,
    )
    insert(row)
    found = {"_links": links("api-tokens", row.id), "expiresAt": time_text(expires), "id": row.id, "token": shown}
    return Result(found, status=201)


def _owner(ctx: Context, wanted: str | None) -> Identity:
    """Who will act through the token: the caller, or for administrators anybody, such as an identity for CI."""
    if not (ctx.owner_is_admin or ctx.me.permissions):
        raise ApiError("UNAUTHORIZED", "API tokens are for administrators and for identities with permissions")
    if not wanted or wanted == ctx.me.id:
        return ctx.me
    if not ctx.is_admin or ctx.api_token is not None:
        raise ApiError("UNAUTHORIZED", "only an administrator's session makes tokens for another identity")
    owner: Identity | None = Identity.get_or_none(Identity.id == wanted)
    if owner is None:
        raise not_found("identity", wanted)
    return owner


def _default_expiry(ctx: Context, now: int) -> int:
    wanted = now + DEFAULT_DAYS * 86_400_000
    return min(wanted, ctx.api_token.expires_at) if ctx.api_token is not None else wanted


def _check_reach(ctx: Context, scope: str) -> None:
    """A token makes no token that reaches further than itself; today only scope `admin` gets here."""
    if ctx.api_token is not None and ctx.scope not in (scopes.ADMIN, scope):
        raise ApiError("UNAUTHORIZED", f"a token of scope {ctx.scope} cannot make one of scope {scope}")


def _check_expiry(ctx: Context, expires: int) -> None:
    if expires <= now_ms():
        raise field_error("expiresAt", "expiresAt must be in the future", time_text(expires))
    if ctx.api_token is not None and expires > ctx.api_token.expires_at:
        reason = (
            f"a token cannot make or keep one that lives longer than itself ({time_text(ctx.api_token.expires_at)})"
        )
        raise field_error("expiresAt", reason, time_text(expires))


def _check_name(name: str, *, but: str = "") -> None:
    taken = ApiToken.get_or_none(ApiToken.name == name)
    if taken is not None and taken.id != but:
        raise field_error("name", "name must be unique", name)


def before_save(ctx: Context, row: ApiToken | None, values: dict[str, Any]) -> None:
    """A new name or expiry; through a token, its own end is the limit."""
    if row is None:
        return
    if values.get("expires_at") is not None:
        _check_expiry(ctx, values["expires_at"])
    elif "expires_at" in values:
        raise field_error("expiresAt", "expiresAt is required", None)
    if "name" in values:
        _check_name(values["name"], but=row.id)


def extend(ctx: Context, rows: list[ApiToken], docs: list[dict[str, Any]]) -> None:
    """Add the owner, and whether the token works right now."""
    now = now_ms()
    people = {i.id: i for i in Identity.select().where(Identity.id.in_({r.identity_id for r in rows}))}
    for row, doc in zip(rows, docs, strict=True):
        owner = people[row.identity_id]
        doc["identity"] = {"entity": "identities", "id": owner.id, "name": owner.name}
        doc["state"] = "disabled" if is_disabled(owner) else "expired" if row.expires_at <= now else "active"


NAME = text(1, 200)
SCOPE = enum(*scopes.SCOPES)
CREATE = Body(
    "apiToken",
    "ApiTokenCreate",
    (
        Field("name", NAME, required="c"),
        Field("scope", SCOPE, required="c"),
        Field("expiresAt", TIME),
        Field("identityId"),
        Field("tags", TAGS),
    ),
)
ACTIONS = (Action("POST", "/api-tokens", create, "session", (OWN,), CREATE, write=True, summary="Make an API token"),)
