"""JSON bodies: parsing, JSON Schema derived from the table, and the API's words for what is wrong.

A body goes through three steps, and only the first complaint is answered, as the real controller
does: JSON syntax and types (`COULD_NOT_PARSE_BODY`), then the schema's rules in alphabetical order
of the fields (`COULD_NOT_VALIDATE`). Unknown properties are ignored, null counts as left out, and
what follows the JSON value is ignored. The same schemas make the OpenAPI document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs

from wire.errors import ApiError, field_error, go_text
from wire.resource import TAGS, Body, Entity, Field, Json, Variants, parse_time

VERB_STRUCT = {"c": "Create", "u": "Update", "p": "Patch"}
TAGS_FIELD = Field("tags", TAGS)
_MAX_DEPTH = 64


def body_schema(fields: Sequence[Field], verb: str) -> dict[str, Json]:
    """JSON Schema of the body that `verb` (c, u or p) takes."""
    taken = [f for f in fields if verb in f.body]
    schema: dict[str, Json] = {"type": "object", "properties": {f.name: f.kind_for(verb).schema for f in taken}}
    required = sorted(f.name for f in taken if verb in f.required)
    if required:
        schema["required"] = required
    return schema


@dataclass(frozen=True)
class Checker:
    """Checks one kind of body. `param` and `struct` are its names in the API's parse errors."""

    param: str
    struct: str
    fields: tuple[Field, ...]
    verb: str
    optional: bool
    is_array: bool
    prefix: str
    validator: Any

    def check(self, raw: bytes) -> Json:
        """The body as JSON: known, non-null properties only.

        Raises ApiError with 602 for an absent body, 400 else.
        """
        if not raw.strip():
            if self.optional:
                return [] if self.is_array else {}
            raise field_error(self.param, f"{self.param} in body is required", "", status=602)
        return self.check_value(parse_json(raw, self.param))

    def check_value(self, value: Json) -> Json:
        """The same for a body that is parsed already."""
        if value is None:
            value = [] if self.is_array else {}
        if not isinstance(value, list if self.is_array else dict):
            raise self._unparsable(f"json: cannot unmarshal {_json_type(value)} into Go value of type {self._go}")
        cleaned = [self._known(v) for v in value] if self.is_array else self._known(value)
        if not self.validator.is_valid(cleaned):
            raise self._first_error(cleaned)
        return cleaned

    @property
    def _go(self) -> str:
        return f"rest_model.{self.struct}"

    def _known(self, value: Json) -> Json:
        if not isinstance(value, dict):
            return value
        names = {f.name for f in self.fields}
        return {k: _without_nulls(v, self._schema_of(k)) for k, v in value.items() if k in names and v is not None}

    def _schema_of(self, name: str) -> Json:
        return next(f.kind_for(self.verb).schema for f in self.fields if f.name == name)

    def _unparsable(self, why: str) -> ApiError:
        return ApiError("COULD_NOT_PARSE_BODY", f'parsing {self.param} body from "" failed, because {why}')

    def _first_error(self, value: Json) -> ApiError:
        errors = list(self.validator.iter_errors(value))
        for e in errors:
            if e.kind.name == "type" or (e.kind.name == "format" and e.kind.format == "date-time"):
                return self._type_error(e)
        lists = {f.name for f in self.fields if f.kind_for(self.verb).schema.get("type") == "array"}
        return min((_rule_error(e, self.prefix, lists) for e in errors), key=lambda pair: pair[0])[1]

    def _type_error(self, e: Any) -> ApiError:
        if e.kind.name == "format":
            return self._unparsable(
                f'parsing time "{e.instance}" as "2006-01-02": cannot parse "{e.instance}" as "2006"'
            )
        path = [str(p) for p in e.instance_path if not isinstance(p, int)]
        field = next((f for f in self.fields if path and f.name == path[0]), None)
        if field is None or (self.is_array and not path):
            return self._unparsable(f"json: cannot unmarshal {_json_type(e.instance)} into Go value of type {self._go}")
        struct, go_type = _go_place(self.struct, field.kind_for(self.verb).schema, field, path, e)
        place = f"{struct}.{'.'.join(path)} of type {go_type}"
        return self._unparsable(f"json: cannot unmarshal {_json_type(e.instance)} into Go struct field {place}")


