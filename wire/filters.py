"""The filter language of the list operations: text -> tokens -> tree -> peewee expression.

Grammar (keywords in any case, blanks free between tokens; names, strings and numbers as in TOKEN):

    query     = [ condition ] [ "sort" "by" key { "," key } ] [ "skip" number ] [ "limit" ( number | "none" ) ]
    key       = name [ "asc" | "desc" ]
    condition = both { "or" both }
    both      = unary { "and" unary }
    unary     = "not" unary | "(" condition ")" | "true" | "false" | "isEmpty" "(" set ")" | name | test
    test      = operand ( "=" | "!=" ) ( string | number | datetime | bool | "null" )
              | operand ( "<" | "<=" | ">" | ">=" ) ( string | number | datetime )
              | operand [ "not" ] ( "contains" | "icontains" ) ( string | number )
              | operand [ "not" ] "in" "[" literal { "," literal } "]"          (all of one kind)
              | operand [ "not" ] "between" literal "and" literal               (numbers or datetimes)
    operand   = name | ( "anyOf" | "allOf" ) "(" name ")" | "count" "(" set ")"
    set       = name | "from" name "where" query
    datetime  = "datetime(" RFC 3339 ")"

Meaning: an absent value satisfies no test, so its negations hold; `between` leaves the upper end out;
`allOf` holds for empty sets; strings compare by bytes; `icontains` ignores case.
Messages are those of the recorded answers (`cause.message` of INVALID_FILTER) wherever one was recorded.

Imports nothing else of the project. Values are always bound, never written into SQL.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import operator
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

import peewee

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Kind = Literal["string", "number", "bool", "datetime", "set", "map", "any"]

MAX_LENGTH = 100_000
MAX_DEPTH = 50
"""Parentheses and `not` inside each other, since each costs Python stack."""

MAX_HEIGHT = 16
"""`and` and `or` inside each other by parentheses; the stack of SQLite's parser ends between 30 and 40."""

MAX_TERMS = 500
"""Tests and sort keys in one filter; SQLite's trees may be 1,000 deep."""

MAX_VALUES = 10_000
"""Members of one list; SQLite binds 32,766 values in all."""

ALL = -1
"""The limit that `limit none` and negative limits stand for."""

MAX_NEEDLE = 1_000
"""Characters of an `icontains`; SQLite takes patterns of 50,000 bytes."""

_CACHED_LENGTH = 512
_INT64_MAX = 2**63 - 1
_INT64_DIGITS = 18


class FilterError(ValueError):
    """A filter that cannot be used; `str(error)` is the message for the API's `cause.message`."""


# --- what names stand for


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
        return cls(kind, peewee.Value(0 if kind == "bool" else None))

    @classmethod
    def json_path(cls, kind: Kind, column: Any, *path: str) -> Symbol:
        """Describe a value inside a JSON document, reached by member names."""
        return cls(kind, peewee.fn.json_extract(column, "$." + ".".join(path)))

    @classmethod
    def json_member(cls, column: Any, key: str) -> Symbol:
        """Describe one member of a JSON object, such as `tags.owner`; key: letters, digits, `_`, `-`, `.`."""
        return cls("any", column, None, key)


# --- the tree


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: its kind, its value (datetime: milliseconds since the epoch) and its text without quotes."""

    kind: Literal["string", "number", "bool", "datetime", "null"]
    value: Any
    text: str


@dataclass(frozen=True, slots=True)
class SubQuery:
    """`from name where query`: part of the language, but no collection has a name to use it on."""

    name: str
    query: Query


@dataclass(frozen=True, slots=True)
class Operand:
    """A name, plain or inside a set function."""

    name: str
    function: Literal["anyOf", "allOf", "count", "isEmpty"] | None = None
    subquery: SubQuery | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """One test. `=` with null tests for absence; `in` takes any number of values, `between` two, the rest one."""

    operand: Operand
    op: Literal["=", "<", "<=", ">", ">=", "contains", "icontains", "in", "between"]
    values: tuple[Constant, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """`isEmpty(set)`."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Bare:
    """A name alone: true if that boolean is."""

    name: str


@dataclass(frozen=True, slots=True)
class Always:
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    """`not node`."""

    node: Node


