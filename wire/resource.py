"""The vocabulary of the API table: Entity, Field and its kinds, Association, Action.

Frozen data and the encode and decode of single values, nothing else. Imports nothing of ours,
so that domain modules can end with their tuple of Actions and `api.entities` can name hooks.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = Any

MANAGEMENT = "/edge/management/v1"
CLIENT = "/edge/client/v1"
FABRIC = "/fabric/v1"
OWN = "/zitilite/v1"
JSON_TYPE = "application/json"
JWT_TYPE = "application/jwt"
NEVER = "0001-01-01T00:00:00.000Z"


def now_ms() -> int:
    """Milliseconds since the epoch; the unit of every stored time."""
    return time.time_ns() // 1_000_000


def time_text(ms: int | None) -> str | None:
    """RFC 3339 in UTC with three decimals, as every date of the API is written."""
    if ms is None:
        return None
    seconds, milli = divmod(ms, 1000)
    y, mo, d, h, mi, s = time.gmtime(seconds)[:6]
    return f"{y:04d}-{mo:02d}-{d:02d}T{h:02d}:{mi:02d}:{s:02d}.{milli:03d}Z"


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")


def milliseconds(moment: datetime) -> int:
    """An aware datetime as it is stored: milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def parse_time(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 text. Raises ValueError."""
    if not _RFC3339.match(text):
        raise ValueError(text)
    return milliseconds(datetime.fromisoformat(text.upper()).astimezone(UTC))


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """How values of one sort are checked, stored, shown and compared.

    `schema` is JSON Schema (2020-12); `go_type` is the name that the API's parse errors use;
    `decode` turns a checked JSON value into the stored one and `encode` turns it back.
    """

    name: str
    schema: dict[str, Json]
    go_type: str
    decode: Callable[[Json], Any] = lambda v: v
    encode: Callable[[Any], Json] = lambda v: v
    symbol: str = "string"
    empty: Any = None


def _or_none(value: Any) -> Any:
    return value or None


def _sorted_set(values: Sequence[str]) -> list[str]:
    return sorted(set(values))


_STRING = {"type": "string"}
_INT64 = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}

TEXT = Kind("text", _STRING, "string", empty="")
OPTIONAL_TEXT = Kind("text", _STRING, "string", decode=_or_none)
BOOL = Kind("bool", {"type": "boolean"}, "bool", bool, bool, symbol="bool", empty=False)
INT = Kind("int", _INT64, "int64", symbol="number", empty=0)
COST = Kind("int", {"type": "integer", "minimum": 0, "maximum": 65535}, "int64", symbol="number", empty=0)
TIME = Kind("time", {**_STRING, "format": "date-time"}, "strfmt.DateTime", parse_time, time_text, symbol="datetime")
TAGS = Kind("map", {"type": "object"}, "rest_model.SubTags", symbol="map", empty={})
OBJECT = Kind("map", {"type": "object"}, "map[string]interface {}", symbol="map")
STRINGS = Kind("strings", {"type": "array", "items": _STRING}, "[]string", symbol="set", empty=[])
# Roles come back sorted and without duplicates; the empty list reads null but on identities.
ATTRIBUTES = Kind(
    "roles", {"type": "array", "items": _STRING}, "rest_model.Attributes", _sorted_set, _or_none, "set", []
)
IDENTITY_ATTRIBUTES = Kind("roles", ATTRIBUTES.schema, "rest_model.Attributes", _sorted_set, list, "set", [])
PLAIN_ATTRIBUTES = Kind("roles", ATTRIBUTES.schema, "[]string", _sorted_set, _or_none, "set", [])
ROLES = Kind("roles", ATTRIBUTES.schema, "rest_model.Roles", _sorted_set, _or_none, "set", [])


def enum(*values: str, go_type: str = "string") -> Kind:
    """A text that is one of `values`."""
    return Kind("enum", {"type": "string", "enum": list(values)}, go_type, empty="")


def text(lo: int, hi: int) -> Kind:
    """A text of `lo` to `hi` characters."""
    return Kind("text", {**_STRING, "minLength": lo, "maxLength": hi}, "string", empty="")


def nested(go_struct: str, properties: dict[str, Json], required: Sequence[str] = (), go_type: str = "") -> Kind:
    """An object with known properties, kept as one JSON document."""
    schema = {"type": "object", "properties": properties, "required": list(required), "x-go-struct": go_struct}
    return Kind("map", schema, go_type or f"rest_model.{go_struct}", symbol="map")


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One JSON property of an entity.

    `body` says which requests take it: any of c (create), u (put), p (patch); `required` which of
    them need it. `column` is the model's attribute (the snake-case name when left out). `default`
    is stored when a create or put leaves it out. `shown` is False for what is written only.
    `omit` leaves the property out of answers when its value is null or false. A `virtual` property
    has no column: a hook reads it from the body.
    """

    name: str
    kind: Kind = TEXT
    body: str = "cup"
    required: str = ""
    column: str = ""
    default: Any = None
    filterable: bool | str = True
    shown: bool = True
    omit: bool = False
    virtual: bool = False
    patch_kind: Kind | None = None

    @property
    def attribute(self) -> str:
        """The model attribute that holds the value."""
        return self.column or snake(self.name)

    def stored_default(self) -> Any:
        """What a create or put without this property stores."""
        return self.kind.empty if self.default is None else self.default

    def kind_for(self, verb: str) -> Kind:
        """The kind that the body of `verb` is checked against (a patch may take less)."""
        return self.patch_kind if verb == "p" and self.patch_kind else self.kind


@functools.cache
def snake(name: str) -> str:
    """`isAdmin` -> `is_admin`."""
    return re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), name)


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """A list of other entities below one item, e.g. `/services/{id}/configs`.

    `where` gives, for the context and the item's id, the peewee condition on the target's rows.
    """

    path: str
    target: str
    where: Callable[[Any, str], Any]


