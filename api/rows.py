"""The verbs of a row: list, detail, create, put, patch, delete and associations of an Entity.

`actions()` turns each Entity of the table into Actions, so that rows and single operations take the
same way through `api.engine`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Any

import peewee as pw

import compact
import store
from api import schemas
from domain import roles
from domain.care import audit
from domain.context import Context
from domain.logins import scopes
from prepared import by_id, insert
from wire import filter_sql, filters
from wire.errors import ApiError, field_error, not_found
from wire.filter_sql import Symbol
from wire.filters import FilterError
from wire.resource import (
    CLIENT,
    MANAGEMENT,
    NEVER,
    Action,
    Association,
    Entity,
    Field,
    Param,
    Result,
    always,
    links,
    now_ms,
    time_text,
)

NO_LIMIT = 2**63 - 1
MAX_LIMIT = 500
DEFAULT_LIMIT = 10
LIST_PARAMS = (Param("limit", "int64"), Param("offset", "int64"))
VERBS = {"c": "create", "u": "update", "p": "update", "d": "delete", "l": "read", "g": "read"}

_BASE_SYMBOLS = ("id", "createdAt", "updatedAt", "tags", "isSystem")


@dataclass(frozen=True)
class Shape:
    """What is derived once from an Entity: symbols for filters and the writers of its properties."""

    entity: Entity
    symbols: Mapping[str, Symbol]
    filterable: list[str]
    outputs: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], Any], bool], ...]
    settable: tuple[str, ...]

    def resolve(self, name: str) -> Symbol | None:
        """The symbol that a name in a filter stands for."""
        found = self.symbols.get(name)
        if found is None and name.startswith("tags.") and not self.entity.is_log:
            return Symbol.json_member(self.entity.model.tags, name[5:])
        return found


@cache
def shape_of(entity: Entity) -> Shape:
    """The derived Shape of an entity."""
    m = entity.model
    symbols: dict[str, Symbol] = {
        "id": Symbol("number" if entity.is_log else "string", m.id),
        "createdAt": Symbol("datetime", m.created_at),
    }
    if not entity.is_log:
        symbols["updatedAt"] = Symbol("datetime", m.updated_at)
        symbols["tags"] = Symbol("map", m.tags)
        symbols["isSystem"] = Symbol("bool", m.is_system)
    for f in entity.fields:
        if f.filterable and not f.virtual and f.kind.symbol in ("string", "bool", "number", "datetime"):
            name = f.filterable if isinstance(f.filterable, str) else f.name
            symbols[name] = Symbol(f.kind.symbol, getattr(m, f.attribute))  # type: ignore[arg-type]
    symbols.update(entity.symbols)
    if entity.filterable:
        listed = (*entity.filterable, *_BASE_SYMBOLS)
        # A listed name without a column of ours stands for a value that nothing has.
        symbols = {n: symbols.get(n) or Symbol.nothing("string") for n in listed}
    outputs = tuple(
        (f.name, _getter(m, f.attribute), f.kind.encode, f.omit) for f in entity.fields if f.shown and not f.virtual
    )
    settable = tuple(f.attribute for f in entity.fields if f.body and not f.virtual)
    return Shape(entity, symbols, sorted(symbols), outputs, settable)


def _getter(model: Any, name: str) -> Callable[[Any], Any]:
    """What reads an attribute of a row. peewee's own way for plain columns takes several times as long."""
    plain = model._meta.fields.get(name)  # noqa: SLF001 - peewee's own registry
    if plain is None or hasattr(plain, "rel_model"):
        return attrgetter(name)
    return lambda row: row.__data__.get(name)


def document(entity: Entity, row: Any) -> dict[str, Any]:
    """The JSON of one row, without what `entity.extend` adds."""
    if entity.is_log:
        return _line(entity, row)
    key = row.id
    doc: dict[str, Any] = {
        "_links": links(entity.link_path or entity.path, key, entity.links),
        "createdAt": time_text(row.created_at) if entity.dates else NEVER,
        "id": key,
        "tags": row.tags,
        "updatedAt": time_text(row.updated_at) if entity.dates else NEVER,
    }
    _add_outputs(doc, entity, row)
    return doc


def _line(entity: Entity, row: Any) -> dict[str, Any]:
    """The JSON of a row that is only ever added. Its id is a number in filters and text here, as all ids are."""
    key = str(row.id)
    doc: dict[str, Any] = {"_links": links(entity.path, key), "createdAt": time_text(row.created_at), "id": key}
    _add_outputs(doc, entity, row)
    return doc


def _add_outputs(doc: dict[str, Any], entity: Entity, row: Any) -> None:
    for name, get, encode, omit in shape_of(entity).outputs:
        value = encode(get(row))
        if omit and not value:
            continue
        doc[name] = value


