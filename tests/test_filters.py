"""The filter language: recorded queries, every operator, agreement of SQL and Python, limits, garbage."""

from __future__ import annotations

import json
from typing import Any

import peewee
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.filter_rows import evaluate, select
from wire.filter_sql import Symbol, compile_sort, compile_where
from wire.filters import ALL, FilterError, Query, parse

database = peewee.SqliteDatabase(":memory:")


class JsonField(peewee.TextField):
    """Converts, so that a filter which lets a column convert its values would fail."""

    def db_value(self, value: Any) -> str:
        return json.dumps(value)

    def python_value(self, value: str) -> Any:
        return json.loads(value)


class Thing(peewee.Model):
    id = peewee.TextField(primary_key=True)
    name = peewee.TextField(null=True)
    externalId = peewee.TextField(null=True)  # noqa: N815 - columns named as in the filters keep the test short
    isAdmin = peewee.BooleanField(null=True)  # noqa: N815
    createdAt = peewee.BigIntegerField(null=True)  # noqa: N815
    cost = peewee.IntegerField(null=True)
    tags = JsonField()
    roles = JsonField()

    class Meta:
        database = database


class Attribute(peewee.Model):
    thing = peewee.ForeignKeyField(Thing)
    kind = peewee.TextField()
    value = peewee.TextField()

    class Meta:
        database = database


SYMBOLS = {
    "id": Symbol("string", Thing.id),
    "name": Symbol("string", Thing.name),
    "externalId": Symbol("string", Thing.externalId),
    "type": Symbol("string", peewee.Value("Default")),
    "isAdmin": Symbol("bool", Thing.isAdmin),
    "createdAt": Symbol("datetime", Thing.createdAt),
    "cost": Symbol("number", Thing.cost),
    "tags": Symbol("map", Thing.tags),
    "roleAttributes": Symbol.set_of(Thing.id, Attribute.thing, Attribute.value, Attribute.kind == "role"),
    "roles": Symbol.set_in_json(Thing.roles),
}
KINDS = {name: symbol.kind for name, symbol in SYMBOLS.items()}
NOON = 1_795_000_000_000
BASE = 'name contains "q-"'


def resolve(name: str) -> Symbol | None:
    return Symbol.json_member(Thing.tags, name[5:]) if name.startswith("tags.") else SYMBOLS.get(name)


def store(rows: list[dict[str, Any]]) -> None:
    database.drop_tables([Attribute, Thing])
    database.create_tables([Thing, Attribute])
    for row in rows:
        columns = {key: value for key, value in row.items() if key not in ("roleAttributes", "type")}
        Thing.insert(**columns).execute()
        for value in row["roleAttributes"]:
            Attribute.create(thing=row["id"], kind="role", value=value)
            Attribute.create(thing=row["id"], kind="other", value="x" + value)


def thing(key: str, name: str | None, roles: list[str], tags: dict[str, Any], **more: Any) -> dict[str, Any]:
    row = {"id": key, "name": name, "roleAttributes": roles, "roles": roles, "tags": tags, "type": "Default"}
    return {**row, "externalId": None, "isAdmin": False, "createdAt": NOON, "cost": 0, **more}


# what the recording had made before its filter queries, in the order of the ids it got
THINGS = [
    thing("a", "q-alpha", ["red"], {"k": "v1", "num": 1}),
    thing("b", "q-beta", ["red", "blue"], {"k": "v2", "num": 2}, externalId="X1", createdAt=NOON + 1, cost=10),
    thing("c", "q-Gamma", [], {"frac": 2.5}, createdAt=NOON + 2),
    thing("d", "q-epsilon", [], {"flag": True, "a-b": "dash"}, isAdmin=True, createdAt=NOON + 4),
    thing("e", "q-delta", ["blue"], {"k": "v1", "nothing": None}, externalId="x2", createdAt=NOON + 3),
    thing("z", "admin", [], {}, isAdmin=True, createdAt=NOON - 1000),
]