@dataclass(frozen=True, slots=True)
class Logic:
    """Two or more terms joined by the same word."""

    word: Literal["and", "or"]
    terms: tuple[Node, ...]


Node = Compare | IsEmpty | Bare | Always | Not | Logic


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed filter. `sort`: (name, ascending) pairs; `limit`: None if not given, ALL (-1) for no limit."""

    where: Node | None = None
    sort: tuple[tuple[str, bool], ...] = ()
    skip: int | None = None
    limit: int | None = None


# --- text -> tokens

_KEYWORDS = frozenset(
    re.findall(
        "[a-z]+",
        "and or not in between contains icontains true false null allof anyof count isempty "
        "asc desc sort by skip limit none where from",
    )
)
_NAME = r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*"
_STRING_BODY = r'(?:\\["\\fnrt]|[^"\\\x00-\x1f])*'
_DATE = r"[0-9]+-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
TOKEN = re.compile(
    rf"""(?P<blank>[ \n\t\r]+)
    | datetime\([ \n\t\r]*(?P<datetime>{_DATE})[ \n\t\r]*\)
    | (?P<name>{_NAME}|'{_NAME}')
    | "(?P<string>{_STRING_BODY})"
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[Ee][+-]?(?:0|[1-9][0-9]*))?)
    | (?P<sign><=|>=|!=|[=<>()\[\],])
    | (?P<bad>(?:'{_NAME}|"{_STRING_BODY}\\?|[-!])?[\s\S]?)""",
    re.VERBOSE,
)
# A lexeme that fails half-way is dropped together with the character it failed at: the recorded
# answer to `name = 'q-alpha'` complains about `alpha`.

_STAMP = re.compile(r"(?P<whole>[^.Zz]+?)(?P<fraction>\.[0-9]+)?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})")
_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)

_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokenize(text: str) -> tuple[list[_Token], _Token | None]:
    """Split a filter; gives the tokens and the first lexeme that is none, if any."""
    tokens: list[_Token] = []
    bad: _Token | None = None
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None, "the last alternative takes any character"
        kind = match.lastgroup or "bad"
        if kind == "bad":
            bad = bad or _Token("bad", match.group(), at)
        elif kind != "blank":
            tokens.append(_Token(_token_kind(kind, match.group()), match.group(), at))
        at = match.end()
    tokens.append(_Token("end", "<EOF>", len(text)))
    return tokens, bad


def _token_kind(kind: str, text: str) -> str:
    if kind == "sign":
        return text
    if kind == "name" and text.lower() in _KEYWORDS:
        return "bool" if text.lower() in ("true", "false") else text.lower()
    return kind


def _unexpected(text: str, token: _Token) -> FilterError:
    line = text.count("\n", 0, token.at) + 1
    column = token.at - (text.rfind("\n", 0, token.at) + 1)
    return FilterError(
        f'Unexpected symbol: "{token.text}" at line: {line} column: {column}. '
        f"line: {line}, column: {column}, symbol: {token.text}"
    )


def _constant(token: _Token) -> Constant:
    if token.kind == "string":
        text = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), token.text[1:-1])
        return Constant("string", text, text)
    if token.kind == "number":
        return Constant("number", _number(token.text), token.text)
    if token.kind == "datetime":
        stamp = token.text[len("datetime(") : -1].strip()
        return Constant("datetime", _milliseconds(stamp), stamp)
    if token.kind == "bool":
        return Constant("bool", token.text.lower() == "true", token.text.lower())
    return Constant("null", None, "null")


def _number(text: str) -> int | float:
    """Read a number; whole ones beyond 64 bits become floats, since SQLite has no such integers."""
    if len(text) <= _INT64_DIGITS and text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    if math.isinf(value):
        raise FilterError(f"number {text} is out of range")
    return value


def _milliseconds(stamp: str) -> int | float:
    """Read an RFC 3339 time; whole milliseconds since the epoch where it has no finer digits."""
    match = _STAMP.fullmatch(stamp)
    assert match is not None, "the token has this form"
    zone = "+00:00" if match["zone"] in "Zz" else match["zone"]
    try:
        moment = dt.datetime.fromisoformat(match["whole"].upper() + zone)
    except ValueError:
        raise FilterError(f"datetime({stamp}) is not a valid time") from None
    millis = (moment - _EPOCH) // dt.timedelta(milliseconds=1)
    fraction = Decimal(match["fraction"] or 0) * 1000
    return millis + (int(fraction) if fraction == int(fraction) else float(fraction))