def documents(ctx: Context, entity: Entity, rows: list[Any]) -> list[dict[str, Any]]:
    """The JSON of several rows; `entity.extend` looks up what they share in one go."""
    docs = [document(entity, row) for row in rows]
    if entity.extend:
        entity.extend(ctx, rows, docs)
    return docs


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for."""

    where: list[Any]
    order: list[Any]
    limit: int
    offset: int


def page_of(ctx: Context, entity: Entity) -> Page:
    """Read `filter`, `limit` and `offset`. What the filter says wins over the parameters."""
    limit = int(ctx.query.get("limit") or 0)
    offset = int(ctx.query.get("offset") or 0)
    shape = shape_of(entity)
    where, order = None, []
    if entity.side and ctx.query.get("roleFilter"):
        base = roles.by_filter(entity.side, ctx.query.getlist("roleFilter"), ctx.query.get("roleSemantic", "AllOf"))
    else:
        base = None
    resolve, used = _resolver(ctx, shape)
    try:
        query = filters.parse(ctx.query.get("filter", ""))
        if query.where is not None:
            where = filter_sql.compile_where(query.where, resolve)
        order = filter_sql.compile_sort(query.sort, resolve)
    except FilterError as e:
        raise ApiError("INVALID_FILTER", str(e)) from None
    limit = limit if query.limit is None else query.limit
    offset = offset if query.skip is None else query.skip
    if where is not None and used:
        # The columns of derived values are in one narrow index: find the ids there, then the rows.
        m = entity.model
        where = m.id.in_(m.select(m.id).where(where))
    return Page([c for c in (base, where) if c is not None], order, _limit(limit), max(offset, 0))


def _resolver(ctx: Context, shape: Shape) -> tuple[Callable[[str], Symbol | None], set[str]]:
    """What names stand for in this request, and which derived ones were asked for so far.

    A narrow API token cannot search for secrets.
    """
    derived = shape.entity.derived(ctx) if shape.entity.derived else {}
    used: set[str] = set()

    def resolve(name: str) -> Symbol | None:
        if name in scopes.SECRETS and ctx.scope != scopes.ADMIN:
            return None
        if name in derived:
            used.add(name)
        return derived.get(name) or shape.resolve(name)

    return resolve, used


def _limit(asked: int) -> int:
    if asked < 0:
        return NO_LIMIT
    return min(asked or DEFAULT_LIMIT, MAX_LIMIT)


def list_rows(ctx: Context, entity: Entity, base: Any = None) -> Result:
    """A page of the rows that `base`, the entity's scope and the filter let through."""
    ctx.view = ctx.view or "list"
    page = page_of(ctx, entity)
    scope = entity.scope(ctx) if entity.scope else None
    conditions = [*page.where, *(c for c in (base, scope) if c is not None)]
    m = entity.model
    query = m.select()
    if conditions:
        query = query.where(*conditions)
    total = query.count()
    last = m.id.desc() if entity.is_log else m.id
    rows = list(query.order_by(*page.order, last).limit(min(page.limit, 2**62)).offset(page.offset)) if total else []
    meta = {
        "filterableFields": shape_of(entity).filterable,
        "pagination": {"limit": page.limit, "offset": page.offset, "totalCount": total},
    }
    return Result(documents(ctx, entity, rows), meta=meta)


def fetch(ctx: Context, entity: Entity, key: str) -> Any:
    """The row with this id, or 404. Outside the caller's scope is the same as not there."""
    scope = entity.scope(ctx) if entity.scope else None
    if scope is None:
        row = by_id(entity.model).first(key)
    else:
        row = entity.model.get_or_none((entity.model.id == key) & scope)
    if row is None:
        raise not_found(entity.singular, key)
    return row


def detail(ctx: Context, entity: Entity, id: str) -> Any:
    """Show one row; its version stands in the header ETag, where it can be changed."""
    ctx.view = "detail"
    with store.moment:
        row = fetch(ctx, entity, id)
        (document,) = documents(ctx, entity, [row])
    headers = {"ETag": etag(entity, row)} if entity.verbs.strip("lg") else {}
    return Result(document, headers=headers)


def etag(entity: Entity, row: Any) -> str:
    """The version of a row (RFC 9110 section 8.8.3): it changes with every value that a request can set."""
    data = row.__data__
    stored = [data.get(name) for name in shape_of(entity).settable]
    values = [row.id, row.updated_at, row.tags, *stored]
    return f'"{hashlib.sha256(compact.dump(values, default=str, is_sorted=True)).hexdigest()[:20]}"'