@pytest.fixture
def things() -> None:
    store(THINGS)


def found(text: str) -> list[str]:
    query = parse(text)
    rows = Thing.select(Thing.name).order_by(*compile_sort(query.sort, resolve), Thing.id)
    if query.where is not None:
        rows = rows.where(compile_where(query.where, resolve))
    names = [row.name for row in rows]
    in_memory = sorted(THINGS, key=lambda row: row["id"])
    assert names == [row["name"] for row in select(in_memory, query, KINDS)]
    return [str(name).removeprefix("q-") for name in names]


def where(text: str) -> Any:
    node = parse(text).where
    assert node is not None
    return compile_where(node, resolve)


def message(text: str) -> str:
    with pytest.raises(FilterError) as caught:  # noqa: PT012 - any of the steps may refuse it
        query = parse(text)
        if query.where is not None:
            compile_where(query.where, resolve)
        compile_sort(query.sort, resolve)
    return str(caught.value)


EVERY = ["alpha", "beta", "Gamma", "epsilon", "delta"]
HITS = [
    # as recorded
    ("", [*EVERY, "admin"]),
    ("true", [*EVERY, "admin"]),
    ("false", []),
    (BASE, EVERY),
    (f"(({BASE}))", EVERY),
    (f"{BASE} sort by name", ["Gamma", "alpha", "beta", "delta", "epsilon"]),
    (f"{BASE} sort by name asc", ["Gamma", "alpha", "beta", "delta", "epsilon"]),
    (f"{BASE} sort by name desc", ["epsilon", "delta", "beta", "alpha", "Gamma"]),
    (f"{BASE} sort by createdAt desc", ["epsilon", "delta", "Gamma", "beta", "alpha"]),
    (f"{BASE} sort by isAdmin desc, name", ["epsilon", "Gamma", "alpha", "beta", "delta"]),
    (f"{BASE} sort by id", EVERY),
    ("sort by name", ["admin", "Gamma", "alpha", "beta", "delta", "epsilon"]),
    ('name="q-alpha"', ["alpha"]),
    (f'{BASE} and name != "q-alpha"', ["beta", "Gamma", "epsilon", "delta"]),
    ('name = "q-ALPHA"', []),
    ('name contains "Q-AL"', []),
    ('name icontains "Q-AL"', ["alpha"]),
    (f'{BASE} and not (name icontains "AL")', ["beta", "Gamma", "epsilon", "delta"]),
    (f'{BASE} and name not contains "alpha"', ["beta", "Gamma", "epsilon", "delta"]),
    (f'{BASE} and name not icontains "ALPHA"', ["beta", "Gamma", "epsilon", "delta"]),
    ('name in ["q-alpha", "q-beta"]', ["alpha", "beta"]),
    (f'{BASE} and name not in ["q-alpha"]', ["beta", "Gamma", "epsilon", "delta"]),
    (f'{BASE} and name > "q-b"', ["beta", "epsilon", "delta"]),
    (f'{BASE} and name >= "q-beta"', ["beta", "epsilon", "delta"]),
    (f'{BASE} and name < "q-b"', ["alpha", "Gamma"]),
    (f"createdAt > datetime(2020-01-01T00:00:00Z) and {BASE}", EVERY),
    (f"createdAt between datetime(2020-01-01T00:00:00Z) and datetime(2099-01-01T00:00:00Z) and {BASE}", EVERY),
    (f'{BASE} and anyOf(roleAttributes) = "red"', ["alpha", "beta"]),
    (f'{BASE} and anyOf(roleAttributes) in ["red","blue"]', ["alpha", "beta", "delta"]),
    (f'{BASE} and allOf(roleAttributes) = "red"', ["alpha", "Gamma", "epsilon"]),
    (f"{BASE} and count(roleAttributes) = 2", ["beta"]),
    (f"{BASE} and count(roleAttributes) > 0", ["alpha", "beta", "delta"]),
    (f"{BASE} and isEmpty(roleAttributes)", ["Gamma", "epsilon"]),
    (f"{BASE} and not isEmpty(roleAttributes)", ["alpha", "beta", "delta"]),
    (f'{BASE} and anyOf(roleAttributes) contains "re"', ["alpha", "beta"]),
    (f"{BASE} and externalId = null", ["alpha", "Gamma", "epsilon"]),
    (f"{BASE} and externalId != null", ["beta", "delta"]),
    (f'{BASE} and externalId = "X1"', ["beta"]),
    (f'{BASE} and tags.k = "v1"', ["alpha", "delta"]),
    (f'{BASE} and tags.k != "v1"', ["beta", "Gamma", "epsilon"]),
    (f"{BASE} and tags.num = 1", []),
    (f"{BASE} and tags.num > 1", []),
    (f"{BASE} and tags.flag = true", ["epsilon"]),
    (f"{BASE} and tags.nothere = null", EVERY),
    (f"{BASE} and isAdmin = true", ["epsilon"]),
    (f"{BASE} and isAdmin", ["epsilon"]),
    (f'{BASE} and type = "Device"', []),
    (f'{BASE} and (isAdmin = true or name contains "alpha")', ["alpha", "epsilon"]),
    (f'{BASE} or name = "nothing"', EVERY),
    (f"not {BASE}", ["admin"]),
    (f"not ({BASE})", ["admin"]),
    (f"{BASE} AND isAdmin = TRUE", ["epsilon"]),
    ('id = "doesnotexist"', []),
    ('id in ["doesnotexist"]', []),
    ("id = 5", []),
    ("name = null", []),
    (r'name = "a\"b"', []),
    # beyond the recording
    ('name = "q-alpha" and isAdmin or name = "q-beta"', ["beta"]),
    ('not isAdmin and name = "q-alpha"', ["alpha"]),
    (f'{BASE} and externalId not in ["X1"] and externalId != "x2"', ["alpha", "Gamma", "epsilon"]),
    (f'{BASE} and not externalId > ""', ["alpha", "Gamma", "epsilon"]),
    (f'{BASE} and externalId not contains "1"', ["alpha", "Gamma", "epsilon", "delta"]),
    ('name contains "%"', []),
    ('name icontains "*A_%[?"', []),
    ("createdAt = datetime(2026-11-18T11:06:40+00:00)", ["alpha"]),
    ("createdAt < datetime(2026-11-18T12:06:40.000+01:00)", ["admin"]),
    ("createdAt in [datetime(2026-11-18T11:06:40.001Z), datetime( 2026-11-18T11:06:40.004Z )]", ["beta", "epsilon"]),
    (
        "createdAt not between datetime(2026-11-18T11:06:40Z) and datetime(2026-11-18T11:06:40.004Z)",
        ["epsilon", "admin"],
    ),
    ("cost between 0 and 10 and isAdmin = false and name < 5", []),
    ("cost between 0 and 10 and isAdmin = false", ["alpha", "Gamma", "delta"]),
    ("cost > 9.5", ["beta"]),
    ('cost contains 1 or cost in ["10"]', ["beta"]),
    ("count(roles) in [1, 2]", ["alpha", "beta", "delta"]),
    ('anyOf(roles) not in ["red"]', ["beta", "delta"]),
    ('not anyOf(roles) in ["red"]', ["Gamma", "epsilon", "delta", "admin"]),
    ('allOf(roles) not contains "u"', ["alpha", "Gamma", "epsilon", "admin"]),
    ("not isEmpty( roles )", ["alpha", "beta", "delta"]),
    ('anyOf(roleAttributes) = "xred"', []),
    ("tags.flag", ["epsilon"]),
    ("tags.num or tags.frac", []),
    ("tags.flag != true", [name for name in [*EVERY, "admin"] if name != "epsilon"]),
    ("tags.frac > 2.4 or tags.num = 1.0", ["alpha", "Gamma"]),
    ('tags.num = "1" or tags.flag = "true"', ["alpha", "epsilon"]),
    ('tags.a-b icontains "DASH"', ["epsilon"]),
    ("tags.nothing = null and tags.k != null", ["alpha", "beta", "delta"]),
    ("tags != null", [*EVERY, "admin"]),
    ("'name' = \"q-alpha\"", ["alpha"]),
    ('\n name\t=\r\n"q-alpha" ', ["alpha"]),
    ('NAME = "x" or name Not Contains "q"'.replace("NAME", "name"), ["admin"]),
]


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(("text", "names"), HITS)
def test_a_filter_finds(text, names):
    assert found(text) == names