# --- tokens -> tree

_LITERALS = ("string", "number", "datetime")
_ORDER = ("<", "<=", ">", ">=")


class _Parser:
    """Recursive descent over the grammar in the module docstring; one method per rule."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens, self.bad = _tokenize(text)
        self.next = 0
        self.depth = 0
        self.terms = 0
        self.values = 0

    def whole(self) -> Query:
        query = self.query()
        self.expect("end")
        if query.where is not None and _height(query.where) > MAX_HEIGHT:
            raise FilterError(f"the filter has more than {MAX_HEIGHT} levels of `and` and `or` inside each other")
        if self.bad is not None:
            raise _unexpected(self.text, self.bad)
        return query

    @property
    def kind(self) -> str:
        return self.tokens[self.next].kind

    def accept(self, *kinds: str) -> _Token | None:
        token = self.tokens[self.next]
        if token.kind not in kinds:
            return None
        self.next += 1
        return token

    def expect(self, *kinds: str) -> _Token:
        return self.accept(*kinds) or self.fail()

    def fail(self) -> NoReturn:
        raise _unexpected(self.text, self.tokens[self.next])

    def too_much(self, limit: str) -> NoReturn:
        raise FilterError(f"the filter has more than {limit}, exceeded at position {self.tokens[self.next].at}")

    def count_term(self) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            self.too_much(f"{MAX_TERMS} terms")

    def query(self) -> Query:
        where = None if self.kind in ("sort", "skip", "limit") else self.condition()
        sort = self.sort_by() if self.accept("sort") else ()
        skip = max(0, self.integer()) if self.accept("skip") else None
        limit = None
        if self.accept("limit"):
            limit = ALL if self.accept("none") else max(ALL, self.integer())
        return Query(where, sort, skip, limit)

    def sort_by(self) -> tuple[tuple[str, bool], ...]:
        self.expect("by")
        keys = [self.sort_key()]
        while self.accept(","):
            keys.append(self.sort_key())
        return tuple(keys)

    def sort_key(self) -> tuple[str, bool]:
        self.count_term()
        name = self.name()
        word = self.accept("asc", "desc")
        return name, word is None or word.kind == "asc"

    def integer(self) -> int:
        if not re.fullmatch("-?[0-9]{1,30}", self.tokens[self.next].text):
            self.fail()
        return min(int(self.expect("number").text), _INT64_MAX)

    def name(self) -> str:
        return self.expect("name").text.strip("'")

    def condition(self) -> Node:
        """Parse what stands between parentheses, or the whole; the depth is counted here and at `not`."""
        self.deeper()
        node = self.joined("or", lambda: self.joined("and", self.unary))
        self.depth -= 1
        return node

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.too_much(f"{MAX_DEPTH} levels of nesting")

    def joined(self, word: Literal["and", "or"], part: Callable[[], Node]) -> Node:
        terms = [part()]
        while self.accept(word):
            terms.append(part())
        if len(terms) == 1:
            return terms[0]
        nested = (term.terms if isinstance(term, Logic) and term.word == word else (term,) for term in terms)
        return Logic(word, tuple(itertools.chain.from_iterable(nested)))

    def unary(self) -> Node:
        if self.accept("not"):
            self.deeper()
            node = Not(self.unary())
            self.depth -= 1
            return node
        if self.accept("("):
            inner = self.condition()
            self.expect(")")
            return inner
        self.count_term()
        if word := self.accept("bool"):
            return Always(word.text.lower() == "true")
        if self.accept("isempty"):
            return IsEmpty(self.set_in_parentheses("isEmpty"))
        return self.test()

    def test(self) -> Node:
        operand = self.operand()
        negated = self.accept("not") is not None
        if not negated:
            if self.kind in ("=", "!=", *_ORDER):
                return self.comparison(operand)
            if self.kind not in ("contains", "icontains", "in", "between"):
                return Bare(operand.name) if operand.function is None else self.fail()
        return self.word_test(operand, negated=negated)

    def comparison(self, operand: Operand) -> Compare:
        sign: Any = self.expect("=", "!=", *_ORDER).kind
        kinds = _LITERALS if sign in _ORDER else (*_LITERALS, "bool", "null")
        value = _constant(self.expect(*kinds))
        return Compare(operand, "=" if sign == "!=" else sign, (value,), negated=sign == "!=")

    def word_test(self, operand: Operand, *, negated: bool) -> Compare:
        word: Any = self.expect("contains", "icontains", "in", "between").kind
        if word == "in":
            values = self.value_list()
        elif word == "between":
            low = self.expect("number", "datetime")
            self.expect("and")
            values = (_constant(low), _constant(self.expect(low.kind)))
        else:
            values = (_constant(self.expect("string", "number")),)
        return Compare(operand, word, values, negated)

    def value_list(self) -> tuple[Constant, ...]:
        self.expect("[")
        tokens = [self.expect(*_LITERALS)]
        while self.accept(","):
            tokens.append(self.expect(tokens[0].kind))
        self.expect("]")
        self.values += len(tokens)
        if self.values > MAX_VALUES:
            self.too_much(f"{MAX_VALUES} values in lists")
        return tuple(map(_constant, tokens))

    def operand(self) -> Operand:
        if self.accept("count"):
            return self.set_in_parentheses("count")
        for word in ("anyOf", "allOf"):
            if self.accept(word.lower()):
                self.expect("(")
                name = self.name()
                self.expect(")")
                return Operand(name, "anyOf" if word == "anyOf" else "allOf")
        return Operand(self.name())

    def set_in_parentheses(self, function: Literal["count", "isEmpty"]) -> Operand:
        self.expect("(")
        subquery = None
        if self.accept("from"):
            self.deeper()
            name = self.name()
            self.expect("where")
            subquery = SubQuery(name, self.query())
            self.depth -= 1
        else:
            name = self.name()
        self.expect(")")
        return Operand(name, function, subquery)


def _height(node: Node) -> int:
    if isinstance(node, Logic):
        return 1 + max(map(_height, node.terms))
    return _height(node.node) if isinstance(node, Not) else 0


def parse(text: str) -> Query:
    """Parse a filter, as given in the query parameter `filter`; blank text gives the empty Query.

    Raises FilterError with the position of what cannot be understood, for more than MAX_DEPTH levels,
    MAX_TERMS terms or MAX_LENGTH characters. Source: the grammar in the module docstring.
    """
    return _parse_cached(text) if len(text) <= _CACHED_LENGTH else _parse(text)


def _parse(text: str) -> Query:
    if len(text) > MAX_LENGTH:
        raise FilterError(f"the filter is longer than {MAX_LENGTH} characters")
    if not text.strip(" \n\t\r"):
        return Query()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _unexpected(text, _Token("bad", "\ufffd", error.start)) from None
    return _Parser(text).whole()


_parse_cached = lru_cache(maxsize=1024)(_parse)


# --- are the operands fit for the operators?

_SYMBOL_NODES = {"string": "StringSymbolNode", "number": "Int64SymbolNode", "datetime": "DatetimeSymbolNode"}
_TYPE_NAMES = {"datetime": "date", "null": "other", "map": "other"}
_View = Literal["text", "number", "bool", "datetime", "null"]


def _view(compare: Compare, kind: Kind) -> _View | None:
    """Decide how a value of this kind is read for a test: None if the test makes no sense for it."""
    literal = compare.values[0].kind
    if literal == "null":
        return "null"
    if compare.op in ("contains", "icontains"):
        return "text" if kind in ("string", "number", "any") else None
    if compare.op == "between":
        return literal if kind in (literal, "any") else None  # type: ignore[return-value]
    as_text = kind == "string" or (kind == "number" and compare.op == "in")
    if literal == "string":
        return "text" if as_text or kind == "any" else None
    if literal == "number" and kind == "string":
        return "text"
    return literal if kind in (literal, "any") else None


def _check(node: Node, kind_of: Callable[[str], Kind]) -> None:
    """Raise FilterError unless every name is known and every test fits; kind_of raises it for unknown names."""
    if isinstance(node, Logic):
        for term in node.terms:
            _check(term, kind_of)
            _refuse_bare(term, kind_of, "boolean logic expression has a term that is not bool: {name}")
    elif isinstance(node, Not):
        _check(node.node, kind_of)
        _refuse_bare(node.node, kind_of, "operand of not is not bool: {name}")
    elif isinstance(node, Bare):
        _scalar_kind(node.name, kind_of)
    elif isinstance(node, IsEmpty):
        _operand_kind(node.operand, kind_of)
    elif isinstance(node, Compare):
        _check_compare(node, _operand_kind(node.operand, kind_of))


def _check_whole(node: Node, kind_of: Callable[[str], Kind]) -> None:
    _check(node, kind_of)
    _refuse_bare(node, kind_of, "query expr predicate must be a boolean expr. contains *ast.{node}")


def _refuse_bare(node: Node, kind_of: Callable[[str], Kind], message: str) -> None:
    if isinstance(node, Bare) and (kind := kind_of(node.name)) not in ("bool", "any"):
        raise FilterError(message.format(name=node.name, node=_SYMBOL_NODES.get(kind, "SymbolNode")))


def _check_compare(compare: Compare, kind: Kind) -> None:
    if compare.op == "icontains" and len(compare.values[0].text) > MAX_NEEDLE:
        raise FilterError(f"icontains takes at most {MAX_NEEDLE} characters")
    if _view(compare, kind) is None:
        raise FilterError(
            f"operation {_describe(compare)} is not supported with operands types "
            f"{_TYPE_NAMES.get(kind, kind)}, {_TYPE_NAMES.get(compare.values[0].kind, compare.values[0].kind)}"
        )


def _describe(compare: Compare) -> str:
    texts = [value.text for value in compare.values]
    sign = "!=" if compare.negated and compare.op == "=" else ("not " * compare.negated) + compare.op
    values = {"in": f"[{', '.join(texts)}]", "between": " and ".join(texts)}.get(compare.op, texts[0])
    return f"{compare.operand.name} {sign} {values}"


def _scalar_kind(name: str, kind_of: Callable[[str], Kind]) -> Kind:
    kind = kind_of(name)
    if kind == "set":
        raise FilterError(f"symbol '{name}' is a set symbol but is used in non-set function context")
    return kind


def _operand_kind(operand: Operand, kind_of: Callable[[str], Kind]) -> Kind:
    """Give the kind of what is compared: a set's members are strings, its count is a number."""
    if operand.subquery is not None:
        _refuse_subquery(operand.subquery)
    if operand.function is None:
        return _scalar_kind(operand.name, kind_of)
    if kind_of(operand.name) != "set":
        raise FilterError(f"symbol '{operand.name}' is not a set symbol but is used in set function {operand.function}")
    return "number" if operand.function == "count" else "string"


