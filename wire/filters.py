"""The filter language of the list operations: text -> tokens -> tree, and which tests fit which kinds.

`wire/filter_sql.py` turns the tree into a peewee expression, `wire/filter_rows.py` applies it to rows in Python.

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

Imports nothing else of the project.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

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
View = Literal["text", "number", "bool", "datetime", "null"]


def view_of(compare: Compare, kind: Kind) -> View | None:
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
        scalar_kind(node.name, kind_of)
    elif isinstance(node, IsEmpty):
        _operand_kind(node.operand, kind_of)
    elif isinstance(node, Compare):
        check_compare(node, _operand_kind(node.operand, kind_of))


def check_whole(node: Node, kind_of: Callable[[str], Kind]) -> None:
    """Check a whole filter: each test fits, and it is a condition. Raises FilterError."""
    _check(node, kind_of)
    _refuse_bare(node, kind_of, "query expr predicate must be a boolean expr. contains *ast.{node}")


def _refuse_bare(node: Node, kind_of: Callable[[str], Kind], message: str) -> None:
    if isinstance(node, Bare) and (kind := kind_of(node.name)) not in ("bool", "any"):
        raise FilterError(message.format(name=node.name, node=_SYMBOL_NODES.get(kind, "SymbolNode")))


def check_compare(compare: Compare, kind: Kind) -> None:
    """Raise FilterError unless the test makes sense for values of this kind."""
    if compare.op == "icontains" and len(compare.values[0].text) > MAX_NEEDLE:
        raise FilterError(f"icontains takes at most {MAX_NEEDLE} characters")
    if view_of(compare, kind) is None:
        raise FilterError(
            f"operation {_describe(compare)} is not supported with operands types "
            f"{_TYPE_NAMES.get(kind, kind)}, {_TYPE_NAMES.get(compare.values[0].kind, compare.values[0].kind)}"
        )


def _describe(compare: Compare) -> str:
    texts = [value.text for value in compare.values]
    sign = "!=" if compare.negated and compare.op == "=" else ("not " * compare.negated) + compare.op
    values = {"in": f"[{', '.join(texts)}]", "between": " and ".join(texts)}.get(compare.op, texts[0])
    return f"{compare.operand.name} {sign} {values}"


def scalar_kind(name: str, kind_of: Callable[[str], Kind]) -> Kind:
    """Give the kind of a name that is used where one value belongs. Raises FilterError for a set."""
    kind = kind_of(name)
    if kind == "set":
        raise FilterError(f"symbol '{name}' is a set symbol but is used in non-set function context")
    return kind


def _operand_kind(operand: Operand, kind_of: Callable[[str], Kind]) -> Kind:
    """Give the kind of what is compared: a set's members are strings, its count is a number."""
    if operand.subquery is not None:
        refuse_subquery(operand.subquery)
    if operand.function is None:
        return scalar_kind(operand.name, kind_of)
    if kind_of(operand.name) != "set":
        raise FilterError(f"symbol '{operand.name}' is not a set symbol but is used in set function {operand.function}")
    return "number" if operand.function == "count" else "string"


def refuse_subquery(subquery: SubQuery) -> NoReturn:
    """Raise the error of a name unknown inside a sub query: no collection offers entities to look into."""

    def refuse(name: str) -> NoReturn:
        raise unknown(name)

    if subquery.query.where is not None:
        _check(subquery.query.where, refuse)
    raise unknown(subquery.name)


def unknown(name: str) -> FilterError:
    """Make the error for a name that stands for nothing."""
    return FilterError(f"unknown symbol '{name}'")


def check_sortable(name: str, kind: Kind) -> None:
    """Raise FilterError for what has no order."""
    if kind in ("any", "map"):
        raise FilterError(f"no such sort field: {name}")


def values_of(compare: Compare, view: View | None) -> list[Any]:
    """Give the wanted values as that type: numbers as written where texts are compared, bools as such."""
    if view == "text":
        return [value.text for value in compare.values]
    return [bool(value.value) if view == "bool" else value.value for value in compare.values]


def letter_forms(letter: str) -> str:
    """Give the letter in both cases, where the other case is one letter as well."""
    return "".join(sorted({c for c in (letter, letter.lower(), letter.upper()) if len(c) == 1}))