def unexpected(symbol: str, column: int, line: int = 1) -> str:
    place = f"line: {line} column: {column}. line: {line}, column: {column}"
    return f'Unexpected symbol: "{symbol}" at {place}, symbol: {symbol}'


SET_AS_SCALAR = "symbol 'roleAttributes' is a set symbol but is used in non-set function context"
REFUSED = [
    # as recorded, to the letter
    (f"{BASE} sort by bogus", "unknown symbol 'bogus'"),
    (f"{BASE} sort by roleAttributes", SET_AS_SCALAR),
    (f"{BASE} sort by tags.k", "no such sort field: tags.k"),
    (f"{BASE} limit 1 sort by name", unexpected("sort", 27)),
    ("name = 'q-alpha'", unexpected("alpha", 10)),
    ("name in []", unexpected("]", 9)),
    ('name between "q-a" and "q-c"', unexpected('"q-a"', 13)),
    (
        f'createdAt > "2020-01-01" and {BASE}',
        "operation createdAt > 2020-01-01 is not supported with operands types date, string",
    ),
    (f'{BASE} and noneOf(roleAttributes) = "red"', unexpected("(", 29)),
    (f'{BASE} and roleAttributes = "red"', SET_AS_SCALAR),
    (f'{BASE} and tags["k"] = "v1"', unexpected("[", 27)),
    (f'{BASE} and isAdmin = "true"', "operation isAdmin = true is not supported with operands types bool, string"),
    (f'{BASE} and typeId = "Device"', "unknown symbol 'typeId'"),
    ("name = true", "operation name = true is not supported with operands types string, bool"),
    ("bogus = 5", "unknown symbol 'bogus'"),
    ("name = ", unexpected("<EOF>", 7)),
    ("name", "query expr predicate must be a boolean expr. contains *ast.StringSymbolNode"),
    ('name = "abc', unexpected("<EOF>", 11)),
    ("(", unexpected("<EOF>", 1)),
    ('name == "x"', unexpected("=", 6)),
    ('name = "a" name = "b"', unexpected("name", 11)),
    ('name like "a"', unexpected("like", 5)),
    ('name = "a" and', unexpected("<EOF>", 14)),
    ('anyOf(name) = "x"', "symbol 'name' is not a set symbol but is used in set function anyOf"),
    ('anyOf(bogus) = "x"', "unknown symbol 'bogus'"),
    ('anyOf(services.name) = "x"', "unknown symbol 'services.name'"),
    ('not isEmpty(from enrollments where method = "ott") limit 2', "unknown symbol 'method'"),
    # beyond the recording
    ('name = "x" ~', unexpected("~", 11)),
    ('name = "x"\n  or or', unexpected("or", 5, line=2)),
    ("name < null", unexpected("null", 7)),
    ("isAdmin > true", unexpected("true", 10)),
    ('name in ["a", 5]', unexpected("5", 14)),
    ("createdAt > datetime(yesterday)", unexpected("datetime", 12)),
    ("createdAt > datetime(2026-02-30T00:00:00Z)", "datetime(2026-02-30T00:00:00Z) is not a valid time"),
    ("limit 1.5", unexpected("1.5", 6)),
    ("skip none", unexpected("none", 5)),
    ("cost = 1e999", "number 1e999 is out of range"),
    ('cost = "1"', "operation cost = 1 is not supported with operands types number, string"),
    ('tags = "1"', "operation tags = 1 is not supported with operands types other, string"),
    ("isAdmin in [1, 2]", "operation isAdmin in [1, 2] is not supported with operands types bool, number"),
    (
        "name not between 1 and 2",
        "operation name not between 1 and 2 is not supported with operands types string, number",
    ),
    ("isAdmin and name", "boolean logic expression has a term that is not bool: name"),
    ("not cost", "operand of not is not bool: cost"),
    ("createdAt", "query expr predicate must be a boolean expr. contains *ast.DatetimeSymbolNode"),
    ("roleAttributes", SET_AS_SCALAR),
    ("count(name) = 2", "symbol 'name' is not a set symbol but is used in set function count"),
    ("isEmpty(tags)", "symbol 'tags' is not a set symbol but is used in set function isEmpty"),
    ("count(from roles where true) = 2", "unknown symbol 'roles'"),
    ('name = "\ud800"', unexpected("\ufffd", 8)),
]


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_a_filter_is_refused(text, reason):
    assert message(text) == reason


