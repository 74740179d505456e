"""Filters in plain Python, for rows that are in no table; agrees with the SQL of `wire/filter_sql.py`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wire.filters import (
    Always,
    Bare,
    Compare,
    FilterError,
    IsEmpty,
    Kind,
    Logic,
    Node,
    Not,
    Query,
    View,
    check_compare,
    check_sortable,
    check_whole,
    letter_forms,
    refuse_subquery,
    scalar_kind,
    values_of,
    view_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@lru_cache(maxsize=64)
def _any_case_pattern(needle: str) -> re.Pattern[str]:
    return re.compile("".join(f"[{re.escape(letter_forms(c))}]" for c in needle))


def evaluate(node: Node, row: Mapping[str, Any], kinds: Mapping[str, Kind] | None = None) -> bool:
    """Tell whether a row passes, by plain Python; agrees with the SQL of `compile_where`.

    row: name -> value as stored (datetimes in milliseconds, sets as lists, maps as dicts; None is absent).
    kinds: name -> Kind; where it is missing the kind is taken from the value.
    """
    if isinstance(node, Logic):
        found = (evaluate(term, row, kinds) for term in node.terms)
        return all(found) if node.word == "and" else any(found)
    if isinstance(node, Not):
        return not evaluate(node.node, row, kinds)
    if isinstance(node, Always):
        return node.value
    if isinstance(node, Bare):
        return bool(_as_view(_value_of(node.name, row), "bool" if node.name in row else "any", "bool", exact=True))
    if node.operand.subquery is not None:
        refuse_subquery(node.operand.subquery)
    value = _value_of(node.operand.name, row)
    return not value if isinstance(node, IsEmpty) else _evaluate_compare(node, value, _kind_in_row(node, row, kinds))


def select(rows: Sequence[Mapping[str, Any]], query: Query, kinds: Mapping[str, Kind]) -> list[Mapping[str, Any]]:
    """Filter and sort rows that are not in SQL; skip and limit are the caller's, who needs the total.

    rows: as in `evaluate`; kinds: every name that can be used; a map `m` allows `m.anything`.
    Raises FilterError like `compile_where`, but unknown names without quotes, as recorded for links.
    """

    def kind_of(name: str) -> Kind:
        kind = _kind_of(name, kinds)
        if kind is None:
            raise FilterError(f"unknown symbol {name}")
        return kind

    if query.where is not None:
        check_whole(query.where, kind_of)
    for name, _ in query.sort:
        check_sortable(name, scalar_kind(name, kind_of))
    found = [row for row in rows if query.where is None or evaluate(query.where, row, kinds)]
    for name, ascending in reversed(query.sort):
        found.sort(key=lambda row: _sort_key(_value_of(name, row)), reverse=not ascending)
    return found


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def _kind_of(name: str, kinds: Mapping[str, Kind]) -> Kind | None:
    head, dot, _ = name.partition(".")
    return kinds.get(name) or ("any" if dot and kinds.get(head) == "map" else None)


def _value_of(name: str, row: Mapping[str, Any]) -> Any:
    if name in row:
        return row[name]
    head, _, key = name.partition(".")
    document = row.get(head)
    return document.get(key) if isinstance(document, dict) else None


def _kind_in_row(compare: Compare, row: Mapping[str, Any], kinds: Mapping[str, Kind] | None) -> Kind:
    name, function = compare.operand.name, compare.operand.function
    if function is not None:
        return "number" if function == "count" else "string"
    if kinds is not None and (kind := _kind_of(name, kinds)):
        return kind
    if name not in row or row[name] is None:
        return "any"
    value = row[name]
    if compare.values[0].kind == "datetime" and not isinstance(value, str):
        return "datetime"
    return "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"


def _evaluate_compare(compare: Compare, value: Any, kind: Kind) -> bool:
    if compare.operand.function == "count":
        value = len(value or ())
    if compare.operand.function in ("anyOf", "allOf"):
        found = [_holds(compare, member, kind) != compare.negated for member in value or ()]
        return any(found) if compare.operand.function == "anyOf" else all(found)
    return _holds(compare, value, kind) != compare.negated


def _holds(compare: Compare, value: Any, kind: Kind) -> bool:
    """Test one value without the negation."""
    check_compare(compare, kind)
    view = view_of(compare, kind)
    if view == "null":
        return value is None
    wanted = values_of(compare, view)
    value = _as_view(value, kind, view, exact=all(isinstance(v.value, int) for v in compare.values))
    return value is not None and _HOLDS[compare.op](value, wanted)


_HOLDS: dict[str, Callable[[Any, list[Any]], bool]] = {
    "=": lambda value, wanted: bool(value == wanted[0]),
    "<": lambda value, wanted: bool(value < wanted[0]),
    "<=": lambda value, wanted: bool(value <= wanted[0]),
    ">": lambda value, wanted: bool(value > wanted[0]),
    ">=": lambda value, wanted: bool(value >= wanted[0]),
    "in": lambda value, wanted: value in wanted,
    "between": lambda value, wanted: bool(wanted[0] <= value < wanted[1]),
    "contains": lambda value, wanted: wanted[0] in value,
    "icontains": lambda value, wanted: _any_case_pattern(wanted[0]).search(value) is not None,
}


def _as_view(value: Any, kind: Kind, view: View | None, *, exact: bool) -> Any:
    """Read a Python value as that type: None where it has none of that type, as `_read` does in SQL."""
    if view == "bool":
        return int(value is True or (kind == "bool" and value == 1))
    if view == "text":
        return _as_text(value)
    if kind == "any" and (exact or isinstance(value, bool | str | list | dict)):
        return None
    return value


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
