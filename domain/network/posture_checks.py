"""Posture checks: what each type of them asks for, the rules of the row, and the list of types.

Source: /posture-checks and /posture-check-types, recorded answers of topic `posture_checks`.
"""

from __future__ import annotations

import re
from typing import Any

from domain import roles
from domain.context import Context
from domain.network.versions import VersionError, parse_range
from models import PostureCheck
from wire.errors import field_error, not_found
from wire.resource import BOOL, INT, Action, Field, Kind, Param, Result, enum, links, nested, time_text

OS_TYPES = ("Windows", "WindowsServer", "Android", "iOS", "Linux", "macOS")
_STRINGS = {"type": "array", "items": {"type": "string"}}
_OS_TYPE = {"type": "string", "enum": list(OS_TYPES)}
_OS = {"type": "object", "properties": {"type": _OS_TYPE, "versions": _STRINGS}, "required": ["type", "versions"]}
_PROCESS = {"osType": _OS_TYPE, "path": {"type": "string"}, "hashes": _STRINGS}
_MULTI = {
    "type": "object",
    "properties": {**_PROCESS, "signerFingerprints": _STRINGS},
    "required": ["osType", "path"],
}


def _items(schema: Any, go_type: str) -> Kind:
    return Kind("list", {"type": "array", "items": schema, "minItems": 1}, go_type, symbol="any")


def _own(name: str, kind: Kind, *, required: str = "cu") -> Field:
    """A property that only one type has; `before_save` keeps it."""
    return Field(name, kind, required=required, virtual=True)


VARIANTS: dict[str, tuple[Field, ...]] = {
    "OS": (_own("operatingSystems", _items(_OS, "[]*rest_model.OperatingSystem")),),
    "DOMAIN": (_own("domains", _items({"type": "string"}, "[]string")),),
    "MAC": (_own("macAddresses", _items({"type": "string"}, "[]string")),),
    "PROCESS": (
        _own("process", nested("Process", {**_PROCESS, "signerFingerprint": {"type": "string"}}, ("osType", "path"))),
    ),
    "PROCESS_MULTI": (
        _own("semantic", enum("AllOf", "AnyOf", go_type="rest_model.Semantic")),
        _own("processes", _items(_MULTI, "[]*rest_model.ProcessMulti")),
    ),
    "MFA": (
        _own("timeoutSeconds", INT, required=""),
        _own("promptOnWake", BOOL, required=""),
        _own("promptOnUnlock", BOOL, required=""),
        _own("ignoreLegacyEndpoints", BOOL, required=""),
    ),
}
_FLAGS = ("promptOnWake", "promptOnUnlock", "ignoreLegacyEndpoints")


# --- rules of the row


def before_save(ctx: Context, row: PostureCheck | None, values: dict[str, Any]) -> None:
    """Gather the type's own properties; a patch changes the ones that it names. The type stays."""
    kind = ctx.body["typeId"]
    if row is not None and row.type != kind:
        raise field_error("typeId", f"a posture check keeps its type, which is {row.type}", kind)
    old = row.properties if row is not None and ctx.method == "PATCH" else _defaults(kind)
    given = {f.name: ctx.body[f.name] for f in VARIANTS[kind] if f.name in ctx.body}
    if "process" in given:
        given["process"] = {**old.get("process", {}), **given["process"]}
    values["properties"] = {**old, **{name: _normal(name, value) for name, value in given.items()}}


def _defaults(kind: str) -> dict[str, Any]:
    return {"timeoutSeconds": -1} if kind == "MFA" else {}


def _normal(name: str, value: Any) -> Any:
    """Values in the form in which they are compared and shown."""
    match name:
        case "macAddresses":
            return [plain_hex(v) for v in value]
        case "operatingSystems":
            _check_ranges(value)
        case "process":
            return {**value, "signerFingerprint": value.get("signerFingerprint", "").lower()}
        case "processes":
            return [{"hashes": [], **p, "signerFingerprints": _lower(p.get("signerFingerprints"))} for p in value]
    return value