def test_lists_in_memory_name_unknown_symbols_without_quotes():
    for text in ("nosuch = 1", "true sort by nosuch", "tags.x.y = 1"):
        with pytest.raises(FilterError, match=r"^unknown symbol (nosuch|tags\.x\.y)$"):
            select([], parse(text), {"name": "string"})


PAGES = [
    ("true", None, None),
    ("limit 2", None, 2),
    ("limit none", None, ALL),
    ("limit -1", None, ALL),
    ("true limit 1000", None, 1000),
    ("skip 1", 1, None),
    ("true skip -5 limit 0", 0, 0),
    ("true SKIP 100 LIMIT NONE", 100, ALL),
    ("limit 99999999999999999999", None, 2**63 - 1),
]


@pytest.mark.parametrize(("text", "skip", "limit"), PAGES)
def test_paging_inside_the_filter(text, skip, limit):
    query = parse(text)
    assert (query.skip, query.limit) == (skip, limit)


def test_sort_keys_are_kept_in_order():
    assert parse("sort by a desc, b, 'c.d' asc").sort == (("a", False), ("b", True), ("c.d", True))
    assert parse("  ") == Query()


def test_strings_with_escapes_and_wildcards_are_found_as_they_are():
    odd = 'tab\t quote" back\\slash 100% a_b [x] * ? Straße Ünï 日本'
    store([thing("odd", odd, [odd], {"k": odd}), thing("other", "OTHER", [], {})])
    text = odd.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    for part in (text, "100%", "a_b [x] * ?", "Stra", "日本", "\\t quote\\"):
        quoted = f'"{part}"' if not part.endswith("\\") else f'"{part}""'
        for left in ("name", "tags.k", "anyOf(roleAttributes)", "anyOf(roles)"):
            for op in ("contains", "icontains"):
                hits = Thing.select().where(where(f"{left} {op} {quoted}"))
                assert [row.id for row in hits] == ["odd"], (left, op, part)


