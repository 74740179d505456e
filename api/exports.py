"""Tokens of many, to be handed out: as a zip with a manifest, as a table, or as a page of QR codes.

Source: our own, POST /zitilite/v1/tokens/export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from api import selection
from api.selection import IDS, KIND, Chosen
from domain import administrators, enrollment
from domain.care import sheet, token_files
from domain.care.token_files import Entry
from domain.context import Context
from models import Enrollment, Identity
from prepared import Prepared, by_id, members
from wire.errors import ApiError, field_error, reason_of
from wire.resource import JSON_TYPE, OWN, Action, Body, Entity, Field, Kind, Result, enum, now_ms, time_text

# A code takes some ten milliseconds to draw.
MOST_CODES = 1_000
METHODS = ("ott", "ottca", "updb", "erott", "trott")
ZIP, CSV, HTML = "application/zip", "text/csv", "text/html"

_OF_IDENTITIES = Prepared(
    lambda keys: Enrollment.select().where(Enrollment.identity.in_(members(keys))).order_by(Enrollment.method),
    Enrollment,
)
_OF_ROUTERS = Prepared(lambda keys: Enrollment.select().where(Enrollment.router.in_(members(keys))), Enrollment)


def export(ctx: Context) -> Result:
    """POST /tokens/export: the tokens of the chosen items that still work; the manifest says why others have none."""
    body = ctx.body
    entity = selection.entity_of(body.get("entity", ""))
    permission = f"{entity.permission}.read"
    if not ctx.allows(permission):
        raise ApiError("UNAUTHORIZED", f"the export needs the permission {permission}")
    enrollment.require_own_key(ctx)
    entries = list(_entries(ctx, entity, selection.chosen(ctx, entity, body), body.get("method", "")))
    ready = sum(entry.enrollment is not None for entry in entries)
    if not ready:
        why = entries[0].problem if entries else "there is nothing that matches"
        raise ApiError("NOT_FOUND", f"none of the {len(entries)} chosen has a token that works; the first: {why}")
    return _as(ctx, body.get("format") or "zip", entries, ready, body.get("columns", 3))


def _entries(ctx: Context, entity: Entity, chosen: list[Chosen], method: str) -> Iterator[Entry]:
    """One entry for each token, and one for each item without any."""
    keys = json.dumps([c.id for c in chosen if c.error is None])
    is_identity = entity.side == "identity"
    waiting: dict[str, list[Enrollment]] = {}
    for e in (_OF_IDENTITIES if is_identity else _OF_ROUTERS).all(keys):
        if method in ("", e.method):
            waiting.setdefault(e.identity_id or e.router_id, []).append(e)
    now = now_ms()
    for c in chosen:
        if c.error is not None:
            yield Entry(c.id, c.name, problem=reason_of(c.error))
        elif is_identity and not ctx.is_admin and administrators.is_protected(ctx, by_id(Identity).first(c.id)):
            yield Entry(c.id, c.name, problem="only an administrator gets the token of an administrator")
        elif c.id not in waiting:
            yield Entry(c.id, c.name, problem="no pending token")
        else:
            for e in waiting[c.id]:
                expired = f"the {e.method} token expired at {time_text(e.expires_at)}" if e.expires_at <= now else ""
                yield Entry(c.id, c.name, None if expired else e, expired)


def _as(ctx: Context, form: str, entries: list[Entry], ready: int, columns: int) -> Result:
    """The answer in the form that was asked for, made while it is sent."""
    token_files.name_files(entries)
    if form == "sheet":
        if ready > MOST_CODES:
            reason = f"{ready} codes are more than the {MOST_CODES} that one sheet may hold: choose fewer at a time"
            raise field_error("format", reason, form)
        stream, kind = sheet.page(ctx, entries, columns), f"{HTML}; charset=utf-8"
        return Result(stream=stream, content_type=kind, headers=sheet.HEADERS)
    if form == "csv":
        stream, kind = token_files.table(ctx, entries, with_tokens=True), f"{CSV}; charset=utf-8"
    else:
        stream, kind = token_files.archive(ctx, entries), ZIP
    name = f"tokens-{datetime.now(UTC):%Y%m%d-%H%M}.{form}"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return Result(stream=stream, content_type=kind, headers=headers)


BODY = Body(
    "export",
    "TokenExport",
    (
        Field("format", enum("zip", "csv", "sheet")),
        Field("entity", KIND),
        Field("ids", Kind("list", IDS, "[]string")),
        Field("names", Kind("list", IDS, "[]string")),
        Field("filter"),
        Field("method", enum(*METHODS)),
        Field("columns", Kind("int", {"type": "integer", "minimum": 1, "maximum": 6}, "int64")),
    ),
)
ACTIONS = (
    Action(
        "POST",
        "/tokens/export",
        export,
        "session",
        (OWN,),
        BODY,
        produces=(ZIP, CSV, HTML, JSON_TYPE),
        summary="Tokens of many: zip, CSV or a page of QR codes",
    ),
)