def _check_version(ctx: Context, entity: Entity, row: Any) -> None:
    """Refuse when the caller names, by `If-Match`, another version than there is (section 13.1.1)."""
    wanted = ctx.headers.get("If-Match", "")
    if not wanted or wanted.strip() == "*":
        return
    current = etag(entity, row)
    if current not in {tag.strip() for tag in wanted.split(",")}:
        cause = {"field": "If-Match", "reason": f"the current version is {current}", "value": wanted}
        raise ApiError("PRECONDITION_FAILED", cause)


def associated(ctx: Context, entity: Entity, target: Entity, where: Callable[[Any, str], Any], id: str) -> Result:
    """What is associated with an item. An unknown item has an empty list, as recorded."""
    ctx.view = "association"
    return list_rows(ctx, target, where(ctx, id))


def create(ctx: Context, entity: Entity) -> Result:
    """Make a row: what is left out has its default."""
    now = now_ms()
    values: dict[str, Any] = {"id": entity.new_id()} if entity.new_id else {}
    values |= {f.attribute: _stored(f, ctx.body) for f in entity.fields if "c" in f.body and not f.virtual}
    values |= {"created_at": now, "updated_at": now, "tags": ctx.body.get("tags", {})}
    with _Constraints(entity, values), store.write():
        row = _save(ctx, entity, None, values, set(values))
        audit.record(ctx, "create", entity.path, row.id, after=audit.columns(row))
    return created(entity, row.id)


def created(entity: Entity, key: str) -> Result:
    """201 with the id and a link, the answer to every create."""
    return Result({"_links": links(entity.link_path or entity.path, key), "id": key}, status=201)


def put(ctx: Context, entity: Entity, id: str) -> Result:
    """Replace: what is left out goes back to its default."""
    values = {f.attribute: _stored(f, ctx.body) for f in entity.fields if "u" in f.body and not f.virtual}
    values["tags"] = ctx.body.get("tags", {})
    return _change(ctx, entity, id, values)


def patch(ctx: Context, entity: Entity, id: str) -> Result:
    """Change what is given. Null and absent mean the same: leave it."""
    given = {f.attribute: f.kind_for("p").decode(ctx.body[f.name]) for f in entity.fields if _given(f, ctx.body)}
    if "tags" in ctx.body:
        given["tags"] = ctx.body["tags"]
    if not given:
        fetch(ctx, entity, id)
        _refuse_empty_patch(ctx)
    return _change(ctx, entity, id, given, merge=True)


def _refuse_empty_patch(ctx: Context) -> None:
    # Only unknown properties: 200 without effect, as recorded. Nothing at all is told to the caller.
    if schemas.has_unknown_only(ctx.raw):
        return
    raise ApiError("COULD_NOT_VALIDATE", "no fields updated, nothing to do")


def _given(f: Field, body: Mapping[str, Any]) -> bool:
    return "p" in f.body and f.name in body and not f.virtual


def _stored(f: Field, body: Mapping[str, Any]) -> Any:
    return f.kind.decode(body[f.name]) if f.name in body else f.stored_default()


def _change(ctx: Context, entity: Entity, key: str, values: dict[str, Any], *, merge: bool = False) -> Result:
    with _Constraints(entity, values), store.write():
        row = fetch(ctx, entity, key)
        _check_version(ctx, entity, row)
        if merge:
            _merge_documents(entity, row, values)
        values["updated_at"] = now_ms()
        before = audit.columns(row)
        _save(ctx, entity, row, values, set(values))
        audit.record(ctx, "update", entity.path, key, before=before, after=audit.columns(row))
    return Result({}, headers={"ETag": etag(entity, row)})


def _merge_documents(entity: Entity, row: Any, values: dict[str, Any]) -> None:
    """A patch of an object with known properties changes only the ones it names."""
    for f in entity.fields:
        if f.attribute in values and "properties" in f.kind.schema:
            values[f.attribute] = _merged(getattr(row, f.attribute) or {}, values[f.attribute])


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{k: _merged(old.get(k), v) for k, v in new.items()}}
    return new


def _save(ctx: Context, entity: Entity, row: Any, values: dict[str, Any], changed: set[str]) -> Any:
    if values.get("name") == "" and any(f.name == "name" for f in entity.fields):
        raise field_error("name", "name is required", "")
    for f in entity.fields:
        if f.kind.name == "roles" and f.kind.go_type != "rest_model.Roles" and f.attribute in values:
            check_attributes(f.name, values[f.attribute])
    if entity.before_save:
        entity.before_save(ctx, row, values)
    m = entity.model
    if row is None:
        row = insert(m(**values))
    else:
        m.update({getattr(m, k): v for k, v in values.items()}).where(m.id == row.id).execute()
        for k, v in values.items():
            setattr(row, k, v)
    if entity.after_save:
        entity.after_save(ctx, row, changed)
    return row


