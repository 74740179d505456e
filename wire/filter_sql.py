"""Filters as SQL: what names stand for, and the tree of `wire/filters.py` as a peewee expression.

Values are always bound, never written into SQL.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import peewee

from wire.filters import (
    Always,
    Bare,
    Compare,
    IsEmpty,
    Kind,
    Logic,
    Node,
    Not,
    View,
    check_sortable,
    check_whole,
    letter_forms,
    scalar_kind,
    unknown,
    values_of,
    view_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


# --- what names stand for

# What SQLite need not be told, but PostgreSQL must.
_TYPES = {"bool": "BOOLEAN", "number": "NUMERIC", "datetime": "NUMERIC"}


@dataclass(frozen=True, slots=True)
class Members:
    """Where the members of a set are stored: one row per (owner, member), or a JSON array."""

    rows: Any
    """A SELECT over all members, or over those of the row at hand if there is no owner."""
    value: Any
    owner: Any = None
    link: Any = None


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a name in a filter stands for.

    `column` is a peewee field or expression: text, number, 0/1 for bool, integer milliseconds
    since the epoch (UTC) for datetime, a JSON document for map and any. `key` picks a member of that
    document (any); `members` tells where a set's members are.
    """

    kind: Kind
    column: Any = None
    members: Members | None = None
    key: str | None = None

    @classmethod
    def set_of(cls, owner: Any, link: Any, value: Any, where: Any = None) -> Symbol:
        """Describe a set stored in a table with one row per member.

        owner: the id column of the listed entity; link, value: the two columns of that table which
        hold the owner's id (not null) and the member; where: picks the rows if not all are of this set.
        """
        rows = link.model.select(link)
        return cls("set", None, Members(rows if where is None else rows.where(where), value, owner, link))

    @classmethod
    def set_in_json(cls, column: Any) -> Symbol:
        """Describe a set stored as a JSON array in a column of the listed entity."""
        each = peewee.fn.json_each(column).alias("member")
        value = peewee.Column(each, "value")
        return cls("set", None, Members(peewee.Select((each,), (value,)), value))

    @classmethod
    def nothing(cls, kind: Kind) -> Symbol:
        """Describe a name that is known but whose value nothing has here (false for bool)."""
        if kind == "bool":
            return cls(kind, peewee.Value(False))  # noqa: FBT003 - what is bound
        return cls(kind, peewee.SQL(f"CAST(NULL AS {_TYPES.get(kind, 'TEXT')})"))

    @classmethod
    def json_path(cls, kind: Kind, column: Any, *path: str) -> Symbol:
        """Describe a value inside a JSON document, reached by member names."""
        found = peewee.fn.json_extract(column, "$." + ".".join(path))
        return cls(kind, found.cast(_TYPES[kind]) if kind in _TYPES else found)

    @classmethod
    def json_member(cls, column: Any, key: str) -> Symbol:
        """Describe one member of a JSON object, such as `tags.owner`; key: letters, digits, `_`, `-`, `.`."""
        return cls("any", column, None, key)


def compile_where(node: Node, resolve: Callable[[str], Symbol | None]) -> Any:
    """Turn a tree into a peewee expression for `where()`.

    resolve: gives the Symbol of a name (`name`, `roleAttributes`, `tags.owner`), None if there is none.
    Raises FilterError for unknown names and for tests that do not fit the name's kind.
    """

    def symbol(name: str) -> Symbol:
        return _known(name, resolve)

    check_whole(node, lambda name: symbol(name).kind)
    return _compile(node, symbol, negated=False)


def compile_sort(sort: Sequence[tuple[str, bool]], resolve: Callable[[str], Symbol | None]) -> list[Any]:
    """Turn a Query's sort into orderings for `order_by()`; the caller adds the id for a total order.

    Raises FilterError for unknown names, sets and members of tags.
    """
    return [_ordering(name, resolve).asc() if up else _ordering(name, resolve).desc() for name, up in sort]


def _ordering(name: str, resolve: Callable[[str], Symbol | None]) -> Any:
    symbol = _known(name, resolve)
    check_sortable(name, scalar_kind(name, lambda _: symbol.kind))
    return symbol.column


def _known(name: str, resolve: Callable[[str], Symbol | None]) -> Symbol:
    symbol = resolve(name)
    if symbol is None:
        raise unknown(name)
    return symbol


def _compile(node: Node, symbol: Callable[[str], Symbol], *, negated: bool) -> Any:
    """Compile a tree or its opposite: negation moves down to the tests, where absent values are known."""
    if isinstance(node, Logic):
        glue = " AND " if (node.word == "and") != negated else " OR "
        # one flat list per node: nested pairs would exhaust the stack of SQLite's parser
        return peewee.NodeList([_compile(term, symbol, negated=negated) for term in node.terms], glue, parens=True)
    if isinstance(node, Not):
        return _compile(node.node, symbol, negated=not negated)
    if isinstance(node, Always):
        return _bound(node.value != negated)
    if isinstance(node, Bare):
        return _negate(_read(symbol(node.name), "bool") == _bound(value=True), negated)
    if isinstance(node, IsEmpty):
        return _negate(_has_members(symbol(node.operand.name)), not negated)
    return _compile_compare(node, symbol(node.operand.name), negated=negated)