def always(query: str) -> bool:
    """For `Action.quick`: whatever the query is."""
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """One collection of the API: a row of the table in `api.entities`.

    `filterable` are the names that the recorded answers list; empty takes every field's. `symbols`
    says what names stand for that no field does. `side` is the entity's side in policies, for
    `roleFilter`. `duplicate` words the complaint about a value that is taken. `link_path` is for
    collections that link to another one; `delete_name` for those whose 404 on delete is worded so.
    `variants` are further fields that depend on the value of the field `typeId`; hooks keep them. `derived`
    gives, for the context, symbols of values that depend on the clock or the settings; filters know them whether
    `filterable` lists them or not. `jwt` gives an item's enrollment token, `quick` are the verbs that are
    so (see Action).
    `is_log` is for rows that are only ever added: numbered, without tags and changes, the newest first.
    """

    path: str
    singular: str
    model: Any
    schema: str
    fields: tuple[Field, ...]
    param: str = ""
    bases: tuple[str, ...] = (MANAGEMENT,)
    verbs: str = "lgcupd"
    permission: str = ""
    open_to: str = "admin"
    new_id: Callable[[], str] | None = None
    links: tuple[str, ...] = ()
    associations: tuple[Association, ...] = ()
    duplicate: str = "{field} must be unique"
    symbols: dict[str, Any] = field(default_factory=dict)
    filterable: tuple[str, ...] = ()
    before_save: Callable[..., None] | None = None
    after_save: Callable[..., None] | None = None
    before_delete: Callable[..., None] | None = None
    extend: Callable[..., None] | None = None
    scope: Callable[..., Any] | None = None
    link_path: str = ""
    dates: bool = True
    delete_name: str = ""
    side: str = ""
    is_log: bool = False
    variants: Mapping[str, tuple[Field, ...]] = field(default_factory=dict)
    derived: Callable[..., Mapping[str, Any]] | None = None
    jwt: Callable[..., str] | None = None
    quick: str = ""

    @property
    def body_name(self) -> str:
        """The name of the body parameter in the API's parse errors."""
        return self.param or self.singular


@dataclass(frozen=True, slots=True, eq=False)
class Param:
    """A query parameter of an action. `empty_ok` False makes an empty value count as missing."""

    name: str
    kind: str = "string"
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The JSON body of an action: its name and struct in parse errors, and its fields.

    `prefix` stands before field names in complaints, where the recorded ones have it.
    """

    name: str
    struct: str
    fields: tuple[Field, ...] = ()
    optional: bool = False
    is_array: bool = False
    prefix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """A body whose fields depend on its property `typeId`: the body for each of its values."""

    name: str
    bodies: Mapping[str, Body]
    is_array: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """One operation that is not a row.

    `permission`: "public", "session" (any full session), "partial" (also while a second factor is missing), "admin",
    or an entity permission such as "ca.update". `fn` takes the Context and the path's variables and returns the value
    of `data`, or a `Result`. `secret` marks a GET that answers with something that opens a door: API tokens of scope
    `read` are refused. `jwt` gives, for the context and the path's variables, the token that answers `Accept:
    application/jwt` and, drawn, the image types. `attempt` says what kind of attempt it is, for the log of attempts:
    enroll, extend, verify or login. `audited` False keeps what changes nothing that an administrator looks after out
    of the audit log. `creates` takes the header `Idempotency-Key`: all that the action writes must be in one
    transaction. `quick` says, for the query as it was sent, whether the request is answered within a millisecond or
    two and waits for nothing but the database: then the server's loop answers it itself.
    """

    method: str
    path: str
    fn: Callable[..., Any]
    permission: str = "admin"
    bases: tuple[str, ...] = (MANAGEMENT,)
    body: Any = None
    query: tuple[Param, ...] = ()
    consumes: tuple[str, ...] = (JSON_TYPE,)
    produces: tuple[str, ...] = (JSON_TYPE,)
    check_accept: bool = True
    write: bool = False
    summary: str = ""
    secret: bool = False
    jwt: Callable[..., str] | None = None
    attempt: str = ""
    audited: bool = True
    creates: bool = False
    quick: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """An answer that is not plainly `{"data": value, "meta": {}}` with status 200.

    `stream` gives a large body piece by piece, after the rule is done.
    `hold` is called with the open connection once the head of the answer has left: an answer that goes on.
    `is_secret` is for data that must not be kept for a repeated request.
    """

    data: Any = None
    status: int = 200
    meta: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = JSON_TYPE
    stream: Iterator[bytes] | None = None
    hold: Callable[[Any], None] | None = None
    is_secret: bool = False


def links(path: str, key: str, more: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """The `_links` of one item: itself and its association lists."""
    base = f"./{path}/{key}"
    found = {"self": {"href": base}}
    for name in more:
        found[name] = {"href": f"{base}/{name}"}
    return found
