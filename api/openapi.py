"""The OpenAPI document of each API, derived from the same rows and actions that serve it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

from api import schemas
from api.engine import FORMS, json_bytes
from domain.context import VERSION, Context
from wire.errors import ApiError
from wire.resource import CLIENT, FABRIC, MANAGEMENT, OWN, Action, Body, Result, links, time_text

NAMES = {MANAGEMENT: "edge-management", CLIENT: "edge-client", FABRIC: "fabric", OWN: "zitilite"}
BOTH = (MANAGEMENT, CLIENT)


def document(base: str, served: Sequence[Action]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of one base path."""
    paths: dict[str, Any] = {}
    for action in served:
        if base in action.bases:
            paths.setdefault(action.path or "/", {})[action.method.lower()] = _operation(action)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Zitilite {NAMES[base]}", "version": VERSION},
        "servers": [{"url": base}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "apiToken": {"type": "http", "scheme": "bearer"},
                "ztSession": {"type": "apiKey", "in": "header", "name": "zt-session"},
            },
            "schemas": {"error": _ERROR},
        },
    }


_ERROR = {
    "type": "object",
    "required": ["error", "meta"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "requestId"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "requestId": {"type": "string"},
                "cause": {"type": "object"},
            },
        },
        "meta": {"type": "object"},
    },
}


def _operation(action: Action) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": action.summary or f"{action.method} {action.path}",
        "parameters": [*_path_parameters(action), *_query_parameters(action)],
        "responses": {
            "default": {
                "description": "An error",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}},
            },
            "200": {"description": "Success", "content": {kind: {} for kind in _produced(action)}},
        },
        "security": [] if action.permission == "public" else [{"ztSession": []}, {"apiToken": []}],
        "x-permission": action.permission,
    }
    if action.body is not None:
        schema = _plain(schemas.schema_of(action.body))
        required = not (isinstance(action.body, Body) and action.body.optional)
        content = {kind: {"schema": schema if kind == "application/json" else {}} for kind in action.consumes}
        found["requestBody"] = {"required": required, "content": content}
    return found


def _produced(action: Action) -> list[str]:
    return list(dict.fromkeys([*action.produces, *(FORMS if action.jwt else ())]))


def _path_parameters(action: Action) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", action.path)
    return [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]


def _query_parameters(action: Action) -> list[dict[str, Any]]:
    kinds = {"int64": {"type": "integer", "format": "int64"}, "uuid": {"type": "string", "format": "uuid"}}
    found = []
    for p in action.query:
        schema: dict[str, Any] = dict(kinds.get(p.kind, {"type": "string"}))
        if p.choices:
            schema["enum"] = list(p.choices)
        found.append({"name": p.name, "in": "query", "required": p.required, "schema": schema})
    if any(p.name == "limit" for p in action.query):
        found.append({"name": "filter", "in": "query", "required": False, "schema": {"type": "string"}})
    return found


def _plain(schema: Any) -> Any:
    """The schema without our own `x-go-…` notes."""
    if isinstance(schema, dict):
        return {k: _plain(v) for k, v in schema.items() if not str(k).startswith("x-go-")}
    return [_plain(v) for v in schema] if isinstance(schema, list) else schema


def docs_page(spec: dict[str, Any]) -> bytes:
    """The operations of a document as one plain page that needs nothing else."""
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(op['summary'])}</td></tr>"
        for path, methods in spec["paths"].items()
        for method, op in methods.items()
    ]
    title = escape(spec["info"]["title"])
    base = escape(spec["servers"][0]["url"])
    # The fabric API serves no document (recorded), only this page.
    full = "" if base == FABRIC else f" The full document: <a href={base}/swagger.json>OpenAPI 3.1</a>."
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1>"
        f"<p>Base path <code>{base}</code>.{full}</p>"
        f"<table><tr><th>Method<th>Path<th>What</tr>{''.join(rows)}</table></html>"
    ).encode()


def actions(served: list[Action]) -> list[Action]:
    """GET /specs, /specs/{id}, /specs/{id}/spec and /swagger.json; `served` is read when first asked."""

    @lru_cache(maxsize=3)
    def spec(base: str) -> bytes:
        return json_bytes(document(base, served))

    def entry(ctx: Context) -> dict[str, Any]:
        name = NAMES[ctx.base]
        made = time_text(ctx.ctrl.started_at)
        found = {"_links": links("specs", name, ("spec",)), "createdAt": made, "id": name, "tags": {}}
        return {**found, "updatedAt": made, "name": name}

    def known(ctx: Context, id: str) -> None:
        if id != NAMES[ctx.base]:
            raise ApiError("NOT_FOUND")

    def list_specs(ctx: Context) -> Any:
        return [entry(ctx)]

    def one(ctx: Context, id: str) -> Any:
        known(ctx, id)
        return entry(ctx)

    def content(ctx: Context, id: str) -> Result:
        known(ctx, id)
        wants_json = "json" in ctx.headers.get("Accept", "")
        # JSON is YAML as well (YAML 1.2 section 1.3), so one text serves both.
        return Result(raw=spec(ctx.base), content_type="application/json" if wants_json else "text/yaml")

    def swagger(ctx: Context) -> Result:
        return Result(raw=spec(ctx.base))

    def docs(ctx: Context) -> Result:
        page = docs_page(document(ctx.base, served))
        headers = {"Content-Security-Policy": "default-src 'none'"}
        return Result(raw=page, content_type="text/html; charset=utf-8", headers=headers)

    return [
        Action("GET", "/docs", docs, "public", (*BOTH, FABRIC, OWN), check_accept=False, summary="This API as a page"),
        Action("GET", "/specs", list_specs, "public", BOTH, summary="API documents"),
        Action("GET", "/specs/{id}", one, "public", BOTH, summary="One API document"),
        Action(
            "GET",
            "/specs/{id}/spec",
            content,
            "public",
            BOTH,
            produces=("text/yaml", "application/json"),
            summary="The OpenAPI document",
        ),
        Action(
            "GET", "/swagger.json", swagger, "public", (*BOTH, OWN), check_accept=False, summary="The OpenAPI document"
        ),
    ]