def _negate(expression: Any, negated: bool = True) -> Any:  # noqa: FBT001, FBT002 - reads as "negate if"
    """Negate with absent values counting as false: SQL's `NOT NULL` would drop the row."""
    return ~peewee.fn.COALESCE(expression, peewee.SQL("FALSE")) if negated else expression


def _bound(value: Any) -> Any:
    """Bind a value as it is: the column's own conversion expects Python values, these are stored ones."""
    return peewee.Value(value, converter=False, unpack=False)


def _compile_compare(compare: Compare, symbol: Symbol, *, negated: bool) -> Any:
    function = compare.operand.function
    if symbol.members is None:
        return _negate(_test(compare, symbol), compare.negated != negated)
    if function == "count":
        return _negate(_test(compare, Symbol("number", _count(symbol.members))), compare.negated != negated)
    # "all are x" is "none is not x"
    is_all = function == "allOf"
    wanted = _negate(_test(compare, Symbol("string", symbol.members.value)), compare.negated != is_all)
    return _negate(_has_members(symbol, wanted), is_all != negated)


def _has_members(symbol: Symbol, test: Any = None) -> Any:
    members = symbol.members
    assert members is not None
    rows = members.rows if test is None else members.rows.where(test)
    return peewee.fn.EXISTS(rows) if members.owner is None else members.owner.in_(rows)


def _count(members: Members) -> Any:
    rows = members.rows
    if members.owner is not None:
        rows = rows.where(members.link == members.owner)
    # the function around it gives the sub query the operators of an expression
    return peewee.fn.IFNULL(rows.select(peewee.fn.COUNT(members.value)), 0)


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _test(compare: Compare, symbol: Symbol) -> Any:
    """Compile a test without its negation; the expression is NULL or false where the value is absent."""
    view = view_of(compare, symbol.kind)
    if view == "null":
        return _read_presence(symbol)
    value = _read(symbol, view, exact=all(isinstance(v.value, int) for v in compare.values))
    wanted = values_of(compare, view)
    if compare.op == "in":
        return value.in_([_bound(v) for v in wanted])
    if compare.op == "between":
        return (value >= _bound(wanted[0])) & (value < _bound(wanted[1]))
    if compare.op == "contains":
        return peewee.fn.INSTR(value, _bound(wanted[0])) > 0
    if compare.op == "icontains":
        return peewee.fn.GLOB(_any_case(wanted[0]), value)
    return _COMPARISONS[compare.op](value, _bound(wanted[0]))


def _read(symbol: Symbol, view: View | None, *, exact: bool = False) -> Any:
    """Give an expression for a symbol's value as that type, NULL where it has none of that type."""
    column = _json_member(symbol, view, exact=exact) if symbol.kind == "any" else symbol.column
    if view == "bool":
        return peewee.fn.COALESCE(column, peewee.SQL("FALSE"))
    return column.cast("TEXT") if symbol.kind == "number" and view == "text" else column


def _read_presence(symbol: Symbol) -> Any:
    if symbol.kind != "any":
        return symbol.column.is_null()
    return peewee.fn.COALESCE(peewee.fn.JSON_TYPE(symbol.column, _json_path(symbol)), "null") == "null"


def _json_path(symbol: Symbol) -> str:
    return f'$."{symbol.key}"'


def _json_member(symbol: Symbol, view: View | None, *, exact: bool) -> Any:
    """Give a JSON member as that type. Whole numbers match none, as recorded: upstream keeps all as floats."""
    member = peewee.fn.JSON_EXTRACT(symbol.column, _json_path(symbol))
    cases: dict[str | None, list[tuple[str, Any]]] = {
        "text": [
            ("text", member),
            ("true", "true"),
            ("false", "false"),
            ("integer", member.cast("TEXT")),
            ("real", member.cast("TEXT")),
        ],
        "number": [] if exact else [(kind, member.cast("NUMERIC")) for kind in ("integer", "real")],
        "bool": [("true", peewee.SQL("TRUE")), ("false", peewee.SQL("FALSE"))],
    }
    found = cases.get(view)
    if not found:
        return peewee.SQL("NULL")
    return peewee.Case(peewee.fn.JSON_TYPE(symbol.column, _json_path(symbol)), found)


def _any_case(needle: str) -> str:
    """Make a GLOB pattern that finds a text in any case; SQLite's own UPPER and LIKE know ASCII only."""
    parts = (f"[{forms}]" if len(forms) > 1 or forms in "*?[" else forms for forms in map(letter_forms, needle))
    return f"*{''.join(parts)}*"
