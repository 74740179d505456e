"""Who changed what, when, from where; what it was before and what it is now.

Written in the transaction of the change itself: rows of the table write theirs in `api.rows`, actions get
theirs from `api.engine`. Only ever added to; triggers refuse anything else, but for the deletion of what
is older than the setting `audit_days`. Of secrets a row says only that there is one, and that it changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import store
from domain.care.attempts import sequence
from domain.context import Context
from models import (
    ApiSession,
    Audit,
    Authenticator,
    Ca,
    ControllerSetting,
    Enrollment,
    Identity,
    Meta,
    Router,
)
from prepared import by_id, insert_values
from wire.resource import CLIENT, Action, Result, now_ms

BATCH_ROWS = 500
DAY_MS = 86_400_000
_PRUNE_BEFORE = "audit_prune_before"
_TRIGGERS = (
    """CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END""",
    """CREATE TRIGGER IF NOT EXISTS audit_is_kept BEFORE DELETE ON audit WHEN OLD.created_at >=
    coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'audit_prune_before'), 0)
    BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END""",
)
# What actions are about, by the first name in their path; rows of the table bring their own model along.
MODELS: dict[str, Any] = {
    "identities": Identity,
    "authenticators": Authenticator,
    "enrollments": Enrollment,
    "cas": Ca,
    "edge-routers": Router,
    "controller-settings": ControllerSetting,
    "api-sessions": ApiSession,
}
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_SECRETS = {"token", "verification_token", "secret", "recovery_codes"}
_SECRET_ENDINGS = ("_password", "_secret", "_hash")


def protect() -> None:
    """Have the database refuse every change of the log."""
    with store.write():
        for statement in _TRIGGERS:
            store.define(statement)


# --- a row of the log


def columns(row: Any) -> dict[str, Any] | None:
    """What is stored in a row; None when there is none."""
    return dict(row.__data__) if row is not None else None


def _is_secret(column: str) -> bool:
    return column in _SECRETS or column.endswith(_SECRET_ENDINGS)


def _shown(values: dict[str, Any] | None, other: dict[str, Any] | None, word: str) -> dict[str, Any] | None:
    """The values without secrets: of one that the other side has not, that it is another."""
    if values is None:
        return None
    found = {}
    for column, value in values.items():
        if not _is_secret(column) or not value:
            found[column] = value
        elif other is not None and other.get(column) != value:
            found[column] = f"(secret, {word})"
        else:
            found[column] = "(secret)"
    return found


def record(
    ctx: Context,
    verb: str,
    entity: str,
    key: str | None,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Add a row about what the caller does. Needs the write transaction of the change.

    Args:
        verb: create, update, delete, or the last name in the path, such as `disable`.
        entity: the collection, as it stands in paths: `identities`.
        before, after: the columns of the row concerned.
    """
    _write(
        actor_kind="local" if ctx.is_local else "session" if ctx.api_token is None else "token",
        actor=ctx.identity.id if ctx.identity else None,
        actor_name=ctx.identity.name if ctx.identity else None,
        source_address=ctx.remote,
        method=ctx.method,
        path=ctx.template or ctx.path,
        verb=verb,
        entity=entity,
        key=key,
        before=before,
        after=after,
        request_id=ctx.request_id,
    )
    ctx.is_audited = True


def record_local(verb: str, entity: str, key: str | None, name: str) -> None:
    """Add a row about what was done on the machine itself, by the command line. Needs a write transaction."""
    _write(
        actor_kind="local",
        actor=None,
        actor_name="command line",
        source_address="",
        method="",
        path="",
        verb=verb,
        entity=entity,
        key=key,
        before=None,
        after={"name": name},
        request_id="",
    )


def _write(*, key: str | None, before: dict[str, Any] | None, after: dict[str, Any] | None, **values: Any) -> None:
    name = (after or before or {}).get("name")
    row = {
        "id": sequence.next(),
        "created_at": now_ms(),
        "entity_id": key,
        "entity_name": name,
        "before": _shown(before, after, "another"),
        "after": _shown(after, before, "changed"),
        **values,
    }
    insert_values(Audit, row)