def _refuse_subquery(subquery: SubQuery) -> NoReturn:
    """Raise the error of a name unknown inside a sub query: no collection offers entities to look into."""

    def unknown(name: str) -> NoReturn:
        raise _unknown(name)

    if subquery.query.where is not None:
        _check(subquery.query.where, unknown)
    raise _unknown(subquery.name)


def _unknown(name: str) -> FilterError:
    return FilterError(f"unknown symbol '{name}'")


# --- tree -> SQL


def compile_where(node: Node, resolve: Callable[[str], Symbol | None]) -> Any:
    """Turn a tree into a peewee expression for `where()`.

    resolve: gives the Symbol of a name (`name`, `roleAttributes`, `tags.owner`), None if there is none.
    Raises FilterError for unknown names and for tests that do not fit the name's kind.
    """

    def symbol(name: str) -> Symbol:
        return _known(name, resolve)

    _check_whole(node, lambda name: symbol(name).kind)
    return _compile(node, symbol, negated=False)


def compile_sort(sort: Sequence[tuple[str, bool]], resolve: Callable[[str], Symbol | None]) -> list[Any]:
    """Turn a Query's sort into orderings for `order_by()`; the caller adds the id for a total order.

    Raises FilterError for unknown names, sets and members of tags.
    """
    return [_ordering(name, resolve).asc() if up else _ordering(name, resolve).desc() for name, up in sort]