def test_case_is_ignored_beyond_ascii():
    store([thing("odd", "ÜNÏ Жук", [], {})])
    for part in ("ünï", "жУК", "ï ж"):
        assert Thing.select().where(where(f'name icontains "{part}"')).count() == 1


def test_values_are_bound_never_written_into_the_statement():
    text = 'name = "v4lue" and tags.k contains "v4lue" and anyOf(roles) in ["v4lue"] and cost = 4711 and isAdmin = true'
    statement, values = Thing.select().where(where(text)).sql()
    assert "v4lue" not in statement
    assert "4711" not in statement
    assert {"v4lue", 4711} <= set(values)


@pytest.mark.usefixtures("things")
def test_a_filter_can_be_one_condition_among_others():
    both = where('name = "q-alpha" or isAdmin')
    ids = Thing.id.in_(["a", "b", "d"])
    assert [row.id for row in Thing.select().where(ids).where(both)] == ["a", "d"]
    assert [row.id for row in Thing.select().where(ids & ~both)] == ["b"]
    assert Thing.select().where(where("false") | both).count() == 3


def test_sets_are_looked_up_through_an_index():
    store(THINGS)
    database.execute_sql("CREATE INDEX by_value ON attribute (kind, value, thing_id)")
    query = Thing.select().where(where('anyOf(roleAttributes) = "red"'))
    statement, values = query.sql()
    plan = " ".join(str(row) for row in database.execute_sql("EXPLAIN QUERY PLAN " + statement, values))
    assert "by_value" in plan
    assert "SCAN" not in plan