def plain_hex(text: str) -> str:
    """A MAC address or fingerprint as lower-case hex digits."""
    return re.sub(r"[^0-9a-f]", "", text.lower())


def _lower(values: list[str] | None) -> list[str]:
    return [v.lower() for v in values or ()]


def _check_ranges(systems: list[dict[str, Any]]) -> None:
    for i, system in enumerate(systems):
        for j, text in enumerate(system["versions"]):
            try:
                parse_range(text)
            except VersionError as e:
                raise field_error(f"operatingSystems.{i}.versions.{j}", str(e), text) from None


def after_save(ctx: Context, row: PostureCheck, changed: set[str]) -> None:
    """Keep attributes and memberships."""
    if "role_attributes" in changed:
        roles.set_attributes("posture", row.id, row.role_attributes)
    roles.touch()


def before_delete(ctx: Context, row: PostureCheck) -> None:
    """Take the check out of every policy."""
    roles.entity_deleted("posture", row.id)
    roles.touch()


def extend(ctx: Context, rows: list[PostureCheck], docs: list[dict[str, Any]]) -> None:
    """Add what only the check's type has."""
    for row, doc in zip(rows, docs, strict=True):
        shown = {k: v for k, v in row.properties.items() if v or k not in _FLAGS}
        if row.type == "OS":
            shown["operatingSystems"] = [{**s, "versions": s["versions"] or None} for s in shown["operatingSystems"]]
        doc.update(shown)


# --- types

_PHONES = {"Android": ["10", "11", "9"], "iOS": ["11", "12"]}
_DESKTOPS = {
    "Linux": ["4.14", "4.19", "5.4", "5.9"],
    "Windows": ["10", "2000", "7", "8", "Vista"],
    "macOS": ["10.15", "11.0"],
}
# id -> (name, operating system -> versions); there is none for MFA, as recorded
TYPES: dict[str, tuple[str, dict[str, list[str] | None]]] = {
    "DOMAIN": ("Windows Domain Check", {"Windows": _DESKTOPS["Windows"]}),
    "MAC": ("MAC Address Check", {"Android": _PHONES["Android"], **_DESKTOPS}),
    "OS": ("Operating System Check", {**_PHONES, **_DESKTOPS}),
    "PROCESS": ("Process Check", dict(_DESKTOPS)),
    "PROCESS_MULTI": ("Process Multi Check", dict.fromkeys(_DESKTOPS)),
}


def _type(ctx: Context, key: str) -> dict[str, Any]:
    name, systems = TYPES[key]
    made = time_text(ctx.ctrl.started_at)
    return {
        "_links": links("posture-check-types", key),
        "createdAt": made,
        "id": key,
        "tags": {},
        "updatedAt": made,
        "name": name,
        "operatingSystems": [{"type": t, "versions": systems[t]} for t in sorted(systems, key=_byte_order)],
        "version": None,
    }


def _byte_order(text: str) -> bytes:
    # As recorded: Android, Linux, Windows, iOS, macOS.
    return text.encode()


def types(ctx: Context) -> Result:
    """GET /posture-check-types."""
    limit = int(ctx.query.get("limit") or 10)
    offset = max(int(ctx.query.get("offset") or 0), 0)
    size = len(TYPES) if limit < 0 else min(limit, 500)
    data = [_type(ctx, key) for key in TYPES][offset : offset + size]
    fields = ["createdAt", "id", "isSystem", "name", "tags", "updatedAt"]
    pagination = {"limit": limit, "offset": offset, "totalCount": len(TYPES)}
    return Result(data, meta={"filterableFields": fields, "pagination": pagination})


def one_type(ctx: Context, id: str) -> Any:
    """GET /posture-check-types/{id}."""
    if id not in TYPES:
        raise not_found("postureCheckType", id)
    return _type(ctx, id)


_PAGING = (Param("limit", "int64"), Param("offset", "int64"))
ACTIONS = (
    Action("GET", "/posture-check-types", types, "posture-check.read", query=_PAGING, summary="Posture check types"),
    Action("GET", "/posture-check-types/{id}", one_type, "posture-check.read", summary="One posture check type"),
)