def _ordering(name: str, resolve: Callable[[str], Symbol | None]) -> Any:
    symbol = _known(name, resolve)
    _check_sortable(name, _scalar_kind(name, lambda _: symbol.kind))
    return symbol.column


def _check_sortable(name: str, kind: Kind) -> None:
    if kind in ("any", "map"):
        raise FilterError(f"no such sort field: {name}")


def _known(name: str, resolve: Callable[[str], Symbol | None]) -> Symbol:
    symbol = resolve(name)
    if symbol is None:
        raise _unknown(name)
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
        return _bound(int(node.value != negated))
    if isinstance(node, Bare):
        return _negate(_read(symbol(node.name), "bool") == _bound(1), negated)
    if isinstance(node, IsEmpty):
        return _negate(_has_members(symbol(node.operand.name)), not negated)
    return _compile_compare(node, symbol(node.operand.name), negated=negated)


def _negate(expression: Any, negated: bool = True) -> Any:  # noqa: FBT001, FBT002 - reads as "negate if"
    """Negate with absent values counting as false: SQL's `NOT NULL` would drop the row."""
    return ~peewee.fn.COALESCE(expression, 0) if negated else expression


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
    view = _view(compare, symbol.kind)
    if view == "null":
        return _read_presence(symbol)
    value = _read(symbol, view, exact=all(isinstance(v.value, int) for v in compare.values))
    wanted = _values(compare, view)
    if compare.op == "in":
        return value.in_([_bound(v) for v in wanted])
    if compare.op == "between":
        return (value >= _bound(wanted[0])) & (value < _bound(wanted[1]))
    if compare.op == "contains":
        return peewee.fn.INSTR(value, _bound(wanted[0])) > 0
    if compare.op == "icontains":
        return peewee.fn.GLOB(_any_case(wanted[0]), value)
    return _COMPARISONS[compare.op](value, _bound(wanted[0]))


