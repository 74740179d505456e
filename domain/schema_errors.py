"""What is wrong with a config's data, in the words of the recorded controller.

Those are the words of github.com/xeipuuv/gojsonschema; clients and people read them. Only the first
complaint is told, in the order of the places in the document.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import jsonschema_rs

from wire.errors import ApiError, field_error

_TYPES = ("array", "boolean", "integer", "number", "null", "object", "string")
_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
}
_PLAIN = {
    "required": "{property} is required",
    "pattern": "Does not match pattern '{pattern}'",
    "format": "Does not match format '{format}'",
    "anyOf": "Must validate at least one schema (anyOf)",
    "oneOfNotValid": "Must validate one and only one schema (oneOf)",
    "oneOfMultipleValid": "Must validate one and only one schema (oneOf)",
    "minItems": "Array must have at least {limit} items",
    "maxItems": "Array must have at most {limit} items",
    "minLength": "String length must be greater than or equal to {limit}",
    "maxLength": "String length must be less than or equal to {limit}",
    "minimum": "Must be greater than or equal to {limit}",
    "maximum": "Must be less than or equal to {limit}",
    "exclusiveMinimum": "Must be greater than {limit}",
    "exclusiveMaximum": "Must be less than {limit}",
    "minProperties": "Must have at least {limit} properties",
    "maxProperties": "Must have at most {limit} properties",
}


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema))


def check_schema(schema: dict[str, Any]) -> None:
    """Raise the API's error unless this is a JSON Schema."""
    try:
        _validator(json.dumps(schema))
    except ValueError as e:
        given = schema.get("type")
        if isinstance(given, str) and given not in _TYPES:
            expected = f"Expected valid values are:[{' '.join(_TYPES)}]"
            why = f"has a primitive type that is NOT VALID -- given: /{given}/ {expected}"
        else:
            why = str(e).splitlines()[0]
        raise field_error("schema", f"invalid schema {why}", schema) from None


def check_data(schema: dict[str, Any], data: Any) -> None:
    """Raise the API's error unless the schema accepts the data."""
    validator = _validator(json.dumps(schema))
    if validator.is_valid(data):
        return
    errors = sorted(validator.iter_errors(data), key=lambda e: [str(p) for p in e.instance_path])
    raise _complaint(errors[0])


def _complaint(e: Any) -> ApiError:
    place = ".".join(str(p) for p in e.instance_path) or "(root)"
    reason, value = _words(e)
    return field_error(place, f"{place} is invalid: {place}: {reason}", value)


def _words(e: Any) -> tuple[str, Any]:
    """The reason, and the value that it is about."""
    kind, facts, value = e.kind.name, e.kind.as_dict(), e.instance
    branch = next((p for p in e.schema_path if p in {"then", "else"}), None)
    if branch:
        return f'Must validate "{branch}" as "if" was {"" if branch == "then" else "not "}valid', value
    if kind == "additionalProperties":
        name = facts["unexpected"][0]
        return f"Additional property {name} is not allowed", value[name]
    if kind == "type":
        return f"Invalid type. Expected: {'/'.join(facts['types'])}, given: {type_name(value)}", value
    if kind == "enum":
        options = ", ".join(json.dumps(o) for o in facts["options"])
        place = e.instance_path[-1] if e.instance_path else "(root)"
        return f"{place} must be one of the following: {options}", value
    return _PLAIN[kind].format(**facts) if kind in _PLAIN else str(e.message), value


def type_name(value: Any) -> str:
    """The JSON Schema type of a value."""
    return _NAMES.get(type(value), "object")
