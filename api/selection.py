"""Which rows a request about many means: by ids, by names, or all that a filter finds.

Shared by bulk changes and by the export of tokens. At most `MOST` rows, so that one transaction, and with it the
wait of everybody else who writes, stays a matter of seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from api import rows
from api.entities import TABLE
from domain.context import Context
from wire.errors import ApiError, field_error, not_found
from wire.resource import Entity, enum

MOST = 10_000
KINDS = ("identities", "edge-routers", "transit-routers")
KIND = enum(*KINDS)
IDS = {"type": "array", "items": {"type": "string"}, "maxItems": MOST}


@dataclass(frozen=True, slots=True)
class Chosen:
    """One row that was asked for: its id, or the error that says why there is none."""

    id: str
    name: str = ""
    error: ApiError | None = None


def entity_of(kind: str) -> Entity:
    """The upstream row that a request means by `entity`."""
    return TABLE[kind or KINDS[0]]


def chosen(ctx: Context, entity: Entity, body: Mapping[str, Any]) -> list[Chosen]:
    """The rows that `ids`, `names` or `filter` stand for; one of them must be given."""
    given = [name for name in ("ids", "names", "filter") if body.get(name) is not None]
    if len(given) != 1:
        raise field_error("ids", "one of ids, names and filter must be given", given)
    if given == ["filter"]:
        return _found(ctx, entity, body["filter"])
    wanted = list(dict.fromkeys(body[given[0]]))
    check_count(len(wanted))
    return _by(ctx, entity, wanted, "id" if given == ["ids"] else "name")


def check_count(count: int) -> None:
    """Refuse more rows than one transaction should hold."""
    if count > MOST:
        raise field_error("rows", f"{count} rows are more than the {MOST} that one request may hold", count)


def _found(ctx: Context, entity: Entity, text: str) -> list[Chosen]:
    page = rows.page_of(replace(ctx, query=MultiDict({"filter": text, "limit": "-1"})), entity)
    scope = entity.scope(ctx) if entity.scope else None
    conditions = [*page.where, *([scope] if scope is not None else [])]
    m = entity.model
    query = m.select(m.id, m.name).order_by(*page.order, m.id).limit(min(page.limit, MOST + 1)).offset(page.offset)
    found = [Chosen(key, name) for key, name in (query.where(*conditions) if conditions else query).tuples()]
    check_count(len(found))
    return found


def _by(ctx: Context, entity: Entity, wanted: list[str], column: str) -> list[Chosen]:
    m = entity.model
    scope = entity.scope(ctx) if entity.scope else None
    found: dict[str, Chosen] = {}
    for start in range(0, len(wanted), 500):
        part = getattr(m, column).in_(wanted[start : start + 500])
        query = m.select(m.id, m.name).where(part, *([scope] if scope is not None else []))
        found |= {(key if column == "id" else name): Chosen(key, name) for key, name in query.tuples()}
    return [found.get(w) or _missing(entity, w, column) for w in wanted]


def _missing(entity: Entity, wanted: str, column: str) -> Chosen:
    error = not_found(entity.singular, wanted, by=column)
    return Chosen(wanted, error=error) if column == "id" else Chosen("", wanted, error)
