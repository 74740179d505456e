"""Share links: one page with one token, for the person who holds the device and has no account here.

The secret stands in the fragment of the link, so that it reaches no log, and only its SHA-256 is kept. A link ends
with its time, with its token (used, renewed, revoked, expired), or when it is deleted. Every secret that opens
nothing gets the same answer. Source: our own, /zitilite/v1/shares.
"""

from __future__ import annotations

import hashlib
from typing import Any

import store
from domain import enrollment, ids
from domain.care import qr
from domain.care.attempts import token_hash
from domain.care.token_files import safe
from domain.context import Context
from models import Enrollment, Share
from prepared import Prepared, insert
from wire.errors import ApiError, field_error
from wire.resource import INT, OWN, Action, Body, Field, Result, links, now_ms, time_text

PAGE = "/console/share"
DEFAULT_MINUTES = 60

_BY_HASH = Prepared(lambda digest: Share.select().where(Share.hash == digest), Share)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


# --- by an administrator


def create(ctx: Context) -> Result:
    """POST /shares: a link to a pending enrollment; the secret is in this answer and nowhere else, ever."""
    body, now = ctx.body, now_ms()
    key = body["enrollmentId"]
    e = Enrollment.get_or_none(Enrollment.id == key)
    if e is None:
        raise field_error("enrollmentId", "there is no such pending enrollment", key, status=404)
    if e.identity_id:
        enrollment.guard_admin(ctx, e.identity)
    if e.expires_at <= now:
        raise field_error("enrollmentId", f"its token expired at {time_text(e.expires_at)}: renew it first", key)
    enrollment.require_own_key(ctx)
    ends = _ends(body.get("minutes", DEFAULT_MINUTES), e, now, is_default="minutes" not in body)
    secret = ids.key_text()
    Share.delete().where(Share.expires_at <= now).execute()
    row = insert(
        Share(
            id=ids.short_id(),
            created_at=now,
            updated_at=now,
            hash=_hash(secret),
            enrollment=e.id,
            token_hash=token_hash(e.token),
            expires_at=ends,
            created_by=ctx.me.name,
        )
    )
    found = {"_links": links("shares", row.id), "expiresAt": time_text(ends), "id": row.id}
    return Result({**found, "url": f"{ctx.ctrl.url}{PAGE}#{secret}"}, status=201)


def _ends(minutes: int, e: Enrollment, now: int, *, is_default: bool) -> int:
    """When the link ends, in ms since the epoch: at the latest with its token."""
    if minutes < 1:
        raise field_error("minutes", "minutes must be 1 or more", minutes)
    ends = min(now + minutes * 60_000, 2**53)
    # Who asks for all of the token's life has counted in whole minutes.
    if ends > e.expires_at + 60_000 and not is_default:
        reason = f"the link cannot outlive its token, which ends at {time_text(e.expires_at)}"
        raise field_error("minutes", reason, minutes)
    return min(ends, int(e.expires_at))


def visible(ctx: Context) -> Any:
    """Links that still open something, of enrollments that the caller may see."""
    seen = enrollment.scope(ctx)
    shown = Enrollment.select(Enrollment.id).where(Enrollment.expires_at > now_ms())
    return (Share.expires_at > now_ms()) & Share.enrollment.in_(shown if seen is None else shown.where(seen))


def extend(ctx: Context, rows: list[Share], docs: list[dict[str, Any]]) -> None:
    """Add what the link is for, and whether its token is still the one it was made for."""
    found = {e.id: e for e in Enrollment.select().where(Enrollment.id.in_([r.enrollment_id for r in rows]))}
    for row, doc in zip(rows, docs, strict=True):
        e = found[row.enrollment_id]
        doc["name"] = _owner(e)
        doc["isUsable"] = row.token_hash == token_hash(e.token)


def _owner(e: Enrollment) -> str:
    return str(e.identity.name if e.identity_id else e.router.name)


# --- by whoever has the link


def open_it(ctx: Context) -> Result:
    """POST /shares/open: what the page of the link shows. NOT_FOUND for everything that opens nothing."""
    now = now_ms()
    with store.write():
        share = _BY_HASH.first(_hash(ctx.body["secret"]))
        e = Enrollment.get_or_none(Enrollment.id == share.enrollment_id) if share is not None else None
        if share is None or e is None or not _works(share, e, now) or ctx.ctrl.key_problem:
            raise ApiError("NOT_FOUND", "this link does not work (any more): ask whoever sent it for a new one")
        Share.update(opened_count=Share.opened_count + 1, opened_at=now, opened_from=ctx.remote).where(
            Share.id == share.id
        ).execute()
    token = enrollment.jwt_of(ctx, e)
    name = _owner(e)
    found = {
        "controller": ctx.ctrl.url,
        "expiresAt": time_text(min(share.expires_at, e.expires_at)),
        "file": f"{safe(name, e.id)}.jwt",
        "jwt": token,
        "method": e.method,
        "name": name,
        "svg": qr.image(token, "svg", 6).decode(),
        "tokenExpiresAt": time_text(e.expires_at),
        "username": e.username,
    }
    return Result(found, headers={"Cache-Control": "no-store"})


def _works(share: Share, e: Enrollment, now: int) -> bool:
    return bool(min(share.expires_at, e.expires_at) > now and share.token_hash == token_hash(e.token))


CREATE = Body("share", "ShareCreate", (Field("enrollmentId", required="c"), Field("minutes", INT)))
OPEN = Body("open", "ShareOpen", (Field("secret", required="c"),))
ACTIONS = (
    Action("POST", "/shares", create, "enrollment.create", (OWN,), CREATE, write=True, summary="Make a share link"),
    Action("POST", "/shares/open", open_it, "public", (OWN,), OPEN, summary="What a share link shows"),
)
