"""Whole logs as files: CSV for spreadsheets, JSON lines for programs, in pieces as they are read.

Rows are read by their ids, a batch at a time: nothing is held in memory, and no transaction is open while a
client takes its time.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from api import rows
from domain.care.token_files import cell
from domain.context import Context
from wire.errors import ApiError
from wire.resource import Action, Entity, Param, Result

BATCH_ROWS = 500
TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def export(ctx: Context, entity: Entity) -> Result:
    """All rows that the filter lets through, oldest first."""
    page = rows.page_of(ctx, entity)
    if page.order or page.offset:
        raise ApiError("INVALID_FILTER", "an export has no sort and no skip: it is everything, oldest first")
    if entity.scope:
        entity.scope(ctx)
    kind = ctx.query["format"]
    write = _csv if kind == "csv" else _json_lines
    headers = {"Content-Disposition": f'attachment; filename="{entity.path}.{kind}"', "Cache-Control": "no-store"}
    return Result(stream=write(ctx, entity, page.where), content_type=TYPES[kind], headers=headers)


def _batches(ctx: Context, entity: Entity, where: Sequence[Any]) -> Iterator[list[dict[str, Any]]]:
    m = entity.model
    last = 0
    while found := list(m.select().where(m.id > last, *where).order_by(m.id).limit(BATCH_ROWS)):
        last = found[-1].id
        docs = rows.documents(ctx, entity, found)
        for doc in docs:
            del doc["_links"]
        yield docs


def _json_lines(ctx: Context, entity: Entity, where: Sequence[Any]) -> Iterator[bytes]:
    for docs in _batches(ctx, entity, where):
        lines = (json.dumps(doc, separators=(",", ":"), ensure_ascii=False) for doc in docs)
        yield ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _csv(ctx: Context, entity: Entity, where: Sequence[Any]) -> Iterator[bytes]:
    """RFC 4180: a line of names, then a line a row; documents as JSON in their cell."""
    names = ["id", "createdAt", *(f.name for f in entity.fields)]
    yield _lines([names])
    for docs in _batches(ctx, entity, where):
        yield _lines([_cell(doc.get(name)) for name in names] for doc in docs)


def _lines(values: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(values)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(cell(str(value)))


def shown(entity: Entity) -> Callable[[list[Any]], list[dict[str, Any]]]:
    """How rows of a log are shown to whoever gets them without asking."""
    return lambda found: [rows.document(entity, row) for row in found]


def actions(entities: Sequence[Entity]) -> Iterator[Action]:
    """GET /…/export for each row that is only ever added."""
    for entity in entities:
        if entity.is_log:
            yield Action(
                "GET",
                f"/{entity.path}/export",
                partial(export, entity=entity),
                f"{entity.permission}.read",
                entity.bases,
                query=(Param("format", required=True, choices=tuple(TYPES)), Param("filter")),
                produces=("text/csv", "application/x-ndjson", "application/json"),
                summary=f"The whole {entity.singular} log as CSV or JSON lines",
            )
