"""Holds answers against the schemas of the upstream documents, where these are beside the checkout."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

DOCUMENTS = Path(__file__).resolve().parents[2] / "shared" / "reference" / "openapi"
# The documents know service and router; the real controller's error names a third: "one of [service router other]".
# A signer known by its JWKS has no certificate of its own. Not recorded; null says so.
_SIGNERS = "GET /edge/management/v1/external-jwt-signers 200: data."
OURS = {
    "GET /edge/management/v1/config-types 200: data.target is str, against enum",
    *(f"{_SIGNERS}{name} is null, against type" for name in ("commonName", "fingerprint", "notAfter", "notBefore")),
}
ID = re.compile(r"\A[a-z0-9]{25}\Z")
APIS = {
    "/edge/management/v1": "management.yml",
    "/edge/client/v1": "client.yml",
    "/fabric/v1": "fabric.yml",
}


@dataclass(frozen=True)
class Operation:
    """One method of one documented path, with the schemas of its answers by status."""

    pattern: re.Pattern[str]
    method: str
    answers: dict[str, Any]


@functools.cache
def operations(name: str) -> tuple[Operation, ...]:
    """Read a document; paths without variables come first, as the router prefers them."""
    document = yaml.load((DOCUMENTS / name).read_text(), Loader=yaml.CSafeLoader)  # in C: ten times as fast
    definitions = {key: _standard(schema) for key, schema in document["definitions"].items()}
    found = []
    for path in sorted(document["paths"], key=lambda p: p.count("{")):
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        for method, described in document["paths"][path].items():
            if method in {"get", "put", "post", "patch", "delete"}:
                answers = {
                    str(status): _validator(document, definitions, answer)
                    for status, answer in described["responses"].items()
                }
                found.append(Operation(pattern, method.upper(), answers))
    return tuple(found)


def _validator(document: Any, definitions: Any, answer: Any) -> Any:
    if "$ref" in answer:
        answer = document["responses"][answer["$ref"].rpartition("/")[2]]
    if "schema" not in answer:
        return None
    draft = "http://json-schema.org/draft-07/schema#"
    schema = {"$schema": draft, "definitions": definitions, "allOf": [_standard(answer["schema"])]}
    return jsonschema_rs.validator_for(schema, validate_formats=False)


def _standard(schema: Any) -> Any:
    """Swagger's schema as JSON Schema. An array or object that is empty may be null: Go writes them so."""
    if isinstance(schema, list):
        return [_standard(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"example", "discriminator"}
    plain = {k: _standard(v) for k, v in schema.items() if k not in left_out and v is not None}
    kind = plain.get("type")
    if kind == "object" and not plain.keys() & {"properties", "additionalProperties", "allOf"}:
        del plain["type"]  # Go reads it as any value
        return plain
    if kind in ("array", "object") or (plain.get("x-nullable") and kind):
        plain["type"] = [kind, "null"]
    if "enum" in plain and plain.get("x-nullable"):
        plain["enum"] = [*plain["enum"], None]
    return plain


def problems(method: str, path: str, status: int, body: Any) -> set[str]:
    """What is wrong with an answer: operation, place and what is missing or of another type there."""
    base = next((b for b in APIS if path.startswith(b)), None)
    if base is None:
        return set()
    rest = path.removeprefix(base)
    for operation in operations(APIS[base]):
        if operation.method == method and operation.pattern.fullmatch(rest):
            where = f"{method} {base}{operation.pattern.pattern.removesuffix('/[^/]+')} {status}"
            if str(status) not in operation.answers:
                return {f"{where}: not documented"} if status < 300 else set()
            validator = operation.answers[str(status)]
            return {f"{where}: {_place(e)}" for e in validator.iter_errors(body)} if validator else set()
    return set()


def _place(e: Any) -> str:
    # An item is judged alike in a list and alone; keys that are ids are all the same.
    path = ".".join(ID.sub("*", part) for part in e.instance_path if isinstance(part, str))
    if e.kind.name == "required":
        return f"{path}.{e.kind.property} is missing"
    kind = "null" if e.instance is None else type(e.instance).__name__
    return f"{path} is {kind}, against {e.kind.name}"


@functools.cache
def recorded() -> frozenset[str]:
    """What is wrong with the real controller's own answers; clients live with it, so ours may do the same."""
    found: set[str] = set()
    for file in (DOCUMENTS.parent).glob("*.json"):
        steps = json.loads(file.read_text())
        for step in steps if isinstance(steps, list) else []:
            if "request" in step:
                asked, answer = step["request"], step["response"]
                path = asked["path"].split("?", 1)[0]
                found |= problems(asked["method"], path, answer["status"], answer.get("body"))
    return frozenset(found)


def violations(method: str, path: str, status: int, body: Any) -> set[str]:
    """What is wrong with an answer of ours and is not wrong with the real controller's. Nothing without documents."""
    return problems(method, path, status, body) - recorded() - OURS if DOCUMENTS.is_dir() else set()