def check_attributes(name: str, values: list[str]) -> None:
    """Role attributes are plain words: not empty, no `#` or `@` in front."""
    for value in values:
        if value[:1] in ("#", "@"):
            raise field_error(name, f"role attributes may not be prefixed with {value[0]}", value)
        if not value:
            raise field_error(name, "role attributes may not be empty", value)


def delete(ctx: Context, entity: Entity, id: str) -> Result:
    """Delete a row, and by its hooks and the database what hangs on it."""
    with store.write():
        row = _fetch_for_delete(ctx, entity, id)
        _check_version(ctx, entity, row)
        if entity.before_delete:
            entity.before_delete(ctx, row)
        entity.model.delete().where(entity.model.id == row.id).execute()
        audit.record(ctx, "delete", entity.path, id, before=audit.columns(row))
    return Result({})


def _fetch_for_delete(ctx: Context, entity: Entity, key: str) -> Any:
    try:
        return fetch(ctx, entity, key)
    except ApiError as e:
        # Deleting an unknown policy names the collection, not the entity, as recorded.
        if e.code == "NOT_FOUND" and entity.delete_name:
            raise not_found(entity.delete_name, key) from None
        raise


class _Constraints:
    """Turns the database's unique constraints into the API's error for the field."""

    def __init__(self, entity: Entity, values: Mapping[str, Any]) -> None:
        self.entity, self.values = entity, values

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, e: BaseException | None, trace: object) -> None:
        if not isinstance(e, pw.IntegrityError):
            return
        found = re.match(r"UNIQUE constraint failed: (\w+)\.(\w+)$", str(e))
        if not found:
            return
        table, column = found.groups()
        if column != "name" and self._name_taken():
            column = "name"
        value = self.values.get(column)
        own = table == roles.kind_of(self.entity.model)
        reason = self.entity.duplicate if own else "duplicate value '{value}' in unique index on {table} store"
        tables = {"identity": "identities", "router": "routers"}.get(table, table)
        name = next((f.name for f in self.entity.fields if f.attribute == column), column)
        raise field_error(name, reason.format(field=name, value=value, table=tables), value) from None

    def _name_taken(self) -> bool:
        # When several values collide, the API complains about the name first.
        m = self.entity.model
        name = self.values.get("name")
        key = self.values.get("id")
        return bool(name and key and m.select().where(m.name == name).exists())


def actions(entity: Entity, table: Mapping[str, Entity]) -> Iterator[Action]:
    """All operations of a row."""
    p, item = f"/{entity.path}", f"/{entity.path}/{{id}}"
    rows: dict[str, tuple[str, str, Callable[..., Any]]] = {
        "l": ("GET", p, list_rows),
        "g": ("GET", item, detail),
        "c": ("POST", p, create),
        "u": ("PUT", item, put),
        "p": ("PATCH", item, patch),
        "d": ("DELETE", item, delete),
    }
    for verb in entity.verbs:
        method, path, fn = rows[verb]
        yield Action(
            method,
            path,
            partial(fn, entity=entity),
            permission=_permission(entity, verb),
            bases=entity.bases,
            body=schemas.EntityBody(entity, verb) if verb in "cup" else None,
            query=LIST_PARAMS if verb == "l" else (),
            jwt=entity.jwt if verb == "g" else None,
            creates=verb == "c",
            quick=always if verb in entity.quick else None,
        )
    for a in entity.associations:
        yield _association(entity, a, table)


def _association(entity: Entity, a: Association, table: Mapping[str, Entity]) -> Action:
    target = table[a.target]
    return Action(
        "GET",
        f"/{entity.path}/{{id}}/{a.path}",
        partial(associated, entity=entity, target=target, where=a.where),
        permission=_permission(entity, "l"),
        bases=entity.bases,
        query=LIST_PARAMS,
    )


def _permission(entity: Entity, verb: str) -> str:
    if entity.open_to != "admin":
        return entity.open_to
    return f"{entity.permission}.{VERBS[verb]}" if entity.permission else "admin"


def current_identity(table: Mapping[str, Entity]) -> Action:
    """GET /current-identity: the caller, shown as the row of /identities is."""
    identities = table["identities"]

    def action(ctx: Context) -> Result:
        doc = documents(ctx, identities, [ctx.me])[0]
        doc["_links"] = {"mfa": {"href": "./current-identity/mfa"}, "self": {"href": "./current-identity"}}
        return Result(doc, meta=None)

    return Action("GET", "/current-identity", action, "session", (MANAGEMENT, CLIENT), summary="The caller")