def _values(compare: Compare, view: _View | None) -> list[Any]:
    """Give the wanted values as that type: numbers as written where texts are compared, bools as 0/1."""
    if view == "text":
        return [value.text for value in compare.values]
    return [int(value.value) if view == "bool" else value.value for value in compare.values]


def _read(symbol: Symbol, view: _View | None, *, exact: bool = False) -> Any:
    """Give an expression for a symbol's value as that type, NULL where it has none of that type."""
    column = _json_member(symbol, view, exact=exact) if symbol.kind == "any" else symbol.column
    if view == "bool":
        return peewee.fn.COALESCE(column, 0)
    return column.cast("TEXT") if symbol.kind == "number" and view == "text" else column


def _read_presence(symbol: Symbol) -> Any:
    if symbol.kind != "any":
        return symbol.column.is_null()
    return peewee.fn.COALESCE(peewee.fn.JSON_TYPE(symbol.column, _json_path(symbol)), "null") == "null"


def _json_path(symbol: Symbol) -> str:
    return f'$."{symbol.key}"'


def _json_member(symbol: Symbol, view: _View | None, *, exact: bool) -> Any:
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
        "number": [] if exact else [("integer", member), ("real", member)],
        "bool": [("true", 1), ("false", 0)],
    }
    found = cases.get(view) or [("", None)]
    return peewee.Case(peewee.fn.JSON_TYPE(symbol.column, _json_path(symbol)), found)


def _forms(letter: str) -> str:
    """Give the letter in both cases, where the other case is one letter as well."""
    return "".join(sorted({c for c in (letter, letter.lower(), letter.upper()) if len(c) == 1}))


def _any_case(needle: str) -> str:
    """Make a GLOB pattern that finds a text in any case; SQLite's own UPPER and LIKE know ASCII only."""
    parts = (f"[{forms}]" if len(forms) > 1 or forms in "*?[" else forms for forms in map(_forms, needle))
    return f"*{''.join(parts)}*"


@lru_cache(maxsize=64)
def _any_case_pattern(needle: str) -> re.Pattern[str]:
    return re.compile("".join(f"[{re.escape(_forms(c))}]" for c in needle))


# --- the same in Python


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
        _refuse_subquery(node.operand.subquery)
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
        _check_whole(query.where, kind_of)
    for name, _ in query.sort:
        _check_sortable(name, _scalar_kind(name, kind_of))
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
    _check_compare(compare, kind)
    view = _view(compare, kind)
    if view == "null":
        return value is None
    wanted = _values(compare, view)
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


def _as_view(value: Any, kind: Kind, view: _View | None, *, exact: bool) -> Any:
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