def nested(depth: int, leaf: str) -> str:
    for _ in range(depth):
        leaf = f'not (id = "a" and id = "b" or {leaf} and id = "c")'
    return leaf


TOO_MUCH = [
    ("(" * 100_000, "more than 50 levels of nesting"),
    ("not " * 60 + "true", "more than 50 levels of nesting"),
    ("(" * 60 + "true" + ")" * 60, "more than 50 levels of nesting"),
    ("isEmpty(from a where " * 60, "more than 50 levels of nesting"),
    (nested(10, "true"), "more than 16 levels"),
    (" or ".join(['name = "x"'] * 501), "more than 500 terms"),
    (" or ".join(["true"] * 10_000), "more than 500 terms"),
    ("sort by " + ",".join(["name"] * 501), "more than 500 terms"),
    ("id in [" + ",".join(["1"] * 10_001) + "]", "more than 10000 values"),
    ("true and" + " " * 100_000, "longer than 100000 characters"),
    (f'name icontains "{"x" * 1001}"', "at most 1000 characters"),
]


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(("text", "reason"), TOO_MUCH)
def test_excess_is_refused(text, reason):
    assert reason in message(text)


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(
    "text",
    [
        *(
            nested(8, leaf)
            for leaf in ('tags.k not icontains "x"', 'allOf(roles) not contains "x"', "count(roles) = 2")
        ),
        " or ".join(['tags.k = "x"'] * 500),
        " and ".join(['not anyOf(roleAttributes) = "x"'] * 60),
        "(" * 49 + 'name = "x"' + " and id = 5)" * 49,
        "not " * 49 + "true",
        "id in [" + ",".join(["1"] * 10_000) + "]",
        f'name icontains "{"äß日" * 333}"',
    ],
)
def test_what_the_limits_allow_works(text):
    found(text)


def test_a_filter_is_parsed_once():
    text = 'id = "cli-a" or name="cli-a" limit 10'
    assert parse(text) is parse(text)


# --- SQLite and Python agree on random trees over random rows

texts = st.text(st.sampled_from('abABäÄ%_*[]?"\\5. é'), max_size=4)
numbers = st.integers(-3, 12)
floats = st.sampled_from([-1.5, 0.5, 2.5, 2.0])
json_values = st.one_of(
    st.none(), st.booleans(), st.sampled_from([0, 1]), numbers, floats, texts, st.just([1]), st.just({"a": 1})
)
members = st.lists(texts, max_size=3, unique=True)


@st.composite
def rows(draw):
    roles = draw(members)
    optional = {
        "name": draw(st.none() | texts),
        "isAdmin": draw(st.sampled_from([None, True, False])),
        "createdAt": draw(st.none() | st.integers(NOON - 2, NOON + 2)),
        "cost": draw(st.none() | numbers),
    }
    return thing("", optional.pop("name"), roles, draw(st.dictionaries(st.sampled_from("kl"), json_values)), **optional)


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