_GO_TYPES = {
    "string": "string",
    "boolean": "bool",
    "integer": "int64",
    "array": "[]string",
    "object": "map[string]interface {}",
}


def _go_place(struct: str, schema: Json, field: Field, path: list[str], e: Any) -> tuple[str, str]:
    for name in path[1:]:
        struct = schema.get("x-go-struct", struct)
        schema = schema.get("properties", {}).get(name, {})
    if len(path) == 1 and not isinstance(e.instance_path[-1], int):
        return struct, field.kind.go_type
    return struct, _GO_TYPES.get(e.kind.types[0], "string")


def _without_nulls(value: Json, schema: Json) -> Json:
    """Drop null members of an object with known properties; a free-form map keeps them."""
    if isinstance(value, dict) and "properties" in schema:
        return {
            k: _without_nulls(v, schema["properties"].get(k, {}))
            for k, v in value.items()
            if v is not None and k in schema["properties"]
        }
    return value


def _json_type(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _rule_error(e: Any, prefix: str, lists: set[str]) -> tuple[tuple[str, int], ApiError]:
    """The error and its place in the order in which the API would complain."""
    path = prefix + ".".join(str(p) for p in e.instance_path)
    match e.kind.name:
        case "required":
            path = f"{path}.{e.kind.property}" if e.instance_path else f"{prefix}{e.kind.property}"
            absent: Json = [] if path in lists else None
            return (path, 0), field_error(path, f"{path} in body is required", absent)
        case "enum":
            reason = f"should be one of {go_text(e.kind.options)}"
        case "minLength":
            reason = f"should be at least {e.kind.limit} chars long"
        case "maxLength":
            reason = f"should be at most {e.kind.limit} chars long"
        case "minimum":
            reason = f"should be greater than or equal to {e.kind.limit}"
        case "maximum":
            reason = f"should be less than or equal to {e.kind.limit}"
        case "minItems":
            reason = f"should have at least {e.kind.limit} items"
        case "format":
            reason = f'must be of type {e.kind.format}: "{e.instance}"'
        case _:
            reason = f"is not valid: {e.message}"
    return (path, 1), field_error(path, f"{path} in body {reason}", e.instance)


@dataclass(frozen=True)
class VariantChecker:
    """Checks a body by the checker that its property `typeId` picks."""

    param: str
    checkers: Mapping[str, Checker]
    is_array: bool = False

    def check(self, raw: bytes) -> Json:
        """The body as JSON, `typeId` included. Raises ApiError with 602 for an absent body or type, 400 else."""
        if not raw.strip():
            raise field_error(self.param, f"{self.param} in body is required", "", status=602)
        value = parse_json(raw, self.param)
        if not self.is_array:
            return self._one(value)
        if not isinstance(value, list):
            raise self._unparsable(value, "[]json.RawMessage")
        return [self._one(v) for v in value]

    def _one(self, value: Json) -> Json:
        if not isinstance(value, dict):
            raise self._unparsable(value, "map[string]interface {}")
        kind = value.get("typeId")
        if not kind:
            raise field_error("typeId", "typeId in body is required", "", status=602)
        if not isinstance(kind, str) or kind not in self.checkers:
            raise ApiError("COULD_NOT_PARSE_BODY", f'invalid typeId value: "{go_text(kind)}"')
        return self.checkers[kind].check_value(value)

    def _unparsable(self, value: Json, go_type: str) -> ApiError:
        why = f"json: cannot unmarshal {_json_type(value)} into Go value of type {go_type}"
        return ApiError("COULD_NOT_PARSE_BODY", f'parsing {self.param} body from "" failed, because {why}')


@cache
def entity_checker(entity: Entity, verb: str) -> Checker | VariantChecker:
    """The checker of an entity's create, put or patch body."""

    def checker(fields: tuple[Field, ...]) -> Checker:
        taken = (*entity.fields, *fields, TAGS_FIELD)
        return _checker(entity.body_name, entity.schema + VERB_STRUCT[verb], taken, verb, optional=False)

    if entity.variants:
        return VariantChecker(entity.body_name, {kind: checker(more) for kind, more in entity.variants.items()})
    return checker(())


@dataclass(frozen=True, slots=True)
class EntityBody:
    """The body of a row's create (c), put (u) or patch (p)."""

    entity: Entity
    verb: str


def checker_of(body: Body | Variants | EntityBody) -> Checker | VariantChecker:
    """The checker of any operation's body."""
    if isinstance(body, EntityBody):
        return entity_checker(body.entity, body.verb)
    if isinstance(body, Variants):
        return variant_checker(body)
    return action_checker(body)


@cache
def variant_checker(body: Variants) -> VariantChecker:
    """The checker of an action's body with variants."""
    return VariantChecker(body.name, {kind: action_checker(b) for kind, b in body.bodies.items()}, body.is_array)


def schema_of(body: Body | Variants | EntityBody) -> dict[str, Json]:
    """JSON Schema of any operation's body, for the OpenAPI document."""
    if isinstance(body, EntityBody):
        fields = (*body.entity.fields, TAGS_FIELD)
        kinds: list[Json] = [body_schema((*fields, *more), body.verb) for more in body.entity.variants.values()]
        return {"oneOf": kinds} if kinds else body_schema(fields, body.verb)
    if isinstance(body, Variants):
        schema: dict[str, Json] = {"oneOf": [body_schema(b.fields, "c") for b in body.bodies.values()]}
    else:
        schema = body_schema(body.fields, "c")
    return {"type": "array", "items": schema} if body.is_array else schema


def has_unknown_only(raw: bytes) -> bool:
    """Whether a body without any known property has at least one unknown one."""
    value = parse_json(raw)
    return isinstance(value, dict) and any(v is not None for v in value.values())


@cache
def action_checker(body: Body) -> Checker:
    """The checker of an action's body."""
    return _checker(
        body.name,
        body.struct,
        body.fields,
        "c",
        optional=body.optional,
        is_array=body.is_array,
        prefix=body.prefix,
    )


def _checker(
    param: str,
    struct: str,
    fields: tuple[Field, ...],
    verb: str,
    *,
    optional: bool,
    is_array: bool = False,
    prefix: str = "",
) -> Checker:
    taken = tuple(f for f in fields if verb in f.body)
    schema = body_schema(taken, verb)
    if is_array:
        schema = {"type": "array", "items": schema}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True, formats={"date-time": _is_time})
    return Checker(param, struct, taken, verb, optional, is_array, prefix, validator)