# --- actions


def is_change(action: Action, base: str) -> bool:
    """Whether an operation goes into the log: what an authenticated caller changes.

    Not what endpoints report all the time, nor what the log of attempts has.
    """
    if action.method == "GET" or action.permission == "public" or not action.audited:
        return False
    if action.attempt not in ("", "verify"):
        return False
    return base != CLIENT or action.path.startswith("/current-identity")


@dataclass(frozen=True, slots=True)
class Watch:
    """The row that an action is about, as it was before."""

    ctx: Context
    entity: str
    key: str | None
    verb: str
    before: dict[str, Any] | None

    def record(self, result: Any) -> None:
        """Add the row, unless the action did it itself. Joins its transaction, or makes one."""
        if self.ctx.is_audited:
            return
        key = self.key
        if key is None and isinstance(result, Result) and isinstance(result.data, dict):
            key = result.data.get("id")
        after = _stored(self.entity, key)
        verb = "create" if self.verb == "create" and self.before is None else self.verb
        with store.write():
            record(self.ctx, verb, self.entity, key, before=self.before, after=after)


def watch(ctx: Context, action: Action, ids: dict[str, str]) -> Watch:
    """Look at what an action is about, before it runs."""
    names = [part for part in action.path.split("/") if part]
    plain = [part for part in names if not part.startswith("{")]
    key = ids.get("id")
    entity = plain[0]
    if entity == "current-api-session":
        entity, key = "api-sessions", ctx.session.id if ctx.session else None
    elif entity == "current-identity":
        inner = plain[1] if len(plain) > 1 else ""
        entity = inner if inner in MODELS else "identities"
        key = key or ctx.me.id
    last = plain[-1] if len(plain) > 1 and plain[-1] not in MODELS else ""
    verb = last if last and action.method == "POST" else f"{last} {_VERBS[action.method]}".strip()
    return Watch(ctx, entity, key, verb, _stored(entity, key))


def _stored(entity: str, key: str | None) -> dict[str, Any] | None:
    model = MODELS.get(entity)
    return columns(by_id(model).first(key)) if model is not None and key else None


# --- reading and pruning


def newest() -> int:
    """The id of the newest row, 0 when there is none."""
    return Audit.select(Audit.id).order_by(Audit.id.desc()).limit(1).scalar() or 0


def back(rows: int) -> int:
    """The id of the row so many before the newest, 0 when there are not that many."""
    return Audit.select(Audit.id).order_by(Audit.id.desc()).offset(rows).limit(1).scalar() or 0


def lines(newer_than: int, limit: int) -> list[Any]:
    """The rows after one, oldest first."""
    return list(Audit.select().where(Audit.id > newer_than).order_by(Audit.id).limit(limit))


def count_after(key: int) -> int:
    """How many rows there are after one."""
    return int(Audit.select().where(Audit.id > key).count())


def prune(days: int) -> None:
    """Delete what is older than so many days, a part at a time."""
    cutoff = now_ms() - days * DAY_MS
    while True:
        part = Audit.select(Audit.id).where(Audit.created_at < cutoff).order_by(Audit.id).limit(BATCH_ROWS)
        if not part.exists():
            return
        with store.write():
            Meta.replace(key=_PRUNE_BEFORE, value=str(cutoff)).execute()
            Audit.delete().where(Audit.id.in_(part)).execute()


def extend(ctx: Context, rows: list[Audit], docs: list[dict[str, Any]]) -> None:
    """Say which columns a change changed."""
    for row, doc in zip(rows, docs, strict=True):
        before: dict[str, Any] = row.before or {}
        after: dict[str, Any] = row.after or {}
        is_update = row.before is not None and row.after is not None
        doc["changed"] = sorted(k for k in {*before, *after} if before.get(k) != after.get(k)) if is_update else []