string_literals = texts.map(quote)
number_literals = st.one_of(numbers, floats).map(str)
time_literals = st.integers(0, 3).map(lambda n: f"datetime(2026-11-18T11:06:40.00{n}Z)")
text_operands = st.sampled_from(
    ["name", "type", "tags.k", "anyOf(roles)", "allOf(roleAttributes)", "anyOf(roleAttributes)"]
)
number_operands = st.sampled_from(["cost", "tags.l", "count(roles)", "count(roleAttributes)"])
time_operands = st.sampled_from(["createdAt", "tags.k"])


def forms_of(operands, literals, *, between):
    comparison = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    negation = st.sampled_from(["", "not "])
    listed = st.lists(literals, min_size=1, max_size=3).map(lambda values: f"[{', '.join(values)}]")
    forms = [
        st.tuples(operands, comparison, literals),
        st.tuples(operands, negation.map(lambda word: word + "in"), listed),
    ]
    if between:
        words = negation.map(lambda word: word + "between")
        forms.append(st.tuples(operands, words, st.tuples(literals, literals).map(" and ".join)))
    return st.one_of(forms).map(" ".join)


contains = st.tuples(
    st.one_of(text_operands, st.just("cost")),
    st.sampled_from(["contains", "icontains", "not contains", "not icontains"]),
    st.one_of(string_literals, numbers.map(str)),
).map(" ".join)
SIMPLE = """true|false|isAdmin|isAdmin = false|isAdmin != true|tags.k = true|tags.l != false|tags.k|isEmpty(roles)
|isEmpty(roleAttributes)|name = null|cost != null|tags.k = null|anyOf(roles) != null"""
simple = st.sampled_from(SIMPLE.replace("\n", "").split("|"))
tests = st.one_of(
    simple,
    contains,
    forms_of(text_operands, string_literals, between=False),
    forms_of(text_operands, numbers.map(str), between=False),
    forms_of(number_operands, number_literals, between=True),
    forms_of(time_operands, time_literals, between=True),
)
conditions = st.recursive(
    tests,
    lambda inner: st.one_of(
        inner.map(lambda part: f"not ({part})"),
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(lambda parts: f"({''.join(parts)})"),
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(st.lists(rows(), min_size=1, max_size=4), st.lists(conditions, min_size=1, max_size=4))
def test_sql_agrees_with_python(some, texts):
    for number, row in enumerate(some):
        row["id"] = str(number)
    store(some)
    for text in texts:
        node = parse(text).where
        assert node is not None
        wanted = [row["id"] for row in some if evaluate(node, row, KINDS)]
        assert wanted == [row["id"] for row in some if evaluate(node, row)]
        hits = Thing.select(Thing.id).where(compile_where(node, resolve)).order_by(Thing.id)
        assert [row.id for row in hits] == wanted, text


keys = st.sampled_from(["name", "cost", "isAdmin", "createdAt"])


@settings(max_examples=100)
@given(st.lists(rows(), max_size=5), st.lists(st.tuples(keys, st.booleans()), max_size=3))
def test_sql_sorts_as_python_does(some, sort):
    for number, row in enumerate(some):
        row["id"] = str(number)
    store(some)
    hits = Thing.select(Thing.id).order_by(*compile_sort(sort, resolve), Thing.id)
    assert [row.id for row in hits] == [row["id"] for row in select(some, Query(sort=tuple(sort)), KINDS)]


WORDS = """and or not in between contains icontains true false null anyOf( allOf( count( isEmpty( from where sort by
skip limit none asc desc ( ) [ ] , = != < <= > >= ! ' " \\ - ~ 5 -1 1e9 0.5 05 "x" name cost isAdmin roles createdAt
tags.k nope datetime(2026-11-18T11:06:40Z) datetime("""
fragments = st.sampled_from(WORDS.split())


@settings(max_examples=600)
@given(st.one_of(st.text(max_size=40), st.lists(fragments, max_size=12).map(" ".join)))
def test_garbage_gives_nothing_but_filter_errors(text):
    store(THINGS)
    try:
        query = parse(text)
        found(text)
    except FilterError:
        return
    assert isinstance(query, Query)
