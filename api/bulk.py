"""Many at once: one request, one transaction, one result for each row.

Each row goes through the rules of the single operation that it stands for, with a context of its own that looks
like that operation's (`_one` is the place for whoever wants to see each of them). Rows that are refused are undone
by themselves; what then happens to the others is the caller's choice:

- `onError: abort` (the default): nothing is written, and the answer is 409 BULK_ABORTED with every refused row.
- `onError: skip`: the others are written; each refused row says why.

`dryRun` does all the same and then undoes it. Source: our own, POST /zitilite/v1/bulk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.datastructures import Headers, MultiDict

import store
from api import bulk_csv, bulk_rules, selection
from api.bulk_rules import OPERATIONS, Operation
from api.selection import IDS, KIND, MOST
from domain.context import Context
from models import Enrollment
from prepared import Prepared
from wire.errors import ApiError, field_error, reason_of
from wire.resource import (
    BOOL,
    INT,
    JSON_TYPE,
    MANAGEMENT,
    OWN,
    TIME,
    Action,
    Body,
    Entity,
    Field,
    Kind,
    Param,
    Result,
    enum,
    time_text,
)

log = logging.getLogger("zitilite.bulk")
CSV_TYPE = "text/csv"


@dataclass(slots=True)
class Row:
    """One row of a request, and what came of it."""

    number: int
    line: int | None = None
    id: str = ""
    name: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    error: ApiError | None = None


class _UndoneError(Exception):
    """Rolls the transaction back: a dry run, or a row was refused."""


def bulk(ctx: Context) -> Result:
    """POST /bulk: create, tag, renew, re-issue, disable, enable or delete many."""
    options = _options(ctx)
    kind, name = options.get("entity") or "identities", options["action"]
    operation = OPERATIONS[name]
    entity = selection.entity_of(kind)
    for permission in operation.permissions(entity):
        if not ctx.allows(permission):
            raise ApiError("UNAUTHORIZED", f"{name} of {kind} needs the permission {permission}")
    options = bulk_rules.checked(options)
    rows = list(_rows(ctx, entity, kind, name, options))
    if not rows:
        raise field_error("rows", "there are no rows", 0)
    selection.check_count(len(rows))
    dry, skips = bool(options.get("dryRun")), options.get("onError") == "skip"
    results, committed = _run(ctx, entity, operation, rows, options, keep=not dry, skips=skips)
    failed = sum(not r["ok"] for r in results)
    log.info("bulk %s of %d %s: %d refused%s", name, len(rows), kind, failed, "" if committed else ", nothing written")
    report = {
        "action": name,
        "committed": committed,
        "dryRun": dry,
        "entity": kind,
        "failed": failed,
        "ok": len(results) - failed,
        "results": results,
        "total": len(results),
    }
    if not committed and not dry:
        raise _aborted(report)
    return Result(report)


def _run(
    ctx: Context,
    entity: Entity,
    operation: Operation,
    rows: list[Row],
    options: Mapping[str, Any],
    *,
    keep: bool,
    skips: bool,
) -> tuple[list[dict[str, Any]], bool]:
    """Do all rows in one transaction; gives their results, and whether they stay."""
    results: list[dict[str, Any]] = []
    with suppress(_UndoneError), store.write_much():
        results += [_one(ctx, entity, operation, row, options) for row in rows]
        keep = keep and (skips or all(r["ok"] for r in results))
        if not keep:
            raise _UndoneError
    if not keep:
        gone = {"id", "enrollments"} if operation.makes_ids else {"enrollments"}
        results = [{k: v for k, v in r.items() if k not in gone} for r in results]
    return results, keep


def _aborted(report: dict[str, Any]) -> ApiError:
    refused = [r for r in report["results"] if not r["ok"]]
    first = refused[0]
    where = f"line {first['line']}" if first.get("line") else f"row {first['row']}"
    text = f"{len(refused)} of {report['total']} rows were refused and nothing was written; {where}: {first['reason']}"
    cause = {"code": first["code"], "message": text} | {k: v for k, v in report.items() if k != "results"}
    return ApiError("BULK_ABORTED", {**cause, "results": refused})


# --- reading the request


def _options(ctx: Context) -> dict[str, Any]:
    """The options of a request: of its JSON body, or beside a CSV body in the query."""
    found = dict[str, Any](ctx.body or {})
    if ctx.content_type == CSV_TYPE:
        found["action"] = "create"
        found |= {p.name: ctx.query[p.name] for p in QUERY if ctx.query.get(p.name)}
        found["dryRun"] = found.get("dryRun") == "true"
    for name in ("durationMinutes", "firstRow"):
        if found.get(name) is not None:
            # Text of a query; and 1.0 is an integer to JSON Schema.
            found[name] = int(found[name])
    return found


def _rows(ctx: Context, entity: Entity, kind: str, name: str, options: Mapping[str, Any]) -> Iterator[Row]:
    first = options.get("firstRow") or 1
    if name != "create":
        if ctx.content_type == CSV_TYPE:
            raise field_error("action", "a CSV body can only create", name)
        for number, c in enumerate(selection.chosen(ctx, entity, options), first):
            yield Row(number, id=c.id, name=c.name, error=c.error)
    elif ctx.content_type == CSV_TYPE:
        for number, line in enumerate(bulk_csv.read(ctx.raw, kind, MOST), first):
            yield Row(number, line.number, name=line.body.get("name", ""), body=line.body, error=line.error)
    else:
        for number, body in enumerate(options.get("rows") or (), first):
            given = body.get("name")
            yield Row(number, name=given if isinstance(given, str) else "", body=body)


# --- one row


def _one(ctx: Context, entity: Entity, operation: Operation, row: Row, options: Mapping[str, Any]) -> dict[str, Any]:
    """Do one row by the rules of the single operation; what that refuses is undone and told."""
    found: dict[str, Any] = {"row": row.number}
    if row.line is not None:
        found["line"] = row.line
    try:
        if row.error is not None:
            raise row.error
        with store.savepoint():
            key = operation.run(_as_single(ctx, entity, operation, row), entity, row.id, row.body, options)
    except ApiError as e:
        reason = reason_of(e) or e.message
        return {**found, "id": row.id or None, "name": row.name, "ok": False, "code": e.code, "reason": reason}
    found |= {"id": key, "name": row.name, "ok": True}
    if operation.makes_tokens:
        found["enrollments"] = _tokens(entity, key)
    return found


def _as_single(ctx: Context, entity: Entity, operation: Operation, row: Row) -> Context:
    """The context of the request that would do the same for this row alone."""
    method, path = operation.single(entity)
    return replace(
        ctx,
        base=MANAGEMENT,
        method=method,
        path=MANAGEMENT + path.format(entity=entity.path, id=row.id),
        query=MultiDict(),
        headers=Headers(),
        raw=b"",
        content_type=JSON_TYPE,
        body=row.body,
    )


_OF_IDENTITY = Prepared(lambda key: Enrollment.select().where(Enrollment.identity == key), Enrollment)
_OF_ROUTER = Prepared(lambda key: Enrollment.select().where(Enrollment.router == key), Enrollment)


def _tokens(entity: Entity, key: str) -> list[dict[str, Any]]:
    waiting = (_OF_IDENTITY if entity.side == "identity" else _OF_ROUTER).all(key)
    return [{"expiresAt": time_text(e.expires_at), "id": e.id, "method": e.method, "token": e.token} for e in waiting]


# --- the operation

ROWS = Kind("list", {"type": "array", "items": {"type": "object"}, "maxItems": MOST}, "[]interface {}")
FREE = Kind("map", {"type": "object"}, "map[string]interface {}", symbol="map")
NAMES = enum(*OPERATIONS)
BODY = Body(
    "bulk",
    "Bulk",
    (
        Field("action", NAMES, required="c"),
        Field("entity", KIND),
        Field("rows", ROWS),
        Field("ids", Kind("list", IDS, "[]string")),
        Field("names", Kind("list", IDS, "[]string")),
        Field("filter"),
        Field("defaults", FREE),
        Field("dryRun", BOOL),
        Field("onError", enum("abort", "skip")),
        Field("firstRow", INT),
        Field("expiresAt", TIME),
        Field("durationMinutes", INT),
        Field("roleAttributes", bulk_rules.ATTRIBUTE_CHANGES),
        Field("tags", bulk_rules.TAG_CHANGES),
    ),
)
QUERY = (
    Param("action", choices=("create",)),
    Param("entity", choices=selection.KINDS),
    Param("dryRun", choices=("true", "false")),
    Param("onError", choices=("abort", "skip")),
    Param("firstRow", "int64"),
    Param("expiresAt"),
    Param("durationMinutes", "int64"),
)
ACTIONS = (
    Action(
        "POST",
        "/bulk",
        bulk,
        "session",
        (OWN,),
        BODY,
        QUERY,
        consumes=(JSON_TYPE, CSV_TYPE),
        summary="Create, tag, renew, re-issue, disable, enable or delete many",
    ),
)