def _is_time(text: str) -> bool:
    """Whether a date and time can be kept: RFC 3339 also allows leap seconds and years that cannot."""
    try:
        parse_time(text)
    except (ValueError, OverflowError):
        return False
    return True


def _no_constant(name: str) -> Json:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
_SPACE = " \t\r\n"


def parse_json(raw: bytes, param: str = "body") -> Json:
    """The first JSON value in `raw`; anything after it is ignored. Raises COULD_NOT_PARSE_BODY.

    Bytes that are no UTF-8 and lone surrogates become U+FFFD, as the real controller reads them.
    """
    text = raw.decode("utf-8", "replace").lstrip(_SPACE)
    try:
        value, _ = _decoder.raw_decode(text)
        _check_depth(value)
    except json.JSONDecodeError as e:
        why = _syntax_error(text, e.pos)
    except ValueError as e:
        why = str(e)
    except RecursionError:
        why = "exceeded max depth"
    else:
        return _scrub(value) if b"\\ud" in raw or b"\\uD" in raw else value
    raise ApiError("COULD_NOT_PARSE_BODY", f'parsing {param} body from "" failed, because {why}')


def _syntax_error(text: str, pos: int) -> str:
    rest = text[pos:].lstrip(_SPACE)
    if not rest or rest == "-" or (rest[0] == '"' and '"' not in rest[1:]):
        return "unexpected EOF"
    if text.startswith("-") and not text[1:2].isdigit():
        return f"invalid character '{text[1]}' in numeric literal"
    return f"invalid character '{rest[0]}' looking for beginning of value"


def _check_depth(value: Json, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("exceeded max depth")
    if isinstance(value, dict):
        for v in value.values():
            _check_depth(v, depth + 1)
    elif isinstance(value, list):
        for v in value:
            _check_depth(v, depth + 1)


def _scrub(value: Json) -> Json:
    """Replace lone surrogates, which cannot be written as UTF-8."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_scrub(v) for v in value]
        case dict():
            return {_scrub(k): _scrub(v) for k, v in value.items()}
        case _:
            return value
